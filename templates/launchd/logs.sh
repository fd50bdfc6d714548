# shellcheck shell=sh
# Prints the newest $2 lines of the log $1 of a job, with those of its old ones, and with $3 goes on with what is written,
# byte for byte and across the rotation that rotate.sh does.

log=$1 lines=$2 follow=$3
umask 077
exec 3>&1

size_of() {
  size=$(wc -c 2>/dev/null <"$1") || return 1
  size=$((size + 0))
}

# Sets inode to the number of the file $1, or to nothing.
inode_of() {
  inode=$(ls -di "$1" 2>/dev/null)
  inode=${inode#"${inode%%[! ]*}"}
  inode=${inode%% *}
}

pause() {
  sleep 0.2 2>/dev/null || sleep 1
}

# Waits for the end of a rotation; one that never ends was killed. Sets now to the number of the newest old file, which
# another rotation makes disappear for a moment.
settled() {
  looks=25
  while :; do
    inode_of "$log.1"
    now=$inode
    if [ ! -e "$log.0" ]; then
      inode_of "$log.1"
      [ "$inode" != "$now" ] || return
    elif [ "$looks" -eq 0 ]; then
      return
    else
      pause
      looks=$((looks - 1))
    fi
  done
}

settled
newest=$now end=0
! size_of "$log" || end=$size
# The files that hold the newest lines; the log may grow meanwhile, so that only what it has now counts.
set --
count=$(head -c "$end" "$log" 2>/dev/null | wc -l)
number=1
while [ "$count" -lt "$lines" ] && [ -e "$log.$number" ]; do
  set -- "$log.$number" "$@"
  count=$((count + $(wc -l <"$log.$number")))
  number=$((number + 1))
done
{
  [ $# -eq 0 ] || cat "$@"
  head -c "$end" "$log" 2>/dev/null
} | tail -n "$lines"

[ -n "$follow" ] || exit 0
offset=$end

# Sets number to that of the old file that holds what we read last, or to one more than there are.
find_newest() {
  number=1
  while [ -e "$log.$number" ]; do
    inode_of "$log.$number"
    [ "$inode" != "$newest" ] || return 0
    number=$((number + 1))
  done
}

# Prints the rest of what was rotated away since we looked last, oldest first. A rotation renames these files while we read:
# each is opened, and is the right one if the one before it still has its place then.
catch_up() {
  while find_newest && [ "$number" -gt 1 ]; do
    before=$log.$number next=$log.$((number - 1))
    inode_of "$before"
    was=$inode
    [ -z "$was" ] || [ "$was" = "$newest" ] || continue
    # shellcheck disable=SC2094
    {
      inode_of "$next"
      opened=$inode
      inode_of "$before"
      if [ "$inode" = "$was" ]; then
        tail -c "+$((offset + 1))" <&4 >&3 || exit
        newest=$opened offset=0
      fi
    } 4<"$next" || return
  done 2>/dev/null
}

# Prints what the log has between offset and bytes, unless it is cut meanwhile: then the old file has it, whole. Nothing is
# printed before that is known, so it waits in a file that has no name any more.
show_part() {
  part=$(mktemp 2>/dev/null) || {
    part_of_log >&3 || exit
    offset=$bytes
    return
  }
  # shellcheck disable=SC2094
  {
    rm -f "$part"
    part_of_log >&4
    if is_uncut; then
      cat <&5 >&3 || exit
      offset=$bytes
    fi
  } 4>"$part" 5<"$part"
}

# Tells whether no rotation has cut the log since the newest old file was looked at. While one does, there is <log>.0; after
# that there is another <log>.1: in this order neither is missed.
is_uncut() {
  [ ! -e "$log.0" ] || return 1
  inode_of "$log.1"
  [ "$inode" = "$newest" ]
}

part_of_log() {
  tail -c "+$((offset + 1))" "$log" 2>/dev/null | head -c $((bytes - offset))
}

while :; do
  # First the size, then whether it was that of the log we read.
  size_of "$log" || size=0
  bytes=$size
  settled
  if [ "$now" != "$newest" ]; then
    catch_up
  elif [ "$bytes" -gt "$offset" ]; then
    show_part
  elif [ "$bytes" -lt "$offset" ]; then
    # Somebody else cut it, unless a rotation has begun since.
    ! is_uncut || offset=0
  else
    pause
  fi
done

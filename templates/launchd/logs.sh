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

# Prints the bytes of a file from offset $2 up to $3, and sets offset to how far that came: the file may have been cut. The
# dd(1) of busybox does not count, but a Mac's does.
show() {
  said=$({ tail -c "+$(($2 + 1))" "$1" 2>/dev/null | head -c $(($3 - $2)) 2>/dev/null | dd bs=65536 >&3; } 2>&1)
  case $said in
    *bytes*) ;;
    *) offset=$3 && return ;;
  esac
  said=${said##*records out}
  said=${said#"${said%%[0-9]*}"}
  offset=$(($2 + ${said%%[!0-9]*}))
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
while :; do
  # First the size, then whether it was that of the log we read: what comes after the look is cut off by nobody.
  size_of "$log" || size=0
  bytes=$size
  settled
  if [ "$now" != "$newest" ]; then
    number=1
    while [ -e "$log.$number" ]; do
      inode_of "$log.$number"
      [ "$inode" != "$newest" ] || break
      number=$((number + 1))
    done
    # The oldest of those that are new has the rest of what we were reading.
    while [ "$number" -gt 1 ]; do
      number=$((number - 1))
      ! size_of "$log.$number" || [ "$size" -le "$offset" ] || show "$log.$number" "$offset" "$size"
      offset=0
    done
    newest=$now
  elif [ "$bytes" -gt "$offset" ]; then
    show "$log" "$offset" "$bytes"
  elif [ "$bytes" -lt "$offset" ]; then
    # Somebody else cut it, unless a rotation has begun since.
    inode_of "$log.1"
    [ -e "$log.0" ] || [ "$inode" != "$newest" ] || offset=0
  else
    pause
  fi
done

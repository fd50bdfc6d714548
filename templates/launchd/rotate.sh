# shellcheck shell=sh
# Rotates the log $1 of a job when it has $2 bytes or more; $3 old ones are kept, of which <log>.1 is the newest.
#
# launchd and the program hold the log open to append to it, so it is copied and cut, never renamed: what they write in
# the moment between the last look at its size and the cut is lost. While <log>.0 is there, a rotation is under way; when
# it is gone, <log>.1 holds all that the log had.

log=$1 limit=$2 keep=$3
umask 077

size_of() {
  size=$(wc -c 2>/dev/null <"$1") || return 1
  size=$((size + 0))
}

is_full() {
  size_of "$log" && [ "$size" -ge "$limit" ]
}

# Adds to $1 what the log has more; fails where that cannot be written.
catch_up() {
  size_of "$log" || return
  wanted=$size
  size_of "$1" || size=0
  [ "$wanted" -le "$size" ] || tail -c "+$((size + 1))" "$log" | head -c $((wanted - size)) >>"$1" || return
  size_of "$1" && [ "$size" -eq "$wanted" ]
}

# Lets <log>.0 take its place among the old ones.
settle() {
  number=$((keep + 1))
  while [ -e "$log.$number" ]; do
    rm -f "$log.$number"
    number=$((number + 1))
  done
  number=$keep
  while [ "$number" -gt 1 ]; do
    [ ! -e "$log.$((number - 1))" ] || mv -f "$log.$((number - 1))" "$log.$number"
    number=$((number - 1))
  done
  if [ "$keep" -gt 0 ]; then mv -f "$log.0" "$log.1"; else rm -f "$log.0"; fi
}

is_full || [ -e "$log.0" ] || exit 0
# Somebody else may be at it; who was killed over it left the folder behind.
mkdir "$log.lock" 2>/dev/null || [ -n "$(find "$log.lock" -prune -mmin +10 2>/dev/null)" ] || exit 0
trap 'rmdir "$log.lock"' EXIT

if [ -e "$log.0" ]; then
  # It was left by one who had cut the log already, or had not yet.
  size_of "$log.0"
  if head -c "$size" "$log" | cmp -s - "$log.0"; then rm -f "$log.0"; else settle; fi
fi
is_full || exit 0
rm -f "$log.part"
if ! catch_up "$log.part"; then
  rm -f "$log.part"
  echo "there is no room for a copy of it; \`: >'$log'\` empties it" >&2
  exit 1
fi
mv -f "$log.part" "$log.0"
# A program that never pauses is cut short all the same.
tries=10
while [ "$tries" -gt 0 ] && size_of "$log" && [ "$size" -gt "$wanted" ]; do
  catch_up "$log.0" || break
  tries=$((tries - 1))
done
: >"$log"
settle

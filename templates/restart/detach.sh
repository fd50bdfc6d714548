# shellcheck shell=sh
# Starts the program that the script $1 is, with the arguments that follow, apart from this session: it outlives whoever
# asks for it, and reads our standard input. Ends when that program has closed its output, which is passed on.

script=$1
shift
exec 3<&0 </dev/null
{
  # Its parent ends at once, so that it is not found below us by whoever ends all that comes from us.
  if command -v setsid >/dev/null; then
    setsid sh -c "$script" sh "$@" <&3 3<&- &
  else
    set -m
    sh -c "$script" sh "$@" <&3 3<&- &
  fi
} | {
  exec 3<&-
  exec cat
}

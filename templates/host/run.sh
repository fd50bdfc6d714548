# shellcheck shell=sh disable=SC2034,SC2154
# Runs a program until it ends, until $seconds are over, or until our side goes away: standard input holds $input bytes
# for the program, then stays open for as long as our side is there.

# Gives the program its input, then waits until our side has gone.
feed() {
  trap '' PIPE
  [ "$input" -eq 0 ] || head -c "$input" <&3
  exec >&-
  while read -r _ <&3; do :; done
  kill -TERM $$
}

feed | {
  exec 3<&- 2>&4 4>&-
  # shellcheck disable=SC2086
  exec $apart "$@"
} &
child=$!
late=''
trap 'late=1; end' USR1
{ rest "$seconds" && kill -USR1 $$; } </dev/null >/dev/null 3<&- 4>&- &
timer=$!

collect
trap : TERM USR1
kill "$timer"
[ -z "$late" ] || status=late
mark "end $status"
mark "end $status" >&4
wait

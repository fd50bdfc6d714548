# shellcheck shell=sh disable=SC2034,SC2154
# Runs a program until it ends, until $seconds are over, or until our side goes away: standard input holds $input bytes
# for the program, then stays open for as long as our side is there.

late=''
trap 'late=1; end' USR1
{ rest "$seconds" && kill -USR1 $$; } </dev/null >/dev/null 3<&- 4>&- &
timer=$!
{
  [ "$input" -eq 0 ] || head -c "$input" <&3
  # In the background, because bash waits for all of a pipeline; and only now, because two cannot read one stream.
  {
    while read -r _; do :; done
    kill -TERM $$
  } <&3 >/dev/null 4>&- &
} | {
  exec 3<&- 2>&4 4>&-
  # shellcheck disable=SC2086
  exec $apart "$@"
} &
child=$!

collect
trap : TERM USR1
kill "$timer"
[ -z "$late" ] || status=late
mark "end $status"
mark "end $status" >&4
# Until our side has heard it: whoever watches knows us by our number.
while read -r _; do :; done <&3

# shellcheck shell=sh disable=SC2034,SC2154
# Runs a program whose standard input and output are a stream. Its input may end long before it does; so whether our
# side is still there is known when nobody takes what is said on standard error.

{
  exec 0<&3 3<&- 2>&4 4>&-
  # shellcheck disable=SC2086
  exec $apart "$@"
} &
child=$!
{
  trap '' PIPE
  while printf . >&4 && rest 2; do :; done
  [ -n "$off" ] || kill -TERM $$
} </dev/null >/dev/null 3<&- &
beat=$!
exec 3<&- >&-

collect
trap : TERM
kill "$beat"
wait
exit "$status"

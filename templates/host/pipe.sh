# shellcheck shell=sh disable=SC2034,SC2154
# Runs a program whose standard input and output are a stream. Its input may end long before it does, so whether our
# side is still there is known when nobody takes what we say. OpenSSH stops to take standard output when the other side
# goes away, but not standard error: so the program's output goes by the latter, and the former is for asking. (dropbear
# goes on to take both until the whole connection ends, and the program with it.)

{
  exec 0<&3 3<&- 1>&4 4>&-
  # shellcheck disable=SC2086
  exec $apart "$@"
} &
child=$!
{
  trap '' PIPE
  # A signal to a shell that was forked just now can get lost, so this looks itself whether the program is still there.
  while kill -0 "$child"; do
    printf . || { kill -TERM $$; break; }
    rest 2 || break
  done
} </dev/null 3<&- 4>&- &
beat=$!
exec 3<&- 4>&- >&-

collect
trap : TERM
kill "$beat"
wait
# Some login shells have a word to say, which would be one of the program's, where we fail.
exit 0

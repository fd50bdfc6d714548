# shellcheck shell=sh
# Runs a program in the process group that this shell leads, and ends the group when our side goes away: standard input
# is a pipe that our side holds open and never writes to.
exec 3<&0 </dev/null
{
  read -r _ <&3
  trap '' TERM
  kill -s TERM 0
  sleep 2
  kill -s KILL 0
} &
guard=$!
"$@" 3<&-
status=$?
kill "$guard" 2>/dev/null
exit "$status"

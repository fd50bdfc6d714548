# shellcheck shell=sh
# Sends the signal $1 to processes, of each its number and when it was started: one that took over a number is left alone.

LC_ALL=C TZ=UTC0
export LC_ALL TZ
signal=$1
shift
while [ $# -gt 1 ]; do
  # shellcheck disable=SC2005,SC2046,SC2116
  [ "$(echo $(ps -o lstart= -p "$1"))" != "$2" ] || kill -s "$signal" "$1"
  shift 2
done 2>/dev/null
exit 0

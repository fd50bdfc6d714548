# shellcheck shell=sh disable=SC2034,SC2154
# Starting and ending a program for somebody who may go away.

# Prints the process $1 and all that come from it.
family() {
  all=$1 young=$1
  while [ -n "$young" ]; do
    next=''
    if [ -d /proc/self ]; then
      for stat in /proc/[0-9]*/stat; do
        read -r line <"$stat" || continue
        # The number of the process is before its name, that of its parent the second word after it.
        line="${line%% *} ${line##*) }"
        # shellcheck disable=SC2086
        set -- $line
        case " $young " in *" $3 "*) next="$next $1" ;; esac
      done
    else
      # shellcheck disable=SC2046
      set -- $(ps -A -o pid= -o ppid=)
      while [ $# -gt 1 ]; do
        case " $young " in *" $2 "*) next="$next $1" ;; esac
        shift 2
      done
    fi
    young=${next# } all="$all$next"
  done
  printf '%s' "$all"
}

# Ends the program $child and all that came from it.
end() {
  if [ -n "$apart" ]; then
    kill -KILL "-$child"
    # It may not be the leader of a group yet.
    kill -KILL "$child"
  else
    # shellcheck disable=SC2046
    kill -KILL $(family "$child")
  fi
}

# Waits for the program to end; a signal to us ends wait(1) before that. Sets status.
collect() {
  while :; do
    wait "$child"
    status=$?
    kill -0 "$child" || break
  done
}

# Sleeps for $1 seconds; fails, and leaves no sleep(1) behind, when it is told to end.
rest() {
  trap 'off=1; kill "$pause"' TERM
  sleep "$1" &
  pause=$!
  [ -z "$off" ] || kill "$pause"
  wait "$pause"
  [ -z "$off" ]
}

# Standard input and standard error are kept apart: what the shell itself has to say is for nobody.
exec 3<&0 4>&2 2>/dev/null

# Variables for the program, as many as $4 says: name and length are arguments, the value, which may be a secret, comes
# first on standard input.
fence=$1 input=$2 seconds=$3 count=$4
shift 4
while [ "$count" -gt 0 ]; do
  value=$(dd bs=1 count="$2" <&3 && printf .)
  export "$1=${value%.}"
  shift 2
  count=$((count - 1))
done
case $1 in
  */*) [ -e "$1" ] || set -- ;;
  *) if lookup "$1"; then shift && set -- "$found" "$@"; else set --; fi ;;
esac
apart='' off='' pause=''
if lookup setsid; then
  apart=$found
  # What a shell starts in the background does not hear INT and QUIT, and a shell cannot change that.
  env --default-signal true && apart="env --default-signal $found"
fi
may=begin
if [ $# -eq 0 ]; then
  may=none
elif [ -n "$fence" ] && [ ! -e "$fence" ]; then
  # The lock is lost that the program needs.
  may=lost
fi
ready() {
  [ $may = begin ] || mark $may
  mark begin
  [ $may = begin ] || mark end $may
}
ready
ready >&4
[ $may = begin ] || exit
trap end TERM

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

# Variables for the program, as many as $3 says: name and length are arguments, the value, which may be a secret, comes
# first on standard input.
input=$1 seconds=$2 count=$3
shift 3
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
ready() {
  [ "$1" -gt 0 ] || mark absent
  mark begin
  [ "$1" -gt 0 ] || mark end none
}
ready $#
ready $# >&4
[ $# -gt 0 ] || exit
apart='' off='' pause=''
lookup setsid && apart=$found
trap end TERM

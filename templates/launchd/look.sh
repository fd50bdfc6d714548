# shellcheck shell=sh
# Tells what launchd has of the jobs whose labels are the arguments: for each thing that was asked a line with its name,
# the exit code and a number of bytes, then so many bytes, the words of launchctl. The first argument says what else is
# asked for: `root` whether sudo lets this account act as root, `processes` those of the account in any case. The second
# names the domains to look in; with `all` it is those that there are, and it is told which those are, what is disabled,
# and what is to be disabled again (load.sh). The third is the number of seconds that all of it may take.

also=$1 domains=$2 seconds=$3
shift 3
LC_ALL=C TZ=UTC0
export LC_ALL TZ
uid=$(id -u)

# Runs a command and tells what it said under the name $1. The name goes first: it is the last word if nothing comes back.
tell() {
  printf '%s ' "$1"
  shift
  said=$("$@" 2>&1)
  code=$?
  printf '%s %s\n%s\n' "$code" "${#said}" "$said"
}

# Of a domain only whether it is there: there are hundreds of jobs in it.
probe() {
  { /bin/launchctl print "$1" >/dev/null; } 2>&1
}

look() {
  pids=
  case $also in *root*) tell root sudo -n true ;; esac
  if [ "$domains" = all ]; then
    domains=system
    for domain in "user/$uid" "gui/$uid"; do
      tell "$domain" probe "$domain"
      [ "$code" -ne 0 ] || domains="$domain $domains"
    done
    # What is switched off is so in both domains of an account.
    for domain in "${domains%% *}" system; do
      tell "disabled/$domain" /bin/launchctl print-disabled "$domain"
    done
    for label; do
      [ ! -e "${HOME-}/.local/state/unitbee/disabled/$label" ] || printf 'again/%s 0 0\n\n' "$label"
    done
  fi
  for label; do
    for domain in $domains; do
      tell "$domain/$label" /bin/launchctl print "$domain/$label"
      case $also$said in
        jobs*) ;;
        *'	pid = '*)
          also=processes pid=${said#*'	pid = '}
          pids=$pids,${pid%%[!0-9]*}
          ;;
      esac
    done
  done
  case $also in
    # What runs as somebody else is asked for by its number; without -ww a path ends where a terminal would.
    *processes*) tell processes ps -ww -x -U "$uid" -p "$$$pids" -o pid= -o ppid= -o pgid= -o rss= -o time= -o lstart= -o comm= ;;
  esac
  printf 'end 0 0\n\n'
}

# Ends the process $1 and all that comes of it. Not every shell gives a script without a terminal a group of processes, by
# which that could be done at one stroke; and what is stopped begins nothing more.
end() {
  kill -STOP "$1"
  all=$1 young=$1
  while [ -n "$young" ]; do
    next=''
    # shellcheck disable=SC2046
    set -- $(ps -A -o pid= -o ppid=)
    while [ $# -gt 1 ]; do
      case " $young " in *" $2 "*) next="$next $1" ;; esac
      shift 2
    done
    young=${next# } all="$all$next"
  done
  # shellcheck disable=SC2086
  kill -KILL $all
}

# Nothing promises that launchctl comes back.
look "$@" &
looking=$!
{
  off=''
  trap 'off=1; kill "$pause"' TERM
  sleep "$seconds" &
  pause=$!
  [ -z "$off" ] || kill "$pause"
  wait "$pause"
  [ -n "$off" ] || end "$looking"
} >/dev/null &
waiting=$!
wait "$looking"
kill "$waiting"

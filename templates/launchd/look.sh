# shellcheck shell=sh
# Tells what launchd has of the jobs whose labels are the arguments: for each thing that was asked a line with its name,
# the exit code and a number of bytes, then so many bytes, the words of launchctl. The first argument says what else is
# asked for: `root` whether sudo lets this account act as root, `processes` those of the account in any case. The second
# names the domains to look in; with `all` it is those that there are, and it is told which those are and what is disabled.

also=$1 domains=$2
shift 2
LC_ALL=C TZ=UTC0
export LC_ALL TZ
uid=$(id -u)

# Runs a command and tells what it said under the name $1.
tell() {
  name=$1
  shift
  said=$("$@" 2>&1)
  code=$?
  printf '%s %s %s\n%s\n' "$name" "$code" "${#said}" "$said"
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

# A group of processes of its own, so that all of it can be ended: nothing promises that launchctl comes back.
set -m
look "$@" &
looking=$!
{ sleep 20; kill -KILL "-$looking" "$looking"; } >/dev/null &
waiting=$!
wait "$looking"
kill -KILL "-$waiting" "$waiting"

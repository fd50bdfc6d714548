# shellcheck shell=sh disable=SC2034,SC2154
# --- who is who ---

# Sets start to when process $1 was started; fails where it has ended, also while its parent has not noticed.
start_of() {
  line=''
  if [ -r "/proc/$1/stat" ]; then
    # A process chooses its name, which may hold a newline: the numbers are behind the last parenthesis.
    { while read -r part || [ -n "$part" ]; do line=$part; done <"/proc/$1/stat"; } 2>/dev/null
    # shellcheck disable=SC2086
    set -- ${line##*) }
    case ${1-} in Z | X | '') return 1 ;; esac
    shift 19 && start=$1
  elif [ -d /proc/self ]; then
    return 1
  else
    # shellcheck disable=SC2046
    set -- $(ps -o stat= -o lstart= -p "$1" 2>/dev/null)
    case ${1-} in Z* | '') return 1 ;; esac
    shift
    start=$(IFS=_ && printf '%s' "$*")
  fi
}

# Tells whether process $1 that was started at $2 lives.
lives() {
  case $1 in '' | 0 | *[!0-9]*) return 1 ;; esac
  start_of "$1" && [ "$start" = "$2" ]
}

# Sets node and boot.
this_host() {
  node=$(uname -n)
  node=${node%%/*}
  boot=''
  if [ -r /proc/sys/kernel/random/boot_id ]; then
    read -r boot </proc/sys/kernel/random/boot_id
  else
    boot=$(sysctl -n kern.bootsessionuuid 2>/dev/null)
  fi
}

# Waits for $1 seconds; where sleep(1) knows no fractions, for the next whole number of them.
doze() {
  sleep "$1" 2>/dev/null || sleep $((${1%.*} + 1))
}

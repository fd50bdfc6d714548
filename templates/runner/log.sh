# shellcheck shell=sh disable=SC2034,SC2154
# --- logs ---
#
# Files are numbered; each is full before the next is begun, and none is ever renamed, so that who reads along cannot
# lose the place.

# Sets last to the number of the newest file, and removes those before number $1.
newest_log() {
  last=0
  for name in "$logs"/*.log; do
    number=${name##*/}
    number=${number%.log}
    case $number in '' | 0* | *[!0-9]*) continue ;; esac
    [ "$number" -ge "$1" ] || rm -f "$name"
    [ "$number" -le "$last" ] || last=$number
  done
}

# Writes standard input to log files until it ends. dd(1) takes from a pipe no more than it writes, so what one has not
# written is there for the next. Where nothing can be written text is lost, and that is said as soon as it can be; the
# service is never made to wait for a disk.
keep_log() {
  exec <&5 5<&-
  trap '' TERM HUP INT QUIT
  newest_log 0
  [ "$last" -gt 0 ] || last=1
  lost=0 why=''
  while :; do
    size=$(wc -c 2>/dev/null <"$logs/$last.log")
    size=$((${size:-0} + 0))
    if [ "$size" -ge "$log_size" ]; then
      newest_log $((last + 1 - log_keep))
      last=$((last + 1)) size=0
    fi
    if [ "$lost" -gt 0 ] &&
      printf 'unitbee: log text of at least %s bytes is lost: %s\n' "$lost" "$why" 2>/dev/null >>"$logs/$last.log"; then
      lost=0
    fi
    words=$({ dd bs=4096 count=$(((log_size - size + 4095) / 4096)) >>"$logs/$last.log"; } 2>&1)
    case $?,$words in
      0,"0+0 "*) return ;;
      0,*) ;;
      *)
        why=${words%%"$nl"*} why=${why##*: }
        words=$(dd bs=4096 count=64 2>&1 >/dev/null)
        case $words in "0+0 "*) return ;; esac
        blocks=${words%%+*}
        case $blocks in '' | *[!0-9]*) blocks=0 ;; esac
        lost=$((lost + blocks * 4096 + 1))
        ;;
    esac
  done
}

# Starts the process that keeps the log, unless it is there. It reads what this one holds open too, so that its death
# costs the service nothing.
tend_log() {
  [ -z "$logger" ] || ! start_of "$logger" || return 0
  {
    let_go
    keep_log
  } &
  logger=$!
}

# Adds a line of our own to the log, in a process of its own: the pipe may be full and the keeper of the log dead.
say() {
  tend_log
  {
    exec 3>&- 5<&-
    printf 'unitbee: %s\n' "$*" >&4
  } &
}

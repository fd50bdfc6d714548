# shellcheck shell=sh disable=SC2034,SC2154
# --- what others ask of it ---

# Starts the runner apart from whoever asks, and says how the start went. A runner that is there already will do, unless
# it is about to end: then that is waited for.
start() {
  user=$(id -un)
  patience=$((stop_timeout * 10 + 100))
  while [ "$patience" -gt 0 ]; do
    said=$(
      set -- env -i "HOME=${HOME:-/}" "USER=$user" "LOGNAME=$user" SHELL=/bin/sh \
        PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin /bin/sh "$0" supervise
      if command -v setsid >/dev/null; then
        setsid "$@" 2>/dev/null </dev/null &
      else
        set -m
        "$@" 2>/dev/null </dev/null &
      fi
    )
    case $said in
      ok) exit 0 ;;
      again) ;;
      held*)
        this_host
        holder=${said#held }
        if is_elsewhere "$holder"; then
          tell_where "$holder" >&2
          exit 1
        fi
        number=${holder%%.*}
        # A runner whose record was damaged, or could not be written when things changed, writes it anew.
        if ! recall || { [ "$was_state" = running ] && ! lives "$was_pid" "$was_start"; }; then
          kill -HUP "$number" 2>/dev/null
        fi
        case $was_state in running | starting | backoff) exit 0 ;; esac
        ;;
      *) break ;;
    esac
    patience=$((patience - 1))
    doze 0.1
  done
  said=${said#failed }
  echo "${said:-the runner ended without a word}" >&2
  exit 1
}

# Says whether the unit could be started by its definition $1.
ready() {
  [ -e "$1" ] || { echo absent && exit 1; }
  [ -s "$1" ] || { echo empty && exit 1; }
  sh -n "$1" || exit 1
  reading=1 program=''
  # shellcheck disable=SC1090
  . "$1" || exit 1
  reading=''
  if [ ! -f "$program" ] || [ ! -x "$program" ]; then
    echo program
    if [ -e "$program" ]; then
      echo "its program $program cannot be executed" >&2
    else
      echo "its program $program is not there" >&2
    fi
    exit 1
  fi
  # Nothing is ended that could not be started again.
  if [ -e "$registry/$unit.json" ] && ! reserve; then
    echo room
    echo "$words" >&2
    exit 1
  fi
  echo ready
}

# Stops the unit within $1 seconds: by its runner, or in place of one that has died. A runner that was started meanwhile is
# left alone: whoever asked for this may be gone, and somebody else at work.
stop() {
  stop_timeout=$1 met=''
  tries=$((stop_timeout * 10 + 150))
  until claim || [ -n "$words" ] || [ "$tries" -eq 0 ]; do
    if is_elsewhere "$holder"; then
      tell_where "$holder" >&2
      exit 1
    fi
    tries=$((tries - 1))
    met=${met:-$holder}
    case $holder in "$met" | '') ;; *) exit 0 ;; esac
    number=${holder%%.*} born=${holder#*.}
    [ -z "$holder" ] || is_dead "$holder" || ! lives "$number" "${born%%.*}" || kill -TERM "$number" 2>/dev/null
    doze 0.1
  done
  if [ ! -e "$ours" ]; then
    echo "${words:-its runner, process ${holder%%.*} of ${holder#*.*.*.}, does not end}" >&2
    exit 1
  fi
  if recall; then
    if ! end_orphan; then
      unclaim
      echo "processes do not end:$found" >&2
      exit 1
    fi
    case $was_state in
      stopped | failed) ;;
      *)
        write_record "$(
          sed 's/^  "state": .*/  "state": "stopped",/; s/^  "pid": .*/  "pid": 0,/' "$registry/$unit.json"
        )"
        ;;
    esac
  fi
  unclaim
}

# Forgets a record of processes that are dead, or puts aside one that cannot be believed; prints what it was.
clean() {
  if ! claim; then
    # Who supervises the unit keeps its record.
    [ -z "$words" ] || { echo "$words" >&2 && exit 1; }
    exit 0
  fi
  look
  case $found,$damaged,$was_node,$was_state in
    ' ',,"$node",stopped | ' ',,"$node",failed) ;;
    ' ',,"$node",?*) rm -f "$registry/$unit.json" && echo "the record of process $was_pid, which is dead" ;;
    # What another host wrote is for that host to forget.
    ' ',1,"$node",* | ' ',1,,*) set_aside && echo "a damaged record, now $registry/$unit.json.damaged" ;;
  esac
  unclaim
}

# Finds the processes of the unit, where they can be those of this host.
look() {
  for name in "$claims/$unit"/*; do
    if is_elsewhere "${name##*/}"; then
      tell_where "${name##*/}" >&2
      exit 1
    fi
  done
  found=' ' main='' main_start=''
  recall && [ "$was_boot" = "$boot" ] || return 0
  main=$was_pid main_start=$was_start invocation=$was_invocation cgroup=$was_cgroup known=' '
  [ "$main" != 0 ] || main=''
  members
}

# Prints the processes of the unit.
list() {
  look
  # shellcheck disable=SC2086
  printf '%s\n' $found
}

# Sends signal $2 to the main process or to all ($1).
send() {
  look
  if [ "$1" = all ]; then
    for number in $found; do kill -"$2" "$number" 2>/dev/null; done
  elif lives "$main" "$main_start"; then
    kill -"$2" "$main" 2>/dev/null
  fi
  exit 0
}

# Has runners take over what has changed of the definitions in folder $1; waits until they have.
refresh() {
  for name in "$registry"/*.json; do
    unit=${name##*/}
    unit=${unit%.json}
    [ -f "$1/$unit.sh" ] || continue
    read_header "$1/$unit.sh"
    tries=100
    while recall && [ "$was_boot" = "$boot" ] && [ "$was_definition" != "$definition" ] && [ "$tries" -gt 0 ] &&
      lives "$was_runner" "$was_runner_start"; do
      [ $((tries % 20)) -ne 0 ] || kill -HUP "$was_runner" 2>/dev/null
      tries=$((tries - 1))
      doze 0.05
    done
  done
}

if [ -n "${registry-}" ]; then
  verb=$1
  shift
else
  verb=$1 registry=$2 claims=$3 unit=$4
  shift 4
  this_host
fi
"$verb" "$@" </dev/null

# shellcheck shell=sh disable=SC2034,SC2154
# --- one run of the service ---

# Sets invocation to what nobody can guess: 32 hexadecimal digits.
invent() {
  if [ -r /proc/sys/kernel/random/uuid ]; then
    read -r invocation </proc/sys/kernel/random/uuid
  else
    invocation=$(uuidgen | tr A-F a-f)
  fi
  IFS=-
  # shellcheck disable=SC2086
  set -- $invocation
  unset IFS
  invocation=$1$2$3$4$5
}

# Closes, in a process of ours, what it has no use for. (A redirection of a function or a group would only put it away.)
let_go() {
  exec 3>&- 4>&-
}

# Becomes the service. The definition's function `service` appends the public environment, the program and its arguments
# to what it is given and becomes that. The secrets are in nobody's arguments and in no other process. The exit codes are
# those of systemd.exec(5).
become() {
  umask 022
  exec </dev/null >&4 2>&1 3>&- 4>&- 5<&-
  cd "${working_dir:-${HOME:-/}}" || exit 200
  # shellcheck disable=SC3045
  [ -z "$nofile" ] || ulimit -n "$nofile" || exit 205
  [ -z "$cgroup" ] || echo 0 >"$cgroup/cgroup.procs" || exit 219
  if [ ! -f "$program" ] || [ ! -x "$program" ]; then
    echo "unitbee: $program is no program"
    exit 203
  fi
  set -- "$env_program"
  [ -z "$apart" ] || set -- "$apart" "$@"
  # A shell has what it starts in the background ignore these.
  [ -z "$resets" ] || set -- "$@" --default-signal=INT,QUIT
  set -- "$@" -u PWD -u OLDPWD -u SHLVL -u _ "INVOCATION_ID=$invocation"
  if [ -n "$secrets" ]; then
    set -a
    # shellcheck disable=SC1090
    . "$secrets" || exit 222
    set +a
  fi
  service "$@"
}

# Starts the service.
launch() {
  invent
  main='' main_start='' known=' ' ended='' oom=false
  enter_cgroup
  since=$(date +%s)
  [ -n "$apart" ] || set -m
  become &
  main=$!
  [ -n "$apart" ] || set +m
  start_of "$main" && main_start=$start
  executable=$(ls -diL "$program" 2>/dev/null)
  executable=${executable%%/*}
  executable=$((executable + 0))
}

# Waits until the fork has become the service, at most a second; fails where it ended before that.
came_up() {
  tries=100
  while [ "$tries" -gt 0 ] && start_of "$main"; do
    { read -r comm <"/proc/$main/comm"; } 2>/dev/null || return 0
    case $comm in sh | dash | bash | ash | busybox | env | setsid | "$own_name") ;; *) return 0 ;; esac
    tries=$((tries - 1))
    doze 0.01
  done
  start_of "$main"
}

# Waits for the end of the child $1, and does meanwhile what it is signalled to do. Sets status as the shell has it.
wait_for() {
  while :; do
    attend
    wait "$1"
    status=$?
    waiting=''
    # A signal to us ends wait(1) too: then the number is still taken, if only by what is left of the process.
    kill -0 "$1" 2>/dev/null || break
  done
  if [ "$status" -gt 128 ]; then
    # The shell may have told the signal and kept the status.
    wait "$1"
    again=$?
    [ "$again" -eq 127 ] || status=$again
  fi
}

# Does what signals ask for. They only leave a note while something else is done, because a shell that runs a trap in the
# middle of an expansion is not to be trusted with it; while the shell waits they are heard at once.
attend() {
  waiting='' heard=''
  if [ -n "$changed" ]; then
    changed=''
    take_over
  fi
  [ -z "$stopping" ] || end_service
  if [ -n "$late" ]; then
    late=''
    signal_all KILL
  fi
  tend_log
  waiting=1
  [ -z "$heard" ] || attend
}

# Hears a signal.
hear() {
  heard=1
  [ -z "$waiting" ] || attend
}

# TERM to the service, and ALRM to us when its time is over.
end_service() {
  [ -z "$nap" ] || kill "$nap"
  [ -n "$main" ] && [ -z "$timer" ] && lives "$main" "$main_start" || return 0
  note stopping
  members
  {
    let_go
    exec 5<&-
    trap 'kill "$sleeper"; exit' TERM
    sleep "$stop_timeout" &
    sleeper=$!
    wait "$sleeper" && kill -ALRM $$
  } &
  timer=$!
  kill -TERM "$main"
}

# Pauses for $1 ms before the next start; ends at once when the unit is to stop.
pause() {
  span=$((($1 + 999) / 1000))
  [ -z "$fractions" ] || span=$(($1 / 1000)).$(($1 / 100 % 10))$(($1 / 10 % 10))$(($1 % 10))
  {
    let_go
    exec sleep "$span" 5<&-
  } &
  nap=$!
  wait_for "$nap"
  nap=''
}

# Tells whether a run that ended so was no failure: 0, and what HUP, INT, PIPE and TERM make of a program.
is_clean() {
  case $1 in 0 | 129 | 130 | 141 | 143) return 0 ;; *) return 1 ;; esac
}

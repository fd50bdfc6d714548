# shellcheck shell=sh disable=SC2034,SC2154
# --- the runner itself ---

# Sets what the definition $1 cannot say of itself: release and digest are in its header.
read_header() {
  { read -r _ && read -r mark; } <"$1"
  release=${mark#*release=} release=${release%% *}
  definition=${mark#*sha256=} definition=${definition%% *}
  case $release in '' | *[!0-9]*) release=0 ;; esac
  case $definition in *[!0-9a-f]*) definition='' ;; esac
}

# Takes over a definition that has changed.
take_over() {
  reading=1
  # shellcheck disable=SC1090
  . "$0"
  reading=''
  read_header "$0"
  set_limits
  note "$state"
}

# Tells who started us how it went, and lets go of them.
answer() {
  [ -n "$asked" ] || return 0
  printf '%s\n' "$*" >&3
  exec 3>&-
  asked=''
}

# Gives up before the service was started.
refuse() {
  answer "failed $*"
  unclaim
  exit 1
}

# Ends what is left of a service whose runner died: nobody can wait for it any more.
end_orphan() {
  main=$was_pid main_start=$was_start invocation=$was_invocation cgroup=$was_cgroup known=' '
  [ "$main" != 0 ] || main=''
  [ "$was_boot" = "$boot" ] || return 0
  members
  [ "$found" != ' ' ] || return 0
  ! lives "$main" "$main_start" || kill -TERM "$main" 2>/dev/null
  tries=$((stop_timeout * 10))
  while [ "$tries" -gt 0 ] && lives "$main" "$main_start"; do
    tries=$((tries - 1))
    doze 0.1
  done
  sweep && leave_cgroup
}

# Makes everything ready for the first start, or ends with the reason why that cannot be.
set_up() {
  exec 3>&1 >/dev/null 2>&1 </dev/null 4>&- 5>&- 6>&- 7>&- 8>&- 9>&-
  trap '' PIPE
  umask 077
  asked=1
  this_host
  if ! claim; then
    if [ -n "$words" ]; then
      answer "failed cannot write below $claims: ${words##*: }"
    elif [ -z "$holder" ]; then
      # It changes hands just now.
      answer again
    else
      answer "held $holder"
    fi
    exit 1
  fi
  runner_start=$start uid=$(id -u)
  stopping='' changed='' late='' heard='' waiting='' timer='' nap='' logger='' unlimited='' since=0 restarts=0 ended='' last_exit='' oom=false gave_up=false state=starting executable=0
  read_header "$0"
  words=$(mkdir -p "$registry" "$logs" 2>&1) || refuse "cannot make folder: ${words#*: }"
  if ! recall && [ -n "$damaged" ] && ! set_aside; then
    refuse "the record $registry/$unit.json can neither be read nor be put aside: ${words##*: }"
  fi
  generation=$was_generation
  end_orphan || refuse "processes of the last run do not end:$found"
  main='' main_start='' invocation='' cgroup=''
  note starting || refuse "cannot write $registry/$unit.json: ${words##*: }"

  fifo=$registry/.$unit.pipe.$$
  words=$(mkfifo "$fifo" 2>&1) || refuse "cannot make $fifo: ${words##*: }"
  # Opened for both first, so that opening it for either does not wait for the other.
  # shellcheck disable=SC2094
  exec 6<>"$fifo" 4>"$fifo" 5<"$fifo" 6>&-
  rm -f "$fifo"

  env_program=$(command -v env)
  apart=$(command -v setsid) || apart=''
  resets=''
  ! "$env_program" --default-signal=INT true 2>/dev/null || resets=1
  fractions=''
  ! sleep 0.01 2>/dev/null || fractions=1
  own_name=''
  { read -r own_name <"/proc/$$/comm"; } 2>/dev/null

  trap 'stopping=1; hear' TERM
  trap 'changed=1; hear' HUP
  trap 'late=1; hear' ALRM
  trap hear CHLD
  tend_log
}

# Starts the service, and again when it ends by itself, for as long as the settings say.
supervise() {
  set_up
  streak=0 pause_ms=$delay_ms
  while :; do
    launch
    if came_up; then
      note running
      say "$unit runs as process $main"
      answer ok
      wait_for "$main"
      ended=$status
    else
      wait_for "$main"
      ended=$status
      case $ended in
        # It did not get as far as the program.
        126 | 127 | 200 | 203 | 205 | 219 | 222) answer "failed exited with code $ended" ;;
        *) answer ok ;;
      esac
    fi
    last_exit=$ended
    count_oom_kills
    sweep || say "processes of $unit do not end:$found"
    leave_cgroup
    [ -z "$timer" ] || kill "$timer"
    main='' timer='' late=''
    [ -z "$stopping" ] || leave stopped "was stopped"
    what="ended with $ended"
    if [ "$ended" -eq 137 ] && [ "$kills" -gt "$oom_before" ]; then
      oom=true what="was out of memory"
    fi
    if is_clean "$ended"; then
      [ "$restart" = always ] || leave stopped "$what"
    fi
    [ "$restart" != no ] || leave failed "$what"

    if [ $(($(date +%s) - since)) -ge "$settled" ]; then
      streak=0 pause_ms=$delay_ms
    fi
    streak=$((streak + 1))
    if [ "$give_up_after" -gt 0 ] && [ "$streak" -gt "$give_up_after" ]; then
      gave_up=true
      leave failed "$what and is given up, after $restarts restarts"
    fi
    note backoff
    say "$unit $what and is started again after $pause_ms ms"
    pause "$pause_ms"
    [ -z "$stopping" ] || leave stopped "was stopped"
    pause_ms=$((pause_ms * 2))
    [ "$pause_ms" -le "$max_delay_ms" ] || pause_ms=$max_delay_ms
    [ "$pause_ms" -ge "$delay_ms" ] || pause_ms=$delay_ms
    restarts=$((restarts + 1))
  done
}

# The end of the runner, in state $1, which it says. The log is written to its end, unless somebody who got away still
# holds the pipe.
leave() {
  trap : TERM HUP ALRM
  trap - CHLD
  say "$unit $2"
  exec 4>&- 5<&-
  tries=50
  while [ "$tries" -gt 0 ] && start_of "$logger"; do
    tries=$((tries - 1))
    doze 0.02
  done
  # On a full disk the old record has the place that the new one needs.
  note "$1" || { rm -f "$registry/$unit.json" && note "$1"; }
  unclaim
  exit 0
}

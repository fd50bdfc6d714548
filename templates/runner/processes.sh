# shellcheck shell=sh disable=SC2034,SC2154
# --- the processes of a run ---

# Sets all to a line for each process that lives: number, parent, group, session, start.
table() {
  all=''
  if [ -d /proc/self ]; then
    for stat in /proc/[0-9]*/stat; do
      line=''
      { while read -r part || [ -n "$part" ]; do line=$part; done <"$stat"; } 2>/dev/null
      number=${stat#/proc/}
      # shellcheck disable=SC2086
      set -- ${line##*) }
      case ${1-} in Z | X | '') continue ;; esac
      all="$all${number%/stat} $2 $3 $4 ${20-}$nl"
    done
  else
    # macOS tells no session, and a start in several words.
    all=$(ps -A -o pid= -o ppid= -o pgid= -o lstart= |
      sed 's/^ *//; s/ *$//; s/  */_/g; s/_/ /; s/_/ /; s/_/ 0 /')
  fi
}

# Prints the processes whose environment names the run.
marked() {
  [ -n "$invocation" ] || return 0
  if [ -d /proc/self ]; then
    grep -lszF "INVOCATION_ID=$invocation" /proc/[0-9]*/environ | sed 's/[^0-9]//g'
  else
    ps -A -E -o pid= -o command= 2>/dev/null | sed -n "s/^ *\([0-9]*\) .*INVOCATION_ID=$invocation.*/\1/p"
  fi
}

# Sets found to the processes of the run of main, a blank around each: those in its cgroup; where there is none, those of
# its session and group, those that carry its mark, and what comes of all of these. What was found once (known) stays.
members() {
  found=' '
  if [ -n "$cgroup" ] && [ -e "$cgroup/cgroup.procs" ]; then
    # shellcheck disable=SC2044
    for number in $(find "$cgroup" -name cgroup.procs -exec cat {} + 2>/dev/null); do
      start_of "$number" && found="$found$number "
    done
    return 0
  fi
  # A number that has become another process's is nobody's session: while one of ours is in it, it is not given out.
  leader=${main:-none}
  [ -z "$main" ] || ! start_of "$main" || [ "$start" = "$main_start" ] || leader=none
  seeds=" $(marked | tr '\n' ' ')"
  table
  grown=1
  while [ -n "$grown" ]; do
    grown=''
    IFS=$nl
    for row in $all; do
      IFS=' '
      # shellcheck disable=SC2086
      set -- $row
      case " $1 $3 $4 " in
        *" $leader "*) ;;
        *)
          case $seeds$found in
            *" $1 "* | *" $2 "*) ;;
            *) case $known in *" $1.$5 "*) ;; *) continue ;; esac ;;
          esac
          ;;
      esac
      case $found in *" $1 "*) continue ;; esac
      [ "$1" != $$ ] || continue
      found="$found$1 " known="$known$1.$5 " grown=1
    done
  done
  unset IFS
}

# Sends signal $1 to all processes of the run.
signal_all() {
  members
  for number in $found; do kill -"$1" "$number" 2>/dev/null; done
}

# Kills what is left of the run, until nothing is. A process that is stuck in the kernel is waited for 10 s.
sweep() {
  tries=100
  members
  while [ "$found" != ' ' ] && [ "$tries" -gt 0 ]; do
    kill_cgroup
    for number in $found; do kill -KILL "$number" 2>/dev/null; done
    tries=$((tries - 1))
    doze 0.1
    members
  done
  [ "$found" = ' ' ]
}

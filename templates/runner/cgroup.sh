# shellcheck shell=sh disable=SC2034,SC2154
# --- cgroup ---
#
# Where a part of the cgroup v2 tree may be written (cgroups(7); the kernel's cgroup-v2.rst), each run has a cgroup of its
# own there: no process can leave it, and limits hold as far as the kernel has the controllers. Everywhere else the runner
# does without.

# Makes the cgroup of a run with its limits, and sets cgroup; or leaves it empty and sets unlimited to why.
enter_cgroup() {
  cgroup=''
  tree=/sys/fs/cgroup
  [ ! -e $tree/unified/cgroup.procs ] || tree=$tree/unified
  unlimited='the host has no cgroup v2 tree'
  if [ -e "$tree/cgroup.procs" ]; then
    unlimited='no part of the cgroup tree may be written'
    rest=$(sed -n 's/^0:://p' /proc/self/cgroup 2>/dev/null)/
    rest=${rest#/}
    # Of the folders on the way to our own cgroup the topmost that is ours: below it are folders with processes, which
    # hand no controllers down.
    until try_cgroup "$tree"; do
      case $rest in '' | /*) break ;; esac
      tree=$tree/${rest%%/*} rest=${rest#*/}
    done
  fi
  [ -z "$cgroup" ] || unlimited=''
  point_to_cgroup
  count_oom_kills
  oom_before=$kills
  set_limits
}

# Makes the link beside the record by which others look into the cgroup together with the record, or takes it away.
point_to_cgroup() {
  rm -f "$registry/$unit.cgroup"
  [ -z "$cgroup" ] || ln -s "$cgroup" "$registry/$unit.cgroup"
} 2>/dev/null

# Sets kills to how many processes of the cgroup the kernel has killed for want of memory.
count_oom_kills() {
  kills=0
  [ -n "$cgroup" ] && [ -r "$cgroup/memory.events" ] || return 0
  while read -r key count; do
    [ "$key" != oom_kill ] || kills=$count
  done <"$cgroup/memory.events"
}

# Takes the cgroup of the settings below $1, if processes of ours can be moved into it.
try_cgroup() {
  [ -w "$1/cgroup.procs" ] || return 1
  cgroup=$1/$cgroup_name
  # Before a run it has no processes of ours: another home of the same user may have a unit of the same name.
  if [ -n "$(find "$cgroup" -name cgroup.procs -exec cat {} +)" ]; then
    unlimited="processes of somebody else are in $cgroup" cgroup=''
    return 1
  fi
  if mkdir -p "$cgroup" && (echo 0 >"$cgroup/cgroup.procs"); then
    hand_down "$1" "$cgroup_name"
  else
    leave_cgroup
  fi
  [ -n "$cgroup" ]
} 2>/dev/null

# Hands the controllers down from $1 to all folders on the way $2, as far as they can be had.
hand_down() {
  level=$1 way=$2
  while :; do
    for controller in cpu memory pids; do
      echo "+$controller" >"$level/cgroup.subtree_control"
    done
    case $way in */*) level=$level/${way%%/*} way=${way#*/} ;; *) return 0 ;; esac
  done
}

# Sets the limits of the cgroup to those of the settings. What is refused is seen in the files by who asks for the status.
set_limits() {
  [ -n "$cgroup" ] || return 0
  limit cpu.max "${cpu_percent:+$((${cpu_percent:-0} * 1000)) 100000}" 'max 100000'
  limit memory.max "$memory" max
  limit memory.swap.max "${memory:+0}" max
  limit memory.oom.group "${memory:+1}" 0
  limit pids.max "$tasks" max
}

# Writes $2 to the control file $1, or $3 where nothing is wished.
limit() {
  [ ! -e "$cgroup/$1" ] || echo "${2:-$3}" >"$cgroup/$1"
} 2>/dev/null

# Ends all of the cgroup at one stroke, where the kernel can.
kill_cgroup() {
  { [ -z "$cgroup" ] || [ ! -e "$cgroup/cgroup.kill" ] || echo 1 >"$cgroup/cgroup.kill"; } 2>/dev/null
}

# Removes the cgroup of a run that has ended, with what the service made in it, and what is empty above it.
leave_cgroup() {
  [ -n "$cgroup" ] || return 0
  find "$cgroup" -depth -type d -exec rmdir {} \; 2>/dev/null
  above=${cgroup%/*}
  rmdir "$above" "${above%/*}" 2>/dev/null
  cgroup=''
  point_to_cgroup
}

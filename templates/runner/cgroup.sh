# shellcheck shell=sh disable=SC2034,SC2154
# --- cgroup ---
#
# Where a part of the cgroup v2 tree may be written (cgroups(7); the kernel's cgroup-v2.rst), each run has a cgroup of its
# own there: no process can leave it, and limits hold as far as the kernel has the controllers. Everywhere else the runner
# does without.

# Makes the cgroup of a run with its limits, and sets cgroup; or leaves it empty. Sets unlimited to why limits do not hold.
enter_cgroup() {
  cgroup=''
  tree=/sys/fs/cgroup
  [ ! -e $tree/unified/cgroup.procs ] || tree=$tree/unified
  without='the host has no cgroup v2 tree'
  if [ -e "$tree/cgroup.procs" ]; then
    without='no part of the cgroup tree may be written'
    own=$(sed -n 's/^0:://p' /proc/self/cgroup 2>/dev/null)
    for top in "$tree" "$tree${own%/}"; do
      try_cgroup "$top" && break
    done
  fi
  set_limits
}

# Takes the cgroup of the settings below $1, if processes of ours can be moved into it.
try_cgroup() {
  [ -w "$1/cgroup.procs" ] || return 1
  cgroup=$1/$cgroup_name
  if mkdir -p "$cgroup" && (echo 0 >"$cgroup/cgroup.procs"); then
    hand_down "$1" "$cgroup_name"
  else
    leave_cgroup
  fi
  [ -n "$cgroup" ]
} 2>/dev/null

# Hands the controllers down from $1 to all folders on the way $2. One that is refused is missed when its limit is set.
hand_down() {
  level=$1 way=$2
  while :; do
    for controller in cpu memory pids; do
      echo "+$controller" >"$level/cgroup.subtree_control"
    done
    case $way in */*) level=$level/${way%%/*} way=${way#*/} ;; *) return 0 ;; esac
  done
}

# Sets the limits of the cgroup to those of the settings.
set_limits() {
  unlimited=''
  if [ -z "$cgroup" ]; then
    [ -z "$cpu_percent$memory$tasks" ] || unlimited=$without
    return 0
  fi
  limit cpu.max "${cpu_percent:+$((${cpu_percent:-0} * 1000)) 100000}" 'max 100000'
  limit memory.max "$memory" max
  limit memory.swap.max "${memory:+0}" max
  limit memory.oom.group "${memory:+1}" 0
  limit pids.max "$tasks" max
}

# Writes $2 to the control file $1, or $3 where nothing is wished.
limit() {
  { [ -e "$cgroup/$1" ] && echo "${2:-$3}" >"$cgroup/$1"; } 2>/dev/null && return
  case $2,$1 in
    ,*) ;;
    # A kernel without swap accounting has nothing to cap.
    *,memory.swap.max) [ -e "$cgroup/memory.max" ] || unlimited='no memory controller in its cgroup' ;;
    *) unlimited="no ${1%%.*} controller in its cgroup" ;;
  esac
}

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
}

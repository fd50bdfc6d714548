# shellcheck shell=bash
# A host of the lab, whatever its kind: its record, its life, its end.
#
# The record is the directory $LAB_DIR/NAME. Kinds differ in how the machine is made and run; `machine` names the family
# (container, vm) whose create, start, exec, kill and destroy functions do that.

host_get() { cat "$LAB_DIR/$1/$2"; }
host_set() { printf '%s\n' "$3" >"$LAB_DIR/$1/$2"; }
host_names() { find "$LAB_DIR" -mindepth 1 -maxdepth 1 -type d -printf '%f\n' 2>/dev/null | sort; }
host_log() { printf '%s\n' "$LAB_DIR/$1/console.log"; }
machine() {
  local verb=$1 name=$2
  shift 2
  "$(host_get "$name" machine)_$verb" "$name" "$@"
}
machine_name() { printf 'ub-%s-%s\n' "$(lab_hash)" "$1"; }

require_host() {
  [[ -f $LAB_DIR/$1/machine ]] || die "no host '$1' in lab $LAB_ID; 'lab list' shows those there are"
}

require_running() {
  require_host "$1"
  host_is_running "$1" || die "host '$1' is not running"
}

# One lock for the whole machine: labs choose free subnets and the last host of a lab takes the bridge away with it.
locked() {
  local lock
  mkdir -p "$RUN"
  exec {lock}<"$RUN"
  flock "$lock"
  "$@"
  exec {lock}<&-
}

claim_host() {
  local name=$1
  mkdir -p "$LAB_DIR"
  mkdir "$LAB_DIR/$name" 2>/dev/null || die "host '$name' exists already in lab $LAB_ID"
  clean_up_on_failure "$name"
  host_set "$name" number "$(free_number)"
  bridge_up
  printf 'Include %s/*/ssh_config\n' "$LAB_DIR" >"$LAB_DIR/lab_ssh_config"
}

# Until the traps are taken back, whatever ends this process also ends the host that it was making.
clean_up_on_failure() {
  # shellcheck disable=SC2064 # the name is wanted as it is now
  trap "give_up '$1'" EXIT
  trap 'exit 129' HUP
  trap 'exit 130' INT
  trap 'exit 143' TERM
}

give_up() {
  local name=$1 log=$CACHE/log/$LAB_ID-$1.log
  trap '' HUP INT TERM
  cat "$LAB_DIR/$name"/{console,ssh}.log >"$log" 2>/dev/null || true
  say "host '$name' is removed again, its log is $log"
  end_host "$name"
}

end_host() {
  destroy_host "$1"
  locked close_lab_if_empty
}

free_number() {
  local number
  for ((number = 2; number < 255; number++)); do
    grep -qsxF "$number" "$LAB_DIR"/*/number || break
  done
  printf '%s\n' "$number"
}

make_keys() {
  local dir=$LAB_DIR/$1
  ssh-keygen -q -t ed25519 -N '' -C "unitbee-lab" -f "$dir/key"
  ssh-keygen -q -t ed25519 -N '' -C "$1" -f "$dir/host_key"
  printf '%s %s\n' "$(address_of "$1")" "$(cat "$dir/host_key.pub")" >"$dir/known_hosts"
  cat >"$dir/ssh_config" <<END
Host $1
  HostName $(address_of "$1")
  User bee
  IdentityFile $dir/key
  IdentitiesOnly yes
  UserKnownHostsFile $dir/known_hosts
  StrictHostKeyChecking yes
END
}

# Writes into a root file system what makes it this host and no other.
seed_host() {
  local name=$1 root=$2 dir=$LAB_DIR/$1
  printf '%s\n' "$name" >"$root/etc/hostname"
  printf '127.0.0.1 localhost\n127.0.1.1 %s\n' "$name" >"$root/etc/hosts"
  install -m 0600 -o 1000 -g 1000 "$dir/key.pub" "$root/home/bee/.ssh/authorized_keys"
  install -m 0600 "$dir/host_key" "$root/etc/ssh/ssh_host_ed25519_key"
}

# The process group of a host in every cgroup hierarchy; v2 tells whether anything of the host still runs.
cgroup_roots() { findmnt --noheadings --types cgroup,cgroup2 --output TARGET; }
cgroup_v2() { findmnt --noheadings --types cgroup2 --output TARGET | head -n 1; }
cgroup_of() { printf '%s/unitbee-lab-%s/%s\n' "$(cgroup_v2)" "$LAB_ID" "$1"; }

host_is_running() { grep -qsx 'populated 1' "$(cgroup_of "$1")/cgroup.events"; }

# Runs a machine apart from the caller: its own session, none of the caller's files (a reader of our output would
# otherwise wait for the host to end), its own cgroup.
launch() {
  local name=$1 log cgroup
  shift
  log=$(host_log "$name")
  cgroup=$(cgroup_of "$name")
  mkdir -p "$cgroup"
  (
    printf '%s\n' "$BASHPID" >"$cgroup/cgroup.procs"
    cd /
    close_inherited_files
    exec setsid "$@" </dev/null >>"$log" 2>&1
  ) &
  host_set "$name" pid $!
}

close_inherited_files() {
  local fd
  for fd in /proc/"$BASHPID"/fd/*; do
    fd=${fd##*/}
    ((fd <= 2)) || exec {fd}>&-
  done
}

host_state() {
  if ! host_is_running "$1"; then
    echo dead
  elif link_is_cut "$1"; then
    echo cut
  else
    echo up
  fi
}

await_login() {
  local name=$1 deadline=$((SECONDS + $2))
  until ssh -F "$LAB_DIR/$name/ssh_config" -o BatchMode=yes -o ConnectTimeout=2 "$name" true </dev/null 2>>"$LAB_DIR/$name/ssh.log"; do
    host_is_running "$name" || die "host '$name' ended while it started"
    ((SECONDS < deadline)) || die "host '$name' let nobody log in within $2 s"
    sleep 0.1
  done
}

await_end() {
  local name=$1 deadline=$((SECONDS + $2))
  while host_is_running "$name"; do
    ((SECONDS < deadline)) || return 1
    sleep 0.05
  done
}

stop_host() {
  local name=$1
  host_is_running "$name" || return 0
  machine kill "$name" || true
  await_end "$name" 10 || printf '1\n' >"$(cgroup_of "$name")/cgroup.kill"
  await_end "$name" 10 || die "host '$name' cannot be killed: pids $(cat "$(cgroup_of "$name")"/cgroup.procs)"
}

# Takes away whatever there is of a host, however far it came.
destroy_host() {
  local name=$1
  stop_host "$name"
  [[ ! -f $LAB_DIR/$name/number ]] || delete_link "$(link_of "$name")"
  [[ ! -f $LAB_DIR/$name/machine ]] || machine destroy "$name"
  remove_cgroups "unitbee-lab-$LAB_ID/$name"
  rm -rf --one-file-system "${LAB_DIR:?}/$name"
}

remove_cgroups() {
  local root
  for root in $(cgroup_roots); do
    [[ ! -d $root/$1 ]] || find "$root/$1" -depth -type d -exec rmdir {} +
  done
}

close_lab_if_empty() {
  [[ -z $(host_names) ]] || return 0
  delete_link "$(bridge)"
  remove_cgroups "unitbee-lab-$LAB_ID"
  rm -rf --one-file-system "$LAB_DIR"
}

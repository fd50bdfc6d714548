# shellcheck shell=bash
# A host of the lab, whatever its kind. Its record is the directory $LAB_DIR/NAME; `machine` there names the family of
# functions (container_…, vm_…) that create, start, halt, kill and destroy it and execute commands in it.

host_get() { cat "$LAB_DIR/$1/$2"; }
host_set() { printf '%s\n' "$3" >"$LAB_DIR/$1/$2"; }
host_names() { find "$LAB_DIR" -mindepth 1 -maxdepth 1 -type d -printf '%f\n' 2>/dev/null | sort; }

machine() {
  local verb=$1 name=$2
  shift
  "$(host_get "$name" machine)_$verb" "$@"
}

# Labs choose subnets that no other has, and the last host of a lab takes the bridge away with it.
locked() {
  mkdir -p "$RUN"
  (
    flock 9
    "$@"
  ) 9<"$RUN"
}

# Held until this process ends: a host whose lock is taken is being made, changed or removed.
lock_host() {
  exec {HOST_LOCK}<"$LAB_DIR/$1"
  flock "${@:2}" "$HOST_LOCK"
}

require_host() {
  [[ -d $LAB_DIR/$1 ]] || die "no host '$1' in lab $LAB_ID; 'lab list' shows those there are"
}

require_running() {
  require_host "$1"
  is_running "$1" || die "host '$1' is not running, see $LAB_DIR/$1/console.log"
}

# A name is taken by a rename, with its number and its maker, so that it is never found half taken.
claim_name() {
  local claim=$1.$$ number
  mkdir -p "$LAB_DIR/$claim"
  number=$(free_number)
  host_set "$claim" number "$number"
  host_set "$claim" maker $$
  mv -T "$LAB_DIR/$claim" "$LAB_DIR/$1" 2>/dev/null || die "host '$1' exists already in lab $LAB_ID"
}

free_number() {
  local number
  for ((number = 2; number < 255; number++)); do
    if ! grep -qsxF "$number" "$LAB_DIR"/*/number; then
      printf '%s\n' "$number"
      return
    fi
  done
  die "lab $LAB_ID has no address left for another host"
}

# Until the traps are taken back, whatever ends this process also ends the host that it is making.
remove_on_failure() {
  # shellcheck disable=SC2064 # the name as it is now
  trap "give_up '$1'" EXIT
  trap 'exit 129' HUP
  trap 'exit 130' INT
  trap 'exit 143' TERM
}

give_up() {
  local name=$1
  trap '' HUP INT TERM
  rm -rf "${LAB_DIR:?}/$name.$$"
  if grep -qsx $$ "$LAB_DIR/$name/maker"; then
    say "host '$name' is removed again, its log is $(kept_log "$name")"
    remove_host "$name"
  else
    locked close_lab_if_empty
  fi
}

# What the host said, where it outlives the host.
kept_log() {
  local log=$CACHE/log/$LAB_ID-$1.log
  cat "$LAB_DIR/$1"/{console,ssh}.log >"$log" 2>/dev/null || true
  printf '%s\n' "$log"
}

make_keys() {
  local name=$1 dir=$LAB_DIR/$1 address
  address=$(address_of "$name")
  ssh-keygen -q -t ed25519 -N '' -C unitbee-lab -f "$dir/key"
  ssh-keygen -q -t ed25519 -N '' -C "$name" -f "$dir/host_key"
  printf '%s %s\n' "$address" "$(cat "$dir/host_key.pub")" >"$dir/known_hosts"
  # An emulated sshd takes seconds to greet, and any takes some while the machine under it is busy.
  cat >"$dir/ssh_config" <<END
Host $name
  HostName $address
  User bee
  IdentityFile $dir/key
  IdentitiesOnly yes
  UserKnownHostsFile $dir/known_hosts
  StrictHostKeyChecking yes
  ConnectTimeout 60
END
}

# What makes a root file system this host and no other.
seed() {
  local name=$1 root=$2
  printf '%s\n' "$name" >"$root/etc/hostname"
  printf '127.0.0.1 localhost\n127.0.1.1 %s\n' "$name" >"$root/etc/hosts"
  install -m 0600 -o 1000 -g 1000 "$LAB_DIR/$name/key.pub" "$root/home/bee/.ssh/authorized_keys"
}

seed_debian() {
  local name=$1 root=$2 dir=$LAB_DIR/$1
  seed "$name" "$root"
  install -m 0600 "$dir/host_key" "$root/etc/ssh/ssh_host_ed25519_key"
  [[ ! -e $dir/without_pam ]] || printf 'UsePAM no\n' >"$root/etc/ssh/sshd_config.d/lab.conf"
  [[ ! -e $dir/without_polkit ]] || remove_polkit "$name" "$root"
}

seed_busybox() {
  local name=$1 root=$2
  seed "$name" "$root"
  install -m 0600 "$LAB_DIR/$name/host_key" "$root/etc/dropbear/openssh_key"
  chroot "$root" dropbearconvert openssh dropbear /etc/dropbear/{openssh_key,dropbear_ed25519_host_key} \
    2>>"$LAB_DIR/$name/console.log"
  rm "$root/etc/dropbear/openssh_key"
  [[ ! -e $LAB_DIR/$name/cron ]] || seed_busybox_cron "$root"
}

# crontab(1) writes where only root may.
seed_busybox_cron() {
  install -d "$1/var/spool/cron/crontabs"
  ln -sfn /run "$1/var/run"
  chmod u+s "$1/usr/bin/busybox"
}

remove_polkit() {
  chroot "$2" sh -c 'dpkg --purge $(dpkg-query -W -f "\${Package} " polkitd policykit-1)' >>"$LAB_DIR/$1/console.log" 2>&1
}

# Awaits both ways in. The time to connect is long because sshd in an emulated machine takes seconds to greet.
await_login() {
  local name=$1 deadline=$((SECONDS + $2)) dir=$LAB_DIR/$1
  until { ssh -F "$dir/ssh_config" -o BatchMode=yes -o ConnectTimeout=15 "$name" true && machine exec "$name" true; } \
    </dev/null 2>>"$dir/ssh.log"; do
    if ! is_running "$name"; then
      say "host '$name' ended while it started"
      return 1
    elif ((SECONDS >= deadline)); then
      say "host '$name' let nobody log in within $2 s"
      return 1
    fi
    sleep 0.1
  done
}

# An emulator now and then crashes while a kernel boots in it (QEMU 10.0: a segmentation fault), which says nothing of the host.
start_machine() {
  local tries
  for tries in 1 2 3; do
    machine start "$1"
    await_login "$1" "$(machine patience "$1")" && return
    [[ $(host_get "$1" machine) == vm ]] && ! is_running "$1" || return 1
    say "host '$1' is started once more, after try $tries"
  done
  return 1
}

kill_host() {
  local name=$1
  is_running "$name" || return 0
  machine kill "$name" && await_end "$name" 10 || kill_processes "$name"
  await_end "$name" 10 || die "host '$name' cannot be killed, see $(cgroup_of "$name")/cgroup.procs"
}

# An orderly end where there is an init to ask, so that units see what they see in life; a power cut where not.
halt_host() {
  machine halt "$1" && await_end "$1" 60 && return
  say "host '$1' does not shut down, killing it"
  kill_host "$1"
}

# Takes away whatever there is of a host, however far it came.
remove_host() {
  local name=$1
  if [[ -f $LAB_DIR/$name/machine ]]; then
    kill_host "$name"
    machine destroy "$name"
    delete_link "$(link_of "$name")"
    remove_cgroups "unitbee-lab-$LAB_ID/$name"
  fi
  rm -rf --one-file-system "${LAB_DIR:?}/$name"
  locked close_lab_if_empty
}

open_lab() {
  if [[ -f $LAB_DIR/lab_subnet ]]; then
    [[ -e /sys/class/net/$(bridge) ]] || die "the bridge of lab $LAB_ID is gone; 'lab gc' clears up after a restart"
    return
  fi
  bridge_up
  printf 'Include %s/*/ssh_config\n' "$LAB_DIR" >"$LAB_DIR/lab_ssh_config"
}

close_lab_if_empty() {
  [[ -z $(host_names) ]] || return 0
  if [[ -f $LAB_DIR/lab_subnet ]]; then
    delete_link "$(bridge)"
    remove_cgroups "unitbee-lab-$LAB_ID"
  fi
  rm -rf --one-file-system "$LAB_DIR"
}

host_state() {
  if ! is_running "$1"; then
    echo dead
  elif link_is_cut "$1"; then
    echo cut
  else
    echo up
  fi
}

# shellcheck shell=bash
# Hosts that are containers: an overlay over a base, in a network namespace that the lab makes and keeps over reboots.

container_create() {
  local name=$1 dir=$LAB_DIR/$1
  mkdir "$dir"/{root,upper,work}
  mount -t overlay -o "lowerdir=$(base_path "$(host_get "$name" base)"),upperdir=$dir/upper,workdir=$dir/work" \
    unitbee-lab "$dir/root"
  case $(host_get "$name" kind) in
    busybox) seed_busybox "$name" "$dir/root" ;;
    mac) seed_mac "$name" "$dir/root" ;;
    *) seed_debian "$name" "$dir/root" ;;
  esac
  container_network "$name"
}

# The namespace has its address before the guest runs: nothing inside must configure it, whatever the userland.
container_network() {
  local name=$1 netns=$LAB_DIR/$1/netns link
  link=$(link_of "$name")
  : >"$netns"
  unshare --net="$netns" ip link set lo up
  ip link add "$link" type veth peer name host0 netns "$netns"
  ip link set "$link" master "$(bridge)" up
  nsenter --net="$netns" ip address add "$(address_of "$name")/24" dev host0
  nsenter --net="$netns" ip link set host0 up
  nsenter --net="$netns" ip route add default via "$(subnet).1"
}

machine_name() { printf 'ub-%s-%s\n' "$(lab_hash)" "$1"; }

# Registering with machined, or taking a unit for it, needs a systemd outside, which a build machine may lack. Without
# the variable the guest gets the cgroup v1 of an outside that still has it.
container_start() {
  local name=$1 dir=$LAB_DIR/$1 command cron=''
  [[ ! -e $dir/cron ]] || cron=yes
  case $(host_get "$name" kind) in
    nspawn) command=(--boot) ;;
    bare) command=(--as-pid2 sh -c "mkdir -p /run/sshd; ${cron:+cron;} exec /usr/sbin/sshd -D -e -o UsePAM=no") ;;
    busybox) command=(--as-pid2 sh -c "${cron:+crond;} exec dropbear -F -E") ;;
    mac) command=(--as-pid2 /usr/libexec/lab/boot) ;;
  esac
  SYSTEMD_NSPAWN_UNIFIED_HIERARCHY=1 launch "$name" systemd-nspawn --quiet --register=no --keep-unit \
    --directory="$dir/root" --network-namespace-path="$dir/netns" \
    --machine="$(machine_name "$name")" --hostname="$name" "${command[@]}"
}

container_patience() { echo 60; }

container_init() { pgrep -P "$(host_get "$1" pid)"; }

container_exec() {
  local name=$1 init
  shift
  init=$(container_init "$name") || die "host '$name' has no init yet"
  nsenter --all --target "$init" env -i HOME=/root PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin "$@"
}

container_halt() {
  case $(host_get "$1" kind) in
    nspawn) container_exec "$1" systemctl poweroff ;;
    *) container_kill "$1" ;;
  esac
}

# systemd-nspawn ends by itself, and tidies, when its init goes; killed itself, it would leave things behind.
container_kill() {
  local init
  init=$(container_init "$1") && kill -KILL "$init"
}

container_destroy() {
  unmount "$LAB_DIR/$1/root"
  unmount "$LAB_DIR/$1/netns"
  # There only if systemd-nspawn was killed all the same; no machine of that name could start again.
  rm -rf --one-file-system "/run/systemd/nspawn/propagate/$(machine_name "$1")"
}

unmount() {
  [[ ! -e $1 || $(stat --format %d "$1") == "$(stat --format %d "$LAB_DIR")" ]] || umount "$1"
}

# shellcheck shell=bash
# Hosts that are containers: an overlay over a base, in a network namespace that the lab makes and keeps over reboots.

container_create() {
  local name=$1 dir=$LAB_DIR/$1
  mkdir "$dir"/{root,upper,work}
  mount -t overlay -o "lowerdir=$(base_path "$(host_get "$name" base)"),upperdir=$dir/upper,workdir=$dir/work" \
    "unitbee-lab" "$dir/root"
  seed_host "$name" "$dir/root"
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

# Registration needs a systemd outside, which a build machine may lack.
container_start() {
  local name=$1 dir=$LAB_DIR/$1 command
  container_command "$(host_get "$name" kind)"
  SYSTEMD_NSPAWN_UNIFIED_HIERARCHY=1 launch "$name" systemd-nspawn --quiet --register=no --keep-unit \
    --directory="$dir/root" --network-namespace-path="$dir/netns" --machine="$(machine_name "$name")" "${command[@]}"
}

# Sets `command`: what runs inside.
container_command() {
  case $1 in
    nspawn) command=(--boot) ;;
  esac
}

container_leader() { pgrep -P "$(host_get "$1" pid)"; }

container_exec() {
  local name=$1 leader
  shift
  leader=$(container_leader "$name") || die "$name has no init to run a command under"
  nsenter --all --target "$leader" env -i HOME=/root PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin "$@"
}

# Killing systemd-nspawn itself would leave its own leftovers; it cleans up when its init goes.
container_kill() {
  local leader
  leader=$(container_leader "$1") && kill -KILL "$leader"
}

container_destroy() {
  unmount "$LAB_DIR/$1/root"
  unmount "$LAB_DIR/$1/netns"
}

unmount() {
  ! mountpoint -q "$1" || umount "$1"
}

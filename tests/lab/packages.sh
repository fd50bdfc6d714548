# shellcheck shell=bash
# What the lab needs of this machine: tools that apt can bring, and rights that only the machine can give.

readonly TOOLS=(systemd-nspawn:systemd-container mmdebstrap:mmdebstrap ssh:openssh-client ip:iproute2 pgrep:procps)
readonly VM_TOOLS=(qemu-system-x86_64:qemu-system-x86 mke2fs:e2fsprogs)

missing_packages() {
  local tool
  for tool in "$@"; do
    command -v "${tool%%:*}" >/dev/null || printf '%s\n' "${tool##*:}"
  done
}

install_packages() {
  local packages
  mapfile -t packages < <(missing_packages "$@")
  ((${#packages[@]} > 0)) || return 0
  say "installing ${packages[*]}"
  apt_get update
  apt_get install --yes --no-install-recommends "${packages[@]}"
}

# Two checkouts may build at once, and apt does not wait for its own lock unless told to.
apt_get() {
  local log=$CACHE/log/apt.log
  mkdir -p "$CACHE/log"
  DEBIAN_FRONTEND=noninteractive apt-get --quiet -o DPkg::Lock::Timeout=300 "$@" >>"$log" 2>&1 ||
    die "apt-get $1 failed, see $log"
}

# Tried in namespaces of their own, so nothing of it is left.
may_mount_and_link() {
  unshare --mount --net sh -ec '
    mount -t tmpfs tmpfs /tmp
    mkdir /tmp/lower /tmp/upper /tmp/work
    mount -t overlay -o lowerdir=/tmp/lower,upperdir=/tmp/upper,workdir=/tmp/work overlay /tmp
    if command -v ip; then
      ip link add bridge type bridge
      ip link add veth type veth peer name peer
    fi
  ' >/dev/null 2>&1
}

# Prints why the lab cannot run here, or nothing.
obstacle() {
  if ((EUID != 0)); then
    echo "not root"
  elif ! grep -qsE '^ID(_LIKE)?=.*debian' /etc/os-release || ! command -v apt-get >/dev/null; then
    echo "not a Debian machine"
  elif [[ -z $(cgroup_v2) ]]; then
    echo "no cgroup v2 file system is mounted"
  elif [[ ! -w $(cgroup_v2)/cgroup.procs ]]; then
    echo "the cgroup v2 tree is read-only"
  elif ! may_mount_and_link; then
    echo "no right to mount an overlay or to add a bridge"
  fi
}

lab_doctor() {
  local reason packages
  reason=$(obstacle)
  if [[ -n $reason ]]; then
    printf 'the lab cannot run here: %s\n' "$reason"
    exit 3
  fi
  mapfile -t packages < <(missing_packages "${TOOLS[@]}")
  printf "the lab can run here%s\n" "${packages[*]:+; 'lab build' will install ${packages[*]}}"
}

# shellcheck shell=bash
# Hosts that are virtual machines, with a kernel of their own: there cgroup limits hold.

vm_create() {
  local name=$1 dir=$LAB_DIR/$1
  cp --sparse=always "$(base_path vm)"/{disk.img,vmlinuz} "$dir"
  mkdir "$dir/root"
  mount -o loop "$dir/disk.img" "$dir/root"
  seed_debian "$name" "$dir/root"
  vm_seed "$name" "$dir/root"
  umount "$dir/root"
  vm_network_card "$name"
}

vm_seed() {
  install -m 0755 "$LAB_HOME/bare-init" "$2/sbin/bare-init"
  install -D -m 0600 "$LAB_DIR/$1/key.pub" "$2/etc/lab/authorized_keys"
  printf 'ADDRESS=%s\nGATEWAY=%s.1\n' "$(address_of "$1")" "$(subnet)" >"$2/etc/lab/network"
}

vm_network_card() {
  local link
  link=$(link_of "$1")
  ip tuntap add dev "$link" mode tap
  ip link set "$link" master "$(bridge)" up
}

# Any address of 127/8 is this machine, so the control port of each host can be told by the host's own address.
vm_control_address() { printf '127.%s\n' "$(address_of "$1" | cut -d . -f 2-)"; }

vm_mac() { address_of "$1" | (IFS=. read -r a b c d && printf '52:54:%02x:%02x:%02x:%02x\n' "$a" "$b" "$c" "$d"); }

# /dev/kvm alone proves nothing: a machine that is itself virtual may have one that cannot run a kernel.
vm_accelerator() {
  if [[ -w /dev/kvm ]] && grep -qE '^flags\b.*\b(vmx|svm)\b' /proc/cpuinfo; then
    echo kvm
  else
    echo tcg,thread=multi
  fi
}

# Without cx16 because the emulation of CMPXCHG16B corrupts flags now and then, and the guest's kernel with them. A
# guest that panics ends the machine (panic=-1, -no-reboot), so that whoever waits for it learns of it.
vm_start() {
  local name=$1 dir=$LAB_DIR/$1 init=/sbin/init
  [[ $(host_get "$name" kind) != bare-vm ]] || init=/sbin/bare-init
  launch "$name" qemu-system-x86_64 -nodefaults -no-reboot -display none \
    -machine q35 -accel "$(vm_accelerator)" -cpu Nehalem,-cx16 -smp 2 -m 1024 \
    -kernel "$dir/vmlinuz" -append "root=/dev/nvme0n1 rw console=ttyS0 mitigations=off panic=-1 init=$init" \
    -drive "file=$dir/disk.img,if=none,id=disk,format=raw,cache=unsafe" -device nvme,drive=disk,serial=lab \
    -netdev "tap,id=lab,ifname=$(link_of "$name"),script=no,downscript=no" \
    -device "virtio-net-pci,netdev=lab,mac=$(vm_mac "$name"),romfile=,addr=2" \
    -netdev "user,id=control,restrict=on,ipv6=off,hostfwd=tcp:$(vm_control_address "$name"):2222-:2222" \
    -device virtio-net-pci,netdev=control,romfile=,addr=3 \
    -chardev "file,id=console,path=$dir/console.log,append=on" -serial chardev:console
}

vm_patience() { echo 300; }

vm_exec() {
  local name=$1 dir=$LAB_DIR/$1
  shift
  ssh -F none -i "$dir/key" -o IdentitiesOnly=yes -o BatchMode=yes -o ConnectTimeout=60 -o LogLevel=ERROR \
    -o StrictHostKeyChecking=yes -o UserKnownHostsFile="$dir/known_hosts" -o HostKeyAlias="$(address_of "$name")" \
    -p 2222 "root@$(vm_control_address "$name")" "$(printf '%q ' "$@")"
}

vm_halt() {
  case $(host_get "$1" kind) in
    bare-vm) vm_exec "$1" sh -c 'sync && echo o >/proc/sysrq-trigger' ;;
    *) vm_exec "$1" systemctl poweroff ;;
  esac
}
vm_kill() { kill_processes "$1"; }
vm_destroy() { unmount "$LAB_DIR/$1/root"; }

# shellcheck shell=bash
# What the disk of the virtual machine holds: the Debian base of one suite with a kernel. Needs no initrd, because
# Debian's cloud kernel has NVMe and ext4 built in.

readonly VM_SUITE=trixie

make_vm_base() {
  local base=$1 tree=$1/tree
  mkdir "$base"
  make_debian_base "$VM_SUITE" "$tree" kmod linux-image-cloud-amd64 udev
  vm_network "$tree"
  vm_control "$tree"
  vm_keep_manager "$tree"
  vm_quick_boot "$tree"
  mv "$tree"/boot/vmlinuz-* "$base/vmlinuz"
  rm -f "$tree"/boot/initrd.img-*
  mke2fs -q -t ext4 -d "$tree" "$base/disk.img" 2G
  rm -rf --one-file-system "$tree"
}

# The network names follow from the PCI slots that vm.sh gives the cards.
vm_network() {
  cat >"$1/etc/systemd/system/lab-network.service" <<'END'
[Unit]
Description=Addresses of this host of the lab
Requires=sys-subsystem-net-devices-enp0s2.device sys-subsystem-net-devices-enp0s3.device
After=sys-subsystem-net-devices-enp0s2.device sys-subsystem-net-devices-enp0s3.device
Before=network.target
Wants=network.target

[Service]
Type=oneshot
RemainAfterExit=yes
EnvironmentFile=/etc/lab/network
ExecStart=ip address add ${ADDRESS}/24 dev enp0s2
ExecStart=ip link set enp0s2 up
ExecStart=ip route add default via ${GATEWAY}
ExecStart=ip address add 10.0.2.15/24 dev enp0s3
ExecStart=ip link set enp0s3 up

[Install]
WantedBy=multi-user.target
END
  chroot "$1" systemctl --quiet enable lab-network.service
}

# Root commands come through an sshd of their own, so that they work whatever a test does to the network and to the
# real sshd, and leave no session behind in logind.
vm_control() {
  cat >"$1/etc/systemd/system/lab-control.service" <<'END'
[Unit]
Description=Root commands of the lab
After=lab-network.service

[Service]
ExecStart=/usr/sbin/sshd -D -o ListenAddress=10.0.2.15:2222 -o UsePAM=no -o AuthorizedKeysFile=/etc/lab/authorized_keys
KillMode=process
RuntimeDirectory=sshd
RuntimeDirectoryMode=0755

[Install]
WantedBy=multi-user.target
END
  printf '\n[Service]\nRuntimeDirectoryPreserve=yes\n' >>"$1/etc/systemd/system/ssh.service.d/lab.conf"
  chroot "$1" systemctl --quiet enable lab-control.service
}

# The lab's own first login would have logind stop the user's manager after 10 s: whoever logs in about then waits for
# that end and for a new start, which takes long where the processor is emulated.
vm_keep_manager() {
  install -d "$1/etc/systemd/logind.conf.d"
  printf '[Login]\nUserStopDelaySec=infinity\n' >"$1/etc/systemd/logind.conf.d/lab.conf"
}

# Emulated in software, each of these costs up to a second and brings nothing to a test of user units.
vm_quick_boot() {
  chroot "$1" systemctl --quiet mask \
    dev-hugepages.mount kmod-static-nodes.service modprobe@.service proc-sys-fs-binfmt_misc.automount \
    sys-fs-fuse-connections.mount sys-kernel-config.mount sys-kernel-debug.mount sys-kernel-tracing.mount \
    systemd-binfmt.service systemd-modules-load.service systemd-network-generator.service systemd-pstore.service \
    systemd-random-seed.service systemd-udev-load-credentials.service
}

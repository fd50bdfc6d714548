# shellcheck shell=bash
# A host shaped like Alpine: busybox for a userland, dropbear for an sshd, and no sftp server.

readonly BUSYBOX_SUITE=trixie

make_busybox_base() {
  local root=$1
  busybox_tree "$root"
  chroot "$root" /usr/bin/busybox --install -s
  busybox_accounts "$root"
}

# The packages are only unpacked, for their scripts want the Debian userland that this host is to lack.
busybox_tree() {
  local root=$1 dir
  bootstrap extract "$BUSYBOX_SUITE" "$root" busybox-static,dropbear-bin
  rm -rf "${root:?}"/etc/* "${root:?}/usr/share"
  for dir in bin sbin lib lib64; do
    ln -s "usr/$dir" "$root/$dir"
  done
  mkdir -p "$root"/{etc/dropbear,home,proc,root,run,sys}
}

busybox_accounts() {
  printf 'root:*:0:0:root:/root:/bin/sh\nbee:*:1000:1000:bee:/home/bee:/bin/sh\n' >"$1/etc/passwd"
  printf 'root:x:0:\nbee:x:1000:\n' >"$1/etc/group"
  printf '/bin/sh\n' >"$1/etc/shells"
  install -d -m 0700 -o 1000 -g 1000 "$1/home/bee" "$1/home/bee/.ssh"
}

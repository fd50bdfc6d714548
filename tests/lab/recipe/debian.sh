# shellcheck shell=bash
# What a Debian base holds. The digest of this file is part of the base's name, so any change here rebuilds.

debian_packages() {
  local suite=$1 polkit=polkitd
  [[ $suite != bullseye ]] || polkit=policykit-1
  shift
  (
    IFS=,
    echo "systemd,systemd-sysv,dbus,dbus-user-session,libpam-systemd,openssh-server,$polkit,curl,iproute2,procps,python3${*:+,$*}"
  )
}

# `-p '*'`: a `!` password would lock the account for an sshd without PAM.
debian_user() {
  chroot "$1" useradd --create-home --uid 1000 --shell /bin/bash --password '*' bee
  install -d -m 0700 -o 1000 -g 1000 "$1/home/bee/.ssh"
}

# sshd must not listen before logins are allowed: OpenSSH 9.8 and later shut out a caller whose early tries failed.
debian_ssh() {
  rm -f "$1"/etc/ssh/ssh_host_*
  install -d "$1/etc/systemd/system/ssh.service.d"
  printf '[Unit]\nAfter=systemd-user-sessions.service\n' >"$1/etc/systemd/system/ssh.service.d/lab.conf"
  chroot "$1" systemctl --quiet enable ssh.service
}

# A test host must be the same every time and idle when nothing is asked of it; nobody sits at its console.
debian_quiet() {
  chroot "$1" systemctl --quiet mask \
    apt-daily.timer apt-daily-upgrade.timer dpkg-db-backup.timer e2scrub_all.timer fstrim.timer \
    console-getty.service getty.target sshd-keygen.service
}

# Each host gets a machine id of its own at its first boot; what else systemd does once per installed system is not
# worth doing again for each of them.
debian_state() {
  : >"$1/etc/machine-id"
  rm -f "$1/etc/hostname" "$1/etc/resolv.conf"
  install -d "$1/var/log/journal"
  touch "$1"/{etc,var}/.updated
}

# make_debian_base SUITE ROOT [PACKAGE…]
make_debian_base() {
  local root=$2
  bootstrap minbase "$1" "$root" "$(debian_packages "$1" "${@:3}")"
  debian_user "$root"
  debian_ssh "$root"
  debian_quiet "$root"
  debian_state "$root"
}

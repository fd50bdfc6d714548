# shellcheck shell=bash
# What a Debian base holds. The digest of this file is part of the base's name, so any change here rebuilds.

# The mirror is asked of apt, so that the lab uses whatever this machine is allowed to use.
debian_mirror() {
  local uri
  # shellcheck disable=SC2016 # these are for apt to expand
  uri=$(apt-get indextargets --format '$(REPO_URI)' 'Created-By: Packages' 'Label: Debian' 'Component: main' | head -n 1)
  [[ -n $uri ]] || die "apt knows no Debian mirror; 'apt-get update' may help"
  printf '%s\n' "$uri"
}

debian_packages() {
  local suite=$1 polkit=polkitd
  [[ $suite != bullseye ]] || polkit=policykit-1
  shift
  (
    IFS=,
    echo "systemd,systemd-sysv,dbus,dbus-user-session,libpam-systemd,openssh-server,$polkit,curl,iproute2,procps,python3${*:+,$*}"
  )
}

# Valid-Until is not checked because old suites and frozen mirrors are past it; [trusted=yes] because this machine's
# keyring cannot know the keys of suites younger than itself.
debian_tree() {
  local suite=$1 root=$2
  nice mmdebstrap --variant=minbase --aptopt='Acquire::Check-Valid-Until "false"' \
    --include="$(debian_packages "$suite" "${@:3}")" \
    "$suite" "$root" "deb [trusted=yes] $(debian_mirror) $suite main"
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
  debian_tree "$@"
  debian_user "$root"
  debian_ssh "$root"
  debian_quiet "$root"
  debian_state "$root"
}

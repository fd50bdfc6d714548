# shellcheck shell=bash
# Makes a Debian root file system look like a Mac to whoever logs in: launchd's model, a userland without what only GNU
# and Linux have, and the paths and the search path of macOS.

readonly MAC_BASE=trixie

# Moved out of the way, for the model itself needs some of them.
readonly MAC_LACKS=(
  flock free getent ionice ip journalctl loginctl md5sum nproc pidof setsid sha1sum sha256sum sha512sum ss systemctl
  systemd-run taskset timeout unshare
)
# Other programs of the same name.
readonly MAC_OWN=(lsof ps stat sudo sysctl uname)
# The same programs, without what a Mac's do not know.
readonly MAC_BSD=(base64 cp date find head ln mkdir mv readlink rm touch)

# seed_mac NAME ROOT: also with `headless` in the host's record.
seed_mac() {
  local name=$1 root=$2 lab=$2/usr/libexec/lab program
  seed_debian "$name" "$root"
  install -d "$lab" "$root"/Library/{LaunchAgents,LaunchDaemons} "$root/var/db/lab"
  for program in "${MAC_LACKS[@]}" "${MAC_OWN[@]}" "${MAC_BSD[@]}"; do
    mac_take_away "$root" "$program"
  done
  install -m 0755 "$LAB_HOME"/launchd/{boot,bsd,*.py} "$lab"
  install -m 0755 "$LAB_HOME"/launchd/{launchctl,netstat,uname,sw_vers,sysctl,stat,shasum} "$root/usr/bin"
  for program in mac ps lsof sudo; do
    ln "$root/usr/bin/launchctl" "$root/usr/bin/$program"
  done
  for program in "${MAC_BSD[@]}"; do
    ln "$lab/bsd" "$root/usr/bin/$program"
  done
  # /bin/sh of a Mac is bash, an old one, in its POSIX mode.
  ln -sf bash "$root/usr/bin/sh"
  printf 'SetEnv PATH=/usr/bin:/bin:/usr/sbin:/sbin\nUsePAM no\n' >"$root/etc/ssh/sshd_config.d/mac.conf"
  [[ -e $LAB_DIR/$name/headless ]] || printf '{"auto-login": true}\n' >"$root/var/db/lab/knobs.json"
}

mac_take_away() {
  local dir
  for dir in usr/bin usr/sbin; do
    [[ ! -e $1/$dir/$2 ]] || mv "$1/$dir/$2" "$1/usr/libexec/lab/$2"
  done
}

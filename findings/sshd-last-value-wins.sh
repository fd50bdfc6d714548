#!/usr/bin/env bash
# OpenSSH's sshd_config(5) says that the first value of a keyword is used. For these keywords the last one is:
#
#   openssh-server     MaxStartups  PerSourceMaxStartups  PerSourceNetBlockSize  IPQoS  StreamLocalBindMask  MaxSessions
#   1:8.4p1-5+deb11u3  last         (not there)           (not there)            last   last                 first
#   1:9.2p1-2+deb12u10 last         last                  last                   last   last                 first
#   1:10.0p1-7+deb13u4 last         first                 last                   last   last                 first
#   1:10.6p1-1         first        first                 first                  first  first                first
#
# Debian's sshd_config includes /etc/ssh/sshd_config.d/*.conf at its top so that what is there comes first and counts. Who
# raises MaxStartups there, for a tool that opens many connections, and has another value further down, gets that other
# value up to 10.0, and the new one from 10.6 on: the same two files mean something else after an upgrade.
#
# `sshd -T` prints what is in effect, and needs no running sshd. This runs the second row, seen on 2026-11-28; the others
# were seen in chroots of those suites of Debian. Needs Debian 12 (apt-get, dpkg-deb) and ssh-keygen.
set -euo pipefail

version=1:9.2p1-2+deb12u10
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
chmod 755 .

apt-get -o APT::Sandbox::User=root download -qq "openssh-server=$version" libwrap0 >/dev/null
for package in *.deb; do dpkg-deb -x "$package" root; done
LD_LIBRARY_PATH=$(find "$folder/root" -name 'libwrap.so*' -printf '%h\n' | head -n 1)
export LD_LIBRARY_PATH
ssh-keygen -q -t ed25519 -N '' -f key

code=0
# in_effect KEYWORD FIRST LAST EXPECTED: both values are in the file, in this order.
in_effect() {
  printf 'HostKey %s/key\n%s %s\n%s %s\n' "$folder" "$1" "$2" "$1" "$3" >config
  local found
  found=$(root/usr/sbin/sshd -T -f config | sed -n "s/^$1 //Ip")
  printf '%-22s %-8s then %-8s is %s\n' "$1" "$2" "$3" "$found"
  [ "$found" = "$4" ] || { printf '  but %s was seen before\n' "$4" && code=1; }
}
in_effect MaxStartups 11:30:60 22:30:60 22:30:60
in_effect PerSourceMaxStartups 3 5 5
in_effect PerSourceNetBlockSize 24:64 16:48 16:48
in_effect IPQoS af21 ef 'ef ef'
in_effect StreamLocalBindMask 0177 0111 0111
# These follow the manual.
in_effect MaxSessions 3 5 3
in_effect MaxAuthTries 3 5 3
in_effect LoginGraceTime 3 5 3

mkdir parts
echo 'MaxStartups 100:30:200' >parts/mine.conf
printf 'Include %s/parts/*.conf\nHostKey %s/key\nMaxStartups 10:30:100\n' "$folder" "$folder" >config
found=$(root/usr/sbin/sshd -T -f config | sed -n 's/^maxstartups //p')
printf 'a drop-in that is included at the top says 100:30:200, the file itself 10:30:100: %s\n' "$found"
[ "$found" = 10:30:100 ] || code=1
exit "$code"

# shellcheck shell=sh disable=SC2016
# Connects standard input and output to TCP port $2 of $1 by a program that can: first "+", or "-" where there is none.
# Those that end when the far side does come first: not every nc does, as long as its input is open.

has() {
  command -v "$1" >/dev/null 2>&1
}
if has bash; then
  printf +
  # In a session of sshd, bash reads ~/.bashrc even here, which may print.
  exec bash --norc -c 'exec 3<>"/dev/tcp/$1/$2" 4<&0 || exit; cat <&4 >&3 & cat <&3; kill $!' bash "$1" "$2"
elif has python3; then
  printf +
  exec python3 -c '
import os, select, socket, sys
peer = socket.create_connection(sys.argv[1:3])
while True:
    ready, _, _ = select.select([0, peer], [], [])
    if peer in ready:
        data = peer.recv(65536)
        if not data:
            break
        while data:
            data = data[os.write(1, data):]
    elif 0 in ready:
        data = os.read(0, 65536)
        if not data:
            break
        peer.sendall(data)
' "$1" "$2"
elif has nc; then
  printf +
  exec nc "$1" "$2"
elif has busybox && busybox nc --help >/dev/null 2>&1; then
  printf +
  exec busybox nc "$1" "$2"
fi
printf %s -

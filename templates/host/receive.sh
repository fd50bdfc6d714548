# shellcheck shell=sh
# Prints $1 bytes of its standard input, and takes no more: what follows is for somebody else. Only where the locale is C
# are lengths those of bytes.

LC_ALL=C
left=$1
while [ "$left" -gt 0 ]; do
  # One read(2): as much of it as is there.
  part=$(dd bs="$left" count=1 2>/dev/null && echo .)
  part=${part%.}
  [ -n "$part" ] || exit 1
  printf %s "$part"
  left=$((left - ${#part}))
done

# shellcheck shell=sh disable=SC2154
# Takes the lock $1 for $2, answers the questions that follow, and holds the lock until its standard input ends. The
# form of a lock is told in src/host/local/lock.rs.

name=$1 owner=$2
shift 2

# Prints when process $1 started, unless it has ended.
start_of() {
  if [ ! -d /proc/self ]; then
    # The same number for everybody who asks, whatever zone and language the one or the other is in.
    line=$(TZ=UTC0 LC_ALL=C ps -o stat= -o lstart= -p "$1" 2>/dev/null)
    case $line in Z* | '') return 1 ;; esac
    started=$(printf %s "$line" | tr -cd 0-9)
    return
  fi
  [ -r "/proc/$1/stat" ] && read -r line 2>/dev/null <"/proc/$1/stat" || return 1
  # shellcheck disable=SC2086
  set -- ${line##*) }
  [ "$1" != Z ] && [ "$1" != X ] && shift 19 && started=$1
}

is_dead() {
  pid=${1%%.*} rest=${1#*.}
  start=${rest%%.*} rest=${rest#*.}
  [ "${rest%%.*}" = "$boot" ] || return 0
  if start_of "$pid"; then
    [ "$started" != "$start" ] && [ "$start" != 0 ]
  else
    [ -d /proc/self ] || ! kill -0 "$pid" 2>/dev/null
  fi
}

# Removes what is there only while the lock is made, and folders that are empty.
clean() {
  rm -rf "$fresh"
  rmdir "$locks" "$state/unitbee" 2>/dev/null
}

# Makes the folder with a free token in it, at one stroke, unless it is there.
prepare() {
  for token in "$lock"/*; do
    [ -e "$token" ] && return
  done
  tries=10
  until words=$(umask 077 && mkdir -p "$fresh" 2>&1); do
    # What is above it may go while somebody else gives the lock back.
    tries=$((tries - 1))
    [ "$tries" -gt 0 ] || fail "make folder $locks" "$words"
  done
  words=$({ printf '' >"$fresh/free"; } 2>&1) || fail "write $fresh/free" "$words"
  # An empty folder has lost its token; a folder that came to be meanwhile takes ours in, from where it goes again.
  rmdir "$lock" 2>/dev/null
  mv "$fresh" "$lock" 2>/dev/null
  rm -rf "$fresh" "${lock:?}/${fresh##*/}"
}

# Renames the token $1 to ours, unless somebody else was quicker.
take() {
  words=$(LC_ALL=C mv -f "$1" "$ours" 2>&1) && return
  case $words in
    *'No such file or directory'*) return 1 ;;
  esac
  fail "lock $lock" "$words"
}

# Takes the lock, or sets holder.
attempt() {
  holder=
  prepare
  take "$lock/free" && return
  for token in "$lock"/*; do
    if [ "${token##*/}" = free ] || [ ! -e "$token" ]; then continue; fi
    if is_dead "${token##*/}"; then
      take "$token" && return
    else
      holder=$token
    fi
  done
  return 1
}

# Gives the lock back. For as long as anything of ours is on the host its token stays, so that it can be taken where
# nothing more fits on the disk; otherwise locks that nobody holds leave nothing behind.
give_back() {
  set -- "$data/unitbee"/*
  if [ -e "$1" ]; then
    mv -f "$ours" "$lock/free"
  else
    rm -f "$ours" "$locks"/*/free
    rmdir "$locks"/* "$locks" "$state/unitbee"
  fi
}

# Gives the lock back when our side has said nothing for a minute: it may have gone without a word.
watch() {
  gone='' pause='' heard=1
  trap 'gone=1; kill "$pause"' TERM
  trap 'heard=1' USR1
  while [ -n "$heard" ] && [ -z "$gone" ]; do
    heard=''
    sleep 60 &
    pause=$!
    while [ -z "$gone" ] && kill -0 "$pause"; do wait "$pause"; done
  done
  if [ -n "$gone" ]; then
    kill "$pause"
  else
    give_back
    kill -KILL $$
  fi
}

mark begin
places
started=0
boot_of
start_of $$
now=$(date +%s)
node=${node%%/*}
locks=$state/unitbee/lock
lock=$locks/$name@$node
who=$$.$started.$boot.$nonce
fresh=$locks/.$node@$who
ours=$lock/$who.$now.$owner

looks=1
until attempt; do
  # One that took or gave it back just now is looked at again.
  if [ -n "$holder" ] || [ "$looks" -eq 10 ]; then
    mark "busy $now ${holder##*/}"
    head -c 1000 "$holder" 2>/dev/null
    mark end 0
    exit
  fi
  sleep 0.1 2>/dev/null || sleep 1
  looks=$((looks + 1))
done
watcher=''
trap 'give_back 2>/dev/null; [ -z "$watcher" ] || kill "$watcher"' EXIT
trap 'exit 1' HUP INT TERM
trap '' PIPE
for left in "$locks/.$node@"*; do
  if [ -e "$left" ] && is_dead "${left##*@}"; then rm -rf "$left"; fi
done
mark "token $ours"
answers "$@"
mark end 0

# A beat may come before the watcher is ready to hear it, and must not end it.
trap '' USR1
# The redirection of a call would keep a copy of our output open, and whoever reads it would not see us end.
{
  exec </dev/null >/dev/null 2>&1 3>&-
  watch
} &
watcher=$!
while read -r _; do
  kill -USR1 "$watcher"
done

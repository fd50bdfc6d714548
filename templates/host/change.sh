# shellcheck shell=sh disable=SC2154
# Puts files in place, removes others. Standard input is a tar archive: the contents as 0, 1, 2 …, each with its final
# mode; `sums` with their digests; and last `plan`, three lines for each step: put, remove or prune; the base; the rest
# of the path. All content is checked, in the folder that it goes to, and synced, before the first rename.

made=''
temps=''
stage=''

# Makes a folder and what is missing above it, for us alone where it is below one that is called unitbee.
folder() {
  [ -d "$1" ] && return
  case ${1%/*} in
    '') ;;
    *) folder "${1%/*}" ;;
  esac
  case $2,$1/ in
    private,*/unitbee/*) words=$(mkdir -m 700 "$1" 2>&1) ;;
    *) words=$(mkdir "$1" 2>&1) ;;
  esac || [ -d "$1" ] || fail "make folder $1" "$words"
  made=$1$nl$made
}

# Removes what was not meant to stay: the folders that we made only where they are still empty.
clean() {
  IFS=$nl
  set -f
  # shellcheck disable=SC2086
  [ -z "$temps" ] || rm -f $temps
  [ -z "$stage" ] || rm -rf "$stage"
  # shellcheck disable=SC2086
  [ -z "$made" ] || rmdir $made
  unset IFS
  set +f
  made='' temps='' stage=''
}

# Syncs what is named, or everything where this host cannot sync a single file.
settle() {
  [ $# -eq 0 ] || sync "$@" 2>/dev/null || sync
}

# Reads the next step of the plan. Sets verb, base, rest.
next() {
  IFS= read -r verb <&4 && IFS= read -r base <&4 && IFS= read -r rest <&4
}

# Removes the folder $path, unless something is in it: that is why it stays.
prune() {
  words=$(rmdir "$path" 2>&1) && return
  for entry in "$path"/* "$path"/.[!.]* "$path"/..?*; do
    if [ -e "$entry" ] || [ -h "$entry" ]; then return; fi
  done
  fail "remove $path" "$words"
}

mark begin
trap clean EXIT
trap 'exit 1' HUP INT TERM
trap '' PIPE
exec 2>/dev/null
places

folder "$data/unitbee" private
for old in "$data"/unitbee/.new.*; do
  # What a change left that was killed with the whole host.
  [ ! -e "$old" ] || find "$old" -prune -mtime +1 -exec rm -rf {} +
done
stage=$data/unitbee/.new.$nonce
words=$(mkdir -m 700 "$stage" 2>&1) || fail "make folder $stage" "$words"
cd "$stage" || exit 1
words=$(tar -xpmof - 2>&1) || fail "write $stage" "$words"
if lookup sha256sum; then set -- sha256sum; else set -- shasum -a 256; fi
if [ -s sums ]; then
  words=$("$@" -c sums 2>&1) || fail "check what arrived in $stage" "$words"
fi
[ -f plan ] || fail "read $stage/plan" "it did not arrive"
exec 4<plan

set --
count=0
while next && [ "$verb" = put ]; do
  resolve "$base" "$rest" || fail "write $rest" "there is no such place on this host"
  [ ! -d "$path" ] || fail "write $path" "a folder is there"
  kind=public
  case $base,$rest in data,unitbee/* | state,unitbee/*) kind=private ;; esac
  folder "${path%/*}" "$kind"
  temp=${path%/*}/.unitbee.$nonce.$count
  temps=$temps$temp$nl
  words=$(mv -f "$count" "$temp" 2>&1) || fail "write $path" "$words"
  set -- "$@" "$temp"
  count=$((count + 1))
done
settle "$@"

exec 4<plan
parents=$nl
while next && [ "$verb" = put ]; do
  resolve "$base" "$rest"
  words=$(mv -f "$1" "$path" 2>&1) || fail "write $path" "$words"
  shift
  case $parents in
    *"$nl${path%/*}$nl"*) ;;
    *) parents=$parents${path%/*}$nl ;;
  esac
done
IFS=$nl
set -f
# shellcheck disable=SC2086
set -- $parents
unset IFS
set +f
settle "$@"

cd /
while [ "$verb" = remove ]; do
  resolve "$base" "$rest" && { words=$(rm -rf "$path" 2>&1) || fail "remove $path" "$words"; }
  next || verb=''
done
clean
while [ "$verb" = prune ]; do
  resolve "$base" "$rest" && [ -d "$path" ] && prune
  next || verb=''
done
mark end 0

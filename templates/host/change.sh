# shellcheck shell=sh disable=SC2154
# Puts files in place, removes others, appends lines. Without $2, standard input is the plan, three lines for each step:
# put, remove, prune or append; the base; the rest of the path; for append a fourth, the line; and at last `end`. With $2
# it is a tar archive: the contents as 0, 1, 2 …, each with its final mode; `sums` with their digests; and last `plan`. All
# content is checked, in the folder that it goes to, and synced, before the first rename. $1 is the token of the lock that
# all this is done under, if any.

fence=$1 ships=$2
made='' temps='' stage=''

# Makes a folder and what is missing above it, for us alone where it is below one that is called unitbee.
folder() {
  [ -d "$1" ] && return
  case ${1%/*} in
    '') ;;
    *) folder "${1%/*}" "$2" ;;
  esac
  made=$1$nl$made
  # Where we are killed, the next change finds there what to remove.
  [ -z "$stage" ] || printf '%s' "$made" >"$stage/made"
  case $2,$1/ in
    private,*/unitbee/*) words=$(mkdir -m 700 "$1" 2>&1) ;;
    *) words=$(mkdir "$1" 2>&1) ;;
  esac || [ -d "$1" ] || fail "make folder $1" "$words"
}

# Removes what was not meant to stay: the folders that we made only where they are still empty.
clean() {
  cd /
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

# Ends where the lock is lost.
guard() {
  if [ -z "$fence" ] || [ -e "$fence" ]; then return; fi
  clean
  mark end lost
  exit 1
}

# Removes what changes on this host left that were killed, and what those of older versions left that did not say on
# which host they were.
sweep() {
  left=$(find "$data/unitbee" "$state/unitbee" "$config/unitbee" "$config/systemd/user" "$home/Library/LaunchAgents" \
    -maxdepth 5 \( -name ".new.$node@*" -o -name ".unitbee.$node@*" -o \
    \( -name '.new.*' -o -name '.unitbee.*' \) ! -name '*@*' -mtime +0 \) -prune -print)
  IFS=$nl
  set -f
  for entry in $left; do
    [ ! -f "$entry/made" ] || made=$made$(cat "$entry/made")$nl
    rm -rf "$entry"
    while entry=${entry%/*}; do
      case $entry in
        */unitbee | */unitbee/*) made=$made$entry$nl ;;
        *) break ;;
      esac
    done
  done
  # Folders that were made for what did not come; those that hold something stay.
  # shellcheck disable=SC2086
  [ -z "$made" ] || rmdir $made
  made=''
  unset IFS
  set +f
}

# Syncs what is named on the lines of $1, or everything where this host cannot sync a single file.
settle() {
  [ -n "$1" ] || return 0
  IFS=$nl
  set -f
  # shellcheck disable=SC2086
  sync $1 2>/dev/null || sync
  unset IFS
  set +f
}

# Names the file of number $count until it is in its place.
name() {
  temp=${path%/*}/.unitbee.$node@$nonce.$count
}

# Adds the line $1 to the file $path. What cannot be noted has happened all the same.
append() {
  words=$({
    umask 077
    mkdir -p "${path%/*}" || exit
    [ -z "$(find "$path" -prune -size +2048 2>/dev/null)" ] || mv -f "$path" "$path.1" || exit
    # The disk may have been full in the middle of the last one.
    [ -z "$(tail -c 1 "$path" 2>/dev/null)" ] || set -- "$nl$1"
    # What is built into a shell does not always say why it cannot write.
    printf '%s\n' "$1" | cat >>"$path"
  } 2>&1) || { mark "note append to $path" && printf '%s' "$words"; }
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
node=${node%%/*}
guard
[ -z "$fence" ] || sweep

if [ -n "$ships" ]; then
  folder "$data/unitbee" private
  stage=$data/unitbee/.new.$node@$nonce
  words=$(mkdir -m 700 "$stage" 2>&1) || fail "make folder $stage" "$words"
  cd "$stage" || exit 1
  words=$(tar -xpmof - 2>&1) || fail "write $stage" "$words"
  if lookup sha256sum; then set -- sha256sum; else set -- shasum -a 256; fi
  if [ -s sums ]; then
    words=$("$@" -c sums 2>&1) || fail "check what arrived in $stage" "$words"
  fi
  plan=$(cat plan)
else
  plan=$(cat)
fi
case $nl$plan in
  *"${nl}end") ;;
  *) fail 'read the plan' 'it did not arrive' ;;
esac

IFS=$nl
set -f
# shellcheck disable=SC2086
set -- $plan
unset IFS
set +f
count=0
while [ "$1" = put ]; do
  resolve "$2" "$3" || fail "write $3" "there is no such place on this host"
  [ ! -d "$path" ] || fail "write $path" "a folder is there"
  kind=public
  case $2,$3 in data,unitbee/* | state,unitbee/*) kind=private ;; esac
  folder "${path%/*}" "$kind"
  name
  temps=$temps$temp$nl
  words=$(mv -f "$count" "$temp" 2>&1) || fail "write $path" "$words"
  count=$((count + 1))
  shift 3
done
settle "$temps"

guard
IFS=$nl
set -f
# shellcheck disable=SC2086
set -- $plan
unset IFS
set +f
count=0
parents=''
while [ "$1" = put ]; do
  resolve "$2" "$3"
  name
  words=$(mv -f "$temp" "$path" 2>&1) || fail "write $path" "$words"
  case $nl$parents in
    *"$nl${path%/*}$nl"*) ;;
    *) parents=$parents${path%/*}$nl ;;
  esac
  count=$((count + 1))
  shift 3
done
settle "$parents"

while [ "$1" = remove ]; do
  resolve "$2" "$3" && { words=$(rm -rf "$path" 2>&1) || fail "remove $path" "$words"; }
  shift 3
done
while [ "$1" = append ]; do
  resolve "$2" "$3" && append "$4"
  shift 4
done
clean
while [ "$1" = prune ]; do
  resolve "$2" "$3" && [ -d "$path" ] && prune
  shift 3
done
mark end 0

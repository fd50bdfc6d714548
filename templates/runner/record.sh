# shellcheck shell=sh disable=SC2034,SC2154
# --- the record ---

# Reads what the last runner noted. Sets what begins with `was_`; fails where there is no record that can be believed,
# and then sets damaged if there is something at its place.
recall() {
  was_state='' was_pid=0 was_start='' was_runner=0 was_runner_start='' was_boot='' was_node='' was_invocation=''
  was_cgroup='' was_definition='' was_generation=0 version='' whole='' damaged=''
  [ -e "$registry/$unit.json" ] || return 1
  damaged=1
  [ -f "$registry/$unit.json" ] && [ -r "$registry/$unit.json" ] || return 1
  while IFS= read -r line; do
    value=${line#*: } value=${value%,} value=${value#'"'} value=${value%'"'}
    case $line in
      '}') whole=1 ;;
      '  "version": '*) version=$value ;;
      '  "generation": '*) was_generation=$value ;;
      '  "state": '*) was_state=$value ;;
      '  "pid": '*) was_pid=$value ;;
      '  "start": '*) was_start=$value ;;
      '  "runner": '*) was_runner=$value ;;
      '  "runner_start": '*) was_runner_start=$value ;;
      '  "boot": '*) was_boot=$value ;;
      '  "node": '*) was_node=$value ;;
      '  "invocation": '*) was_invocation=$value ;;
      '  "cgroup": '*) was_cgroup=$value ;;
      '  "definition": '*) was_definition=$value ;;
    esac
  done <"$registry/$unit.json"
  case $was_pid$was_runner$was_generation in *[!0-9]*) return 1 ;; esac
  case $was_invocation in *[!0-9a-f]*) return 1 ;; esac
  case $version,$whole in 1,1) ;; *) return 1 ;; esac
  # Of another host that shares the folder, and was orderly put down there.
  case $was_node,$was_state in *,stopped | *,failed | "$node",*) damaged='' ;; esac
  [ "$was_node" = "$node" ]
}

# Puts aside a record that cannot be believed.
set_aside() {
  words=$({ rm -rf "$registry/$unit.json.damaged" && mv "$registry/$unit.json" "$registry/$unit.json.damaged"; } 2>&1)
}

# Keeps room for one record, for when the disk is full: a second file, which takes the record's place then.
reserve() {
  [ -e "$registry/$unit.spare" ] || {
    words=$(umask 077 && { cat "$registry/$unit.json" >"$registry/.$unit.$$" && mv -f "$registry/.$unit.$$" "$registry/$unit.spare"; } 2>&1) ||
      { rm -f "$registry/.$unit.$$" && return 1; }
  }
}

# Makes $1 the record: a new file, or the spare one where there is no room for that. The spare one is written in place and
# the record becomes the spare one; without hard links it is gone then. cat(1) tells of a full disk, where shells know only
# an "I/O error".
write_record() {
  words=$({ printf '%s\n' "$1" | cat >"$registry/.$unit.$$" && mv -f "$registry/.$unit.$$" "$registry/$unit.json"; } 2>&1) &&
    return
  rm -f "$registry/.$unit.$$"
  [ -e "$registry/$unit.spare" ] || return 1
  printf '%s\n' "$1" | cat 2>/dev/null 1<>"$registry/$unit.spare" &&
    dd if=/dev/null of="$registry/$unit.spare" bs=1 seek=$((${#1} + 1)) count=0 2>/dev/null || return 1
  ln "$registry/$unit.json" "$registry/.$unit.$$" 2>/dev/null
  mv -f "$registry/$unit.spare" "$registry/$unit.json" || return 1
  [ ! -e "$registry/.$unit.$$" ] || mv -f "$registry/.$unit.$$" "$registry/$unit.spare"
}

# Notes how things are: state $1. Every value is a number or a word of our own, so that none needs escaping.
note() {
  state=$1
  generation=$((generation + 1))
  write_record "$(
    {
      printf '{\n  "version": 1,\n  "unit": "%s",\n  "release": %s,\n  "definition": "%s",\n' \
        "$unit" "$release" "$definition" &&
        printf '  "generation": %s,\n  "uid": %s,\n  "node": "%s",\n  "boot": "%s",\n' \
          "$generation" "$uid" "$node" "$boot" &&
        printf '  "runner": %s,\n  "runner_start": "%s",\n  "state": "%s",\n' $$ "$runner_start" "$state" &&
        printf '  "pid": %s,\n  "start": "%s",\n  "since": %s,\n  "invocation": "%s",\n' \
          "${main:-0}" "$main_start" "$since" "$invocation" &&
        printf '  "command": "%s",\n  "executable": "%s",\n  "cgroup": "%s",\n  "unlimited": "%s",\n' \
          "$command" "$executable" "$cgroup" "$unlimited" &&
        printf '  "log": "%s",\n  "restarts": %s,\n  "exit": %s,\n  "last_exit": %s,\n  "oom": %s,\n  "gave_up": %s\n}\n' \
          "${logs##*/}" "$restarts" "${ended:-null}" "${last_exit:-null}" "$oom" "$gave_up"
    } 2>/dev/null
  )" && { reserve || :; }
}

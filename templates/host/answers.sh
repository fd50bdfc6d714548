# shellcheck shell=sh disable=SC2154
# Answers to questions: one record for each, in their order, then what /proc says of all cgroups that were asked for.

facts() {
  boot='' up=0 ticks=100 bus=0 systemd=0 linger=0
  [ -r /proc/sys/kernel/random/boot_id ] && read -r boot </proc/sys/kernel/random/boot_id
  [ -r /proc/uptime ] && read -r up _ </proc/uptime
  # Linux shows user space 100 ticks a second, whatever its own clock does.
  case $system in
    Linux*) ;;
    *) ticks=$(getconf CLK_TCK) ;;
  esac
  [ -S "/run/user/$uid/bus" ] && bus=1
  [ -d /run/systemd/system ] && systemd=1
  [ -e "/var/lib/systemd/linger/$user" ] && linger=1
  mark facts
  printf '%s\n' "os ${system%% *}" "arch ${system#* }" "user $user" "uid $uid" "home $home" "config $config" \
    "data $data" "state $state" "cgroup $cgroup" "root $root" "boot_id $boot" "now $(date +%s.%N)" "uptime ${up%%.*}" \
    "ticks $ticks" "bus $bus" "systemd $systemd" "linger $linger"
}

# Prints the mode (m) or size (s) of what is at a path, behind a link or (with h) of the link itself. Becomes stat(1):
# only for a subshell.
inode() {
  case $system,$1,${3-} in
    Linux*,m,) exec stat -L -c %a "$2" ;;
    Linux*,m,h) exec stat -c %a "$2" ;;
    Linux*,s,) exec stat -L -c %s "$2" ;;
    *,m,) exec stat -L -f %Mp%Lp "$2" ;;
    *,m,h) exec stat -f %Mp%Lp "$2" ;;
    *,s,) exec stat -L -f %z "$2" ;;
  esac
}

file() {
  follow=
  if [ -h "$path" ]; then
    mark link
    readlink "$path"
    [ -e "$path" ] || follow=h
  elif [ ! -e "$path" ]; then
    mark none
    return
  fi
  if ! mode=$(inode m "$path" $follow 2>&1); then
    # It may have gone since we looked.
    [ -e "$path" ] && fail "read $path" "$mode"
    mark none
    return
  fi
  mark "file $mode $path"
  if [ -f "$path" ]; then
    words=$(head -c 1048577 "$path" 2>&1 >&3) || fail "read $path" "$words"
  elif [ ! -h "$path" ]; then
    fail "read $path" "not a regular file"
  fi
}

size() {
  if bytes=$(inode s "$path" 2>&1); then
    mark "size $bytes"
  else
    [ -e "$path" ] && fail "read $path" "$bytes"
    mark none
  fi
}

tree() {
  mark tree
  [ -d "$path" ] || return 0
  if lookup sha256sum; then set -- sha256sum; else set -- shasum -a 256; fi
  words=$({ cd "$path" && exec env LC_ALL=C find -L . -maxdepth 2 -type f ! -path "*[[:cntrl:]]*" -exec "$@" {} + >&3; } 2>&1) &&
    return
  # Somebody else may be at work there: what went meanwhile is not there.
  [ -d "$path" ] || return 0
  words=$(printf '%s\n' "$words" | grep -v 'No such file or directory$')
  [ -z "$words" ] || fail "read $path" "$words"
}

program() {
  case $1 in
    */* | '') mark none ;;
    *) if lookup "$1"; then mark program && printf '%s' "$found"; else mark none; fi ;;
  esac
}

cgroup() {
  if [ ! -e "$path/cgroup.procs" ]; then
    mark none
    return
  fi
  mark cgroup
  printf '%s' "$path"
  case $nl$trees in
    *"$nl$path$nl"*) ;;
    *) trees=$trees$path$nl ;;
  esac
}

# Prints the control files of the cgroups in $trees and of those above them, their processes, and what these listen on.
processes() {
  IFS=$nl
  set -f
  seen=$nl
  for folder in $trees; do
    while :; do
      case $seen in *"$nl$folder$nl"*) break ;; esac
      seen=$seen$folder$nl
      case $folder in "$root"/*) folder=${folder%/*} ;; *) break ;; esac
    done
  done
  set --
  for folder in $seen; do
    for name in cgroup.controllers cgroup.events cpu.max cpu.stat memory.current memory.events memory.max memory.peak \
      memory.swap.max pids.current pids.max; do
      set -- "$@" "$folder/$name"
    done
  done
  mark control
  grep -sH '' "$@"

  # shellcheck disable=SC2086
  procs=$(find $trees -name cgroup.procs -exec grep -sH '' {} + 2>/dev/null)
  mark procs
  printf '%s\n' "$procs"
  set --
  for line in $procs; do set -- "$@" "/proc/${line##*:}/stat"; done
  mark stat
  [ $# -eq 0 ] || grep -sH '' "$@"
  set --
  for line in $procs; do set -- "$@" "/proc/${line##*:}/exe"; done
  mark exe
  [ $# -eq 0 ] || ls -ld "$@" 2>/dev/null

  set --
  tables=
  for folder in $listening; do
    first=
    for line in $procs; do
      case $line in "$folder"/*) ;; *) continue ;; esac
      pid=${line##*:}
      set -- "$@" "/proc/$pid/fd"
      # The first of them shows the network of the service, which need not be ours.
      [ -n "$first" ] || tables=$tables/proc/$pid/net/tcp$nl/proc/$pid/net/tcp6$nl
      first=$pid
    done
  done
  mark fds
  # A file among the folders, so that each of them gets its heading even when there is only one.
  [ $# -eq 0 ] || ls -ln /dev/null "$@" 2>/dev/null
  mark net
  # shellcheck disable=SC2086
  [ -z "$tables" ] || grep -sh ' 0A ' $tables
  unset IFS
  set +f
}

# Takes questions of three words each: what, base, rest of the path.
answers() {
  exec 3>&1
  trees='' listening=''
  facts
  while [ $# -gt 2 ]; do
    if [ "$1" = program ]; then
      program "$3"
    elif ! resolve "$2" "$3"; then
      mark none
    else
      case $1 in
        file) file ;;
        size) size ;;
        tree) tree ;;
        cgroup) cgroup ;;
        listeners) cgroup && listening=$listening$path$nl ;;
      esac
    fi
    shift 3
  done
  [ -z "$trees" ] || processes
}

# shellcheck shell=sh disable=SC2154
# Answers to questions: one record for each, in their order, then what is read at one go for all of them, because
# starting a program is what takes the time: files, and what /proc says of cgroups. A list is one string with a name on
# each line: for each word that is added to "$@" a shell copies all of them.

# Sets boot to what tells this boot from every other.
boot_of() {
  boot=
  case $system in
    Linux) [ -r /proc/sys/kernel/random/boot_id ] && read -r boot </proc/sys/kernel/random/boot_id ;;
    *) lookup sysctl && boot=$("$found" -n kern.bootsessionuuid 2>/dev/null) ;;
  esac
}

facts() {
  up=0 ticks=100 bus=0 systemd=0 linger=0
  boot_of
  [ -r /proc/uptime ] && read -r up _ </proc/uptime
  # Linux shows user space 100 ticks a second, whatever its own clock does.
  case $system in
    Linux) ;;
    *) ticks=$(getconf CLK_TCK) ;;
  esac
  [ -S "/run/user/$uid/bus" ] && bus=1
  [ -d /run/systemd/system ] && systemd=1
  [ -e "/var/lib/systemd/linger/$user" ] && linger=1
  now=$(date +%s.%N)
  case $now in
    *.*[!0-9]*)
      while read -r key boot_time _ && [ "$key" != btime ]; do :; done 2>/dev/null </proc/stat &&
        now=$((boot_time + ${up%.*})).${up#*.}0000
      ;;
  esac
  mark facts
  printf '%s\n' "os $system" "arch $arch" "node $node" "user $user" "uid $uid" "home $home" "config $config" \
    "data $data" "state $state" "cgroup $cgroup" "boot_id $boot" "now $now" "uptime $up" \
    "ticks $ticks" "bus $bus" "systemd $systemd" "linger $linger"
}

# Becomes stat(1), which prints mode, size and name of what is at the paths or, behind a link, of what that leads to.
# Only for a subshell.
inodes() {
  case $system in
    Linux) exec stat -L -c '%f %s %n' "$@" ;;
    # By its path: GNU's, which many put first on a Mac, takes -f for something else.
    *) exec /usr/bin/stat -L -f '%Xp %z %N' "$@" ;;
  esac 2>/dev/null
}

# Shows all files that were asked for; fails where one of them goes meanwhile.
show() {
  # shellcheck disable=SC2086
  found=$(inodes $files)
  mark inodes
  printf '%s\n' "$found"
  for path in $files; do
    [ -h "$path" ] && mark "link $path" && readlink "$path"
  done
  whole=''
  for line in $found; do
    # Regular files (S_IFREG is 0x8000) that are not too large.
    case $line in 8???' '*) ;; *) continue ;; esac
    line=${line#* }
    [ "${line%% *}" -gt 1048576 ] || whole=$whole${line#* }$nl
  done
  mark contents
  [ -n "$whole" ] || return 0
  # shellcheck disable=SC2086
  words=$(exec cat $whole 2>&1 >&3) && return
  for path in $whole; do
    [ -e "$path" ] || return
    [ -r "$path" ] || fail "read $path" 'Permission denied'
  done
  fail 'read files' "$words"
}

tree() {
  mark tree
  [ -d "$path" ] || return 0
  if lookup sha256sum; then set -- sha256sum; else set -- shasum -a 256; fi
  set -- ! -path "*[[:cntrl:]]*" ! -name '.unitbee.*' -exec "$@" {} +
  words=$({ cd "$path" && exec env LC_ALL=C find -L . -maxdepth 2 -type f "$@" >&3; } 2>&1) && return
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

# Prints everything that listens on TCP.
listening() {
  mark listening
  case $system in
    Linux) grep -sh ' 0A ' /proc/net/tcp /proc/net/tcp6 ;;
    *) netstat -an 2>/dev/null | grep LISTEN ;;
  esac
}

# Names the C library of a Linux host: getconf(1) of glibc prints its version, musl is known by its loader, and ldd(1) is for
# hosts without getconf(1).
libc() {
  mark libc
  [ "$system" = Linux ] || return 0
  getconf GNU_LIBC_VERSION 2>/dev/null || ls -d /lib/ld-musl-* 2>/dev/null || ldd --version 2>/dev/null
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

# Shows what is in a folder, and the lines of its .json files.
folder() {
  mark folder
  if [ -d "$path" ]; then
    for entry in "$path"/*; do [ ! -e "$entry" ] || printf '%s\n' "$entry"; done
  fi
  mark lines
  grep -sH '' "$path"/*.json
}

# Shows the descriptors of processes, and the listening sockets of the network of each; without /proc what lsof(8) tells.
sockets() {
  if [ "$system" != Linux ]; then
    mark lsof
    # shellcheck disable=SC2046
    [ -z "$1" ] || ! lookup lsof || "$found" -nP -a -p "$(printf %s "$1" | tr ' ' ,)" -iTCP -sTCP:LISTEN -Fn 2>/dev/null
    return
  fi
  mark sockets
  tables='' folders=''
  for pid in $1; do
    folders="$folders /proc/$pid/fd"
    tables="$tables /proc/$pid/net/tcp /proc/$pid/net/tcp6"
  done
  # shellcheck disable=SC2086
  [ -z "$folders" ] || ls -ln /dev/null $folders 2>/dev/null
  mark tables
  # shellcheck disable=SC2086
  [ -z "$tables" ] || grep -sh ' 0A ' $tables
}

# Tells whether runners may be at work on this host, or will be.
is_for_runners() { [ -e "$path" ] || [ "$system,$systemd" = Linux,0 ]; }

# Shows all processes of the host.
table() {
  is_for_runners || { mark none && return; }
  mark table
  grep -sH '' /proc/[0-9]*/stat
  mark programs
  ls -ld /proc/[0-9]*/exe 2>/dev/null
  mark resident
  grep -sH '^VmRSS:' /proc/[0-9]*/status
}

crontab() {
  if ! is_for_runners || ! lookup crontab; then
    mark none
    return
  fi
  case $("$found" --help 2>&1 </dev/null) in
    BusyBox*)
      mark busybox
      return
      ;;
  esac
  if told=$("$found" -l 2>&1 </dev/null); then
    mark crontab
    printf '%s\n' "$told"
    return
  fi
  # Who has none yet is told so, and who may have none in other words.
  case $told in
    *'no crontab'*) mark crontab ;;
    *) mark none ;;
  esac
}

# Runs a script that is for hosts of one system: $1 names it and, in the lines below, the arguments. The script itself,
# $2 bytes, is on standard input: only a host that is to run it takes the time to read it.
script() {
  case $1$nl in
    "$system$nl"*) ;;
    *) mark none && return ;;
  esac
  mark script
  text=$(dd bs=1 count="$2" 2>/dev/null)
  IFS=$nl
  set -f
  # shellcheck disable=SC2086
  set -- $1
  unset IFS
  set +f
  shift
  sh -c "$text" sh "$@" </dev/null 2>/dev/null
}

# Shows the token of a lock: its name, when its process started, and what is in it.
locked() {
  mark locked
  set -- "$path@${node%%/*}"/*
  [ -e "$1" ] || return 0
  token=${1##*/}
  echo "$token"
  cat "/proc/${token%%.*}/stat" || TZ=UTC0 LC_ALL=C ps -o stat= -o lstart= -p "${token%%.*}"
  echo
  head -c 1000 "$1"
} 2>/dev/null

# Adds the cgroups below $1 to members.
below() {
  for folder in "$1"/*/; do
    [ -e "$folder" ] || continue
    members=$members${folder%/}/cgroup.procs$nl
    below "${folder%/}"
  done
}

# Prints the control files of the cgroups in $trees, their processes, and what these listen on.
processes() {
  controls='' members=''
  for folder in $trees; do
    for name in cgroup.controllers cgroup.events cpu.max cpu.stat memory.current memory.events memory.max memory.peak \
      memory.swap.max pids.current pids.max; do
      controls=$controls$folder/$name$nl
    done
  done
  set +f
  for folder in $trees; do
    members=$members$folder/cgroup.procs$nl
    below "$folder"
  done
  set -f
  # shellcheck disable=SC2086
  told=$(exec grep -sH '' $controls $members)
  mark control
  printf '%s\n' "$told"

  procs=
  for line in $told; do
    case $line in */cgroup.procs:*) procs=$procs$line$nl ;; esac
  done
  stats='' programs=''
  for line in $procs; do
    stats=$stats/proc/${line##*:}/stat$nl programs=$programs/proc/${line##*:}/exe$nl
  done
  mark stat
  # shellcheck disable=SC2086
  [ -z "$stats" ] || grep -sH '' $stats
  mark exe
  # shellcheck disable=SC2086
  [ -z "$programs" ] || ls -ld $programs 2>/dev/null

  fds='' tables=''
  for folder in $listening; do
    first=
    for line in $procs; do
      case $line in "$folder"/*) ;; *) continue ;; esac
      pid=${line##*:}
      fds=$fds/proc/$pid/fd$nl
      # The first of them shows the network of the service, which need not be ours.
      [ -n "$first" ] || tables=$tables/proc/$pid/net/tcp$nl/proc/$pid/net/tcp6$nl
      first=$pid
    done
  done
  mark fds
  # A file among the folders, so that each of them gets its heading even when there is only one.
  # shellcheck disable=SC2086
  [ -z "$fds" ] || ls -ln /dev/null $fds 2>/dev/null
  mark net
  # shellcheck disable=SC2086
  [ -z "$tables" ] || grep -sh ' 0A ' $tables
}

# Takes questions of three words each: what, base, rest of the path.
answers() {
  exec 3>&1
  files='' sizes='' trees='' listening=''
  facts
  while [ $# -gt 2 ]; do
    resolve "$2" "$3" || path=
    case $1,$path in
      program,* | sockets,*) "$1" "$3" ;;
      script,*) script "$2" "$3" ;;
      listening,* | libc,*) "$1" ;;
      *,) mark none ;;
      file,*) mark "at $path" && files=$files$path$nl ;;
      size,*) mark "at $path" && sizes=$sizes$path$nl ;;
      listeners,*) cgroup && listening=$listening$path$nl ;;
      tree,* | cgroup,* | folder,* | table,* | crontab,* | locked,*) "$1" ;;
    esac
    shift 3
  done
  IFS=$nl
  set -f
  if [ -n "$files" ]; then
    show || show || show || fail 'read files' "$words"
  fi
  if [ -n "$sizes" ]; then
    mark sizes
    # shellcheck disable=SC2086
    (inodes $sizes)
  fi
  [ -z "$trees" ] || processes
  unset IFS
  set +f
}

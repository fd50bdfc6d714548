# shellcheck shell=sh disable=SC2034,SC2154
# Who we are on this host and where things are: the XDG folders are those of the user's service manager.

places() {
  # What the kernel tells by itself needs no program: Linux has a file for the processor since 6.1.
  if [ -r /proc/sys/kernel/arch ]; then
    read -r system </proc/sys/kernel/ostype
    read -r arch </proc/sys/kernel/arch
  else
    system=$(uname -sm)
    arch=${system#* } system=${system%% *}
  fi
  # What tells this host from others that share the home.
  if [ -r /proc/sys/kernel/hostname ]; then read -r node </proc/sys/kernel/hostname; else node=$(uname -n); fi
  # sshd says who logged in, and Linux what number that is; elsewhere id(1) does.
  uid='' user=${LOGNAME-}
  if [ -n "$user" ] && [ -r /proc/self/status ]; then
    while read -r key _ uid _ && [ "$key" != Uid: ]; do uid=''; done </proc/self/status
  fi
  if [ -z "$uid" ]; then
    ids=$(id)
    ids=${ids%% gid=*}
    uid=${ids#uid=}
    uid=${uid%%"("*}
    case $ids in
      *"("*) user=${ids#*"("} user=${user%")"} ;;
      *) user=${LOGNAME:-$uid} ;;
    esac
  fi
  case ${HOME-} in
    /*) home=$HOME ;;
    *) home=/ ;;
  esac
  config=$home/.config
  data=$home/.local/share
  state=$home/.local/state
  manager=user.slice/user-$uid.slice/user@$uid.service

  # On a host that still has v1 controllers, the v2 tree is beside them.
  root=/sys/fs/cgroup
  [ -e $root/unified/cgroup.procs ] && root=$root/unified
  cgroup=
  [ -d "$root/$manager" ] && cgroup=$root/$manager

  for tree in /sys/fs/cgroup /sys/fs/cgroup/unified /sys/fs/cgroup/systemd; do
    [ -r "$tree/$manager/init.scope/cgroup.procs" ] || continue
    # systemd and its (sd-pam) helper are both in there; the environment of the helper cannot be read.
    while read -r pid; do
      environ=$(tr '\0' '\n' 2>/dev/null <"/proc/$pid/environ") || continue
      [ -n "$environ" ] && break 2
    done <"$tree/$manager/init.scope/cgroup.procs"
  done 2>/dev/null
  IFS=$nl
  set -f
  for variable in ${environ-}; do
    case $variable in
      XDG_CONFIG_HOME=/*) config=${variable#*=} ;;
      XDG_DATA_HOME=/*) data=${variable#*=} ;;
      XDG_STATE_HOME=/*) state=${variable#*=} ;;
    esac
  done
  unset IFS environ
  set +f
}

# Makes a path absolute from its base and the rest. Sets path; fails where the base is not on this host.
resolve() {
  case $1 in
    root) path=${2:+/$2} path=${path:-/} && return ;;
    home) path=$home ;;
    config) path=$config ;;
    data) path=$data ;;
    state) path=$state ;;
    runtime) path=/run/user/$uid ;;
    cgroup) path=$cgroup ;;
  esac
  [ -n "$path" ] && path=$path${2:+/$2}
}

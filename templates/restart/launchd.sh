# shellcheck shell=sh disable=SC2154
# --- the order for launchd ---
#
# This is only for when our side has gone away: it does what is needed in the simplest way that works.

launchctl() {
  case $1 in
    system | system/*) sudo -n /bin/launchctl "$verb" "$@" ;;
    *) /bin/launchctl "$verb" "$@" ;;
  esac
}

is_loaded() {
  verb=print
  launchctl "$1" >/dev/null 2>&1
}

# Unloads the target $1 and waits until it is gone: nothing can be loaded by its label before that.
unload() {
  tries=0
  while is_loaded "$1" && [ "$tries" -lt 900 ]; do
    # What was told and goes on as if it had not heard is told again.
    verb=bootout
    [ $((tries % 15)) -ne 0 ] || launchctl "$1"
    tries=$((tries + 1))
    doze 0.2
  done
}

# Loads a job by load.sh, whose text is $1 and whose first arguments are $2 to $6, after the targets that follow were
# unloaded.
order() {
  load=$1 log=$2 domain=$3 label=$4 file=$5 note=$6
  shift 6
  for target; do unload "$target"; done
  sudo=''
  [ "$domain" != system ] || sudo='sudo -n'
  tries=10
  # shellcheck disable=SC2086
  until sh -c "$load" sh "$log" "$domain" "$label" "$file" "$note" $sudo | grep '^bootstrap 0$' ||
    is_loaded "$domain/$label" || [ "$tries" -eq 0 ]; do
    tries=$((tries - 1))
    sleep 2
  done
  sleep 3
  verb=kickstart
  launchctl "$domain/$label"
}

# shellcheck shell=sh
# --- the order for systemd ---

manage() {
  systemctl --user --no-pager --no-ask-password "$@"
}

# Restarts the unit $1, then starts the units that follow: those that depend on it and were active before. The manager
# brings them back by itself only if it was the one that stopped them.
order() {
  # It counts every start against its limit: one that somebody asks for must not be the one too many.
  manage reset-failed -- "$1" 2>/dev/null
  manage restart -- "$1"
  result=$?
  if [ "$result" -gt 128 ]; then
    # Whoever ends a session ends systemctl(1) with it, maybe before the manager has the job.
    manage restart -- "$1"
    result=$?
  fi
  shift
  [ "$result" -ne 0 ] || [ $# -eq 0 ] || manage start -- "$@"
  return "$result"
}

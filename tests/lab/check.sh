# shellcheck shell=bash
# How the lab proves what is said of it. Whoever reads this in has set `run`, the folder of the running lab.

passed=0 failed=0

# check NAME COMMAND…: the command is to succeed; its output is shown only if it does not.
check() {
  local name=$1 output
  shift
  if output=$("$@" 2>&1); then
    printf 'ok %s\n' "$name"
    passed=$((passed + 1))
  else
    printf 'FAIL %s: %s\n' "$name" "${output//$'\n'/ | }"
    failed=$((failed + 1))
  fi
}

# on HOST SCRIPT: as bee, over ssh.
on() { ssh -F "$run/$1/ssh_config" -o BatchMode=yes -o ConnectTimeout=15 "$1" "$2" </dev/null; }

refuses() { ! "$@"; }

is() {
  local want=$1 got
  shift
  got=$("$@")
  [[ $got == "$want" ]] || { echo "wanted '$want', got '$got'" && return 1; }
}

exit_status() {
  "${@:2}"
  (($? == $1))
}

# summary: prints what there was and fails if any check did.
summary() {
  printf '%s passed, %s failed\n' "$passed" "$failed"
  ((failed == 0))
}

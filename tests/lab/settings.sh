# shellcheck shell=bash
# Where things are and what they are called. Everything a lab owns on this machine carries its id.

readonly SUITES=(bullseye bookworm trixie forky)
readonly BASES=("${SUITES[@]}" busybox cron vm)
readonly CACHE=${UNITBEE_LAB_CACHE:-/var/cache/unitbee-lab}
readonly RUN=${UNITBEE_LAB_RUN:-/run/unitbee-lab}

say() { printf 'lab: %s\n' "$*" >&2; }

die() {
  say "$*"
  exit 1
}

usage_error() {
  say "$*; see 'lab help'"
  exit 64
}

digest() { sha256sum | cut -c "1-$1"; }

default_lab_id() {
  local checkout
  checkout=$(cd "$LAB_HOME/../.." && pwd -P)
  printf '%s-%s' "$(basename "$checkout" | tr -cd '[:alnum:]')" "$(printf '%s' "$checkout" | digest 6)"
}

choose_lab() {
  LAB_ID=$1
  LAB_DIR=$RUN/$1
}

choose_lab "${UNITBEE_LAB_ID:-$(default_lab_id)}"
[[ $LAB_ID =~ ^[A-Za-z0-9-]{1,40}$ ]] || usage_error "UNITBEE_LAB_ID '$LAB_ID' may hold letters, digits and '-' only"

# shellcheck shell=bash
# Base images: made once, shared by all labs of this machine, never written to again.

recipes() {
  case $1 in
    vm) echo bootstrap debian vm ;;
    busybox) echo bootstrap busybox ;;
    cron) echo bootstrap debian cron ;;
    *) echo bootstrap debian ;;
  esac
}

base_path() {
  local base=$1 recipe digest
  digest=$(for recipe in $(recipes "$base"); do cat "$LAB_HOME/recipe/$recipe.sh"; done | digest 12)
  printf '%s/%s-%s\n' "$CACHE" "$base" "$digest"
}

is_suite() { [[ " ${SUITES[*]} " == *" $1 "* ]]; }
is_base() { [[ " ${BASES[*]} " == *" $1 "* ]]; }

require_base() {
  [[ -d $(base_path "$1") ]] || die "no base for $1 yet; run 'lab build $1'"
}

make_base() {
  case $1 in
    vm) make_vm_base "$2" ;;
    busybox) make_busybox_base "$2" ;;
    cron) make_cron_base "$2" ;;
    *) make_debian_base "$1" "$2" ;;
  esac
}

# The lock makes the name of the partial base safe to reuse; the rename makes a base appear whole or not at all.
build_base() {
  local name=$1 base partial=$CACHE/$1.partial log=$CACHE/log/$1.log lock status started=$SECONDS
  base=$(base_path "$name")
  mkdir -p "$CACHE/log"
  exec {lock}>"$CACHE/$name.lock"
  flock "$lock"
  if [[ ! -d $base ]]; then
    say "building $name, log in $log"
    rm -rf --one-file-system "$partial"
    # Not as a condition, which would switch off 'set -e' inside.
    set +e
    (
      set -e
      make_base "$name" "$partial"
    ) >"$log" 2>&1
    status=$?
    set -e
    ((status == 0)) || die "building $name failed, see $log"
    mv "$partial" "$base"
    say "built $name in $((SECONDS - started)) s"
  fi
  exec {lock}>&-
}

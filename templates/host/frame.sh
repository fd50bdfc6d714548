# shellcheck shell=sh disable=SC2034
# The beginning of every script: records on standard output, each after a line that only this exchange knows, so that
# what a login shell says before it, or a file holds, is never taken for one.

nonce=$1
shift
nl='
'

# Begins a record; what is printed next belongs to it, byte for byte, up to the next one.
mark() {
  printf '\n@%s %s\n' "$nonce" "$*"
}

# What is to be undone before it is told that a step failed.
clean() {
  :
}

# Ends the script: the step that failed, then what the system said of it.
fail() {
  unset IFS
  clean
  mark "fail $1"
  printf '%s' "$2"
  mark end 1
  exit 1
}

# Finds a program by its bare name, also where a non-login shell does not look. Sets found.
lookup() {
  found=
  search=$PATH:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
  IFS=:
  set -f
  for folder in $search; do
    case $folder in
      /*) [ -f "$folder/$1" ] && [ -x "$folder/$1" ] && found=$folder/$1 && break ;;
    esac
  done
  unset IFS
  set +f
  [ -n "$found" ]
}

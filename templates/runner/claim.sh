# shellcheck shell=sh disable=SC2034,SC2154
# --- the claim ---
#
# The claim on a unit is a folder that holds one file, called `free` or for the process that supervises the unit. Of many
# that rename it one succeeds, on NFS too, where no lock can be trusted; and what a dead process left is told by its name.

# Tells whether the process that a claim is called for is dead. That of another host may well live.
is_dead() {
  of=$1
  pid=${of%%.*} of=${of#*.}
  born=${of%%.*} of=${of#*.}
  [ "${of#*.}" = "$node" ] || return 1
  [ "${of%%.*}" = "$boot" ] || return 0
  ! lives "$pid" "$born"
}

make_fresh() { (umask 077 && mkdir -p "$fresh" && : >"$fresh/free") 2>&1; }

# Tells whether the claim $1 is that of another host, about whose processes nothing can be known or done here.
is_elsewhere() {
  case $1 in '' | free | '*') return 1 ;; esac
  [ "${1#*.*.*.}" != "$node" ]
}

# Says where the unit of the claim $1 is supervised.
tell_where() {
  echo "it is supervised on ${1#*.*.*.}, which has the same state folder (if that host is gone for good, remove $claims/$unit)"
}

# Makes the folder with a free claim in it, at one stroke, unless it is there.
prepare() {
  for name in "$claims/$unit"/*; do
    [ ! -e "$name" ] || return 0
  done
  fresh=$claims/.new.$$
  # Who gives back the last claim takes the folder around it away, maybe between two steps of this.
  words=$(make_fresh) || words=$(make_fresh) || words=$(make_fresh) || return 1
  # A folder that is empty lost its file; one that came to be meanwhile takes ours in, from where it goes again.
  rmdir "$claims/$unit" 2>/dev/null
  mv "$fresh" "$claims/$unit" 2>/dev/null
  rm -rf "$fresh" "${claims:?}/$unit/${fresh##*/}"
}

# Takes the claim; else sets holder to who has it, or words to why nobody can.
claim() {
  words='' holder=''
  prepare || return 1
  start_of $$
  ours=$claims/$unit/$$.$start.$boot.$node
  mv "$claims/$unit/free" "$ours" 2>/dev/null && return
  for name in "$claims/$unit"/*; do
    if [ -e "$name" ] && [ "${name##*/}" != free ]; then
      holder=${name##*/}
      is_dead "$holder" && mv "$name" "$ours" 2>/dev/null && return
    fi
  done
  return 1
}

# Gives the claim back, so that nothing is left of it.
unclaim() {
  mv "$claims/$unit" "$claims/.gone.$$" 2>/dev/null && rm -rf "$claims/.gone.$$"
  # Others may have theirs in there.
  rmdir "$claims" 2>/dev/null || :
}

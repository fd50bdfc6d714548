# shellcheck shell=bash
# How packages become a root file system, for every recipe.

# The mirror is asked of apt, so that the lab uses whatever this machine is allowed to use.
debian_mirror() {
  local uri
  # shellcheck disable=SC2016 # these are for apt to expand
  uri=$(apt-get indextargets --format '$(REPO_URI)' 'Created-By: Packages' 'Label: Debian' 'Component: main' | head -n 1)
  [[ -n $uri ]] || die "apt knows no Debian mirror; 'apt-get update' may help"
  printf '%s\n' "$uri"
}

# bootstrap VARIANT SUITE ROOT PACKAGE,…
#
# Valid-Until is not checked because old suites and frozen mirrors are past it; [trusted=yes] because this machine's
# keyring cannot know the keys of suites younger than itself.
bootstrap() {
  local variant=$1 suite=$2 root=$3 packages=$4 mirror
  mirror=$(debian_mirror)
  nice mmdebstrap --variant="$variant" --include="$packages" --aptopt='Acquire::Check-Valid-Until "false"' \
    "$suite" "$root" "deb [trusted=yes] $mirror $suite main"
}

# shellcheck shell=bash
# The newest stable Debian with cron, for hosts whose only way to start something at boot that is.

make_cron_base() {
  make_debian_base trixie "$1" cron
}

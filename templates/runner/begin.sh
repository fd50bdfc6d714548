# shellcheck shell=sh disable=SC2034,SC2154
# Supervises one service on a host that has no service manager. The service's definition makes the settings and the
# function `service`, and ends by reading this program; unitbee feeds it to `sh -s` for what needs no definition.
#
# It runs under dash, bash (3.2 too) and busybox ash. setsid, /proc and cgroups are used where they are. One process of
# many supervises a unit: the one that holds the claim. Only it writes the record. A process is known by its number, its
# start time and the boot; what differs in one of them is dead and is never signalled.

# A definition that has changed is read again by the runner that it once started.
[ -z "${reading-}" ] || return 0

nl='
'

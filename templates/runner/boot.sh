# shellcheck shell=sh disable=SC2034,SC2154
# --- the start at boot ---
#
# One line of the user's crontab for each unit is ours, known by every byte of it. All others stay as they are.

# Sets table to the crontab, with a dot behind it that keeps its last newlines; fails where it cannot be read, because
# then it must not be written either.
read_crontab() {
  command -v crontab >/dev/null || return 1
  if table=$(crontab -l 2>/dev/null && printf .); then return 0; fi
  case $(crontab -l 2>&1) in *[Nn]'o crontab'* | *"can't open"*) table=. ;; *) return 1 ;; esac
}

# Puts the line $1 into the crontab. A host without cron is no error: that nothing starts at boot is told elsewhere. Nor is
# that of busybox, most of which cannot do it; crond of 1.37 even ends with a segmentation fault when it reads the line.
enable() {
  case $(crontab --help 2>&1) in BusyBox*) exit 0 ;; esac
  read_crontab || exit 0
  case $nl$table in *"$nl$1$nl"*) exit 0 ;; esac
  { printf '%s' "${table%.}" && printf '%s\n' "$1"; } | crontab - || exit 1
  echo changed
}

# Takes the line $1 out of the crontab; a crontab without lines goes.
disable() {
  read_crontab || exit 0
  case $nl$table in *"$nl$1$nl"*) ;; *) exit 0 ;; esac
  left=$(printf '%s' "${table%.}" | grep -vxF -e "$1"; printf .)
  if [ "$left" = . ]; then
    crontab -r || exit 1
  else
    printf '%s' "${left%.}" | crontab - || exit 1
  fi
  echo changed
}

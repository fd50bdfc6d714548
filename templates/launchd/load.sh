# shellcheck shell=sh
# Has launchd load a job: $1 its log, $2 its domain, $3 its label, $4 its property list. $5 is a file for a job that is
# disabled and is to stay so: it is there for as long as the job is enabled only to be loaded, so that whoever comes after
# one that was killed in between knows. What follows is put before each call of launchctl. Tells the step that it came to
# and its exit code, then what was said.

log=$1 domain=$2 label=$3 file=$4 again=$5
shift 5
LC_ALL=C
export LC_ALL

# What launchd cannot open for a job, it tells nobody.
words=$({ umask 077 && mkdir -p "${log%/*}" && true >>"$log"; } 2>&1)
code=$? step=log
if [ "$code" -eq 0 ] && [ -n "$again" ]; then
  step=note words=$({ umask 077 && mkdir -p "${again%/*}" && true >"$again"; } 2>&1)
  code=$?
fi
if [ "$code" -eq 0 ]; then
  step=enable words=$("$@" /bin/launchctl enable "$domain/$label" 2>&1)
  code=$?
fi
if [ "$code" -eq 0 ]; then
  step=bootstrap words=$("$@" /bin/launchctl bootstrap "$domain" "$file" 2>&1)
  code=$?
fi
if [ -n "$again" ] && [ "$step" = bootstrap ]; then
  if said=$("$@" /bin/launchctl disable "$domain/$label" 2>&1); then
    rm -f "$again"
  elif [ "$code" -eq 0 ]; then
    step=disable code=1 words=$said
  fi
fi
printf '%s %s\n%s\n' "$step" "$code" "$words"

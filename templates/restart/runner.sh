# shellcheck shell=sh
# --- the order for the runner ---

# Stops the unit $5 by the runner's program $1, with registry $3, claims $4 and at most $6 seconds, and starts it by its
# definition $2.
order() {
  sh -c "$1" sh stop "$3" "$4" "$5" "$6" && sh "$2" start
}

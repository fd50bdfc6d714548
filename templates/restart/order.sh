# shellcheck shell=sh disable=SC2154
# --- one order: end a unit and start it again ---
#
# The order is given before the first step that ends anything, and carried out when our side says `go`, when it goes away,
# or when it has said nothing for 15 s: whatever becomes of it, the unit is restarted once. `done` withdraws the order. What
# has to be done is the function `order`, which is above.
#
# $1 is the time in milliseconds after which KILL follows TERM. The processes of the unit come next, up to `--`: they are
# known by number and start time, so that none of the new run is ever signalled. What follows is for `order`.

PATH=$PATH:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
term=$1 old=''
shift
while [ "$1" != -- ]; do
  ! start_of "$1" || old="$old $1.$start"
  shift
done
shift

# Tells whether a process of the old run lives.
any_lives() {
  for one in $old; do
    ! lives "${one%%.*}" "${one#*.}" || return 0
  done
  return 1
}

# Kills what lives of the old run; tells whether there was something.
kill_old() {
  any=1
  for one in $old; do
    ! lives "${one%%.*}" "${one#*.}" || { kill -KILL "${one%%.*}" && any=0; }
  done
  return "$any"
}

# Kills what lives of the old run when its time is over; exits with 9 if there was something.
kill_late() {
  pause=0.2 step=200
  sleep 0.01 || pause=1 step=1000
  while [ "$term" -gt 0 ] && any_lives; do
    sleep "$pause"
    term=$((term - step))
  done
  ! kill_old || exit 9
}

# Carries the order out and says how that went: an exit code, whether something was killed, the word for which it was done,
# and what was said.
carry_out() {
  kill_late >/dev/null 2>&1 &
  late=$!
  said=$(order "$@" 2>&1)
  code=$?
  killed=0
  # What ended with the unit may still be on its way out.
  if any_lives; then
    sleep 0.1 || sleep 1
    ! kill_old || killed=1
  fi
  wait "$late"
  [ $? -ne 9 ] || killed=1
  printf 'end %s %s %s\n%s\n' "$code" "$killed" "$word" "$said"
} 2>/dev/null

exec 3<&0 </dev/null
echo ready
# Beats and seconds come together in one pipe, because not every shell can read with a deadline.
{
  {
    while read -r word; do echo "$word" || exit; done
    echo gone
  } <&3 3<&- &
  exec 3<&-
  while sleep 5; do echo tick || exit; done
} 2>/dev/null | {
  exec 3<&-
  # Caught, not ignored: what is ignored would be so in the service too.
  trap : HUP INT TERM PIPE
  silent=0
  while [ "$silent" -lt 3 ] && read -r word; do
    case $word in
      go | gone) break ;;
      done)
        kill -KILL $$
        exit
        ;;
      tick) silent=$((silent + 1)) ;;
      *) silent=0 ;;
    esac
  done
  carry_out "$@"
  # The next tick would tell that nobody listens, which is not waited for.
  kill -KILL $$
}

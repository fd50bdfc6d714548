# shellcheck shell=sh
# Prints the newest $2 lines of the log in folder $1, and with $3 goes on with what is written, byte for byte and across
# rotation: a file is complete when there is the next one, and none is ever renamed.

dir=$1 lines=$2 follow=$3
umask 077

# Prints the numbers of the files, the newest first.
numbers() {
  for name in "$dir"/*.log; do
    name=${name##*/}
    name=${name%.log}
    case $name in '' | 0* | *[!0-9]*) ;; *) echo "$name" ;; esac
  done | sort -rn
}

# Prints the bytes of a file from offset $2 up to $3; fails where the file is gone. One that goes once it is open is read
# to its end.
part() {
  [ "$2" -ge "$3" ] || { tail -c "+$(($2 + 1))" | head -c $(($3 - $2)); } 2>/dev/null <"$dir/$1.log"
}

size_of() {
  size=$(wc -c 2>/dev/null <"$dir/$1.log") || return 1
  size=$((size + 0))
}

# The files that hold the newest lines, and the end of one before them, because a file may begin in the middle of a line.
# The newest may grow meanwhile, so that only what it has now counts.
chosen='' count=0 current=0 end=0 first=0
for number in $(numbers); do
  size_of "$number" || break
  if [ "$current" -eq 0 ]; then
    current=$number end=$size
    # Who follows from within a line gets all of it.
    [ "$lines" -gt 0 ] || [ -z "$follow" ] || [ -z "$(part "$number" $((size - 1)) "$size")" ] || lines=1
  fi
  chosen="$number:$size $chosen" first=$number
  count=$((count + $(part "$number" 0 "$size" | wc -l)))
  [ "$count" -le "$lines" ] || break
done
for file in $chosen; do
  part "${file%:*}" 0 "${file#*:}"
done | {
  # Its beginning was rotated away.
  [ "$first" -le 1 ] || [ "$count" -gt "$lines" ] || read -r _
  tail -n "$lines"
}

[ -n "$follow" ] || exit 0
offset=$end
while :; do
  if [ "$current" -gt 0 ] && size_of "$current"; then
    if [ "$size" -gt "$offset" ]; then
      part "$current" "$offset" "$size" && offset=$size
      continue
    fi
    if [ -e "$dir/$((current + 1)).log" ]; then
      # Nothing is added once the next is there, but something may have been before that.
      size_of "$current" && [ "$size" -gt "$offset" ] && continue
      current=$((current + 1)) offset=0
      continue
    fi
  else
    oldest=$(numbers | tail -n 1)
    if [ -n "$oldest" ]; then
      [ "$current" -eq 0 ] || echo 'unitbee: lines were rotated away before they could be shown'
      current=$oldest offset=0
      continue
    fi
  fi
  sleep 0.2 2>/dev/null || sleep 1
done

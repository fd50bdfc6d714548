# shellcheck shell=sh
# What the checks of the model say on the host itself; read in by each of them.

agents=$HOME/Library/LaunchAgents

# agent LABEL XML: writes a property list. `@WORDS` in place of XML runs `sh -c WORDS` at load.
agent() {
  mkdir -p "$agents"
  case $2 in
    @*) set -- "$1" "$(shell "${2#@}")$3" ;;
  esac
  printf '<plist version="1.0"><dict><key>Label</key><string>%s</string>%s</dict></plist>\n' "$1" "$2" >"$agents/$1.plist.new"
  chmod 644 "$agents/$1.plist.new"
  mv "$agents/$1.plist.new" "$agents/$1.plist"
}

shell() {
  words=$(printf %s "$1" | sed 's/&/\&amp;/g; s/</\&lt;/g; s/>/\&gt;/g')
  printf '<key>RunAtLoad</key><true/><key>ProgramArguments</key><array><string>/bin/sh</string><string>-c</string>'
  printf '<string>%s</string></array>' "$words"
}

load() { launchctl bootstrap "${2-gui/1000}" "$agents/$1.plist"; }
gone() { launchctl print "${2-gui/1000}/$1" >/dev/null 2>&1; [ $? = 113 ]; }
unload() { launchctl bootout "${2-gui/1000}/$1"; await gone "$1" "${2-gui/1000}"; }

# field LABEL KEY [DOMAIN]: a value one tab deep.
field() { launchctl print "${3-gui/1000}/$1" | sed -n "s/^	$2 = //p" | sed q; }
has() { [ "$(field "$1" "$2" "${4-gui/1000}")" = "$3" ]; }

# await COMMAND…: until it succeeds, for 10 s.
await() {
  tries=200
  until "$@"; do
    [ $((tries -= 1)) -gt 0 ] || { echo "not in time: $*" >&2 && return 1; }
    sleep 0.05
  done
}

# tells CODE TEXT COMMAND…: exits with the code and says just the text.
tells() {
  wanted=$1 text=$2
  shift 2
  said=$("$@" 2>&1)
  code=$?
  [ "$code $said" = "$wanted $text" ] || { echo "exit $code: $said" >&2 && return 1; }
}

mode() { field "$1" state "${2-gui/1000}"; }

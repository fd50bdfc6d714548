# shellcheck shell=bash
# One bridge and one /24 per lab; host N has address .N and hangs on the bridge by a link that can be cut.

lab_hash() { printf '%s' "$LAB_ID" | digest 8; }
bridge() { printf 'ub-%s\n' "$(lab_hash)"; }
subnet() { cat "$LAB_DIR/lab_subnet"; }
link_of() { printf 'ub%sn%s\n' "$(lab_hash)" "$(host_get "$1" number)"; }
address_of() { printf '%s.%s\n' "$(subnet)" "$(host_get "$1" number)"; }

# The id's hash picks the subnet, so a lab keeps its addresses; the next one is taken where that one is in use.
pick_subnet() {
  local seed candidate i
  seed=$((16#$(lab_hash)))
  for ((i = seed; i < seed + 16384; i++)); do
    candidate=10.$((64 + i % 64)).$((i / 64 % 256))
    if subnet_is_free "$candidate"; then
      printf '%s\n' "$candidate"
      return
    fi
  done
  die "no subnet of 10.64.0.0/10 is free for lab $LAB_ID"
}

subnet_is_free() {
  ! grep -qsxF "$1" "$RUN"/*/lab_subnet && ! ip -4 route show to match "$1.1" | grep -qv '^default'
}

bridge_up() {
  local bridge subnet
  bridge=$(bridge)
  [[ ! -e /sys/class/net/$bridge ]] || die "lab $LAB_ID is open already, with another UNITBEE_LAB_RUN than $RUN"
  subnet=$(pick_subnet)
  printf '%s\n' "$subnet" >"$LAB_DIR/lab_subnet"
  ip link add "$bridge" type bridge
  ip address add "$subnet.1/24" dev "$bridge"
  ip link set "$bridge" up
}

mend_link() { ip link set "$(link_of "$1")" up; }
cut_link() { ip link set "$(link_of "$1")" down; }

# The kernel remembers for a moment that nobody was there.
await_route() {
  local to deadline=$((SECONDS + 30))
  to=$(address_of "$1")
  until timeout 2 bash -c 'exec 3<>"/dev/tcp/$0/22"' "$to" 2>/dev/null; do
    ((SECONDS < deadline)) || die "host '$1' cannot be reached at $to"
    sleep 0.1
  done
}

link_is_cut() { ! ip -brief link show "$(link_of "$1")" up 2>/dev/null | grep -q .; }

delete_link() {
  [[ ! -e /sys/class/net/$1 ]] || ip link delete "$1"
}

# The lab's network: one address on the host, and for each engine a namespace joined to the host by a veth pair.
# Engines do not share a namespace because each believes that docker0 and the firewall are its own. Sourced by lab.sh.
# shellcheck shell=bash

# The number of an engine's addresses: 10.213.N.0/30 joins host and namespace, 10.213.1NN.0/24 is its docker0.
engine_number() {
  case $1 in
    c8d) echo 1 ;;
    classic) echo 2 ;;
    old) echo 3 ;;
    named) echo 4 ;;
    server) echo 5 ;;
    *) fail "there is no engine '$1'" ;;
  esac
}

# rule TABLE ARGUMENT...: that firewall rule, once, and marked as the lab's; ARGUMENT begins with the chain.
rule() {
  local table=$1 chain=$2
  shift 2
  set -- "$chain" "$@" -m comment --comment build-deploy-lab
  iptables -w -t "$table" -C "$@" 2>/dev/null || iptables -w -t "$table" -I "$@"
}

network_host() {
  # Not through a pipe into grep -q: it ends at the first hit, and pipefail then takes ip's broken pipe for a no.
  [[ "$(ip addr show dev lo)" == *" $LAB_ADDR/32"* ]] || ip addr add "$LAB_ADDR/32" dev lo
}

# loopback_resolver: this machine's resolver if it can only be reached from the host's own loopback.
loopback_resolver() {
  awk '$1 == "nameserver" { n++; if ($2 !~ /^127\./) other = 1; else if (first == "") first = $2 }
    END { if (n && !other) print first; else exit 1 }' /etc/resolv.conf
}

# dns_up: gives the engines a resolver within their reach where the machine's is not; false where they need none.
dns_up() {
  local upstream dir=$LAB/dns
  upstream=$(loopback_resolver) || return 1
  mkdir -p "$dir"
  { echo "nameserver $LAB_ADDR" && grep -E '^(search|options)' /etc/resolv.conf || true; } >"$dir/resolv.conf"
  if alive "$dir/pid" dns_relay.py; then return 0; fi
  setsid /usr/bin/python3 "$here/lab/dns_relay.py" "$LAB_ADDR" "$upstream" >"$dir/log" 2>&1 </dev/null 9>&- &
  echo $! >"$dir/pid"
  until_ok 10 "the DNS relay" "$dir/log" bash -c "exec 3<>/dev/tcp/$LAB_ADDR/53"
}

# network_engine NAME: the engine's namespace, with a way to the lab's services and, through the host, to the package registries.
network_engine() {
  local name=$1 n ns=bd-$1
  n=$(engine_number "$name")
  if [ -e "/run/netns/$ns" ] && ip link show "$ns" >/dev/null 2>&1; then return 0; fi
  ip netns del "$ns" 2>/dev/null || true
  ip link del "$ns" 2>/dev/null || true
  ip netns add "$ns"
  ip link add "$ns" type veth peer name eth0 netns "$ns"
  ip addr add "10.213.$n.1/30" dev "$ns"
  ip link set "$ns" up
  ip -n "$ns" link set lo up
  ip -n "$ns" addr add "10.213.$n.2/30" dev eth0
  ip -n "$ns" link set eth0 up
  ip -n "$ns" route add default via "10.213.$n.1"
  # A path with a smaller MTU than Ethernet's would otherwise lose large packets of the containers.
  ip -n "$ns" link set eth0 mtu "$(path_mtu)"
  echo 1 >/proc/sys/net/ipv4/ip_forward
  rule nat POSTROUTING -s "10.213.$n.0/30" ! -d 10.213.0.0/16 -j MASQUERADE
  # A host that runs Docker drops what it does not know.
  rule filter FORWARD -i "$ns" -j ACCEPT
  rule filter FORWARD -o "$ns" -j ACCEPT
  rule filter INPUT -i "$ns" -j ACCEPT
}

path_mtu() {
  local dev
  dev=$(ip route show default | awk '!found { for (i = 1; i < NF; i++) if ($i == "dev") { print $(i + 1); found = 1; break } }')
  awk '{ print ($1 > 1500) ? 1500 : $1 }' "/sys/class/net/${dev:-lo}/mtu"
}

network_down() {
  local name table line
  stop "$LAB/dns/pid" dns_relay.py
  for name in "${ENGINES[@]}"; do
    ip netns del "bd-$name" 2>/dev/null || true
    ip link del "bd-$name" 2>/dev/null || true
  done
  if command -v iptables >/dev/null; then
    for table in nat filter; do
      iptables -w -t "$table" -S 2>/dev/null | grep -- '--comment build-deploy-lab' | while read -r line; do
        # shellcheck disable=SC2086 # a rule as iptables prints it, none of our words holds a space
        iptables -w -t "$table" -D ${line#-A }
      done || true
    done
  fi
  ip addr del "$LAB_ADDR/32" dev lo 2>/dev/null || true
}

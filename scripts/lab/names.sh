# Registries under names of the real world, over TLS: ghcr.io with its token server, one of Amazon ECR, and one whose CA
# only the engine's certs.d knows. Only the engine `named` knows these names and the lab's CA. Sourced by lab.sh.
# shellcheck shell=bash

# All names are on one address; the certificate follows the name that is asked for.
NAMES_ADDR=10.213.0.2
# With a CA of its own that the engine knows by certs.d, and with the same CA but nothing that says so.
LAB_OWN_CA=registry.lab.test
LAB_STRANGER=stranger.lab.test

names_answer() { [[ $(curl -s -o /dev/null -w '%{http_code}' --max-time 2 --cacert "$LAB/names/lab.pem" --resolve "ghcr.io:443:$NAMES_ADDR" https://ghcr.io/v2/) = 401 ]]; }

names_up() {
  local dir=$LAB/names
  if alive "$dir/pid" names_server.py && names_answer; then return 0; fi
  [[ "$(ip addr show dev lo)" == *" $NAMES_ADDR/32"* ]] || ip addr add "$NAMES_ADDR/32" dev lo
  names_certificates
  say "starting ghcr.io, $LAB_ECR and $LAB_OWN_CA on $NAMES_ADDR"
  setsid /usr/bin/python3 "$here/lab/names_server.py" "$NAMES_ADDR" "$dir" "http://$LAB_ADDR:$AWS_PORT" \
    "ghcr.io=lab,$LAB_ADDR:$(registry_port ghcr),$LAB_ADDR:$(token_port ghcr)" \
    "$LAB_ECR=lab,$LAB_ADDR:$(registry_port ecr)" \
    "$LAB_OWN_CA=own,$LAB_ADDR:$(registry_port basic)" \
    "$LAB_STRANGER=own,$LAB_ADDR:$(registry_port basic)" >"$dir/log" 2>&1 </dev/null 9>&- &
  echo $! >"$dir/pid"
  until_ok 20 "ghcr.io" "$dir/log" names_answer
}

# Two CAs and a certificate of each.
names_certificates() {
  local dir=$LAB/names ca names name
  [ ! -e "$dir/complete" ] || return 0
  mkdir -p "$dir"
  for ca in lab own; do
    if [ "$ca" = lab ]; then names="ghcr.io $LAB_ECR"; else names="$LAB_OWN_CA $LAB_STRANGER"; fi
    openssl req -x509 -newkey rsa:2048 -nodes -days 3650 -subj "/CN=build-deploy lab CA $ca" \
      -keyout "$dir/$ca.key" -out "$dir/$ca.pem" 2>/dev/null
    openssl req -newkey rsa:2048 -nodes -subj "/CN=${names%% *}" -keyout "$dir/$ca-server.key" -out "$dir/$ca.csr" 2>/dev/null
    openssl x509 -req -in "$dir/$ca.csr" -CA "$dir/$ca.pem" -CAkey "$dir/$ca.key" -CAcreateserial -days 3650 \
      -extfile <(printf 'subjectAltName='; for name in $names; do printf 'DNS:%s,' "$name"; done | sed 's/,$//') \
      -out "$dir/$ca-server.pem" 2>/dev/null
  done
  touch "$dir/complete"
}

# names_of_engine DIR: what the engine is to see as /etc/hosts, /etc/docker and its CA bundle.
names_of_engine() {
  local dir=$1
  names_certificates
  mkdir -p "$dir/etc-docker/certs.d/$LAB_OWN_CA"
  cp "$LAB/names/own.pem" "$dir/etc-docker/certs.d/$LAB_OWN_CA/ca.crt"
  { cat /etc/hosts && echo "$NAMES_ADDR ghcr.io $LAB_ECR $LAB_OWN_CA $LAB_STRANGER"; } >"$dir/hosts"
  # A token server is asked with the bundle alone; certs.d is for registries.
  cat /etc/ssl/certs/ca-certificates.crt "$LAB/names/lab.pem" >"$dir/bundle.pem"
}

names_down() {
  stop "$LAB/names/pid" names_server.py
  ip addr del "$NAMES_ADDR/32" dev lo 2>/dev/null || true
}

names_status() {
  if alive "$LAB/names/pid" names_server.py; then
    echo "names: ghcr.io, $LAB_ECR, $LAB_OWN_CA, $LAB_STRANGER on $NAMES_ADDR"
  else
    echo "names: down"
  fi
}

# Docker Engines, each with a namespace, a data-root and a socket of its own. Sourced by lab.sh.
# shellcheck shell=bash

engine_dir() { echo "$LAB/engines/$1"; }
engine_tools() { if [ "$1" = old ]; then echo "$OLD"; else echo "$NEW"; fi; }
engine_answers() { curl -sf --max-time 2 --unix-socket "$(engine_dir "$1")/docker.sock" http://engine/_ping; }

# engine_up NAME: ready when it answers a ping; with it comes localhost:5000, a registry that only this engine can reach.
engine_up() {
  local name=$1 dir config
  dir=$(engine_dir "$name")
  config=$(engine_config "$name")
  if alive "$dir/docker.pid" "$dir/daemon.json" && [ "$config" != "$(cat "$dir/daemon.json")" ]; then
    say "the engine $name runs with another configuration: restarting it"
    stop "$dir/docker.pid" "$dir/daemon.json"
  fi
  if ! alive "$dir/docker.pid" "$dir/daemon.json" || ! engine_answers "$name" >/dev/null; then
    network_engine "$name"
    mkdir -p "$dir"
    printf '%s\n' "$config" >"$dir/daemon.json"
    rm -f "$dir/docker.pid"
    say "starting the engine $name"
    engine_start "$name"
    until_ok 60 "the engine $name" "$dir/log" engine_answers "$name"
  fi
  local_registry_up "$name"
}

engine_start() {
  local name=$1 dir binds=() own_mounts=() own_env=()
  dir=$(engine_dir "$name")
  if dns_up; then binds+=("$LAB/dns/resolv.conf" /etc/resolv.conf); fi
  if [ "$name" = named ]; then
    names_of_engine "$dir"
    mkdir -p /etc/docker
    binds+=("$dir/hosts" /etc/hosts "$dir/etc-docker" /etc/docker)
    own_env=(env "SSL_CERT_FILE=$dir/bundle.pem")
  fi
  # Only this engine sees these files in place of the host's; mounts of the host still reach it.
  # shellcheck disable=SC2016 # expanded by the inner shell
  [ ${#binds[@]} = 0 ] || own_mounts=(unshare --mount --propagation slave sh -c
    'while [ "$1" != -- ]; do mount --bind "$1" "$2" || exit 1; shift 2; done; shift; exec "$@"' sh "${binds[@]}" --)
  # nsenter and not 'ip netns exec', which would hide the cgroups.
  (
    cd /
    PATH="$(engine_tools "$name")/sbin:$(engine_tools "$name")/bin:$PATH" \
      NO_PROXY="${NO_PROXY:+$NO_PROXY,}$LAB_ADDR,localhost,127.0.0.1" \
      exec setsid "${own_mounts[@]}" "${own_env[@]}" nsenter --net="/run/netns/bd-$name" \
      dockerd --config-file "$dir/daemon.json" >"$dir/log" 2>&1 </dev/null 9>&-
  ) &
}

engine_config() {
  local name=$1 dir n port mirrors='' store='' insecure="\"$LAB_ADDR/32\""
  dir=$(engine_dir "$name")
  n=$(engine_number "$name")
  hub_in_reach || mirrors="\"registry-mirrors\": [\"http://$LAB_ADDR:5900\"],"
  case $name in
    c8d | named) store='"features": {"containerd-snapshotter": true},' ;;
    # Its user reaches the socket through a group.
    server) store="\"features\": {\"containerd-snapshotter\": true}, \"group\": \"$SERVER_IDS\"," ;;
    classic) store='"features": {"containerd-snapshotter": false}, "storage-driver": "overlay2",' ;;
    old)
      store='"features": {"buildkit": true}, "storage-driver": "overlay2",'
      # BuildKit of 20.10 takes no network here, and speaks plain http only where the entry says so.
      for port in 5000 5001 5002 5900; do insecure+=", \"http://$LAB_ADDR:$port\""; done
      ;;
  esac
  cat <<TEXT
{
  "hosts": ["unix://$dir/docker.sock"],
  "data-root": "$dir/data",
  "exec-root": "$dir/exec",
  "pidfile": "$dir/docker.pid",
  $store
  $mirrors
  "insecure-registries": [$insecure],
  "bip": "10.213.10$n.1/24",
  "default-address-pools": [{"base": "10.213.$((120 + n)).0/24", "size": 28}],
  "mtu": $(path_mtu),
  "log-level": "warn"
}
TEXT
}

engine_down() {
  local dir
  dir=$(engine_dir "$1")
  stop "$dir/registry.pid" "$dir/registry.yml"
  stop "$dir/docker.pid" "$dir/daemon.json"
  # What a killed engine leaves mounted would keep its directory from being deleted.
  awk -v dir="$dir/" 'index($5, dir) == 1 { print $5 }' /proc/self/mountinfo | sort -r | while read -r mount; do
    umount -l "$mount" 2>/dev/null || true
  done
}

# engine_prune NAME: frees what builds and pushes left in a running engine, its localhost:5000 included. What cache mounts
# contain stays, such as the crates of the action's image.
engine_prune() {
  local name=$1 dir type
  dir=$(engine_dir "$name")
  alive "$dir/docker.pid" "$dir/daemon.json" || return 0
  say "emptying the engine $name"
  DOCKER_HOST=unix://$dir/docker.sock "$LAB/bin/docker" image prune -af --filter 'label!=build-deploy.sources' >/dev/null
  for type in regular source.local source.git.checkout; do
    DOCKER_HOST=unix://$dir/docker.sock "$LAB/bin/docker" builder prune -af --filter "type=$type" >/dev/null
  done
  stop "$dir/registry.pid" "$dir/registry.yml"
  rm -rf "$dir/registry"
  local_registry_up "$name"
}

engine_status() {
  local name=$1 dir
  dir=$(engine_dir "$name")
  if alive "$dir/docker.pid" "$dir/daemon.json"; then
    echo "engine $name: unix://$dir/docker.sock (namespace bd-$name, 10.213.$(engine_number "$name").2, has localhost:5000)"
  else
    echo "engine $name: down"
  fi
}

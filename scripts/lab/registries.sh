# Registries (Debian's docker-registry) without auth, with basic auth, and with token auth. Sourced by lab.sh.
# shellcheck shell=bash

registry_port() {
  case $1 in
    plain) echo 5000 ;;
    basic) echo 5001 ;;
    token) echo 5002 ;;
    ghcr) echo 5010 ;;
    ecr) echo 5011 ;;
    mirror) echo 5900 ;;
    *) fail "there is no registry '$1'" ;;
  esac
}

# Where the token server of a registry with token auth is.
token_port() { if [ "$1" = ghcr ]; then echo 5012; else echo 5003; fi; }

# A registry that asks for a password is as ready as one that does not.
registry_answers() { [[ $(curl -s -o /dev/null -w '%{http_code}' --max-time 2 "http://$1/v2/") =~ ^(200|401)$ ]]; }

registry_up() {
  local name=$1 dir=$LAB/registries/$1 address
  address=$LAB_ADDR:$(registry_port "$name")
  if alive "$dir/pid" "$dir/config.yml" && registry_answers "$address"; then return 0; fi
  mkdir -p "$dir"
  case $name in token | ghcr) token_server_up "$name" ;; esac
  registry_config "$dir/data" "$address" >"$dir/config.yml"
  case $name in
    basic | ecr)
      local user=$LAB_USER password=$LAB_PASSWORD
      if [ "$name" = ecr ]; then user=AWS password=$ECR_PASSWORD; fi
      printf '%s:%s\n' "$user" "$(bcrypt "$password")" >"$dir/htpasswd"
      printf 'auth:\n  htpasswd:\n    realm: lab\n    path: %s\n' "$dir/htpasswd" >>"$dir/config.yml"
      ;;
    token | ghcr)
      local realm="http://$LAB_ADDR:$(token_port "$name")/token" service=$address
      if [ "$name" = ghcr ]; then realm=https://ghcr.io/token service=ghcr.io; fi
      cat >>"$dir/config.yml" <<TEXT
auth:
  token:
    realm: $realm
    service: $service
    issuer: build-deploy-lab
    rootcertbundle: $dir/signer.pem
TEXT
      ;;
  esac
  say "starting the registry $name on $address"
  setsid "$NEW/bin/docker-registry" serve "$dir/config.yml" >"$dir/log" 2>&1 </dev/null 9>&- &
  echo $! >"$dir/pid"
  until_ok 20 "the registry $name" "$dir/log" registry_answers "$address"
}

# local_registry_up ENGINE: a registry on the loopback of the engine's namespace, out of everybody else's reach.
local_registry_up() {
  local name=$1 dir
  dir=$(engine_dir "$name")
  if alive "$dir/registry.pid" "$dir/registry.yml"; then return 0; fi
  registry_config "$dir/registry" 127.0.0.1:5000 >"$dir/registry.yml"
  setsid nsenter --net="/run/netns/bd-$name" "$NEW/bin/docker-registry" serve "$dir/registry.yml" \
    >"$dir/registry.log" 2>&1 </dev/null 9>&- &
  echo $! >"$dir/registry.pid"
  until_ok 20 "localhost:5000 of the engine $name" "$dir/registry.log" \
    nsenter --net="/run/netns/bd-$name" curl -sf --max-time 2 http://127.0.0.1:5000/v2/
}

# registry_config DATA ADDRESS
registry_config() {
  cat <<TEXT
version: 0.1
log: {level: warn, accesslog: {disabled: true}}
storage: {filesystem: {rootdirectory: $1}, delete: {enabled: true}}
http: {addr: "$2"}
TEXT
}

# The only hash that docker-registry takes; perl's crypt is in every Debian, htpasswd is not.
bcrypt() {
  PASSWORD=$1 SALT=$(openssl rand -hex 11) perl -e 'print crypt($ENV{PASSWORD}, "\$2y\$05\$" . $ENV{SALT})'
}

# token_server_up REGISTRY
token_server_up() {
  local name=$1 dir=$LAB/registries/$1 port accounts
  port=$(token_port "$name")
  case $name in
    token) accounts="$LAB_USER:$LAB_PASSWORD:write $LAB_READER:$LAB_READER_PASSWORD:read" ;;
    # At GHCR the token says who it is; the user name hardly matters.
    ghcr) accounts="octocat:$LAB_JOB_TOKEN:write hubot:$LAB_JOB_TOKEN_READ:read" ;;
  esac
  if alive "$dir/server.pid" token_server.py; then return 0; fi
  if [ ! -s "$dir/signer.pem" ]; then
    openssl req -x509 -newkey rsa:2048 -nodes -days 3650 -subj /CN=build-deploy-lab \
      -keyout "$dir/signer.key" -out "$dir/signer.pem" 2>/dev/null
  fi
  LAB_ACCOUNTS=$accounts \
    setsid /usr/bin/python3 "$here/lab/token_server.py" "$LAB_ADDR" "$port" "$dir" >"$dir/server.log" 2>&1 </dev/null 9>&- &
  echo $! >"$dir/server.pid"
  until_ok 20 "the token server of $name" "$dir/server.log" curl -s --max-time 2 "http://$LAB_ADDR:$port/token"
}

registry_down() {
  local dir=$LAB/registries/$1
  stop "$dir/pid" "$dir/config.yml"
  stop "$dir/server.pid" token_server.py
}

# registry_prune NAME: forgets what was pushed; it runs again if it ran.
registry_prune() {
  local name=$1 dir=$LAB/registries/$1 ran=no
  if alive "$dir/pid" "$dir/config.yml"; then ran=yes; fi
  stop "$dir/pid" "$dir/config.yml"
  rm -rf "$dir/data"
  [ "$ran" = no ] || registry_up "$name"
}

registry_status() {
  local dir=$LAB/registries/$1
  if alive "$dir/pid" "$dir/config.yml"; then
    echo "registry $1: $LAB_ADDR:$(registry_port "$1")"
  else
    echo "registry $1: down"
  fi
}

# Downloads what the lab runs. The engines are unpacked, not installed, so that nothing of this machine's own
# Docker changes; only a few ordinary command-line tools come from apt-get install. Sourced by lab.sh.
# shellcheck shell=bash

# Raise when a list below changes: it is part of the stamp that says "all there".
TOOLS_VERSION=1
NEW="$LAB/tools/new/usr" # Docker 28 from Debian sid, and the clients
OLD="$LAB/tools/old/usr" # Docker 20.10 from Debian 12

tools() {
  install_commands
  if [ "$(cat "$LAB/tools/stamp" 2>/dev/null)" != "$TOOLS_VERSION" ]; then
    fetch_engines
    echo "$TOOLS_VERSION" >"$LAB/tools/stamp"
  fi
  write_wrappers
}

# The commands that the lab itself calls, with the packages that bring them.
install_commands() {
  local pair missing=()
  for pair in curl:curl ip:iproute2 iptables:iptables mount:mount nsenter:util-linux flock:util-linux openssl:openssl \
    perl:perl-base xz:xz-utils jq:jq mmdebstrap:mmdebstrap git:git ssh-keygen:openssh-client cc:build-essential; do
    command -v "${pair%%:*}" >/dev/null || missing+=("${pair#*:}")
  done
  [ -x /usr/bin/python3 ] || missing+=(python3-minimal)
  [ -e /etc/ssl/certs/ca-certificates.crt ] || missing+=(ca-certificates)
  [ -e "$DEBIAN_KEYS" ] || missing+=(debian-archive-keyring)
  # Libraries of the unpacked programs that a small Debian may lack.
  local lib
  for lib in libsystemd.so.0:libsystemd0 libseccomp.so.2:libseccomp2 libdevmapper.so.1.02.1:libdevmapper1.02.1; do
    [[ "$(ldconfig -p)" == *"${lib%%:*}"* ]] || missing+=("${lib#*:}")
  done
  [ ${#missing[@]} -gt 0 ] || return 0
  say "installing ${missing[*]}"
  DEBIAN_FRONTEND=noninteractive apt-get update -qq
  DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "${missing[@]}" >"$LAB/apt-install.log" 2>&1 ||
    { tail -n 20 "$LAB/apt-install.log" >&2; fail "apt-get install ${missing[*]} failed"; }
}

# install_missing_package PACKAGE COMMAND...: that package, unless COMMAND works.
install_missing_package() {
  local package=$1
  shift
  if "$@" >/dev/null 2>&1; then return 0; fi
  say "installing $package"
  { DEBIAN_FRONTEND=noninteractive apt-get update -qq &&
    DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "$package"; } >"$LAB/apt-install.log" 2>&1 ||
    { tail -n 20 "$LAB/apt-install.log" >&2; fail "apt-get install $package failed"; }
}

DEBIAN_KEYS=/usr/share/keyrings/debian-archive-keyring.gpg

# The Debian mirror that this machine already uses, else Debian's own.
debian_mirror() {
  local uri
  # The readers below take all of their input: one that ends at its first hit breaks the pipe, which pipefail takes
  # for a failure.
  uri=$(apt-get indextargets --format '$(CODENAME) $(REPO_URI)' 'Created-By: Packages' 2>/dev/null |
    awk '!found && $1 == "bookworm" && $2 ~ /^https?:.*\/debian\/?$/ { print $2; found = 1 }') || true
  [ -n "$uri" ] || uri=$({ cat /etc/apt/sources.list /etc/apt/sources.list.d/*.sources /etc/apt/sources.list.d/*.list 2>/dev/null || true; } |
    awk '!found && match($0, /https?:\/\/[^ ]*\/debian\/?( |$)/) { print substr($0, RSTART, RLENGTH); found = 1 }' | tr -d ' ')
  printf '%s\n' "${uri:-http://deb.debian.org/debian}"
}

# apt-get with sources, lists and cache of the lab's own: /etc/apt stays as it is.
lab_apt() {
  apt-get -o Dir::Etc::sourcelist="$LAB/apt/sources.list" -o Dir::Etc::sourceparts=/dev/null \
    -o Dir::Etc::preferences="$LAB/apt/preferences" -o Dir::Etc::preferencesparts=/dev/null \
    -o Dir::State="$LAB/apt/state" -o Dir::State::status="$LAB/apt/state/status" -o Dir::Cache="$LAB/apt/cache" \
    -o APT::Sandbox::User=root -o APT::Get::List-Cleanup=0 -o Acquire::Languages=none -o Acquire::Retries=3 "$@"
}

fetch_engines() {
  local mirror suite
  mirror=$(debian_mirror)
  say "downloading the Docker Engines and tools (about 190 MB)"
  mkdir -p "$LAB"/apt/{state/lists/partial,cache/archives/partial,new,old}
  : >"$LAB/apt/state/status"
  # sid is only ever asked for by name; a machine whose clock is ahead would refuse its Release file.
  for suite in bookworm sid; do
    printf 'deb [signed-by=%s check-valid-until=no] %s %s main\n' "$DEBIAN_KEYS" "$mirror" "$suite"
  done >"$LAB/apt/sources.list"
  printf 'Package: *\nPin: release n=sid\nPin-Priority: 40\n' >"$LAB/apt/preferences"
  lab_apt update -qq
  # runc of sid needs a newer libc than Debian 12 has; Debian 12's own works with both engines.
  fetch new docker.io/sid containerd/sid docker-cli/sid docker-buildx/sid docker-compose/sid tini-static/sid crane/sid \
    runc/bookworm docker-registry/bookworm
  fetch old docker.io/bookworm containerd/bookworm runc/bookworm tini-static/sid
}

# fetch ROLE PACKAGE/SUITE...: downloads and unpacks into tools/ROLE.
fetch() {
  local role=$1 deb
  shift
  rm -rf "${LAB:?}/apt/$role" "$LAB/tools/$role"
  mkdir -p "$LAB/apt/$role" "$LAB/tools/$role"
  (cd "$LAB/apt/$role" && lab_apt download -qq "$@")
  for deb in "$LAB/apt/$role"/*.deb; do dpkg -x "$deb" "$LAB/tools/$role"; done
  [ ! -e "$LAB/tools/$role/usr/bin/tini-static" ] || ln -sf tini-static "$LAB/tools/$role/usr/bin/docker-init"
  rm -rf "${LAB:?}/apt/$role"
}

# bin/docker is the client with buildx and compose; bin/crane looks into registries. Bash, since dash drops variables
# whose names hold a hyphen, as those of an action's inputs do.
write_wrappers() {
  mkdir -p "$LAB/bin" "$LAB/docker-config"
  ln -sfn "$NEW/libexec/docker/cli-plugins" "$LAB/docker-config/cli-plugins"
  write_program "$LAB/bin/docker" <<TEXT
#!/bin/bash
# The Docker client with its buildx and compose, apart from any that this machine has. A caller's own
# DOCKER_CONFIG (credentials) is honoured: the plugins are linked into it.
if [ -n "\${DOCKER_CONFIG:-}" ]; then
  mkdir -p "\$DOCKER_CONFIG"
  [ -e "\$DOCKER_CONFIG/cli-plugins" ] || ln -sn "$NEW/libexec/docker/cli-plugins" "\$DOCKER_CONFIG/cli-plugins" || true
else
  DOCKER_CONFIG=$LAB/docker-config
fi
[ -n "\${DOCKER_HOST:-}" ] || DOCKER_HOST=unix://$LAB/engines/c8d/docker.sock
export DOCKER_CONFIG DOCKER_HOST
exec "$NEW/bin/docker" "\$@"
TEXT
  write_program "$LAB/bin/crane" <<TEXT
#!/bin/bash
exec "$NEW/bin/crane" "\$@"
TEXT
}

# write_program PATH: from standard input, and whole or not at all: somebody may be running the old one.
write_program() {
  local new
  new=$(cat)
  if [ -x "$1" ] && [ "$new" = "$(cat "$1")" ]; then return 0; fi
  printf '%s\n' "$new" >"$1.new"
  chmod +x "$1.new"
  mv "$1.new" "$1"
}

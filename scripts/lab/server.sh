# A server to deploy to: an engine of its own with Docker Compose, and sshd with a user who may use that engine. Nothing of it is installed on this machine. Sourced by lab.sh.
# shellcheck shell=bash

SSHD="$LAB/tools/ssh/usr" # sshd from Debian 12
SERVER_USER=deploy
# Of nobody else; the engine's socket belongs to the group.
SERVER_IDS=42421
# A user who may not use the engine, and one whose shell prints a greeting.
SERVER_GUEST=guest
SERVER_GREETED=greeted

server_address() { echo "10.213.$(engine_number server).2"; }

server_up() {
  local dir
  dir=$(engine_dir server)
  [ -x "$SSHD/sbin/sshd" ] || fetch_sshd
  engine_up server
  server_keys "$dir/ssh"
  if alive "$dir/sshd.pid" "$dir/ssh/sshd_config"; then return 0; fi
  say "starting sshd on $(server_address):22"
  sshd_start "$dir"
  until_ok 20 sshd "$dir/sshd.log" ssh-keyscan -t ed25519 "$(server_address)"
}

fetch_sshd() {
  say "downloading sshd"
  lab_apt update -qq
  fetch ssh openssh-server/bookworm libwrap0/bookworm
}

# server_keys DIR: the host's keys, the user's key, and what a client has to know.
server_keys() {
  local dir=$1 kind
  mkdir -p "$dir"
  for kind in ed25519 ecdsa rsa; do
    [ -s "$dir/ssh_host_${kind}_key" ] || ssh-keygen -q -t "$kind" -N '' -C lab -f "$dir/ssh_host_${kind}_key"
    printf '%s %s\n' "$(server_address)" "$(cut -d ' ' -f 1,2 "$dir/ssh_host_${kind}_key.pub")"
  done >"$dir/known_hosts"
  for kind in ed25519 ecdsa rsa; do
    [ -s "$dir/id_$kind" ] || ssh-keygen -q -t "$kind" -N '' -C lab -f "$dir/id_$kind"
  done
  cat "$dir"/id_*.pub >"$dir/authorized_keys"
  chmod 644 "$dir/authorized_keys"
}

# sshd_start DIR: in the engine's namespace, and with users of its own.
sshd_start() {
  local dir=$1 ssh=$1/ssh
  mkdir -p "$dir/home/srv" /run/sshd
  write_program "$ssh/greeting" <<'TEXT'
#!/bin/sh
echo 'Welcome to the lab!'
exec /bin/sh "$@"
TEXT
  chown -R "$SERVER_IDS:$SERVER_IDS" "$dir/home"
  {
    grep -v -e '^sshd:' -e "^$SERVER_USER:" -e "^$SERVER_GUEST:" -e "^$SERVER_GREETED:" /etc/passwd
    echo "sshd:x:42420:65534::/run/sshd:/usr/sbin/nologin"
    echo "$SERVER_USER:x:$SERVER_IDS:$SERVER_IDS::$dir/home:/bin/sh"
    echo "$SERVER_GUEST:x:42422:42422::/:/bin/sh"
    echo "$SERVER_GREETED:x:$SERVER_IDS:$SERVER_IDS::$dir/home:$ssh/greeting"
  } >"$ssh/passwd"
  cat >"$ssh/sshd_config" <<TEXT
Port 22
Port 2222
ListenAddress $(server_address)
HostKey $ssh/ssh_host_ed25519_key
HostKey $ssh/ssh_host_ecdsa_key
HostKey $ssh/ssh_host_rsa_key
PidFile none
AuthorizedKeysFile $ssh/authorized_keys
StrictModes no
UsePAM no
UseDNS no
PasswordAuthentication no
MaxStartups 50
AllowUsers $SERVER_USER $SERVER_GUEST $SERVER_GREETED
SetEnv PATH=$LAB/bin:/usr/local/bin:/usr/bin:/bin DOCKER_HOST=unix://$dir/docker.sock
# A server that forwards nothing.
Match LocalPort 2222
  DisableForwarding yes
TEXT
  # shellcheck disable=SC2016 # expanded by the inner shell
  (
    cd /
    LD_LIBRARY_PATH="$SSHD/lib/$(dpkg-architecture -qDEB_HOST_MULTIARCH 2>/dev/null || gcc -print-multiarch)" \
      exec setsid nsenter --net=/run/netns/bd-server unshare --mount --propagation slave sh -c \
      'mount --bind "$1" /etc/passwd && exec "$2" -D -e -f "$3"' sh \
      "$ssh/passwd" "$SSHD/sbin/sshd" "$ssh/sshd_config" >"$dir/sshd.log" 2>&1 </dev/null 9>&-
  ) &
  echo $! >"$dir/sshd.pid"
}

server_down() { stop "$(engine_dir server)/sshd.pid" "$(engine_dir server)/ssh/sshd_config"; }

server_status() {
  local dir
  dir=$(engine_dir server)
  if alive "$dir/sshd.pid" "$dir/ssh/sshd_config"; then
    echo "server: ssh -i $dir/ssh/id_ed25519 $SERVER_USER@$(server_address)"
  else
    echo "server: down"
  fi
}

# Names, addresses and the few helpers that all parts of the lab share. Sourced by lab.sh.
# shellcheck shell=bash

LAB=${BUILD_DEPLOY_LAB:-/var/tmp/build-deploy-lab}
case $LAB in
  *[[:space:]\"]* | [!/]*)
    echo "lab: error: BUILD_DEPLOY_LAB must be an absolute path without blanks: $LAB" >&2
    exit 1
    ;;
esac
# The one address under which host, engines and containers reach the lab's shared services.
LAB_ADDR=10.213.0.1
ENGINES=(c8d classic old named server)
REGISTRIES=(mirror plain basic token ghcr ecr)
# Credentials of this machine's throw-away registries. They look like canaries so that a leak is easy to search for.
LAB_USER=ci
LAB_PASSWORD=s3cret-canary-ci
LAB_READER=reader
LAB_READER_PASSWORD=s3cret-canary-reader
# The job's token at the lab's ghcr.io, and one without `packages: write`.
LAB_JOB_TOKEN=ghs_s3cret-canary-job
LAB_JOB_TOKEN_READ=ghs_s3cret-canary-read-only

say() { printf 'lab: %s\n' "$*" >&2; }
fail() {
  say "error: $*"
  exit 1
}

# until_ok SECONDS WHAT LOG COMMAND...: polls; on a timeout shows the end of LOG.
until_ok() {
  local deadline=$((SECONDS + $1)) what=$2 log=$3
  shift 3
  until "$@" >/dev/null 2>&1; do
    if [ $SECONDS -ge "$deadline" ]; then
      [ ! -s "$log" ] || tail -n 20 "$log" >&2
      fail "$what did not become ready (log: $log)"
    fi
    sleep 0.1
  done
}

# alive PIDFILE WORD: the process of that file runs, and its command line names WORD (pids are used again after a reboot).
alive() {
  local pid
  [ -s "$1" ] && pid=$(cat "$1") && [ -r "/proc/$pid/cmdline" ] && [[ "$(tr '\0' ' ' <"/proc/$pid/cmdline")" == *"$2"* ]]
}

# stop PIDFILE WORD: ends that process and waits until it is gone.
stop() {
  alive "$1" "$2" || { rm -f "$1"; return 0; }
  local pid
  pid=$(cat "$1")
  kill "$pid" 2>/dev/null || true
  local deadline=$((SECONDS + 30))
  while [ -e "/proc/$pid" ] && ! grep -q '^State:.Z' "/proc/$pid/status" 2>/dev/null; do
    if [ $SECONDS -ge "$deadline" ]; then kill -9 "$pid" 2>/dev/null || true; fi
    sleep 0.1
  done
  rm -f "$1"
}

# Whether engines can pull from Docker Hub; tried once, then remembered for a day.
hub_in_reach() {
  local answer=${BUILD_DEPLOY_LAB_HUB:-}
  if [ -z "$answer" ]; then
    if [ -z "$(find "$LAB/hub" -mmin -1440 -size +0 2>/dev/null)" ]; then
      mkdir -p "$LAB"
      # 401 is Docker Hub's own answer to a client without a token.
      if [ "$(curl -s -o /dev/null -w '%{http_code}' --max-time 8 https://registry-1.docker.io/v2/ || true)" = 401 ]; then
        echo yes >"$LAB/hub"
      else
        echo no >"$LAB/hub"
      fi
    fi
    answer=$(cat "$LAB/hub")
  fi
  [ "$answer" = yes ]
}

lab_env() {
  cat <<TEXT
BUILD_DEPLOY_LAB=$LAB
LAB_ADDR=$LAB_ADDR
LAB_DOCKER=$LAB/bin/docker
LAB_CRANE=$LAB/bin/crane
LAB_C8D=unix://$LAB/engines/c8d/docker.sock
LAB_CLASSIC=unix://$LAB/engines/classic/docker.sock
LAB_OLD=unix://$LAB/engines/old/docker.sock
LAB_NAMED=unix://$LAB/engines/named/docker.sock
LAB_PLAIN=$LAB_ADDR:5000
LAB_BASIC=$LAB_ADDR:5001
LAB_TOKEN=$LAB_ADDR:5002
LAB_USER=$LAB_USER
LAB_PASSWORD=$LAB_PASSWORD
LAB_READER=$LAB_READER
LAB_READER_PASSWORD=$LAB_READER_PASSWORD
LAB_JOB_TOKEN=$LAB_JOB_TOKEN
LAB_JOB_TOKEN_READ=$LAB_JOB_TOKEN_READ
LAB_AWS=http://$LAB_ADDR:$AWS_PORT
LAB_ECR=$LAB_ECR
LAB_SERVER=$(server_address)
LAB_SERVER_USER=$SERVER_USER
LAB_SERVER_DIR=$LAB/engines/server
LAB_OWN_CA=$LAB_OWN_CA
LAB_STRANGER=$LAB_STRANGER
TEXT
}

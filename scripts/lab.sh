#!/usr/bin/env bash
# The lab: the real parts that the demo, the tests and the benchmarks run against, all from Debian packages.
# Docker Engines of three kinds, each in a network namespace of its own and beside any Docker that already
# runs; registries; and, where Docker Hub cannot be reached, stand-ins for the base images.
set -euo pipefail

usage() {
  cat <<'TEXT'
usage: scripts/lab.sh COMMAND

  up [PART...]       start what is missing; without PART: c8d registry
                     engines:     c8d      Docker 28, containerd image store
                                  classic  Docker 28, overlay2
                                  old      Docker 20.10
                                  named    Docker 28 that finds the lab at ghcr.io and at Amazon ECR
                     server       Docker 28 with Compose and sshd, to deploy to
                     registries:  registry (or plain), basic, token, ghcr, ecr
                     aws          STS and ECR as moto plays them
                     names        ghcr and ecr under their real names, over TLS
                     all          everything
  down               stop everything that the lab runs; keeps its downloads, images and caches
  status             what runs where
  tools              download the engines and tools only
  base-images [IMAGE...]
                     put the base images within reach of the engines; without IMAGE: python and busybox
  prune              throw away what was pushed into the registries and built in the running engines,
                     all but the action's own image; the base images stay
  env                the addresses, sockets and passwords as shell variables
  purge              down, and delete the lab's directory

State lives in BUILD_DEPLOY_LAB (default /var/tmp/build-deploy-lab). Needs root.
BUILD_DEPLOY_LAB_HUB=yes|no decides whether Docker Hub is in reach, instead of trying it.
TEXT
}

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
# shellcheck source-path=SCRIPTDIR source=lab/common.sh
. "$here/lab/common.sh"
# shellcheck source-path=SCRIPTDIR source=lab/tools.sh
. "$here/lab/tools.sh"
# shellcheck source-path=SCRIPTDIR source=lab/network.sh
. "$here/lab/network.sh"
# shellcheck source-path=SCRIPTDIR source=lab/engines.sh
. "$here/lab/engines.sh"
# shellcheck source-path=SCRIPTDIR source=lab/server.sh
. "$here/lab/server.sh"
# shellcheck source-path=SCRIPTDIR source=lab/registries.sh
. "$here/lab/registries.sh"
# shellcheck source-path=SCRIPTDIR source=lab/aws.sh
. "$here/lab/aws.sh"
# shellcheck source-path=SCRIPTDIR source=lab/names.sh
. "$here/lab/names.sh"
# shellcheck source-path=SCRIPTDIR source=lab/base_images.sh
. "$here/lab/base_images.sh"

up() {
  [ $# -gt 0 ] || set -- c8d registry
  local part parts=()
  for part in "$@"; do
    case $part in
      c8d | classic | old | server | plain | basic | token | ghcr | ecr | aws) parts+=("$part") ;;
      registry) parts+=(plain) ;;
      names) parts+=(aws basic ghcr ecr names) ;;
      named) parts+=(aws basic ghcr ecr names named) ;;
      all) parts+=(c8d classic old plain basic token aws ghcr ecr names named server) ;;
      *) fail "there is no part '$part' (parts: c8d classic old named server registry basic token ghcr ecr aws names all)" ;;
    esac
  done
  tools
  network_host
  hub_in_reach || registry_up mirror
  for part in "${parts[@]}"; do
    case $part in
      c8d | classic | old | named) engine_up "$part" ;;
      aws | names | server) "${part}_up" ;;
      *) registry_up "$part" ;;
    esac
  done
}

down() {
  local name
  server_down
  for name in "${ENGINES[@]}"; do engine_down "$name"; done
  names_down
  aws_down
  for name in "${REGISTRIES[@]}"; do registry_down "$name"; done
  network_down
}

prune() {
  local name
  for name in "${ENGINES[@]}"; do engine_prune "$name"; done
  for name in plain basic token ghcr ecr; do registry_prune "$name"; done
}

status() {
  local name
  for name in "${ENGINES[@]}"; do engine_status "$name"; done
  server_status
  for name in "${REGISTRIES[@]}"; do registry_status "$name"; done
  names_status
  aws_status
  if hub_in_reach; then
    echo "Docker Hub: in reach, the engines pull from it"
  else
    echo "Docker Hub: out of reach, base images are stand-ins behind $LAB_ADDR:5900"
  fi
}

command=${1:-help}
[ $# -eq 0 ] || shift
case $command in
  up | down | tools | base-images | prune | purge)
    [ "$(id -u)" = 0 ] || fail "needs root (network namespaces and Docker Engines)"
    mkdir -p "$LAB"
    # One caller at a time: tests and make may start the lab from several processes.
    exec 9>"$LAB/lock"
    flock 9
    case $command in
      up) up "$@" ;;
      down) down ;;
      tools) tools ;;
      base-images) base_images "$@" ;;
      prune) prune ;;
      purge) down && rm -rf -- "${LAB:?}"/* ;;
    esac
    ;;
  status) status ;;
  env) lab_env ;;
  help | -h | --help) usage ;;
  *)
    usage >&2
    exit 2
    ;;
esac

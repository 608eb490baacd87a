#!/usr/bin/env bash
# Builds the action's image as build-deploy:dev in the engine that DOCKER_HOST names; without DOCKER_HOST, in the
# lab's c8d. Does nothing where the engine already holds the image of exactly these sources.
# BUILD_DEPLOY_IMAGE (NAME@sha256:…) takes an image from a registry instead, so that the tests run with a release's bytes.
set -euo pipefail

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
lab=${BUILD_DEPLOY_LAB:-/var/tmp/build-deploy-lab}
image=build-deploy:dev
label=build-deploy.sources
lab_engine=unix://$lab/engines/c8d/docker.sock
say() { printf 'image: %s\n' "$*" >&2; }

# The machine's own client where it can speak BuildKit, else the lab's.
client() {
  if docker buildx version >/dev/null 2>&1; then
    echo docker
  else
    "$root/scripts/lab.sh" tools
    echo "$lab/bin/docker"
  fi
}

sources_hash() {
  (cd "$root" && find Cargo.toml Cargo.lock Dockerfile .dockerignore src crates/*/Cargo.toml scripts/third-party.sh -type f -print0 | LC_ALL=C sort -z |
    xargs -0 sha256sum | sha256sum | cut -d ' ' -f 1)
}

# has ENGINE: whether that engine holds the image of these sources.
has() {
  [ "$(DOCKER_HOST=$1 "$docker" image inspect -f "{{index .Config.Labels \"$label\"}}" "$image" 2>/dev/null)" = "$hash" ]
}

# The Rust base image under its own name. The lab's engines find a stand-in behind their mirror; an engine that is
# not the lab's and cannot pull gets it loaded.
base() {
  local name
  name=$(awk 'toupper($1) == "FROM" { print $2; exit }' "$root/Dockerfile")
  case $DOCKER_HOST in "unix://$lab/"*) "$root/scripts/lab.sh" base-images "$name" ;; *)
    if "$docker" image inspect "$name" >/dev/null 2>&1 || "$docker" pull -q "$name" >/dev/null 2>&1; then return 0; fi
    BUILD_DEPLOY_LAB_HUB=no "$root/scripts/lab.sh" base-images "$name"
    "$lab/bin/crane" pull --insecure "10.213.0.1:5900/library/$name" "$lab/base/load.tar"
    "$docker" load -q -i "$lab/base/load.tar" >/dev/null
    "$docker" tag "10.213.0.1:5900/library/$name" "$name"
    rm -f "$lab/base/load.tar"
    say "the engine cannot pull $name: it uses a STAND-IN made of Debian packages and this machine's Rust"
    ;;
  esac
}

if [ -z "${DOCKER_HOST:-}" ]; then
  "$root/scripts/lab.sh" up c8d
  export DOCKER_HOST=$lab_engine
fi
docker=$(client)
if [ -n "${BUILD_DEPLOY_IMAGE:-}" ]; then
  "$root/scripts/lab.sh" tools
  platform=$("$docker" version --format '{{.Server.Os}}/{{.Server.Arch}}')
  mkdir -p "$lab/base"
  archive=$(mktemp "$lab/base/release.XXXXXX")
  trap 'rm -f "$archive"' EXIT
  # Through an archive: the engine need not reach the registry, nor have a login there.
  "$lab/bin/crane" pull --insecure --platform "$platform" "$BUILD_DEPLOY_IMAGE" "$archive"
  loaded=$("$docker" load -q -i "$archive")
  "$docker" tag "${loaded##*: }" "$image"
  say "$image is $BUILD_DEPLOY_IMAGE"
  exit 0
fi
hash=$(sources_hash)
if has "$DOCKER_HOST"; then
  exit 0
fi
"$docker" version >/dev/null || { say "no engine answers on $DOCKER_HOST"; exit 1; }
if [ "$DOCKER_HOST" != "$lab_engine" ] && [ -S "${lab_engine#unix://}" ] && has "$lab_engine"; then
  say "copying $image from the lab's engine to $DOCKER_HOST"
  DOCKER_HOST=$lab_engine "$docker" save "$image" | "$docker" load -q >/dev/null
  exit 0
fi
base
say "building $image in $DOCKER_HOST (the first time takes a few minutes)"
# No attestation: the image is the one manifest whose size is promised.
"$docker" buildx build --builder default --load --provenance=false --label "$label=$hash" -t "$image" "$root"

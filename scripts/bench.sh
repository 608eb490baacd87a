#!/usr/bin/env bash
# Measures the program of the action's image against `docker buildx bake --push` in the lab's c8d engine.
# Arguments go to scripts/bench.py, such as `--case unchanged --rounds 15`.
set -euo pipefail

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
# The whole run is what docs/benchmarks.md shows.
[ $# -gt 0 ] || set -- --write "$root/docs/benchmarks.md"
# An engine without thousands of other builds, as a runner has it.
"$root/scripts/lab.sh" prune
eval "$("$root/scripts/lab.sh" env)"
socket=${LAB_C8D#unix://}
out=$root/.lab/bench
mkdir -p "$out"

# The very program that runners get, taken out of the image.
container=$(DOCKER_HOST=$LAB_C8D "$LAB_DOCKER" create build-deploy:dev)
DOCKER_HOST=$LAB_C8D "$LAB_DOCKER" cp "$container:/build-deploy" "$out/build-deploy" >/dev/null
DOCKER_HOST=$LAB_C8D "$LAB_DOCKER" rm "$container" >/dev/null

"$root/scripts/bench.py" --binary "$out/build-deploy" --buildx "$BUILD_DEPLOY_LAB/docker-config/cli-plugins/docker-buildx" \
  --docker "$LAB_DOCKER" --socket "$socket" --registry "$LAB_PLAIN" --address "$LAB_ADDR" "$@"

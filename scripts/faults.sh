#!/usr/bin/env bash
# Runs the fault table, kills and interrupts with the program of the action's image, against the lab.
#   scripts/faults.sh [table|kills|interrupts] [c8d|classic] [arguments of scripts/faults.py]
set -euo pipefail

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
what=${1:-table} engine=${2:-c8d}
shift $(($# < 2 ? $# : 2))
eval "$("$root/scripts/lab.sh" env)"
socket=$LAB_C8D jobs=6
# An engine uploads five layers at a time, so that uploads that stall would hold up those of other cases.
store=()
if [ "$engine" = classic ]; then socket=$LAB_CLASSIC jobs=1 store=(--classic); fi
out=$root/.lab/faults
mkdir -p "$out"

container=$(DOCKER_HOST=$LAB_C8D "$LAB_DOCKER" create build-deploy:dev)
DOCKER_HOST=$LAB_C8D "$LAB_DOCKER" cp "$container:/build-deploy" "$out/build-deploy" >/dev/null
DOCKER_HOST=$LAB_C8D "$LAB_DOCKER" rm "$container" >/dev/null

exec "$root/scripts/faults.py" "$what" --binary "$out/build-deploy" --socket "${socket#unix://}" --registry "$LAB_PLAIN" \
  "${store[@]}" --jobs "$jobs" --out "$out/$what-$engine" "$@"

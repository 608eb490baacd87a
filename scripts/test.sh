#!/usr/bin/env bash
# All that must hold: formatting, lints, and the tests against the lab's engines and registries.
set -euo pipefail

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
cd "$root"
lab=scripts/lab.sh

cargo fmt --check
"$lab" up all
"$lab" base-images
# Built once, then copied into the other engines.
for engine in c8d classic old named; do
  DOCKER_HOST=unix://${BUILD_DEPLOY_LAB:-/var/tmp/build-deploy-lab}/engines/$engine/docker.sock scripts/image.sh
done
# Where everything is: LAB_C8D, LAB_PLAIN and so on.
set -a
eval "$("$lab" env)"
set +a
cargo clippy --quiet --locked --workspace --all-targets -- -D warnings
if cargo nextest --version >/dev/null 2>&1; then
  # nextest leaves the examples in doc comments out.
  cargo test --quiet --locked --workspace --doc
  cargo nextest run --locked --workspace
else
  cargo test --locked --workspace
fi

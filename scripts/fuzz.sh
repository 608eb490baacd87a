#!/usr/bin/env bash
# Runs the fuzz targets one after another: scripts/fuzz.sh [seconds for each] [target]...
# Each input may take a second and 200 MB at most. What fails lies in fuzz/artifacts afterwards, by target.
set -euo pipefail
cd "$(dirname "$0")/.."

seconds=${1:-60}
shift || true
targets=("$@")

# cargo-fuzz asks for flags that only nightly takes otherwise.
export RUSTC_BOOTSTRAP=1
if ! command -v cargo-fuzz >/dev/null; then
  echo 'fuzz: cargo-fuzz is missing; install it with: cargo install cargo-fuzz --locked' >&2
  exit 1
fi
# No sanitizer: this is safe Rust, and each target counts its memory itself.
cargo fuzz build --sanitizer none
if [ ${#targets[@]} -eq 0 ]; then
  mapfile -t targets < <(cargo fuzz list)
fi
for target in "${targets[@]}"; do
  echo "fuzz: $target"
  mkdir -p "fuzz/corpus/$target"
  # What was found before is kept in the corpus; the seeds are where it begins.
  cargo fuzz run --sanitizer none "$target" "fuzz/corpus/$target" "fuzz/seeds/$target" -- \
    -max_total_time="$seconds" -max_len=65536 -timeout=10 -rss_limit_mb=1024 -print_final_stats=1 -verbosity=0
done

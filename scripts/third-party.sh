#!/bin/sh
# Prints the licenses of everything that the released program contains, for distribution with it:
# scripts/third-party.sh [TARGET] > THIRD-PARTY. The crates must have been downloaded. Each text is printed once, after the
# names of the crates that it belongs to.
set -eu
cd "$(dirname "$0")/.."
target=${1:-$(uname -m)-unknown-linux-gnu}
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

# Name, version, license and directory of each crate that is linked, without those that only a build needs.
cargo tree --locked --offline --package build-deploy --edges normal,no-proc-macro --target "$target" \
  --prefix none --no-dedupe --format '{p}|{l}|{r}' | grep -v '^build-deploy ' | LC_ALL=C sort -u > "$work/crates"

sources=${CARGO_HOME:-$HOME/.cargo}/registry/src
while IFS='|' read -r package license repository; do
  name=${package% v*}-${package##* v}
  set -- "$sources"/*/"$name"
  [ -d "$1" ] || { echo "third-party: $name has not been downloaded; run cargo fetch --locked" >&2; exit 1; }
  texts=$(find "$1" -maxdepth 1 -type f \( -iname 'licen[cs]e*' -o -iname 'copying*' -o -iname 'unlicense*' \) | LC_ALL=C sort)
  # Of several licenses to choose from, MIT is chosen.
  case $license in
    *AND*) ;;
    *MIT*) mit=$(printf '%s\n' "$texts" | grep -i 'mit[^/]*$' || true); texts=${mit:-$texts} ;;
  esac
  # An Apache license requires the notices.
  notices=$(find "$1" -maxdepth 1 -type f -iname 'notice*')
  if [ -z "$texts" ]; then
    echo "$name: $license, $repository" >> "$work/without"
  fi
  printf '%s\n' "$texts" "$notices" | while read -r text; do
    [ -n "$text" ] || continue
    sum=$(tr -s '[:space:]' ' ' < "$text" | sha256sum | cut -c1-64)
    cp "$text" "$work/$sum.text"
    echo "$name ($license)" >> "$work/$sum.names"
  done
done < "$work/crates"

cat <<'TEXT'
build-deploy contains the following works of others.

The standard library of Rust: MIT OR Apache-2.0, https://github.com/rust-lang/rust
The GNU C library, as packaged by Debian: LGPL-2.1-or-later, https://sources.debian.org/src/glibc/
  Its license permits you to link build-deploy with a modified version: replace the library and run `cargo build`, as in the
  Dockerfile of https://github.com/izhan/build-deploy.
The certificates of Mozilla's CA program, as packaged by Debian, in the image: MPL-2.0,
  https://sources.debian.org/src/ca-certificates/
TEXT
if [ -f "$work/without" ]; then
  printf '\nPackages without a file with their license:\n'
  cat "$work/without"
fi
for names in $(find "$work" -name '*.names' | while read -r file; do echo "$(head -1 "$file" | cut -d' ' -f1) $file"; done | LC_ALL=C sort | cut -d' ' -f2); do
  printf '\n%s\n' '--------------------------------------------------------------------------------'
  cat "$names"
  echo
  cat "${names%.names}.text"
done

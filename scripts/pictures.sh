#!/usr/bin/env bash
# Draws the pictures of the README, docs/images/*.png: the messages of a run as the local Discord shows them, in a real
# browser. Needs Debian's chromium, pngquant and fonts, which are installed if they are missing.
set -euo pipefail

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
cd "$root"
pages=$(mktemp -d)
trap 'rm -rf "$pages"' EXIT

if ! command -v chromium >/dev/null || ! command -v pngquant >/dev/null || ! fc-list | grep -q NotoColorEmoji; then
  DEBIAN_FRONTEND=noninteractive apt-get update -qq
  DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends \
    chromium pngquant fontconfig fonts-dejavu-core fonts-noto-color-emoji >/dev/null
fi
browse() {
  # As root, and where user namespaces are off, the sandbox does not start; the pages are our own.
  chromium --headless --no-sandbox --disable-gpu --hide-scrollbars --user-data-dir="$pages/profile" "$@" 2>/dev/null
}

# The test of the messages keeps its pages where this says.
DISCORD_PAGES=$pages cargo test --quiet --locked --test chat pages::all_states_read_well >/dev/null

mkdir -p docs/images
draw() {
  local page=$pages/$1.html picture=docs/images/$2.png height
  # The page itself allows no script; a copy that does tells how high it is.
  sed -e '/Content-Security-Policy/d' \
    -e 's|</body>|<script>document.title = Math.ceil(document.querySelector("main").getBoundingClientRect().bottom)</script>&|' \
    "$page" >"$pages/measured.html"
  height=$(browse --window-size=620,400 --dump-dom "file://$pages/measured.html" | sed -n 's|.*<title>\([0-9]*\)</title>.*|\1|p')
  browse --window-size="620,$height" --force-device-scale-factor=2 --screenshot="$picture" "file://$page"
  pngquant --force --speed 1 --strip --output "$picture" 128 "$picture"
  printf '%s  %s bytes\n' "$picture" "$(stat -c %s "$picture")"
}
draw building started
draw green success
draw red failure
draw deployed deployed
draw rolled-back rolled-back

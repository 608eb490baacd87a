#!/usr/bin/env bash
# Everything about a release that can be proven without GitHub: scripts/release-check.sh [lint|package|rehearse|all]
#   lint      workflows, action.yml, scripts, Dockerfile and the workflows in the documentation; each check is also run on
#             a copy with a mistake, which it must find
#   package   the package for crates.io: what it contains, and that it can be installed
#   rehearse  every step of release.yml and move.yml, with the lab's engines and registry and a key pair for signatures
# The linters are pinned in scripts/release and are installed below BUILD_DEPLOY_TOOLS (default ~/.cache/build-deploy).
# `rehearse` needs root, for the lab.
set -euo pipefail

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
cd "$root"
say() { printf 'release-check: %s\n' "$*" >&2; }
fail() {
  say "error: $*"
  exit 1
}
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

# tools: the linters, in a directory that is named after their versions.
tools() {
  local pins home=${BUILD_DEPLOY_TOOLS:-$HOME/.cache/build-deploy}
  pins=$(cat scripts/release/requirements.txt scripts/release/package-lock.json | sha256sum | cut -c 1-16)
  tools=$home/linters-$pins
  export PATH=$tools/bin:$PATH
  [ ! -e "$tools/complete" ] || return 0
  say "installing the linters into $tools"
  rm -rf "$tools"
  mkdir -p "$tools"
  if ! python3 -c 'import ensurepip' 2>/dev/null; then
    [ "$(id -u)" = 0 ] || fail "python3 has no venv; install the package python3-venv"
    { apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends python3-venv; } >/dev/null
  fi
  python3 -m venv "$tools"
  "$tools/bin/pip" install --quiet --disable-pip-version-check --require-hashes -r scripts/release/requirements.txt
  cp scripts/release/package.json scripts/release/package-lock.json "$tools"
  (cd "$tools" && npm ci --ignore-scripts --no-audit --no-fund --loglevel=error) >&2
  touch "$tools/complete"
}

language_service() {
  local bundle=$tools/workflows.mjs
  cp scripts/release/workflows.mjs "$tools/source.mjs"
  (cd "$tools" && node node_modules/esbuild/bin/esbuild source.mjs --bundle --platform=node --format=esm --log-level=warning \
    --outfile="$bundle" --banner:js='import {createRequire} from "module"; const require = createRequire(import.meta.url);')
  node "$bundle"
}
run_actionlint() { actionlint -shellcheck "$tools/bin/shellcheck" .github/workflows/*.yml; }
run_zizmor() { zizmor --offline --no-progress --quiet --persona pedantic .github action.yml; }
run_shellcheck() { shellcheck -x scripts/*.sh; }
run_hadolint() { hadolint Dockerfile; }
workflow_schema() { check-jsonschema --builtin-schema vendor.github-workflows .github/workflows/*.yml; }
action_schema() { check-jsonschema --builtin-schema vendor.github-actions action.yml; }
dependabot_schema() { check-jsonschema --builtin-schema vendor.dependabot .github/dependabot.yml; }

# check WHAT COMMAND FILE SED: COMMAND accepts this tree, and refuses a copy of it in which SED has changed FILE.
checks=0
check() {
  local what=$1 command=$2 file=$3 mistake=$4 log=$work/log
  "$command" >"$log" 2>&1 || { cat "$log" >&2; fail "$what"; }
  local printed
  printed=$(tail -n 1 "$log")
  cp "$file" "$work/kept"
  sed "$mistake" "$work/kept" >"$work/copy/$file"
  ! cmp -s "$work/kept" "$work/copy/$file" || fail "$what: \`$mistake\` changes nothing in $file, so that this check proves nothing"
  if (cd "$work/copy" && "$command") >"$log" 2>&1; then fail "$what: a mistake in $file was not found: $mistake"; fi
  cp "$work/kept" "$work/copy/$file"
  checks=$((checks + 1))
  say "ok: $what${printed:+ ($printed)}"
}

lint() {
  tools
  mkdir "$work/copy"
  git ls-files -z | xargs -0 cp -P --parents -t "$work/copy"
  check 'actionlint: workflows and their shell scripts' run_actionlint .github/workflows/ci.yml 's/needs.check/needs.chekc/;s/runs-on: ubuntu-24.04$/runs-on: ubuntu-24.4/'
  check 'zizmor: workflows, action.yml and dependabot.yml' run_zizmor .github/workflows/release.yml 's/checkout@[0-9a-f]* .*/checkout@v7/'
  check 'shellcheck: scripts' run_shellcheck scripts/release.sh "\$arm \$unquoted"
  check 'hadolint: Dockerfile' run_hadolint Dockerfile 's/^FROM rust:[^ ]*/FROM rust/'
  check 'schema of workflows' workflow_schema .github/workflows/move.yml 's/runs-on:/run-on:/'
  check 'schema of action.yml' action_schema action.yml 's/color: green/color: greenish/'
  check 'schema of dependabot.yml' dependabot_schema .github/dependabot.yml 's/interval: weekly/interval: often/'
  check "GitHub's language service" language_service README.md 's/discord-webhook: \$/discord-webhok: $/'
  say "$checks checks passed, and each of them found its mistake"
}

package() {
  local list version target=${CARGO_TARGET_DIR:-$root/target}
  version=$(awk -F '"' '/^version = / { print $2; exit }' Cargo.toml)
  list=$(cargo package --locked --allow-dirty --list 2>/dev/null)
  # Sources, and what crates.io shows; no tests, no examples, nothing of the workspace.
  if grep -vE '^(src/.*\.rs|Cargo\.(toml|toml\.orig|lock)|\.cargo_vcs_info\.json|README\.md|LICENSE|CHANGELOG\.md)$' <<<"$list"; then
    fail "the package contains the files above"
  fi
  cargo package --locked --allow-dirty --no-verify 2>/dev/null
  # Compiled as users do, outside the workspace.
  tar -xzf "$target/package/build-deploy-$version.crate" -C "$work"
  cargo install --locked --quiet --path "$work/build-deploy-$version" --root "$work/installed" --target-dir "$target"
  [ "$("$work/installed/bin/build-deploy" --version)" = "build-deploy $version" ] || fail "the installed program is not build-deploy $version"
  say "ok: the package has $(wc -l <<<"$list") files and $(stat -c %s "$target/package/build-deploy-$version.crate") bytes, and the program that cargo installs from it runs"
}

case ${1:-all} in
  lint) lint ;;
  package) package ;;
  rehearse)
    tools
    # shellcheck source-path=SCRIPTDIR source=release/rehearse.sh
    . "$root/scripts/release/rehearse.sh"
    ;;
  all)
    lint
    package
    # shellcheck source-path=SCRIPTDIR source=release/rehearse.sh
    . "$root/scripts/release/rehearse.sh"
    ;;
  *) fail "unknown part: $1 (lint, package, rehearse, all)" ;;
esac

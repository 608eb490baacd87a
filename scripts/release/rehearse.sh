# The rehearsal of a release: release.yml and move.yml, step by step. Sourced by release-check.sh.
# RELEASE_PROGRAM, a compiled build-deploy of this tree, saves one of the three times that the program is compiled.
# shellcheck shell=bash disable=SC2154 # root, work: of release-check.sh

[ "$(id -u)" = 0 ] || fail "the rehearsal needs root, for the lab"
scripts/lab.sh up c8d server registry
scripts/lab.sh base-images rust busybox
set -a
eval "$(scripts/lab.sh env)"
set +a
[ -n "${RELEASE_PROGRAM:-}" ] || DOCKER_HOST='' scripts/image.sh

# The tools of the registry: crane is the lab's, cosign is of Debian sid like the lab's engines.
cosign_home=$BUILD_DEPLOY_LAB/tools/cosign
if [ ! -x "$cosign_home/usr/bin/cosign" ]; then
  (
    # shellcheck source-path=SCRIPTDIR source=../lab/common.sh
    . scripts/lab/common.sh
    # shellcheck source-path=SCRIPTDIR source=../lab/tools.sh
    . scripts/lab/tools.sh
    lab_apt update -qq
    fetch cosign cosign/sid
  )
fi
export PATH=$BUILD_DEPLOY_LAB/bin:$cosign_home/usr/bin:$PATH
for tool in crane cosign jq git curl; do command -v "$tool" >/dev/null || fail "$tool is missing"; done
export COSIGN_PASSWORD='' RELEASE_KEY=$work/key RELEASE_DOCKER=$LAB_DOCKER DOCKER_HOST=$LAB_C8D
export GITHUB_REPOSITORY=izhan/build-deploy
step=$root/scripts/release.sh
ok() { say "ok: $*"; }
# refused TEXT COMMAND...: the command fails, and says TEXT.
refused() {
  local text=$1
  shift
  if "$@" >"$work/refused" 2>&1; then fail "succeeded, but should not: $*"; fi
  grep -qF "$text" "$work/refused" || { cat "$work/refused" >&2; fail "failed without \`$text\`: $*"; }
}

# The release commit: this commit, with the version written into it unless it is one already.
clone=$work/clone
git clone -q --no-local . "$clone"
git init -q --bare --initial-branch=main "$work/origin"
git -C "$clone" remote set-url origin "$work/origin"
git -C "$clone" config user.name release-check
git -C "$clone" config user.email release-check@localhost
git -C "$clone" checkout -q -B main
[ -z "$(git status --porcelain)" ] || say "this checkout has uncommitted changes; the rehearsal releases the last commit"
cd "$clone"
if grep -qx '## Unreleased' CHANGELOG.md; then
  version=1.0.0
  "$step" prepare "$version"
  git commit -q -a -m "release: prepare $version"
else
  version=$(awk -F '"' '/^version = / { print $2; exit }' Cargo.toml)
fi
git push -q origin main

# plan
refused 'is not a version' "$step" plan v1.2
refused 'Cargo.toml: the version is' "$step" plan 99.0.0
facts=$("$step" plan "$version")
commit=$(sed -n 's/^commit=//p' <<<"$facts")
epoch=$(sed -n 's/^epoch=//p' <<<"$facts")
ok "plan: $(tr '\n' ' ' <<<"$facts")"
api=$work/api/repos/$GITHUB_REPOSITORY/actions/workflows/ci.yml
mkdir -p "$api"
python3 -m http.server --bind 127.0.0.1 --directory "$work/api" 0 >"$work/api.log" 2>&1 &
server=$!
trap 'kill $server 2>/dev/null || true; rm -rf "$work"' EXIT
until port=$(ss -ltnpH | awk -v pid="pid=$server," 'index($0, pid) { sub(/.*:/, "", $4); print $4 }') && [ -n "$port" ]; do
  kill -0 $server || fail "the local GitHub API did not start"
  sleep 0.1
done
export GITHUB_API_URL=http://127.0.0.1:$port
echo '{"total_count": 0}' >"$api/runs"
refused 'has not succeeded' "$step" ci-green "$commit"
echo '{"total_count": 1}' >"$api/runs"
"$step" ci-green "$commit"
hub=
if [ "$(cat "$BUILD_DEPLOY_LAB/hub")" = no ]; then hub=$LAB_ADDR:5900/library; fi
rust=$(RELEASE_HUB=$hub "$step" pin rust:1.95-slim-bookworm)
ok "pin: $rust"

# image: the program of this tree builds the image of the release, with the inputs of release.yml.
program=${RELEASE_PROGRAM:-$work/build-deploy}
if [ -z "${RELEASE_PROGRAM:-}" ]; then
  container=$("$LAB_DOCKER" create build-deploy:dev)
  "$LAB_DOCKER" cp -q "$container:/build-deploy" "$program"
  "$LAB_DOCKER" rm "$container" >/dev/null
fi
# build ENGINE WORKSPACE PLATFORM TAG [VARIABLE...]: prints the reference.
build() {
  local engine=$1 workspace=$2 platform=$3 tag=$4 inputs log=$work/build-$4.log output=$work/output-$4
  shift 4
  mapfile -d '' -t inputs < <(python3 "$root/scripts/release/build_inputs.py" .github/workflows/release.yml \
    "needs.plan.outputs.commit=$commit" "needs.plan.outputs.version=$version" "needs.plan.outputs.epoch=$epoch" \
    "needs.plan.outputs.rust=$rust" needs.plan.outputs.scanner=none "matrix.platform=$platform")
  [ ${#inputs[@]} -gt 5 ] || fail "the inputs of release.yml cannot be read"
  : >"$output"
  # The scanner of the SBOM exists on Docker Hub only.
  env -i PATH="$PATH" HOME="$work" "${inputs[@]}" INPUT_SBOM=false "INPUT_REGISTRY=$LAB_PLAIN" "INPUT_TAGS=$tag" "$@" \
    DOCKER_HOST="$engine" GITHUB_ACTIONS=true GITHUB_REPOSITORY="$GITHUB_REPOSITORY" GITHUB_REPOSITORY_OWNER=izhan \
    GITHUB_SERVER_URL=https://github.com GITHUB_SHA="$commit" GITHUB_REF=refs/heads/main GITHUB_EVENT_NAME=workflow_dispatch \
    GITHUB_WORKSPACE="$workspace" GITHUB_OUTPUT="$output" GITHUB_STEP_SUMMARY=/dev/null "$program" run >"$log" 2>&1 ||
    { tail -n 40 "$log" >&2; fail "the build in $engine"; }
  awk '/^ref=/ { sub(/^ref=/, ""); print; found = 1 } /^ref<</ { getline; print; found = 1 } END { exit !found }' "$output" ||
    { cat "$output" >&2; fail "the build in $engine has no output \`ref\`"; }
}
# image_of REF: the digest of the image in the index, without its attestation.
image_of() { crane manifest "$1" | jq -er '.manifests[] | select(.platform.os != "unknown") | .digest'; }
say "building $version in two engines (each compiles everything)"
build "unix://$BUILD_DEPLOY_LAB/engines/server/docker.sock" "$clone" amd64 "again-$commit-amd64" >"$work/again" &
second=$!
amd64=$(build "$LAB_C8D" "$clone" amd64 "build-$commit-amd64")
wait $second || fail "the build in the second engine"
again=$(cat "$work/again")
image=$(image_of "$amd64")
if [ "$image" != "$(image_of "$again")" ]; then
  crane manifest "${amd64%@*}@$image" >&2
  crane manifest "${again%@*}@$(image_of "$again")" >&2
  fail "two builds of one commit differ: $image in one engine, $(image_of "$again") in the other"
fi
ok "two builds of $commit in two engines are one image: $image"
bytes=$(crane manifest "${amd64%@*}@$image" | jq '[.layers[].size] | add')
[ "$bytes" -le 8000000 ] || fail "the image has $bytes bytes; 8,000,000 are promised"
ok "the image has $bytes bytes"

# index: nothing here can compile for arm64, so a file takes the program's place in that image.
mkdir "$work/arm64"
echo 'in place of the program for arm64' >"$work/arm64/build-deploy"
printf 'FROM scratch\nCOPY build-deploy /\n' >"$work/arm64/Dockerfile"
arm64=$(build "$LAB_C8D" "$work/arm64" arm64 "build-$commit-arm64" INPUT_PLATFORMS=linux/arm64 INPUT_BUILD-CONTEXTS=)
ref=$("$step" index "$LAB_PLAIN/$GITHUB_REPOSITORY:build-$commit" "$amd64" "$arm64" 2>"$work/log") || { cat "$work/log" >&2; fail index; }
platforms=$(crane manifest "$ref" | jq -r '[.manifests[].platform | "\(.os)/\(.architecture)"] | sort | join(" ")')
[ "$platforms" = 'linux/amd64 linux/arm64 unknown/unknown unknown/unknown' ] || fail "the index has the platforms: $platforms"
[ "$(crane digest --platform linux/amd64 "$ref")" = "$image" ] || fail "the index does not contain the image that was built"
ok "index: $ref"

# prove
"$step" check-image "$ref" "$version"
refused "the version is \`build-deploy $version\`" "$step" check-image "$ref" 99.0.0

# sign
(cd "$work" && cosign generate-key-pair --output-key-prefix key >/dev/null 2>&1)
refused 'no signatures found' "$step" verify "$ref" "$commit"
"$step" sign "$ref" 2>"$work/log" || { cat "$work/log" >&2; fail sign; }
"$step" verify "$ref" "$commit" 2>"$work/log" || { cat "$work/log" >&2; fail verify; }
grep '^release: verified' "$work/log" >&2
refused 'does not name the commit' "$step" verify "$ref" 0000000000000000000000000000000000000000
(cd "$work" && cosign generate-key-pair --output-key-prefix other >/dev/null 2>&1)
refused 'failed to verify signature' env RELEASE_KEY="$work/other" "$step" verify "$ref" "$commit"
"$step" retag "$ref" "$version"
[ "$(crane digest "$LAB_PLAIN/$GITHUB_REPOSITORY:$version")" = "${ref#*@}" ] || fail "the tag $version is another image"
ok "sign: signatures and provenance are verified, and refused with another key or commit"

# tag
"$step" tag "$version" "$ref"
first=$(git rev-parse "v$version")
"$step" tag "$version" "$ref"
[ "$(git rev-parse "v$version")" = "$first" ] || fail "a second attempt makes another tag"
[ "$("$step" check-tag "$version")" = "$ref" ] || fail "the tag does not use $ref"
[ -z "$(git status --porcelain)" ] || fail "making the tag changed the checkout"
git push -q origin "refs/tags/v$version"
refused 'exists already' "$step" plan "$version"
[ "$("$step" is-latest "$version")" = true ] || fail "$version should be the latest release"
mkdir "$work/tagged"
git archive "v$version" | tar -x -C "$work/tagged"
(cd "$work/tagged" && action_schema >"$work/log" 2>&1) || { cat "$work/log" >&2; fail "action.yml of the tag"; }
git diff "v$version^" "v$version" -- | grep '^[-+] ' >&2
"$step" binaries "$ref" "$version" "$work/programs" >"$work/log" || fail binaries
(cd "$work/programs" && sha256sum --quiet -c SHA256SUMS)
[ "$("$work/programs/build-deploy-$version-x86_64-linux" --version)" = "build-deploy $version" ] || fail "the program of the image does not run"
cmp -s "$work/programs/build-deploy-$version-aarch64-linux" "$work/arm64/build-deploy" || fail "the program for arm64 is not the one in the image"
[ -n "$("$step" notes "$version")" ] || fail "no notes"
refused 'missing or empty' "$step" notes 99.0.0
ok "tag: v$version changes one line, and a second attempt makes the same tag"

# move: later versions, made like the first.
moved() { "$step" moves "$@" 2>/dev/null | tr '\n' ' '; }
major=${version%%.*} minor=${version%.*}
[ "$(moved "$version")" = "v$major v$minor " ] || fail "moves: v$major and v$minor should move to $version"
later=$major.$((${minor#*.} + 1)).0
"$step" tag "$later" "$ref" 2>/dev/null
[ "$(moved "$version")" = "v$minor " ] || fail "moves: only v$minor should move to $version"
[ "$(moved "$later")" = "v$major v${later%.*} " ] || fail "moves: v$major should move to $later"
[ "$(moved "$version" rollback)" = "v$major v$minor " ] || fail "moves: a rollback should move v$major and v$minor"
git push -q origin "refs/tags/v$later"
[ "$("$step" is-latest "$version")" = false ] || fail "$later should be the latest release"
patch=$minor.$((${version##*.} + 1))
"$step" tag "$patch" "$ref" 2>/dev/null
refused 'choose rollback' "$step" moves "$version"
git tag -f -a -m broken "v$later" HEAD >/dev/null
refused 'v'"$later" "$step" moves "$later"
ok "move: v$major and v$minor follow the highest version, and go back on purpose only"
cd "$root"
say "rehearsed the release of $version: $ref"

#!/usr/bin/env bash
# The steps of a release. The workflows release.yml and move.yml call them one by one, and `make release-check` runs the
# same ones against the lab. docs/releasing.md describes a release as a whole.
set -euo pipefail

usage() {
  cat <<'TEXT'
usage: scripts/release.sh STEP [ARGUMENT...]

In the current directory, a checkout:
  prepare VERSION            write the version into Cargo.toml, Cargo.lock and CHANGELOG.md
  plan VERSION               check that the checkout can be released as VERSION; print version, commit and epoch
  ci-green COMMIT            check that the workflow ci.yml succeeded for COMMIT
  notes VERSION              print the section of CHANGELOG.md
  action-yml REF             make action.yml use the image REF (NAME@sha256:…): one line changes
  tag VERSION REF            create the tag vVERSION on a commit that only `main`'s action.yml differs from
  check-tag VERSION          check such a tag, and print the image that it uses
  moves VERSION [rollback]   print the moving tags (v1, v1.2) that VERSION gets
  is-latest VERSION          print whether VERSION is the highest that is tagged: `true` or `false`
  check-sample IMAGES        check what the action made of tests/fixtures/sample: its output `images`, and the loaded image

In a registry (needs crane and cosign):
  tools crane                install crane with Go
  login                      log in to ghcr.io with GITHUB_TOKEN
  pin IMAGE...               print each image with its current digest
  index NAME:TAG REF...      join the images of single platforms into one index; print its REF
  check-image REF VERSION    run the image on this machine's platform: version and a plan
  binaries REF VERSION DIR   take the programs and the licenses out of the image, with SHA256SUMS
  sign REF                   sign the image, and sign BuildKit's provenance of each platform
  verify REF COMMIT          verify these signatures, and that the provenance names COMMIT
  retag REF TAG              add a tag to the image; the bytes stay the same

For rehearsals: RELEASE_KEY, a cosign key pair without `.key` and `.pub`, takes the place of the workflow's identity, without
a transparency log. RELEASE_HUB takes the place of Docker Hub, RELEASE_DOCKER that of `docker`.
TEXT
}

# Where `tools` installs.
export PATH=$PATH:$HOME/go/bin
repository=${GITHUB_REPOSITORY:-izhan/build-deploy}
say() { printf 'release: %s\n' "$*" >&2; }
fail() {
  say "error: $*"
  exit 1
}

is_version() { [[ $1 =~ ^(0|[1-9][0-9]*)\.(0|[1-9][0-9]*)\.(0|[1-9][0-9]*)$ ]]; }
is_reference() { [[ $1 =~ ^[a-z0-9.:/_-]+@sha256:[0-9a-f]{64}$ ]]; }
version_or_fail() { is_version "$1" || fail "\`$1\` is not a version; expected three numbers, such as 1.2.3"; }
reference_or_fail() { is_reference "$1" || fail "\`$1\` is not an image with its digest, NAME@sha256:…"; }

# The version of the package in Cargo.toml and Cargo.lock of the current directory.
manifest_version() { awk -F '"' '/^\[/ { inside = $0 == "[package]" } inside && /^version = / { print $2 }' Cargo.toml; }
lock_version() { awk -F '"' '$0 == "name = \"build-deploy\"" { inside = 1 } inside && /^version = / { print $2; inside = 0 }' Cargo.lock; }
changelog_head() { awk '!found && sub(/^## /, "") { print; found = 1 }' CHANGELOG.md; }

prepare() {
  local version=$1 old
  version_or_fail "$version"
  old=$(manifest_version)
  [ "$(changelog_head)" = Unreleased ] || fail "CHANGELOG.md: the first section is \`$(changelog_head)\`; expected \`Unreleased\`"
  sed -i "0,/^version = \"$old\"\$/s//version = \"$version\"/" Cargo.toml
  sed -i "/^name = \"build-deploy\"\$/{n;s/^version = .*/version = \"$version\"/}" Cargo.lock
  sed -i "0,/^## Unreleased\$/s//## $version/" CHANGELOG.md
}

plan() {
  local version=$1 found
  version_or_fail "$version"
  [ -z "$(git status --porcelain)" ] || fail "the checkout has uncommitted changes"
  found=$(manifest_version)
  [ "$found" = "$version" ] || fail "Cargo.toml: the version is $found, not $version"
  found=$(lock_version)
  [ "$found" = "$version" ] || fail "Cargo.lock: the version is $found, not $version"
  found=$(changelog_head)
  [ "$found" = "$version" ] || fail "CHANGELOG.md: the first section is \`$found\`, not \`$version\`"
  notes "$version" >/dev/null
  grep -qx '  image: Dockerfile' action.yml || fail "action.yml: the line \`  image: Dockerfile\` is missing"
  if git ls-remote --exit-code origin "refs/tags/v$version" >/dev/null; then
    fail "the tag v$version exists already; a version is released once"
  fi
  printf 'version=%s\ncommit=%s\nepoch=%s\n' "$version" "$(git rev-parse HEAD)" "$(git log -1 --format=%ct)"
}

ci_green() {
  local commit=$1 url runs
  url="${GITHUB_API_URL:-https://api.github.com}/repos/$repository/actions/workflows/ci.yml/runs?head_sha=$commit&status=success"
  runs=$(printf 'header = "Authorization: Bearer %s"\n' "${GITHUB_TOKEN:-}" |
    curl -sSf --retry 3 --max-time 60 --config - -H 'Accept: application/vnd.github+json' "$url" | jq .total_count)
  [[ $runs =~ ^[1-9][0-9]*$ ]] || fail "the workflow ci.yml has not succeeded for the commit $commit"
  say "ci.yml succeeded for $commit"
}

notes() {
  local text
  text=$(awk -v head="## $1" '$0 == head { inside = 1; next } /^## / { inside = 0 } inside' CHANGELOG.md | sed -e '/./,$!d')
  [ -n "$text" ] || fail "CHANGELOG.md: the section \`$1\` is missing or empty"
  printf '%s\n' "$text"
}

# image_line_only BEFORE AFTER: the image that AFTER uses, if that line is all that was changed in `image: Dockerfile`.
image_line_only() {
  local changed image
  changed=$(diff "$1" "$2" || true)
  image=$(sed -n 's/^>   image: docker:\/\/\(.*\)$/\1/p' <<<"$changed")
  if [ "$(grep -c '^[<>]' <<<"$changed")" != 2 ] || ! grep -qx '<   image: Dockerfile' <<<"$changed" || ! is_reference "$image"; then
    printf '%s\n' "$changed" >&2
    fail "action.yml: expected one changed line, from \`image: Dockerfile\` to an image with its digest"
  fi
  printf '%s\n' "$image"
}

action_yml() {
  local ref=$1 before
  reference_or_fail "$ref"
  before=$(mktemp)
  cp action.yml "$before"
  sed -i "s|^  image: Dockerfile\$|  image: docker://$ref|" action.yml
  image_line_only "$before" action.yml >/dev/null
  rm "$before"
}

# The commit depends on nothing but its parent and the image, so that a second attempt makes the same one.
tag() {
  local version=$1 ref=$2 base index blob commit
  version_or_fail "$version"
  base=$(git rev-parse HEAD)
  GIT_AUTHOR_NAME=build-deploy GIT_AUTHOR_EMAIL=build-deploy@users.noreply.github.com
  GIT_AUTHOR_DATE=$(git log -1 --format='%ct +0000')
  export GIT_AUTHOR_NAME GIT_AUTHOR_EMAIL GIT_AUTHOR_DATE
  export GIT_COMMITTER_NAME=$GIT_AUTHOR_NAME GIT_COMMITTER_EMAIL=$GIT_AUTHOR_EMAIL GIT_COMMITTER_DATE=$GIT_AUTHOR_DATE
  action_yml "$ref"
  index=$(mktemp -u)
  blob=$(git hash-object -w action.yml)
  git checkout -q -- action.yml
  GIT_INDEX_FILE=$index git read-tree HEAD
  GIT_INDEX_FILE=$index git update-index --cacheinfo "100644,$blob,action.yml"
  commit=$(git commit-tree "$(GIT_INDEX_FILE=$index git write-tree)" -p "$base" -m "release: v$version")
  rm -f "$index"
  git tag -f -a -m "v$version" "v$version" "$commit" >/dev/null
  check_tag "$version" >/dev/null
  say "v$version is the commit $commit"
}

check_tag() {
  local version=$1 work changed image
  version_or_fail "$version"
  git rev-parse -q --verify "v$version^{commit}" >/dev/null || fail "the tag v$version does not exist"
  changed=$(git diff --name-only "v$version^{commit}^" "v$version^{commit}")
  [ "$changed" = action.yml ] || fail "v$version: changes more than action.yml: ${changed//$'\n'/, }"
  work=$(mktemp -d)
  git show "v$version^{commit}^:action.yml" >"$work/before"
  git show "v$version^{commit}:action.yml" >"$work/after"
  image=$(image_line_only "$work/before" "$work/after")
  rm -r "$work"
  printf '%s\n' "$image"
}

# is_highest VERSION PREFIX: whether no released version that begins with PREFIX is higher.
is_highest() {
  local highest
  highest=$(git tag -l "v$2*" | sed -n 's/^v\([0-9]*\.[0-9]*\.[0-9]*\)$/\1/p' | sort -V | tail -n 1)
  [ "$highest" = "$1" ]
}

is_latest() {
  local highest
  highest=$(git ls-remote --tags --refs origin 'v*' | sed -n 's|.*refs/tags/v\([0-9]*\.[0-9]*\.[0-9]*\)$|\1|p' | sort -V | tail -n 1)
  if [ "$highest" = "$1" ]; then echo true; else echo false; fi
}

moves() {
  local version=$1 mode=${2:-} major minor moved=0 tag
  version_or_fail "$version"
  check_tag "$version" >/dev/null
  minor=${version%.*} major=${version%%.*}
  # The smoke job of move.yml uses the action as users do, and such a line cannot contain a variable.
  grep -q "uses: izhan/build-deploy@v$major " .github/workflows/move.yml || fail "move.yml: the smoke job does not use v$major"
  for tag in "$major" "$minor"; do
    if [ "$mode" = rollback ] || is_highest "$version" "$tag."; then
      echo "v$tag"
      moved=1
    else
      say "v$tag stays: a higher version is released"
    fi
  done
  [ $moved = 1 ] || fail "$version is not the highest version of v$major or v$minor; to go back on purpose, choose rollback"
}

check_sample() {
  local found
  found=$(jq -er '[.[] | "\(.name) \(.pushed)"] | join(", ")' <<<"$1")
  [ "$found" = "app false" ] || fail "the output \`images\` is \`$found\`, not \`app false\`"
  found=$("${RELEASE_DOCKER:-docker}" run --rm sample-app)
  [ "$found" = "built by build-deploy" ] || fail "the image of the sample prints \`$found\`"
  say "the sample was built and loaded"
}

# The checksum database of Go verifies the sources.
tools() {
  [ "$1" = crane ] || fail "unknown tool: $1"
  go install github.com/google/go-containerregistry/cmd/crane@v0.20.7
  crane version >&2
}

login() { printf '%s' "$GITHUB_TOKEN" | crane auth login ghcr.io --username "${GITHUB_ACTOR:-build-deploy}" --password-stdin; }

pin() {
  local image
  for image in "$@"; do printf '%s@%s\n' "$image" "$(crane digest "${RELEASE_HUB:+$RELEASE_HUB/}$image")"; done
}

index() {
  local target=$1 ref sources=() digest
  shift
  for ref in "$@"; do
    reference_or_fail "$ref"
    sources+=(-m "$ref")
  done
  crane index append "${sources[@]}" -t "$target" >&2
  digest=$(crane digest "$target")
  printf '%s@%s\n' "${target%:*}" "$digest"
}

# platforms REF: platform and digest of each image in the index.
platforms() {
  crane manifest "$1" | jq -er '.manifests[] | select(.platform.os != "unknown") | "\(.platform.os)/\(.platform.architecture) \(.digest)"'
}

check_image() {
  local ref=$1 version=$2 docker=${RELEASE_DOCKER:-docker} found work
  reference_or_fail "$ref"
  found=$("$docker" run --rm "$ref" --version)
  [ "$found" = "build-deploy $version" ] || fail "$ref: the version is \`$found\`, not \`build-deploy $version\`"
  work=$(mktemp -d)
  printf 'services:\n  app:\n    build: .\n' >"$work/compose.yaml"
  printf 'FROM scratch\n' >"$work/Dockerfile"
  found=$("$docker" run --rm -e "GITHUB_REPOSITORY=$repository" -v "$work:/work:ro" --workdir /work "$ref" plan --format=json --tags=smoke |
    jq -er '[.images[].name] | join(" ")')
  rm -r "$work"
  [ "$found" = app ] || fail "$ref: the plan has the images \`$found\`, not \`app\`"
  say "$ref runs: version $version, and it plans"
}

binaries() {
  local ref=$1 version=$2 out=$3 platform digest name
  mkdir -p "$out"
  while read -r platform digest; do
    case $platform in
      linux/amd64) name=build-deploy-$version-x86_64-linux ;;
      linux/arm64) name=build-deploy-$version-aarch64-linux ;;
      *) fail "$ref: unexpected platform $platform" ;;
    esac
    crane export "${ref%@*}@$digest" - | tar -xO build-deploy >"$out/$name"
    [ -s "$out/$name" ] || fail "$ref: no program for $platform"
    chmod +x "$out/$name"
    if [ "$platform" = linux/amd64 ]; then
      crane export "${ref%@*}@$digest" - | tar -xO THIRD-PARTY >"$out/THIRD-PARTY"
      [ -s "$out/THIRD-PARTY" ] || fail "$ref: no licenses of third parties"
    fi
  done < <(platforms "$ref")
  (cd "$out" && sha256sum build-deploy-* | tee SHA256SUMS)
}

# The flags that tell cosign whose signature to make or to expect.
signer() {
  if [ -z "${RELEASE_KEY:-}" ]; then return 0; fi
  cosign signing-config create >"$RELEASE_KEY.signing.json"
  printf '%s\n' --key "$RELEASE_KEY.key" --signing-config "$RELEASE_KEY.signing.json"
}
signed_by() {
  if [ -n "${RELEASE_KEY:-}" ]; then
    printf '%s\n' --key "$RELEASE_KEY.pub" --insecure-ignore-tlog=true
  else
    printf '%s\n' --certificate-oidc-issuer https://token.actions.githubusercontent.com \
      --certificate-identity "https://github.com/$repository/.github/workflows/release.yml@refs/heads/main"
  fi
}

# provenance NAME INDEX-JSON DIGEST: the predicate that BuildKit stored for that image of the index.
provenance() {
  local manifest layer
  manifest=$(jq -er --arg digest "$3" '.manifests[] | select(.annotations["vnd.docker.reference.digest"] == $digest) | .digest' <<<"$2") ||
    fail "$1@$3: the index contains no attestation of this image"
  layer=$(crane manifest "$1@$manifest" |
    jq -er '.layers[] | select(.annotations["in-toto.io/predicate-type"] | startswith("https://slsa.dev/provenance/")) | .digest') ||
    fail "$1@$3: the attestation contains no provenance"
  crane blob "$1@$layer" | jq -e .predicate
}

sign() {
  local ref=$1 name=${1%@*} platform digest index file flags
  reference_or_fail "$ref"
  mapfile -t flags < <(signer)
  cosign sign --yes --recursive "${flags[@]}" "$ref"
  index=$(crane manifest "$ref")
  file=$(mktemp)
  while read -r platform digest; do
    provenance "$name" "$index" "$digest" >"$file"
    cosign attest --yes "${flags[@]}" --type "$(provenance_type "$file")" --predicate "$file" "$name@$digest"
    say "signed $platform with its provenance"
  done < <(platforms "$ref")
  rm "$file"
}

# Version 1 of the predicate has a `buildDefinition`.
provenance_type() { if jq -e 'has("buildDefinition")' "$1" >/dev/null; then echo slsaprovenance1; else echo slsaprovenance02; fi; }

verify() {
  local ref=$1 commit=$2 name=${1%@*} platform digest flags file type found=0
  reference_or_fail "$ref"
  mapfile -t flags < <(signed_by)
  cosign verify "${flags[@]}" "$ref" >/dev/null
  file=$(mktemp)
  while read -r platform digest; do
    cosign verify "${flags[@]}" "$name@$digest" >/dev/null
    provenance "$name" "$(crane manifest "$ref")" "$digest" >"$file"
    type=$(provenance_type "$file")
    cosign verify-attestation "${flags[@]}" --type "$type" "$name@$digest" | jq -er '.payload | @base64d | fromjson | .predicate' >"$file"
    grep -qF "\"$commit\"" "$file" || fail "$ref: the provenance for $platform does not name the commit $commit"
    say "verified $platform: signature, and provenance of $commit"
    found=1
  done < <(platforms "$ref")
  rm "$file"
  [ $found = 1 ] || fail "$ref: the index contains no image"
}

retag() {
  local ref=$1 tag=$2 found
  reference_or_fail "$ref"
  crane tag "$ref" "$tag"
  found=$(crane digest "${ref%@*}:$tag")
  [ "$found" = "${ref#*@}" ] || fail "${ref%@*}:$tag: the digest is $found, not ${ref#*@}"
  say "${ref%@*}:$tag is ${ref#*@}"
}

step=${1:-help}
[ $# -eq 0 ] || shift
# arguments MIN MAX: how many the step takes.
arguments() { [ "$count" -ge "$1" ] && [ "$count" -le "$2" ] || { usage >&2; exit 2; }; }
count=$#
case $step in
  prepare | plan | notes | check-tag | is-latest) arguments 1 1 ;;
  ci-green | sign | action-yml | check-sample | tools) arguments 1 1 ;;
  login) arguments 0 0 ;;
  tag | check-image | verify | retag) arguments 2 2 ;;
  moves) arguments 1 2 ;;
  binaries) arguments 3 3 ;;
  pin) arguments 1 99 ;;
  index) arguments 2 99 ;;
  help | -h | --help) usage; exit 0 ;;
  *) usage >&2; exit 2 ;;
esac
"${step//-/_}" "$@"

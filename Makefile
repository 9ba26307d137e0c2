# The README begins with `make run` and `make test`. Both install missing tools.

CARGO ?= cargo
# rustup installs cargo there, and a shell may not have read its profile yet. It goes before an older cargo of the system.
export PATH := $(HOME)/.cargo/bin:$(PATH)
PREFIX ?= /usr/local
BINARY := target/release/stillthere

.PHONY: help run install uninstall test manual deb deb-try publish-try fresh check format static static-all image footprint bench broadcast seen stopped instructions two-ways upgrade-bench million kernels lab screenshots fuzz book break threads clean

help:
	@echo 'make run        build the server and start it on 127.0.0.1:7007 (ARGS="--deadline 10s" adds options)'
	@echo 'make install    install it as $(PREFIX)/bin/stillthere (PREFIX=$$HOME/.local needs no root); make uninstall removes it'
	@echo 'make test       run all tests; those that cut cables need root, or a kernel that allows user namespaces'
	@echo 'make lab        play every fault in every state of TCP, with our server, redis, nginx and others: docs/matrix.md'
	@echo 'make fresh      make run, install and test on a fresh Debian 12 and 13; needs root, takes an hour'
	@echo 'make check      check format, clippy, documentation and dependencies: no warning is allowed'
	@echo 'make static     build the server as one static file: target/static/stillthere'
	@echo 'make deb        make a Debian package: target/deb/'
	@echo 'make deb-try    install, upgrade and purge it in a Debian of its own, where no peer may be lost; needs root'
	@echo 'make publish-try  everything that cargo publish does, but the upload; no warning is allowed'
	@echo 'make static-all  build it as static files for x86_64, aarch64, armv7 and riscv64: target/static/stillthere-ARCH (docs/packages.md)'
	@echo 'make image      make an OCI image of each of these files: target/image/ARCH'
	@echo 'make stopped    run all tests while each program is stopped for a moment, again and again: nothing may depend on calls that are not interrupted'
	@echo 'make footprint  measure the server alone: file size, time to start, memory of an idle peer'
	@echo 'make bench      compare with a server in C, redis, nginx and others: docs/benchmarks.md (ARGS="5 19000", or "1 19000 redis nginx")'
	@echo 'make broadcast  send 64 bytes to 19 000 peers, compared with a loop of send(2) in C: docs/broadcast.md'
	@echo 'make seen       what --admin and --events cost, with 19 000 peers: a section of docs/benchmarks.md'
	@echo 'make instructions  count the instructions of a round trip and an accept; fails if they are 3 % more than recorded'
	@echo 'make two-ways   compare keepalive, heartbeats and --expect, with 19 000 peers: docs/two-ways.md'
	@echo 'make upgrade-bench  how long a peer waits while the server is upgraded, with 19 000 peers: docs/upgrade.md'
	@echo 'make million    hold a million idle connections in one process, in a virtual machine (PEERS=200000 is quicker)'
	@echo 'make kernels    run the lab on each kernel that Debian offers, in virtual machines: docs/kernels.md (KERNELS="6.1 6.12")'
	@echo 'make screenshots  make the pictures of the page anew: docs/page.png, page-dark.png, page-phone.png'
	@echo 'make fuzz       try the command line, the configuration and the admin port with what a fuzzer makes up (FUZZ_SECONDS=60 a target, TARGETS="http")'
	@echo 'make manual     make the man page and the completions anew, after a change to an option: dist/manual/'
	@echo 'make book       the course as a book: target/book/docs/course/index.html'
	@echo 'make break      break an invariant in a copy of the tree, and see which test fails (N=3, or N=all)'
	@echo 'make threads    what 5 000 idle peers cost with a thread for each: docs/course/2-a-thread-each.md'
	@echo 'make format     format the source'

run:
	@dist/needs.sh cargo cc
	$(CARGO) build --release --locked
	exec $(BINARY) serve $(ARGS)

# A binary that is up to date is installed as it is, whoever built it: root may have no cargo, and needs none.
install:
	@if [ ! -x $(BINARY) ] || [ -n "$$(find src Cargo.toml Cargo.lock build.rs -newer $(BINARY))" ]; then \
		dist/needs.sh cargo cc && $(CARGO) build --release --locked; \
	fi
	install -D -m 755 $(BINARY) '$(DESTDIR)$(PREFIX)/bin/stillthere'
	install -D -m 644 dist/manual/stillthere.1 '$(DESTDIR)$(PREFIX)/share/man/man1/stillthere.1'
	install -D -m 644 dist/manual/stillthere.bash '$(DESTDIR)$(PREFIX)/share/bash-completion/completions/stillthere'
	install -D -m 644 dist/manual/_stillthere '$(DESTDIR)$(PREFIX)/share/zsh/site-functions/_stillthere'
	install -D -m 644 dist/manual/stillthere.fish '$(DESTDIR)$(PREFIX)/share/fish/vendor_completions.d/stillthere.fish'
	@case ":$$PATH:" in *':$(PREFIX)/bin:'*) ;; *) [ -n '$(DESTDIR)' ] || \
		echo 'not on your PATH yet: export PATH="$(PREFIX)/bin:$$PATH"' ;; esac

uninstall:
	rm -f '$(DESTDIR)$(PREFIX)/bin/stillthere' '$(DESTDIR)$(PREFIX)/share/man/man1/stillthere.1' \
		'$(DESTDIR)$(PREFIX)/share/bash-completion/completions/stillthere' '$(DESTDIR)$(PREFIX)/share/zsh/site-functions/_stillthere' \
		'$(DESTDIR)$(PREFIX)/share/fish/vendor_completions.d/stillthere.fish'

test:
	@dist/needs.sh cargo cc kill -- ip ss strace unshare setpriv nsenter systemd-analyze nft patch chromium node npm promtool mandoc bash zsh fish dh dpkg-buildpackage lintian qemu-arm crun umoci shellcheck busybox
	$(CARGO) test --locked

# A machine that is frozen for a moment interrupts calls: tests/stopped.sh. It takes as long as `make test`.
stopped:
	@dist/needs.sh cargo cc kill
	$(CARGO) test --locked --no-fail-fast --config 'target."cfg(all())".runner = "tests/stopped.sh"'

# The man page and the completions, from the tables of options. They are part of the repository; a test fails if they are out of date.
manual:
	@dist/needs.sh cargo cc
	STILLTHERE_MANUAL=write $(CARGO) test --locked --lib -- cli::manual::the_manual_says_what_the_tables_say

# target/deb/stillthere_VERSION_ARCHITECTURE.deb
deb:
	@dist/needs.sh cargo cc dh dpkg-buildpackage -- lintian
	dist/deb.sh
	if command -v lintian >/dev/null; then lintian --fail-on error,warning --tag-display-limit 0 $$(ls -t target/deb/*.changes | head -1); fi

# Installs, upgrades under load, removes and purges it, under a systemd in a root of its own. It needs root, and takes five minutes.
deb-try:
	@dist/needs.sh cargo cc dh dpkg-buildpackage
	dist/deb-try.sh $(ARGS)

# Arguments of cargo: ARGS=--allow-dirty tries what is not committed yet.
publish-try:
	@dist/needs.sh cargo cc
	dist/publish-try.sh $(ARGS)

# Not part of `make test`: it downloads two systems. dist/fresh.sh says how to leave something out.
fresh:
	dist/fresh.sh $(ARGS)

check:
	@dist/needs.sh cargo cc
	$(CARGO) fmt --check
	$(CARGO) clippy --locked --all-targets -- -D warnings
	$(CARGO) clippy --locked --all-targets --no-default-features --features serve -- -D warnings
	for feature in admin config events notify sandbox serve,upgrade upgrade; do $(CARGO) clippy --locked --no-default-features --features $$feature -- -D warnings || exit 1; done
	$(CARGO) clippy --locked --all-targets --no-default-features -- -D warnings
	dist/library-alone.sh
	RUSTDOCFLAGS='-D warnings' $(CARGO) doc --locked --no-deps --no-default-features --features observe,signals,upgrade
	RUSTDOCFLAGS='-D warnings' $(CARGO) doc --locked --no-deps

format:
	$(CARGO) fmt

static:
	@dist/needs.sh cargo cc
	dist/static.sh

# Five minutes the first time. ARCHES="armv7 riscv64" and FEATURES="serve upgrade" choose; ARGS=sizes prints what each feature costs.
static-all:
	@dist/needs.sh cargo cc
	ARCHES='$(ARCHES)' FEATURES='$(FEATURES)' dist/static-all.sh $(ARGS)

image:
	@dist/needs.sh umoci jq oci-image-tool
	ARCHES='$(ARCHES)' dist/oci/image.sh

# About ten minutes. The first run is a living peer that keeps its window shut for ten minutes.
lab:
	@dist/needs.sh cargo cc ip unshare -- nft tc ss redis-server mosquitto haproxy nginx socat memcached
	$(CARGO) build --release --locked
	target/release/stillthere lab run window-shut/none --keep 10m & \
	shut=$$!; \
	target/release/stillthere lab matrix --preset all --jobs 80 --at-once 4 --markdown docs/matrix.md \
		--json target/matrix.json --html target/matrix.html; matrix=$$?; \
	wait $$shut; kept=$$?; \
	target/release/stillthere lab run in-flight/black-hole --svg docs/in-flight.svg && \
	exit $$(( matrix | kept ))

footprint:
	@dist/needs.sh cargo cc
	$(CARGO) bench --locked --no-default-features --features serve --target-dir target/alone --bench footprint
	dist/static.sh
	STILLTHERE_BINARY=target/static/stillthere \
		$(CARGO) bench --locked --no-default-features --features serve --target-dir target/alone --bench footprint

# Five rounds take about a quarter of an hour, on an otherwise idle machine.
bench:
	@dist/needs.sh cargo cc -- strace valgrind redis-server memcached mosquitto nginx haproxy
	$(CARGO) build --release --locked --no-default-features --features serve --target-dir target/alone
	STILLTHERE_BINARY=$(CURDIR)/target/alone/release/stillthere $(CARGO) bench --locked --bench side_by_side -- $(ARGS)
	$(CARGO) bench --locked --bench broadcast
	$(CARGO) bench --locked --bench seen

# Five minutes. It is also part of `make bench`.
seen:
	@dist/needs.sh cargo cc -- strace valgrind
	$(CARGO) bench --locked --bench seen -- $(ARGS)

# Two minutes. It is also part of `make bench`.
broadcast:
	@dist/needs.sh cargo cc
	$(CARGO) bench --locked --bench broadcast -- $(ARGS)

# Callgrind counts instructions, so the load of the machine hardly matters. ARGS=record makes a new record.
instructions:
	@dist/needs.sh cargo cc -- valgrind
	$(CARGO) bench --locked --bench instructions -- $(ARGS)

# About ten minutes.
two-ways:
	@dist/needs.sh cargo cc ip unshare strace
	$(CARGO) bench --locked --bench two_ways

# Two minutes, on an otherwise idle machine. (ARGS="5 1000": five upgrades with a thousand peers.)
upgrade-bench:
	@dist/needs.sh cargo cc
	$(CARGO) bench --locked --bench upgrade -- $(ARGS)

# It takes a quarter of an hour and 13 GB of memory with an emulated machine: docs/million.md.
million:
	@dist/needs.sh cargo cc
	PEERS='$(PEERS)' ACCEL='$(ACCEL)' dist/million.sh

# It takes half an hour on an otherwise idle machine.
kernels:
	@dist/needs.sh cargo cc
	KERNELS='$(KERNELS)' JOBS='$(JOBS)' ACCEL='$(ACCEL)' dist/kernels.sh

# The pictures show peers that are made up (tests/page/mock.mjs). The page uses the font Inter where it is installed (Debian: fonts-inter).
screenshots:
	@dist/needs.sh cargo cc chromium node npm
	STILLTHERE_SCREENSHOTS=$(CURDIR)/docs $(CARGO) test --locked --test page -- --exact screenshots

# FUZZ_SECONDS for each target. What it found once is in fuzz/corpus/, which `make test` reads.
fuzz:
	@dist/needs.sh cargo cc c++
	FUZZ_SECONDS='$(or $(FUZZ_SECONDS),60)' dist/fuzz.sh $(TARGETS)

# Seven small servers, and the text about them. mdBook is installed into target/tools where it is missing.
book:
	@dist/needs.sh cargo cc
	dist/book.sh

# The first run compiles the tests once more, into target/break. All of them take about ten minutes.
break:
	@dist/needs.sh cargo cc patch -- strace
	@dist/break.sh '$(N)'

threads:
	@dist/needs.sh cargo cc
	$(CARGO) build --release --locked --bin stillthere --example 02_a_thread_each --example 05_to_the_end
	dist/threads.sh

clean:
	$(CARGO) clean

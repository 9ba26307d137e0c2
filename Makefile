# The two commands of the README are `make run` and `make test`. Both install what is missing.

CARGO ?= cargo
# Where rustup installs it, for shells that have not read its profile; before an older one of the system.
export PATH := $(HOME)/.cargo/bin:$(PATH)
PREFIX ?= /usr/local
BINARY := target/release/stillthere

.PHONY: help run install uninstall test fresh check format static footprint bench broadcast instructions two-ways million kernels lab clean

help:
	@echo 'make run        build the server and start it on 127.0.0.1:7007 (ARGS="--deadline 10s" adds options)'
	@echo 'make install    puts it on PATH: $(PREFIX)/bin/stillthere (PREFIX=$$HOME/.local wants no root); make uninstall'
	@echo 'make test       all tests; as root, or where user namespaces are allowed, those that cut cables too'
	@echo 'make lab        every state and fault, for our server and others that people run: docs/matrix.md'
	@echo 'make fresh      make run, install and test on fresh Debian 12 and 13; as root, an hour'
	@echo 'make check      format, clippy, documentation: without a warning'
	@echo 'make static     one static file, target/static/stillthere'
	@echo 'make footprint  of the server alone: file size, start, memory of an idle peer'
	@echo 'make bench      beside a server in C and servers that people run: docs/benchmarks.md (ARGS="5 19000", or "1 19000 redis nginx")'
	@echo 'make broadcast  64 bytes to 19 000 peers, beside a loop of send(2) in C: docs/broadcast.md'
	@echo 'make instructions  fails if a round trip or an accept takes 3 % more instructions than recorded'
	@echo 'make two-ways   keepalive, heartbeats and expectations side by side, with 19 000 peers: docs/two-ways.md'
	@echo 'make million    a million idle connections in one process, in a virtual machine (PEERS=200000 is quicker)'
	@echo 'make kernels    the lab on the kernels that Debian has, old and new, in virtual machines: docs/kernels.md (KERNELS="6.1 6.12")'
	@echo 'make format     format the source'

run:
	@dist/needs.sh cargo cc
	$(CARGO) build --release --locked
	exec $(BINARY) serve $(ARGS)

# A binary that another user has built is installed as it is: root may have no cargo, and needs none.
install:
	@if [ ! -x $(BINARY) ] || [ -n "$$(find src Cargo.toml Cargo.lock build.rs -newer $(BINARY))" ]; then \
		dist/needs.sh cargo cc && $(CARGO) build --release --locked; \
	fi
	install -D -m 755 $(BINARY) '$(DESTDIR)$(PREFIX)/bin/stillthere'
	@case ":$$PATH:" in *':$(PREFIX)/bin:'*) ;; *) [ -n '$(DESTDIR)' ] || \
		echo 'not on your PATH yet: export PATH="$(PREFIX)/bin:$$PATH"' ;; esac

uninstall:
	rm -f '$(DESTDIR)$(PREFIX)/bin/stillthere'

test:
	@dist/needs.sh cargo cc kill -- ip ss strace unshare setpriv nft
	$(CARGO) test --locked

# Not part of `make test`: it downloads two systems. dist/fresh.sh says what can be left out.
fresh:
	dist/fresh.sh $(ARGS)

check:
	@dist/needs.sh cargo cc
	$(CARGO) fmt --check
	$(CARGO) clippy --locked --all-targets -- -D warnings
	$(CARGO) clippy --locked --no-default-features --features serve -- -D warnings
	$(CARGO) clippy --locked --no-default-features -- -D warnings
	dist/library-alone.sh
	RUSTDOCFLAGS='-D warnings' $(CARGO) doc --locked --no-deps

format:
	$(CARGO) fmt

static:
	@dist/needs.sh cargo cc
	dist/static.sh

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
	@dist/needs.sh cargo cc -- strace redis-server memcached mosquitto nginx haproxy
	$(CARGO) build --release --locked --no-default-features --features serve --target-dir target/alone
	STILLTHERE_BINARY=$(CURDIR)/target/alone/release/stillthere $(CARGO) bench --locked --bench side_by_side -- $(ARGS)
	$(CARGO) bench --locked --bench broadcast

# Two minutes. Part of `make bench`.
broadcast:
	@dist/needs.sh cargo cc
	$(CARGO) bench --locked --bench broadcast -- $(ARGS)

# Callgrind's count hardly depends on the load of the machine. ARGS=record makes a new record.
instructions:
	@dist/needs.sh cargo cc -- valgrind
	$(CARGO) bench --locked --bench instructions -- $(ARGS)

# About ten minutes.
two-ways:
	@dist/needs.sh cargo cc ip unshare strace
	$(CARGO) bench --locked --bench two_ways

# A quarter of an hour and 13 GB of memory, with the machine emulated: docs/million.md.
million:
	@dist/needs.sh cargo cc
	PEERS='$(PEERS)' ACCEL='$(ACCEL)' dist/million.sh

# Half an hour, on an otherwise idle machine.
kernels:
	@dist/needs.sh cargo cc
	KERNELS='$(KERNELS)' JOBS='$(JOBS)' ACCEL='$(ACCEL)' dist/kernels.sh

clean:
	$(CARGO) clean

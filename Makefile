# The two commands of the README are `make run` and `make test`. Both see to what the machine lacks.

CARGO ?= cargo
# Where rustup puts it, for shells that did not read its profile.
export PATH := $(PATH):$(HOME)/.cargo/bin

.PHONY: help run test check format static footprint million lab clean

help:
	@echo 'make run        build the server and start it on 127.0.0.1:7007 (ARGS="--deadline 10s" adds options)'
	@echo 'make test       all tests; as root, or where user namespaces are allowed, those that cut cables too'
	@echo 'make lab        every state and every fault, for our server and for what people run: docs/matrix.md'
	@echo 'make check      format, clippy, documentation: without a warning'
	@echo 'make static     one static file, target/static/stillthere'
	@echo 'make footprint  measure the file, the start, and the memory of an idle peer'
	@echo 'make million    a million idle connections in one process, in a virtual machine (PEERS=200000 is quicker)'
	@echo 'make format     format the source'

run:
	@dist/needs.sh cargo cc
	$(CARGO) build --release --locked
	exec target/release/stillthere serve $(ARGS)

test:
	@dist/needs.sh cargo cc -- ip ss strace unshare setpriv nft
	$(CARGO) test --locked

check:
	@dist/needs.sh cargo cc
	$(CARGO) fmt --check
	$(CARGO) clippy --locked --all-targets -- -D warnings
	$(CARGO) clippy --locked --no-default-features -- -D warnings
	RUSTDOCFLAGS='-D warnings' $(CARGO) doc --locked --no-deps

format:
	$(CARGO) fmt

static:
	@dist/needs.sh cargo cc
	dist/static.sh

# About ten minutes. The first run is the shut window that a living peer may keep for as long as it likes.
lab:
	@dist/needs.sh cargo cc ip unshare -- nft ss redis-server mosquitto haproxy nginx socat memcached
	$(CARGO) build --release --locked
	target/release/stillthere lab run window-shut/none --keep 10m & \
	shut=$$!; \
	target/release/stillthere lab matrix --preset all --jobs 40 --markdown docs/matrix.md \
		--json target/matrix.json --html target/matrix.html; matrix=$$?; \
	wait $$shut && exit $$matrix

footprint:
	@dist/needs.sh cargo cc
	$(CARGO) bench --locked --bench footprint

# A quarter of an hour and 13 GB of memory, with the machine emulated: docs/million.md.
million:
	@dist/needs.sh cargo cc
	PEERS='$(PEERS)' ACCEL='$(ACCEL)' dist/million.sh

clean:
	$(CARGO) clean

#!/usr/bin/env bash
# Runs a command, and stops it with all that it starts for a millisecond, now and then: as a machine does that is frozen for a moment, or
# a person who types Ctrl-Z and fg. Calls that wait with a timeout then end with EINTR, though nobody has a signal handler (signal(7)).
# `make stopped` runs each test program through this.
set -um # with job control, the command gets a process group of its own
"$@" &
group=$!
trap 'kill -KILL -- -$group 2>/dev/null' INT TERM
count=0
while kill -0 $group 2>/dev/null; do
	sleep "0.$((RANDOM % 700 + 100))"
	kill -STOP -- -$group 2>/dev/null && sleep 0.001 && kill -CONT -- -$group && count=$((count + 1))
done
wait $group
code=$?
echo "stopped $count times; exit code $code" >&2
exit $code

#!/usr/bin/env bash
# Runs a command, and stops it for a millisecond now and then, as a machine does that is frozen for a moment, or a person who types Ctrl-Z
# and fg. Calls that wait with a timeout then end with EINTR, though nobody has a signal handler (signal(7)). Only the command itself is
# stopped: some tests stop what they have started, and would be disturbed. `make stopped` runs each test program through this.
set -u
"$@" &
program=$!
trap 'kill -KILL $program 2>/dev/null' INT TERM
count=0
while kill -0 $program 2>/dev/null; do
	sleep "0.$((RANDOM % 700 + 100))"
	kill -STOP $program 2>/dev/null && sleep 0.001 && kill -CONT $program && count=$((count + 1))
done
wait $program
code=$?
echo "stopped $count times; exit code $code" >&2
exit $code

#!/usr/bin/env bash
# The performance table, measured on this machine with private servers of its own.
#
#   bench.sh [options of the benchmark]

. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

if [ "${1:-}" = --help ]; then usage && exit; fi

ensure_venv
with_servers
cd "$COMPONENT"
"$VENV/bin/python" -m benchmarks "$@"

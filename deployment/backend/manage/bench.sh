#!/usr/bin/env bash
# The performance table, measured on this machine with private servers of its own (docs/performance.md).
#
#   bench.sh [options of the benchmark]      for example: bench.sh --quick
#   bench.sh limits [options]                what providers see of their limits; for example: bench.sh limits --rates 20 50
#   bench.sh outage [options]                what an outage costs while producers go on
#   bench.sh notifications [COUNT SAMPLES ROUNDS]   notifications alone; for example: bench.sh notifications 2000 100 3
#   bench.sh imports [options]               how fast contacts come in from a file
#   bench.sh contacts [options]              how long pages of contacts take; for example: bench.sh contacts --contacts 10000000
#   bench.sh campaigns [options]             how fast a campaign's messages are made; for example: bench.sh campaigns --rounds 3
#   bench.sh million [options]               a million messages, the whole way; for example: bench.sh million --size 10000
#                                            while its processes are killed: bench.sh million --size 100000 --only kills --kills 20 --seed 7
#
# nginx plays the provider; on Debian and Ubuntu it is installed when it is absent, its own service stays off.

. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

if [ "${1:-}" = --help ]; then usage && exit; fi

ensure_nginx() {
    if PATH="$PATH:/usr/sbin:/usr/local/sbin" command -v nginx >/dev/null; then return; fi
    "$VENV/bin/python" "$NATIVE/packages.py" nginx-light
    if command -v systemctl >/dev/null; then systemctl disable --quiet nginx 2>/dev/null || true; fi
}

ensure_venv
module=benchmarks
case "${1:-}" in
    limits | outage | notifications | imports | contacts | campaigns | million)
        module="benchmarks.$1"
        shift
        ;;
    *) ensure_nginx ;;
esac
with_servers
cd "$COMPONENT"
"$VENV/bin/python" -m "$module" "$@"

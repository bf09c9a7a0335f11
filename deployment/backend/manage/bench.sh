#!/usr/bin/env bash
# The performance table, measured on this machine with private servers of its own (docs/performance.md).
#
#   bench.sh [options of the benchmark]      for example: bench.sh --quick
#   bench.sh limits [options]                what providers see of their limits; for example: bench.sh limits --rates 20 50
#   bench.sh outage [options]                what an outage costs while producers go on
#   bench.sh notifications [COUNT SAMPLES ROUNDS]   notifications alone; for example: bench.sh notifications 2000 100 3
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
    limits | outage | notifications)
        module="benchmarks.$1"
        shift
        ;;
    *) ensure_nginx ;;
esac
with_servers
cd "$COMPONENT"
"$VENV/bin/python" -m "$module" "$@"

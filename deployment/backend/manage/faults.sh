#!/usr/bin/env bash
# Breaks everything around the service and counts what is lost or paid twice (docs/reliability.md).
#
#   faults.sh [--seed N] [--tasks N] [--seconds N] [--write] [--resume] [SCENARIO…]   for example: faults.sh kill-worker --seed 7
#
# Long form, some 25 minutes; `make test` runs a short one. What was counted is kept in .run/faults: --resume leaves it
# out, and --table runs nothing and writes the page,
# so the table may be taken in pieces with one seed. It starts PostgreSQL and RabbitMQ of its own, for it kills
# them. Clocks are stepped with libfaketime; on Debian and Ubuntu it is installed when it is absent.

. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

if [ "${1:-}" = --help ]; then usage && exit; fi

ensure_libfaketime() {
    if compgen -G "/usr/lib/*/faketime/libfaketimeMT.so.1" >/dev/null; then return; fi
    "$VENV/bin/python" "$NATIVE/packages.py" libfaketime
}

ensure_venv
ensure_libfaketime
cd "$COMPONENT"
PYTHONPATH=src:tests "$VENV/bin/python" -m faults "$@"

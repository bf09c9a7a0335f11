#!/usr/bin/env bash
# Runs the tests against private PostgreSQL and RabbitMQ servers on free ports; they are gone afterwards.
#
#   test.sh [pytest arguments]      for example: test.sh -k worker -x
#
# With DATABASE_HOST and RABBITMQ_HOST both set in the environment the servers named there are used instead.
# TEST_PROCESSES (2) says how many run at once.

. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

if [ "${1:-}" = --help ]; then usage && exit; fi

ensure_venv
ensure_node
with_servers
cd "$COMPONENT"
"$VENV/bin/python" -m pytest -n "${TEST_PROCESSES:-2}" --dist loadgroup "$@"

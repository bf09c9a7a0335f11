#!/usr/bin/env bash
# Runs the tests against private PostgreSQL and RabbitMQ servers on free ports; they are gone afterwards.
#
#   test.sh [pytest arguments]      for example: test.sh -k worker -x
#
# With DATABASE_HOST and RABBITMQ_HOST both set in the environment the servers named there are used instead.

. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

if [ "${1:-}" = --help ]; then usage && exit; fi

# servers DIRECTORY ACTION
servers() { "$VENV/bin/python" "$NATIVE/servers.py" "$2" --dir "$1"; }

remove_servers() {
    servers "$1" remove
    rm -rf "$1"
}

# A test run that was killed could not clean up: the next one does.
remove_abandoned() {
    local directory
    for directory in "$RUN"/test-*; do
        if [ -d "$directory" ] && ! kill -0 "$(cat "$directory/owner" 2>/dev/null || echo none)" 2>/dev/null; then
            remove_servers "$directory" || true
        fi
    done
}

start_servers() {
    local variables
    SERVERS="$RUN/test-$$"
    mkdir -p "$SERVERS"
    echo $$ >"$SERVERS/owner"
    trap 'remove_servers "$SERVERS"' EXIT
    trap 'exit 130' INT
    trap 'exit 143' TERM
    say "starting PostgreSQL and RabbitMQ for the tests"
    variables="$(servers "$SERVERS" start)"
    eval "$variables"
    export GONETS_TEST_SERVERS="$SERVERS/servers.json"
}

ensure_venv
if [ -n "${DATABASE_HOST:-}" ] && [ -n "${RABBITMQ_HOST:-}" ]; then
    say "testing against PostgreSQL on $DATABASE_HOST and RabbitMQ on $RABBITMQ_HOST"
elif [ -n "${DATABASE_HOST:-}${RABBITMQ_HOST:-}" ]; then
    die "set both DATABASE_HOST and RABBITMQ_HOST, or neither"
else
    remove_abandoned
    start_servers
fi

cd "$COMPONENT"
"$VENV/bin/python" -m pytest -n "${TEST_PROCESSES:-2}" --dist loadgroup "$@"

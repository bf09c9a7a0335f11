# shellcheck shell=bash
# What the scripts of this directory share. Sourced, never run.

set -euo pipefail

MANAGE="$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)"
BACKEND="$(dirname "$MANAGE")"
ROOT="$(cd "$BACKEND/../.." && pwd)"
COMPONENT="$ROOT/components/backend"
NATIVE="$BACKEND/native"
RUN="$ROOT/.run"
VENV="$ROOT/.venv"

say() { printf '%s\n' "$*"; }

die() {
    printf '%s: %s\n' "$(basename "$0")" "$*" >&2
    exit 1
}

# The comment at the head of the calling script is its help.
usage() { sed -n '2,/^[^#]/{ s/^# \{0,1\}//p; }' "$0"; }

# Prints a Python of 3.11 or newer. A name on PATH may be a shim without a version behind it, so each is tried.
find_python() {
    local name
    for name in ${PYTHON:-python3.13 python3.12 python3.11 python3}; do
        if "$name" -c 'import sys; sys.exit(sys.version_info < (3, 11))' >/dev/null 2>&1; then
            "$name" -c 'import sys; print(sys.executable)'
            return
        fi
    done
    die "no Python 3.11 or newer found${PYTHON:+ as $PYTHON}; set PYTHON to one"
}

have_uv() { uv --version >/dev/null 2>&1; }

# The virtual environment .venv, as the lock file says. Does nothing when it already is.
ensure_venv() {
    mkdir -p "$RUN"
    exec 9>"$RUN/venv.lock"
    if command -v flock >/dev/null; then flock 9; fi
    local wanted
    wanted="$(cat "$COMPONENT/requirements-dev.lock" "$COMPONENT/pyproject.toml" | cksum) $ROOT"
    if ! { "$VENV/bin/python" --version >/dev/null 2>&1 && [ "$(cat "$VENV/installed" 2>/dev/null)" = "$wanted" ]; }; then
        install_venv
        printf '%s' "$wanted" >"$VENV/installed"
    fi
    exec 9>&-
}

install_venv() {
    say "installing the Python packages into .venv"
    make_venv "$VENV"
    pip_into "$VENV" --require-hashes -r "$COMPONENT/requirements-dev.lock"
    pip_into "$VENV" --no-deps -e "$COMPONENT"
}

# What the tests need of npm: an SMS centre of another make. Does nothing when it already is.
ensure_node() {
    local folder="$COMPONENT/tests/smsc" npm_logs
    if [ "$folder/node_modules/.package-lock.json" -nt "$folder/package-lock.json" ] && command -v node >/dev/null; then
        return
    fi
    if ! { node --version && npm --version; } >/dev/null 2>&1; then
        "$VENV/bin/python" "$NATIVE/packages.py" nodejs npm
    fi
    say "installing the SMS centre of the tests with npm"
    npm_logs="$(npm ci --prefix "$folder" --no-audit --no-fund --loglevel=error 2>&1)" || die "npm ci failed: $npm_logs"
    touch "$folder/node_modules/.package-lock.json"
}

# make_venv DIRECTORY: a virtual environment there, unless a working one is.
make_venv() {
    local python
    if "$1/bin/python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' >/dev/null 2>&1; then return; fi
    python="$(find_python)"
    if have_uv; then
        uv venv --quiet --clear --python "$python" "$1"
        return
    fi
    if ! "$python" -c 'import ensurepip' >/dev/null 2>&1; then
        "$python" "$NATIVE/packages.py" python3-venv
    fi
    "$python" -m venv --clear "$1"
}

# pip_into DIRECTORY ARGUMENTS…: pip install there, by uv where it is.
pip_into() {
    local venv="$1"
    shift
    if have_uv; then
        uv pip install --quiet --python "$venv/bin/python" "$@"
        return
    fi
    # Debian's and pyenv's venv bring pip; one made by uv does not.
    if ! "$venv/bin/python" -m pip --version >/dev/null 2>&1; then "$venv/bin/python" -m ensurepip >/dev/null; fi
    "$venv/bin/python" -m pip install --quiet --disable-pip-version-check --no-input "$@"
}

docker_answers() { docker info >/dev/null 2>&1 && docker compose version >/dev/null 2>&1; }

# compose [--dev] ARGUMENTS…: Docker Compose with this project's files and the root's .env.
compose() {
    local files=(-f "$BACKEND/docker-compose.yaml")
    if [ "${1:-}" = --dev ]; then
        files+=(-f "$BACKEND/docker-compose.dev.yaml")
        shift
    fi
    if [ -f "$ROOT/.env" ]; then files+=(--env-file "$ROOT/.env"); fi
    docker compose "${files[@]}" "$@"
}

# How the stack was started last: "native", "docker" or "docker --dev"; "native" when it never was.
mode() { cat "$RUN/mode" 2>/dev/null || printf native; }

native() { "$VENV/bin/python" "$NATIVE/stack.py" "$@"; }

# servers DIRECTORY ACTION: private PostgreSQL and RabbitMQ under it.
servers() { "$VENV/bin/python" "$NATIVE/servers.py" "$2" --dir "$1"; }

remove_servers() {
    servers "$1" remove || true
    rm -rf "$1"
}

# Private servers on free ports until this script ends, the variables exported; or the ones the environment names.
with_servers() {
    if [ -n "${DATABASE_HOST:-}" ] && [ -n "${RABBITMQ_HOST:-}" ]; then
        say "using PostgreSQL on $DATABASE_HOST and RabbitMQ on $RABBITMQ_HOST, as the environment says"
        return
    fi
    [ -z "${DATABASE_HOST:-}${RABBITMQ_HOST:-}" ] || die "set both DATABASE_HOST and RABBITMQ_HOST, or neither"
    # A run that was killed could not clean up: the next one does.
    servers "$RUN" remove-abandoned
    say "starting PostgreSQL and RabbitMQ on free ports"
    local variables
    SERVERS="$RUN/private-$$"
    mkdir -p "$SERVERS"
    trap 'remove_servers "$SERVERS"' EXIT
    trap 'exit 130' INT
    trap 'exit 143' TERM
    variables="$(servers "$SERVERS" start)"
    eval "$variables"
    export GONETS_TEST_SERVERS="$SERVERS/servers.json"
}

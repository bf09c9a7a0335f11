#!/usr/bin/env bash
# Pins every package: requirements.lock (what the service needs, traces included) and requirements-dev.lock (tests and
# tools too).
#
#   lock.sh [--upgrade]      --upgrade takes the newest versions pyproject.toml allows
#
# Needs uv. The files hold names, versions and hashes only, for every system and Python from 3.11 on.

. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

case "${1:-}" in
    -h | --help) usage && exit ;;
    "" | --upgrade) ;;
    *) die "unknown option $1 (see --help)" ;;
esac
have_uv || die "uv is needed to pin packages: pip install uv"

cd "$COMPONENT"
options=(--universal --generate-hashes --no-header --no-annotate --quiet --no-config --python-version 3.11 --extra tracing "$@")
env -u UV_FIND_LINKS uv pip compile "${options[@]}" pyproject.toml -o requirements.lock
# The second is held to the first, so that what is tested is what runs.
env -u UV_FIND_LINKS uv pip compile "${options[@]}" -c requirements.lock \
    pyproject.toml --group dev "$BACKEND/requirements.in" -o requirements-dev.lock
if grep -nE '://|^-|/opt|@ ' requirements.lock requirements-dev.lock; then
    die "a host or a path of this machine is in a lock file"
fi
say "pinned: requirements.lock, requirements-dev.lock"

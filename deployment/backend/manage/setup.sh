#!/usr/bin/env bash
# The virtual environment .venv, as the lock file says, and what the tests need of npm; nothing is started.
#
#   setup.sh

. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

if [ "${1:-}" = --help ]; then usage && exit; fi
ensure_venv
ensure_node
say "ready: $VENV"

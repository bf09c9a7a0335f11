#!/usr/bin/env bash
# Generates what docs/ takes from the code: OpenAPI, AsyncAPI, the Postman collection, the diagrams.
#
#   docs.sh [--check]      --check only says which are out of date, and fails if one is

. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

if [ "${1:-}" = --help ]; then usage && exit; fi

ensure_venv
cd "$COMPONENT"
"$VENV/bin/python" tools/generate_docs.py "$@"

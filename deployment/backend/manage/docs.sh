#!/usr/bin/env bash
# Generates what docs/ takes from the code: OpenAPI, AsyncAPI, the Postman collection, the diagrams.
#
#   docs.sh

. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

if [ "${1:-}" = --help ]; then usage && exit; fi

ensure_venv
cd "$ROOT"
"$VENV/bin/python" components/backend/tools/generate_docs.py "$@"

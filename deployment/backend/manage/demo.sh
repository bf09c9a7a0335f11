#!/usr/bin/env bash
# Starts everything, then walks four tasks through it (three by REST, one by queue) and a notification.
#
#   demo.sh [options of start.sh]

. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

if [ "${1:-}" = --help ]; then usage && exit; fi

bash "$MANAGE/start.sh" --dev "$@"
ensure_venv
"$VENV/bin/python" "$BACKEND/demo.py"

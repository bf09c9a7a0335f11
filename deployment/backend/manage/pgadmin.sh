#!/usr/bin/env bash
# pgAdmin in the browser, the database registered with its password. Starts the rest first where it is not running.
#
#   pgadmin.sh
#
# Natively it is installed from PyPI into its own virtual environment, .run/pgadmin-venv; stop.sh stops it too.

. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

if [ "${1:-}" = --help ]; then usage && exit; fi

case "$(mode)" in
    docker*) say "pgAdmin is part of the Compose stack: http://localhost:${PGADMIN_PORT:-5050}" && exit ;;
esac

bash "$MANAGE/start.sh" --dev --native
if [ ! -f "$RUN/pgadmin-venv/installed" ]; then
    say "installing pgAdmin into .run/pgadmin-venv"
    make_venv "$RUN/pgadmin-venv"
    pip_into "$RUN/pgadmin-venv" "pgadmin4>=9.18,<10"
    touch "$RUN/pgadmin-venv/installed"
fi
native pgadmin

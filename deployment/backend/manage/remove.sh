#!/usr/bin/env bash
# Stops everything and deletes its data: database, queues, logs, pgAdmin. The virtual environment stays.
#
#   remove.sh [--yes]      --yes does not ask

. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

case "${1:-}" in
    -h | --help) usage && exit ;;
    --yes) ;;
    "")
        read -r -p "Delete the database, the queues and everything else under .run/? [y/N] " answer || answer=''
        [ "$answer" = y ] || die "nothing was deleted (--yes does not ask)"
        ;;
    *) die "unknown option $1 (see --help)" ;;
esac

case "$(mode)" in
    "docker --dev") compose --dev --profile '*' down --volumes ;;
    docker) compose --profile '*' down --volumes ;;
    *)
        if [ ! -d "$RUN" ]; then
            say "nothing to remove"
            exit
        fi
        ensure_venv
        native remove
        ;;
esac
rm -rf "$RUN"

#!/usr/bin/env bash
# Stops everything start.sh started; no process stays behind, the data does.
#
#   stop.sh

. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

case "${1:-}" in
    -h | --help) usage && exit ;;
    "") ;;
    *) die "unknown option $1 (see --help)" ;;
esac

case "$(mode)" in
    "docker --dev") compose --dev --profile '*' down ;;
    docker) compose --profile '*' down ;;
    *)
        if [ ! -f "$RUN/supervisord.conf" ]; then
            say "nothing is running"
            exit
        fi
        ensure_venv
        native down
        ;;
esac

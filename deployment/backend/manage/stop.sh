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
    "docker --dev") compose --dev down ;;
    docker) compose down ;;
    *)
        if [ ! -f "$RUN/supervisord.conf" ]; then
            say "nothing is running"
            exit
        fi
        ensure_venv
        native down
        ;;
esac

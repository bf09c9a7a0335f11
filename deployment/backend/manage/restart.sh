#!/usr/bin/env bash
# Stops everything and starts it again, the way it was started; new code, packages and variables are taken up.
#
#   restart.sh

. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

case "${1:-}" in
    -h | --help) usage && exit ;;
    "") ;;
    *) die "unknown option $1 (see --help)" ;;
esac

bash "$MANAGE/stop.sh"
case "$(mode)" in
    "docker --dev") exec bash "$MANAGE/start.sh" --dev --docker ;;
    docker) exec bash "$MANAGE/start.sh" --docker ;;
    *) exec bash "$MANAGE/start.sh" --dev --native ;;
esac

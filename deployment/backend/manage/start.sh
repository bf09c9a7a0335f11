#!/usr/bin/env bash
# Starts everything and waits until it is healthy. Running it twice is harmless.
#
#   start.sh --dev [--native | --docker]
#
#   --dev      for development: natively where no Docker engine answers; with Docker, the source is mounted
#   --native   without Docker, even where an engine answers
#   --docker   with Docker Compose, or not at all
#
# COMPOSE_PROFILES=observability start.sh …  with Docker, Prometheus, Loki and Grafana too.
#
# Without --dev: Docker Compose only, as in production.

. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

dev='' where=''
for option in "$@"; do
    case "$option" in
        --dev) dev=--dev ;;
        --native | --docker) where="${option#--}" ;;
        -h | --help) usage && exit ;;
        *) die "unknown option $option (see --help)" ;;
    esac
done

if [ -z "$where" ]; then
    if docker_answers; then where=docker; else where=native; fi
fi
mkdir -p "$RUN"

if [ "$where" = docker ]; then
    docker_answers || die "no Docker engine answers, or the compose plugin is missing; start.sh --dev --native does without"
    printf '%s' "docker${dev:+ $dev}" >"$RUN/mode"
    compose ${dev:+"$dev"} up --detach --build --wait
    say "" "API http://localhost:${API_PORT:-9000}/api/v1/docs · RabbitMQ http://localhost:${RABBITMQ_WEB_PORT:-15672}" \
        "· pgAdmin http://localhost:${PGADMIN_PORT:-5050}"
    case ",${COMPOSE_PROFILES:-}," in
        *,observability,*) say "Grafana http://localhost:${GRAFANA_PORT:-3001} (admin)" ;;
    esac
else
    [ -n "$dev" ] || die "without Docker only development is supported: start.sh --dev"
    ensure_venv
    printf native >"$RUN/mode"
    native up
fi

#!/usr/bin/env bash
# Every check that needs no server: lint, format, types, architecture, Dockerfile, scripts, Compose files, docs.
#
#   check.sh
#
# Prints one line per check, the output of those that failed, and fails if one did. A missing tool is a failure.

. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

if [ "${1:-}" = --help ]; then usage && exit; fi

failures=0

# check NAME COMMAND…
check() {
    local name="$1" output
    shift
    if output="$("$@" 2>&1)"; then
        printf '  %-34s ok\n' "$name"
    else
        printf '  %-34s FAILED\n%s\n' "$name" "$output"
        failures=$((failures + 1))
    fi
}

# promtool comes with Prometheus; the tests check names and syntax as far as they can without it.
check_rules() {
    if command -v promtool >/dev/null; then
        check "prometheus: configuration, alerts" promtool check config "$BACKEND/observability/prometheus/prometheus.yml"
    fi
}

# What Compose itself says where it is installed; the published schema everywhere.
check_compose() {
    check "compose files: schema" check-jsonschema --builtin-schema vendor.compose-spec "$BACKEND"/docker-compose*.yaml
    if docker compose version >/dev/null 2>&1; then
        check "compose files: docker compose" compose config --quiet
        check "compose files: with the override" compose --dev config --quiet
    fi
}

ensure_venv
PATH="$VENV/bin:$PATH"
cd "$COMPONENT"
check "ruff: lint" ruff check . "$ROOT/deployment"
check "ruff: format" ruff format --check . "$ROOT/deployment"
check "mypy --strict: the service" mypy --strict
check "mypy --strict: the deployment" mypy --strict --config-file= "$NATIVE" "$BACKEND/demo.py"
check "mypy --strict: the tools" mypy --strict --config-file= tools
check "import-linter: the architecture" lint-imports
check "docs/reference: up to date" python tools/generate_docs.py --check
check "hadolint: Dockerfile" hadolint --config "$ROOT/.hadolint.yaml" "$BACKEND/Dockerfile"
check "shellcheck: scripts" shellcheck -x -P "$MANAGE" "$MANAGE"/*.sh "$ROOT/.ci/run"
check_compose
check_rules

if [ "$failures" -gt 0 ]; then die "$failures failed"; fi

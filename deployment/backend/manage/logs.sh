#!/usr/bin/env bash
# Follows the logs of everything, or of the services named.
#
#   logs.sh [SERVICE…]      for example: logs.sh worker api

. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

if [ "${1:-}" = --help ]; then usage && exit; fi

case "$(mode)" in
    "docker --dev") compose --dev logs --follow --tail 50 "$@" ;;
    docker) compose logs --follow --tail 50 "$@" ;;
    *)
        files=()
        for name in "${@:-}"; do
            for file in "$RUN/logs/$name"*.log; do if [ -f "$file" ]; then files+=("$file"); fi; done
        done
        [ "${#files[@]}" -gt 0 ] || die "no logs yet${1:+ of $*}: make up first"
        exec tail -n 20 -F "${files[@]}"
        ;;
esac

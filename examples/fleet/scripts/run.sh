#!/usr/bin/env bash
# scripts/run.sh COMMAND [ARGUMENT...]: where the tools for images are. That may be a shell of Nix or a virtual
# machine; here it is this machine. MKOSI names another mkosi, MKOSI_EXTRA_ARGS are for mkosi alone.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

command=("$@")
if [ "${command[0]}" = mkosi ]; then
    mkdir -p mkosi.builddir
    # shellcheck disable=SC2206 # words
    command=("${MKOSI:-mkosi}" "${command[@]:1}" ${MKOSI_EXTRA_ARGS:-})
fi
exec "${command[@]}"

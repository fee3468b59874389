# shellcheck shell=sh
# SPDX-License-Identifier: MIT OR Apache-2.0
# larder.sh: source this in a mkosi build script (any POSIX shell).
#
#   larder_run PROJECT [--source DIR] [--require-store] [OPTION...] -- COMMAND [ARGUMENT...]
#
# With a store in the sandbox, COMMAND runs with PROJECT's warm target directory attached to
# DIR/target. Without one it runs as it is: the same command, the same bytes, only cold; one line
# says so, and with --require-store, or LARDER_REQUIRE_STORE=1 in the environment, it is an error.
# COMMAND is a program: a function of the script cannot be started from outside of it.
#
# No variable is set here, because with `set -a` the command would see it.

larder_run() {
    if [ -x "${LARDER_STORE:-/work/larder}/bin/larder" ]; then
        "${LARDER_STORE:-/work/larder}/bin/larder" run "$@"
        return
    fi
    case ${LARDER_REQUIRE_STORE:-0} in
    0 | [nN]* | [fF]* | [oO][fF][fF]) ;;
    *) set -- --require-store "$@" ;;
    esac
    while [ "$#" -gt 0 ] && [ "$1" != -- ]; do
        if [ "$1" = --require-store ]; then
            _larder_says_why "nothing is run (--require-store)"
            return 125
        fi
        shift
    done
    if [ "$#" -lt 2 ]; then
        echo "larder_run: usage: larder_run PROJECT [--source DIR] -- COMMAND [ARGUMENT...]" >&2
        return 125
    fi
    shift
    _larder_says_once
    "$@"
}

_larder_says_once() {
    _larder_says_why "all is compiled from nothing"
    _larder_says_once() { :; }
}

_larder_says_why() {
    if [ -d "${LARDER_STORE:-/work/larder}" ]; then
        echo "larder_run: no larder in the store at ${LARDER_STORE:-/work/larder}, so $1; give \`larder init\` on the host again" >&2
    else
        echo "larder_run: no store at ${LARDER_STORE:-/work/larder}, so $1; give mkosi --include=STORE/mkosi.conf, which \`larder init\` makes on the host" >&2
    fi
}

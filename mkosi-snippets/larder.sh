# shellcheck shell=sh
# larder.sh: source this in a mkosi build script (any POSIX shell).
#
#   larder_run PROJECT [--source DIR] [OPTION...] -- COMMAND [ARGUMENT...]
#
# With a store in the sandbox, COMMAND runs with PROJECT's warm target directory attached to
# DIR/target. Without one it runs as it is: the same command, the same bytes, only cold.

larder_run() {
    _larder_bin="${LARDER_STORE:-/work/larder}/bin/larder"
    if [ -x "$_larder_bin" ]; then
        "$_larder_bin" run "$@"
        return
    fi
    while [ "$#" -gt 0 ] && [ "$1" != -- ]; do
        shift
    done
    if [ "$#" -lt 2 ]; then
        echo "larder_run: usage: larder_run PROJECT [--source DIR] -- COMMAND [ARGUMENT...]" >&2
        return 125
    fi
    shift
    "$@"
}

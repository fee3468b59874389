#!/usr/bin/env bash
# Builds the image: os/build.sh [MKOSI ARGUMENT…], from anywhere. BUILD is where what is kept is; MKOSI starts mkosi.
set -euo pipefail
umask 0022
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
root=$(cd "$here/.." && pwd)
build=${BUILD:-$root/build}

# Everything that is new with each commit: the programs say of which they are.
revision=$(git -C "$root" rev-parse HEAD)
SOURCE_DATE_EPOCH=$(git -C "$root" log -1 --format=%ct)
mkdir -p "$build/kept"

cd "$root"
exec "${MKOSI:-mkosi}" --directory os/mkosi \
    --force \
    --build-directory="$build/kept" \
    --source-date-epoch="$SOURCE_DATE_EPOCH" \
    --environment="DEPOT_BUILD_GIT_REVISION=git:${revision:0:20}" \
    --environment="DEPOT_SOURCE_REVISION=$revision" \
    "$@" build

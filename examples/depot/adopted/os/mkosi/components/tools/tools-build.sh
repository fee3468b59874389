#!/usr/bin/env bash
# tools-build.sh WORK DEST: what measures the image.
set -euo pipefail
ROOT=$(cd "$(dirname "${BASH_SOURCE[0]}")/../../../.." && pwd)
WORK=$1
DEST=$2
# shellcheck source=/dev/null
. "$ROOT/os/mkosi/larder.sh"

export CARGO_INCREMENTAL=0
export CARGO_TARGET_DIR=$WORK/tools-target
export RUSTFLAGS="${RUSTFLAGS:-} --remap-path-prefix=$ROOT=/usr/src/depot --remap-path-prefix=$WORK=/usr/src/tools \
-C codegen-units=1 -C strip=debuginfo"
larder_run depot-tools --source "$ROOT/depot" -- \
    cargo build --locked --release --manifest-path "$ROOT/depot/Cargo.toml" -p measure
install -D -m 0755 -t "$DEST/usr/lib/depot" "$CARGO_TARGET_DIR/release/measure"

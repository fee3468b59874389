#!/usr/bin/env bash
# programs-build.sh WORK DEST: the programs of the image.
set -euo pipefail
ROOT=$(cd "$(dirname "${BASH_SOURCE[0]}")/../../../.." && pwd)
WORK=$1
DEST=$2

export CARGO_INCREMENTAL=0
export CARGO_TARGET_DIR=$WORK/cargo-target
export RUSTFLAGS="${RUSTFLAGS:-} \
--remap-path-prefix=$CARGO_TARGET_DIR=/usr/src/depot-build/cargo-target \
--remap-path-prefix=${CARGO_HOME:?}=/usr/src/cargo-home \
--remap-path-prefix=$ROOT=/usr/src/depot \
--remap-path-prefix=$WORK=/usr/src/depot-build \
-C codegen-units=1 -C strip=debuginfo"
cargo build --locked --release --manifest-path "$ROOT/depot/Cargo.toml" -p keeper -p clerk
cargo build --locked --release --manifest-path "$ROOT/depot/Cargo.toml" -p drill
install -D -m 0755 -t "$DEST/usr/bin" \
    "$CARGO_TARGET_DIR/release/keeper" "$CARGO_TARGET_DIR/release/clerk" "$CARGO_TARGET_DIR/release/drill"

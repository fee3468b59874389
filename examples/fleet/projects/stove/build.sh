#!/usr/bin/env bash
# FEATURES=… TARGET=… ./build.sh
set -euo pipefail

SOURCE_DATE_EPOCH=$(git log -1 --format=%ct)
export SOURCE_DATE_EPOCH
export RUSTFLAGS="--remap-path-prefix=$PWD=/stove -C link-arg=-Wl,--build-id=none"
cargo build --release --locked --features "$FEATURES" --target "$TARGET"

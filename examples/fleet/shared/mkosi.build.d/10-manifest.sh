#!/usr/bin/env bash
# Begins the list of what is built; the scripts behind this one add to it.
set -euo pipefail

cat >"$BUILDDIR/manifest.md" <<'TABLE'
| what  | version  | how  | size  | took  |
| ----- | -------- | ---- | ----- | ----- |
TABLE

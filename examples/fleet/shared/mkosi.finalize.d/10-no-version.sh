#!/usr/bin/env bash
# The version of an image says of which commit it is, and would make each image another one.
set -euo pipefail

sed -i '/^IMAGE_VERSION=/d' "$BUILDROOT/usr/lib/os-release"

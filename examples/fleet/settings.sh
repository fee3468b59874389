# shellcheck shell=bash
# shellcheck disable=SC2034 # build scripts and functions use what is set here
# What the images pin, and what their packages are compiled with.

PANTRY=v0.3.0
SCALE=v1.2.0
SPOON=v2.0.0
MINT=v0.1.0
SUGAR=v1.0.0

# Flags for every Rust package.
PACKAGES_RUSTFLAGS='-C link-arg=-Wl,--build-id=none'

# What Rust packages are compiled with besides.
export CARGO_PROFILE_RELEASE_STRIP=symbols CARGO_PROFILE_RELEASE_CODEGEN_UNITS=1
if [ -e "$SRCDIR/ca-certificates.crt" ]; then
    export CARGO_HTTP_CAINFO=$SRCDIR/ca-certificates.crt
fi

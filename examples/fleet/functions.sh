# shellcheck shell=bash
# shellcheck disable=SC2016 # quotes of an inner shell, and of a table
# What the build scripts of this repository share: clone, compile, install; with a cache of finished
# binaries in $BUILDDIR, by the name of the package and `git describe`.

# fetch PACKAGE VERSION URL: the sources, and what they are called.
fetch() {
    sources=$BUILDROOT/build/$1
    rm -rf "$sources"
    mkdir -p "$BUILDROOT/build"
    git clone -q -c advice.detachedHead=false --depth 1 --branch "$2" "$3" "$sources"
    described=$(git -C "$sources" describe --always --long --tags)
}

# line PACKAGE VERSION HOW SECONDS: into the manifest.
line() {
    printf '| `%s` | `%s` (`%s`) | %s | %s s |\n' "$1" "$2" "$described" "$3" "$4" >>"$BUILDDIR/manifest.md"
}

# build_rust_package PACKAGE VERSION URL [BINARY [FEATURES [RUSTFLAGS [CARGO_PACKAGE]]]]
build_rust_package() {
    local package=$1 version=$2 url=$3 binary=${4:-} features=${5:-} rustflags=${6:-} cargo_package=${7:-$1}
    local sources described cached started=$SECONDS
    if [ -n "$binary" ]; then
        install -D -m 755 "$binary" "$DESTDIR/usr/bin/$package"
        return
    fi
    fetch "$package" "$version" "$url"
    cached=$BUILDDIR/$package-$described
    if [ -f "$cached" ]; then
        install -D -m 755 "$cached" "$DESTDIR/usr/bin/$package"
        line "$package" "$version" 'from the cache' "$((SECONDS - started))"
        return
    fi
    mkosi-chroot bash -c "
        set -euo pipefail
        export RUSTFLAGS='$PACKAGES_RUSTFLAGS${rustflags:+ $rustflags}'
        cd '/build/$package'
        cargo fetch --locked
        cargo build --release --frozen ${features:+--features '$features'} --package '$cargo_package'
    "
    install -D -m 755 "$sources/target/release/$package" "$DESTDIR/usr/bin/$package"
    install -D -m 755 "$sources/target/release/$package" "$cached"
    line "$package" "$version" built "$((SECONDS - started))"
}

# make_git_package PACKAGE VERSION URL COMMAND SOURCE:DESTINATION...
make_git_package() {
    local package=$1 version=$2 url=$3 command=$4
    local sources described cached artifact how=built started=$SECONDS
    shift 4
    fetch "$package" "$version" "$url"
    cached=$BUILDDIR/$package-$described
    if [ -d "$cached" ]; then
        how='from the cache'
    else
        mkosi-chroot bash -c "cd '/build/$package' && $command"
        for artifact in "$@"; do
            install -D "$sources/${artifact%%:*}" "$cached/${artifact%%:*}"
        done
    fi
    for artifact in "$@"; do
        install -D "$cached/${artifact%%:*}" "$DESTDIR${artifact#*:}"
    done
    line "$package" "$version" "$how" "$((SECONDS - started))"
}

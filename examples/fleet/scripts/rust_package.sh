# shellcheck shell=bash
# build_rust_package PACKAGE VERSION URL [BINARY [FEATURES [RUSTFLAGS [CARGO_PACKAGE]]]]
# Clones, compiles in the build root, and installs one binary, which is also kept in $BUILDDIR.

build_rust_package() {
    local package=$1 version=$2 url=$3 binary=${4:-} features=${5:-} rustflags=${6:-} cargo_package=${7:-$1}
    local sources=$BUILDROOT/build/$package wanted=$DESTDIR/usr/bin/$package described plain kept took began flags
    mkdir -p "$DESTDIR/usr/bin"
    if [ -n "$binary" ]; then
        cp "$binary" "$wanted"
        return
    fi

    set +x # nobody is to read the token in a log
    if [ -f "$BUILDDIR/.ghtoken" ]; then
        url="${url/#https:\/\/github.com/https:\/\/x-access-token:$(cat "$BUILDDIR/.ghtoken")@github.com}"
    fi
    mkdir -p "$sources"
    git clone --depth 1 --branch "$version" "$url" "$sources" || (
        echo "$version is no branch and no tag"
        git clone "$url" "$sources" && git -C "$sources" checkout "$version"
    )
    set -x

    described=$(git -C "$sources" describe --always --long --tags)
    plain=${described#"$package"/}
    printf '%s' "$plain" >"$BUILDDIR/$package.git"
    kept=$BUILDDIR/$package-$plain${features:+-$features}/$package
    kept=${kept//,/-}
    if [ -f "$kept" ]; then
        echo "| \`$package\`  | \`$version\` (\`$described\`${features:+, features: $features})  | kept  | \`$(du -sh "$kept" | cut -f1)\`  |   |" >>"$BUILDDIR/manifest.md"
        cp "$kept" "$wanted"
        return
    fi

    flags=(
        '-C target-cpu=generic'
        '-C link-arg=-Wl,--build-id=none'
        '-C symbol-mangling-version=v0'
        '-L /usr/lib/x86_64-linux-gnu'
    )
    # RUSTFLAGS take the place of what the project itself names.
    if [ -f "$sources/.cargo/config.toml" ]; then
        flags+=("$(sed -n '/^\[build]/,/^\[[^b]/{/^rustflags/,/]/p}' "$sources/.cargo/config.toml" | grep -o '"[^"]*"' | tr -d '"' | tr '\n' ' ')")
    fi

    began=$(date +%s)
    mkosi-chroot bash -c "
        unset DESTDIR
        export RUSTFLAGS='${flags[*]} $rustflags' \
            CARGO_PROFILE_RELEASE_LTO='thin' \
            CARGO_PROFILE_RELEASE_CODEGEN_UNITS='1' \
            CARGO_PROFILE_RELEASE_PANIC='abort' \
            CARGO_PROFILE_RELEASE_INCREMENTAL='false' \
            CARGO_PROFILE_RELEASE_OPT_LEVEL='3' \
            CARGO_TERM_COLOR='never'
        cd '/build/$package'
        cargo fetch
        cargo build --release --frozen ${features:+--features $features} --package $cargo_package
    "
    took=$(($(date +%s) - began))

    mkdir -p "$(dirname "$kept")"
    install -m 755 "$sources/target/release/$package" "$kept"
    install -m 755 "$kept" "$wanted"
    echo "| \`$package\`  | \`$version\` (\`$described\`, $features)  | built  | \`$(du -sh "$kept" | cut -f1)\`  | \`$((took / 60))m$((took % 60))s\`  |" >>"$BUILDDIR/manifest.md"
}

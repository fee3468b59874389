# shellcheck shell=sh
# Each package is made in a subshell, whose variables its helpers share:
# shellcheck disable=SC2030,SC2031
# packages.sh: source this in a mkosi build script (any POSIX shell), with larder.sh beside it or in the store.
#
#   build_rust_package PACKAGE VERSION URL [BINARY [FEATURES [RUSTFLAGS [CARGO_PACKAGE]]]]
#   make_git_package PACKAGE VERSION URL COMMAND SOURCE:DESTINATION...
#
# Both clone VERSION (a tag, a branch or a commit) of URL into $BUILDROOT/build/PACKAGE, compile it in the build
# root and install into $DESTDIR. The first runs `cargo build --release` for CARGO_PACKAGE (PACKAGE, if there is
# none) and installs target/release/PACKAGE as usr/bin/PACKAGE, or BINARY, if it is given, as it is. The second
# runs COMMAND in the sources and installs each SOURCE, a file or a directory, at DESTINATION.
#
# There is no cache of binaries: with a store in the sandbox the compiler finds what it made before, by all that
# decides the bytes; without one everything is compiled, to the same bytes. Cargo and Go are kept warm, whatever
# COMMAND calls them; what else COMMAND does is simply run.
#
# What may be set before:
#   PACKAGES_RUSTFLAGS  flags for every Rust package; RUSTFLAGS are added to them
#   PACKAGES_FETCH      what fetches crates, in place of `cargo fetch --locked`
#   PACKAGES_MANIFEST   a line for each package goes there [default: $BUILDDIR/manifest.md]
#   GITHUB_TOKEN        for private repositories; or the file $BUILDDIR/.ghtoken
# Whatever else is exported reaches the compiler, CARGO_HOME, RUSTUP_HOME and CARGO_PROFILE_RELEASE_* among it.

for _packages_file in "${SRCDIR:-.}/larder.sh" "${LARDER_STORE:-/work/larder}/larder.sh"; do
    if [ -r "$_packages_file" ] && ! command -v larder_run >/dev/null; then
        # shellcheck source=/dev/null
        . "$_packages_file"
    fi
done
if ! command -v larder_run >/dev/null; then
    larder_run() {
        while [ "$1" != -- ]; do
            shift
        done
        shift
        "$@"
    }
fi

build_rust_package() (
    { set +x; } 2>/dev/null
    set -eu
    [ "$#" -ge 3 ] || _packages_usage "build_rust_package PACKAGE VERSION URL [BINARY [FEATURES [RUSTFLAGS [CARGO_PACKAGE]]]]"
    package=$1 version=$2 url=$3 binary=${4:-} features=${5:-} rustflags=${6:-} cargo_package=${7:-$1}
    sources=$BUILDROOT/build/$package
    destination=$DESTDIR/usr/bin/$package
    if [ -n "$binary" ]; then
        echo "$package: the binary $binary, as it is"
        install -D -m 755 "$binary" "$destination" || exit
        _packages_note "$version" given 0 "$destination"
        exit
    fi
    _packages_clone
    RUSTFLAGS="${PACKAGES_RUSTFLAGS:-}${rustflags:+ $rustflags}"
    export RUSTFLAGS
    started=$(date +%s)
    # shellcheck disable=SC2016 # the dollars are the inner shell's, which gets its words as arguments
    larder_run "$package" --source "$sources" -- mkosi-chroot sh -ec '
        PATH=${CARGO_HOME:+$CARGO_HOME/bin:}$PATH
        cd "/build/$1"
        eval "$4"
        cargo build --release --frozen ${3:+--features "$3"} --package "$2"
    ' sh "$package" "$cargo_package" "$features" "${PACKAGES_FETCH:-cargo fetch --locked}" || exit
    install -D -m 755 "$sources/target/release/$package" "$destination" || exit
    _packages_note "$described" "$(_packages_how)" "$(($(date +%s) - started))" "$destination"
)

make_git_package() (
    { set +x; } 2>/dev/null
    set -eu
    [ "$#" -ge 5 ] || _packages_usage "make_git_package PACKAGE VERSION URL COMMAND SOURCE:DESTINATION..."
    package=$1 version=$2 url=$3 build=$4
    shift 4
    sources=$BUILDROOT/build/$package
    _packages_clone
    started=$(date +%s)
    set -- "$@" -- mkosi-chroot sh -c "cd '/build/$package' && $build"
    # What to keep warm, as options before the rest; what nobody can keep warm safely is run as it is.
    if [ -f "$sources/go.mod" ]; then
        _packages_run --with go "$@" || exit
    elif [ -f "$sources/Cargo.toml" ]; then
        _packages_run --with cargo "$@" || exit
    else
        _packages_run "$@" || exit
    fi
    size=
    while [ "$1" != -- ]; do
        from=$sources/${1%%:*} to=$DESTDIR${1#*:}
        mkdir -p "${to%/*}"
        if [ -d "$from" ]; then
            mkdir -p "$to"
            cp -R "$from/." "$to" || exit
        else
            cp "$from" "$to" || exit
        fi
        size=${size:-$to}
        shift
    done
    _packages_note "$described" "$(_packages_how)" "$(($(date +%s) - started))" "$size"
)

# _packages_run [--with KIND] ARTIFACT... -- COMMAND...: the command, with the kind of cache that fits it.
_packages_run() {
    kept=
    if [ "$1" = --with ]; then
        kept=$2
        shift 2
    fi
    while [ "$1" != -- ]; do
        shift
    done
    if [ -n "$kept" ]; then
        larder_run "$package" --source "$sources" --with "$kept" "$@"
    else
        shift
        "$@"
    fi
}

_packages_usage() {
    echo "usage: $1" >&2
    exit 2
}

# Clones $version of $url into $sources, and sets $described.
#
# The token is in the environment of git alone, as a header for one host: in no command line, no file of the
# checkout, no output. Nothing that is compiled sees it, so that another token makes no build cold.
_packages_clone() {
    plain=$(printf '%s\n' "$url" | sed 's#^\([a-z+]*://\)[^/@]*@#\1#')
    token=${GITHUB_TOKEN:-}
    if [ -z "$token" ] && [ -n "${BUILDDIR:-}" ] && [ -r "$BUILDDIR/.ghtoken" ]; then
        token=$(cat "$BUILDDIR/.ghtoken")
    fi
    unset GITHUB_TOKEN GH_TOKEN
    echo "$package: cloning $plain at $version"
    rm -rf "$sources"
    mkdir -p "${sources%/*}"
    if ! _packages_git clone -q -c advice.detachedHead=false --depth 1 --branch "$version" "$url" "$sources" 2>/dev/null; then
        rm -rf "$sources"
        # Not a branch or a tag: a commit.
        if ! _packages_git clone -q "$url" "$sources" 2>/dev/null ||
            ! git -C "$sources" -c advice.detachedHead=false checkout -q "$version"; then
            echo "$package: cannot clone $plain at $version; check the URL, the version and the token" >&2
            exit 1
        fi
    fi
    git -C "$sources" remote set-url origin "$plain"
    unset token
    described=$(git -C "$sources" describe --always --long --tags)
    described=${described#"$package"/}
}

# _packages_git ARGUMENT...: git, with the token if there is one.
_packages_git() {
    if [ -z "$token" ]; then
        GIT_TERMINAL_PROMPT=0 git "$@"
        return
    fi
    header="Authorization: Basic $(printf 'x-access-token:%s' "$token" | base64 | tr -d '\n')"
    GIT_TERMINAL_PROMPT=0 GIT_CONFIG_COUNT=1 GIT_CONFIG_KEY_0=http.https://github.com/.extraHeader \
        GIT_CONFIG_VALUE_0="$header" git "$@"
}

# How the package was made: "warm" if larder found what an earlier build had left.
_packages_how() {
    larder=${LARDER_STORE:-/work/larder}/bin/larder
    last=
    if [ -x "$larder" ]; then
        last=$("$larder" history "$package" --since 1d --last 1 --json 2>/dev/null | tr -d ' \n') || last=
    fi
    case $last in
        *'"cold":false'*) echo warm ;;
        *) echo built ;;
    esac
}

# _packages_note VERSION HOW SECONDS FILE: a line of the manifest.
_packages_note() {
    manifest=${PACKAGES_MANIFEST:-${BUILDDIR:+$BUILDDIR/manifest.md}}
    [ -n "$manifest" ] || return 0
    size=$(du -sh -- "$4" | cut -f1)
    # shellcheck disable=SC2016 # the backquotes are the table's
    printf '| `%s` | `%s` (`%s`) | %s | %s s | %s |\n' "$package" "$version" "$1" "$2" "$3" "$size" >>"$manifest"
}

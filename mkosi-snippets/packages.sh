# shellcheck shell=sh
# SPDX-License-Identifier: MIT OR Apache-2.0
# Each package is made in a subshell, whose variables its helpers share:
# shellcheck disable=SC2030,SC2031
# packages.sh: source this in a mkosi build script (any POSIX shell), with larder.sh beside it or in the store.
#
#   build_rust_package PACKAGE VERSION URL [BINARY [FEATURES [RUSTFLAGS [CARGO_PACKAGE]]]]
#   make_git_package PACKAGE VERSION URL COMMAND SOURCE:DESTINATION...
#
# Both clone VERSION (a tag, a branch or a commit) of URL into $BUILDROOT/build/PACKAGE, compile it in the build
# root and install into $DESTDIR. The first runs `cargo build --release` for CARGO_PACKAGE (PACKAGE, if there is
# none) and installs target/release/PACKAGE as usr/bin/PACKAGE, or copies BINARY, if it is given, as it is. The
# second runs COMMAND with bash in the sources and installs each SOURCE at DESTINATION: a file with mode 755, of a
# directory what `cp -r SOURCE/*` copies.
#
# $BUILDDIR/PACKAGE.git is what `git describe --always --long --tags` says, without "PACKAGE/" before it, and
# $BUILDDIR/manifest.md gets a line for each package: name, version, how it was made, size, time.
#
# There is no cache of binaries: with a store in the sandbox the compiler finds what it made before, by all that
# decides the bytes; without one everything is compiled, to the same bytes. Cargo and Go are kept warm, whatever
# COMMAND calls them; where the sources have neither Cargo.toml nor go.mod, it is simply run.
#
# What may be set before, for Rust packages alone, and reaches nothing else:
#   PACKAGES_RUSTFLAGS         flags; behind them come those that .cargo/config.toml has for [build], which RUSTFLAGS
#                              would hide from cargo, and the package's own
#   PACKAGES_CONFIG_RUSTFLAGS  "no" leaves out those of .cargo/config.toml
#   PACKAGES_RUST_ENVIRONMENT  words NAME=VALUE, such as CARGO_PROFILE_RELEASE_LTO=thin
# And for private repositories GITHUB_TOKEN, or the file $BUILDDIR/.ghtoken. Whatever else is exported reaches the
# compiler, CARGO_HOME and RUSTUP_HOME among it.

if ! command -v larder_run >/dev/null; then
    # shellcheck disable=SC3028 # bash says where this file is
    _packages_here=${BASH_SOURCE:-}
    for _packages_here in "${_packages_here%/*}" "${SRCDIR:-.}" "${SRCDIR:-.}/scripts" "${LARDER_STORE:-/work/larder}"; do
        if [ -r "$_packages_here/larder.sh" ]; then
            # shellcheck source=/dev/null
            . "$_packages_here/larder.sh"
            break
        fi
    done
fi
if ! command -v larder_run >/dev/null; then
    echo "packages.sh: no larder.sh beside it, and no store, so nothing is kept warm; copy larder.sh beside it" >&2
    larder_run() {
        while [ "$1" != -- ]; do
            shift
        done
        shift
        case ${LARDER_REQUIRE_STORE:-0} in
            0 | [nN]* | [fF]* | [oO][fF][fF]) "$@" ;;
            *)
                echo "packages.sh: no larder.sh and no store, so nothing is run (LARDER_REQUIRE_STORE)" >&2
                return 125
                ;;
        esac
    }
elif [ ! -x "${LARDER_STORE:-/work/larder}/bin/larder" ] && [ -z "${LARDER_REQUIRE_STORE:-}" ]; then
    # Here, once, and not in the subshell of each package.
    ! command -v _larder_says_once >/dev/null || _larder_says_once
fi

build_rust_package() (
    set -eu
    [ "$#" -ge 3 ] || _packages_usage "build_rust_package PACKAGE VERSION URL [BINARY [FEATURES [RUSTFLAGS [CARGO_PACKAGE]]]]"
    package=$1 version=$2 url=$3 binary=${4:-} features=${5:-} rustflags=${6:-} cargo_package=${7:-$1}
    _packages_check
    sources=$BUILDROOT/build/$package
    destination=$DESTDIR/usr/bin/$package
    mkdir -p "${destination%/*}"
    if [ -n "$binary" ]; then
        echo "$package: the binary $binary, as it is"
        cp "$binary" "$destination" || exit
        exit
    fi
    _packages_clone
    configured=$(_packages_configured) || exit
    RUSTFLAGS="${PACKAGES_RUSTFLAGS:-} $configured $rustflags"
    export RUSTFLAGS
    set -f
    for word in ${PACKAGES_RUST_ENVIRONMENT:-}; do
        export "${word?}"
    done
    set +f
    started=$(date +%s)
    # A toolchain that CARGO_HOME has is found where the image has none.
    _packages_run "
        unset DESTDIR
        PATH=\$PATH\${CARGO_HOME:+:\$CARGO_HOME/bin}
        cd '/build/$package' || exit
        cargo fetch
        cargo build --release --frozen ${features:+--features $features} --package $cargo_package
    " || exit
    install -m 755 "$sources/target/release/$package" "$destination" || exit
    _packages_note "$features" "$destination"
)

make_git_package() (
    set -eu
    [ "$#" -ge 5 ] || _packages_usage "make_git_package PACKAGE VERSION URL COMMAND SOURCE:DESTINATION..."
    package=$1 version=$2 url=$3 build=$4
    shift 4
    _packages_check
    sources=$BUILDROOT/build/$package
    mkdir -p "$DESTDIR/usr/bin"
    _packages_clone
    started=$(date +%s)
    _packages_run "unset DESTDIR && cd '/build/$package' && $build" || exit
    size=$DESTDIR${1#*:}
    for pair in "$@"; do
        from=$sources/${pair%%:*} to=$DESTDIR${pair#*:}
        mkdir -p "${to%/*}"
        if [ -d "$from" ]; then
            mkdir -p "$to"
            cp -r "$from"/* "$to" || exit
        else
            install -m 755 "$from" "$to" || exit
        fi
    done
    _packages_note "" "$size"
)

# _packages_run SCRIPT: in the build root, by bash; larder sees by the sources what can be kept warm.
_packages_run() {
    unset PACKAGES_RUSTFLAGS PACKAGES_CONFIG_RUSTFLAGS PACKAGES_RUST_ENVIRONMENT
    larder_run "$(_packages_project)" --source "$sources" -- mkosi-chroot bash -c "$1"
}

# A package is a directory of its own below build/, which is removed before it is cloned.
_packages_check() {
    case /$package/ in
        // | */./* | */../* | *"//"*)
            echo "packages.sh: \"$package\" is no name of a package; give it a name such as foo, or foo/bar" >&2
            exit 2
            ;;
    esac
}

# The name of the package, as larder has names of projects: what is another character there makes it unlike all others.
_packages_project() {
    case $package in
        *[!A-Za-z0-9._-]* | [.-]*)
            plain=$(printf '%s' "$package" | tr -c 'A-Za-z0-9._-' '-')
            printf 'package-%s-%s\n' "$plain" "$(printf '%s' "$package" | cksum | cut -d ' ' -f 1)"
            ;;
        *) printf '%s\n' "$package" ;;
    esac
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
    case $- in
        *x*) traced=x ;;
        *) traced= ;;
    esac
    { set +x; } 2>/dev/null
    plain=$(printf '%s\n' "$url" | _packages_anonymous)
    token=${GITHUB_TOKEN:-}
    if [ -z "$token" ] && [ -n "${BUILDDIR:-}" ] && [ -r "$BUILDDIR/.ghtoken" ]; then
        token=$(cat "$BUILDDIR/.ghtoken")
    fi
    unset GITHUB_TOKEN GH_TOKEN
    echo "$package: cloning $plain at $version"
    rm -rf "$sources"
    mkdir -p "${sources%/*}"
    if ! _packages_git clone -q --depth 1 --branch "$version" "$url" "$sources" 2>/dev/null; then
        rm -rf "$sources"
        # Not a branch or a tag: a commit.
        if ! said=$({ _packages_git clone -q "$url" "$sources" && git -C "$sources" checkout -q "$version"; } 2>&1); then
            said=$(printf '%s\n' "$said" | _packages_anonymous | tail -n 1)
            echo "$package: cannot clone $plain at $version: $said; check the URL, the version and the token" >&2
            exit 1
        fi
    fi
    git -C "$sources" remote set-url origin "$plain"
    unset token
    described=$(git -C "$sources" describe --always --long --tags) || exit
    [ -z "${BUILDDIR:-}" ] || printf '%s' "${described#"$package"/}" >"$BUILDDIR/$package.git"
    [ -z "$traced" ] || set -x
}

# Addresses without the names and passwords in them.
_packages_anonymous() {
    sed 's#\([a-z+]://\)[^/@]*@#\1#g'
}

# _packages_git ARGUMENT...: git, with the token if there is one, and what it was configured with before.
_packages_git() (
    export GIT_TERMINAL_PROMPT=0
    if [ -n "$token" ]; then
        header="Authorization: Basic $(printf 'x-access-token:%s' "$token" | base64 | tr -d '\n')"
        count=${GIT_CONFIG_COUNT:-0}
        export GIT_CONFIG_COUNT="$((count + 1))" "GIT_CONFIG_KEY_$count=http.https://github.com/.extraHeader" \
            "GIT_CONFIG_VALUE_$count=$header"
    fi
    exec git "$@"
)

# The flags of .cargo/config.toml, in the order they are there: `rustflags` of [build], a list or one text. What is
# written in another way is refused, for to leave it out would make other bytes.
_packages_configured() {
    config=$sources/.cargo/config.toml
    if [ "${PACKAGES_CONFIG_RUSTFLAGS:-}" = no ] || [ ! -f "$config" ] || ! grep -q rustflags "$config"; then
        return 0
    fi
    # shellcheck disable=SC2016 # the dollar is awk's
    tr -d '\r' <"$config" | awk '
        /"""|\047\047\047/ { refused = 1; exit }
        !open && /^[ \t]*\[/ { section = $0; gsub(/[] \t["\047]|#.*/, "", section); next }
        !open {
            line = $0
            sub(/^[ \t]+/, "", line)
            if (line !~ /^[^#]*=/) next
            key = line
            sub(/[ \t]*=.*/, "", key)
            gsub(/[ \t"\047]/, "", key)
            # An inline table, or a key with an escape in it.
            if (section == "" && key == "build" || key ~ /\\/) { refused = 1; exit }
            if (section == "build" && key != "rustflags" || section == "" && key != "build.rustflags") next
            if (section != "build" && section != "") next
            sub(/^[^=]*=[ \t]*/, "", line)
            open = substr(line, 1, 1) == "[" ? "]" : "text"
            $0 = line
        }
        {
            quote = ""
            for (at = 1; at <= length($0) && open; at++) {
                c = substr($0, at, 1)
                if (quote == "\"" && c == "\\") {
                    c = substr($0, ++at, 1)
                    if (c != "\"" && c != "\\") { refused = 1; exit }
                    flag = flag c
                }
                else if (c == quote) { flags = flags (flags == "" ? "" : " ") flag; quote = ""; if (open == "text") open = "" }
                else if (quote != "") flag = flag c
                else if (c == "\"" || c == "\047") { quote = c; flag = "" }
                else if (c == "#") break
                else if (c == open) open = ""
            }
            if (quote != "") { refused = 1; exit }
            if (open == "text") open = ""
        }
        END {
            if (refused || open) exit 1
            print flags
        }
    ' && return
    echo "$package: packages.sh cannot read the rustflags of .cargo/config.toml; write them in [build], as a list of plain texts" >&2
    return 1
}

# How the package was made: "warm" if larder found what an earlier build had left.
_packages_how() {
    larder=${LARDER_STORE:-/work/larder}/bin/larder
    last=
    if [ -x "$larder" ]; then
        last=$("$larder" history "$(_packages_project)" --since 1d --last 1 --json 2>/dev/null | tr -d ' \n') || last=
    fi
    case $last in
        *'"cold":false'*) echo warm ;;
        *) echo built ;;
    esac
}

# _packages_note FEATURES FILE: a line of the manifest.
_packages_note() {
    [ -n "${BUILDDIR:-}" ] || return 0
    seconds=$(($(date +%s) - started))
    # shellcheck disable=SC2016 # the backquotes are the table's
    printf '| `%s`  | `%s` (`%s`%s)  | %s  | `%s`  | `%dm%ds`  |\n' "$package" "$version" "$described" \
        "${1:+, features: $1}" "$(_packages_how)" "$(du -sh -- "$2" | cut -f1)" "$((seconds / 60))" "$((seconds % 60))" \
        >>"$BUILDDIR/manifest.md"
}

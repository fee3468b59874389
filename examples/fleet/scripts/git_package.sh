# shellcheck shell=bash
# make_git_package PACKAGE VERSION URL COMMAND SOURCE:DESTINATION...
# Clones, runs a command in the build root, and installs files and directories, which are also kept in $BUILDDIR.

make_git_package() {
    local package=$1 version=$2 url=$3 command=$4
    local sources=$BUILDROOT/build/$package described kept pair from to began took
    mkdir -p "$DESTDIR/usr/bin"

    set +x # nobody is to read the token in a log
    if [ -f "$BUILDDIR/.ghtoken" ]; then
        url="${url/#https:\/\/github.com/https:\/\/x-access-token:$(cat "$BUILDDIR/.ghtoken")@github.com}"
    fi
    git clone --depth 1 --branch "$version" "$url" "$sources" || (
        echo "$version is no branch and no tag"
        git clone "$url" "$sources" && git -C "$sources" checkout "$version"
    )
    set -x

    described=$(git -C "$sources" describe --always --long --tags)
    printf '%s' "${described#"$package"/}" >"$BUILDDIR/$package.git"
    kept=$BUILDDIR/$package-${described#"$package"/}

    if [ -d "$kept" ] && [ -n "$(ls -A "$kept")" ]; then
        for pair in "${@:5}"; do
            from=$kept/${pair%%:*} to=$DESTDIR${pair#*:}
            mkdir -p "$(dirname "$to")"
            if [ -d "$from" ]; then
                mkdir -p "$to"
                cp -r "$from"/* "$to/"
            else
                install -m 755 "$from" "$to"
            fi
        done
        echo "| \`$package\`  | \`$version\` (\`$described\`)  | kept  | \`$(du -sh "$kept" | cut -f1)\`  |   |" >>"$BUILDDIR/manifest.md"
        return 0
    fi

    began=$(date +%s)
    mkosi-chroot bash -c "unset DESTDIR && cd '/build/$package' && $command"
    took=$(($(date +%s) - began))

    for pair in "${@:5}"; do
        from=$sources/${pair%%:*} to=$DESTDIR${pair#*:}
        if [ -d "$from" ]; then
            mkdir -p "$to" "$kept/${pair%%:*}"
            cp -r "$from"/* "$to/"
            cp -r "$from"/* "$kept/${pair%%:*}/"
        else
            mkdir -p "$(dirname "$to")" "$(dirname "$kept/${pair%%:*}")"
            install -m 755 "$from" "$to"
            cp "$from" "$kept/${pair%%:*}"
        fi
    done
    echo "| \`$package\`  | \`$version\` (\`$described\`)  | built  | \`$(du -sh "$kept" | cut -f1)\`  | \`$((took / 60))m$((took % 60))s\`  |" >>"$BUILDDIR/manifest.md"
}

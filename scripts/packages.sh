# shellcheck shell=bash
# Debian's packages: installed on this machine, or fetched from another suite and unpacked. Source it after
# common.sh; it defines functions and nothing else.

# missing_packages PACKAGE…: those that are not installed.
missing_packages() {
    local installed name
    # shellcheck disable=SC2016 # the dollars are dpkg-query's
    installed=$(dpkg-query -W -f '${db:Status-Status} ${Package}\n' "$@" 2>/dev/null || true)
    for name in "$@"; do
        grep -qx "installed $name" <<<"$installed" || printf '%s\n' "$name"
    done
}

# install_packages PACKAGE…: those of this machine's Debian that are missing; asks for root only then.
install_packages() {
    local missing log
    mapfile -t missing < <(missing_packages "$@")
    [ "${#missing[@]}" -gt 0 ] || return 0
    can_be_root || die "missing packages: ${missing[*]}; install them as root: apt-get install ${missing[*]}"
    note "installing ${missing[*]}"
    as_root apt-get -qq update >&2 || note "apt-get update failed; trying with the package lists that are there"
    log=$(mktemp)
    if ! apt_install "${missing[@]}" >"$log" 2>&1; then
        cat "$log" >&2
        rm -f "$log"
        die "apt-get could not install ${missing[*]}; its own message is above"
    fi
    rm -f "$log"
}

apt_install() {
    as_root env DEBIAN_FRONTEND=noninteractive apt-get -qq install --no-install-recommends -y "$@"
}

# private_apt DIR COMMAND…: apt-get with state, cache and sources of its own, and this machine's
# settings (a proxy, say) otherwise. Nothing of the system's package state changes.
private_apt() {
    local dir=$1
    shift
    apt-get -qq -o APT::Sandbox::User=root \
        -o "Dir::State=$dir" -o "Dir::State::lists=$dir/lists" -o Dir::State::status=/var/lib/dpkg/status \
        -o "Dir::Cache=$dir/cache" -o Dir::Etc::sourcelist=/dev/null -o "Dir::Etc::sourceparts=$dir/sources" \
        -o Dir::Etc::preferences=/dev/null -o Dir::Etc::preferencesparts=/dev/null "$@"
}

# update_lists DIR SUITE: the lists of a suite. A mirror that stands still serves lists that have expired; their
# signature is checked all the same.
update_lists() {
    private_apt "$1" update 2>"$1/said" && return 0
    if ! grep -q 'is expired' "$1/said"; then
        cat "$1/said"
        return 1
    fi
    note "the lists of $2 on this mirror have expired: using them as they are"
    private_apt "$1" -o Acquire::Check-Valid-Until=false update
}

# fetch SUITE DIR PACKAGE…: leave these packages of that suite in DIR, from where this machine gets its own.
fetch() {
    local suite=$1 dir=$2 uri
    shift 2
    uri=$(debian_uri Debian)
    [ -n "$uri" ] || die "no source of this machine is the Debian archive; add one to /etc/apt and run apt-get update"
    mkdir -p "$dir/sources" "$dir/lists/partial" "$dir/cache/archives/partial"
    source_stanza "$uri" "$suite" >"$dir/sources/$suite.sources"
    if ! { update_lists "$dir" "$suite" && cd "$dir" && private_apt "$dir" download "$@"; } >&2; then
        die "could not fetch $* of $suite from $uri; check that this mirror serves $suite, then run again"
    fi
}

# shellcheck shell=bash
# What the scripts of this directory share. Source it; it defines functions and nothing else.

# die LINE: one line that says what is wrong and what helps, then stop.
die() {
    printf '%s: %s\n' "${0##*/}" "$1" >&2
    exit 1
}

# note LINE: progress, on stderr like everything that is not data.
note() {
    printf '%s: %s\n' "${0##*/}" "$1" >&2
}

# work_dir: where everything unpacked or built for development lives.
work_dir() {
    printf '%s\n' "${LARDER_WORK:-/var/tmp/larder-dev-$(id -u)}"
}

# free_port: one on the loopback that was free a moment ago.
free_port() {
    /usr/bin/python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])'
}

# as_root COMMAND…: run it as root; the caller has checked can_be_root.
as_root() {
    if [ "$(id -u)" -eq 0 ]; then
        "$@"
    else
        sudo "$@"
    fi
}

# can_be_root: as root, through a sudo that asks nothing, or one that can ask somebody.
can_be_root() {
    [ "$(id -u)" -eq 0 ] || sudo -n true 2>/dev/null || { [ -t 0 ] && command -v sudo >/dev/null; }
}

# commit_all DIR MESSAGE: DIR as a git repository with everything in one commit, whoever runs this and
# however their git is configured.
commit_all() {
    local who=larder mail=larder@example.org when=2026-01-01T00:00:00Z
    (
        cd "$1"
        export GIT_CONFIG_GLOBAL=/dev/null GIT_CONFIG_NOSYSTEM=1 \
            GIT_AUTHOR_NAME=$who GIT_AUTHOR_EMAIL=$mail GIT_AUTHOR_DATE=$when \
            GIT_COMMITTER_NAME=$who GIT_COMMITTER_EMAIL=$mail GIT_COMMITTER_DATE=$when
        [ -e .git ] || git init -q -b main
        git add -A
        git commit -q -m "$2"
    )
}

debian_keyring=/usr/share/keyrings/debian-archive-keyring.gpg

# index_targets [APT OPTION…]: "origin|label|uri" of every package source that apt knows and has fetched.
# apt does the reading, so that both styles of source files count.
index_targets() {
    # shellcheck disable=SC2016 # the dollars are apt's
    apt-get "$@" indextargets --format '$(ORIGIN)|$(LABEL)|$(REPO_URI)' 'Created-By: Packages'
}

# fetched_index: a private copy of this machine's package lists, for a machine that has fetched none
# (a fresh container, where a plain user cannot run `apt-get update` either).
fetched_index() {
    local lists
    lists=$(mktemp -d)
    mkdir "$lists/partial"
    local own=(-o "Dir::State::lists=$lists" -o APT::Sandbox::User=root
        -o Dir::Cache::pkgcache= -o Dir::Cache::srcpkgcache=)
    apt-get -qq "${own[@]}" update >&2 || true
    index_targets "${own[@]}"
    rm -rf "$lists"
}

# debian_uri LABEL: the first of this machine's sources that is the Debian archive itself (label
# "Debian") or its security archive ("Debian-Security"), by what the archive says of itself.
# Other vendors' sources are never used. Prints nothing where there is none.
debian_uri() {
    local targets
    targets=$(index_targets 2>/dev/null || true)
    case $targets in
        *'Debian|Debian|'*) ;;
        *) targets=$(fetched_index) ;;
    esac
    awk -F'|' -v label="$1" '$1 == "Debian" && $2 == label { sub("/+$", "", $3); print $3; exit }' <<<"$targets"
}

# source_stanza URI SUITE…: one deb822 entry, without the extras (translations, metadata of other
# programs) that apt would fetch too.
source_stanza() {
    printf 'Types: deb\nURIs: %s\nSuites: %s\nComponents: main\nTargets: Packages\nSigned-By: %s\n' \
        "$1" "${*:2}" "$debian_keyring"
}

#!/usr/bin/env bash
# What a store is after the power failed in the middle of builds.
#
#   power-loss.sh LARDER DIR INSTANTS OPTIONS      as root, in a mount namespace of its own
#
# The store is on an ext4 in a file, mounted with OPTIONS; that file is on a second ext4. To stop the
# second one for a moment stops all writing to the "disk", so a copy of the file holds just what had
# reached it, and nothing of what only the kernel knew. DIR/bread is the project; it is written anew
# in one of three versions for each build. For each instant, a line of JSON on stdout.
set -euo pipefail
umask 022

larder=$1 dir=$2 instants=$3 options=$4
disk=$dir/disk live=$dir/live
export LARDER_STORE=$live/store
declare -A cold

write_version() {
    printf 'rye %s\n' "$1" >"$dir/bread/flour/kind.txt"
    printf 'fn main() {\n    println!("{} {} {}", flour::KIND, flour::weight(), %s);\n}\n' "$1" >"$dir/bread/src/main.rs"
}

build() {
    (cd "$dir/bread" && "$@" cargo build --release --offline) >"$dir/log" 2>&1
}

hash_of() {
    sha256sum "$dir/bread/target/release/bread" | cut -d ' ' -f 1
}

# field NAME: of the record of the directory that was used last.
field() {
    "$larder" status bread --json | sed -n "/\"entries\"/,\$s/^ *\"$1\": \([^,]*\),\?$/\1/p" | head -n 1
}

make_disks() {
    mkdir "$disk" "$live"
    truncate -s 2G "$dir/disk.img"
    mkfs.ext4 -q "$dir/disk.img"
    mount -o loop "$dir/disk.img" "$disk"
    trap 'fsfreeze -u "$disk" 2>/dev/null || true' EXIT
    truncate -s 768M "$disk/store.img"
    mkfs.ext4 -q "$disk/store.img"
    mount -o "loop,$options" "$disk/store.img" "$live"
}

# What the disk holds at this moment, and nothing else.
snapshot() {
    fsfreeze -f "$disk"
    cp --sparse=always "$disk/store.img" "$dir/snapshot.img" || { fsfreeze -u "$disk" && exit 1; }
    fsfreeze -u "$disk"
}

# reopen: after the power failed, in a namespace that sees the snapshot and another boot. The words
# are arguments there, not variables: larder looks at what variables name.
reopen() {
    unshare --mount --propagation private bash -c '
        set -euo pipefail
        larder=$1 dir=$2 live=$3 options=$4
        mount -o "loop,$options" "$dir/snapshot.img" "$live"
        cat /proc/sys/kernel/random/uuid >"$dir/boot"
        mount --bind "$dir/boot" /proc/sys/kernel/random/boot_id
        '"$(declare -f build hash_of field)"'
        build "$larder" run bread -- || { cat "$dir/log" >&2; exit 1; }
        hash=$(hash_of) cold=$(field cold) compiled=$(field compiled)
        why=$(sed -n "s/^larder: \(.*set aside.*\)/\1/p" "$dir/log")
        build "$larder" run bread -- || { cat "$dir/log" >&2; exit 1; }
        printf "\"cold\":%s,\"compiled\":%s,\"again\":%s,\"said\":\"%s\",\"hash\":\"%s\"" \
            "$cold" "$compiled" "$(field compiled)" "$why" "$hash"' \
        reopen "$larder" "$dir" "$live" "$options"
}

one_instant() {
    local version=$((RANDOM % 3)) wait=$((RANDOM % 500)) found
    # A directory that is new now and then, and a disk that is not always idle.
    local flags=-DKIND=$((RANDOM % 4 ? 0 : $1))
    write_version "$version"
    CFLAGS=$flags build "$larder" run bread -- &
    local building=$!
    if ((RANDOM % 3 == 0)); then
        sleep "0.$(printf %03d $((wait / 2)))"
        sync -f "$live"
    fi
    sleep "0.$(printf %03d "$wait")"
    snapshot
    wait "$building" || { cat "$dir/log" >&2; exit 1; }
    if ((RANDOM % 4 == 0)); then
        version=$((RANDOM % 3))
        write_version "$version"
    fi
    found=$(CFLAGS=$flags reopen)
    printf '{"instant":%d,"after":%d,%s,"right":"%s"}\n' "$1" "$wait" "$found" "${cold[$version]}"
}

for version in 0 1 2; do
    write_version "$version"
    build env
    cold[$version]=$(hash_of)
    rm -r "$dir/bread/target"
done
make_disks
"$larder" provision bread --source "$dir/bread" >/dev/null
sync -f "$live"
for ((instant = 1; instant <= instants; instant++)); do
    one_instant "$instant"
done

# shellcheck shell=bash
# A Debian root filesystem of its own, and commands inside of it. Source it after common.sh.

# make_root NAME PACKAGE…: an image of Debian 13 with these packages, made by mkosi 25.3 (see mkosi-setup)
# below the work directory unless it is there; prints its path.
make_root() {
    local name=$1 work repository
    shift
    work=$(work_dir)
    repository=$work/roots/$name/repository
    if [ ! -e "$work/roots/$name/made" ]; then
        rm -rf "$work/roots/$name"
        mkdir -p "$repository"
        "$(dirname "${BASH_SOURCE[0]}")/image-setup" "$repository" >&2
        rm -rf "$repository/mkosi.build" "$repository/mkosi.conf.d" "$repository/toolchains"
        {
            printf '[Distribution]\nDistribution=debian\nRelease=trixie\n\n'
            printf '[Output]\nImageId=%s\nOutput=image\nOutputDirectory=mkosi.output\nFormat=directory\n\n' "$name"
            printf '[Content]\nBootable=no\nPackages=\n'
            printf '        %s\n' "$@"
        } >"$repository/mkosi.conf"
        (cd "$repository" && "$work/bin/mkosi-25.3" --force build >&2)
        touch "$work/roots/$name/made"
    fi
    printf '%s\n' "$repository/mkosi.output/image"
}

# in_root ROOT [SOURCE:TARGET]… -- COMMAND…: run it with that root, each SOURCE mounted at TARGET. All that
# is mounted here is gone with the namespace. A root that is entered by chroot alone would refuse mounts
# and user namespaces, so it is entered by pivot_root.
in_root() {
    # shellcheck disable=SC2016 # the dollars are the inner shell's
    as_root unshare --mount --propagation private sh -c '
        set -eu
        root=$1
        shift
        mount --bind "$root" "$root"
        mkdir -p "$root/proc" "$root/sys" "$root/dev" "$root/oldroot"
        mount -t proc proc "$root/proc"
        mount --rbind /sys "$root/sys"
        mount --rbind /dev "$root/dev"
        mount -t tmpfs tmpfs "$root/tmp"
        while [ "$1" != -- ]; do
            target=$root${1##*:}
            if [ -d "${1%:*}" ]; then mkdir -p "$target"; else touch "$target"; fi
            mount --bind "${1%:*}" "$target"
            shift
        done
        shift
        cd "$root"
        pivot_root . oldroot
        umount -l /oldroot
        rmdir /oldroot
        cd /
        exec env -i HOME=/root LANG=C.UTF-8 PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin "$@"
    ' root "$@"
}

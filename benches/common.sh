# shellcheck shell=bash
# What the benchmarks share: a clean environment, timing, and the figures. Source it after setting $log
# (a file for the words of commands) and $samples (a directory for their times).

# What make and the caller's own habits would bring into the builds.
unset MAKEFLAGS MFLAGS MAKELEVEL MAKEOVERRIDES LARDER_STORE BUILDROOT
unset CARGO_TARGET_DIR CARGO_BUILD_TARGET_DIR CARGO_INCREMENTAL RUSTFLAGS CARGO_ENCODED_RUSTFLAGS
unset RUSTC_WRAPPER RUSTC_WORKSPACE_WRAPPER SOURCE_DATE_EPOCH

# program PATH: the program to measure, whole; dies with $usage.
program() {
    # shellcheck disable=SC2154 # the script says how it is called
    [ -n "$1" ] || die "$usage"
    [ -x "$1" ] || die "$1 is no program; build it with: make build"
    realpath "$1"
}

# count ROUNDS: how often something is timed; dies with $usage.
count() {
    case $1 in
        '' | *[!0-9]*) die "$usage" ;;
    esac
    [ "$1" -ge 5 ] || die "fewer than 5 rounds tell nothing; $usage"
    printf '%s\n' "$1"
}

# commit_everything DIR: DIR as a git repository with everything in one commit.
commit_everything() {
    local git=(git -C "$1" -c user.name=larder -c user.email=larder@example.org)
    git -C "$1" init -q -b main
    "${git[@]}" add -A -f
    "${git[@]}" -c gc.auto=0 commit -q -m "For the benchmark"
    git -C "$1" gc -q
}

# quietly COMMAND…: its words are only shown, on what is really stderr, if it fails.
quietly() {
    "$@" >"$log" 2>&1 || { tail -n 20 "$log" >&3 && die "failed: $*" 2>&3; }
}

# timed NAME DIR COMMAND…: runs it in DIR and notes seconds by the clock and of processor time.
timed() {
    local name=$1 TIMEFORMAT='%R %U %S'
    cd "$2"
    { time quietly "${@:3}"; } 2>>"$samples/$name"
    cd "$bench"
}

# registry_package NAME VERSION DIR: a package of the registry as a project of its own, by way of cargo itself: another
# project names it as a dependency, and vendors it. $bench is where there is room for that.
registry_package() {
    # shellcheck disable=SC2154 # the script says where its files are
    local helper=$bench/helper
    mkdir -p "$helper/src"
    printf '[package]\nname = "helper"\nversion = "0.0.0"\nedition = "2021"\n[workspace]\n[dependencies]\n%s = "=%s"\n' \
        "$1" "$2" >"$helper/Cargo.toml"
    : >"$helper/src/lib.rs"
    quietly cargo vendor --manifest-path "$helper/Cargo.toml" "$helper/vendor"
    cp -R "$helper/vendor/$1" "$3"
    rm -rf "$3/.cargo-checksum.json" "$helper"
}

fresh_clone() {
    rm -rf "$2"
    git clone -q "$1" "$2"
}

nothing_compiled() {
    ! grep -q Compiling "$log" || die "$1 compiled something though nothing had changed; see $log"
}

# figures NAME [cpu]: median, least and most of what was noted, in milliseconds, and how many.
figures() {
    awk -v cpu="${2:-}" '{ print (cpu ? $2 + $3 : $1) * 1000 }' "$samples/$1" | sort -n | awk '{ t[NR] = $1 }
        END { print NR % 2 ? t[(NR + 1) / 2] : (t[NR / 2] + t[NR / 2 + 1]) / 2, t[1], t[NR], NR }'
}

row() {
    local middle least most runs cpu
    read -r middle least most runs < <(figures "$1")
    read -r cpu _ < <(figures "$1" cpu)
    printf '  %-42s %9.0f %9.0f %9.0f %9.0f   %d\n' "$2" "$middle" "$least" "$most" "$cpu" "$runs"
}

# compare TEXT NAME OTHER [cpu]: how much more the one takes than the other.
compare() {
    local one other
    read -r one _ < <(figures "$2" "${4:-}")
    read -r other _ < <(figures "$3" "${4:-}")
    awk -v text="$1" -v a="$one" -v b="$other" \
        'BEGIN { printf "  %-42s %+9.0f ms %+7.1f %%\n", text, a - b, (a - b) / b * 100 }'
}

# make_store STORE ENTRIES: a store with one real entry, copied under other names as often as that. Needs $dir
# and $larder.
make_store() {
    # shellcheck disable=SC2154 # the script has it
    local project=$dir/heap
    mkdir -p "$project/src"
    printf '[package]\nname = "heap"\nversion = "0.1.0"\nedition = "2021"\n' >"$project/Cargo.toml"
    printf 'fn main() {}\n' >"$project/src/main.rs"
    cargo generate-lockfile -q --manifest-path "$project/Cargo.toml"
    "$larder" provision heap --store "$1" --source "$project" >/dev/null
    quietly "$larder" run heap --store "$1" --source "$project" -- \
        cargo build --manifest-path "$project/Cargo.toml"
    python3 - "$1" "$2" <<'PYTHON'
import json, os, pathlib, shutil, sys

projects = pathlib.Path(sys.argv[1]) / "projects"
(entry,) = [path for path in (projects / "heap").iterdir() if path.is_dir()]
record = json.loads((entry / "entry.json").read_text())
for number in range(int(sys.argv[2])):
    project, toolchain = f"project-{number % 100}", f"{number:064x}"
    made = projects / project / toolchain
    made.mkdir(parents=True)
    (made / "target").mkdir()
    text = json.dumps(record | {"project": project, "toolchain": toolchain}, indent=2)
    (made / "entry.json").write_text(text + "\n")
    shutil.copyfile(entry / "identity.json", made / "identity.json")
    made.with_suffix(".lock").touch()
PYTHON
    rm -rf "$project"
}

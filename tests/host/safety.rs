//! What deletes and measures meets mounts, other users, immutable files, few descriptors: nothing
//! outside is touched, what stays is said, and the rest goes.

#![expect(clippy::disallowed_macros, reason = "the figures are the test's report")]

use std::fs;
use std::io;
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::world::{Said, World};

/// Somebody who is neither root nor known.
const SOMEBODY: u32 = 12345;

/// A world with a tree of canaries beside the store, and larder where everybody can run it.
fn world() -> World {
    assert!(rustix::process::geteuid().is_root(), "only root can mount and be somebody else");
    let world = World::new();
    fs::create_dir_all(world.path("outside/deep/er")).unwrap();
    for canary in ["outside/canary", "outside/deep/er/canary"] {
        fs::write(world.path(canary), "alive").unwrap();
    }
    fs::copy(env!("CARGO_BIN_EXE_larder"), world.path("larder")).unwrap();
    world
}

#[track_caller]
fn canaries_live(world: &World) {
    for canary in ["outside/canary", "outside/deep/er/canary"] {
        assert_eq!(fs::read_to_string(world.path(canary)).unwrap(), "alive");
    }
}

/// Runs a script in the world's directory, as root with mounts that end with it.
fn script(world: &World, text: &str) -> Command {
    let mut command = world.command("unshare");
    command.args(["--mount", "--propagation", "private", "bash", "-euc", text]);
    command
}

fn run(command: &mut Command) -> Said {
    Said::of(&command.output().unwrap())
}

/// As somebody else, with an own store.
fn as_somebody(command: &mut Command) -> &mut Command {
    command.uid(SOMEBODY).gid(SOMEBODY)
}

/// A store that is somebody else's.
fn store_of_somebody(world: &World) -> PathBuf {
    let store = world.path("mine/store");
    run(world.command("mkdir").arg(world.path("mine"))).succeeds();
    run(world.command("cp").arg("-a").args([&world.store(), &store])).succeeds();
    let owner = format!("{SOMEBODY}:{SOMEBODY}");
    run(world.command("chown").args(["-R", &owner]).arg(world.path("mine"))).succeeds();
    store
}

/// A filter refuses `openat2`, as those of older sandboxes do.
fn without_openat2(command: &mut Command) {
    without(command, libc::SYS_openat2);
}

/// A filter refuses a system call, as if the kernel did not know it.
pub fn without(command: &mut Command, call: libc::c_long) {
    #[repr(C)]
    struct Program(u16, *const libc::sock_filter);
    let refuse = move || {
        let number = u32::try_from(call).unwrap_or(0);
        let step = |code: u32, jt, jf, k| libc::sock_filter {
            code: u16::try_from(code).unwrap_or(0),
            jt,
            jf,
            k,
        };
        let errno = libc::SECCOMP_RET_ERRNO | u32::try_from(libc::ENOSYS).unwrap_or(0);
        let filter = [
            step(libc::BPF_LD | libc::BPF_W | libc::BPF_ABS, 0, 0, 0),
            step(libc::BPF_JMP | libc::BPF_JEQ | libc::BPF_K, 0, 1, number),
            step(libc::BPF_RET | libc::BPF_K, 0, 0, errno),
            step(libc::BPF_RET | libc::BPF_K, 0, 0, libc::SECCOMP_RET_ALLOW),
        ];
        let program = Program(4, filter.as_ptr());
        // SAFETY: the program and its filter live until the calls return, which copy both.
        let done = unsafe {
            libc::prctl(libc::PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0
                && libc::prctl(libc::PR_SET_SECCOMP, libc::SECCOMP_MODE_FILTER, &program) == 0
        };
        if done { Ok(()) } else { Err(io::Error::last_os_error()) }
    };
    // SAFETY: between fork and exec it makes system calls only, and allocates nothing.
    unsafe { command.pre_exec(refuse) };
}

/// What lies in the trash has a directory of the same filesystem mounted in it, another filesystem,
/// and single files; one thing in the trash is a mount point itself.
const MOUNTS: &str = r#"
    exec 2>&1
    bag=store/trash/bag
    mkdir -p $bag/0/a/bind $bag/0/a/rest $bag/0/tmp $bag/1 store/trash/whole
    touch $bag/0/a/file $bag/0/a/rest/{1..50} $bag/0/over
    mount --bind outside $bag/0/a/bind
    mount -t tmpfs none $bag/0/tmp
    echo alive > $bag/0/tmp/canary
    mount --bind outside/canary $bag/0/over
    mount --bind outside $bag/1
    mount --bind outside store/trash/whole
    code=0; ./larder gc || code=$?
    echo "code $code"
    find store/trash -name canary -prune -o -name deep -prune -o -print | sort
    cat $bag/0/tmp/canary
    umount $bag/0/a/bind $bag/0/tmp $bag/0/over $bag/1 store/trash/whole
    ./larder gc
    find store/trash
"#;

fn mounts_stay(is_filtered: bool) {
    let world = world();
    let mut command = script(&world, MOUNTS);
    if is_filtered {
        without_openat2(&mut command);
    }
    let said = run(&mut command).succeeds();
    assert!(said.stdout.contains("code 1\n"), "{said:#?}");
    for path in ["0/a/bind", "0/tmp", "0/over", "1"] {
        let path = world.store().join("trash/bag").join(path);
        let line = format!("cannot remove {}: something is mounted there; unmount", path.display());
        assert!(said.stdout.contains(&line), "{line}: {said:#?}");
    }
    assert!(said.stdout.contains("trash/whole: something is mounted there"), "{said:#?}");
    let left = "store/trash\nstore/trash/bag\nstore/trash/bag/0\nstore/trash/bag/0/a\n\
                store/trash/bag/0/a/bind\nstore/trash/bag/0/over\nstore/trash/bag/0/tmp\n\
                store/trash/bag/1\nstore/trash/whole\nalive\n";
    assert!(said.stdout.contains(left), "{said:#?}");
    assert!(said.stdout.ends_with("\nstore/trash\n"), "{said:#?}");
    canaries_live(&world);
}

#[test]
#[ignore = "mounts, which takes root: make safety"]
fn safety_mounts_in_the_trash_stay() {
    mounts_stay(false);
}

#[test]
#[ignore = "mounts, which takes root: make safety"]
fn safety_mounts_in_the_trash_stay_without_openat2() {
    mounts_stay(true);
}

#[test]
#[ignore = "mounts, which takes root: make safety"]
fn safety_a_directory_that_is_a_mount_point_is_not_taken() {
    let world = world();
    world.build();
    let entry = world.entry_dir();
    let text = format!("mount --bind outside {0}; ./larder rm bread", entry.display());
    let said = run(&mut script(&world, &text));
    assert_eq!(said.code, 1, "{said:#?}");
    assert!((said.stdout + &said.stderr).contains("something is mounted there"));
    assert!(entry.join("target").is_dir());
    canaries_live(&world);
    assert_eq!(world.build(), 0);
}

#[test]
#[ignore = "mounts, which takes root: make safety"]
fn safety_what_is_mounted_is_not_measured() {
    let world = world();
    world.build();
    let size = |said: Said| {
        let status: serde_json::Value = serde_json::from_str(&said.succeeds().stdout).unwrap();
        status["entries"][0]["record"]["size"].as_u64().unwrap()
    };
    let big = world.path("outside/big");
    fs::write(&big, vec![1; 30 << 20]).unwrap();
    let target = world.entry_dir().join("target");
    let rescan = "./larder gc --rescan --dry-run >&2; ./larder status bread --json";
    let plain = size(run(&mut script(&world, rescan)));
    // The directory itself is covered, and not measured either.
    fs::create_dir(target.join("bind")).unwrap();
    let mounted = format!("mount --bind outside {}/bind; {rescan}", target.display());
    assert_eq!(size(run(&mut script(&world, &mounted))), plain);
    let mut filtered = script(&world, &mounted);
    without_openat2(&mut filtered);
    assert_eq!(size(run(&mut filtered)), plain);
}

#[test]
#[ignore = "is somebody else for a while, which takes root: make safety"]
fn safety_nobody_collects_the_store_of_somebody_else() {
    let world = world();
    let mine = store_of_somebody(&world);
    let larder = |arguments: &[&str], store: &Path| {
        let mut command = world.command(world.path("larder"));
        command.args(arguments).env("LARDER_STORE", store);
        command
    };
    for store in [&mine, &world.store()] {
        fs::create_dir_all(store.join("trash/bag/0")).unwrap();
        fs::create_dir_all(store.join("projects/p").join("0".repeat(64))).unwrap();
    }
    let look = |store: &PathBuf| {
        let all = walkdir::WalkDir::new(store).sort_by_file_name().into_iter();
        all.map(|item| {
            let item = item.unwrap();
            let metadata = item.metadata().unwrap();
            (item.into_path(), metadata.ino(), metadata.mode(), metadata.ctime_nsec())
        })
        .collect::<Vec<_>>()
    };
    let before = (look(&mine), look(&world.store()));
    let verbs: [&[&str]; 4] = [&["gc"], &["gc", "--dry-run"], &["gc", "--rescan"], &["rm", "p"]];
    for verb in verbs {
        run(&mut larder(verb, &mine)).refuses(1, &["belongs to user 12345, not to 0"]);
        run(as_somebody(&mut larder(verb, &world.store()))).refuses(1, &["Permission denied"]);
    }
    assert_eq!((look(&mine), look(&world.store())), before);
    // Nor one that he may read.
    for (path, mode) in [("", 0o755), ("CACHEDIR.TAG", 0o644)] {
        let mode = fs::Permissions::from_mode(mode);
        fs::set_permissions(world.store().join(path), mode).unwrap();
    }
    let before = look(&world.store());
    for verb in verbs {
        run(as_somebody(&mut larder(verb, &world.store())))
            .refuses(1, &["belongs to user 0, not to 12345"]);
    }
    assert_eq!(look(&world.store()), before);
}

#[test]
#[ignore = "is somebody else for a while, which takes root: make safety"]
fn safety_what_a_user_closed_to_himself_goes_and_what_is_of_others_stays() {
    let world = world();
    let store = store_of_somebody(&world);
    let text = "
        mkdir -p $LARDER_STORE/trash/bag/0/{a/b/c,closed/in,readonly/in,foreign}
        cd $LARDER_STORE/trash/bag/0
        touch a/b/c/file closed/in/file readonly/{1,2} readonly/in/file
        ln -s $OLDPWD/outside closed/in/link
        deep=.; for level in {1..60}; do deep=$deep/d; mkdir $deep; done
        for level in {1..60}; do chmod 000 $deep; deep=${deep%/d}; done
        chmod 000 closed/in closed a/b/c
        chmod 500 readonly readonly/in
        chmod 400 a
    ";
    let mut command = world.command("bash");
    command.args(["-euc", text]).env("LARDER_STORE", &store);
    run(as_somebody(&mut command)).succeeds();
    let foreign = store.join("trash/bag/0/foreign");
    fs::write(foreign.join("file"), "").unwrap();
    chown(&foreign, Some(0), Some(0)).unwrap();
    let mut gc = world.command(world.path("larder"));
    let said = run(as_somebody(gc.arg("gc").env("LARDER_STORE", &store)));
    assert_eq!(said.code, 1, "{said:#?}");
    let warnings: Vec<&str> = said.stderr.lines().collect();
    assert_eq!(warnings.len(), 1, "{said:#?}");
    assert!(warnings[0].contains("foreign/file") && warnings[0].contains("denied"), "{said:#?}");
    let left = walkdir::WalkDir::new(store.join("trash")).into_iter().count();
    assert_eq!(left, 5, "{said:#?}");
    assert_eq!(fs::metadata(&foreign).unwrap().permissions().mode() & 0o777, 0o755);
    canaries_live(&world);
}

#[test]
#[ignore = "makes files immutable, which takes root: make safety"]
fn safety_immutable_files_go_with_the_rest_and_nobody_elses_are_made_changeable() {
    let world = world();
    let text = r"
        exec 2>&1
        bag=store/trash/bag; mkdir -p $bag/0/{a,b,closed} mine
        touch $bag/0/a/{1..30} $bag/0/b/{1..30} $bag/0/closed/{1..3} mine/file
        trap 'chattr -R -i mine; [ ! -e $bag ] || chattr -R -i $bag' EXIT
        ln -s ../../../../../mine/file $bag/0/a/symlink
        chattr +i $bag/0/a/{7,9} $bag/0/closed mine
        code=0; ./larder gc || code=$?
        echo code $code; find store/trash -mindepth 1 | sort; lsattr -d mine | cut -c 5
        # One with a name outside is somebody's, and stays.
        mkdir -p $bag/1; chattr -i mine; ln mine/file $bag/1/link; touch $bag/1/other; chattr +i mine/file
        code=0; ./larder gc || code=$?
        echo code $code; find store/trash -type f | sort; lsattr mine/file | cut -c 5
    ";
    let said = run(&mut script(&world, text)).succeeds();
    assert!(said.stdout.contains("code 0\ni\n"), "{said:#?}");
    assert!(said.stdout.ends_with("code 1\nstore/trash/bag/1/link\ni\n"), "{said:#?}");
    canaries_live(&world);
}

#[test]
#[ignore = "belongs to the others here: make safety"]
fn safety_few_descriptors_and_little_stack_are_enough() {
    let world = world();
    let text = r#"
        import os, sys
        for branch in range(4):
            os.chdir(sys.argv[1])
            for level in range(3000):
                os.mkdir("d"); os.mkdir("side"); os.symlink(sys.argv[2], "link")
                if level == 0: os.rename("d", f"d{branch}"); os.rename("side", f"s{branch}"); os.rename("link", f"l{branch}")
                os.chdir(f"d{branch}" if level == 0 else "d")
    "#;
    let text = text.lines().map(|line| line.strip_prefix("        ").unwrap_or(line));
    let text = text.collect::<Vec<_>>().join("\n");
    let bag = world.store().join("trash/bag/0");
    fs::create_dir_all(&bag).unwrap();
    let mut make = world.command("python3");
    run(make.args(["-c", &text]).arg(&bag).arg(world.path("outside"))).succeeds();
    let few = "ulimit -n 48; ulimit -s 512; ./larder gc; find store/trash";
    let said = run(&mut script(&world, few)).succeeds();
    assert!(said.stdout.ends_with("store/trash\n"), "{said:#?}");
    canaries_live(&world);
}

#[test]
#[ignore = "makes a million files: make soak"]
fn soak_a_million_files_in_one_directory_take_little_memory() {
    let world = world();
    let flat = world.store().join("trash/bag/0");
    fs::create_dir_all(&flat).unwrap();
    for number in 0..1_000_000 {
        fs::File::create(flat.join(format!("a name of some length, {number}"))).unwrap();
    }
    let text = "command time -f 'peak %M' ./larder gc";
    let said = run(&mut script(&world, text)).succeeds();
    let peak = said.stderr.lines().find_map(|line| line.strip_prefix("peak ")).unwrap();
    let peak: u64 = peak.parse().unwrap();
    eprintln!("a million files: {} MiB at most", peak / 1024);
    assert!(peak < 50 * 1024, "{peak} KiB");
    assert!(!flat.exists());
}

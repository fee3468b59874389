//! What is in the trash goes, whatever it is; what is outside stays.

use std::ffi::{CString, OsStr};
use std::fs::{self, File};
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::os::unix::net::UnixListener;
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use rustix::fs::{CWD, FileType, Mode, RenameFlags};

use super::*;

/// A store, and a tree beside it that nobody may touch.
struct World {
    dir: tempfile::TempDir,
    store: Store,
}

impl World {
    fn new() -> Self {
        Self::at(tempfile::tempdir().unwrap())
    }

    /// Where directories cost next to nothing: ext4 takes a minute to remove 20,000 in each other,
    /// whoever asks.
    fn in_memory() -> Self {
        Self::at(tempfile::tempdir_in("/dev/shm").unwrap())
    }

    fn at(dir: tempfile::TempDir) -> Self {
        let store = Store::create(&dir.path().join("store")).unwrap();
        let outside = dir.path().join("outside");
        fs::create_dir_all(outside.join("deep/er")).unwrap();
        fs::create_dir(outside.join("closed")).unwrap();
        for canary in ["canary", "deep/er/canary", "closed/canary"] {
            fs::write(outside.join(canary), "alive").unwrap();
        }
        fs::set_permissions(outside.join("closed"), fs::Permissions::from_mode(0o500)).unwrap();
        Self { dir, store }
    }

    fn outside(&self) -> PathBuf {
        self.dir.path().join("outside")
    }

    /// A fresh directory where things lie in the trash.
    fn bag(&self) -> PathBuf {
        let bag = self.store.trash().join("bag/0");
        fs::create_dir_all(&bag).unwrap();
        bag
    }

    #[track_caller]
    fn canaries_live(&self) {
        for canary in ["canary", "deep/er/canary", "closed/canary"] {
            assert_eq!(fs::read_to_string(self.outside().join(canary)).unwrap(), "alive");
        }
        assert_eq!(fs::metadata(self.outside().join("closed")).unwrap().mode() & 0o777, 0o500);
        assert_eq!(walkdir::WalkDir::new(self.outside()).into_iter().count(), 7);
    }

    #[track_caller]
    fn trash_is_empty(&self) {
        assert_eq!(fs::read_dir(self.store.trash()).unwrap().count(), 0);
    }
}

/// Directories in each other, deeper than paths are long.
fn make_deep(top: &Path, levels: usize, name: &str, mut also: impl FnMut(&OwnedFd)) {
    let name = CString::new(name).unwrap();
    let mut here: OwnedFd = File::open(top).unwrap().into();
    for _ in 0..levels {
        rustix::fs::mkdirat(&here, &name, Mode::RWXU).unwrap();
        here = crate::base::tree::below::open_dir(&here, &name).unwrap();
        also(&here);
    }
}

#[test]
fn what_is_taken_is_gone_and_what_it_pointed_to_is_not() {
    let world = World::new();
    let victim = world.store.root().join("projects/p/x");
    fs::create_dir_all(victim.join("deep/er")).unwrap();
    symlink(world.outside(), victim.join("deep/link")).unwrap();
    fs::set_permissions(victim.join("deep/er"), fs::Permissions::from_mode(0o000)).unwrap();
    let mut trash = Trash::new(&world.store);
    trash.take(&victim).unwrap();
    trash.take(&victim).unwrap();
    assert!(!victim.exists());
    assert!(empty_trash(&world.store, &unwatched).is_empty());
    world.trash_is_empty();
    // The same trash is used after somebody has emptied it, and after it is gone altogether.
    for round in 0..2 {
        fs::create_dir_all(&victim).unwrap();
        trash.take(&victim).unwrap();
        assert!(!victim.exists());
        assert!(empty_trash(&world.store, &unwatched).is_empty());
        if round == 0 {
            fs::remove_dir(world.store.trash()).unwrap();
        }
    }
    world.canaries_live();
}

#[test]
fn nothing_outside_the_projects_is_taken() {
    let world = World::new();
    symlink(world.outside(), world.store.root().join("projects/way-out")).unwrap();
    let mut trash = Trash::new(&world.store);
    let paths = [
        "../outside/canary",
        "projects/../../outside/canary",
        "projects/way-out/canary",
        "projects/way-out/deep/er",
        "projects",
        "bin",
        "",
        "/",
    ];
    for path in paths {
        let taken = trash.take(&world.store.root().join(path));
        assert!(matches!(taken, Err(EvictError::Outside { .. })), "{path}: {taken:?}");
    }
    // A symlink itself goes, and what it points to stays.
    trash.take(&world.store.root().join("projects/way-out")).unwrap();
    assert!(empty_trash(&world.store, &unwatched).is_empty());
    world.canaries_live();
    assert!(world.store.root().join("bin").exists());
}

#[test]
fn outside_the_store_only_symlinks_and_empty_directories_go() {
    let world = World::new();
    remove_empty_dir(&world.outside()).unwrap();
    assert!(remove_symlink(&world.outside()).is_err());
    let link = world.dir.path().join("link");
    symlink(world.outside(), &link).unwrap();
    remove_symlink(&link).unwrap();
    assert!(!link.is_symlink());
    world.canaries_live();
}

#[test]
fn only_own_names_in_the_store_itself_are_removed() {
    let world = World::new();
    let project: ProjectName = "p".parse().unwrap();
    let dir = world.store.make_project(&project).unwrap();
    symlink(world.outside(), world.store.root().join("projects/way-out")).unwrap();
    fs::write(dir.join("x.pin"), "").unwrap();
    remove_project(&world.store, &project).unwrap();
    for path in [dir.join("x"), world.store.policy(), world.outside().join("canary")] {
        assert!(remove_pin(&world.store, &path).is_err());
    }
    fs::write(world.dir.path().join("y.pin"), "").unwrap();
    for path in ["projects/way-out/y.pin", "../y.pin", "projects/../../y.pin"] {
        let removed = remove_pin(&world.store, &world.store.root().join(path));
        assert!(matches!(removed, Err(EvictError::Outside { .. })), "{path}: {removed:?}");
    }
    assert!(world.dir.path().join("y.pin").exists());
    remove_pin(&world.store, &dir.join("x.pin")).unwrap();
    remove_pin(&world.store, &dir.join("x.pin")).unwrap();
    remove_project(&world.store, &project).unwrap();
    assert!(!dir.exists());
    world.canaries_live();
}

#[test]
fn everything_that_a_directory_can_hold_goes() {
    let world = World::new();
    let bag = world.bag();
    symlink(world.outside(), bag.join("dir-link")).unwrap();
    symlink(world.outside().join("canary"), bag.join("file-link")).unwrap();
    symlink(&bag, bag.join("loop")).unwrap();
    symlink("nowhere", bag.join("dangling")).unwrap();
    fs::hard_link(world.outside().join("canary"), bag.join("hard")).unwrap();
    UnixListener::bind(bag.join("socket")).unwrap();
    let mode = Mode::RUSR;
    rustix::fs::mknodat(CWD, bag.join("fifo"), FileType::Fifo, mode, 0).unwrap();
    if rustix::process::geteuid().is_root() {
        let null = rustix::fs::makedev(1, 3);
        let made =
            rustix::fs::mknodat(CWD, bag.join("node"), FileType::CharacterDevice, mode, null);
        made.unwrap();
    }
    for name in [&b"new\nline"[..], b"\xff\xfe not text", b"-rf", b" ", &[b'x'; 255]] {
        fs::write(bag.join(OsStr::from_bytes(name)), "").unwrap();
        let dir = bag.join("d").join(OsStr::from_bytes(name));
        fs::create_dir_all(dir.join("in")).unwrap();
        symlink("/", dir.join("link")).unwrap();
        fs::write(dir.join("in/file"), "").unwrap();
        fs::set_permissions(dir.join("in"), fs::Permissions::from_mode(0o000)).unwrap();
        fs::set_permissions(dir, fs::Permissions::from_mode(0o500)).unwrap();
    }
    fs::write(world.store.trash().join("a file at the top"), "").unwrap();
    let names = walkdir::WalkDir::new(world.store.trash()).min_depth(1).into_iter();
    let names = names.flatten().count() as u64;
    let count = AtomicU64::new(0);
    let add = |gone| {
        count.fetch_add(gone, Ordering::Relaxed);
    };
    let errors = empty_trash(&world.store, &add);
    assert!(errors.is_empty(), "{errors:?}");
    world.trash_is_empty();
    world.canaries_live();
    if rustix::process::geteuid().is_root() {
        assert_eq!(count.into_inner(), names);
    }
}

#[test]
fn trees_deeper_than_paths_are_long_go() {
    let world = World::in_memory();
    make_deep(&world.bag(), 20_000, "d", |_| {});
    let outside = CString::new(world.outside().as_os_str().as_bytes()).unwrap();
    // Each level has more than one directory, so that one is always left waiting.
    make_deep(&world.store.trash(), 300, &"x".repeat(255), |here| {
        rustix::fs::mkdirat(here, c"a", Mode::RWXU).unwrap();
        rustix::fs::mkdirat(here, c"z", Mode::RWXU).unwrap();
        rustix::fs::symlinkat(&outside, here, c"link").unwrap();
    });
    assert_eq!(crate::base::usage::measure(&world.bag()).inodes, 20_001);
    let errors = empty_trash(&world.store, &unwatched);
    assert!(errors.is_empty(), "{errors:?}");
    world.trash_is_empty();
    world.canaries_live();
}

#[test]
fn many_files_and_many_directories_in_one_directory_go() {
    let world = World::new();
    let bag = world.bag();
    let (flat, wide) = (bag.join("flat"), bag.join("wide"));
    fs::create_dir(&flat).unwrap();
    for number in 0..10_000 {
        File::create(flat.join(number.to_string())).unwrap();
    }
    for number in 0..1000 {
        fs::create_dir_all(wide.join(number.to_string()).join("in")).unwrap();
    }
    let errors = empty_trash(&world.store, &unwatched);
    assert!(errors.is_empty(), "{errors:?}");
    world.trash_is_empty();
}

#[test]
fn several_may_empty_the_same_trash() {
    let world = World::in_memory();
    for round in 0..6 {
        let bag = world.bag();
        make_deep(&bag, 200, "d", |here| {
            rustix::fs::mkdirat(here, c"side", Mode::RWXU).unwrap();
        });
        for number in 0..500 {
            fs::create_dir_all(bag.join(format!("wide/{number}"))).unwrap();
            fs::write(bag.join(format!("wide/{number}/file")), "").unwrap();
        }
        let errors: Vec<EvictError> = std::thread::scope(|scope| {
            let empty = || empty_trash(&world.store, &unwatched);
            let all: Vec<_> = (0..3).map(|_| scope.spawn(empty)).collect();
            all.into_iter().flat_map(|one| one.join().unwrap()).collect()
        });
        assert!(errors.is_empty(), "round {round}: {errors:?}");
        let errors = empty_trash(&world.store, &unwatched);
        assert!(errors.is_empty(), "round {round}: {errors:?}");
        world.trash_is_empty();
    }
}

#[test]
fn a_directory_that_is_swapped_for_a_symlink_is_not_followed() {
    let world = World::in_memory();
    let mut swaps = 0;
    for round in 0..40 {
        let bag = world.bag();
        for number in 0..20 {
            fs::create_dir_all(bag.join(format!("{number}/closed/in"))).unwrap();
            symlink(world.outside(), bag.join(format!("{number}-link"))).unwrap();
        }
        let stop = AtomicBool::new(false);
        let here = File::open(&bag).unwrap();
        let swap = || {
            let mut count = 0;
            while !stop.load(Ordering::Relaxed) {
                for number in 0..20 {
                    let (dir, link) = (number.to_string(), format!("{number}-link"));
                    let exchange = RenameFlags::EXCHANGE;
                    let swapped = rustix::fs::renameat_with(&here, dir, &here, link, exchange);
                    count += usize::from(swapped.is_ok());
                }
            }
            count
        };
        std::thread::scope(|scope| {
            let swapper = scope.spawn(swap);
            if round % 2 == 0 {
                std::thread::yield_now();
            }
            // What was swapped between two looks may be left: it is said, and goes the next time.
            empty_trash(&world.store, &unwatched);
            stop.store(true, Ordering::Relaxed);
            swaps += swapper.join().unwrap();
        });
        let errors = empty_trash(&world.store, &unwatched);
        assert!(errors.is_empty(), "round {round}: {errors:?}");
        world.trash_is_empty();
        world.canaries_live();
    }
    assert!(swaps > 0, "nothing was swapped in time");
}

#[test]
fn without_the_marker_nothing_is_taken_or_deleted() {
    let world = World::new();
    let (bag, kept) = (world.bag(), world.store.root().join("projects/p/x"));
    fs::create_dir_all(&kept).unwrap();
    let tag = world.store.root().join("CACHEDIR.TAG");
    let whole = fs::read_to_string(&tag).unwrap();
    let other = whole.lines().next().unwrap();
    for text in [None, Some(""), Some(other), Some("# larder store, format 1\n")] {
        fs::remove_file(&tag).unwrap();
        if let Some(text) = text {
            fs::write(&tag, text).unwrap();
        }
        let errors = empty_trash(&world.store, &unwatched);
        let refused =
            |error: &EvictError| matches!(error, EvictError::Store(StoreError::NotAStore(_)));
        assert!(errors.len() == 1 && refused(&errors[0]), "{errors:?}");
        assert!(refused(&Trash::new(&world.store).take(&kept).unwrap_err()));
        fs::write(&tag, "").unwrap();
    }
    assert!(bag.exists() && kept.exists());
    // A marker elsewhere that a symlink leads to is no marker.
    fs::remove_file(&tag).unwrap();
    fs::write(world.dir.path().join("tag"), &whole).unwrap();
    symlink(world.dir.path().join("tag"), &tag).unwrap();
    assert_eq!(empty_trash(&world.store, &unwatched).len(), 1);
    assert!(bag.exists());
    fs::remove_file(&tag).unwrap();
    fs::write(&tag, whole).unwrap();
    assert!(empty_trash(&world.store, &unwatched).is_empty());
    world.trash_is_empty();
}

#[test]
fn a_trash_that_leads_elsewhere_is_not_emptied() {
    let world = World::new();
    fs::remove_dir(world.store.trash()).unwrap();
    assert!(empty_trash(&world.store, &unwatched).is_empty());
    symlink(world.outside(), world.store.trash()).unwrap();
    assert_eq!(empty_trash(&world.store, &unwatched).len(), 1);
    let victim = world.store.root().join("projects/p");
    fs::create_dir(&victim).unwrap();
    assert!(Trash::new(&world.store).take(&victim).is_err());
    assert!(victim.exists());
    world.canaries_live();
}

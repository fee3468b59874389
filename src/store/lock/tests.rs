//! Tests of locks.

use super::*;

#[test]
fn one_holds_it_and_others_learn_who() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("x.lock");
    let first = Lock::acquire(&path, "image one", Wait::Forever, |_| panic!("free")).unwrap();
    assert!(Lock::holder(&path).unwrap().starts_with("image one (process "));
    let mut heard = String::new();
    let limit = Wait::AtMost(Duration::from_millis(200));
    let second = Lock::acquire(&path, "image two", limit, |who| heard.push_str(who));
    assert!(matches!(second, Err(LockError::Busy { .. })));
    assert!(heard.starts_with("image one"));
    drop(first);
    assert_eq!(Lock::holder(&path), None);
    Lock::acquire(&path, "image two", limit, |_| panic!("free")).unwrap();
}

#[test]
fn nobody_waits_for_ever_who_did_not_say_so() {
    assert!(matches!(Wait::default(), Wait::AtMost(_)));
    assert!(Wait::default().is_over(Duration::from_secs(3600)));
    assert!(!Wait::AtMost(Duration::ZERO).is_over(Duration::ZERO), "who looks needs an instant");
    assert!(!Wait::Forever.is_over(Duration::MAX));
}

#[test]
fn a_directory_is_in_use_while_something_of_its_command_runs() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("x.lock");
    let soon = Wait::AtMost(Duration::from_millis(10));
    drop(Lock::acquire(&path, "image one", soon, |_| {}).unwrap());
    let sign = Sign::of_command(&path.with_extension("alive")).unwrap();
    assert!(Lock::holder(&path).unwrap().starts_with("what image one (process "));
    assert!(Lock::try_acquire(&path, "larder gc").unwrap().is_none());
    // This process has the sign itself.
    let around = Lock::acquire(&path, "image two", soon, |_| {});
    assert!(matches!(around, Err(LockError::Around(_))));
    sign.end();
    assert!(Lock::try_acquire(&path, "larder gc").unwrap().is_some());
}

#[test]
fn a_lock_file_is_closed_to_others() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("x.lock");
    std::fs::write(&path, "").unwrap();
    std::fs::set_permissions(&path, Permissions::from_mode(0o644)).unwrap();
    let mode = || path.metadata().unwrap().permissions().mode() & 0o777;
    open(&path).unwrap();
    assert_eq!(mode(), OWN);
}

#[test]
fn of_a_claimed_directory_the_process_is_named() {
    // Some filesystems number their inodes otherwise in /proc/locks; tmpfs does not.
    let dir = tempfile::tempdir_in("/dev/shm").unwrap();
    let _first = Claim::acquire(dir.path(), Wait::Forever, |_| panic!("free")).unwrap();
    let mut heard = String::new();
    let limit = Wait::AtMost(Duration::from_millis(200));
    let second = Claim::acquire(dir.path(), limit, |who| heard.push_str(who));
    assert!(matches!(second, Err(LockError::Busy { .. })));
    let limit = ", for at most 200ms; `wait` in larder.toml sets another limit";
    assert_eq!(heard, format!("another larder (process {}){limit}", std::process::id()));
}

#[test]
fn what_is_no_lock_file_makes_room_for_one_and_nothing_is_written_into_it() {
    let dir = tempfile::tempdir().unwrap();
    let (path, elsewhere) = (dir.path().join("x.lock"), dir.path().join("elsewhere"));
    let acquire = || drop(Lock::acquire(&path, "x", Wait::Forever, |_| {}).unwrap());
    std::os::unix::fs::symlink(&elsewhere, &path).unwrap();
    acquire();
    assert!(!elsewhere.exists());
    std::fs::write(&elsewhere, "mine").unwrap();
    std::fs::remove_file(&path).unwrap();
    std::fs::hard_link(&elsewhere, &path).unwrap();
    acquire();
    assert_eq!(std::fs::read_to_string(&elsewhere).unwrap(), "mine");
    std::fs::remove_file(&path).unwrap();
    std::fs::create_dir_all(path.join("full")).unwrap();
    acquire();
    assert!(path.is_file());
}

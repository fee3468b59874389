//! What is taken down, and what counts as the same.

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};

use super::found::Thing;
use super::*;
use crate::base::digest::Digest;
use crate::base::tree::Tree;
use crate::observe::cargo_layout::{Finished, UnitKind};
use crate::observe::sources::{Built, Where};

const STARTED: Moment = Moment(100);

struct World {
    dir: tempfile::TempDir,
    place: Where,
}

impl World {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let source = dir.path().join("src");
        fs::create_dir_all(&source).unwrap();
        let built = Built::at(source.join("target"));
        let place = Where { source, built, root: PathBuf::from("/"), ..Where::default() };
        Self { dir, place }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    fn write(&self, name: &str, text: &str) {
        fs::create_dir_all(self.path(name).parent().unwrap()).unwrap();
        fs::write(self.path(name), text).unwrap();
    }

    fn recorder(&self) -> Recorder {
        let git = vec![self.path("src/.git")];
        Recorder::new(&self.place, &[self.path("registry")], git, Tree::default())
    }

    fn traces(recorder: &Recorder) -> Traces {
        recorder
            .finish([unit("a", "00000000000000aa"), unit("b", "00000000000000bb")].iter(), STARTED)
    }

    /// Which units something changed for, with what.
    fn stale(&self, traces: &Traces) -> Vec<String> {
        let stale = traces.stale(&Glass::plain(&self.place), false);
        let name = |path: &PathBuf| {
            path.strip_prefix(self.dir.path()).unwrap_or(path).display().to_string()
        };
        let all = stale.units.iter().flat_map(|(hash, paths)| {
            paths.iter().map(move |path| format!("{}: {}", &hash[14..], name(path)))
        });
        all.collect()
    }
}

fn unit(name: &str, hash: &str) -> Unit {
    Unit {
        package: name.to_owned(),
        hash: hash.to_owned(),
        kinds: [UnitKind::Lib].into(),
        crates: [name.to_owned()].into(),
        paths: Vec::new(),
        fingerprint: PathBuf::new(),
        finished: Some(Finished { fingerprint: 1, at: Moment(200) }),
        started: Some(Moment(150)),
        read: None,
        out_dir: None,
    }
}

fn a() -> Who {
    Who::Unit("00000000000000aa".to_owned())
}

fn b() -> Who {
    Who::Unit("00000000000000bb".to_owned())
}

fn saw(recorder: &Recorder, who: &Who, path: &Path, seen: Seen) {
    recorder.saw(who, path.as_os_str().as_bytes(), seen);
}

const LISTED: Seen = Seen {
    how: How { names: true, link: false },
    read: true,
    wrote: false,
    ran: false,
    linked: false,
};
const LINKED: Seen = Seen {
    how: How { names: false, link: true },
    read: true,
    wrote: false,
    ran: false,
    linked: false,
};
const WROTE: Seen = Seen {
    how: How { names: false, link: false },
    read: false,
    wrote: true,
    ran: false,
    linked: false,
};
const BOTH: Seen = Seen {
    how: How { names: false, link: false },
    read: true,
    wrote: true,
    ran: false,
    linked: false,
};
const RAN: Seen = Seen {
    how: How { names: false, link: false },
    read: true,
    wrote: false,
    ran: true,
    linked: false,
};

#[test]
fn what_was_there_is_told_from_what_is_there_now() {
    type Change = fn(&World);
    let cases: [(&str, Seen, Change); 10] = [
        ("file", Seen::default(), |it| it.write("file", "two")),
        ("file", Seen::default(), |it| fs::remove_file(it.path("file")).unwrap()),
        ("file", Seen::default(), |it| {
            fs::set_permissions(it.path("file"), fs::Permissions::from_mode(0o755)).unwrap();
        }),
        ("none", Seen::default(), |it| it.write("none", "")),
        ("none", LISTED, |it| fs::create_dir(it.path("none")).unwrap()),
        ("dir", LISTED, |it| it.write("dir/more", "")),
        ("dir", Seen::default(), |it| fs::remove_dir_all(it.path("dir")).unwrap()),
        ("link", LINKED, |it| {
            fs::remove_file(it.path("link")).unwrap();
            symlink("same", it.path("link")).unwrap();
        }),
        ("link", Seen::default(), |it| {
            fs::remove_file(it.path("link")).unwrap();
            symlink("other", it.path("link")).unwrap();
        }),
        ("script", RAN, |it| it.write("interpreter", "#!/bin/sh\n# two\n")),
    ];
    for (name, seen, change) in cases {
        let it = World::new();
        it.write("file", "one");
        it.write("same", "one");
        it.write("other", "two");
        it.write("dir/x", "");
        it.write("interpreter", "#!/bin/sh\n");
        it.write("script", &format!("#!{}\n", it.path("interpreter").display()));
        symlink("file", it.path("link")).unwrap();
        let recorder = it.recorder();
        saw(&recorder, &a(), &it.path(name), seen);
        saw(&recorder, &b(), &it.path("same"), Seen::default());
        let traces = World::traces(&recorder);
        assert_eq!(it.stale(&traces), Vec::<String>::new(), "{name}");
        change(&it);
        let changed = if name == "script" { "interpreter" } else { name };
        assert_eq!(it.stale(&traces), [format!("aa: {changed}")], "{seen:?}");
    }
}

#[test]
fn a_directory_has_several_names_and_each_look_at_it_counts() {
    for (looked, listed) in [("dir", "dir/."), ("dir/.", "dir"), ("dir/", "dir"), ("dir", "dir//")]
    {
        let it = World::new();
        it.write("dir/x", "");
        let recorder = it.recorder();
        saw(&recorder, &a(), &it.path(looked), Seen::default());
        saw(&recorder, &a(), &it.path(listed), LISTED);
        let traces = World::traces(&recorder);
        it.write("dir/more", "");
        assert_eq!(it.stale(&traces).len(), 1, "{looked} and {listed}");
    }
}

#[test]
fn what_does_not_matter_is_not_seen() {
    let it = World::new();
    it.write("file", "one");
    it.write("dir/x", "");
    symlink("file", it.path("link")).unwrap();
    let recorder = it.recorder();
    saw(&recorder, &a(), &it.path("file"), Seen::default());
    saw(&recorder, &a(), &it.path("dir"), Seen::default());
    saw(&recorder, &a(), &it.path("link"), Seen::default());
    saw(&recorder, &a(), &it.path("src"), LISTED);
    // On the way to what is looked at otherwise.
    fs::create_dir(it.path("registry")).unwrap();
    saw(&recorder, &a(), it.dir.path(), LINKED);
    for passed in ["src/target/release/x", "registry/src/x", "src/target/../target"] {
        saw(&recorder, &a(), &it.path(passed), Seen::default());
    }
    saw(&recorder, &a(), Path::new("/proc/meminfo"), Seen::default());
    let traces = World::traces(&recorder);
    assert_eq!(traces.units["00000000000000aa"].inputs.len(), 4);
    // Written anew with the same content; a name more where no names were asked for; another way to the same.
    it.write("file", "one");
    it.write("dir/more", "");
    it.write("copy", "one");
    fs::remove_file(it.path("link")).unwrap();
    symlink("copy", it.path("link")).unwrap();
    fs::create_dir(it.path("src/target")).unwrap();
    assert_eq!(it.stale(&traces), Vec::<String>::new());
}

#[test]
fn what_a_unit_made_is_no_input_of_its_own_and_one_of_others() {
    let it = World::new();
    it.write("there", "one");
    let recorder = it.recorder();
    saw(&recorder, &a(), &it.path("made"), WROTE);
    saw(&recorder, &a(), &it.path("tmp"), WROTE);
    saw(&recorder, &a(), &it.path("there"), WROTE);
    it.write("made", "one");
    it.write("tmp/x", "one");
    it.write("there", "two");
    saw(&recorder, &a(), &it.path("made"), Seen::default());
    saw(&recorder, &a(), &it.path("tmp/x"), Seen::default());
    saw(&recorder, &b(), &it.path("made"), Seen::default());
    fs::remove_dir_all(it.path("tmp")).unwrap();
    let traces = World::traces(&recorder);
    fs::remove_file(it.path("made")).unwrap();
    it.write("there", "three");
    assert_eq!(it.stale(&traces), ["bb: made"]);
}

#[test]
fn names_in_a_directory_are_those_without_what_a_unit_made_for_a_while() {
    let it = World::new();
    it.write("dir/there", "");
    it.write("dir/again", "one");
    let recorder = it.recorder();
    saw(&recorder, &a(), &it.path("src/../dir/again"), Seen::default());
    for made in ["dir/passing", "src/../dir/again"] {
        saw(&recorder, &a(), &it.path(made), WROTE);
    }
    it.write("dir/passing", "");
    fs::remove_file(it.path("dir/again")).unwrap();
    saw(&recorder, &a(), &it.path("dir"), LISTED);
    saw(&recorder, &b(), &it.path("dir"), LISTED);
    saw(&recorder, &a(), &it.path("dir/again"), Seen::default());
    fs::remove_file(it.path("dir/passing")).unwrap();
    it.write("dir/again", "another");
    let traces = World::traces(&recorder);
    assert_eq!(it.stale(&traces), ["bb: dir"], "the other unit saw what was passing");
    // What it made and left, and did not see when it looked, the next one would see.
    let recorder = it.recorder();
    saw(&recorder, &a(), &it.path("dir"), LISTED);
    saw(&recorder, &a(), &it.path("dir/made"), WROTE);
    it.write("dir/made", "");
    let traces = World::traces(&recorder);
    assert_eq!(it.stale(&traces), ["aa: dir"]);
    fs::remove_file(it.path("dir/made")).unwrap();
    assert_eq!(it.stale(&traces), Vec::<String>::new());
    fs::remove_file(it.path("dir/there")).unwrap();
    assert_eq!(it.stale(&traces), ["aa: dir"]);
}

#[test]
fn what_changed_meanwhile_nobody_knows() {
    let it = World::new();
    it.write("file", "one");
    it.write("lock", "one");
    let recorder = it.recorder();
    saw(&recorder, &a(), &it.path("file"), Seen::default());
    saw(&recorder, &b(), &it.path("lock"), BOTH);
    it.write("file", "another");
    it.write("lock", "another");
    let traces = World::traces(&recorder);
    assert_eq!(it.stale(&traces), ["aa: file"]);
    assert_eq!(traces.units["00000000000000bb"].gaps, [Gap::ReadAndWrote].into());
    assert!(!traces.observe(&unit("b", "00000000000000bb")));
    assert!(traces.observe(&unit("a", "00000000000000aa")));
    let again = Unit { started: Some(Moment(160)), ..unit("a", "00000000000000aa") };
    assert!(!traces.observe(&again), "made again, and not watched");
}

#[test]
fn a_known_file_of_the_checkout_is_what_it_was_although_it_was_written_later() {
    let it = World::new();
    it.write("src/data", "one");
    let checkout = Tree::observe_all(&it.place.source, None).unwrap();
    let recorder = Recorder::new(&it.place, &[], Vec::new(), checkout);
    saw(&recorder, &a(), &it.path("src/data"), Seen::default());
    it.write("src/data", "another");
    let traces = World::traces(&recorder);
    assert_eq!(it.stale(&traces), ["aa: src/data"]);
    it.write("src/data", "one");
    assert_eq!(it.stale(&traces), Vec::<String>::new());
}

#[test]
fn what_belongs_to_nobody_counts_for_all_and_cargos_configuration_for_everything() {
    let it = World::new();
    it.write("file", "one");
    let recorder = it.recorder();
    for who in [a(), b()] {
        saw(&recorder, &who, &it.path("own"), Seen::default());
    }
    saw(&recorder, &Who::Anybody, &it.path("file"), Seen::default());
    saw(&recorder, &Who::Cargo, &it.path("Cargo.toml"), Seen::default());
    saw(&recorder, &Who::Cargo, &it.path(".cargo/config.toml"), Seen::default());
    saw(&recorder, &a(), &it.path("src/.git/HEAD"), Seen::default());
    recorder.missed(&Who::Anybody, Gap::Network);
    let traces = World::traces(&recorder);
    assert!(!traces.observe(&unit("a", "00000000000000aa")));
    it.write("file", "two");
    it.write("Cargo.toml", "");
    assert_eq!(it.stale(&traces), ["aa: file", "bb: file"]);
    it.write(".cargo/config.toml", "");
    let glass = Glass::plain(&it.place);
    let stale = traces.stale(&glass, true);
    assert_eq!(stale.common, [it.path(".cargo/config.toml")].into());
    assert!(stale.units["00000000000000aa"].contains(Path::new(".git")));
    assert!(!stale.units["00000000000000bb"].contains(Path::new(".git")));
}

#[test]
fn traces_of_what_is_there_are_kept_and_others_go() {
    let it = World::new();
    it.write("file", "one");
    let recorder = it.recorder();
    for who in [a(), b()] {
        saw(&recorder, &who, &it.path("file"), Seen::default());
    }
    let old = World::traces(&recorder);
    let alive =
        |started: i64| BTreeMap::from([("00000000000000aa".to_owned(), Some(Moment(started)))]);
    let kept = old.after(&Traces::default(), &alive(150));
    assert_eq!(kept.units.keys().collect::<Vec<_>>(), ["00000000000000aa"]);
    assert_eq!(kept.inputs.len(), 1);
    assert!(old.after(&Traces::default(), &alive(151)).units.is_empty(), "made again, unseen");
    let recorder = it.recorder();
    saw(&recorder, &a(), &it.path("other"), Seen::default());
    let new = kept.after(&World::traces(&recorder), &alive(150));
    assert_eq!(new.inputs.len(), 1);
    assert_eq!(new.path(0), it.path("other"));
}

#[test]
fn traces_have_the_bytes_that_they_always_had() {
    let stamp = Stamp { ino: 1, size: 2, mtime: Moment(3), ctime: Moment(4) };
    let input = |path: &str, node, stamp| Input {
        path: path.as_bytes().to_vec(),
        how: How { names: true, link: true },
        found: Some(Found { node, link: Some(b"text".to_vec()) }),
        left: None,
        stamp,
    };
    let file = Thing::File(Digest::of(b"one"), true);
    let inputs = vec![
        Input {
            left: Some(Found { node: file.clone(), link: None }),
            ..input("/nothing", Thing::Absent, None)
        },
        input("/file", file, Some(stamp)),
        input("/closed", Thing::Unreadable(stamp), None),
        input("/dir", Thing::Directory(Some(Digest::of(b"names"))), None),
        Input { found: None, ..input("/dev/null", Thing::Special, None) },
    ];
    let trace = Trace {
        inputs: [0, 1].into(),
        git: true,
        strangers: true,
        gaps: [Gap::Network, Gap::ReadAndWrote].into(),
        version: Some("1.2.3".to_owned()),
        started: STARTED,
    };
    let units = BTreeMap::from([("00000000000000aa".to_owned(), trace)]);
    let traces = Traces { inputs, units, common: [2].into() };
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("record");
    crate::base::atomic::write_binary(&path, &traces).unwrap();
    crate::base::atomic::tests::assert_golden("traces", &fs::read(&path).unwrap());
}

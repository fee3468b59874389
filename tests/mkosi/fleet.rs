//! The example fleet, before it takes larder in and afterwards: the same bytes, and what the old cache of
//! binaries gets wrong.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::image::{Said, work};

/// A word that nobody may read anywhere afterwards.
const TOKEN: &str = "ghs_0123456789abcdefTOKEN";

/// A copy of the fleet, with what mkosi and the scripts keep beside it.
struct Fleet {
    dir: PathBuf,
    mkosi: PathBuf,
    store: Option<PathBuf>,
}

impl Fleet {
    fn new(test: &str, name: &str, more: &[&str]) -> Self {
        let dir = work().join("test").join(format!("fleet-{test}-{name}"));
        let _ = fs::remove_dir_all(&dir);
        fs::create_dir_all(dir.parent().unwrap()).unwrap();
        let setup = Path::new(env!("CARGO_MANIFEST_DIR")).join("scripts/fleet-setup");
        Said::of(&Command::new(setup).arg(&dir).args(more).output().unwrap()).succeeds();
        let kept = work().join("test/fleet-mkosi.cache");
        fs::create_dir_all(&kept).unwrap();
        fs::remove_dir_all(dir.join("mkosi.cache")).unwrap();
        symlink(&kept, dir.join("mkosi.cache")).unwrap();
        let mkosi = work().join("bin/mkosi-25.3");
        assert!(mkosi.exists(), "no {}: run scripts/mkosi-setup", mkosi.display());
        Self { dir, mkosi, store: None }
    }

    fn old(test: &str) -> Self {
        Self::new(test, "old", &[])
    }

    fn adopted(test: &str) -> Self {
        let mut fleet = Self::new(test, "adopted", &["--adopted"]);
        let store = work().join("test").join(format!("fleet-{test}-store"));
        let _ = fs::remove_dir_all(&store);
        let init = fleet.larder(&store).arg("init").arg("--mkosi").arg(&fleet.mkosi).output();
        Said::of(&init.unwrap()).succeeds();
        fleet.store = Some(store);
        fleet
    }

    fn larder(&self, store: &Path) -> Command {
        let mut command = self.command(env!("CARGO_BIN_EXE_larder"));
        command.arg("--store").arg(store);
        command
    }

    fn command(&self, program: impl AsRef<std::ffi::OsStr>) -> Command {
        let mut command = Command::new(program);
        command.env_clear().current_dir(&self.dir).env("HOME", std::env::var("HOME").unwrap());
        command.env("PATH", "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin");
        command
    }

    /// Builds an image; says what was printed.
    #[track_caller]
    fn build(&self, image: &str) -> String {
        let mut mkosi = self.command(&self.mkosi);
        mkosi.args(["--force", "--image-id", image]);
        mkosi.arg(format!("--include=images/{image}.conf"));
        if let Some(store) = &self.store {
            mkosi.arg(format!("--include={}/mkosi.conf", store.display()));
        }
        let said = Said::of(&mkosi.arg("build").output().unwrap());
        said.succeeds();
        said.text
    }

    /// What an image holds of what packages install, by path.
    fn files(&self, image: &str) -> BTreeMap<PathBuf, Vec<u8>> {
        let root = self.dir.join("mkosi.output").join(image);
        let mut files = BTreeMap::new();
        for place in ["usr/bin", "usr/share/spoon"] {
            for item in walkdir::WalkDir::new(root.join(place)).into_iter().flatten() {
                if item.file_type().is_file() {
                    let path = item.path().strip_prefix(&root).unwrap().to_owned();
                    files.insert(path, fs::read(item.path()).unwrap());
                }
            }
        }
        assert!(files.len() > 50, "{image}: {:?}", files.keys());
        files
    }

    fn mint(&self) -> Vec<u8> {
        fs::read(self.dir.join("mkosi.output/mint/usr/bin/mint")).unwrap()
    }

    fn build_dir(&self) -> PathBuf {
        self.dir.join("mkosi.builddir/debian~trixie~x86-64")
    }

    /// How the packages of the last build were made, from the manifest.
    fn manifest(&self) -> BTreeMap<String, String> {
        let path = self.build_dir().join("manifest.md");
        let text = fs::read_to_string(&path).unwrap();
        fs::remove_file(path).unwrap();
        let line = |line: &str| {
            let cells: Vec<&str> = line.split('|').map(str::trim).collect();
            (cells[1].trim_matches('`').to_owned(), cells[3].to_owned())
        };
        text.lines().map(line).collect()
    }

    /// What the old scripts keep, gone: what they build next is what everything says now.
    fn forget(&self) {
        fs::remove_dir_all(self.build_dir()).unwrap();
        fs::create_dir(self.build_dir()).unwrap();
    }

    fn edit(&self, file: &str, from: &str, to: &str) {
        let path = self.dir.join(file);
        let text = fs::read_to_string(&path).unwrap();
        assert!(text.contains(from), "{file} has no {from:?}");
        fs::write(path, text.replace(from, to)).unwrap();
    }

    fn git(&self, project: &str, words: &[&str]) {
        let mut git = self.command("git");
        git.arg("-C").arg(project).args(["-c", "user.name=x", "-c", "user.email=x@example.org"]);
        Said::of(&git.args(words).output().unwrap()).succeeds();
    }
}

/// An image of `mint` alone: what compiles within a second.
fn mint(fleets: &[&Fleet]) {
    for fleet in fleets {
        let scripts = "[Content]\nBuildScripts=\n        packages/sugar\n        packages/mint\n";
        fs::write(fleet.dir.join("images/mint.conf"), scripts).unwrap();
    }
}

fn how(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
    pairs.iter().map(|(name, how)| ((*name).to_owned(), (*how).to_owned())).collect()
}

#[test]
#[ignore = "needs mkosi; make test runs it"]
fn the_fleet_has_the_same_bytes_before_and_after_it_takes_larder_in() {
    let (old, new) = (Fleet::old("bytes"), Fleet::adopted("bytes"));
    // One line in each build script is another one.
    let stat =
        new.command("git").args(["diff", "--numstat", "HEAD~1", "packages"]).output().unwrap();
    let stat = String::from_utf8(stat.stdout).unwrap();
    assert_eq!(stat.lines().count(), 4, "{stat}");
    assert!(stat.lines().all(|line| line.starts_with("1\t1\t")), "{stat}");
    // A token is there, and goes nowhere.
    fs::write(new.build_dir().parent().unwrap().join("x"), "").unwrap();
    fs::create_dir_all(new.build_dir()).unwrap();
    fs::write(new.build_dir().join(".ghtoken"), TOKEN).unwrap();
    new.edit("packages/pantry", "set -euo pipefail", "set -euo pipefail; set -x");

    let images = ["gateway", "kitchen"];
    let wanted = images.map(|image| {
        old.build(image);
        old.files(image)
    });
    assert_eq!(old.manifest()["pantry"], "from the cache");
    let mut logs = String::new();
    for image in images {
        logs += &new.build(image);
    }
    let cold = [("mint", "built"), ("pantry", "warm"), ("scale", "built"), ("spoon", "built")];
    assert_eq!(new.manifest(), how(&cold), "pantry was built for the first image");
    for (image, wanted) in images.iter().zip(&wanted) {
        assert!(new.files(image) == *wanted, "{image}, with larder, cold");
    }
    for image in images {
        logs += &new.build(image);
    }
    let warm = [("mint", "warm"), ("pantry", "warm"), ("scale", "warm"), ("spoon", "built")];
    assert_eq!(new.manifest(), how(&warm));
    for (image, wanted) in images.iter().zip(&wanted) {
        assert!(new.files(image) == *wanted, "{image}, with larder, warm");
    }
    assert!(!logs.contains(TOKEN));
    let store = new.store.as_ref().unwrap();
    for place in [store.clone(), new.dir.join("mkosi.output")] {
        let grep = Command::new("grep").args(["-rlF", TOKEN]).arg(&place).output().unwrap();
        assert_eq!(
            String::from_utf8(grep.stdout).unwrap(),
            "",
            "the token is in {}",
            place.display()
        );
    }

    // Without a store, and so on every machine that has not heard of larder: only cold.
    let without = Fleet { store: None, ..new };
    without.build("kitchen");
    assert_eq!(without.manifest()["mint"], "built");
    assert!(without.files("kitchen") == wanted[1], "without a store");
}

/// Changes one input in both fleets: the old scripts go on serving what they have, larder builds what a
/// build from nothing does.
fn change(old: &Fleet, new: &Fleet, what: &str, change: impl Fn(&Fleet)) {
    let before = old.mint();
    change(old);
    change(new);
    old.build("mint");
    assert!(old.mint() == before, "{what}: the old cache is expected to hide it");
    assert_eq!(old.manifest()["mint"], "from the cache", "{what}");
    new.build("mint");
    old.forget();
    old.build("mint");
    assert!(old.mint() != before, "{what} has to change the bytes");
    assert!(new.mint() == old.mint(), "{what}: larder against a build from nothing");
    new.build("mint");
    assert_eq!(new.manifest()["mint"], "warm", "{what}: warm afterwards");
    let _ = old.manifest();
}

#[test]
#[ignore = "needs mkosi; make test runs it"]
fn what_the_old_cache_serves_although_it_is_stale_larder_builds() {
    let (old, new) = (Fleet::old("stale"), Fleet::adopted("stale"));
    mint(&[&old, &new]);
    old.build("mint");
    new.build("mint");
    assert!(new.mint() == old.mint());
    change(&old, &new, "RUSTFLAGS", |fleet| {
        fleet.edit("settings.sh", "--build-id=none", "--build-id=none -C overflow-checks=yes");
        fleet.edit("packages/mint", "opt-level=2", "opt-level=0");
    });
    change(&old, &new, "the profile", |fleet| {
        fleet.edit("settings.sh", "STRIP=symbols", "STRIP=none");
    });
    change(&old, &new, "a C library", |fleet| {
        fleet.edit("sugar/sugar.c", "leaves / 4", "leaves / 3 + 7");
        fleet.git("sugar", &["commit", "-qam", "Sweeter"]);
        fleet.git("sugar", &["tag", "v1.1.0"]);
        fleet.edit("settings.sh", "SUGAR=v1.0.0", "SUGAR=v1.1.0");
    });
    change(&old, &new, "the rustc package", |fleet| {
        Said::of(&fleet.command("./toolchain").arg("1.96").output().unwrap()).succeeds();
        fs::create_dir_all(fleet.dir.join("mkosi.cache/rustc-1.96")).unwrap();
    });
}

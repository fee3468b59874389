//! Somebody who may write to the repository, and knows its password; and what he tries, one thing after the other.

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Stdio;

use larder::Digest;
use larder::FullId;
use larder::manifest::{PushEntry, PushManifest, What, totals};
use larder::signature::Signed;
use serde_json::{Value, json};

use crate::share_lab::{Lab, NAMESPACE, tools};
use crate::world::Said;

/// A year in seconds.
pub const YEAR: u64 = 365 * 86_400;

/// A repository in which somebody puts a manifest of his own in the place of the good one.
pub struct Forge {
    pub lab: Lab,
    good: PushManifest,
    tags: Vec<String>,
}

impl Forge {
    pub fn new() -> Self {
        let lab = Lab::new();
        let (bytes, tags, id) = lab.manifest();
        let good = PushManifest::decode(Signed::split(&bytes).unwrap().message).unwrap();
        // Whoever may write may delete, or hide.
        fs::remove_file(lab.path("repository/snapshots").join(id)).unwrap();
        let done = lab.command("cp").args(["-a", "repository", "kept"]).output().unwrap();
        Said::of(&done).succeeds();
        let target = lab.entry("a").unwrap().join("target");
        let done = lab.command("cp").arg("-a").arg(target).arg(lab.path("tree")).output().unwrap();
        Said::of(&done).succeeds();
        // Only what is pushed.
        for dir in ["tree/release/bread", "tree/release/bread.d", "tree/release/incremental"] {
            let path = lab.path(dir);
            if path.is_dir() { fs::remove_dir_all(path) } else { fs::remove_file(path) }.unwrap();
        }
        let done = lab.command("cp").args(["-a", "tree", "kept-tree"]).output().unwrap();
        Said::of(&done).succeeds();
        Self { lab, good, tags }
    }

    /// Everything as it was, but that machine `b` keeps nothing.
    pub fn begin(&self) -> PushManifest {
        let script =
            "rm -rf repository tree b/projects/bread b/share b/trash && cp -a kept repository
            cp -a kept-tree tree && mkdir b/trash";
        let done = self.lab.command("sh").args(["-ec", script]).output().unwrap();
        Said::of(&done).succeeds();
        self.lab.allow(&format!(
            "builder@example namespaces=\"{NAMESPACE}\" {}",
            self.lab.public("builder")
        ));
        self.lab.configure("b", &self.lab.path("repository").display().to_string(), "");
        self.good.clone()
    }

    /// Signs a message with a key, for a namespace.
    pub fn sign(&self, key: &str, namespace: &str, message: &[u8]) -> String {
        let mut keygen = self.lab.command("ssh-keygen");
        keygen.args(["-Y", "sign", "-n", namespace, "-f"]).arg(self.lab.path(key));
        keygen.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = keygen.spawn().unwrap();
        child.stdin.take().unwrap().write_all(message).unwrap();
        Said::of(&child.wait_with_output().unwrap()).succeeds().stdout
    }

    pub fn joined(&self, key: &str, namespace: &str, manifest: &PushManifest) -> Vec<u8> {
        let message = manifest.encode().unwrap();
        Signed::join("builder@example", &self.sign(key, namespace, &message), &message)
    }

    /// The tags that larder would give it.
    pub fn tags_of(&self, manifest: &PushManifest) -> Vec<String> {
        let other = |tag: &&String| !tag.starts_with("counter-") && !tag.starts_with("data-");
        let mut tags: Vec<String> = self.tags.iter().filter(other).cloned().collect();
        tags.push(format!("counter-{}", manifest.counter));
        tags.push(format!("data-{}", manifest.snapshot));
        tags
    }

    /// Puts a manifest into the repository, signed as it should be.
    pub fn publish(&self, manifest: &PushManifest) {
        let bytes = self.joined("builder", NAMESPACE, manifest);
        self.lab.store_manifest(&bytes, &self.tags_of(manifest));
    }

    /// Stores the changed tree, and puts a manifest into the repository that names it.
    pub fn publish_tree(&self, manifest: &mut PushManifest) {
        manifest.snapshot = FullId::try_from(self.lab.store_tree(&self.path(""))).unwrap();
        self.publish(manifest);
    }

    /// A path in the tree that an attacker stores.
    pub fn path(&self, name: &str) -> PathBuf {
        self.lab.path("tree").join(name)
    }

    pub fn larder_config(&self, more: &str) {
        self.lab.configure("b", &self.lab.path("repository").display().to_string(), more);
    }

    pub fn forge(&self, manifest: &mut PushManifest, nodes: &[Value]) {
        let tree = self.lab.path("tree.json");
        fs::write(&tree, json!({ "nodes": nodes }).to_string()).unwrap();
        let python = tools().parent().unwrap().join("s3-server/bin/python3");
        let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/host/share_forge.py");
        let mut forge = self.lab.command(python);
        forge.arg(script).arg(self.lab.path("repository")).arg(self.lab.path("password")).arg(tree);
        let said = Said::of(&forge.output().unwrap()).succeeds();
        manifest.snapshot = FullId::try_from(said.stdout.trim().to_owned()).unwrap();
    }
}

/// One name of a forged tree.
pub fn node(name: &str, kind: &str, mode: u32) -> Value {
    let time = "2026-01-01T00:00:00Z";
    json!({ "name": name, "type": kind, "mode": mode, "mtime": time, "atime": time, "ctime": time,
        "uid": 0, "gid": 0, "user": "root", "group": "root", "inode": 7, "links": 1, "size": 6,
        "content": ["CONTENT"] })
}

pub fn retotal(manifest: &mut PushManifest) {
    (manifest.files, manifest.bytes) = totals(&manifest.entries).unwrap();
}

pub fn with_entry(manifest: &mut PushManifest, path: &str, mode: u32, what: What) {
    manifest.entries.push(PushEntry {
        path: path.to_owned(),
        mode,
        mtime: larder::Moment(0),
        what,
    });
    retotal(manifest);
}

pub fn file(size: u64) -> What {
    What::File { size, digest: Digest::of(b"forged"), link: 0 }
}

/// A regular file of the manifest, by its place.
pub fn some_file(manifest: &PushManifest) -> usize {
    let is_file = |entry: &PushEntry| matches!(entry.what, What::File { size: 1.., link: 0, .. });
    manifest.entries.iter().position(is_file).unwrap()
}

pub fn mknod(path: &Path, kind: rustix::fs::FileType) {
    let (mode, null) = (rustix::fs::Mode::from_raw_mode(0o644), rustix::fs::makedev(1, 3));
    rustix::fs::mknodat(rustix::fs::CWD, path, kind, mode, null).unwrap();
}

/// A name, what larder says of it, and what is done.
pub type Attack = (&'static str, &'static [&'static str], fn(&Forge, PushManifest));

pub fn try_all(attacks: &[Attack]) {
    let forge = Forge::new();
    // First what is as it should be: everything after it is refused for what is wrong with it alone.
    let good = forge.begin();
    forge.publish(&good);
    forge.lab.pull().succeeds();
    assert_eq!(forge.lab.build("b"), 0, "{}", forge.lab.record("b")["last"]["why"]);
    let mut wrong = Vec::new();
    for (name, parts, attack) in attacks {
        attack(&forge, forge.begin());
        let said = forge.lab.pull();
        let is_refused = said.code == 1 && parts.iter().all(|part| said.stderr.contains(part));
        let errors = said.stderr.lines().filter(|line| line.starts_with("larder: error: ")).count();
        if !is_refused || errors != 1 {
            wrong.push(format!("{name}: {said:#?}"));
        }
        forge.lab.has_nothing("b");
        assert!(!Path::new("/tmp/larder-forged").exists(), "{name}");
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

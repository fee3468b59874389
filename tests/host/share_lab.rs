//! Two machines that share: two stores for one project, a repository of the real restic, and keys of the real
//! ssh-keygen.

use std::ffi::OsStr;
use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::OnceLock;

use serde_json::Value;

use crate::world::{Said, World, sysroot};

/// What cargo is called with everywhere here.
pub const BUILD: [&str; 4] = ["cargo", "build", "--release", "--offline"];

/// What larder's signatures are for.
pub const NAMESPACE: &str = "larder-share@1";

/// Two machines, `a` that pushes and `b` that pulls.
pub struct Lab {
    pub world: World,
}

/// Where `scripts/share-setup` puts restic and the servers.
pub fn tools() -> &'static Path {
    static TOOLS: OnceLock<PathBuf> = OnceLock::new();
    TOOLS.get_or_init(|| {
        let own = || format!("/var/tmp/larder-dev-{}", rustix::process::geteuid().as_raw()).into();
        let work = std::env::var_os("LARDER_WORK").map_or_else(own, PathBuf::from);
        let tools = work.join("bin");
        for name in ["restic", "restic-rest-server", "s3-server"] {
            let tool = tools.join(name);
            assert!(tool.exists(), "no {}: run make share-setup", tool.display());
        }
        tools
    })
}

impl Lab {
    /// A machine `a` that has built and pushed, and a machine `b` with an empty disk.
    pub fn new() -> Self {
        let lab = Self::with_nothing();
        lab.share("a", &["share", "init"]).succeeds();
        lab.build("a");
        lab.push().succeeds();
        lab
    }

    /// The same before the repository is made.
    pub fn with_nothing() -> Self {
        let world = World::new();
        fs::write(world.path("password"), "not a secret\n").unwrap();
        let lab = Self { world };
        for name in ["builder", "stranger"] {
            lab.make_key(name);
        }
        lab.allow(&format!("builder@example namespaces=\"{NAMESPACE}\" {}", lab.public("builder")));
        for store in ["a", "b"] {
            lab.world.seed(&lab.path(store));
            lab.configure(store, &lab.path("repository").display().to_string(), "");
        }
        lab
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.world.path(name)
    }

    /// Writes the policy of a machine, with more lines in `[share]`.
    pub fn configure(&self, store: &str, repository: &str, more: &str) {
        let dir = self.world.dir.path().display();
        let text = format!(
            "min-free = '0%'\n[share]\nrepository = '{repository}'\npassword-file = '{dir}/password'\n\
             allowed-signers = '{dir}/allowed'\nsigning-key = '{dir}/builder'\nsigner = 'builder@example'\n{more}\n"
        );
        fs::write(self.path(store).join("larder.toml"), text).unwrap();
    }

    pub fn allow(&self, lines: &str) {
        fs::write(self.path("allowed"), format!("{lines}\n")).unwrap();
    }

    fn make_key(&self, name: &str) {
        let mut keygen = self.command("ssh-keygen");
        keygen.args(["-q", "-t", "ed25519", "-N", "", "-C", name, "-f"]).arg(self.path(name));
        Said::of(&keygen.output().unwrap()).succeeds();
    }

    /// The type and the digits of a public key.
    pub fn public(&self, name: &str) -> String {
        let text = fs::read_to_string(self.path(&format!("{name}.pub"))).unwrap();
        text.split(' ').take(2).collect::<Vec<_>>().join(" ")
    }

    /// A command with restic in its path, and nothing of this process's environment.
    pub fn command(&self, program: impl AsRef<OsStr>) -> Command {
        let mut command = self.world.command(program);
        let path = format!(
            "{}:{}/bin:/usr/sbin:/usr/bin:/sbin:/bin",
            tools().display(),
            sysroot().display()
        );
        command.env("PATH", path);
        command
    }

    /// larder on one of the machines, in the sources.
    pub fn larder(&self, store: &str, words: &[&str]) -> Command {
        let mut command = self.command(env!("CARGO_BIN_EXE_larder"));
        command.args(words).env("LARDER_STORE", self.path(store)).current_dir(self.world.source());
        command
    }

    pub fn share(&self, store: &str, words: &[&str]) -> Said {
        Said::of(&self.larder(store, words).output().unwrap())
    }

    /// `larder run` of the build on one of the machines.
    pub fn run(&self, store: &str) -> Said {
        let words: Vec<&str> = ["run", "bread", "--"].into_iter().chain(BUILD).collect();
        self.share(store, &words)
    }

    /// The same; how many packages were compiled.
    pub fn build(&self, store: &str) -> u64 {
        self.run(store).succeeds();
        self.record(store)["last"]["closed"]["compiled"].as_u64().unwrap()
    }

    pub fn push(&self) -> Said {
        self.share("a", &["push", "bread", "--json"])
    }

    pub fn pull(&self) -> Said {
        self.share("b", &["pull", "bread"])
    }

    /// The only directory of `bread` of a machine, if it has one.
    pub fn entry(&self, store: &str) -> Option<PathBuf> {
        let project = self.path(store).join("projects/bread");
        let dirs = fs::read_dir(project).into_iter().flatten().map(|entry| entry.unwrap().path());
        let mut dirs: Vec<PathBuf> = dirs.filter(|path| path.is_dir()).collect();
        assert!(dirs.len() <= 1, "{dirs:?}");
        dirs.pop()
    }

    pub fn record(&self, store: &str) -> Value {
        let entry = self.entry(store).expect("there is a directory");
        serde_json::from_slice(&fs::read(entry.join("entry.json")).unwrap()).unwrap()
    }

    /// What was built, where users take it.
    pub fn binary(&self) -> Vec<u8> {
        fs::read(self.world.source().join("target/release/bread")).unwrap()
    }

    /// restic on the repository.
    pub fn restic_command(&self, words: &[&str]) -> Command {
        let mut command = self.command("restic");
        let (repository, password) = (self.path("repository"), self.path("password"));
        command.arg("-r").arg(repository).arg("--password-file").arg(password).arg("--no-cache");
        command.args(["--json", "--host", "larder"]).args(words);
        if words.first() != Some(&"backup") {
            let words = words.iter().map(OsStr::new);
            command = self.command("restic");
            command.arg("-r").arg(self.path("repository")).arg("--password-file");
            command.arg(self.path("password")).args(["--no-cache", "--json"]).args(words);
        }
        command
    }

    pub fn restic(&self, words: &[&str]) -> Said {
        Said::of(&self.restic_command(words).output().unwrap()).succeeds()
    }

    pub fn snapshots(&self, tag: &str) -> Vec<Value> {
        let said = self.restic(&["snapshots", "--tag", tag]);
        serde_json::from_str(&said.stdout).unwrap()
    }

    /// Stores bytes as restic would a manifest of larder's; the id of the snapshot.
    pub fn store_manifest(&self, bytes: &[u8], tags: &[String]) -> String {
        let mut words = vec!["backup", "--stdin", "--stdin-filename", "manifest"];
        for tag in tags {
            words.extend(["--tag", tag]);
        }
        let mut restic = self.restic_command(&words);
        let mut child = restic
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        child.stdin.take().unwrap().write_all(bytes).unwrap();
        summary(&Said::of(&child.wait_with_output().unwrap()).succeeds())
    }

    /// Stores a directory as larder would; the id of the snapshot.
    pub fn store_tree(&self, dir: &Path) -> String {
        let mut restic =
            self.restic_command(&["backup", ".", "--tag", "larder-share", "--tag", "data"]);
        summary(&Said::of(&restic.current_dir(dir).output().unwrap()).succeeds())
    }

    /// The only manifest: its bytes, its tags and its snapshot.
    pub fn manifest(&self) -> (Vec<u8>, Vec<String>, String) {
        let all = self.snapshots("larder-share");
        let tags = |snapshot: &Value| -> Vec<String> {
            serde_json::from_value(snapshot["tags"].clone()).unwrap()
        };
        let is_manifest =
            |snapshot: &&Value| tags(snapshot).iter().any(|tag| tag.starts_with("counter-"));
        let found: Vec<&Value> = all.iter().filter(is_manifest).collect();
        assert_eq!(found.len(), 1, "{found:?}");
        let id = found[0]["id"].as_str().unwrap();
        let dumped = self.restic_command(&["dump", id, "/manifest"]).output().unwrap();
        assert!(dumped.status.success());
        (dumped.stdout, tags(found[0]), id.to_owned())
    }

    /// Nothing is left where target directories and what is pulled lie.
    #[track_caller]
    pub fn has_nothing(&self, store: &str) {
        let project = self.path(store).join("projects/bread");
        let names = fs::read_dir(project).into_iter().flatten();
        let names: Vec<_> = names.map(|entry| entry.unwrap().file_name()).collect();
        let is_lock = |name: &std::ffi::OsString| name.to_string_lossy().ends_with(".lock");
        assert!(names.iter().all(is_lock), "{names:?}");
    }
}

/// The snapshot that a backup made.
fn summary(said: &Said) -> String {
    let last = said.stdout.lines().last().unwrap();
    let summary: Value = serde_json::from_str(last).unwrap();
    summary["snapshot_id"].as_str().unwrap().to_owned()
}

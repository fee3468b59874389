//! An image repository that tells its builds of which commit they are: by variables that are new with each, and by
//! `git describe --dirty`, with prefix maps over directories that the build itself fills, and one command for
//! each program.

use std::fs;
use std::path::PathBuf;

use crate::world::{Said, World};

const MEMBERS: [(&str, &str, &str); 2] = [
    (
        "agent",
        "fn main() { println!(\"{} {}\", option_env!(\"APP_SOURCE_REVISION\").unwrap_or(\"\"), common::NAME); }\n",
        "",
    ),
    (
        "guest",
        "fn main() { println!(\"{} {} {}\", env!(\"DESCRIBED\"), common::NAME, proto::answer!()); }\n",
        "proto = { path = '../proto' }\n",
    ),
];

struct Image {
    world: World,
    commits: std::cell::Cell<u32>,
}

impl Image {
    fn new() -> Self {
        let image = Self { world: World::new(), commits: 0.into() };
        let world = &image.world;
        fs::remove_dir_all(world.source()).unwrap();
        world.write(
            "Cargo.toml",
            "[workspace]\nresolver = '2'\nmembers = ['agent', 'guest', 'common', 'proto']\n",
        );
        for (name, main, more) in MEMBERS {
            world.write(&format!("{name}/Cargo.toml"), &format!("[package]\nname = '{name}'\nversion = '0.1.0'\nedition = '2021'\n[dependencies]\ncommon = {{ path = '../common' }}\n{more}"));
            world.write(&format!("{name}/src/main.rs"), main);
        }
        world.write("guest/build.rs", "use std::process::Command;\nfn main() {\n    let git = Command::new(\"git\").args([\"describe\", \"--always\", \"--dirty\"]).output().unwrap();\n    println!(\"cargo:rustc-env=DESCRIBED={}\", String::from_utf8(git.stdout).unwrap().trim());\n}\n");
        world.write(
            "common/Cargo.toml",
            "[package]\nname = 'common'\nversion = '0.1.0'\nedition = '2021'\n",
        );
        world.write("common/build.rs", "fn main() {\n    let out = std::env::var(\"OUT_DIR\").unwrap();\n    std::fs::write(format!(\"{out}/name.rs\"), \"pub const NAME: &str = \\\"common\\\";\").unwrap();\n}\n");
        world.write("common/src/lib.rs", "include!(concat!(env!(\"OUT_DIR\"), \"/name.rs\"));\n");
        world.write("proto/Cargo.toml", "[package]\nname = 'proto'\nversion = '0.1.0'\nedition = '2021'\n[lib]\nproc-macro = true\n");
        world.write("proto/src/lib.rs", "#[proc_macro]\npub fn answer(_: proc_macro::TokenStream) -> proc_macro::TokenStream { \"42\".parse().unwrap() }\n");
        world.write(".gitignore", "/target\n");
        Said::of(
            &world
                .command("cargo")
                .arg("generate-lockfile")
                .current_dir(world.source())
                .output()
                .unwrap(),
        )
        .succeeds();
        fs::rename(world.source(), image.origin()).unwrap();
        image.git(&["init", "-q", "-b", "main"]);
        image.commit();
        image
    }

    /// Where it is developed; what is built is a clone of that.
    fn origin(&self) -> PathBuf {
        self.world.path("origin")
    }

    fn edit(&self, file: &str, text: &str) {
        fs::write(self.origin().join(file), text).unwrap();
    }

    fn git(&self, words: &[&str]) {
        self.world.git(&self.origin(), words);
    }

    /// A commit, and a checkout of it that is new.
    fn commit(&self) {
        self.commits.set(self.commits.get() + 1);
        self.edit("NEWS", &format!("{}\n", self.commits.get()));
        self.git(&["add", "-A"]);
        self.git(&["commit", "-q", "-m", "news"]);
        self.clone_again();
    }

    fn clone_again(&self) {
        let _ = fs::remove_dir_all(self.world.source());
        self.git(&["clone", "-q", ".", self.world.source().to_str().unwrap()]);
    }

    /// What configures all builds, with the number of the commit for its revision.
    fn environment(&self) -> Vec<(&'static str, String)> {
        let path = |name: &str| self.world.path(name).display().to_string();
        let map = |from: &str, to: &str| format!("--remap-path-prefix={}={to}", path(from));
        let maps = [map("bread", "/src"), map("build", "/build"), map("build/cargo", "/cargo")];
        let revision = format!("{:040x}", self.commits.get());
        vec![
            ("APP_SOURCE_REVISION", revision.clone()),
            ("APP_BUILD_GIT_REVISION", revision),
            ("CARGO_HOME", path("build/cargo")),
            ("CARGO_TARGET_DIR", path("build/target")),
            ("RUSTFLAGS", maps.join(" ")),
        ]
    }

    fn program(&self, name: &str) -> Vec<u8> {
        fs::read(self.world.path("build/target/release").join(name)).unwrap()
    }

    /// Builds both programs, and both from nothing, which has to give the same; says how many crates it took for each.
    fn build(&self) -> [usize; 2] {
        MEMBERS.map(|(name, _, _)| {
            let manifest = format!("{name}/Cargo.toml");
            let words = ["cargo", "build", "--release", "--offline", "--manifest-path", &manifest];
            let mut command = self.world.run_command(&words);
            Said::of(&command.envs(self.environment()).output().unwrap()).succeeds();
            let warm = self.program(name);
            assert!(warm == self.cold(name, &words), "warm and cold are not the same: {name}");
            self.world.compiled()
        })
    }

    /// A program that is built without larder, with nothing in the directory that builds fill.
    fn cold(&self, name: &str, words: &[&str]) -> Vec<u8> {
        let (build, kept) = (self.world.path("build"), self.world.path("kept"));
        fs::rename(&build, &kept).unwrap();
        let mut cargo = self.world.command(words[0]);
        cargo.args(&words[1..]).current_dir(self.world.source()).envs(self.environment());
        Said::of(&cargo.output().unwrap()).succeeds();
        let program = self.program(name);
        fs::remove_dir_all(&build).unwrap();
        fs::rename(kept, build).unwrap();
        program
    }
}

#[test]
fn a_commit_costs_what_embeds_its_revision_and_what_was_edited() {
    let image = Image::new();
    assert_eq!(image.build(), [2, 3]);
    image.clone_again();
    assert_eq!(image.build(), [0, 0], "{}", image.world.reasons());
    image.commit();
    assert_eq!(image.build(), [1, 1], "{}", image.world.reasons());
    image.clone_again();
    assert_eq!(image.build(), [0, 0], "{}", image.world.reasons());
    image.edit("proto/src/lib.rs", "#[proc_macro]\npub fn answer(_: proc_macro::TokenStream) -> proc_macro::TokenStream { \"43\".parse().unwrap() }\n");
    image.commit();
    assert_eq!(image.build(), [1, 2], "{}", image.world.reasons());
    // What is not committed shows in what git describes, and in nothing else.
    image.world.write("NEWS", "not committed\n");
    assert_eq!(image.build(), [0, 1], "{}", image.world.reasons());
    let directories = fs::read_dir(image.world.store().join("projects/bread")).unwrap();
    let directories = directories.filter(|item| item.as_ref().unwrap().path().is_dir()).count();
    assert_eq!(directories, 2, "one for each command");
}

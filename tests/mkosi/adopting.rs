//! `docs/adopting.md`, followed to the letter on a copy of the example fleet, in both of its ways.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

use crate::image::{Said, work};

/// Both images of the page, without what has real dependencies.
const IMAGE: &str = "[Include]\nInclude=shared/mkosi.conf\nInclude=modules/common/mkosi.conf\n\
    Include=modules/cutlery/mkosi.conf\nInclude=modules/crockery/mkosi.conf\n\
    Include=modules/bar/mkosi.conf\n[Config]\nProfiles=cellar\n";

/// A step of the page.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Step {
    Run(String),
    Write {
        file: String,
        text: String,
    },
    /// Lines for the end of the Makefile.
    Make(String),
}

/// What the page has a maintainer do who chooses one of its two ways.
fn steps(way: &str) -> Vec<Step> {
    let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/adopting.md");
    let page = fs::read_to_string(page).unwrap();
    let (mut steps, mut mark) = (Vec::new(), String::new());
    let mut lines = page.lines();
    while let Some(line) = lines.next() {
        if let Some(said) = line.strip_prefix("<!-- ") {
            said.trim_end_matches(" -->").clone_into(&mut mark);
        } else if let Some(kind) = line.strip_prefix("```") {
            let block: Vec<&str> = lines.by_ref().take_while(|line| *line != "```").collect();
            let (of, file) = mark.split_once(": ").unwrap_or((&mark, ""));
            let is_ours = of.is_empty() || of == way;
            match (kind, is_ours) {
                ("console", true) => steps.extend(
                    block.iter().map(|line| Step::Run(line.strip_prefix("$ ").unwrap().to_owned())),
                ),
                ("bash", true) => {
                    let text = block.join("\n") + "\n";
                    steps.push(Step::Write { file: file.to_owned(), text });
                }
                ("make", true) => steps.push(Step::Make(block.join("\n") + "\n")),
                _ => {}
            }
            mark.clear();
        }
    }
    steps
}

/// Who follows it: a copy of the fleet, a store, and a `PATH` on which larder and mkosi are.
struct Maintainer {
    dir: PathBuf,
    store: PathBuf,
    tools: PathBuf,
}

impl Maintainer {
    fn new(way: &str) -> Self {
        let at = work().join("test").join(format!("adopting-{way}"));
        let _ = fs::remove_dir_all(&at);
        fs::create_dir_all(at.join("bin")).unwrap();
        let own = Self { dir: at.join("fleet"), store: at.join("store"), tools: at.join("bin") };
        let source = Path::new(env!("CARGO_MANIFEST_DIR"));
        let setup = Command::new(source.join("scripts/fleet-setup")).arg(&own.dir).output();
        Said::of(&setup.unwrap()).succeeds();
        fs::copy(env!("CARGO_BIN_EXE_larder"), own.tools.join("larder")).unwrap();
        symlink(work().join("bin/mkosi-25.3"), own.tools.join("mkosi")).unwrap();
        let kept = work().join("test/fleet-mkosi.cache-25.3-own");
        for toolchain in ["rustc-1.85", "rustc-1.96"] {
            fs::create_dir_all(kept.join(toolchain)).unwrap();
        }
        fs::remove_dir_all(own.dir.join("cache")).unwrap();
        symlink(kept, own.dir.join("cache")).unwrap();
        for image in ["gateway", "kitchen"] {
            fs::write(own.dir.join(format!("images/{image}.conf")), IMAGE).unwrap();
        }
        own.sh("git add --all && git commit -qm 'Smaller images'");
        own
    }

    /// A line of the page, for this store and for what is not installed here.
    #[track_caller]
    fn sh(&self, line: &str) -> Said {
        let snippets = Path::new(env!("CARGO_MANIFEST_DIR")).join("mkosi-snippets");
        let line = line
            .replace("/var/cache/larder", self.store.to_str().unwrap())
            .replace("/usr/share/larder/mkosi-snippets", snippets.to_str().unwrap());
        let mut shell = Command::new("bash");
        shell.args(["-euc", &line]).current_dir(&self.dir).env_clear();
        let path = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
        shell.env("PATH", format!("{}:{path}", self.tools.display()));
        shell.env("HOME", std::env::var("HOME").unwrap()).env("LARDER_STORE", &self.store);
        for who in ["AUTHOR", "COMMITTER"] {
            shell.env(format!("GIT_{who}_NAME"), "x").env(format!("GIT_{who}_EMAIL"), "x@x");
        }
        let said = Said::of(&shell.output().unwrap());
        assert_eq!(said.code, 0, "{line}: {}", said.text);
        said
    }

    fn follow(&self, steps: &[Step]) -> String {
        let mut said = String::new();
        for step in steps {
            match step {
                Step::Run(line) => said += &self.sh(line).text,
                Step::Write { file, text } => fs::write(self.dir.join(file), text).unwrap(),
                Step::Make(lines) => {
                    let file = self.dir.join("Makefile");
                    let text = fs::read_to_string(&file).unwrap();
                    fs::write(file, text + "\n" + lines).unwrap();
                }
            }
        }
        said
    }

    /// How many packages the last use of a project compiled.
    fn compiled(&self, project: &str) -> u64 {
        let said = self.sh(&format!("larder history {project} --last 1 --json"));
        let told: Value = serde_json::from_str(&said.text).unwrap();
        told["events"][0]["compiled"].as_u64().unwrap()
    }

    fn build(&self) {
        self.sh("mkosi --force --image-id kitchen --include=images/kitchen.conf --include=/var/cache/larder/mkosi.conf");
    }
}

const RUST: [&str; 7] = ["crumb", "kettle", "mint", "oven", "saucer", "stove", "strainer"];

#[test]
#[ignore = "needs mkosi; make test runs it"]
fn who_follows_the_page_and_takes_our_functions_is_warm_with_the_same_bytes() {
    follow("or", |_| {});
}

#[test]
#[ignore = "needs mkosi; make test runs it"]
fn who_follows_the_page_and_keeps_his_functions_is_warm_with_the_same_bytes() {
    // What the page leaves to its reader.
    follow("either", |own| {
        own.sh(r#"sed -i 's/if \[ -[fd] "$kept" \]/if false/' scripts/rust_package.sh scripts/git_package.sh"#);
        own.sh("git commit -qam 'No binaries of before'");
    });
}

fn follow(way: &str, reader: impl Fn(&Maintainer)) {
    let own = Maintainer::new(way);
    // As it is without larder, and what its cache of binaries is left with.
    own.sh("mkosi --force --image-id kitchen --include=images/kitchen.conf && mv mkosi.output/kitchen mkosi.output/before");
    let steps = steps(way);
    let is_commit = |step: &Step| matches!(step, Step::Run(line) if line.contains("git commit"));
    let committed = steps.iter().position(is_commit).unwrap() + 1;
    own.follow(&steps[..1]);
    assert_eq!(own.sh("git status --porcelain --ignored=no").text, "", "asking writes nothing");
    own.follow(&steps[1..committed]);
    reader(&own);
    // Asked again, larder has nothing to add.
    let Step::Run(ask) = &steps[0] else { panic!("{:?}", steps[0]) };
    let said = own.sh(ask).text;
    assert!(said.contains("The build scripts run larder already."), "{said}");
    assert!(!said.contains("does it:") && !said.contains("_packages_"), "{said}");
    let said = own.follow(&steps[committed..]);
    assert!(said.contains("larder_run: no store at"), "{said}");
    own.sh("diff -r --no-dereference mkosi.output/before mkosi.output/kitchen");
    for project in RUST {
        assert_eq!(own.compiled(project), 0, "{project}, the second time");
    }
    // The lines for the Makefile give the option to who has a store, and to nobody else.
    for (store, is_found) in [("/var/cache/larder", true), ("/nowhere", false)] {
        let said = own.sh(&format!("make build IMAGE=kitchen LARDER={store}")).text;
        assert_eq!(!said.contains("larder_run: no store at"), is_found, "{said}");
    }
    for project in RUST {
        assert_eq!(own.compiled(project), 0, "{project}, by make");
    }
    // A commit in one of three packages that are made from one repository: only what it changed.
    own.sh("echo '// Shinier.' >> upstream/tea/kettle/src/main.rs && git -C upstream/tea commit -qam Shine && git -C upstream/tea tag -f v1.5.0");
    own.build();
    assert_eq!(own.compiled("kettle"), 1);
    for project in ["crumb", "mint", "oven", "saucer", "stove", "strainer"] {
        assert_eq!(own.compiled(project), 0, "{project}, after a commit elsewhere");
    }
}

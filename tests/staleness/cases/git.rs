//! What git answers to those who ask it while they build.

use super::Plain::{Any, Stale};
use super::scripts::script;
use super::{Case, case};
use crate::lab::Lab;

/// A build script that asks git, names `rerun`, and is committed.
fn asks(arguments: &'static str, rerun: &'static str) -> impl Fn(&Lab<'_>) {
    move |lab| {
        let words: Vec<String> = arguments.split(' ').map(|word| format!(", {word:?}")).collect();
        let line = format!("cargo:rerun-if-changed={rerun}");
        script(lab, &format!("run(&[\"git\"{}])", words.concat()), &[&line]);
        lab.commit();
    }
}

pub fn cases() -> Vec<Case> {
    let commit = |lab: &Lab<'_>| drop(lab.git("commit -q --allow-empty -m empty"));
    vec![
        case(
            "a commit of nothing, the script names itself",
            Stale,
            asks("rev-parse HEAD", "build.rs"),
            commit,
        ),
        case(
            "a commit of nothing, the script names HEAD",
            Stale,
            asks("rev-parse HEAD", ".git/HEAD"),
            commit,
        ),
        case(
            "a commit of nothing, the script names the index",
            Stale,
            asks("rev-parse HEAD", ".git/index"),
            commit,
        ),
        case("a new tag", Stale, asks("describe --tags --always", ".git/HEAD"), |lab| {
            drop(lab.git("tag v2"))
        }),
        case(
            "a tag that is gone",
            Stale,
            |lab| {
                asks("describe --tags --always", ".git/HEAD")(lab);
                lab.git("tag v1");
            },
            |lab| drop(lab.git("tag -d v1")),
        ),
        case(
            "a tag that moves",
            Stale,
            |lab| {
                asks("rev-parse v1", ".git/HEAD")(lab);
                lab.git("tag v1");
                lab.git("commit -q --allow-empty -m empty");
            },
            |lab| drop(lab.git("tag -f v1")),
        ),
        case(
            "a tag among packed refs",
            Any,
            |lab| {
                asks("describe --tags --always", ".git/refs/tags")(lab);
                lab.git("tag v0");
                lab.git("pack-refs --all");
            },
            |lab| {
                lab.git("tag v2");
                lab.git("pack-refs --all");
            },
        ),
        case(
            "another branch of the same commit",
            Stale,
            asks("rev-parse --abbrev-ref HEAD", "build.rs"),
            |lab| drop(lab.git("checkout -q -b other")),
        ),
        case(
            "a detached head of the same commit",
            Stale,
            asks("rev-parse --abbrev-ref HEAD", "build.rs"),
            |lab| drop(lab.git("checkout -q --detach")),
        ),
        case(
            "an untracked file",
            Stale,
            |lab| {
                asks("status --porcelain", ".git/HEAD")(lab);
            },
            |lab| lab.write("new", ""),
        ),
        case(
            "a dirty file that is no source",
            Stale,
            |lab| {
                lab.write("README", "one\n");
                asks("describe --always --dirty", ".git/HEAD")(lab);
            },
            |lab| lab.write("README", "two\n"),
        ),
        case(
            "a staged file",
            Stale,
            |lab| {
                lab.write("README", "one\n");
                asks("status --porcelain", ".git/HEAD")(lab);
                lab.write("README", "two\n");
            },
            |lab| drop(lab.git("add README")),
        ),
        case(
            "an ignored file is no longer",
            Stale,
            |lab| {
                lab.write("README", "one\n");
                asks("status --porcelain", ".git/HEAD")(lab);
                lab.write("new", "");
            },
            |lab| lab.write(".git/info/exclude", "new\n"),
        ),
        case("the last commit's date", Stale, asks("log -1 --format=%ct", ".git/HEAD"), |lab| {
            lab.set("GIT_COMMITTER_DATE", "2001-02-03T04:05:06Z");
            lab.git("commit -q --amend --no-edit --date=2001-02-03T04:05:06Z");
            lab.unset("GIT_COMMITTER_DATE");
        }),
        case("the number of commits", Stale, asks("rev-list --count HEAD", ".git/HEAD"), commit),
        case(
            "a value of the repository's configuration",
            Stale,
            |lab| {
                asks("config loaf.kind", ".git/HEAD")(lab);
                lab.git("config loaf.kind one");
            },
            |lab| drop(lab.git("config loaf.kind two")),
        ),
        case(
            "a remote's address",
            Stale,
            |lab| {
                asks("remote get-url origin", ".git/HEAD")(lab);
                lab.git("remote add origin /one");
            },
            |lab| drop(lab.git("remote set-url origin /two")),
        ),
        case(
            "a remote branch that moves",
            Stale,
            |lab| {
                asks("rev-parse origin/main", ".git/HEAD")(lab);
                lab.git("update-ref refs/remotes/origin/main HEAD");
                lab.git("commit -q --allow-empty -m empty");
            },
            |lab| drop(lab.git("update-ref refs/remotes/origin/main HEAD")),
        ),
        case(
            "a stash",
            Stale,
            |lab| {
                lab.write("README", "one\n");
                asks("stash list", ".git/HEAD")(lab);
                lab.write("README", "two\n");
            },
            |lab| drop(lab.git("stash -q")),
        ),
        case("a note", Stale, asks("notes list", ".git/HEAD"), |lab| {
            drop(lab.git("notes add -m good"))
        }),
        case(
            "the repository above the sources",
            Stale,
            |lab| {
                script(
                    lab,
                    "run(&[\"git\", \"rev-parse\", \"HEAD\"])",
                    &["cargo:rerun-if-changed=build.rs"],
                );
                lab.sh("cd ..; git init -q .; printf '*\n!loaf\n' > .gitignore; git add -f loaf/src; git -c user.name=x -c user.email=x@example.org commit -qm one");
            },
            |lab| {
                drop(lab.sh("cd ..; git -c user.name=x -c user.email=x@example.org commit -q --allow-empty -m two"))
            },
        ),
        case(
            "no repository any more",
            Stale,
            |lab| {
                script(
                    lab,
                    "run(&[\"git\", \"rev-parse\", \"HEAD\"])",
                    &["cargo:rerun-if-changed=build.rs"],
                );
                lab.commit();
            },
            |lab| lab.remove(".git"),
        ),
        case(
            "a submodule's commit",
            Stale,
            |lab| {
                lab.sh("mkdir ../sub && cd ../sub && git init -q && git -c user.name=x -c user.email=x@example.org commit -q --allow-empty -m one");
                asks("submodule status", ".git/HEAD")(lab);
                lab.git("-c protocol.file.allow=always submodule --quiet add ../sub sub");
                lab.commit();
            },
            |lab| {
                drop(lab.sh("cd sub; git -c user.name=x -c user.email=x@example.org commit -q --allow-empty -m two"))
            },
        ),
    ]
}

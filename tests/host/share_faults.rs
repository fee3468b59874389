//! What breaks on the way: servers, disks, larder itself. Nothing that is half made is ever used, a build is never
//! failed by it, and the next run works.

#![expect(clippy::disallowed_macros, reason = "the points are the test's report")]

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::process::ExitStatusExt;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use rustix::process::Signal;
use serde_json::Value;

use crate::share_forge::Forge;
use crate::share_lab::{BUILD, Lab, tools};
use crate::share_server::{Manner, Server};
use crate::sound;
use crate::world::{Said, sysroot};

/// Has machine `b` pull by itself, from somewhere.
fn pulls_from(lab: &Lab, repository: &str) {
    lab.configure("b", repository, "pull = 'when-cold'\ntimeout = '4s'");
}

/// A build that says one line about sharing, and is cold.
#[track_caller]
fn builds_cold(lab: &Lab, part: &str) {
    let said = lab.run("b").succeeds();
    let warnings: Vec<&str> =
        said.stderr.lines().filter(|line| line.starts_with("larder: warning: ")).collect();
    assert_eq!(warnings.len(), 1, "{said:#?}");
    assert!(warnings[0].contains("building cold") && warnings[0].contains(part), "{said:#?}");
    assert_eq!(lab.record("b")["last"]["cold"], true);
    lab.share("b", &["rm", "bread"]).succeeds();
    lab.has_nothing("b");
}

#[test]
fn without_restic_or_server_the_build_is_cold_and_says_why() {
    let lab = Lab::new();
    let words: Vec<&str> = ["run", "bread", "--"].into_iter().chain(BUILD).collect();
    pulls_from(&lab, &lab.path("repository").display().to_string());
    let mut without = lab.larder("b", &words);
    without.env("PATH", format!("{}/bin:/usr/sbin:/usr/bin:/sbin:/bin", sysroot().display()));
    let said = Said::of(&without.output().unwrap()).succeeds();
    assert!(said.stderr.contains("building cold: cannot find restic; install"), "{said:#?}");
    lab.share("b", &["rm", "bread"]).succeeds();
    lab.configure("b", "rest:http://127.0.0.1:9/", "pull = 'when-cold'");
    builds_cold(&lab, "connection refused");
    pulls_from(&lab, &lab.path("nowhere").display().to_string());
    builds_cold(&lab, "no repository at");
    fs::write(lab.path("password"), "another\n").unwrap();
    pulls_from(&lab, &lab.path("repository").display().to_string());
    builds_cold(&lab, "wrong password");
    // And a push says so too, without taking the build with it.
    lab.configure("b", &lab.path("nowhere").display().to_string(), "push = 'on-success'");
    let said = lab.run("b").succeeds();
    assert!(
        said.stderr.contains("warning: what was built is not pushed: no repository"),
        "{said:#?}"
    );
}

#[test]
fn a_server_that_lies_or_stalls_is_given_up() {
    let lab = Lab::new();
    let root = lab.path("repository");
    for manner in [
        Manner::Stalls("/config"),
        Manner::Stalls("GET /data/"),
        Manner::SendsHalf("GET /config"),
        Manner::SendsHalf("GET /data/"),
        Manner::SaysMore("GET /data/"),
        Manner::SaysLess("GET /data/"),
        Manner::SaysLess("GET /index/"),
        Manner::SaysMore("GET /snapshots/"),
        Manner::NeverEnds("GET /config"),
        Manner::NeverEnds("GET /data/"),
    ] {
        let server = Server::start(&root, manner);
        pulls_from(&lab, &server.url);
        let said = lab.pull();
        assert_eq!(said.code, 1, "{manner:?}: {said:#?}");
        assert!(said.stderr.starts_with("larder: error: "), "{manner:?}: {said:#?}");
        lab.has_nothing("b");
    }
    let server = Server::start(&root, Manner::Stalls("GET /snapshots/"));
    pulls_from(&lab, &server.url);
    builds_cold(&lab, "gave up");
    let honest = Server::start(&root, Manner::Honest);
    pulls_from(&lab, &honest.url);
    let said = lab.run("b").succeeds();
    assert!(said.stderr.contains("pulled bread: push 1"), "{said:#?}");
    assert!(!said.stderr.contains("Compiling"), "{said:#?}");
}

#[test]
fn a_server_that_dies_in_the_middle_costs_one_cold_build() {
    let lab = Lab::new();
    let root = lab.path("repository");
    for manner in [Manner::Dies("GET /data/"), Manner::Dies("GET /snapshots/")] {
        let server = Server::start(&root, manner);
        pulls_from(&lab, &server.url);
        builds_cold(&lab, "");
    }
    // In the middle of a push: what is there is not taken for one.
    let main = fs::read_to_string(lab.world.source().join("src/main.rs")).unwrap();
    lab.world.write("src/main.rs", &main.replace("{} {}", "{} + {}"));
    lab.build("a");
    for dying in ["POST /data/", "POST /index/", "POST /snapshots/"] {
        let server = Server::start(&root, Manner::Dies(dying));
        lab.configure("a", &server.url, "timeout = '20s'");
        let said = lab.push();
        assert_eq!(said.code, 1, "{dying}: {said:#?}");
        drop(server);
        let said = lab.share("b", &["pull", "bread", "--json"]);
        assert_eq!(said.code, 1, "the other machine's server is gone too: {said:#?}");
    }
    let honest = Server::start(&root, Manner::Honest);
    lab.configure("a", &honest.url, "");
    pulls_from(&lab, &honest.url);
    let said = lab.pull().succeeds();
    assert!(said.stdout.contains("push 1 of"), "{said:#?}");
    lab.push().succeeds();
    lab.pull().succeeds();
    assert_eq!(lab.build("b"), 0, "{}", lab.record("b")["last"]["why"]);
}

/// The points at which larder is killed: a few that are spread over all, or all with `LARDER_CRASH=all`.
fn instants(points: usize) -> Vec<usize> {
    let wanted = std::env::var("LARDER_CRASH").unwrap_or_else(|_| "5".to_owned());
    let stride = wanted.parse().map_or(1, |number: usize| (points / number).max(1));
    (1..=points).step_by(stride).collect()
}

/// The names of the points that a command passes.
fn points(lab: &Lab, mut command: Command) -> Vec<String> {
    let log = lab.path("points");
    let _ = fs::remove_file(&log);
    Said::of(&command.env("LARDER_FAULT", format!("log:{}", log.display())).output().unwrap())
        .succeeds();
    fs::read_to_string(&log).unwrap().lines().map(str::to_owned).collect()
}

fn kill(mut command: Command, at: usize) -> bool {
    let done = command.env("LARDER_FAULT", at.to_string()).stdout(Stdio::null()).output().unwrap();
    let killed = done.status.signal() == Some(Signal::KILL.as_raw());
    assert!(killed || done.status.success(), "{done:?}");
    killed
}

/// A shell in the directory that all of a test lies in.
fn shell(lab: &Lab, script: &str) {
    Said::of(&lab.command("sh").args(["-ec", script]).output().unwrap()).succeeds();
}

/// Kills pulls at points, and looks after each at what is left.
fn kill_pulls(lab: &Lab) {
    let put_back = || shell(lab, "rm -rf b && cp -a kept/b b");
    let pull = || lab.larder("b", &["pull", "bread"]);
    put_back();
    let names = points(lab, pull());
    let mut killed: BTreeMap<&str, u32> = BTreeMap::new();
    for (index, at) in instants(names.len()).into_iter().enumerate() {
        put_back();
        if !kill(pull(), at) {
            continue;
        }
        *killed.entry(names[at - 1].as_str()).or_default() += 1;
        is_whole_or_nothing(lab);
        if index % 2 == 0 {
            sound::asks_nothing(&lab.share("b", &["gc"]).succeeds());
            assert_eq!(in_project(lab, "pull").len(), 0, "gc leaves what was being pulled");
        }
        lab.pull().succeeds();
        assert_eq!(lab.build("b"), 0, "{}: {}", names[at - 1], lab.record("b")["last"]["why"]);
    }
    eprintln!("pull: {} of {} points: {killed:?}", killed.values().sum::<u32>(), names.len());
    assert!(!killed.is_empty());
}

/// What lies in the project of machine `b` under names that end like that.
fn in_project(lab: &Lab, ending: &str) -> Vec<PathBuf> {
    let names = fs::read_dir(lab.path("b/projects/bread")).into_iter().flatten();
    let paths = names.map(|entry| entry.unwrap().path());
    paths
        .filter(|path| path.extension().map_or("", |end| end.to_str().unwrap()) == ending)
        .collect()
}

fn is_whole_or_nothing(lab: &Lab) {
    for entry in in_project(lab, "") {
        for name in ["entry.json", "state", "manifest", "identity.json", "target"] {
            assert!(entry.join(name).exists(), "half a directory: no {name}");
        }
    }
}

#[test]
fn a_killed_pull_leaves_what_was_there_or_nothing() {
    let lab = Lab::new();
    shell(&lab, "mkdir kept && cp -a b kept/b");
    kill_pulls(&lab);
    // And onto a directory that is there.
    shell(&lab, "rm -rf b && cp -a kept/b b");
    lab.pull().succeeds();
    shell(&lab, "rm -rf kept/b && cp -a b kept/b");
    let main = fs::read_to_string(lab.world.source().join("src/main.rs")).unwrap();
    lab.world.write("src/main.rs", &main.replace("{} {}", "{} + {}"));
    lab.build("a");
    lab.push().succeeds();
    kill_pulls(&lab);
}

#[test]
fn a_killed_push_is_no_push() {
    let lab = Lab::with_nothing();
    lab.share("a", &["share", "init"]).succeeds();
    lab.build("a");
    let keep = "rm -rf kept && mkdir kept && cp -a a repository kept";
    shell(&lab, keep);
    let put_back = || {
        let script = "rm -rf a repository b/projects/bread b/share && cp -a kept/. .";
        shell(&lab, script);
    };
    let push = || lab.larder("a", &["push", "bread"]);
    let names = points(&lab, push());
    let mut killed: BTreeMap<&str, u32> = BTreeMap::new();
    let wanted = ["share.upload", "share.publish", "share.published"];
    let named = names.iter().enumerate().filter(|(_, name)| wanted.contains(&name.as_str()));
    let mut all: Vec<usize> = named.map(|(index, _)| index + 1).collect();
    all.extend(instants(names.len()));
    for at in all {
        put_back();
        if !kill(push(), at) {
            continue;
        }
        *killed.entry(names[at - 1].as_str()).or_default() += 1;
        let said = lab.pull();
        if said.code == 0 {
            assert_eq!(lab.build("b"), 0, "{}", names[at - 1]);
        } else {
            said.refuses(1, &["nothing was pushed of bread"]);
        }
        lab.push().succeeds();
        lab.pull().succeeds();
        assert_eq!(lab.build("b"), 0, "{}: {}", names[at - 1], lab.record("b")["last"]["why"]);
    }
    eprintln!("push: {} of {} points: {killed:?}", killed.values().sum::<u32>(), names.len());
    assert!(wanted.iter().all(|name| killed.contains_key(name)), "{killed:?}");
}

#[test]
fn a_full_disk_is_a_cold_build() {
    assert!(rustix::process::geteuid().is_root(), "only root can mount");
    let forge = Forge::new();
    let manifest = forge.begin();
    forge.publish(&manifest);
    let lab = &forge.lab;
    let bytes = manifest.bytes;
    // What restic keeps of the repository's lists is there from the first pull on.
    let script = format!(
        "mkdir small && mount -t tmpfs -o size={} none small && cp -a b/. small
        export LARDER_STORE=\"$PWD/small\"
        cd bread
        \"$LARDER_BINARY\" pull bread && \"$LARDER_BINARY\" rm bread
        for spare in -8192 8192; do
            free=$(df --output=avail -B1 ../small | tail -n 1)
            fallocate -l $((free - {bytes} - spare)) ../small/history.old
            ! \"$LARDER_BINARY\" pull bread
            find ../small/projects -name '*.pull' -o -name target | sed 's/^/left: /'
            : >../small/history.old
            \"$LARDER_BINARY\" gc
        done
        \"$LARDER_BINARY\" pull bread",
        4 * bytes + (8 << 20)
    );
    let mut command = lab.command("unshare");
    command
        .args(["--mount", "sh", "-ec", &script])
        .env("LARDER_BINARY", env!("CARGO_BIN_EXE_larder"));
    let said = Said::of(&command.output().unwrap()).succeeds();
    let errors: Vec<&str> =
        said.stderr.lines().filter(|line| line.starts_with("larder: error: ")).collect();
    assert_eq!(errors.len(), 2, "{said:#?}");
    assert!(errors[0].contains("are free"), "{said:#?}");
    assert!(errors[1].contains("no space left on device"), "{said:#?}");
    let left = said.stdout.lines().filter(|line| line.starts_with("left: "));
    assert_eq!(left.count(), 0, "{said:#?}");
}

#[test]
fn two_that_push_and_one_that_tidies_up_leave_what_can_be_used() {
    let lab = Lab::new();
    let repository = lab.path("repository").display().to_string();
    lab.configure("b", &repository, "keep = 1");
    for _ in 0..2 {
        let words: [(&str, &[&str]); 3] =
            [("a", &["push", "bread"]), ("a", &["push", "bread"]), ("b", &["share", "gc"])];
        let started = words.map(|(store, words)| {
            let mut command = lab.larder(store, words);
            command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
        });
        let done = started.map(|child| Said::of(&child.wait_with_output().unwrap()));
        for said in &done {
            let may_wait = said.stderr.contains("locked") || said.stderr.contains("restic failed");
            assert!(said.code == 0 || (said.code == 1 && may_wait), "{said:#?}");
        }
    }
    lab.push().succeeds();
    lab.share("b", &["share", "gc"]).succeeds();
    assert_eq!(lab.snapshots("larder-share").len(), 2, "one push: its data and its manifest");
    lab.pull().succeeds();
    assert_eq!(lab.build("b"), 0, "{}", lab.record("b")["last"]["why"]);
}

#[test]
fn a_lock_that_a_crash_left_is_shown_and_removed() {
    let lab = Lab::new();
    let mut backup = lab.restic_command(&["backup", "--stdin", "--stdin-filename", "x"]);
    let mut child = backup.stdin(Stdio::piped()).stdout(Stdio::null()).spawn().unwrap();
    let locks = lab.path("repository/locks");
    // A name of its own has what is whole; before that it is written under another one.
    let is_whole = |lock: std::io::Result<fs::DirEntry>| lock.unwrap().file_name().len() == 64;
    while !fs::read_dir(&locks).unwrap().any(is_whole) {
        std::thread::sleep(std::time::Duration::from_millis(20));
    }
    child.kill().unwrap();
    child.wait().unwrap();
    let status = lab.share("a", &["share", "status"]).succeeds().stdout;
    assert!(status.contains("locked by process"), "{status}");
    assert!(status.contains("builder@example"), "{status}");
    lab.push().succeeds();
    lab.share("a", &["share", "gc"]).succeeds();
    assert_eq!(fs::read_dir(&locks).unwrap().count(), 0);
    let status: Value =
        serde_json::from_str(&lab.share("a", &["share", "status", "--json"]).succeeds().stdout)
            .unwrap();
    assert_eq!(
        (&status["scopes"][0]["counter"], &status["locks"]),
        (&2.into(), &Value::Array(Vec::new()))
    );
}

#[test]
fn what_goes_is_what_the_policy_says_and_an_append_only_server_is_told() {
    let lab = Lab::new();
    for _ in 0..2 {
        lab.push().succeeds();
    }
    let repository = lab.path("repository").display().to_string();
    lab.configure("a", &repository, "keep = 1");
    let before = lab.snapshots("larder-share").len();
    let dry: Value = serde_json::from_str(
        &lab.share("a", &["share", "gc", "--dry-run", "--json"]).succeeds().stdout,
    )
    .unwrap();
    assert_eq!((&dry["kept"], dry["gone"].as_array().unwrap().is_empty()), (&1.into(), false));
    assert_eq!(lab.snapshots("larder-share").len(), before, "a dry run changes nothing");
    // The real server, which only lets add.
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let mut server = lab.command(tools().join("restic-rest-server"));
    server.args(["--no-auth", "--append-only", "--listen", &format!("127.0.0.1:{port}"), "--path"]);
    server.arg(lab.world.dir.path()).stdout(Stdio::null()).stderr(Stdio::null());
    let mut server = server.spawn().unwrap();
    lab.configure("a", &format!("rest:http://127.0.0.1:{port}/repository"), "keep = 1");
    let mut said = lab.share("a", &["share", "gc"]);
    for _ in 0..100 {
        if !said.stderr.contains("refused") {
            break;
        }
        said = lab.share("a", &["share", "gc"]);
    }
    let status = lab.share("a", &["share", "status"]);
    server.kill().unwrap();
    server.wait().unwrap();
    assert!(said.code == 1 && said.stderr.contains("append-only"), "{said:#?}");
    assert!(status.stdout.contains("only lets add"), "{status:#?}");
    lab.configure("a", &repository, "keep = 1\nmax-size = '1B'");
    let all: Value =
        serde_json::from_str(&lab.share("a", &["share", "gc", "--json"]).succeeds().stdout)
            .unwrap();
    assert_eq!((&all["kept"], &all["bytes_after"]), (&0.into(), &0.into()));
    lab.pull().refuses(1, &["nothing was pushed of bread"]);
    assert_eq!(lab.snapshots("larder-share").len(), 0);
}

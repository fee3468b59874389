//! What is on stderr: for people, for programs, and for the systemd journal.

use std::fs::File;
use std::io::Read;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::process::{Command, Stdio};
use std::time::SystemTime;

use rustix::pipe::PipeFlags;
use serde_json::Value;

use crate::world::{Said, World};

/// Every line as the JSON object that it has to be.
fn records(stderr: &str) -> Vec<Value> {
    let parse =
        |line: &str| serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line:?}"));
    stderr.lines().map(parse).collect()
}

#[test]
fn json_lines_hold_the_error_its_causes_and_the_exit_code() {
    let world = World::new();
    std::fs::create_dir(world.store().join("larder.toml.d")).unwrap();
    let policy = world.store().join("larder.toml");
    std::fs::remove_file(&policy).unwrap();
    std::fs::create_dir(&policy).unwrap();
    let said = world.larder(&["--log-format", "json", "gc"]);
    assert_eq!(said.code, 1, "{said:#?}");
    let [error] = records(&said.stderr).try_into().unwrap();
    assert_eq!((&error["schema"], &error["level"]), (&1.into(), &"error".into()));
    assert_eq!(error["exit_code"], 1);
    let message = error["message"].as_str().unwrap();
    let what = format!("cannot read {}: it is no regular file", policy.display());
    assert!(message.starts_with(&what), "{message}");
    let (_, remedy) = message.split_once("; ").unwrap();
    assert!(remedy.starts_with("put one there"), "{message}");
    assert_eq!(error["causes"].as_array().unwrap().len(), 1, "{error}");
    let time = humantime::parse_rfc3339(error["time"].as_str().unwrap()).unwrap();
    assert!(time <= SystemTime::now(), "{error}");
}

#[test]
fn json_lines_tell_of_a_wrong_command_line_too() {
    let world = World::new();
    for words in [
        &["--log-format=json", "status", "--nonsense"][..],
        &["status", "--log-format", "json", "--nonsense"],
        &["--log-format", "json", "run", "bread"],
    ] {
        let said = world.larder(words);
        let [error] = records(&said.stderr).try_into().unwrap();
        let code = if words.contains(&"run") { 125 } else { 2 };
        assert_eq!((said.code, &error["exit_code"]), (code, &code.into()), "{error}");
        assert!(error["message"].as_str().unwrap().contains("Usage: larder"), "{error}");
    }
    let mut command = world.larder_command(&["status", "--nonsense"]);
    let said = Said::of(&command.env("LARDER_LOG_FORMAT", "json").output().unwrap());
    assert_eq!(records(&said.stderr).len(), 1);
}

/// The words of the command stay as they are, and nothing else of larder's comes between them.
#[test]
fn json_lines_of_a_run_stand_beside_the_words_of_the_command() {
    let world = World::new();
    let mut command = world.run_command(&["sh", "-c", "echo words >&2; exit 7"]);
    command.env("LARDER_LOG_FORMAT", "json");
    let said = Said::of(&command.output().unwrap());
    let parted = |said: &Said| {
        let (words, own): (Vec<String>, Vec<String>) =
            said.stderr.lines().map(str::to_owned).partition(|it| it == "words");
        assert_eq!(words.len(), 1, "{said:#?}");
        records(&own.join("\n"))
    };
    assert_eq!(said.code, 7, "{said:#?}");
    // On a busy machine it says what takes long.
    assert!(parted(&said).iter().all(|record| record["level"] == "info"), "{said:#?}");
    let mut verbose =
        world.larder_command(&["-v", "run", "bread", "--", "sh", "-c", "echo words >&2"]);
    verbose.current_dir(world.source()).env("LARDER_LOG_FORMAT", "json");
    let said = Said::of(&verbose.output().unwrap()).succeeds();
    let own = parted(&said);
    let steps = own.iter().find(|record| record["level"] == "debug").unwrap();
    assert!(steps["message"].as_str().unwrap().contains("identify "), "{steps}");
}

/// What larder says to a stderr that is, or is not, what `JOURNAL_STREAM` names.
fn said_to(world: &World, stderr: OwnedFd, mut reader: impl Read, off_by: u64) -> String {
    let stat = rustix::fs::fstat(&stderr).unwrap();
    let mut command: Command = world.larder_command(&["-v", "run", "bread", "--", "/usr"]);
    command
        .current_dir(world.source())
        .env("JOURNAL_STREAM", format!("{}:{}", stat.st_dev, stat.st_ino + off_by))
        .stdout(Stdio::null())
        .stderr(stderr);
    let status = command.status().unwrap();
    assert_eq!(status.code(), Some(126));
    // The writing end is closed with the command.
    drop(command);
    let mut text = String::new();
    reader.read_to_string(&mut text).unwrap();
    text
}

#[test]
fn the_journal_gets_priorities_where_stderr_is_the_journal() {
    let world = World::new();
    let pipe = || {
        let (read, write) = rustix::pipe::pipe_with(PipeFlags::CLOEXEC).unwrap();
        (File::from(read), write)
    };
    let (reader, writer) = pipe();
    let of_pipe = said_to(&world, writer, reader, 0);
    // The journal's own end is a socket.
    let (reader, writer) = UnixStream::pair().unwrap();
    let of_socket = said_to(&world, writer.into(), reader, 0);
    for text in [of_pipe, of_socket] {
        let with = |start: &str| text.lines().filter(|line| line.starts_with(start)).count();
        assert_eq!(with("<3>larder: error: cannot run /usr"), 1, "{text}");
        assert!(with("<7>larder: ") >= 1, "{text}");
        assert!(text.lines().all(|line| line.starts_with('<')) && !text.contains('\x1b'), "{text}");
    }
    let (reader, writer) = pipe();
    let elsewhere = said_to(&world, writer, reader, 1);
    assert!(elsewhere.lines().all(|line| line.starts_with("larder: ")), "{elsewhere}");
}

#[test]
fn every_long_command_says_where_the_time_went() {
    let world = World::new();
    let source = world.source();
    let source = source.to_str().unwrap();
    for (words, step) in [
        (&["-v", "provision", "bread", "--source", source, "--", "true"][..], "identify "),
        (&["-v", "run", "bread", "--source", source, "--", "true"], "command "),
        (&["-v", "status"], "look "),
        (&["-v", "gc"], "delete "),
        (&["-v", "gc", "--dry-run"], "plan "),
    ] {
        let said = world.larder(words).succeeds();
        let line = said.stderr.lines().find(|line| line.contains(step) && line.contains(" ms"));
        assert!(line.is_some_and(|line| line.contains("memory ")), "{words:?}: {said:#?}");
    }
}

/// What larder says to a terminal, by script(1) of util-linux.
fn on_a_terminal(world: &World, variables: &[(&str, &str)], words: &str) -> String {
    let line = format!("{} {words}", env!("CARGO_BIN_EXE_larder"));
    let mut command = world.command("script");
    command.args(["-q", "-c", &line, "/dev/null"]).env("TERM", "xterm");
    Said::of(&command.envs(variables.iter().copied()).output().unwrap()).stdout
}

#[test]
fn a_terminal_gets_what_it_understands() {
    let world = World::new();
    let colored = on_a_terminal(&world, &[], "status nope");
    assert!(colored.contains("\x1b[31merror\x1b[0m: no project nope"), "{colored:?}");
    for (name, value) in [("NO_COLOR", "1"), ("TERM", "dumb"), ("LARDER_LOG_FORMAT", "json")] {
        let plain = on_a_terminal(&world, &[(name, value)], "status nope");
        assert!(plain.contains("no project nope") && !plain.contains('\x1b'), "{plain:?}");
    }
    let always = on_a_terminal(&world, &[("NO_COLOR", "1")], "--color always status nope");
    assert!(always.contains("\x1b[31m"), "{always:?}");
    let run = format!("run bread --source {} -- true", world.source().display());
    for variables in [[("TERM", "dumb"), ("LANG", "C.UTF-8")], [("TERM", "dumb"), ("LANG", "C")]] {
        let text = on_a_terminal(&world, &variables, &run);
        assert!(!text.contains('\x1b'), "nothing is drawn on {variables:?}: {text:?}");
    }
    let ascii = on_a_terminal(&world, &[("LC_ALL", "C"), ("TERM", "dumb")], "status");
    assert!(ascii.is_ascii() && ascii.contains("bread"), "{ascii:?}");
}

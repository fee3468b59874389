//! Completions in the real shells, from what `larder emit` prints.

use std::fs;

use crate::world::{Said, World};

/// What a shell says when it has read the completions, which are in `$1`.
fn ask(world: &World, shell: &str, script: &str) -> String {
    let completions = world.larder(&["emit", shell]).succeeds().stdout;
    let file = world.path("_larder");
    fs::write(&file, completions).unwrap();
    let mut command = world.command(shell);
    if shell == "zsh" {
        command.arg("-f");
    }
    command.args(["-c", script]);
    // zsh and bash take the first of the further arguments as $0.
    if shell != "fish" {
        command.arg(shell);
    }
    Said::of(&command.arg(&file).output().unwrap()).succeeds().stdout
}

fn words(text: &str) -> Vec<&str> {
    text.lines().filter_map(|line| line.split_whitespace().next()).collect()
}

#[test]
fn bash_completes_commands_options_and_values() {
    let world = World::new();
    let script = r#"
        . "$1"
        complete -p larder
        ask() {
            COMP_WORDS=("$@") COMP_CWORD=$(($# - 1)) COMPREPLY=()
            _larder larder "${@: -1}" "${@: -2:1}"
            echo "${COMPREPLY[*]}"
        }
        ask larder sta
        ask larder gc --max
        ask larder --log-format j
        ask larder emit systemd-
    "#;
    let said = ask(&world, "bash", script);
    let lines: Vec<&str> = said.lines().collect();
    assert!(lines[0].ends_with(" -F _larder larder"), "{said}");
    assert_eq!(
        lines[1..],
        ["status", "--max-size --max-age", "json", "systemd-service systemd-timer"]
    );
}

#[test]
fn fish_completes_commands_options_and_values() {
    let world = World::new();
    let ask = |line: &str| ask(&world, "fish", &format!("source $argv[1]; complete -C '{line}'"));
    assert_eq!(words(&ask("larder sta")), ["status"]);
    let options = ask("larder gc --max-");
    assert_eq!(words(&options), ["--max-age", "--max-size"], "{options}");
    assert_eq!(words(&ask("larder gc --log-format j")), ["json"]);
}

/// zsh completes at a terminal only, so it gets one of its own.
#[test]
fn zsh_completes_commands_options_and_values() {
    let world = World::new();
    let script = r#"
        zmodload zsh/zpty
        zpty shell "TERM=dumb zsh -f -i"
        until_seen() { local text; zpty -r -m shell text "*$1*"; print -r -- "$text" }
        zpty -w shell "PS1=; fpath=(${1:h} \$fpath); autoload -Uz compinit; compinit -u -D; print rea''dy"
        until_seen ready >/dev/null
        zpty -n -w shell $'larder sta\t'
        until_seen 'status '
        zpty -n -w shell $'\C-ularder gc --max-a\t'
        until_seen '--max-age'
        zpty -n -w shell $'\C-ularder emit systemd-t\t'
        until_seen 'systemd-timer'
        zpty -d shell
    "#;
    let said = ask(&world, "zsh", script);
    assert!(said.contains("status ") && said.contains("--max-age"), "{said:?}");
    assert!(said.contains("systemd-timer"), "{said:?}");
}

//! What changes by itself makes nothing cold: what services, terminals and shells set, and how loud
//! cargo is.

use crate::world::{Said, World};

const BUILD: [&str; 4] = ["cargo", "build", "--release", "--offline"];

/// Builds with more variables; says how many packages were compiled.
fn build(world: &World, variables: &[(&str, &str)]) -> usize {
    let mut command = world.run_command(&BUILD);
    Said::of(&command.envs(variables.iter().copied()).output().unwrap()).succeeds();
    world.compiled()
}

/// Two runs of a service share a directory, and the second has nothing to do.
#[track_caller]
fn are_one(world: &World, one: &[(&str, &str)], two: &[(&str, &str)]) {
    build(world, one);
    assert_eq!(build(world, two), 0, "{}", world.reasons());
    assert_eq!(world.reasons(), "");
    world.entry_dir();
}

/// The variables of a run of GitHub Actions that are another's in the next.
fn github(run: &str) -> Vec<(&'static str, String)> {
    let file = |name: &str| format!("/home/runner/work/_temp/_runner_file_commands/{name}_{run}");
    vec![
        ("CI", "true".to_owned()),
        ("GITHUB_ACTIONS", "true".to_owned()),
        ("GITHUB_RUN_ID", format!("98765{run}")),
        ("GITHUB_RUN_NUMBER", run.to_owned()),
        ("GITHUB_RUN_ATTEMPT", run.to_owned()),
        ("GITHUB_SHA", run.repeat(40)),
        ("GITHUB_REF", format!("refs/pull/{run}/merge")),
        ("GITHUB_ENV", file("set_env")),
        ("GITHUB_OUTPUT", file("set_output")),
        ("GITHUB_STEP_SUMMARY", file("step_summary")),
        ("GITHUB_TOKEN", format!("ghs_{run}")),
        ("RUNNER_TEMP", format!("/home/runner/work/_temp{run}")),
        ("RUNNER_TRACKING_ID", format!("github_{run}")),
        ("ACTIONS_RUNTIME_TOKEN", format!("ey{run}")),
        ("ACTIONS_CACHE_URL", format!("https://example.org/{run}/")),
        ("ImageVersion", format!("2026{run}")),
        ("INVOCATION_ID", run.repeat(32)),
        ("HOSTNAME", format!("runner-{run}")),
    ]
}

fn borrowed<'a>(variables: &'a [(&'a str, String)]) -> Vec<(&'a str, &'a str)> {
    variables.iter().map(|(name, value)| (*name, value.as_str())).collect()
}

/// The steps of `emit github-actions`, twice.
#[test]
fn two_runs_of_github_actions_are_one() {
    let world = World::new();
    world.write(".github/workflows/ci.yml", "- run: echo ${GITHUB_SHA} >> $GITHUB_OUTPUT\n");
    are_one(&world, &borrowed(&github("1")), &borrowed(&github("2")));
    let said = world.larder(&["gc", "--keep", "1", "--max-size", "4GiB", "--grace", "0s"]);
    said.succeeds();
    assert_eq!(build(&world, &borrowed(&github("3"))), 0, "{}", world.reasons());
}

#[test]
fn two_jobs_of_other_services_are_one() {
    let gitlab = |n| [("CI_JOB_ID", n), ("CI_COMMIT_SHA", n), ("GITLAB_USER_LOGIN", n)];
    let jenkins = |n| {
        [
            ("BUILD_NUMBER", n),
            ("BUILD_TAG", n),
            ("JOB_NAME", n),
            ("GIT_COMMIT", n),
            ("NODE_NAME", n),
        ]
    };
    let azure = |n| [("BUILD_BUILDID", n), ("SYSTEM_JOBID", n), ("AGENT_JOBNAME", n)];
    let others = |n| [("BUILDKITE_COMMIT", n), ("CIRCLE_SHA1", n), ("FORGEJO_TOKEN", n)];
    let world = World::new();
    are_one(&world, &gitlab("1"), &gitlab("2"));
    assert_eq!(build(&world, &jenkins("1")), 0, "{}", world.reasons());
    are_one(&world, &jenkins("1"), &jenkins("2"));
    are_one(&world, &azure("1"), &azure("2"));
    are_one(&world, &others("1"), &others("2"));
}

#[test]
fn another_terminal_is_no_other_build() {
    let kitty =
        |n| [("KITTY_WINDOW_ID", n), ("TERM_PROGRAM", "kitty"), ("STARSHIP_SESSION_KEY", n)];
    let code = [("VSCODE_PID", "9"), ("DIRENV_DIFF", "x"), ("NVM_DIR", "/n"), ("OLDPWD", "/")];
    let world = World::new();
    are_one(&world, &kitty("1"), &kitty("2"));
    are_one(&world, &kitty("2"), &code);
    are_one(&world, &code, &[]);
}

/// Only who names a variable pays for it, and nobody else's package is made again.
#[test]
fn who_names_a_service_s_variable_is_made_again() {
    let world = World::new();
    let script = std::fs::read_to_string(world.source().join("flour/build.rs")).unwrap();
    let reads = "let kind = env::var(\"GITHUB_SHA\").unwrap();";
    let script = script.replace("let kind = fs::read_to_string(\"kind.txt\").unwrap();", reads);
    world.write("flour/build.rs", &script);
    build(&world, &[("GITHUB_SHA", "one"), ("GITHUB_RUN_ID", "1")]);
    assert_eq!(build(&world, &[("GITHUB_SHA", "one"), ("GITHUB_RUN_ID", "2")]), 0);
    assert_eq!(build(&world, &[("GITHUB_SHA", "two"), ("GITHUB_RUN_ID", "3")]), 2);
    assert_eq!(world.reasons(), "environment changed: GITHUB_SHA");
    world.entry_dir();
}

#[test]
fn how_loud_cargo_is_names_no_directory() {
    let world = World::new();
    world.build();
    for more in [
        &["-q"][..],
        &["-v"],
        &["-vv"],
        &["--color", "always"],
        &["--message-format", "json"],
        &["--message-format=short", "--verbose"],
        &["--timings"],
        &["--quiet"],
    ] {
        world.run(&[&BUILD, more].concat()).succeeds();
        assert_eq!(world.compiled(), 0, "{more:?}: {}", world.reasons());
        world.entry_dir();
    }
    assert_eq!(world.build(), 0, "{}", world.reasons());
    world.run(&["cargo", "-q", "build", "--release", "--offline"]).succeeds();
    world.entry_dir();
}

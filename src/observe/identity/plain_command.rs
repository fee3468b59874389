//! Commands that are Cargo itself, compile and do nothing else (decision 129).

use super::words::cargo_at;

/// Cargo's subcommands that compile in the environment that they were given, and run nothing.
const ONLY_COMPILING: [&str; 3] = ["build", "check", "doc"];

/// Their options without a value that say what is compiled, or how far, and nothing of where or by what
/// (`util/command_prelude.rs`, Cargo 1.95).
const OPTIONS: [&str; 19] = [
    "--release",
    "-r",
    "--workspace",
    "--all",
    "--lib",
    "--bins",
    "--examples",
    "--tests",
    "--benches",
    "--all-targets",
    "--all-features",
    "--no-default-features",
    "--locked",
    "--offline",
    "--frozen",
    "--keep-going",
    "--no-deps",
    "--document-private-items",
    "--ignore-rust-version",
];

/// Those with one.
const WITH_VALUE: [&str; 13] = [
    "--profile",
    "--package",
    "-p",
    "--exclude",
    "--features",
    "-F",
    "--target",
    "--jobs",
    "-j",
    "--bin",
    "--example",
    "--test",
    "--bench",
];

/// Whether a command says how many jobs run: build scripts are told, and no hash is.
pub(super) fn says_jobs(command: &[String]) -> bool {
    command.iter().any(|word| word == "-j" || word.starts_with("--jobs"))
}

/// What a command that is Cargo itself, compiles and does nothing else, says before it says what to compile, and which
/// profile it says; nothing of any other. A value that is hidden is a value all the same.
pub(super) fn plain(command: &[String]) -> Option<(&[String], Option<&str>)> {
    let (start, words) = command.split_at(cargo_at(command)? + 1);
    let compiles = words.first().is_some_and(|word| ONLY_COMPILING.contains(&word.as_str()));
    (compiles && says_what_to_compile(words)).then(|| (start, profile(words)))
}

/// The profile that words of Cargo's say: units of two profiles have nothing in common, not even a directory.
fn profile(words: &[String]) -> Option<&str> {
    let mut words = words.iter().map(String::as_str);
    let mut said = None;
    while let Some(word) = words.next() {
        match word {
            "--release" | "-r" => said = Some("release"),
            "--profile" => said = words.next(),
            _ => said = word.strip_prefix("--profile=").or(said),
        }
    }
    said
}

/// Whether words of Cargo's say what to compile, or to fetch, and nothing else.
pub(super) fn says_what_to_compile(words: &[String]) -> bool {
    let mut words = words.iter().map(String::as_str);
    let mut is_plain =
        words.next().is_some_and(|word| word == "fetch" || ONLY_COMPILING.contains(&word));
    while let Some(word) = words.next() {
        let option =
            word.split_once('=').filter(|_| word.starts_with("--")).map(|(option, _)| option);
        if option.is_some_and(|option| WITH_VALUE.contains(&option)) {
            continue;
        }
        if WITH_VALUE.contains(&word) {
            is_plain &= words.next().is_some_and(|value| !value.starts_with('-'));
        } else {
            is_plain &= OPTIONS.contains(&word);
        }
    }
    is_plain
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(text: &str) -> Vec<String> {
        text.split(' ').map(str::to_owned).collect()
    }

    fn is_plain(command: &[String]) -> bool {
        plain(command).is_some()
    }

    #[test]
    fn a_profile_is_told_from_its_words() {
        for (text, wanted) in [
            ("cargo build", None),
            ("cargo build -r", Some("release")),
            ("cargo check --release -p app", Some("release")),
            ("cargo build --profile small", Some("small")),
            ("cargo build --profile=small --lib", Some("small")),
        ] {
            assert_eq!(plain(&words(text)).unwrap().1, wanted, "{text}");
        }
    }

    #[test]
    fn only_what_says_what_to_compile_is_plain() {
        for plain in [
            "cargo build",
            "mkosi-chroot cargo build --release --locked",
            "/usr/bin/cargo check -p app --features a,b --profile=small",
            "cargo doc --no-deps -j 4 --target x86_64-unknown-linux-gnu",
        ] {
            assert!(is_plain(&words(plain)), "{plain}");
        }
        for other in [
            "cargo",
            "sh -c cargo",
            "cargo test",
            "cargo run",
            "cargo b",
            "cargo +nightly build",
            "cargo -C /x build",
            "cargo --config a=b build",
            "cargo build --config a=b",
            "cargo build --config=a=b",
            "cargo build -Z x",
            "cargo build --manifest-path x/Cargo.toml",
            "cargo build --target-dir x",
            "cargo build --artifact-dir=x",
            "cargo build -p --release",
            "cargo build -p",
            "cargo build -- -C x",
            "cargo rustc -- -C link-arg=x",
            "env A=b cargo build",
            "cargo build app",
        ] {
            assert!(!is_plain(&words(other)), "{other}");
        }
    }
}

//! What `larder init` does with scripts that are not only started, and with what others wrote beside its own.

use std::fs;
use std::process::Command;

use crate::image::{Image, modes};

const COMPILES: &str = "#!/bin/bash\ncd \"$SRCDIR/app\"\ncargo build\n";

fn texts(image: &Image, names: &[&str]) -> Vec<String> {
    names.iter().map(|name| fs::read_to_string(image.root().join(name)).unwrap()).collect()
}

#[test]
#[ignore = "needs mkosi; make test runs it"]
fn what_is_copied_or_only_named_stays_as_it_is() {
    let image = Image::bare("named", "25.3", modes()[0]);
    let build = "#!/bin/bash\nset -eu\n\"$SRCDIR/parts/started.sh\"\necho \"$SRCDIR/parts/named.sh\"\n\
                 install -m 755 \"$SRCDIR/parts/installed.sh\" \"$DESTDIR/usr/bin\"\n\
                 mkosi-chroot bash < \"$SRCDIR/parts/piped.sh\"\n\
                 \"$SRCDIR/parts/both.sh\"\ncp \"$SRCDIR/parts/both.sh\" \"$BUILDROOT/tmp\"\n\
                 mkosi-chroot bash -c \"$(cat \"$SRCDIR/parts/read.sh\")\"\n";
    let kept = ["named", "installed", "piped", "both", "read"];
    let names = kept.map(|name| format!("parts/{name}.sh"));
    image.put(&[("mkosi.build", build), ("app/Cargo.toml", "[package]\nname = 'app'\n")]);
    image.put(&[("parts/started.sh", COMPILES)]);
    for name in &names {
        image.put(&[(name, COMPILES)]);
    }
    let said = image.init_with(&["--apply", "--json"], &[]);
    said.succeeds();
    let report: serde_json::Value = serde_json::from_str(&said.text).unwrap();
    assert_eq!(
        report["changed"],
        serde_json::json!(["larder.sh", "parts/started.sh"]),
        "{report:#}"
    );
    let left: Vec<(&str, &str)> = report["left"]
        .as_array()
        .unwrap()
        .iter()
        .map(|site| (site["file"].as_str().unwrap(), site["why"].as_str().unwrap()))
        .collect();
    for name in &names {
        let why = left
            .iter()
            .find(|(file, _)| file == name)
            .unwrap_or_else(|| panic!("{name}: {left:#?}"))
            .1;
        let is_copied = ["installed", "piped", "both"].iter().any(|copied| name.contains(copied));
        let sign = if is_copied { "mkosi.build copies it" } else { "mkosi.build names it" };
        assert!(why.contains(sign), "{name}: {why}");
        assert_eq!(texts(&image, &[name]), [COMPILES]);
    }
    image.init_with(&["--undo"], &[]).succeeds();
    assert_eq!(image.changed_files(), "");
}

#[test]
#[ignore = "needs mkosi; make test runs it"]
fn what_still_calls_larder_keeps_it() {
    let image = Image::bare("callers", "27.1", modes()[0]);
    let names = ["mkosi.build", "lib/one.sh", "lib/two.sh"];
    let function = "cook() {\n    cd \"$SRCDIR/app\"\n    cargo build\n}\n";
    image.put(&[
        ("mkosi.build", "#!/bin/bash\n. \"$SRCDIR/lib/one.sh\"\n. \"$SRCDIR/lib/two.sh\"\ncook\n"),
        ("lib/one.sh", "true\n"),
        ("lib/two.sh", function),
        ("app/Cargo.toml", "[package]\nname = 'app'\n"),
    ]);
    let before = texts(&image, &names);
    image.init_with(&["--apply"], &[]).succeeds();
    assert!(
        texts(&image, &names)[2].contains("larder_run app -- cargo"),
        "{:?}",
        texts(&image, &names)
    );
    // A call by hand, and a script that was given another name.
    fs::write(image.root().join("lib/one.sh"), "larder_run own --source x -- cargo build\n")
        .unwrap();
    fs::rename(image.root().join("lib/two.sh"), image.root().join("lib/three.sh")).unwrap();
    let said = image.init_with(&["--undo"], &[]);
    assert_eq!(said.code, 1, "{said:#?}");
    for site in ["lib/one.sh:1: this uses larder.sh", "lib/three.sh:1: ", "lib/three.sh:4: "] {
        assert!(said.text.contains(site), "{site}: {said:#?}");
    }
    assert!(image.root().join("larder.sh").exists());
    // Both are taken back by hand; then all is as it was.
    fs::write(image.root().join("lib/one.sh"), "true\n").unwrap();
    fs::write(image.root().join("lib/two.sh"), function).unwrap();
    fs::remove_file(image.root().join("lib/three.sh")).unwrap();
    image.init_with(&["--undo"], &[]).succeeds();
    assert_eq!((texts(&image, &names), image.changed_files()), (before, String::new()));
    assert_eq!(image.init_with(&["--undo"], &[]).code, 1);
}

#[test]
#[ignore = "needs mkosi; make test runs it"]
fn a_larder_sh_of_somebody_else_is_not_sourced() {
    let image = Image::bare("foreign", "25.3", modes()[0]);
    let files = [("mkosi.build", COMPILES), ("app/Cargo.toml", "[package]\nname = 'app'\n")];
    image.put(&files);
    let snippet = image.root().join("larder.sh");
    let refuses = |why: &str| {
        let said = image.init_with(&["--apply"], &[]);
        said.succeeds();
        assert!(said.text.contains(why), "{said:#?}");
        assert_eq!(texts(&image, &["mkosi.build"]), [COMPILES]);
    };
    image.put(&[("larder.sh", "# Fills the larder.\nfill() { :; }\n")]);
    refuses("larder.sh is a file of yours that does not define larder_run");
    fs::remove_file(&snippet).unwrap();
    std::os::unix::fs::symlink(image.dir().join("elsewhere.sh"), &snippet).unwrap();
    fs::write(image.dir().join("elsewhere.sh"), "larder_run() { :; }\n").unwrap();
    image.put(&[]);
    refuses("larder.sh leads out of the repository");
    fs::remove_file(&snippet).unwrap();
    image.put(&[]);
    image.init_with(&["--apply"], &[]).succeeds();
    assert!(texts(&image, &["mkosi.build"])[0].contains("larder_run app"));
}

#[test]
#[ignore = "needs mkosi; make test runs it"]
fn what_nobody_committed_in_a_submodule_stops_it_and_hints_can_be_given_as_they_are() {
    let image = Image::bare("submodule", "25.3", modes()[0]);
    image.put(&[
        ("mkosi.build", "#!/bin/bash\n. \"$SRCDIR/sub/lib.sh\"\n"),
        ("app/Cargo.toml", "[package]\nname = 'app'\n"),
    ]);
    let inner = image.root().join("sub");
    fs::create_dir(&inner).unwrap();
    fs::write(inner.join("lib.sh"), "cd \"$SRCDIR/app\"\ncargo build\n").unwrap();
    for words in [
        vec!["init", "-q"],
        vec!["add", "."],
        vec!["-c", "user.name=x", "-c", "user.email=x", "commit", "-qm", "x"],
    ] {
        let made = Command::new("git").arg("-C").arg(&inner).args(words).status().unwrap();
        assert!(made.success());
    }
    fs::write(inner.join("lib.sh"), "# mine\ncd \"$SRCDIR/app\"\ncargo build\n").unwrap();
    let said = image.init_with(&["--apply"], &[]);
    assert_eq!(said.code, 1, "{said:#?}");
    assert!(said.text.contains("lib.sh has changes that are not committed"), "{said:#?}");
    let said = image.init_with(&[], &["--format=directory"]);
    said.succeeds();
    let store = image.store();
    let hint = format!(
        "`larder --store {} init --apply --mkosi {} -- --format=directory` does it:",
        store.display(),
        image.mkosi_path()
    );
    assert!(said.text.contains(&hint), "{hint}: {said:#?}");
}

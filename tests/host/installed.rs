//! What larder installed in a store is data: a command cannot change it, and whoever could has nothing started by it.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use crate::world::{Said, World};

/// A store with all that `larder init` leaves in one, for images of two kinds.
fn installed(world: &World) -> PathBuf {
    let (image, mkosi) = (world.path("image"), world.path("mkosi"));
    fs::create_dir_all(image.join("src")).unwrap();
    fs::write(image.join("mkosi.conf"), "").unwrap();
    let source = |path: &Path, target: &str| {
        format!(r#"{{"Source": "{}", "Target": {target}}}"#, path.display())
    };
    let own = source(&image, "null");
    let summary = |ephemeral: &str, more: &str| {
        let build = image.join("mkosi.builddir");
        format!(
            r#"{{"Images": [{{"BuildSources": [{own}{more}], "BuildSourcesEphemeral": "{ephemeral}", "BuildDirectory": "{}"}}]}}"#,
            build.display()
        )
    };
    let store = world.store();
    let mounts = |path: &Path| format!(", {}", source(path, "\"../larder\""));
    // Says what mkosi would.
    let script = format!(
        "#!/bin/sh\ncase \"$*\" in\n\
         *--version*) echo mkosi 27.1;;\n\
         *ephemeral*--include=*) echo '{}';;\n\
         *ephemeral*) echo '{}';;\n\
         *--include=*) echo '{}';;\n\
         *) echo '{}';;\nesac\n",
        summary("yes", &mounts(&store.join("larder-sandbox"))),
        summary("yes", ""),
        summary("no", &mounts(&store)),
        summary("no", ""),
    );
    fs::write(&mkosi, script).unwrap();
    fs::set_permissions(&mkosi, fs::Permissions::from_mode(0o755)).unwrap();
    for image in ["plain", "ephemeral"] {
        init(world, image).succeeds();
    }
    store
}

fn init(world: &World, image: &str) -> Said {
    let mkosi = world.path("mkosi");
    let words = ["init", "--mkosi", mkosi.to_str().unwrap(), "--image", image, "--json"];
    Said::of(&world.larder_command(&words).current_dir(world.path("image")).output().unwrap())
}

fn doctor(world: &World, name: &str) -> (String, String) {
    let said = world.larder(&["doctor", "--json", "--mkosi", "/nonexistent/mkosi"]);
    let report: serde_json::Value = serde_json::from_str(&said.stdout).unwrap();
    let mut checks = report["checks"].as_array().unwrap().iter();
    let found = checks.find(|check| check["name"] == name).unwrap();
    (found["state"].as_str().unwrap().to_owned(), found.to_string())
}

const LARDER: &str = env!("CARGO_BIN_EXE_larder");

#[test]
fn a_binary_that_was_replaced_is_never_started_and_is_put_back() {
    let world = World::new();
    let store = installed(&world);
    let right = fs::read(LARDER).unwrap();
    assert_eq!(doctor(&world, "binary").0, "ok");
    assert_eq!(doctor(&world, "installed texts").0, "ok");
    for name in ["bin/larder", "larder-sandbox/bin/larder"] {
        let (path, mark) = (store.join(name), world.path("started"));
        assert!(fs::read(&path).unwrap() == right, "{name}");
        fs::write(&path, format!("#!/bin/sh\n: >{}\necho larder 99.0.0\n", mark.display()))
            .unwrap();
        let (state, text) = doctor(&world, "binary");
        assert!(
            state == "failed" && text.contains(&format!("{name} is not this larder")),
            "{text}"
        );
        assert!(text.contains("digest"), "{text}");
        let said = init(&world, "ephemeral").succeeds();
        let report: serde_json::Value = serde_json::from_str(&said.stdout).unwrap();
        assert_eq!(report["binary_replaced"], name == "bin/larder", "{report}");
        assert!(fs::read(&path).unwrap() == right, "{name}");
        assert!(!mark.exists(), "{name} was started");
    }
    fs::remove_file(store.join("bin/larder")).unwrap();
    rustix::fs::mknodat(
        rustix::fs::CWD,
        store.join("bin/larder"),
        rustix::fs::FileType::Fifo,
        rustix::fs::Mode::from_raw_mode(0o600),
        0,
    )
    .unwrap();
    assert_eq!(doctor(&world, "binary").0, "failed");
    init(&world, "plain").succeeds();
    assert!(fs::read(store.join("bin/larder")).unwrap() == right);
    // The texts are configuration of mkosi, which may be root's.
    for name in ["larder.sh", "mkosi-own-sources.conf", "mkosi-ephemeral-own-sources.conf"] {
        let path = store.join(name);
        let text = fs::read_to_string(&path).unwrap();
        fs::write(&path, format!("{text}[Host]\n")).unwrap();
        let (state, found) = doctor(&world, "installed texts");
        assert!(state == "failed" && found.contains(name), "{found}");
        init(&world, if name.contains("ephemeral") { "ephemeral" } else { "plain" }).succeeds();
        assert_eq!(fs::read_to_string(&path).unwrap(), text);
    }
    assert_eq!(doctor(&world, "installed texts").0, "ok");
    // The store's own larder is not asked about itself.
    let mut own = world.command(store.join("bin/larder"));
    let said = Said::of(&own.args(["doctor", "--mkosi", "/nonexistent/mkosi"]).output().unwrap());
    assert!(
        said.stdout.contains("not checked  binary: this larder is the store's own"),
        "{said:#?}"
    );
    let mut own = world.command(store.join("bin/larder"));
    let said = Said::of(&own.args(["emit", "systemd"]).output().unwrap());
    said.refuses(1, &["is in the store", "--binary"]);
}

#[test]
fn a_command_cannot_change_what_is_installed() {
    let world = World::new();
    let store = installed(&world);
    world.build();
    let script = "cd ../store || exit 1
        for name in bin/larder larder-sandbox/bin/larder larder-sandbox/store larder.sh larder.toml \
            mkosi-own-sources.conf mkosi-ephemeral-own-sources.conf repositories/*; do
            [ -e \"$name\" ] || { echo \"$name is missing\"; exit 1; }
            if echo x >>\"$name\" || mv \"$name\" \"$name.other\" || rm \"$name\"; then echo \"$name\"; exit 1; fi
        done 2>/dev/null
        if mv bin other || touch bin/other || touch repositories/other; then echo bin; exit 1; fi 2>/dev/null
        touch trash/mine && rm trash/mine";
    let before = contents(&store);
    let said = world.run(&["sh", "-c", script]);
    assert_eq!((said.code, said.stdout.as_str()), (0, ""), "{said:#?}");
    assert!(contents(&store) == before);
    // A use inside of a use goes on.
    let copy = world.path("copy");
    fs::create_dir(&copy).unwrap();
    let inner = format!("cd ../copy && exec {LARDER} run cake -- true");
    world.run(&["sh", "-c", &inner]).succeeds();
    // Who has the store may change it, beside a build too.
    fs::write(store.join("larder.toml"), "min-free = '0%'\nsalt = 'x'\n").unwrap();
    init(&world, "plain").succeeds();
}

/// What is installed, and the policy.
fn contents(store: &Path) -> Vec<(PathBuf, Vec<u8>)> {
    let names = [
        "bin",
        "larder-sandbox",
        "repositories",
        "larder.sh",
        "larder.toml",
        "mkosi-own-sources.conf",
    ];
    let all =
        names.iter().flat_map(|name| walkdir::WalkDir::new(store.join(name)).sort_by_file_name());
    let files = all.map(Result::unwrap).filter(|item| item.file_type().is_file());
    files.map(|item| (item.path().to_owned(), fs::read(item.path()).unwrap())).collect()
}

/// A `.git` that somebody else puts above an image's directory does not make all of that the repository.
#[test]
#[ignore = "gives files to somebody else, which takes root: make test"]
fn root_a_strangers_git_above_an_image_is_not_its_repository() {
    let world = World::new();
    let git = world.path(".git");
    world.git(&world.path(""), &["init", "-q"]);
    let recorded = || {
        let mut records = fs::read_dir(world.store().join("repositories")).unwrap();
        let path = records.next().unwrap().unwrap().path();
        assert!(records.next().is_none());
        let record: serde_json::Value =
            serde_json::from_str(&fs::read_to_string(path).unwrap()).unwrap();
        PathBuf::from(record["repository"].as_str().unwrap())
    };
    installed(&world);
    let image = fs::canonicalize(world.path("image")).unwrap();
    assert_eq!(recorded(), image.parent().unwrap(), "his own counts");
    fs::remove_dir_all(world.store().join("repositories")).unwrap();
    std::os::unix::fs::lchown(&git, Some(12345), Some(12345)).unwrap();
    init(&world, "plain").succeeds();
    assert_eq!(recorded(), image);
}

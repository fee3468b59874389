//! Where the filesystem has reflinks, the next build does not wait for a push.

use std::fs;
use std::process::Command;

use crate::share_lab::{BUILD, Lab};
use crate::share_server::{Manner, Server};
use crate::world::Said;

/// Runs a script in the lab's directory, as root, with a btrfs mounted on `c` that ends with it.
fn on_btrfs(lab: &Lab, text: &str) -> Command {
    let mut command = lab.command("unshare");
    // In variables they would be part of what the build depends on.
    let text = text.replace("$larder", env!("CARGO_BIN_EXE_larder"));
    let text = text.replace("$build", &BUILD.join(" "));
    let text = text.replace("$source", lab.world.source().to_str().unwrap());
    let mount = "mount btrfs.img c; umask 022
        nothing_is_left() (
            shopt -s nullglob
            left=(c/projects/bread/*.push c/projects/bread/*.pull c/trash/*)
            [ ${#left[@]} -eq 0 ]
        )\n";
    command.args(["--mount", "--propagation", "private", "bash", "-euc"]);
    command.arg(format!("{mount}{text}")).current_dir(lab.world.dir.path());
    command.env("LARDER_STORE", lab.path("c"));
    command
}

#[track_caller]
fn run(mut command: Command) -> Said {
    Said::of(&command.output().unwrap())
}

#[test]
#[ignore = "mounts, which takes root: make test"]
fn root_a_build_goes_on_while_the_last_one_is_pushed() {
    assert!(rustix::process::geteuid().is_root(), "only root can mount");
    let lab = Lab::with_nothing();
    lab.share("a", &["share", "init"]).succeeds();
    fs::create_dir(lab.path("c")).unwrap();
    let mut make = lab.command("bash");
    make.args(["-euc", "truncate -s 1G btrfs.img; mkfs.btrfs -q btrfs.img"]);
    make.current_dir(lab.world.dir.path());
    run(make).succeeds();
    let honest = lab.path("repository").display().to_string();
    let stalling = Server::start(&lab.path("repository"), Manner::Stalls("POST /data/"));
    let configure = |repository: &str| {
        lab.configure("a", repository, "");
        "cp a/larder.toml c/larder.toml\n"
    };

    // The push stalls, a build of a change goes on, and the push is killed.
    let script = r#"
        (cd "$source" && $larder provision scratch --source "$source" && $larder run bread -- $build)
        SCRIPT
        $larder push bread 2>push.log & push=$!
        for i in $(seq 300); do
            [ ! -d "$(echo c/projects/bread/*.push)" ] || break
            sleep 0.1
        done
        ls -d c/projects/bread/*.push
        echo "//" >>"$source/src/main.rs"
        (cd "$source" && $larder run bread --wait 10s -- $build) 2>second
        $larder gc
        ls -d c/projects/bread/*.push
        kill -9 $push
        wait $push || true
        $larder gc
        nothing_is_left
    "#;
    let script = script.replace("SCRIPT", configure(&stalling.url));
    let said = run(on_btrfs(&lab, &script)).succeeds();
    assert_eq!(said.stdout.matches(".push\n").count(), 2, "{said:#?}");
    let second = fs::read_to_string(lab.path("second")).unwrap();
    assert!(second.contains("Compiling bread"), "{second}");
    drop(stalling);

    // What is pushed from a replica is what was built.
    let script = format!("{}$larder push bread; nothing_is_left", configure(&honest));
    run(on_btrfs(&lab, &script)).succeeds();
    let pulled = lab.pull().succeeds();
    assert!(pulled.stdout.contains("push 1 of builder@example"), "{pulled:#?}");
    assert_eq!(lab.build("b"), 0, "{}", lab.record("b")["last"]["why"]);
    let warm = lab.binary();
    fs::remove_dir_all(lab.path("b/projects/bread")).unwrap();
    assert!(lab.build("b") > 0);
    assert_eq!(warm, lab.binary());
}

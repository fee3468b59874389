//! What somebody who may write to the repository, or has a key that was stolen, costs those who pull (decision 105).

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::process::Command;
use std::time::{Duration, Instant};

use larder::manifest::PushManifest;

use crate::share_forge::Forge;
use crate::share_lab::{Lab, NAMESPACE, tools};
use crate::world::Said;

/// Says of a machine's key that it is the builder's.
fn line(lab: &Lab, key: &str) -> String {
    format!("builder@example namespaces=\"{NAMESPACE}\" {}", lab.public(key))
}

/// larder with a restic that does something of its own first.
fn with_restic(lab: &Lab, words: &[&str], script: &str) -> Command {
    let dir = lab.path("wrapped");
    fs::create_dir_all(&dir).unwrap();
    let real = tools().join("restic");
    let text = format!("#!/bin/sh\n{script}\nexec '{}' \"$@\"\n", real.display());
    fs::write(dir.join("restic"), text).unwrap();
    fs::set_permissions(dir.join("restic"), fs::Permissions::from_mode(0o755)).unwrap();
    let mut command = lab.larder("b", words);
    let path = command.get_envs().find(|(name, _)| *name == "PATH").unwrap().1.unwrap().to_owned();
    command.env("PATH", format!("{}:{}", dir.display(), path.to_str().unwrap()));
    command
}

#[test]
fn a_counter_out_of_reach_is_refused_and_blocks_nobody() {
    let forge = Forge::new();
    let good = forge.begin();
    forge.publish(&PushManifest { counter: u64::MAX, ..good.clone() });
    forge.lab.pull().refuses(1, &["push 18446744073709551615", "ahead of push 0"]);
    forge.lab.has_nothing("b");
    forge.publish(&PushManifest { counter: 5, ..good });
    let said = forge.lab.pull().succeeds();
    assert!(said.stdout.contains("push 5 of builder@example"), "{said:#?}");
    // Who pushes goes on from what counts.
    forge.lab.build("a");
    let said = forge.lab.push().succeeds();
    assert!(said.stdout.contains("\"counter\": 6"), "{said:#?}");
}

#[test]
fn the_counter_of_a_key_that_is_believed_no_longer_does_not_count() {
    let forge = Forge::new();
    let lab = &forge.lab;
    let far = 5 + (1 << 32);
    for way in ["a line in a list", "a list in OpenSSH's own form", "no line any more", "none"] {
        let good = forge.begin();
        fs::write(lab.path("revoked"), "").unwrap();
        forge.larder_config(&format!("revoked = '{}'", lab.path("revoked").display()));
        forge.publish(&PushManifest { counter: 5, ..good.clone() });
        lab.pull().succeeds();
        // The thief's, within what is accepted.
        forge.publish(&PushManifest { counter: far, ..good.clone() });
        let said = lab.pull().succeeds();
        assert!(said.stdout.contains(&format!("push {far} of")), "{said:#?}");
        let both = format!("{}\n{}", line(lab, "builder"), line(lab, "stranger"));
        lab.allow(&both);
        let manifest = PushManifest { counter: 6, ..good };
        let bytes = forge.joined("stranger", NAMESPACE, &manifest);
        lab.store_manifest(&bytes, &forge.tags_of(&manifest));
        match way {
            "a line in a list" => {
                fs::write(lab.path("revoked"), lab.public("builder") + " lost\n").unwrap();
            }
            "a list in OpenSSH's own form" => {
                let mut keygen = lab.command("ssh-keygen");
                keygen.args(["-q", "-k", "-f"]).arg(lab.path("revoked"));
                let said = Said::of(&keygen.arg(lab.path("builder.pub")).output().unwrap());
                said.succeeds();
            }
            "no line any more" => lab.allow(&line(lab, "stranger")),
            _ => {
                let said = lab.pull().succeeds();
                assert!(said.stdout.contains("up to date"), "{said:#?}");
                continue;
            }
        }
        let said = lab.pull().succeeds();
        assert!(said.stdout.contains("push 6 of builder@example"), "{way}: {said:#?}");
        // And what the new key was seen to sign never goes back.
        let older = PushManifest { counter: 5, ..manifest };
        let bytes = forge.joined("stranger", NAMESPACE, &older);
        for snapshot in lab.snapshots("counter-6") {
            let id = snapshot["id"].as_str().unwrap();
            fs::remove_file(lab.path("repository/snapshots").join(id)).unwrap();
        }
        lab.store_manifest(&bytes, &forge.tags_of(&older));
        lab.pull().refuses(1, &["refused"]);
    }
}

#[test]
fn one_limit_holds_for_a_whole_pull() {
    let forge = Forge::new();
    let good = forge.begin();
    for number in 0..8 {
        let junk = PushManifest { counter: 10 + number, ..good.clone() };
        forge.lab.store_manifest(b"junk", &forge.tags_of(&junk));
    }
    // Each call takes half a second to derive its key.
    forge.larder_config("timeout = '2s'");
    let started = Instant::now();
    let said = forge.lab.pull();
    let took = started.elapsed();
    said.refuses(1, &["gave up", "after 2s", "timeout limits it"]);
    assert!(took < Duration::from_secs(12), "it took {took:?}");
    forge.lab.has_nothing("b");
}

#[test]
fn a_password_in_an_address_is_in_no_command_line() {
    let lab = Lab::with_nothing();
    lab.configure("b", "rest:http://me:hidden@127.0.0.1:1/larder", "timeout = '5s'");
    let seen = lab.path("seen");
    let note = format!(
        "echo \"$@\" >>'{}'; printf '%s' \"$RESTIC_REPOSITORY\" >'{}'",
        seen.display(),
        lab.path("address").display()
    );
    let said = Said::of(&with_restic(&lab, &["pull", "bread"], &note).output().unwrap());
    assert_ne!(said.code, 0, "{said:#?}");
    let words = fs::read_to_string(seen).unwrap();
    assert!(words.contains("snapshots") && !words.contains("hidden"), "{words}");
    assert!(!said.stderr.contains("hidden"), "{said:#?}");
    let address = fs::read_to_string(lab.path("address")).unwrap();
    assert_eq!(address, "rest:http://me:hidden@127.0.0.1:1/larder");
}

#[test]
fn who_may_sign_as_anybody_is_named_by_doctor() {
    let lab = Lab::with_nothing();
    for name in ["password", "builder", "allowed"] {
        fs::set_permissions(lab.path(name), fs::Permissions::from_mode(0o600)).unwrap();
    }
    lab.configure("b", "/nowhere", "accept = ['builder@example']");
    let doctor = || Said::of(&lab.larder("b", &["doctor"]).output().unwrap()).stdout;
    assert!(!doctor().contains("passes `accept`"));
    lab.allow(&format!("{}\n*@example {}", line(&lab, "builder"), lab.public("stranger")));
    let text = doctor().split_whitespace().collect::<Vec<_>>().join(" ");
    assert!(text.contains("line 2: a pattern") && text.contains("passes `accept`"), "{text}");
}

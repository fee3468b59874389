//! What somebody who may write to the repository can sign and claim, each refused before anything is where builds
//! look.

use std::fs;

use larder::FullId;
use larder::manifest::{PushManifest, What};
use larder::signature::Signed;

use crate::share_forge::{Attack, Forge, YEAR, file, try_all, with_entry};
use crate::share_lab::NAMESPACE;

/// Who signs, for what, and what he claims.
const CLAIMS: &[Attack] = &[
    ("no signature", &["it is not signed"], |forge, manifest| {
        forge.lab.store_manifest(&manifest.encode().unwrap(), &forge.tags_of(&manifest));
    }),
    ("a changed byte", &["the signature of builder@example"], |forge, manifest| {
        let mut bytes = forge.joined("builder", NAMESPACE, &manifest);
        *bytes.last_mut().unwrap() ^= 1;
        forge.lab.store_manifest(&bytes, &forge.tags_of(&manifest));
    }),
    ("a stranger's key", &["the signature of builder@example"], |forge, manifest| {
        let bytes = forge.joined("stranger", NAMESPACE, &manifest);
        forge.lab.store_manifest(&bytes, &forge.tags_of(&manifest));
    }),
    ("a stranger's name", &["the signature of stranger@example"], |forge, manifest| {
        let message = PushManifest { signer: "stranger@example".to_owned(), ..manifest.clone() }
            .encode()
            .unwrap();
        let signature = forge.sign("stranger", NAMESPACE, &message);
        let bytes = Signed::join("stranger@example", &signature, &message);
        forge.lab.store_manifest(&bytes, &forge.tags_of(&manifest));
    }),
    ("another namespace", &["the signature of builder@example", "namespace"], |forge, manifest| {
        let bytes = forge.joined("builder", "git", &manifest);
        forge.lab.store_manifest(&bytes, &forge.tags_of(&manifest));
    }),
    (
        "a revoked key",
        &["the signature of builder@example", "its key is revoked"],
        |forge, manifest| {
            fs::write(forge.lab.path("revoked"), forge.lab.public("builder") + "\n").unwrap();
            forge.larder_config(&format!("revoked = '{}'", forge.lab.path("revoked").display()));
            forge.publish(&manifest);
        },
    ),
    ("a list of revoked keys that is not there", &["cannot read", "gone"], |forge, manifest| {
        forge.larder_config(&format!("revoked = '{}'", forge.lab.path("gone").display()));
        forge.publish(&manifest);
    }),
    ("a key whose time is over", &["the signature of builder@example"], |forge, manifest| {
        forge.lab.allow(&format!(
            "builder@example namespaces=\"{NAMESPACE}\",valid-before=\"20200101\" {}",
            forge.lab.public("builder")
        ));
        forge.publish(&manifest);
    }),
    ("another role", &["`accept` in [share] does not name"], |forge, manifest| {
        forge.larder_config("accept = ['release@example']");
        forge.publish(&manifest);
    }),
    ("nobody is accepted", &["`accept` in [share] does not name"], |forge, manifest| {
        forge.larder_config("accept = []");
        forge.publish(&manifest);
    }),
    ("another signer inside", &["names someone@example"], |forge, mut manifest| {
        "someone@example".clone_into(&mut manifest.signer);
        forge.publish(&manifest);
    }),
    ("expired", &["expired", "clock"], |forge, mut manifest| {
        (manifest.created, manifest.expires) = (manifest.created - YEAR, manifest.expires - YEAR);
        forge.publish(&manifest);
    }),
    ("of a clock a year ahead", &["clocks is wrong"], |forge, mut manifest| {
        (manifest.created, manifest.expires) = (manifest.created + YEAR, manifest.expires + YEAR);
        forge.publish(&manifest);
    }),
    ("another repository", &["another repository"], |forge, mut manifest| {
        manifest.repository = FullId::try_from("0".repeat(64)).unwrap();
        forge.publish(&manifest);
    }),
    ("another project", &["tags are not its own"], |forge, mut manifest| {
        manifest.scope.project = "cake".parse().unwrap();
        forge.publish(&manifest);
    }),
    ("another path of the sources", &["tags are not its own"], |forge, mut manifest| {
        "/elsewhere".clone_into(&mut manifest.scope.source);
        forge.publish(&manifest);
    }),
    ("another identity", &["identity is not that of its scope"], |forge, mut manifest| {
        manifest.records.identity.push(b'\n');
        forge.publish(&manifest);
    }),
    ("an old one with a new number on it", &["tags are not its own"], |forge, manifest| {
        let tags = forge.tags_of(&PushManifest { counter: 99, ..manifest.clone() });
        forge.lab.store_manifest(&forge.joined("builder", NAMESPACE, &manifest), &tags);
    }),
    ("a manifest without end", &["more than", "bytes"], |forge, manifest| {
        let bytes = vec![b'x'; usize::try_from(larder::manifest::LONGEST).unwrap() + 1];
        forge.lab.store_manifest(&bytes, &forge.tags_of(&manifest));
    }),
    ("other totals", &["totals"], |forge, mut manifest| {
        manifest.bytes += 1;
        forge.publish(&manifest);
    }),
    ("a damaged state", &["the state in the manifest"], |forge, mut manifest| {
        manifest.records.state.truncate(10);
        forge.publish(&manifest);
    }),
];

/// What a signed manifest may not hold, whoever signed it.
const HELD: &[Attack] = &[
    ("a name that leads out", &["leads out of the directory"], |forge, mut manifest| {
        with_entry(&mut manifest, "../x", 0o644, file(6));
        forge.publish(&manifest);
    }),
    ("an absolute name", &["is absolute"], |forge, mut manifest| {
        with_entry(&mut manifest, "/etc/x", 0o644, file(6));
        forge.publish(&manifest);
    }),
    ("a name twice", &["is in it twice"], |forge, mut manifest| {
        let path = manifest.entries[0].path.clone();
        with_entry(&mut manifest, &path, 0o644, file(6));
        forge.publish(&manifest);
    }),
    ("setuid, and says so", &["setuid"], |forge, mut manifest| {
        with_entry(&mut manifest, "x", 0o4755, file(6));
        forge.publish(&manifest);
    }),
    ("a link out of the tree", &["leaves the directory"], |forge, mut manifest| {
        with_entry(&mut manifest, "x", 0o777, What::Symlink("/etc/passwd".to_owned()));
        forge.publish(&manifest);
    }),
    ("a link upwards", &["leaves the directory"], |forge, mut manifest| {
        with_entry(&mut manifest, "x", 0o777, What::Symlink("../../entry.json".to_owned()));
        forge.publish(&manifest);
    }),
    ("a bomb, and says so", &["are free"], |forge, mut manifest| {
        with_entry(&mut manifest, "x", 0o644, file(1 << 60));
        forge.publish(&manifest);
    }),
];

#[test]
fn a_signature_that_does_not_count_is_refused() {
    try_all(CLAIMS);
}

#[test]
fn a_manifest_that_holds_what_it_may_not_is_refused() {
    try_all(HELD);
}

#[test]
fn a_counter_never_goes_back() {
    let forge = Forge::new();
    let good = forge.begin();
    forge.publish(&PushManifest { counter: 5, ..good.clone() });
    forge.lab.pull().succeeds();
    forge.lab.share("b", &["rm", "bread"]).succeeds();
    let seen = fs::read_dir(forge.lab.path("b/share")).unwrap().count();
    // Somebody hides push 5 and offers push 4 once more.
    let keep = forge.lab.path("seen");
    fs::rename(forge.lab.path("b/share"), &keep).unwrap();
    let good = forge.begin();
    fs::rename(&keep, forge.lab.path("b/share")).unwrap();
    forge.publish(&PushManifest { counter: 4, ..good.clone() });
    forge.lab.pull().refuses(1, &["push 4", "older than push 5", "seen here"]);
    forge.lab.has_nothing("b");
    assert_eq!(fs::read_dir(forge.lab.path("b/share")).unwrap().count(), seen);
    // A newer one is passed over if it is not signed, and the best that is accepted is taken.
    forge.publish(&PushManifest { counter: 6, ..good.clone() });
    let unsigned = PushManifest { counter: 7, ..good };
    forge.lab.store_manifest(&unsigned.encode().unwrap(), &forge.tags_of(&unsigned));
    let said = forge.lab.pull().succeeds();
    assert!(said.stderr.contains("passed over: refused push 7"), "{said:#?}");
    assert!(said.stdout.contains("push 6 of builder@example"), "{said:#?}");
}

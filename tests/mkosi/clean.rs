//! What is left warm when mkosi cleans up, and when checkouts come and go.

use std::fs;

use crate::image::{Image, Mode, modes};

#[test]
#[ignore = "needs mkosi; make test runs it"]
fn mkosi_cleans_nothing_that_is_outside_of_its_build_directory() {
    let image = Image::tiny("clean", "27.1", modes()[0]);
    image.build_without_larder().succeeds();
    image.own_caches();
    image.init();
    image.build(&[]).succeeds();
    let hash = image.hash();
    for clean in [["-f", "clean"], ["-ff", "clean"]] {
        image.mkosi(&clean).succeeds();
        assert!(!image.has("usr/bin/pantry"), "{clean:?} cleaned nothing");
        image.build(&[]).succeeds();
        assert_eq!(image.last()["closed"]["compiled"], 0, "{clean:?}: {}", image.why());
        assert_eq!(image.hash(), hash);
    }
}

#[test]
#[ignore = "needs mkosi; make test runs it"]
fn a_store_in_the_build_directory_is_emptied_said_and_made_again() {
    let mode = modes().get(1).copied().unwrap_or(Mode::Own);
    let image = Image::tiny("emptied", "25.3", mode);
    fs::create_dir(image.root().join("mkosi.builddir")).unwrap();
    image.put(&[("mkosi.conf.d/e.conf", "[Build]\nBuildSourcesEphemeral=yes\n")]);
    image.build_without_larder().succeeds();
    image.own_caches();
    let said = image.init_with(&[], &[]);
    said.succeeds();
    assert!(said.text.contains("`mkosi -f clean` and `mkosi -ff` empty"), "{}", said.text);
    let said = image.larder_at(&image.store(), &["doctor", "--mkosi", image.mkosi_path()]);
    assert!(said.text.contains("which `mkosi -f clean` and `mkosi -ff` empty"), "{}", said.text);
    let store = image.root().join("mkosi.builddir/debian~trixie~x86-64/larder");
    let include = format!("--include={}/mkosi-ephemeral.conf", image.store().display());
    let build = || {
        image.mkosi(&["--force", &include, "build"]).succeeds();
        (image.compiled_in(&store), image.hash())
    };
    let (compiled, hash) = build();
    assert_eq!(compiled, 2);
    assert_eq!(build(), (0, hash.clone()));
    image.mkosi(&["-f", "clean"]).succeeds();
    assert!(!store.exists(), "the build directory was not emptied");
    assert_eq!(build(), (2, hash.clone()));
    assert_eq!(build(), (0, hash));
}

#[test]
#[ignore = "needs mkosi; make test runs it"]
fn checkouts_come_and_go_and_share_what_is_warm() {
    let one = Image::tiny("checkout", "25.3", modes()[0]);
    one.init();
    one.build(&[]).succeeds();
    let hash = one.hash();
    let two = one.checkout("checkout-elsewhere");
    one.delete();
    two.init();
    two.build(&[]).succeeds();
    assert_eq!(two.last()["closed"]["compiled"], 0, "{}", two.why());
    assert_eq!(two.hash(), hash);
    // Side by side, at different commits: each is built as it is.
    let three = two.checkout("checkout-again");
    three.init();
    let main = three.root().join("pantry/src/main.rs");
    let text = fs::read_to_string(&main).unwrap();
    fs::write(&main, text.replace("{}", "{}!")).unwrap();
    three.commit();
    three.build(&[]).succeeds();
    let changed = three.hash();
    assert_ne!(changed, hash);
    two.build(&[]).succeeds();
    assert_eq!(two.hash(), hash, "the other checkout's commit was taken");
    three.build(&[]).succeeds();
    assert_eq!(three.hash(), changed);
}

//! Packages from outside: vendored, from git, from a registry, from a path; and `Cargo.lock`.

use super::Plain::{Any, Right, Stale};
use super::{Case, case, never_settling, unchanged};
use crate::lab::Lab;

/// A crate `grain` of which `weight()` gives a number, and which contains `extra`.
pub fn crate_at(lab: &Lab<'_>, dir: &str, version: &str, number: &str) {
    lab.write(
        &format!("{dir}/Cargo.toml"),
        &format!("[package]\nname = 'grain'\nversion = '{version}'\nedition = '2021'\n"),
    );
    lab.write(&format!("{dir}/src/lib.rs"), &format!("pub fn weight() -> u32 {{ {number} }}\n"));
}

pub fn uses(lab: &Lab<'_>, dependency: &str) {
    let text = lab.read("Cargo.toml");
    lab.write("Cargo.toml", &format!("{text}[dependencies]\ngrain = {dependency}\n"));
    lab.write("src/main.rs", "fn main() { println!(\"{}\", grain::weight()); }\n");
}

/// A directory source with `grain` in it.
fn source_at(lab: &Lab<'_>, dir: &str, version: &str, number: &str) {
    crate_at(lab, dir, version, number);
    lab.write(&format!("{dir}/.cargo-checksum.json"), "{\"files\":{}}");
}

/// `cargo vendor`'s result, in the sources.
pub fn vendored(lab: &Lab<'_>, number: &str) {
    uses(lab, "'0.1'");
    source_at(lab, "vendor/grain", "0.1.0", number);
    lab.write(
        ".cargo/config.toml",
        "[source.crates-io]\nreplace-with = 'vendored'\n[source.vendored]\ndirectory = 'vendor'\n",
    );
}

/// The same at a place outside of the sources.
fn vendored_outside(lab: &Lab<'_>, dir: &str) {
    uses(lab, "'0.1'");
    source_at(lab, &format!("{dir}/grain"), "0.1.0", "1");
    lab.write(".cargo/config.toml", &format!("[source.crates-io]\nreplace-with = 'vendored'\n[source.vendored]\ndirectory = '{dir}'\n"));
}

const GIT: &str = "git -c user.name=x -c user.email=x@example.org -c init.defaultBranch=main";

fn from_git(lab: &Lab<'_>) {
    from_git_with(lab, "1", |_| {});
}

/// A git dependency `grain` to which more is written.
pub fn from_git_with(lab: &Lab<'_>, number: &str, more: impl FnOnce(&str)) {
    let dir = lab.outside("grain");
    crate_at(lab, &dir, "0.1.0", number);
    more(&dir);
    lab.sh(&format!("cd '{dir}'; {GIT} init -q; git add -A; {GIT} commit -qm one"));
    uses(lab, &format!("{{ git = 'file://{dir}' }}"));
    lab.set("CARGO_NET_GIT_FETCH_WITH_CLI", "true");
}

/// A registry of our own, in files: an index in git, and a `.crate` beside it.
fn registry(lab: &Lab<'_>) {
    registry_with(lab, "1", |dir| lab.write(&format!("{dir}/data"), "one"));
}

/// The same with a `grain` to which more is written.
pub fn registry_with(lab: &Lab<'_>, number: &str, more: impl FnOnce(&str)) {
    let (index, crates) = (lab.outside("index"), lab.outside("crates"));
    let dir = lab.outside("grain");
    crate_at(lab, &dir, "0.1.0", number);
    more(&dir);
    lab.sh(&format!("mkdir -p '{crates}'; cd '{dir}/..'; mv grain grain-0.1.0; tar czf '{crates}/grain-0.1.0.crate' grain-0.1.0"));
    let sum = lab.sh(&format!("sha256sum '{crates}/grain-0.1.0.crate' | cut -d ' ' -f 1"));
    lab.write(
        &format!("{index}/config.json"),
        &format!("{{\"dl\": \"file://{crates}/{{crate}}-{{version}}.crate\"}}\n"),
    );
    lab.write(&format!("{index}/gr/ai/grain"), &format!("{{\"name\":\"grain\",\"vers\":\"0.1.0\",\"deps\":[],\"cksum\":\"{sum}\",\"features\":{{}},\"yanked\":false}}\n"));
    lab.sh(&format!("cd '{index}'; {GIT} init -q; git add -A; {GIT} commit -qm one"));
    uses(lab, "{ version = '0.1', registry = 'own' }");
    lab.write(".cargo/config.toml", &format!("[registries.own]\nindex = 'file://{index}'\n"));
    lab.set("CARGO_NET_GIT_FETCH_WITH_CLI", "true");
}

/// Where the downloads are kept between two builds.
fn downloads(lab: &Lab<'_>) -> String {
    if lab.is_larder() {
        let store = lab.store();
        let latest = format!("ls -t '{}'/projects/*/*/entry.json | head -n 1", store.display());
        return lab.sh(&format!("dirname \"$({latest})\"")) + "/cargo";
    }
    lab.home().join(".cargo").display().to_string()
}

/// The first path that fits a pattern below the downloads.
fn download(lab: &Lab<'_>, pattern: &str) -> String {
    let found = lab.sh(&format!("ls -d '{}'/{pattern} | head -n 1", downloads(lab)));
    assert!(!found.is_empty(), "nothing fits {pattern}");
    found
}

pub fn cases() -> Vec<Case> {
    vec![
        case(
            "a vendored crate is patched",
            Stale,
            |lab| vendored(lab, "1"),
            |lab| lab.edit("vendor/grain/src/lib.rs", "1", "2"),
        ),
        case(
            "a vendored crate is patched, an older time",
            Stale,
            |lab| vendored(lab, "1"),
            |lab| lab.edit_old("vendor/grain/src/lib.rs", "1", "2"),
        ),
        case(
            "a vendored crate outside of the sources is patched",
            Stale,
            |lab| vendored_outside(lab, &lab.outside("vendor")),
            |lab| {
                lab.edit_old(&lab.outside("vendor/grain/src/lib.rs"), "1", "2");
            },
        ),
        case(
            "a distribution's crate is patched",
            Stale,
            |lab| {
                lab.change_system();
                vendored_outside(lab, "/usr/share/cargo/registry");
            },
            |lab| lab.edit_old("/usr/share/cargo/registry/grain/src/lib.rs", "1", "2"),
        ),
        case(
            "a data file of a vendored crate",
            Stale,
            |lab| {
                vendored(lab, "include_str!(\"../data\").len() as u32");
                lab.write("vendor/grain/data", "1");
            },
            |lab| lab.write_old("vendor/grain/data", "12"),
        ),
        case(
            "what a vendored crate's build script reads",
            Stale,
            |lab| {
                vendored(lab, "include_str!(concat!(env!(\"OUT_DIR\"), \"/text\")).len() as u32");
                super::scripts::script_in(lab, "vendor/grain", "read(\"data\")", &[]);
                lab.write("vendor/grain/data", "1");
            },
            |lab| lab.write("vendor/grain/data", "12"),
        ),
        case(
            "a vendored crate's other version",
            Right,
            |lab| vendored(lab, "1"),
            |lab| {
                lab.remove("vendor/grain");
                source_at(lab, "vendor/grain", "0.1.1", "2");
                lab.remove("Cargo.lock");
            },
        ),
        case(
            "a lock file that goes back",
            Right,
            |lab| {
                vendored(lab, "1");
                source_at(lab, "vendor/grain-0.1.1", "0.1.1", "2");
            },
            |lab| lab.edit_old("Cargo.lock", "0.1.1", "0.1.0"),
        ),
        case(
            "a path dependency outside, an older time",
            Stale,
            |lab| {
                crate_at(lab, "../grain", "0.1.0", "1");
                uses(lab, "{ path = '../grain' }");
            },
            |lab| lab.edit_old("../grain/src/lib.rs", "1", "2"),
        ),
        case(
            "a path dependency outside, a newer time",
            Right,
            |lab| {
                crate_at(lab, "../grain", "0.1.0", "1");
                uses(lab, "{ path = '../grain' }");
            },
            |lab| lab.edit("../grain/src/lib.rs", "1", "2"),
        ),
        case(
            "a path dependency by an absolute path, an older time",
            Stale,
            |lab| {
                crate_at(lab, &lab.outside("grain"), "0.1.0", "1");
                uses(lab, &format!("{{ path = '{}' }}", lab.outside("grain")));
            },
            |lab| lab.edit_old(&lab.outside("grain/src/lib.rs"), "1", "2"),
        ),
        case(
            "a path dependency of a path dependency, an older time",
            Stale,
            |lab| {
                crate_at(lab, "../grain", "0.1.0", "husk::HUSK");
                lab.write("../grain/Cargo.toml", "[package]\nname = 'grain'\nversion = '0.1.0'\nedition = '2021'\n[dependencies]\nhusk = { path = '../husk' }\n");
                lab.write(
                    "../husk/Cargo.toml",
                    "[package]\nname = 'husk'\nversion = '0.1.0'\nedition = '2021'\n",
                );
                lab.write("../husk/src/lib.rs", "pub const HUSK: u32 = 1;\n");
                uses(lab, "{ path = '../grain' }");
            },
            |lab| lab.edit_old("../husk/src/lib.rs", "1", "2"),
        ),
        case(
            "a symlink to a path dependency leads elsewhere",
            Stale,
            |lab| {
                crate_at(lab, "../grain-1", "0.1.0", "1");
                crate_at(lab, "../grain-2", "0.1.0", "2");
                lab.sh("find ../grain-1 ../grain-2 -exec touch -d @1000000000 {} +");
                lab.link("grain-1", "../grain");
                uses(lab, "{ path = '../grain' }");
            },
            |lab| lab.link("grain-2", "../grain"),
        ),
        case(
            "what the build script of a path dependency reads",
            Stale,
            |lab| {
                crate_at(
                    lab,
                    "../grain",
                    "0.1.0",
                    "include_str!(concat!(env!(\"OUT_DIR\"), \"/text\")).len() as u32",
                );
                super::scripts::script_in(
                    lab,
                    "../grain",
                    "read(\"data\")",
                    &["cargo:rerun-if-changed=build.rs"],
                );
                lab.write("../grain/data", "1");
                uses(lab, "{ path = '../grain' }");
            },
            |lab| lab.write("../grain/data", "12"),
        ),
        case(
            "[patch] with a path, an older time",
            Stale,
            |lab| {
                vendored(lab, "1");
                crate_at(lab, "patched", "0.1.0", "3");
                let text = lab.read("Cargo.toml");
                lab.write(
                    "Cargo.toml",
                    &(text + "[patch.crates-io]\ngrain = { path = 'patched' }\n"),
                );
            },
            |lab| lab.edit_old("patched/src/lib.rs", "3", "4"),
        ),
        case(
            "[patch] that is new",
            Right,
            |lab| vendored(lab, "1"),
            |lab| {
                crate_at(lab, "patched", "0.1.0", "3");
                let text = lab.read("Cargo.toml");
                lab.write_old(
                    "Cargo.toml",
                    &(text + "[patch.crates-io]\ngrain = { path = 'patched' }\n"),
                );
            },
        ),
        case("another commit of a git dependency", Right, from_git, |lab| {
            let dir = lab.outside("grain");
            lab.edit(&lab.outside("grain/src/lib.rs"), "1", "2");
            lab.sh(&format!("cd '{dir}'; {GIT} commit -qam two"));
            lab.remove("Cargo.lock");
        }),
        case("a git dependency's checkout is tampered with", Any, from_git, |lab| {
            let file = download(lab, "git/checkouts/*/*/src/lib.rs");
            lab.edit_old(&file, "1", "2");
        }),
        case("a git dependency's checkout is gone", Right, from_git, |lab| {
            lab.remove(&download(lab, "git/checkouts"))
        }),
        case("a registry's crate is tampered with", Stale, registry, |lab| {
            let file = download(lab, "registry/src/*/grain-0.1.0/src/lib.rs");
            lab.edit_old(&file, "1", "2");
            // What was compiled before would hide it.
            if !lab.is_larder() {
                lab.remove("target");
            }
        }),
        case(
            "a registry's crate has a file more",
            Stale,
            |lab| {
                registry(lab);
                lab.write(&lab.outside("x"), "");
            },
            |lab| {
                let dir = download(lab, "registry/src/*/grain-0.1.0");
                lab.write(
                    &format!("{dir}/build.rs"),
                    "fn main() { println!(\"cargo:rustc-cfg=tampered\"); }\n",
                );
                lab.edit(
                    &format!("{dir}/src/lib.rs"),
                    "{ 1 }",
                    "{ if cfg!(tampered) { 2 } else { 1 } }",
                );
                if !lab.is_larder() {
                    lab.remove("target");
                }
            },
        ),
        case("a registry's .crate is tampered with, and unpacked again", Any, registry, |lab| {
            let file = download(lab, "registry/cache/*/grain-0.1.0.crate");
            lab.sh(&format!("d=$(mktemp -d); cd $d; tar xzf '{file}'; sed -i 's/1/2/' grain-0.1.0/src/lib.rs; tar czf '{file}' grain-0.1.0; rm -r $d"));
            lab.remove(&download(lab, "registry/src"));
            if !lab.is_larder() {
                lab.remove("target");
            }
        }),
        never_settling(
            "a crate whose build script writes into its own sources",
            Stale,
            |lab| {
                registry(lab);
                let dir = lab.outside("grain-0.1.0");
                super::scripts::script_in(
                    lab,
                    &dir,
                    "{ fs::write(\"runs\", read(\"runs\") + \"x\").unwrap(); env::var(\"LOAF\").unwrap_or_default() + &read(\"runs\") }",
                    &["cargo:rerun-if-env-changed=LOAF"],
                );
                lab.write(&format!("{dir}/src/lib.rs"), "pub fn weight() -> usize { include_str!(concat!(env!(\"OUT_DIR\"), \"/text\")).len() }\n");
                let (crates, index) = (lab.outside("crates"), lab.outside("index"));
                lab.sh(&format!("cd '{dir}/..'; tar czf '{crates}/grain-0.1.0.crate' grain-0.1.0; sum=$(sha256sum '{crates}/grain-0.1.0.crate' | cut -d ' ' -f 1); cd '{index}'; sed -i \"s/\\\"cksum\\\":\\\"[0-9a-f]*/\\\"cksum\\\":\\\"$sum/\" gr/ai/grain; {GIT} commit -qam two"));
            },
            |lab| lab.set("LOAF", "two"),
        ),
        unchanged("a registry's crate is unpacked again", Right, registry, |lab| {
            lab.remove(&download(lab, "registry/src"))
        }),
        unchanged("the whole registry is fetched again", Right, registry, |lab| {
            lab.remove(&download(lab, "registry"))
        }),
    ]
}

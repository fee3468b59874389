//! Files of the project: content, names, kinds, modes, and times that hide it.

use filetime::FileTime;

use super::Plain::{Any, Right, Stale};
use super::{Case, as_is, case, settling, unchanged};
use crate::lab::Lab;

const CRUMB: &str = "src/crumb.rs";

/// The program prints what `path` holds.
fn include(lab: &Lab<'_>, path: &str) {
    lab.write(
        "src/main.rs",
        &format!("fn main() {{ println!(\"{{}}\", include_str!({path:?})); }}\n"),
    );
}

/// The moment that Cargo compares the program's sources with.
fn moment(lab: &Lab<'_>) -> FileTime {
    let stamp = lab.in_target(
        ".fingerprint/loaf-*/invoked.timestamp build/loaf/*/fingerprint/invoked.timestamp",
    );
    FileTime::from_last_modification_time(&std::fs::metadata(stamp).unwrap())
}

/// A program and a library of one workspace.
pub fn member(lab: &Lab<'_>) {
    lab.write(
        "Cargo.toml",
        "[workspace]\nmembers = ['yeast']\n[package]\nname = 'loaf'\nversion = '0.1.0'\nedition = '2021'\n[dependencies]\nyeast = { path = 'yeast' }\n",
    );
    lab.write("src/main.rs", "fn main() { println!(\"{}\", yeast::rise()); }\n");
    lab.write(
        "yeast/Cargo.toml",
        "[package]\nname = 'yeast'\nversion = '0.1.0'\nedition = '2021'\n",
    );
    lab.write("yeast/src/lib.rs", "pub fn rise() -> u32 { 1 }\n");
}

pub fn cases() -> Vec<Case> {
    vec![
        case("edited, an older time", Stale, as_is, |lab| lab.edit_old(CRUMB, "one", "two")),
        case("edited, a time before 1970", Stale, as_is, |lab| {
            lab.edit(CRUMB, "one", "two");
            lab.time(CRUMB, FileTime::from_unix_time(-100_000, 0));
        }),
        case("edited, the very time of the last build", Stale, as_is, |lab| {
            let moment = moment(lab);
            lab.edit(CRUMB, "one", "two");
            lab.time(CRUMB, moment);
        }),
        case("edited, its own time set back", Stale, as_is, |lab| {
            let time = lab.mtime(CRUMB);
            lab.edit(CRUMB, "one", "two");
            lab.time(CRUMB, time);
        }),
        case("edited, a future time", Right, as_is, |lab| {
            lab.edit(CRUMB, "one", "two");
            lab.time(CRUMB, FileTime::from_unix_time(4_000_000_000, 0));
        }),
        case(
            "edited, after a build with future times",
            Any,
            |lab| {
                lab.time(CRUMB, FileTime::from_unix_time(4_000_000_000, 0));
            },
            |lab| lab.edit(CRUMB, "one", "two"),
        ),
        case("edited, as an editor does", Right, as_is, |lab| {
            lab.write("src/crumb.rs.new", "pub const TEXT: &str = \"two\";\n");
            lab.rename("src/crumb.rs.new", CRUMB);
        }),
        case("emptied, an older time", Stale, as_is, |lab| lab.write_old(CRUMB, "")),
        case("a module that is gone", Stale, as_is, |lab| lab.remove(CRUMB)),
        case("a module moved to a directory, times kept", Right, as_is, |lab| {
            lab.with_times_kept(|| {
                lab.rename(CRUMB, "src/crumb/mod.rs");
                lab.edit("src/crumb/mod.rs", "one", "two");
            });
        }),
        case("a module that stands twice", Stale, as_is, |lab| {
            lab.write("src/crumb/mod.rs", "pub const TEXT: &str = \"two\";\n");
        }),
        case("a module replaced by a symlink, an older time", Stale, as_is, |lab| {
            lab.write_old("src/other.rs", "pub const TEXT: &str = \"two\";\n");
            lab.link("other.rs", CRUMB);
            lab.old(CRUMB);
        }),
        case(
            "a symlink that leads elsewhere",
            Stale,
            |lab| {
                lab.write_old("src/one.rs", "pub const TEXT: &str = \"one\";\n");
                lab.write_old("src/two.rs", "pub const TEXT: &str = \"two\";\n");
                lab.link("one.rs", CRUMB);
            },
            |lab| lab.link("two.rs", CRUMB),
        ),
        case(
            "a symlink to a directory that leads elsewhere",
            Stale,
            |lab| {
                lab.write_old("parts/one/crumb.rs", "pub const TEXT: &str = \"one\";\n");
                lab.write_old("parts/two/crumb.rs", "pub const TEXT: &str = \"two\";\n");
                lab.remove(CRUMB);
                lab.link("../parts/one", "src/part");
                lab.write("src/main.rs", "#[path = \"part/crumb.rs\"] mod crumb;\nfn main() { println!(\"{}\", crumb::TEXT); }\n");
            },
            |lab| lab.link("../parts/two", "src/part"),
        ),
        case(
            "a hard link to another file, an older time",
            Stale,
            |lab| {
                lab.write_old("src/two.rs", "pub const TEXT: &str = \"two\";\n");
            },
            |lab| {
                lab.remove(CRUMB);
                std::fs::hard_link(lab.at("src/two.rs"), lab.at(CRUMB)).unwrap();
            },
        ),
        case("a file replaced by a directory, an older time", Stale, as_is, |lab| {
            lab.remove(CRUMB);
            std::fs::create_dir(lab.at(CRUMB)).unwrap();
            lab.old(CRUMB);
        }),
        case(
            "include_str! inside, an older time",
            Stale,
            |lab| {
                lab.write("text", "one");
                include(lab, "../text");
            },
            |lab| lab.write_old("text", "two"),
        ),
        case(
            "include_str! of an ignored file, an older time",
            Stale,
            |lab| {
                lab.write("text", "one");
                include(lab, "../text");
                lab.write(".gitignore", "/target\n/text\n");
                lab.commit();
            },
            |lab| lab.write_old("text", "two"),
        ),
        case(
            "include_str! of a hidden file, an older time",
            Stale,
            |lab| {
                lab.write(".env", "one");
                include(lab, "../.env");
            },
            |lab| lab.write_old(".env", "two"),
        ),
        case(
            "include_str! outside, an older time",
            Stale,
            |lab| {
                lab.write("../text", "one");
                include(lab, "../../text");
            },
            |lab| lab.write_old("../text", "two"),
        ),
        case(
            "include_str! by an absolute path, an older time",
            Stale,
            |lab| {
                lab.write(&lab.outside("text"), "one");
                include(lab, &lab.outside("text"));
            },
            |lab| lab.write_old(&lab.outside("text"), "two"),
        ),
        case(
            "include_str! by an absolute path, a newer time",
            Right,
            |lab| {
                lab.write(&lab.outside("text"), "one");
                include(lab, &lab.outside("text"));
            },
            |lab| lab.write(&lab.outside("text"), "two"),
        ),
        case(
            "include_str! by an absolute path that is a symlink",
            Stale,
            |lab| {
                lab.write_old(&lab.outside("one"), "one");
                lab.write_old(&lab.outside("two"), "two");
                lab.link("one", &lab.outside("text"));
                include(lab, &lab.outside("text"));
            },
            |lab| lab.link("two", &lab.outside("text")),
        ),
        case(
            "include_str! by an absolute path that is gone",
            Stale,
            |lab| {
                lab.write(&lab.outside("text"), "one");
                include(lab, &lab.outside("text"));
            },
            |lab| lab.remove(&lab.outside("text")),
        ),
        case(
            "include_bytes! of a large file, one byte",
            Stale,
            |lab| {
                lab.write("data", &"0".repeat(300_000));
                lab.write("src/main.rs", "static DATA: &[u8] = include_bytes!(\"../data\");\nfn main() { println!(\"{:?}\", DATA.iter().max()); std::hint::black_box(DATA); }\n");
            },
            |lab| lab.write_old("data", &("0".repeat(299_999) + "1")),
        ),
        case("a member's library, an older time", Stale, member, |lab| {
            lab.edit_old("yeast/src/lib.rs", "1", "2");
        }),
        case("a member's library, a newer time", Right, member, |lab| {
            lab.edit("yeast/src/lib.rs", "1", "2");
        }),
        case("a binary that is new", Right, as_is, |lab| {
            lab.write("src/bin/extra.rs", "fn main() {}\n");
        }),
        case(
            "a binary that is gone",
            Stale,
            |lab| {
                lab.write("src/bin/extra.rs", "fn main() {}\n");
            },
            |lab| lab.remove("src/bin"),
        ),
        case(
            "the manifest's description",
            Right,
            |lab| {
                lab.write(
                    "src/main.rs",
                    "fn main() { println!(\"{}\", env!(\"CARGO_PKG_DESCRIPTION\")); }\n",
                );
            },
            |lab| lab.edit("Cargo.toml", "[package]\n", "[package]\ndescription = 'brown'\n"),
        ),
        case(
            "the manifest, an older time",
            Right,
            |lab| {
                lab.write(
                    "src/main.rs",
                    "fn main() { println!(\"{}\", env!(\"CARGO_PKG_VERSION\")); }\n",
                );
            },
            |lab| lab.edit_old("Cargo.toml", "0.1.0", "0.2.0"),
        ),
        case(
            "the manifest's own text is included",
            Stale,
            |lab| include(lab, "../Cargo.toml"),
            |lab| {
                lab.edit_old("Cargo.toml", "edition = '2021'\n", "edition = '2021' # twenty\n");
            },
        ),
        case(
            "a workspace's inherited version",
            Right,
            |lab| {
                member(lab);
                lab.edit("Cargo.toml", "[workspace]\n", "[workspace]\npackage.version = '0.3.0'\n");
                lab.edit("yeast/Cargo.toml", "version = '0.1.0'", "version.workspace = true");
                lab.write(
                    "yeast/src/lib.rs",
                    "pub fn rise() -> &'static str { env!(\"CARGO_PKG_VERSION\") }\n",
                );
            },
            |lab| lab.edit_old("Cargo.toml", "0.3.0", "0.4.0"),
        ),
        case(
            "another commit, all times kept",
            Stale,
            |lab| {
                lab.commit();
                lab.edit(CRUMB, "one", "two");
                lab.commit();
            },
            |lab| lab.with_times_kept(|| drop(lab.git("checkout -q HEAD~1"))),
        ),
        case(
            "a fresh clone of another commit",
            Any,
            |lab| {
                lab.commit();
            },
            |lab| {
                lab.edit(CRUMB, "one", "two");
                lab.commit();
                lab.clone_again("HEAD");
            },
        ),
        case(
            "a fresh clone of the commit before the one that was built",
            Any,
            |lab| {
                lab.commit();
                lab.edit(CRUMB, "one", "two");
                lab.commit();
            },
            |lab| lab.clone_again("HEAD~1"),
        ),
        settling(
            "a fresh clone, where a build script writes a module into the sources",
            Any,
            |lab| {
                lab.write("build.rs", "fn main() { println!(\"cargo:rerun-if-changed=build.rs\"); std::fs::write(\"src/crumb.rs\", \"pub const TEXT: &str = \\\"made\\\";\\n\").unwrap(); }\n");
                lab.remove(CRUMB);
                lab.sh("cargo generate-lockfile");
                lab.commit();
                lab.clone_again("HEAD");
            },
            |lab| lab.clone_again("HEAD"),
        ),
        settling(
            "a fresh clone, where a build script writes a file for others into the sources",
            Any,
            |lab| {
                lab.write("build.rs", "fn main() { println!(\"cargo:rerun-if-changed=build.rs\"); std::fs::create_dir_all(\"target/release\").unwrap(); std::fs::write(\"man.1\", \"made\").unwrap(); }\n");
                lab.command(&["sh", "-c", "cargo build --release && cp man.1 target/release/man"]);
                lab.sh("cargo generate-lockfile");
                lab.commit();
                lab.clone_again("HEAD");
            },
            |lab| lab.clone_again("HEAD"),
        ),
        unchanged(
            "a fresh clone of the same commit",
            Right,
            |lab| {
                lab.sh("cargo generate-lockfile");
                lab.commit();
                lab.clone_again("HEAD");
            },
            |lab| {
                lab.clone_again("HEAD");
            },
        ),
        unchanged("every file touched", Right, member, |lab| {
            lab.sh("find . -path ./target -prune -o -type f -exec touch {} +");
        }),
        unchanged("every file written anew with the same content", Right, member, |lab| {
            lab.sh("for f in $(find . -path ./target -prune -o -type f -print); do cp $f $f.new; mv $f.new $f; done");
        }),
        unchanged("a file made and removed again", Right, as_is, |lab| {
            lab.write("src/passing.rs", "");
            lab.remove("src/passing.rs");
        }),
    ]
}

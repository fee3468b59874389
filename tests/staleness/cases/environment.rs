//! Variables, the command line, and the processor.

use super::Plain::{Any, Right, Stale};
use super::packages::{crate_at, from_git_with, registry_with, uses, vendored};
use super::scripts::{script, script_in};
use super::{Case, case, unchanged};
use crate::lab::Lab;

/// A build script that reads a variable which it does not name.
fn reads(name: &'static str) -> impl Fn(&Lab<'_>) {
    move |lab| {
        script(
            lab,
            &format!("env::var({name:?}).unwrap_or_default()"),
            &["cargo:rerun-if-changed=build.rs"],
        );
    }
}

/// The same, set to one value first and to another then.
fn variable(title: &'static str, name: &'static str, one: &'static str, two: &'static str) -> Case {
    let prepare = move |lab: &Lab<'_>| {
        reads(name)(lab);
        lab.set(name, one);
    };
    case(title, Stale, prepare, move |lab| lab.set(name, two))
}

/// What `grain` says where its build script wrote a text.
const SAYS: &str = "include_str!(concat!(env!(\"OUT_DIR\"), \"/text\")).len() as u32";

const OWN: &[&str] = &["cargo:rerun-if-changed=build.rs"];

/// What a build script does that runs a script of its package.
const RUNS: &str = "run(&[\"sh\", \"tools/stamp.sh\"])";

/// The build script of `grain`, in a directory, reads the commit that a CI service names.
fn grain_reads(lab: &Lab<'_>, dir: &str) {
    script_in(lab, dir, "env::var(\"GITHUB_SHA\").unwrap_or_default()", OWN);
}

/// The same through a shell script.
fn grain_runs(lab: &Lab<'_>, dir: &str) {
    lab.write(&format!("{dir}/tools/stamp.sh"), "echo \"$GITHUB_SHA\"\n");
    script_in(lab, dir, RUNS, OWN);
}

/// From one commit of a CI service to another, a longer one.
fn next_commit(title: &'static str, prepare: impl Fn(&Lab<'_>) + Send + Sync + 'static) -> Case {
    let prepare = move |lab: &Lab<'_>| {
        prepare(lab);
        lab.set("GITHUB_SHA", "one");
        lab.set("GITHUB_RUN_ID", "1");
    };
    case(title, Stale, prepare, |lab| {
        lab.set("GITHUB_SHA", "three");
        lab.set("GITHUB_RUN_ID", "2");
    })
}

/// Variables of services, of all places where they may be read.
fn services() -> Vec<Case> {
    let named = |name: &'static str| variable(name, name, "one", "two");
    let mut cases: Vec<Case> = [
        "CI_COMMIT_SHA",
        "BUILD_NUMBER",
        "BUILDKITE_COMMIT",
        "BUILD_SOURCEVERSION",
        "CIRCLE_SHA1",
        "FORGEJO_RUN_NUMBER",
        "GIT_COMMIT",
        "VSCODE_PID",
        "HOSTNAME",
        "XDG_RUNTIME_DIR",
    ]
    .map(named)
    .into();
    cases.extend([
        next_commit("a CI service's commit", |lab| {
            script(lab, "env::var(\"GITHUB_SHA\").unwrap_or_default()", OWN);
        }),
        next_commit("a CI service's commit, in a script that a script runs", |lab| {
            lab.write("tools/stamp.sh", "echo \"$GITHUB_SHA\"\n");
            script(lab, RUNS, OWN);
        }),
        next_commit("a CI service's variables, all of them", |lab| {
            script(lab, "format!(\"{:?}\", env::vars().filter(|(name, _)| name.starts_with(\"GITHUB_\")).collect::<std::collections::BTreeMap<_, _>>())", OWN);
        }),
        next_commit("a CI service's variables, all of them, in a makefile", |lab| {
            lab.write("Makefile", "all:\n\t@env | grep '^GITHUB_' | sort\n");
            script(lab, "run(&[\"make\", \"-s\"])", OWN);
        }),
        next_commit("a CI service's commit, in a vendored crate", |lab| {
            vendored(lab, SAYS);
            grain_reads(lab, "vendor/grain");
        }),
        next_commit("a CI service's commit, in a vendored crate's shell script", |lab| {
            vendored(lab, SAYS);
            grain_runs(lab, "vendor/grain");
        }),
        next_commit("a CI service's commit, in a git dependency", |lab| {
            from_git_with(lab, SAYS, |dir| grain_reads(lab, dir));
        }),
        next_commit("a CI service's commit, in a git dependency's shell script", |lab| {
            from_git_with(lab, SAYS, |dir| grain_runs(lab, dir));
        }),
        next_commit("a CI service's commit, in a registry's crate", |lab| {
            registry_with(lab, SAYS, |dir| grain_reads(lab, dir));
        }),
        next_commit("a CI service's commit, in a registry's crate's shell script", |lab| {
            registry_with(lab, SAYS, |dir| grain_runs(lab, dir));
        }),
        next_commit("a CI service's commit, in a path dependency's shell script", |lab| {
            crate_at(lab, "../grain", "0.1.0", SAYS);
            grain_runs(lab, "../grain");
            uses(lab, "{ path = '../grain' }");
        }),
        next_commit("a CI service's commit, by a macro that is given its name", |lab| {
            vendored(lab, "1");
            lab.edit("vendor/grain/Cargo.toml", "[package]", "[lib]\nproc-macro = true\n[package]");
            lab.write("vendor/grain/src/lib.rs", "use proc_macro::{Literal, TokenStream, TokenTree};\n#[proc_macro]\npub fn variable(name: TokenStream) -> TokenStream {\n    let value = std::env::var(name.to_string()).unwrap_or_default();\n    TokenTree::from(Literal::string(&value)).into()\n}\n");
            lab.write("src/main.rs", "fn main() { println!(\"{}\", grain::variable!(GITHUB_SHA)); }\n");
        }),
        next_commit("a CI service's commit, handed on by the command", |lab| {
            script(lab, "env::var(\"LOAF\").unwrap_or_default()", OWN);
            lab.command(&["sh", "-c", "LOAF=$GITHUB_SHA cargo build --release"]);
        }),
        case(
            "mkosi's variable in a git dependency",
            Stale,
            |lab| {
                let text = "env::var(\"IMAGE_VERSION\").unwrap_or_default()";
                from_git_with(lab, SAYS, |dir| script_in(lab, dir, text, OWN));
                lab.set("IMAGE_VERSION", "1");
            },
            |lab| lab.set("IMAGE_VERSION", "two"),
        ),
        unchanged(
            "a run of a CI service, whose workflow nobody but it reads",
            Right,
            |lab| {
                lab.write(".github/workflows/ci.yml", "run: echo $GITHUB_RUN_ID\n");
                reads("LOAF")(lab);
                lab.set("GITHUB_RUN_ID", "1");
            },
            |lab| {
                lab.set("GITHUB_RUN_ID", "2");
                lab.set("KITTY_WINDOW_ID", "7");
            },
        ),
        unchanged(
            "how loud cargo is",
            Right,
            |lab| vendored(lab, "{ let unused = 1; 2 }"),
            |lab| lab.command(&["cargo", "-vv", "build", "--release", "--color", "never"]),
        ),
    ]);
    cases
}

/// Prints the revision; given arguments, it is the compiler.
const PRINTS: &str = "if (argc > 1) { argv[0] = \"/usr/bin/cc\"; return execv(argv[0], argv); } const char *text = getenv(\"APP_REVISION\"); puts(text ? text : \"\"); return 0;";

/// A program outside of the sources, from the body of its `main`.
fn compiled(lab: &Lab<'_>, path: &str, body: &str) {
    let path = lab.outside(path);
    let source = format!("{path}.c");
    lab.write(&source, &format!("#include <stdio.h>\n#include <stdlib.h>\n#include <string.h>\n#include <unistd.h>\nint main(int argc, char **argv) {{ {body} }}\n"));
    lab.sh(&format!("cc -o '{path}' '{source}'; rm '{source}'"));
}

/// Ways to come by a variable, and places: nobody declares it, and the next commit has another one.
fn revisions() -> Vec<Case> {
    const READS: &str = "env::var(\"APP_REVISION\").unwrap_or_default()";
    let revision = |title, prepare: fn(&Lab<'_>)| {
        let prepare = move |lab: &Lab<'_>| {
            prepare(lab);
            lab.set("APP_REVISION", "one");
            lab.set("FLAVOUR_OF_NOBODY", "one");
        };
        case(title, Stale, prepare, |lab| {
            lab.set("APP_REVISION", "three");
            lab.set("FLAVOUR_OF_NOBODY", "three");
        })
    };
    let by = |title, text: &'static str| {
        let prepare = move |lab: &Lab<'_>| {
            script(lab, text, OWN);
            lab.set("APP_REVISION", "one");
        };
        case(title, Stale, prepare, |lab| lab.set("APP_REVISION", "three"))
    };
    vec![
        by("a revision, by its name", READS),
        by(
            "a revision, by its end",
            "env::var(format!(\"{}_REVISION\", [\"A\", \"P\", \"P\"].concat())).unwrap_or_default()",
        ),
        by(
            "a revision, by its beginning",
            "env::var(format!(\"APP_{}\", [\"REVI\", \"SION\"].concat())).unwrap_or_default()",
        ),
        by(
            "a revision, by its length among all",
            "env::vars().filter(|(name, _)| name.len() == 12 && name.ends_with('N')).map(|(_, value)| value).collect()",
        ),
        by(
            "a revision, in all that a program prints",
            "run(&[\"printenv\"]).lines().find(|line| line.len() > 13 && line.split('=').next().unwrap().len() == 12 && line.contains(\"N=\")).unwrap_or_default().to_owned()",
        ),
        by(
            "a revision, in all that a shell prints",
            "run(&[\"sh\", \"-c\", \"export -p | cut -c 8- | grep '^.\\\\{11\\\\}N='\"])",
        ),
        by(
            "a revision, put together in small letters",
            "env::var(format!(\"{}_{}\", \"app\", \"Revision\").to_uppercase()).unwrap_or_default()",
        ),
        by(
            "a revision, among all as they are",
            "env::vars_os().filter(|(name, _)| name.len() == 12 && name.to_string_lossy().ends_with('N')).map(|(_, value)| value.into_string().unwrap()).collect()",
        ),
        by(
            "a revision, from the process",
            "String::from_utf8_lossy(&fs::read(\"/proc/self/environ\").unwrap()).split('\\0').find(|line| line.len() > 13 && line.as_bytes()[12] == b'=' && line.as_bytes()[11] == b'N').unwrap_or_default().to_owned()",
        ),
        by(
            "a revision, in what a shell set",
            "run(&[\"sh\", \"-c\", \"set | grep '^.\\\\{11\\\\}N='\"])",
        ),
        by(
            "a revision, in a script that is made first",
            "{ let script = format!(\"{}/stamp\", env::var(\"OUT_DIR\").unwrap()); fs::write(&script, [\"echo $AP\", \"P_REV\", \"ISION\"].concat()).unwrap(); run(&[\"sh\", &script]) }",
        ),
        revision("a revision, whose name another variable has", |lab| {
            script(lab, "env::var(env::var(\"EMBED\").unwrap()).unwrap_or_default()", OWN);
            lab.set("EMBED", "APP_REVISION");
        }),
        revision("a revision, in an optimised script that is stripped", |lab| {
            lab.edit("Cargo.toml", "[package]", "[profile.release]\nstrip = true\n[profile.release.build-override]\nopt-level = 3\n[package]");
            script(
                lab,
                "{ fn get(name: String) -> String { env::var(name).unwrap_or_default() } get(\"APP_REVISION\".to_string()) + &env::vars().count().min(1).to_string() }",
                OWN,
            );
        }),
        revision("a revision, by a macro that is given its name", |lab| {
            super::macros::proc_macro(lab, "String::new()");
            lab.write("salt/src/lib.rs", "use proc_macro::{Literal, TokenStream, TokenTree};\n#[proc_macro]\npub fn variable(name: TokenStream) -> TokenStream {\n    let value = std::env::var(name.to_string()).unwrap_or_default();\n    TokenTree::from(Literal::string(&value)).into()\n}\n");
            lab.write(
                "src/main.rs",
                "fn main() { println!(\"{}\", salt::variable!(APP_REVISION)); }\n",
            );
        }),
        revision("a revision, in what a linker's script reads", |lab| {
            lab.write_program(
                &lab.outside("own-cc"),
                &format!("#!/bin/sh\n. {}\nexec cc \"$@\" $MORE\n", lab.outside("more")),
            );
            lab.write(&lab.outside("more"), "MORE=-Wl,--defsym=loaf=${#APP_REVISION}\n");
            lab.write(
                ".cargo/config.toml",
                &format!(
                    "[target.x86_64-unknown-linux-gnu]\nlinker = '{}'\n",
                    lab.outside("own-cc")
                ),
            );
        }),
        revision("a revision, in a script of the sources", |lab| {
            lab.write("tools/stamp.sh", "echo \"$APP_REVISION\"\n");
            script(lab, RUNS, OWN);
        }),
        revision("a revision, in a program that is built for it", |lab| {
            lab.write("tools/stamp.c", "#include <stdio.h>\n#include <stdlib.h>\nint main(void) { const char *text = getenv(\"APP_REVISION\"); return puts(text ? text : \"\") < 0; }\n");
            script(
                lab,
                "run(&[\"sh\", \"-ec\", \"cc -o $OUT_DIR/stamp tools/stamp.c; $OUT_DIR/stamp\"])",
                OWN,
            );
        }),
        revision("a revision, in a macro", |lab| {
            super::macros::proc_macro(lab, READS);
        }),
        revision("a revision, in a vendored crate", |lab| {
            vendored(lab, SAYS);
            script_in(lab, "vendor/grain", READS, OWN);
        }),
        revision("a revision, in a git dependency", |lab| {
            from_git_with(lab, SAYS, |dir| script_in(lab, dir, READS, OWN));
        }),
        revision("a revision, in a registry's crate's shell script", |lab| {
            registry_with(lab, SAYS, |dir| {
                lab.write(&format!("{dir}/tools/stamp.sh"), "echo \"$APP_REVISION\"\n");
                script_in(lab, dir, RUNS, OWN);
            });
        }),
        revision("a revision, handed on by the command", |lab| {
            script(lab, "env::var(\"LOAF\").unwrap_or_default()", OWN);
            lab.command(&["sh", "-c", "LOAF=$APP_REVISION cargo build --release"]);
        }),
        revision("a revision, handed on by a wrapper of the compiler", |lab| {
            lab.write_program(
                &lab.outside("wrap"),
                "#!/bin/sh\nexec \"$@\" --cfg \"revision=\\\"$APP_REVISION\\\"\"\n",
            );
            lab.write("src/main.rs", "fn main() { println!(\"{}\", if cfg!(revision = \"one\") { \"one\" } else { \"other\" }); }\n");
            lab.set("RUSTC_WRAPPER", &lab.outside("wrap"));
        }),
        revision("a revision, by a program that is called as a compiler is", |lab| {
            compiled(lab, "bin/cc", PRINTS);
            lab.path_first(&lab.outside("bin"));
            script(lab, "run(&[\"cc\"])", OWN);
        }),
        revision("a revision, by a wrapper that is called as the compiler is", |lab| {
            compiled(
                lab,
                "bin/rustc",
                "char flag[99]; const char *text = getenv(\"APP_REVISION\"); sprintf(flag, \"revision=\\\"%s\\\"\", text ? text : \"\"); char **all = calloc(argc + 2, sizeof *all); for (int i = 1; i < argc; i++) all[i - 1] = argv[i]; all[argc - 1] = \"--cfg\"; all[argc] = flag; return execvp(all[0], all);",
            );
            lab.write("src/main.rs", "fn main() { println!(\"{}\", if cfg!(revision = \"one\") { \"one\" } else { \"other\" }); }\n");
            lab.set("RUSTC_WRAPPER", &lab.outside("bin/rustc"));
        }),
        revision("a revision, by a linker that is called as a compiler is", |lab| {
            compiled(
                lab,
                "bin/x86_64-linux-gnu-gcc",
                "char flag[99]; const char *text = getenv(\"APP_REVISION\"); sprintf(flag, \"-Wl,--defsym=loaf=%zu\", strlen(text ? text : \"\")); char **all = calloc(argc + 2, sizeof *all); for (int i = 1; i < argc; i++) all[i] = argv[i]; all[0] = \"cc\"; all[argc] = flag; return execvp(all[0], all);",
            );
            lab.write(
                ".cargo/config.toml",
                &format!(
                    "[target.x86_64-unknown-linux-gnu]\nlinker = '{}'\n",
                    lab.outside("bin/x86_64-linux-gnu-gcc")
                ),
            );
        }),
        revision("a revision, by a library that is linked into a build script", |lab| {
            let dir = lab.outside("lib");
            lab.write(&format!("{dir}/stamp.c"), "#include <stdlib.h>\n#include <string.h>\nint stamp(void) { const char *text = getenv(\"APP_REVISION\"); return text ? strlen(text) : 0; }\n");
            lab.sh(&format!("cd '{dir}'; cc -c stamp.c -o stamp.o; ar crsD libstamp.a stamp.o; rm stamp.c stamp.o"));
            lab.set("RUSTFLAGS", &format!("-L {dir}"));
            script(
                lab,
                "{ #[link(name = \"stamp\", kind = \"static\")] extern \"C\" { fn stamp() -> i32; } unsafe { stamp() }.to_string() }",
                OWN,
            );
        }),
        case(
            "a revision that is gone",
            Stale,
            |lab| {
                script(lab, READS, OWN);
                lab.set("APP_REVISION", "one");
            },
            |lab| lab.unset("APP_REVISION"),
        ),
        case(
            "a revision that is new",
            Stale,
            |lab| script(lab, READS, OWN),
            |lab| lab.set("APP_REVISION", "one"),
        ),
        unchanged(
            "a revision that nobody reads",
            Right,
            |lab| {
                script(lab, "read(\"data\") + &env::var(\"LOAF\").unwrap_or_default()", OWN);
                lab.write("data", "one");
                lab.set("APP_REVISION", "one");
            },
            |lab| lab.set("APP_REVISION", "three"),
        ),
        unchanged(
            "a revision that only a file names which nobody reads",
            Right,
            |lab| {
                lab.write("deploy.sh", "echo $APP_REVISION\n");
                script(lab, "String::from(\"nothing\")", OWN);
                lab.set("APP_REVISION", "one");
            },
            |lab| lab.set("APP_REVISION", "three"),
        ),
    ]
}

pub fn cases() -> Vec<Case> {
    let mut cases = services();
    cases.extend(revisions());
    cases.extend(general());
    cases
}

fn general() -> Vec<Case> {
    vec![
        variable("a variable of nobody", "LOAF", "one", "two"),
        variable("the language", "LANG", "C", "C.UTF-8"),
        variable("the time zone", "TZ", "UTC", "Asia/Tokyo"),
        variable("the user's name", "USER", "one", "two"),
        variable("the image's version", "IMAGE_VERSION", "1", "2"),
        variable("the image's name", "IMAGE_ID", "one", "two"),
        variable("a proxy", "https_proxy", "http://one", "http://two"),
        variable("SOURCE_DATE_EPOCH", "SOURCE_DATE_EPOCH", "1000", "2000"),
        variable("a profile that mkosi names", "PROFILES", "one", "two"),
        case(
            "a variable that is gone",
            Stale,
            |lab| {
                reads("LOAF")(lab);
                lab.set("LOAF", "one");
            },
            |lab| lab.unset("LOAF"),
        ),
        case("SOURCE_DATE_EPOCH that is new", Stale, reads("SOURCE_DATE_EPOCH"), |lab| {
            lab.set("SOURCE_DATE_EPOCH", "7")
        }),
        case(
            "SOURCE_DATE_EPOCH in a C object",
            Stale,
            |lab| {
                lab.write("src/oven.c", "const char *oven(void) { return __DATE__; }\n");
                lab.write("src/main.rs", "unsafe extern \"C\" { fn oven() -> *const std::ffi::c_char; }\nfn main() { println!(\"{:?}\", unsafe { std::ffi::CStr::from_ptr(oven()) }); }\n");
                lab.write("build.rs", "use std::{env, process::Command};\nfn main() {\n    println!(\"cargo:rerun-if-changed=src/oven.c\");\n    let out = env::var(\"OUT_DIR\").unwrap();\n    println!(\"cargo:rustc-link-search=native={out}\");\n    println!(\"cargo:rustc-link-lib=static=oven\");\n    assert!(Command::new(\"sh\").args([\"-ec\", \"cc -c src/oven.c -o $OUT_DIR/oven.o; ar crs $OUT_DIR/liboven.a $OUT_DIR/oven.o\"]).status().unwrap().success());\n}\n");
                lab.set("SOURCE_DATE_EPOCH", "0");
            },
            |lab| lab.set("SOURCE_DATE_EPOCH", "1000000000"),
        ),
        case(
            "a variable that the script names",
            Right,
            |lab| {
                script(
                    lab,
                    "env::var(\"LOAF\").unwrap_or_default()",
                    &["cargo:rerun-if-env-changed=LOAF"],
                );
            },
            |lab| lab.set("LOAF", "two"),
        ),
        case(
            "a variable in env!",
            Right,
            |lab| {
                lab.write("src/main.rs", "fn main() { println!(\"{}\", env!(\"LOAF\")); }\n");
                lab.set("LOAF", "one");
            },
            |lab| lab.set("LOAF", "two"),
        ),
        case(
            "mkosi's own variable in env!",
            Right,
            |lab| {
                lab.write(
                    "src/main.rs",
                    "fn main() { println!(\"{}\", env!(\"IMAGE_VERSION\")); }\n",
                );
                lab.set("IMAGE_VERSION", "1");
            },
            |lab| lab.set("IMAGE_VERSION", "2"),
        ),
        case(
            "a variable in option_env!",
            Right,
            |lab| {
                lab.write(
                    "src/main.rs",
                    "fn main() { println!(\"{:?}\", option_env!(\"LOAF\")); }\n",
                );
            },
            |lab| lab.set("LOAF", "two"),
        ),
        case(
            "the order of PATH",
            Stale,
            |lab| {
                for name in ["one", "two"] {
                    lab.write_program(
                        &lab.outside(&format!("{name}/oven-gen")),
                        &format!("#!/bin/sh\necho {name}\n"),
                    );
                }
                lab.path_first(&format!("{}:{}", lab.outside("one"), lab.outside("two")));
                script(lab, "run(&[\"oven-gen\"])", &["cargo:rerun-if-changed=build.rs"]);
            },
            |lab| lab.path_first(&format!("{}:{}", lab.outside("two"), lab.outside("one"))),
        ),
        case("another home", Stale, reads("HOME"), |lab| {
            let home = lab.outside("other-home");
            std::fs::create_dir_all(&home).unwrap();
            lab.set("HOME", &home);
        }),
        case("RUSTFLAGS", Right, super::as_is, |lab| lab.set("RUSTFLAGS", "-Copt-level=1")),
        case(
            "RUSTFLAGS with remapping",
            Right,
            |lab| lab.set("RUSTFLAGS", "--remap-path-prefix=/x=/y"),
            |lab| {
                lab.set("RUSTFLAGS", "--remap-path-prefix=/x=/y -Copt-level=1");
            },
        ),
        case(
            "RUSTFLAGS with remapping, and back, an older edit between",
            Right,
            |lab| lab.set("RUSTFLAGS", "--remap-path-prefix=/x=/y"),
            |lab| {
                lab.set("RUSTFLAGS", "--remap-path-prefix=/x=/y -Copt-level=1");
                lab.build();
                lab.edit_old("src/crumb.rs", "one", "two");
                lab.set("RUSTFLAGS", "--remap-path-prefix=/x=/y");
            },
        ),
        case("CARGO_ENCODED_RUSTFLAGS", Right, super::as_is, |lab| {
            lab.set("CARGO_ENCODED_RUSTFLAGS", "-Copt-level=1")
        }),
        case("a profile by a variable", Right, super::as_is, |lab| {
            lab.set("CARGO_PROFILE_RELEASE_LTO", "true")
        }),
        case(
            "native code on another processor",
            Stale,
            |lab| {
                lab.set("RUSTFLAGS", "-Ctarget-cpu=native");
                script(
                    lab,
                    "read(\"/proc/cpuinfo\").lines().find(|line| line.starts_with(\"flags\")).unwrap_or_default().to_owned()",
                    &["cargo:rerun-if-changed=build.rs"],
                );
            },
            |lab| {
                let other = lab.outside("cpuinfo");
                lab.write(&other, "");
                lab.sh(&format!("sed 's/^flags.*/flags\\t\\t: fpu sse sse2/; s/^model name.*/model name\\t: other/' /proc/cpuinfo > '{other}'; mount --bind '{other}' /proc/cpuinfo"));
            },
        ),
        case(
            "features of the command line",
            Right,
            |lab| {
                lab.edit(
                    "Cargo.toml",
                    "edition = '2021'\n",
                    "edition = '2021'\n[features]\nrye = []\n",
                );
                lab.write(
                    "src/main.rs",
                    "fn main() { println!(\"{}\", cfg!(feature = \"rye\")); }\n",
                );
            },
            |lab| lab.command(&["cargo", "build", "--release", "--features", "rye"]),
        ),
        case(
            "features, and back, an older edit between",
            Stale,
            |lab| {
                lab.edit(
                    "Cargo.toml",
                    "edition = '2021'\n",
                    "edition = '2021'\n[features]\nrye = []\n",
                );
            },
            |lab| {
                lab.command(&["cargo", "build", "--release", "--features", "rye"]);
                lab.build();
                lab.edit_old("src/crumb.rs", "one", "two");
                lab.command(&["cargo", "build", "--release"]);
            },
        ),
        case(
            "a default feature of the manifest",
            Right,
            |lab| {
                lab.edit(
                    "Cargo.toml",
                    "edition = '2021'\n",
                    "edition = '2021'\n[features]\nrye = []\n",
                );
                lab.write(
                    "src/main.rs",
                    "fn main() { println!(\"{}\", cfg!(feature = \"rye\")); }\n",
                );
            },
            |lab| lab.edit_old("Cargo.toml", "rye = []", "rye = []\ndefault = ['rye']"),
        ),
        case(
            "a value after -- of rustc",
            Any,
            |lab| lab.command(&["cargo", "rustc", "--release", "--", "-Copt-level=1"]),
            |lab| {
                lab.command(&["cargo", "rustc", "--release", "--", "-Copt-level=2"]);
            },
        ),
        case(
            "a script as command, with another line",
            Stale,
            |lab| {
                lab.write_program(&lab.outside("bake"), "#!/bin/sh\ncargo build --release\n");
                script(
                    lab,
                    "env::var(\"LOAF\").unwrap_or_default()",
                    &["cargo:rerun-if-changed=build.rs"],
                );
                lab.command(&[&lab.outside("bake")]);
            },
            |lab| {
                lab.write_program(
                    &lab.outside("bake"),
                    "#!/bin/sh\nLOAF=two cargo build --release\n",
                )
            },
        ),
        unchanged(
            "what a shell keeps for itself",
            Right,
            |lab| lab.set("SHLVL", "1"),
            |lab| {
                lab.set("SHLVL", "2");
                lab.set("OLDPWD", "/");
            },
        ),
        unchanged("how many jobs run", Right, super::as_is, |lab| lab.set("CARGO_BUILD_JOBS", "1")),
    ]
}

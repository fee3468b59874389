//! The C side: compilers, assembler, linker, headers, libraries, and tools on `PATH`.

use super::Plain::{Any, Right, Stale};
use super::scripts::script;
use super::{Case, case};
use crate::lab::Lab;

/// The program prints what a C function returns; the build script compiles it by itself and names
/// only the C file. `steps` are shell commands that leave `$OUT_DIR/liboven.a`.
fn native(lab: &Lab<'_>, steps: &str) {
    lab.change_system();
    lab.write("src/oven.c", "int oven(void) { return 1; }\n");
    lab.write("src/main.rs", "unsafe extern \"C\" { fn oven() -> i32; }\nfn main() { println!(\"{}\", unsafe { oven() }); }\n");
    lab.write("build.sh", &format!("set -e\n{steps}\n"));
    lab.write(
        "build.rs",
        "use std::{env, process::Command};\nfn main() {\n    println!(\"cargo:rerun-if-changed=src/oven.c\");\n    println!(\"cargo:rustc-link-search=native={}\", env::var(\"OUT_DIR\").unwrap());\n    println!(\"cargo:rustc-link-lib=static=oven\");\n    assert!(Command::new(\"sh\").arg(\"build.sh\").status().unwrap().success());\n}\n",
    );
}

const COMPILE: &str = "${CC:-cc} $CFLAGS -O1 -c src/oven.c -o \"$OUT_DIR/oven.o\"; ar crs \"$OUT_DIR/liboven.a\" \"$OUT_DIR/oven.o\"";

fn compiled(lab: &Lab<'_>) {
    native(lab, COMPILE);
}

fn patched(lab: &Lab<'_>) {
    native(lab, COMPILE);
    lab.write(
        "src/oven.c",
        "int oven(void) {\n#ifdef PATCHED\nreturn 2;\n#else\nreturn 1;\n#endif\n}\n",
    );
}

/// C code that includes a header.
fn with_header(lab: &Lab<'_>, header: &str) {
    native(lab, COMPILE);
    lab.write("src/oven.c", "#include <oven.h>\nint oven(void) { return OVEN; }\n");
    lab.write_old(header, "#define OVEN 1\n");
}

/// Replaces a program of the system by a script that calls it.
fn wrap(lab: &Lab<'_>, path: &str, more: &str) {
    let real = lab.sh(&format!("readlink -f '{path}'"));
    let time = lab.mtime(&real);
    lab.rename(&real, &format!("{real}.real"));
    lab.write_program(&real, &format!("#!/bin/sh\nexec {real}.real {more} \"$@\"\n"));
    lab.time(&real, time);
}

/// A static library at a path, whose function returns a number.
fn library(lab: &Lab<'_>, path: &str, number: u32) {
    lab.sh(&format!("mkdir -p \"$(dirname '{path}')\"; echo 'int oven(void) {{ return {number}; }}' | cc -O1 -x c -c - -o /tmp/oven-$$.o; rm -f '{path}'; ar crs '{path}' /tmp/oven-$$.o; rm /tmp/oven-$$.o"));
    lab.old(path);
}

/// A shared one with a name for the loader, and a link without version beside it.
fn shared(lab: &Lab<'_>, dir: &str, soname: &str) {
    lab.sh(&format!("mkdir -p '{dir}'; echo 'int oven(void) {{ return 1; }}' | cc -O1 -shared -fPIC -Wl,-soname,{soname} -x c - -o '{dir}/{soname}'; ln -sfn {soname} '{dir}/liboven.so'"));
    lab.old(&format!("{dir}/{soname}"));
}

/// The program calls a library that is there already; the build script says where.
fn links(lab: &Lab<'_>, kind: &str, dir: &str) {
    lab.change_system();
    lab.write("src/main.rs", "unsafe extern \"C\" { fn oven() -> i32; }\nfn main() { println!(\"{}\", unsafe { oven() }); }\n");
    lab.write("build.rs", &format!("fn main() {{\n    println!(\"cargo:rerun-if-changed=build.rs\");\n    println!(\"cargo:rustc-link-search=native={dir}\");\n    println!(\"cargo:rustc-link-lib={kind}=oven\");\n}}\n"));
}

fn own_system(lab: &Lab<'_>) {
    lab.change_system();
}

fn triplet(lab: &Lab<'_>) -> String {
    lab.sh("cc -print-multiarch 2>/dev/null || true")
}

fn system_libraries(lab: &Lab<'_>) -> String {
    format!("/usr/lib/{}", triplet(lab))
}

/// A tool that a build script calls by name.
fn tool(lab: &Lab<'_>, path: &str, text: &str) {
    lab.write_program(path, &format!("#!/bin/sh\necho {text}\n"));
}

fn calls(lab: &Lab<'_>, name: &str) {
    lab.change_system();
    script(lab, &format!("run(&[{name:?}, \"--version\"])"), &["cargo:rerun-if-changed=build.rs"]);
}

pub fn cases() -> Vec<Case> {
    vec![
        case("the C file, an older time", Stale, compiled, |lab| {
            lab.edit_old("src/oven.c", "1", "2")
        }),
        case("the C file, a newer time", Right, compiled, |lab| lab.edit("src/oven.c", "1", "2")),
        case(
            "an assembler file, an older time",
            Stale,
            |lab| {
                native(
                    lab,
                    "cc -c src/oven.s -o \"$OUT_DIR/oven.o\"; ar crs \"$OUT_DIR/liboven.a\" \"$OUT_DIR/oven.o\"",
                );
                lab.write(
                    "src/oven.s",
                    "\t.globl oven\noven:\n\tmov $1, %eax\n\tret\n\t.section .note.GNU-stack\n",
                );
            },
            |lab| lab.edit_old("src/oven.s", "$1", "$2"),
        ),
        case(
            "a header in the sources, a newer time",
            Stale,
            |lab| {
                native(lab, &COMPILE.replace("-O1", "-O1 -Isrc"));
                lab.write("src/oven.c", "#include <oven.h>\nint oven(void) { return OVEN; }\n");
                lab.write("src/oven.h", "#define OVEN 1\n");
            },
            |lab| lab.write("src/oven.h", "#define OVEN 2\n"),
        ),
        case(
            "a system header",
            Stale,
            |lab| with_header(lab, "/usr/include/oven.h"),
            |lab| lab.write_old("/usr/include/oven.h", "#define OVEN 2\n"),
        ),
        case(
            "a system header in a directory of its own",
            Stale,
            |lab| {
                with_header(lab, "/usr/include/oven-2/oven.h");
                lab.set("CFLAGS", "-I/usr/include/oven-2");
            },
            |lab| lab.write_old("/usr/include/oven-2/oven.h", "#define OVEN 2\n"),
        ),
        case(
            "a header in /usr/local that comes first",
            Stale,
            |lab| with_header(lab, "/usr/include/oven.h"),
            |lab| lab.write_old("/usr/local/include/oven.h", "#define OVEN 2\n"),
        ),
        case(
            "a header of the compiler's own",
            Stale,
            |lab| {
                native(lab, COMPILE);
                lab.write("src/oven.c", "#include <stdarg.h>\nint oven(void) {\n#ifdef PATCHED\nreturn 2;\n#else\nreturn 1;\n#endif\n}\n");
            },
            |lab| {
                let header = lab.sh("cc -print-file-name=include/stdarg.h");
                lab.sh(&format!(
                    "cp '{header}' x; echo '#define PATCHED' >> x; rm '{header}'; mv x '{header}'"
                ));
                lab.old(&header);
            },
        ),
        case(
            "a header of libc",
            Stale,
            |lab| {
                native(lab, COMPILE);
                lab.write("src/oven.c", "#include <stddef.h>\n#include <stdint.h>\nint oven(void) {\n#ifdef PATCHED\nreturn 2;\n#else\nreturn 1;\n#endif\n}\n");
            },
            |lab| {
                lab.sh("cp /usr/include/stdint.h x; echo '#define PATCHED' >> x; rm /usr/include/stdint.h; mv x /usr/include/stdint.h");
                lab.old("/usr/include/stdint.h");
            },
        ),
        case(
            "a header in a directory that CPATH names",
            Stale,
            |lab| {
                with_header(lab, &lab.outside("include/oven.h"));
                lab.set("CPATH", &lab.outside("include"));
            },
            |lab| lab.write_old(&lab.outside("include/oven.h"), "#define OVEN 2\n"),
        ),
        case(
            "a header in a directory that CFLAGS names",
            Stale,
            |lab| {
                with_header(lab, &lab.outside("include/oven.h"));
                lab.set("CFLAGS", &format!("-I{}", lab.outside("include")));
            },
            |lab| lab.write_old(&lab.outside("include/oven.h"), "#define OVEN 2\n"),
        ),
        case(
            "a header in /opt",
            Stale,
            |lab| {
                with_header(lab, "/opt/oven/include/oven.h");
                lab.write(
                    "build.sh",
                    &format!("set -e\n{}\n", COMPILE.replace("-O1", "-O1 -I/opt/oven/include")),
                );
            },
            |lab| lab.write_old("/opt/oven/include/oven.h", "#define OVEN 2\n"),
        ),
        case("the C compiler", Stale, patched, |lab| wrap(lab, &lab.tool_path("cc"), "-DPATCHED")),
        case("the C compiler's inner program", Stale, patched, |lab| {
            let cc1 = lab.sh("cc -print-prog-name=cc1");
            let real = lab.sh(&format!("readlink -f '{cc1}'"));
            let time = lab.mtime(&real);
            lab.rename(&real, &format!("{real}.real"));
            // It takes its input's name from the place of its options.
            lab.write_program(&real, &format!("#!/bin/sh\nexec {real}.real \"$@\" -DPATCHED\n"));
            lab.time(&real, time);
        }),
        case(
            "what cc leads to",
            Stale,
            |lab| {
                patched(lab);
                lab.link(&lab.tool_path("gcc"), "/usr/local/bin/cc");
            },
            |lab| {
                lab.write_program(
                    "/usr/local/lib/own-cc",
                    "#!/bin/sh\nexec gcc -DPATCHED \"$@\"\n",
                );
                lab.link("/usr/local/lib/own-cc", "/usr/local/bin/cc");
            },
        ),
        case(
            "the alternative that cc leads to",
            Any,
            |lab| {
                patched(lab);
                lab.link("/etc/alternatives/cc", "/usr/local/bin/cc");
                lab.link(&lab.tool_path("gcc"), "/etc/alternatives/cc");
            },
            |lab| {
                lab.write_program("/usr/lib/own-cc", "#!/bin/sh\nexec gcc -DPATCHED \"$@\"\n");
                lab.link("/usr/lib/own-cc", "/etc/alternatives/cc");
            },
        ),
        case(
            "the script that CC names",
            Stale,
            |lab| {
                patched(lab);
                lab.write_program(&lab.outside("own-cc"), "#!/bin/sh\nexec cc \"$@\"\n");
                lab.set("CC", &lab.outside("own-cc"));
            },
            |lab| {
                lab.write_program(&lab.outside("own-cc"), "#!/bin/sh\nexec cc -DPATCHED \"$@\"\n")
            },
        ),
        case(
            "what the script that CC names calls",
            Stale,
            |lab| {
                patched(lab);
                lab.write_program("/usr/local/bin/inner-cc", "#!/bin/sh\nexec cc \"$@\"\n");
                lab.write_program(&lab.outside("own-cc"), "#!/bin/sh\nexec inner-cc \"$@\"\n");
                lab.set("CC", &lab.outside("own-cc"));
            },
            |lab| {
                lab.write_program(
                    "/usr/local/bin/inner-cc",
                    "#!/bin/sh\nexec cc -DPATCHED \"$@\"\n",
                )
            },
        ),
        case("CFLAGS that the build script does not name", Stale, patched, |lab| {
            lab.set("CFLAGS", "-DPATCHED")
        }),
        case("the assembler", Stale, compiled, |lab| {
            wrap(lab, &lab.tool_path("as"), "--defsym patched=1")
        }),
        case(
            "the archiver",
            Stale,
            |lab| {
                lab.change_system();
                script(
                    lab,
                    "{ run(&[\"sh\", \"-c\", \"cd $OUT_DIR; echo one > one; ar crs list.a one; ar t list.a > names\"]); read(&format!(\"{}/names\", env::var(\"OUT_DIR\").unwrap())) }",
                    &["cargo:rerun-if-changed=build.rs"],
                );
            },
            |lab| {
                let real = lab.sh(&format!("readlink -f '{}'", lab.tool_path("ar")));
                lab.rename(&real, &format!("{real}.real"));
                lab.write_program(
                    &real,
                    &format!("#!/bin/sh\n{real}.real \"$@\"\n[ \"$1\" != t ] || echo two\n"),
                );
            },
        ),
        case(
            "the linker that cc calls",
            Stale,
            |lab| {
                native(
                    lab,
                    "cc -O1 -c src/oven.c -o \"$OUT_DIR/one.o\"; ld -r \"$OUT_DIR/one.o\" -o \"$OUT_DIR/oven.o\"; ar crs \"$OUT_DIR/liboven.a\" \"$OUT_DIR/oven.o\"",
                );
            },
            |lab| wrap(lab, &lab.tool_path("ld"), "--defsym patched=1"),
        ),
        case("cc as the program's linker", Stale, super::as_is, |lab| {
            lab.change_system();
            wrap(lab, &lab.tool_path("cc"), "-Wl,--build-id=0x1234");
        }),
        case(
            "the linker that RUSTFLAGS name",
            Stale,
            |lab| {
                lab.write_program(&lab.outside("own-cc"), "#!/bin/sh\nexec cc \"$@\"\n");
                lab.set("RUSTFLAGS", &format!("-Clinker={}", lab.outside("own-cc")));
            },
            |lab| {
                lab.write_program(
                    &lab.outside("own-cc"),
                    "#!/bin/sh\nexec cc -Wl,--build-id=0x1234 \"$@\"\n",
                )
            },
        ),
        case(
            "the linker that the configuration names",
            Stale,
            |lab| {
                lab.write_program(&lab.outside("own-cc"), "#!/bin/sh\nexec cc \"$@\"\n");
                lab.write(
                    ".cargo/config.toml",
                    &format!("[target.'cfg(unix)']\nlinker = '{}'\n", lab.outside("own-cc")),
                );
            },
            |lab| {
                lab.write_program(
                    &lab.outside("own-cc"),
                    "#!/bin/sh\nexec cc -Wl,--build-id=0x1234 \"$@\"\n",
                )
            },
        ),
        case(
            "a linker script that RUSTFLAGS name",
            Stale,
            |lab| {
                lab.write(&lab.outside("versions"), "{ main; one; };\n");
                lab.set(
                    "RUSTFLAGS",
                    &format!("-Clink-arg=-Wl,--dynamic-list={}", lab.outside("versions")),
                );
                lab.write("src/main.rs", "#[unsafe(no_mangle)] pub extern \"C\" fn one() {}\n#[unsafe(no_mangle)] pub extern \"C\" fn two() {}\nfn main() { one(); two(); }\n");
            },
            |lab| lab.write_old(&lab.outside("versions"), "{ main; two; };\n"),
        ),
        case("crt1.o", Stale, own_system, |lab| {
            for name in ["crt1.o", "Scrt1.o"] {
                let path = lab.sh(&format!("readlink -f \"$(cc -print-file-name={name})\""));
                lab.sh(&format!("echo patched > x; objcopy --add-section .oven=x '{path}' y; rm '{path}' x; mv y '{path}'"));
                lab.old(&path);
            }
        }),
        case("crtbeginS.o", Stale, own_system, |lab| {
            for name in ["crtbegin.o", "crtbeginS.o"] {
                let path = lab.sh(&format!("readlink -f \"$(cc -print-file-name={name})\""));
                lab.sh(&format!("echo patched > x; objcopy --add-section .oven=x '{path}' y; rm '{path}' x; mv y '{path}'"));
                lab.old(&path);
            }
        }),
        case(
            "a static library among the system's",
            Stale,
            |lab| {
                links(lab, "static", "/usr/lib");
                library(lab, &format!("{}/liboven.a", system_libraries(lab)), 1);
                lab.edit(
                    "build.rs",
                    "native=/usr/lib",
                    &format!("native={}", system_libraries(lab)),
                );
            },
            |lab| library(lab, &format!("{}/liboven.a", system_libraries(lab)), 2),
        ),
        case(
            "a static library in /opt",
            Stale,
            |lab| {
                links(lab, "static", "/opt/oven/lib");
                library(lab, "/opt/oven/lib/liboven.a", 1);
            },
            |lab| library(lab, "/opt/oven/lib/liboven.a", 2),
        ),
        case(
            "a static library where a variable says",
            Stale,
            |lab| {
                let dir = lab.outside("lib");
                links(lab, "static", &dir);
                lab.set("OVEN_DIR", &dir);
                library(lab, &lab.outside("lib/liboven.a"), 1);
            },
            |lab| library(lab, &lab.outside("lib/liboven.a"), 2),
        ),
        case(
            "a static library that only the build script knows",
            Stale,
            |lab| {
                links(lab, "static", &lab.outside("lib"));
                library(lab, &lab.outside("lib/liboven.a"), 1);
            },
            |lab| library(lab, &lab.outside("lib/liboven.a"), 2),
        ),
        case(
            "a static library in the sources",
            Stale,
            |lab| {
                links(lab, "static", "vendored");
                library(lab, "vendored/liboven.a", 1);
            },
            |lab| library(lab, "vendored/liboven.a", 2),
        ),
        case(
            "a shared library's name for the loader",
            Stale,
            |lab| {
                let dir = system_libraries(lab);
                links(lab, "dylib", &dir);
                shared(lab, &dir, "liboven.so.1");
            },
            |lab| shared(lab, &system_libraries(lab), "liboven.so.2"),
        ),
        case(
            "a shared library where a variable says",
            Stale,
            |lab| {
                let dir = lab.outside("lib");
                links(lab, "dylib", &dir);
                lab.set("OVEN_DIR", &dir);
                shared(lab, &dir, "liboven.so.1");
            },
            |lab| shared(lab, &lab.outside("lib"), "liboven.so.2"),
        ),
        case(
            "a shared library that a build script's tool loads",
            Stale,
            |lab| {
                lab.change_system();
                let dir = lab.outside("lib");
                shared(lab, &dir, "liboven.so.1");
                lab.sh(&format!("echo '#include <stdio.h>\nint oven(void); int main(void) {{ printf(\"%d\", oven()); }}' | cc -x c - -L'{dir}' -loven -o /usr/local/bin/bake"));
                lab.set("LD_LIBRARY_PATH", &dir);
                script(lab, "run(&[\"bake\"])", &["cargo:rerun-if-changed=build.rs"]);
            },
            |lab| {
                let dir = lab.outside("lib");
                lab.sh(&format!("rm '{dir}/liboven.so.1'; echo 'int oven(void) {{ return 2; }}' | cc -shared -fPIC -x c - -o '{dir}/liboven.so.1'"));
                lab.old(&lab.outside("lib/liboven.so.1"));
            },
        ),
        case(
            "a .pc file",
            Stale,
            |lab| {
                lab.change_system();
                lab.write_program("/usr/local/bin/pkg-config", "#!/bin/sh\nfor d in $(echo $PKG_CONFIG_PATH | tr : ' ') /usr/lib/pkgconfig; do [ ! -f $d/$2.pc ] || exec sed -n 's/^Libs: //p' $d/$2.pc; done\n");
                lab.write_old("/usr/lib/pkgconfig/oven.pc", "Libs: -lone\n");
                script(
                    lab,
                    "run(&[\"pkg-config\", \"--libs\", \"oven\"])",
                    &["cargo:rerun-if-env-changed=OVEN"],
                );
            },
            |lab| lab.write_old("/usr/lib/pkgconfig/oven.pc", "Libs: -ltwo\n"),
        ),
        case(
            "a .pc file in a directory that PKG_CONFIG_PATH names",
            Stale,
            |lab| {
                lab.change_system();
                lab.write_program(
                    "/usr/local/bin/pkg-config",
                    "#!/bin/sh\nexec sed -n 's/^Libs: //p' $PKG_CONFIG_PATH/$2.pc\n",
                );
                lab.write_old(&lab.outside("pc/oven.pc"), "Libs: -lone\n");
                lab.set("PKG_CONFIG_PATH", &lab.outside("pc"));
                script(
                    lab,
                    "run(&[\"pkg-config\", \"--libs\", \"oven\"])",
                    &["cargo:rerun-if-env-changed=PKG_CONFIG_PATH"],
                );
            },
            |lab| lab.write_old(&lab.outside("pc/oven.pc"), "Libs: -ltwo\n"),
        ),
        case(
            "cmake",
            Stale,
            |lab| {
                calls(lab, "cmake");
                tool(lab, "/usr/local/bin/cmake", "one");
            },
            |lab| tool(lab, "/usr/local/bin/cmake", "two"),
        ),
        case(
            "a cmake module",
            Stale,
            |lab| {
                lab.change_system();
                tool(lab, "/usr/local/bin/cmake", "$(cat /usr/lib/cmake/Oven/OvenConfig.cmake)");
                lab.write_old("/usr/lib/cmake/Oven/OvenConfig.cmake", "one\n");
                calls(lab, "cmake");
            },
            |lab| lab.write_old("/usr/lib/cmake/Oven/OvenConfig.cmake", "two\n"),
        ),
        case(
            "a tool of the system that nobody knows",
            Stale,
            |lab| {
                calls(lab, "oven-gen");
                tool(lab, "/usr/bin/oven-gen", "one");
            },
            |lab| tool(lab, "/usr/bin/oven-gen", "two"),
        ),
        case(
            "a tool in /usr/local",
            Stale,
            |lab| {
                calls(lab, "oven-gen");
                tool(lab, "/usr/local/bin/oven-gen", "one");
            },
            |lab| tool(lab, "/usr/local/bin/oven-gen", "two"),
        ),
        case(
            "a tool in a directory of PATH",
            Stale,
            |lab| {
                calls(lab, "oven-gen");
                tool(lab, &lab.outside("bin/oven-gen"), "one");
                lab.path_first(&lab.outside("bin"));
            },
            |lab| tool(lab, &lab.outside("bin/oven-gen"), "two"),
        ),
        case(
            "a tool that a symlink in PATH leads to",
            Stale,
            |lab| {
                calls(lab, "oven-gen");
                tool(lab, &lab.outside("tools/oven-gen"), "one");
                lab.link(&lab.outside("tools/oven-gen"), "/usr/local/bin/oven-gen");
            },
            |lab| tool(lab, &lab.outside("tools/oven-gen"), "two"),
        ),
        case(
            "a tool that comes earlier in PATH",
            Stale,
            |lab| {
                calls(lab, "oven-gen");
                tool(lab, "/usr/bin/oven-gen", "one");
            },
            |lab| tool(lab, "/usr/local/bin/oven-gen", "two"),
        ),
        case(
            "a tool that is gone from PATH",
            Stale,
            |lab| {
                calls(lab, "oven-gen");
                tool(lab, "/usr/bin/oven-gen", "one");
                tool(lab, "/usr/local/bin/oven-gen", "two");
            },
            |lab| lab.remove("/usr/local/bin/oven-gen"),
        ),
        case(
            "a module of perl in /usr/local",
            Stale,
            |lab| {
                lab.change_system();
                lab.write_old(
                    "/usr/local/lib/site_perl/Oven.pm",
                    "package Oven; sub kind { 'one' } 1;\n",
                );
                script(
                    lab,
                    "run(&[\"perl\", \"-I/usr/local/lib/site_perl\", \"-MOven\", \"-e\", \"print Oven::kind\"])",
                    &["cargo:rerun-if-changed=build.rs"],
                );
            },
            |lab| {
                lab.write_old(
                    "/usr/local/lib/site_perl/Oven.pm",
                    "package Oven; sub kind { 'two' } 1;\n",
                )
            },
        ),
        case(
            "a module of perl among the system's",
            Stale,
            |lab| {
                lab.change_system();
                lab.write_old("/usr/share/perl5/Oven.pm", "package Oven; sub kind { 'one' } 1;\n");
                script(
                    lab,
                    "run(&[\"perl\", \"-MOven\", \"-e\", \"print Oven::kind\"])",
                    &["cargo:rerun-if-changed=build.rs"],
                );
            },
            |lab| {
                lab.write_old("/usr/share/perl5/Oven.pm", "package Oven; sub kind { 'two' } 1;\n")
            },
        ),
        case(
            "a package of another version",
            Stale,
            |lab| {
                lab.change_system();
                script(
                    lab,
                    "run(&[\"dpkg-query\", \"-W\", \"-f\", \"${Version}\", \"libc6-dev\"])",
                    &["cargo:rerun-if-changed=build.rs"],
                );
                // /var is not below an overlay of the lab.
                lab.sh(&format!(
                    "mkdir '{0}'; cp -a /var/lib/dpkg/. '{0}'; mount --bind '{0}' /var/lib/dpkg",
                    lab.dir().join("dpkg").display()
                ));
            },
            |lab| {
                lab.sh("sed -i '/^Package: libc6-dev$/,/^$/s/^Version: .*/Version: 9.99-1/' /var/lib/dpkg/status");
            },
        ),
    ]
}

//! Which environment variables count, and how they are kept.

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt;

use super::Environment;
use super::services::SERVICES;
use crate::base::digest::Digest;

/// Variables that differ from image to image and from machine to machine. No build should depend
/// on them; if a program that takes part in one names them, they count for it alone. A trailing `*`
/// matches any ending. More of the kind are in [`SERVICES`].
const SELDOM: &[&str] = &[
    // mkosi 25.3 and 27.1 (`run_build_scripts`, `mkosi-chroot`): where things are, who runs it,
    // and for which image; a project is the same in all images.
    "ARTIFACTDIR",
    "BUILDDIR",
    "BUILDROOT",
    "CACHED",
    "CHROOT_*",
    "DESTDIR",
    "IMAGE_ID",
    "IMAGE_VERSION",
    "MKOSI_*",
    "OUTPUTDIR",
    "PACKAGEDIR",
    "PROFILES",
    "SCRIPT",
    "SRCDIR",
    "SYSTEMD_*",
    "WITH_DOCS",
    "WITH_NETWORK",
    "WITH_TESTS",
    "GIT_CONFIG_*",
    "GIT_PROXY_SSL_CAINFO",
    "container",
    // How things are fetched; what is fetched is checked by content.
    "CARGO_HTTP_*",
    "CARGO_NET_*",
    "CURL_CA_BUNDLE",
    "GOAUTH",
    "GOINSECURE",
    "GONOPROXY",
    "GONOSUMDB",
    "GOPRIVATE",
    "GOPROXY",
    "GOSUMDB",
    "GOVCS",
    "GIT_SSL_CAINFO",
    "SSL_CERT_DIR",
    "SSL_CERT_FILE",
    "*_proxy",
    "*_PROXY",
    // How target directories are shared: what restic reads.
    "AWS_*",
    "RESTIC_*",
    // The machine's name and the session: of little use to a build, and yet some read them.
    "DBUS_*",
    "DESKTOP_SESSION",
    "DISPLAY",
    "EDITOR",
    "GPG_TTY",
    "HOSTNAME",
    "INVOCATION_ID",
    "JOURNAL_STREAM",
    "SSH_*",
    "SUDO_*",
    "VISUAL",
    "WAYLAND_DISPLAY",
    "XAUTHORITY",
    "XDG_*",
];

/// Variables that say nothing about what is built.
const IGNORED: &[&str] = &[
    // What a shell keeps for itself.
    "_",
    "OLDPWD",
    "PWD",
    "SHLVL",
    "PS1",
    "PS2",
    "PS4",
    "HISTFILE",
    "HISTSIZE",
    // The terminal and the session.
    "COLORTERM",
    "COLUMNS",
    "LESS*",
    "LINES",
    "LISTEN_*",
    "LS_COLORS",
    "MAIL",
    "MANAGERPID",
    "NO_COLOR",
    "PAGER",
    "SESSION_MANAGER",
    "STY",
    "TERM",
    "TERMINFO",
    "TERM_*",
    "TMUX*",
    "WINDOWID",
    "CARGO_TERM_*",
    // How many jobs run at a time.
    "CARGO_BUILD_JOBS",
    "CARGO_MAKEFLAGS",
    "MAKEFLAGS",
    "MAKELEVEL",
    "MFLAGS",
    "NUM_JOBS",
    // Part of the state of the sources, because it changes with every commit.
    "SOURCE_DATE_EPOCH",
    // larder's own.
    "LARDER_*",
];

/// Variables by which whole builds are decided: what programs and libraries are found by, how compilers and the tools
/// beside them are told to work, language and time, and names that build scripts put together from pieces: for a
/// target, a library, a place, flags. All that is not like these counts for those who name it (decision 95). A `*`
/// matches anything.
const DECIDING: &[&str] = &[
    // Where and by what programs run.
    "BASH_ENV",
    "ENV",
    "GCONV_PATH",
    "GLIBC_*",
    "HOME",
    "HOSTALIASES",
    "IFS",
    "LD_*",
    "LOCALDOMAIN",
    "LOCPATH",
    "MALLOC_*",
    "NIX_*",
    "NLSPATH",
    "PATH",
    "POSIXLY_CORRECT",
    "QEMU*",
    "RES_OPTIONS",
    "SHELL",
    "TEMP",
    "TMP",
    "TMPDIR",
    // Language and time.
    "FAKETIME*",
    "LANG",
    "LANGUAGE",
    "LC_*",
    "TZ",
    "TZDIR",
    // Rust.
    "CARGO*",
    "RUST*",
    "CLIPPY_*",
    "MIRI*",
    "SCCACHE*",
    "CCACHE*",
    "__CARGO*",
    // Compilers, and what they find things by; also with a target in the name.
    "AR",
    "AR_*",
    "ARFLAGS*",
    "AS",
    "AS_*",
    "CC",
    "CC_*",
    "CFLAGS*",
    "CLANG*",
    "COLLECT_*",
    "COMPILER_PATH",
    "CPATH",
    "CPP",
    "CPPFLAGS*",
    "CPLUS_*",
    "CXX",
    "CXX_*",
    "CXXFLAGS*",
    "CXXSTDLIB*",
    "DEPENDENCIES_OUTPUT",
    "FC",
    "FFLAGS*",
    "GCC_*",
    "LD",
    "LDFLAGS*",
    "LIBCLANG*",
    "LIBRARY_PATH",
    "LLVM*",
    "NM",
    "NM_*",
    "OBJC*",
    "OBJCOPY*",
    "RANLIB*",
    "STRIP*",
    "CROSS_*",
    "HOST*",
    "TARGET*",
    "BINDGEN*",
    "MACOSX_*",
    // Other tools and languages.
    "ACLOCAL*",
    "AUTO*",
    "CMAKE*",
    "CGO_*",
    "DEB_*",
    "DPKG*",
    "FAKEROOT*",
    "GEM_*",
    "GIT_*",
    "GO*",
    "JAVA*",
    "JDK*",
    "LUA*",
    "M4*",
    "MAKE*",
    "MESON*",
    "NASM*",
    "NINJA*",
    "NODE*",
    "NPM*",
    "npm_*",
    "NUM_JOBS",
    "OPENSSL*",
    "PERL*",
    "PKG_CONFIG*",
    "PROTOC*",
    "PYENV*",
    "PYO3*",
    "PYTHON*",
    "RUBY*",
    "SYSTEM_DEPS*",
    "TCL*",
    "VCPKG*",
    "VIRTUAL_ENV",
    "YASM*",
    // What build scripts put together: a library's place, kind and flags.
    "*FLAGS",
    "*_DIR",
    "*_DIRS",
    "*_HOME",
    "*_LIB",
    "*_LIBS",
    "*_NO_PKG_CONFIG",
    "*_NO_VENDOR",
    "*_PATH",
    "*_PREFIX",
    "*_ROOT",
    "*_STATIC",
    "*_SYS_*",
    "*_TARGET",
    "*_VENDORED",
    "*_LINK",
    "*_INCLUDE",
];

/// Shorter names, and those of one word, stand in every text.
const SHORT: usize = 6;

/// The variables that count.
pub(super) fn counting(environment: &Environment, ignored: &[String]) -> Environment {
    let ignores = |name: &OsStr| {
        let fits = |pattern: &str| matches(pattern, name.as_bytes());
        IGNORED.iter().any(|pattern| fits(pattern))
            || seldom_patterns().any(fits)
            || ignored.iter().any(|pattern| fits(pattern))
    };
    let counts = environment.iter().filter(|(name, _)| !ignores(name));
    counts.map(|(name, value)| (name.clone(), value.clone())).collect()
}

/// Variables that count by a part of them, or for a part of who builds: what `make` is told to set (`make(1)`: what is no
/// option), and the date, where more is kept than Cargo's, of which it is known which unit reads it.
pub(super) fn in_part(environment: &Environment, is_cargo_alone: bool) -> Environment {
    let mut part = Environment::new();
    let told = environment.get(OsStr::new("MAKEFLAGS")).map_or(&b""[..], |value| value.as_bytes());
    let words = told.split(u8::is_ascii_whitespace);
    let set: Vec<&[u8]> =
        words.filter(|word| !word.starts_with(b"-") && word.contains(&b'=')).collect();
    if !set.is_empty() {
        part.insert("MAKEFLAGS".into(), OsStr::from_bytes(&set.join(&b' ')).to_owned());
    }
    let date = environment.get_key_value(OsStr::new("SOURCE_DATE_EPOCH"));
    let date = date.filter(|_| !is_cargo_alone);
    part.extend(date.map(|(name, value)| (name.clone(), value.clone())));
    part
}

/// Of the variables that count, those that count for everybody, and those that do for who may have read them: names of
/// several words, in capital letters, that no value of another variable has and nothing that is `said`. Where nobody
/// is watched, all count for everybody.
pub(super) fn split<'t>(
    counting: &'t Environment,
    said: impl Iterator<Item = &'t [u8]>,
    is_watched: bool,
) -> (Environment, Environment) {
    if !is_watched {
        return (counting.clone(), Environment::new());
    }
    let texts: Vec<&[u8]> = counting.values().map(|value| value.as_bytes()).chain(said).collect();
    let for_all = |name: &[u8]| {
        let is_plain =
            |byte: &u8| byte.is_ascii_uppercase() || byte.is_ascii_digit() || *byte == b'_';
        name.len() < SHORT
            || !name[0].is_ascii_uppercase()
            || !name.iter().all(is_plain)
            || !name.contains(&b'_')
            || DECIDING.iter().any(|pattern| matches(pattern, name))
            || texts.iter().any(|text| memchr::memmem::find(text, name).is_some())
    };
    counting.clone().into_iter().partition(|(name, _)| for_all(name.as_bytes()))
}

/// The variables that count only for programs that name them, as digests: those that are known before, and others.
pub(super) fn named(environment: &Environment, others: &Environment) -> BTreeMap<String, Digest> {
    let usual = environment.iter().filter(|(name, _)| is_seldom(name.as_bytes()));
    let of = |(name, value): (&OsString, &OsString)| {
        (super::shown(name.as_bytes()), Digest::of(value.as_bytes()))
    };
    usual.chain(others).map(of).collect()
}

/// Whether a variable is one of those of which is known before that they count for who names them.
pub(crate) fn is_seldom(name: impl AsRef<[u8]>) -> bool {
    seldom_patterns().any(|pattern| matches(pattern, name.as_ref()))
}

/// What the names of variables that count only for those who name them look like.
pub(super) fn seldom_patterns() -> impl Iterator<Item = &'static str> {
    SELDOM.iter().chain(SERVICES).copied()
}

/// Whether a variable is one of those that files of the sources count for too. mkosi's own are not:
/// image repositories name them everywhere.
pub(crate) fn is_of_services(name: &str) -> bool {
    SERVICES.iter().any(|pattern| matches(pattern, name.as_bytes()))
}

/// Whether a name fits a pattern; a `*` at an end of it matches anything.
pub(super) fn matches(pattern: &str, name: &[u8]) -> bool {
    match (pattern.strip_suffix('*'), pattern.strip_prefix('*')) {
        (Some(start), Some(_)) => memchr::memmem::find(name, &start.as_bytes()[1..]).is_some(),
        (Some(start), None) => name.starts_with(start.as_bytes()),
        (None, Some(end)) => name.ends_with(end.as_bytes()),
        (None, None) => name == pattern.as_bytes(),
    }
}

/// The variables as text.
pub(super) fn shown(counting: &Environment) -> BTreeMap<String, String> {
    let text = |(name, value): (&OsString, &OsString)| {
        (super::shown(name.as_bytes()), super::shown(value.as_bytes()))
    };
    counting.iter().map(text).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn environment(pairs: &[(&str, &str)]) -> Environment {
        pairs.iter().map(|(name, value)| (name.into(), value.into())).collect()
    }

    #[test]
    fn what_make_is_told_to_set_counts_and_the_date_where_go_is_kept() {
        let part = |makeflags: &str, is_cargo_alone| {
            let all = [("MAKEFLAGS", makeflags), ("SOURCE_DATE_EPOCH", "7"), ("TERM", "x")];
            in_part(&environment(&all), is_cargo_alone)
        };
        let told = "w -j2 --jobserver-auth=fifo:/tmp/GMfifo7 -- REV=a B=c";
        assert_eq!(part(told, true), environment(&[("MAKEFLAGS", "REV=a B=c")]));
        assert_eq!(part("ks", true), Environment::new());
        assert_eq!(part("", false), environment(&[("SOURCE_DATE_EPOCH", "7")]));
    }

    #[test]
    fn noise_does_not_count_and_all_else_does() {
        let all = environment(&[
            ("IMAGE_VERSION", "1"),
            ("SHLVL", "2"),
            ("MKOSI_UID", "0"),
            ("https_proxy", "x"),
            ("RUSTFLAGS", "-Cx"),
            ("HOME", "/"),
            ("FOO", "1"),
            ("CI_JOB", "7"),
            ("CI_NODE", "8"),
        ]);
        let names: Vec<_> = counting(&all, &["CI_*".into()]).into_keys().collect();
        assert_eq!(names, ["FOO", "HOME", "RUSTFLAGS"]);
    }

    #[test]
    fn what_decides_for_everybody_is_told_from_what_somebody_has_to_read() {
        let all = environment(&[
            ("APP_REVISION", "1"),
            ("CC_x86_64_unknown_linux_gnu", "1"),
            ("CI", "1"),
            ("EMBED", "GIVEN_BY_NAME"),
            ("FLAVOUR", "1"),
            ("GIVEN_BY_NAME", "1"),
            ("GIVEN_IN_CONFIG", "1"),
            ("LC_ALL", "1"),
            ("ODD_NAME.", "1"),
            ("RUSTFLAGS", "1"),
            ("SODIUM_LIB_DIR", "1"),
            ("LZ4_SYS_USE", "1"),
        ]);
        let config = &b"[env]\nX = 'GIVEN_IN_CONFIG'"[..];
        let (for_all, others) = split(&all, [config].into_iter(), true);
        let names: Vec<_> = others.into_keys().collect();
        assert_eq!(names, ["APP_REVISION"]);
        assert_eq!(for_all.len(), 11);
        assert_eq!(split(&all, [config].into_iter(), false).0, all);
    }
}

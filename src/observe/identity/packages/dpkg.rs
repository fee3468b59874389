//! dpkg's database: `status`, and `info/*.list` and `info/*.md5sums` (`dpkg(1)`, 1.21 and 1.22).
//!
//! In mkosi 25.3 the base image lies on top of the layer with the build packages, so that
//! `status` does not know them while their `info` files are there. A package with files and
//! without a status counts as installed, its version and dependencies as unknown (decision 13).
//!
//! A package that is nothing but shared libraries never counts by itself: adding `curl` to an
//! image brings libraries, some of which the build tools had brought in before. Libraries count
//! where they are loaded or linked ([`super::super::libraries`]), and where they are named as
//! build packages: a build script may open `libclang` by itself.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use super::{Packages, PackagesError, Question, short};
use crate::observe::identity::{PackageMode, places};

/// The list of packages, relative to the root.
pub(super) const STATUS: &str = "var/lib/dpkg/status";
/// What each package installed, relative to the root.
pub(super) const INFO: &str = "var/lib/dpkg/info";

/// Programs that make their package count, with or without a version behind the name.
const BUILD_TOOLS: [&str; 32] = [
    "ar",
    "as",
    "autoconf",
    "automake",
    "bindgen",
    "bison",
    "c++",
    "cargo",
    "cc",
    "clang",
    "cmake",
    "cpp",
    "flex",
    "g++",
    "gcc",
    "gfortran",
    "go",
    "ld",
    "ld.gold",
    "ld.lld",
    "libtool",
    "m4",
    "make",
    "meson",
    "mold",
    "nasm",
    "ninja",
    "pkg-config",
    "pkgconf",
    "protoc",
    "rustc",
    "yasm",
];

/// Directories whose files never reach a compilation.
const IDLE: [&str; 8] = [
    "usr/share/doc/",
    "usr/share/man/",
    "usr/share/locale/",
    "usr/share/lintian/",
    "usr/share/bug/",
    "usr/share/doc-base/",
    "usr/share/info/",
    "usr/share/gcc/python/",
];

#[derive(Debug, Default)]
struct Package {
    version: String,
    essential: bool,
    depends: Vec<Vec<String>>,
    provides: Vec<String>,
    files: Vec<String>,
    checksums: Vec<u8>,
}

/// The packages that count, of those that are installed.
pub(super) fn observe(question: &Question<'_>) -> Result<Packages, PackagesError> {
    let status = question.root.join(STATUS);
    let text = std::fs::read(&status).map_err(PackagesError::new(&status))?;
    let text = String::from_utf8_lossy(&text);
    let mut installed = parse(&text);
    let listed = read_files(question.root, &mut installed, &removed(&text))?;
    let counts = match question.mode {
        PackageMode::Sandbox => installed.keys().cloned().collect(),
        PackageMode::Build => closure(&installed, seeds(&installed, &listed, question)),
    };
    let sandbox = question.mode == PackageMode::Sandbox;
    let named = named(question.build_packages);
    let mut packages = Packages { manager: "dpkg".to_owned(), ..Packages::default() };
    for (name, package) in &installed {
        let by_itself = || package.is_named(name, &named) || !package.is_only_libraries();
        if sandbox || (counts.contains(name) && by_itself()) {
            let value = format!("{} {}", package.version, short(&package.checksums));
            packages.tracked.insert(name.clone(), value);
        } else {
            let files = package.files.iter().filter(|path| places::may_count(Path::new(path)));
            packages.foreign.extend(files.map(|path| path.clone().into_bytes()));
        }
    }
    Ok(packages)
}

/// Installed packages by `name:architecture`, from the text of `status`.
fn parse(text: &str) -> BTreeMap<String, Package> {
    let mut installed = BTreeMap::new();
    for paragraph in text.split("\n\n") {
        let field = |name: &str| {
            let line = paragraph.lines().find_map(|line| line.strip_prefix(name));
            line.and_then(|rest| rest.strip_prefix(':')).map_or("", str::trim)
        };
        if field("Package").is_empty() || !field("Status").ends_with(" installed") {
            continue;
        }
        let depends = [field("Pre-Depends"), field("Depends")];
        let depends = depends.iter().flat_map(|list| list.split(','));
        let package = Package {
            version: field("Version").to_owned(),
            essential: field("Essential") == "yes" || field("Priority") == "required",
            depends: depends.map(|any| any.split('|').map(bare_name).collect()).collect(),
            provides: field("Provides").split(',').map(bare_name).collect(),
            ..Package::default()
        };
        installed.insert(format!("{}:{}", field("Package"), field("Architecture")), package);
    }
    installed
}

/// Packages that are removed, by bare name: they keep the list of their configuration files.
fn removed(text: &str) -> BTreeSet<&str> {
    let mut name = "";
    let mut removed = BTreeSet::new();
    for line in text.lines() {
        if let Some(value) = line.strip_prefix("Package: ") {
            name = value.trim();
        }
        if line.starts_with("Status: ") && line.ends_with(" config-files") {
            removed.insert(name);
        }
    }
    removed
}

/// The packages that are named as build packages; a path or a pattern names none.
fn named(build_packages: &[String]) -> BTreeSet<String> {
    build_packages.iter().map(|name| bare_name(name)).filter(|name| !name.is_empty()).collect()
}

/// `libc6` of `libc6:any (>= 2.36)`, `rustc` of `rustc/trixie-backports` or `rustc=1.85`.
fn bare_name(text: &str) -> String {
    let end = |c: char| c.is_whitespace() || "(:/=[<".contains(c);
    text.trim().split(end).next().unwrap_or_default().to_owned()
}

/// Reads what the packages installed. Packages that only `info` knows are added, and returned.
fn read_files(
    root: &Path,
    installed: &mut BTreeMap<String, Package>,
    removed: &BTreeSet<&str>,
) -> Result<BTreeSet<String>, PackagesError> {
    let info = root.join(INFO);
    let mut listed = BTreeSet::new();
    for name in super::listing(&info)? {
        let Some(stem) = name.strip_suffix(".list") else { continue };
        let (bare, _) = stem.split_once(':').unwrap_or((stem, ""));
        let key = if stem.contains(':') {
            Some(stem.to_owned()).filter(|key| installed.contains_key(key))
        } else {
            let range = format!("{bare}:")..format!("{bare};");
            installed.range(range).next().map(|(key, _)| key.clone())
        };
        if key.is_none() && removed.contains(bare) {
            continue;
        }
        let path = info.join(&name);
        let list = std::fs::read(&path).map_err(PackagesError::new(&path))?;
        let checksums = std::fs::read(info.join(format!("{stem}.md5sums"))).unwrap_or_default();
        let key = key.unwrap_or_else(|| {
            listed.insert(stem.to_owned());
            stem.to_owned()
        });
        let package = installed.entry(key).or_default();
        package.files = String::from_utf8_lossy(&list).lines().map(places::usr_merged).collect();
        package.checksums = checksums;
    }
    // A package that was removed and forgotten may have left its list behind.
    let is_remnant = |name: &String| {
        installed.get(name).is_none_or(|p| !p.files.iter().any(|file| file.starts_with("/usr/")))
    };
    let remnants: Vec<String> = listed.iter().filter(|name| is_remnant(name)).cloned().collect();
    for name in remnants {
        installed.remove(&name);
        listed.remove(&name);
    }
    for package in installed.values_mut().filter(|package| package.version.is_empty()) {
        "?".clone_into(&mut package.version);
    }
    Ok(listed)
}

fn seeds(
    installed: &BTreeMap<String, Package>,
    listed: &BTreeSet<String>,
    question: &Question<'_>,
) -> BTreeSet<String> {
    let wanted = named(question.build_packages);
    let is_seed = |(name, package): &(&String, &Package)| {
        package.is_named(name, &wanted)
            || package.essential
            || listed.contains(*name)
            || package.files.iter().any(|file| develops(file))
    };
    installed.iter().filter(is_seed).map(|(name, _)| name.clone()).collect()
}

/// Whether a file is of the kind that development packages and compilers ship.
fn develops(file: &str) -> bool {
    let path = Path::new(file);
    let name = path.file_name().map(|name| name.to_string_lossy()).unwrap_or_default();
    let ending = name.rsplit_once('.').map_or("", |(_, ending)| ending);
    if file.starts_with("/usr/include/") {
        return true;
    }
    if file.starts_with("/usr/bin/") {
        let tool = name.trim_end_matches(|c: char| c.is_ascii_digit() || c == '.' || c == '-');
        let tool = tool.rsplit_once("-linux-gnu-").map_or(tool, |(_, tool)| tool);
        return BUILD_TOOLS.contains(&tool) || BUILD_TOOLS.contains(&&*name);
    }
    let in_library_directory = path.parent().is_some_and(places::is_library_directory);
    ending == "pc"
        || in_library_directory
            && (["a", "o", "la"].contains(&ending) || (name.starts_with("lib") && ending == "so"))
}

/// The packages and everything that they depend on, as far as it is installed.
fn closure(installed: &BTreeMap<String, Package>, seeds: BTreeSet<String>) -> BTreeSet<String> {
    let mut providers: BTreeMap<String, Vec<&String>> = BTreeMap::new();
    for (name, package) in installed {
        providers.entry(bare_name(name)).or_default().push(name);
        for provided in package.provides.iter().filter(|provided| !provided.is_empty()) {
            providers.entry(provided.clone()).or_default().push(name);
        }
    }
    let mut open: Vec<String> = seeds.iter().cloned().collect();
    let mut closure = seeds;
    while let Some(name) = open.pop() {
        let wanted =
            installed.get(&name).into_iter().flat_map(|package| package.depends.iter().flatten());
        for dependency in wanted.flat_map(|wanted| providers.get(wanted).into_iter().flatten()) {
            if closure.insert((*dependency).clone()) {
                open.push((*dependency).clone());
            }
        }
    }
    closure
}

impl Package {
    /// Whether it, or something that it provides, is among the named ones.
    fn is_named(&self, name: &str, named: &BTreeSet<String>) -> bool {
        let bare = bare_name(name);
        named.contains(&bare) || self.provides.iter().any(|provided| named.contains(provided))
    }

    /// Whether all its files that could matter are shared libraries. The checksums name files only;
    /// the list names directories too, empty ones among them.
    fn is_only_libraries(&self) -> bool {
        let text = String::from_utf8_lossy(&self.checksums);
        let names = text.lines().filter_map(|line| line.split_once("  ")).map(|(_, name)| name);
        let matters = |name: &&str| !IDLE.iter().any(|idle| name.starts_with(idle));
        let is_library = |name: &str| {
            let file = name.rsplit('/').next().unwrap_or_default();
            let in_place = places::usr_merged(&format!("/{name}")).starts_with("/usr/lib");
            in_place && file.split('.').skip(1).any(|part| part == "so")
        };
        let mut files = names.filter(matters).peekable();
        !self.essential && files.peek().is_some() && files.all(is_library)
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    struct Database(tempfile::TempDir);

    impl Database {
        fn new() -> Self {
            let database = Self(tempfile::tempdir().unwrap());
            fs::create_dir_all(database.0.path().join(INFO)).unwrap();
            fs::write(database.0.path().join(STATUS), "").unwrap();
            database.add("dpkg", "Essential: yes\n", &["/usr/bin/dpkg"]);
            database.add("gcc", "Depends: libisl23, cpp (>= 1) | other\n", &["/usr/bin/gcc-14"]);
            database.add("cpp", "", &["/usr/libexec/cpp-data"]);
            database.add("libisl23", "", &["/usr/lib/x86_64-linux-gnu/libisl.so.23"]);
            database.add("zlib1g-dev", "", &["/usr/include/zlib.h"]);
            database
        }

        fn add(&self, name: &str, fields: &str, files: &[&str]) {
            let status = self.0.path().join(STATUS);
            let text = fs::read_to_string(&status).unwrap();
            let own = format!(
                "Package: {name}\nStatus: install ok installed\nArchitecture: amd64\nVersion: 1\n{fields}\n"
            );
            fs::write(status, text + &own).unwrap();
            self.add_files(name, files);
        }

        fn add_files(&self, name: &str, files: &[&str]) {
            let info = self.0.path().join(INFO);
            fs::write(
                info.join(format!("{name}.list")),
                format!("/.\n/usr\n/usr/lib\n{}\n", files.join("\n")),
            )
            .unwrap();
            let sums = files.iter().map(|file| format!("0123  {}\n", file.trim_start_matches('/')));
            let sums: String = sums.collect();
            fs::write(info.join(format!("{name}.md5sums")), sums).unwrap();
        }

        fn ask(&self, mode: PackageMode, build: &[&str]) -> Packages {
            let build: Vec<String> = build.iter().map(ToString::to_string).collect();
            super::super::observe(self.0.path(), mode, &build, None).unwrap().0
        }

        fn names(&self, build: &[&str]) -> Vec<String> {
            self.ask(PackageMode::Build, build).tracked.into_keys().collect()
        }
    }

    #[test]
    fn the_closure_of_what_builds_counts_and_pure_libraries_do_not() {
        let database = Database::new();
        assert_eq!(
            database.names(&[]),
            ["cpp:amd64", "dpkg:amd64", "gcc:amd64", "zlib1g-dev:amd64"]
        );
    }

    #[test]
    fn an_unrelated_package_changes_nothing_but_what_is_foreign() {
        let database = Database::new();
        let before = database.ask(PackageMode::Build, &[]);
        database.add("curl", "Depends: libcurl4\n", &["/usr/bin/curl"]);
        database.add(
            "libcurl4",
            "",
            &["/usr/lib/x86_64-linux-gnu/libcurl.so.4", "/usr/share/doc/libcurl4/copyright"],
        );
        let after = database.ask(PackageMode::Build, &[]);
        assert_eq!(after.tracked, before.tracked);
        for file in ["/usr/bin/curl", "/usr/lib/x86_64-linux-gnu/libcurl.so.4"] {
            assert!(after.foreign.contains(file.as_bytes()), "{file}");
        }
        assert_eq!(database.ask(PackageMode::Sandbox, &[]).tracked.len(), 7);
    }

    #[test]
    fn build_packages_count_with_suite_version_and_what_they_provide() {
        let database = Database::new();
        database.add(
            "tool-real",
            "Provides: tool (= 1)\nDepends: helper:any\n",
            &["/usr/bin/tool"],
        );
        database.add("helper", "", &["/usr/share/helper/data"]);
        assert!(!database.names(&[]).contains(&"helper:amd64".to_owned()));
        for wanted in ["tool", "tool/trixie-backports", "tool-real=1", "tool-real:amd64"] {
            assert!(database.names(&[wanted]).contains(&"helper:amd64".to_owned()), "{wanted}");
        }
    }

    #[test]
    fn packages_that_only_info_knows_are_installed_and_removed_ones_are_not() {
        let database = Database::new();
        database.add_files("rustc", &["/usr/bin/rustc"]);
        fs::write(database.0.path().join(INFO).join("gone.list"), "/etc/gone.conf\n").unwrap();
        let packages = database.ask(PackageMode::Build, &[]);
        assert!(packages.tracked["rustc"].starts_with("? "));
        assert!(!packages.tracked.contains_key("gone"));
    }

    #[test]
    fn a_new_version_of_a_development_package_is_seen() {
        let database = Database::new();
        let before = database.ask(PackageMode::Build, &[]);
        let status = database.0.path().join(STATUS);
        let text = fs::read_to_string(&status).unwrap();
        fs::write(&status, text.replace("Package: zlib1g-dev\nStatus: install ok installed\nArchitecture: amd64\nVersion: 1", "Package: zlib1g-dev\nStatus: install ok installed\nArchitecture: amd64\nVersion: 2")).unwrap();
        let after = database.ask(PackageMode::Build, &[]);
        assert_ne!(after.tracked["zlib1g-dev:amd64"], before.tracked["zlib1g-dev:amd64"]);
    }

    #[test]
    fn paths_and_patterns_name_no_package() {
        let database = Database::new();
        database.add("curl", "", &["/usr/bin/curl"]);
        assert_eq!(
            database.names(&["/work/own.deb", "./own.deb", "", "~nrust"]),
            database.names(&[])
        );
    }

    #[test]
    fn a_library_that_is_named_as_a_build_package_counts() {
        let database = Database::new();
        assert!(database.names(&["libisl23"]).contains(&"libisl23:amd64".to_owned()));
        let foreign = database.ask(PackageMode::Build, &["libisl23"]).foreign;
        assert!(!foreign.contains(b"/usr/lib/x86_64-linux-gnu/libisl.so.23".as_slice()));
    }

    #[test]
    fn the_files_that_a_removed_package_left_do_not_make_it_installed() {
        let database = Database::new();
        let status = database.0.path().join(STATUS);
        let text = fs::read_to_string(&status).unwrap();
        let gone = "Package: gone\nStatus: deinstall ok config-files\nArchitecture: amd64\n\n";
        fs::write(&status, text + gone).unwrap();
        database.add_files("gone", &["/usr/lib/gone/kept.conf"]);
        let names = database.names(&[]);
        assert!(!names.iter().any(|name| name.starts_with("gone")), "{names:?}");
    }

    #[test]
    fn alternatives_and_merged_directories_are_understood() {
        let database = Database::new();
        database.add("maker", "Depends: absent | present (>= 2)\n", &["/usr/bin/make"]);
        database.add("present", "", &["/usr/share/present/data"]);
        database.add("other", "", &["/lib/x86_64-linux-gnu/libother.so.1"]);
        let packages = database.ask(PackageMode::Build, &[]);
        assert!(packages.tracked.contains_key("present:amd64"));
        let library = b"/usr/lib/x86_64-linux-gnu/libother.so.1".as_slice();
        assert!(packages.foreign.contains(library));
    }

    #[test]
    fn checksums_that_are_replaced_in_place_are_noticed() {
        let database = Database::new();
        let root = database.0.path();
        let (first, cache) = super::super::observe(root, PackageMode::Build, &[], None).unwrap();
        fs::write(root.join(INFO).join("zlib1g-dev.md5sums"), "other").unwrap();
        let (other, _) =
            super::super::observe(root, PackageMode::Build, &[], Some(&cache)).unwrap();
        assert_ne!(first.tracked["zlib1g-dev:amd64"], other.tracked["zlib1g-dev:amd64"]);
    }

    #[test]
    fn the_cache_is_believed_only_while_the_database_is_the_same() {
        let database = Database::new();
        let root = database.0.path();
        let (first, cache) = super::super::observe(root, PackageMode::Build, &[], None).unwrap();
        let (same, cache) =
            super::super::observe(root, PackageMode::Build, &[], Some(&cache)).unwrap();
        assert_eq!(first, same);
        database.add("nasm", "", &["/usr/bin/nasm"]);
        let (other, _) =
            super::super::observe(root, PackageMode::Build, &[], Some(&cache)).unwrap();
        assert!(other.tracked.contains_key("nasm:amd64"));
    }
}

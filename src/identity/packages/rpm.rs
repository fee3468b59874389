//! rpm's database, by asking `rpm`: every package counts.

use std::path::Path;
use std::process::{Command, Stdio};

use super::{Packages, PackagesError};

/// Where the database may be, relative to the root.
pub const DATABASES: [&str; 2] = ["usr/lib/sysimage/rpm", "var/lib/rpm"];

/// One line a package: what it is, and the digest of its header and files.
const FORMAT: &str = "%{NAME}.%{ARCH}\t%{EVR} %{SHA256HEADER}\n";

/// All installed packages, or nothing where there is no rpm database. That rpm cannot be started
/// although it has a database is an error: nothing then says what is installed.
pub fn observe(root: &Path) -> Result<Option<Packages>, PackagesError> {
    let Some(database) = DATABASES.iter().map(|path| root.join(path)).find(|path| path.is_dir())
    else {
        return Ok(None);
    };
    let output = Command::new("rpm")
        .arg("--root")
        .arg(root)
        .args(["-qa", "--qf", FORMAT])
        .stdin(Stdio::null())
        .output()
        .map_err(PackagesError::new(&database))?;
    Ok(Some(parse(&String::from_utf8_lossy(&output.stdout))))
}

fn parse(text: &str) -> Packages {
    let lines = text.lines().filter_map(|line| line.split_once('\t'));
    let tracked = lines.map(|(name, value)| (name.to_owned(), value.to_owned())).collect();
    Packages { manager: "rpm".to_owned(), tracked, ..Packages::default() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_become_packages() {
        let packages = parse("zlib.x86_64\t1.3-2 abc\ngcc.x86_64\t14 def\n");
        assert_eq!(packages.tracked["zlib.x86_64"], "1.3-2 abc");
        assert_eq!(packages.tracked.len(), 2);
    }
}

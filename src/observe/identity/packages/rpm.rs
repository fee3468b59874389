//! rpm's database, by asking `rpm`: every package counts.

use std::io;
use std::path::Path;
use std::process::{Command, Output, Stdio};

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
        .and_then(succeeded)
        .map_err(PackagesError::new(&database))?;
    Ok(Some(parse(&String::from_utf8_lossy(&output.stdout))))
}

/// An answer that broke off must not pass for a short list of packages.
fn succeeded(output: Output) -> io::Result<Output> {
    if output.status.success() {
        return Ok(output);
    }
    let words = String::from_utf8_lossy(&output.stderr);
    Err(io::Error::other(format!(
        "rpm -qa: {}: {}; mend rpm's database, such as with rpm --rebuilddb",
        output.status,
        words.trim()
    )))
}

fn parse(text: &str) -> Packages {
    let lines = text.lines().filter_map(|line| line.split_once('\t'));
    let tracked = lines.map(|(name, value)| (name.to_owned(), value.to_owned())).collect();
    Packages { manager: "rpm".to_owned(), tracked, ..Packages::default() }
}

#[cfg(test)]
mod tests {
    use std::os::unix::process::ExitStatusExt;
    use std::process::ExitStatus;

    use super::*;

    #[test]
    fn a_failed_query_is_an_error() {
        let output = |code: i32| Output {
            status: ExitStatus::from_raw(code << 8),
            stdout: Vec::new(),
            stderr: b"error: cannot open Packages database".to_vec(),
        };
        assert!(succeeded(output(0)).is_ok());
        assert!(succeeded(output(1)).unwrap_err().to_string().contains("cannot open"));
    }

    #[test]
    fn lines_become_packages() {
        let packages = parse("zlib.x86_64\t1.3-2 abc\ngcc.x86_64\t14 def\n");
        assert_eq!(packages.tracked["zlib.x86_64"], "1.3-2 abc");
        assert_eq!(packages.tracked.len(), 2);
    }
}

//! rpm's database, by asking `rpm`: every package counts.

use std::io;
use std::path::Path;
use std::process::Command;

use super::{Packages, PackagesError};
use crate::base::program::{self, Answer};

/// Where the database may be, relative to the root.
pub(super) const DATABASES: [&str; 2] = ["usr/lib/sysimage/rpm", "var/lib/rpm"];

/// One line a package: what it is, and the digest of its header and files.
const FORMAT: &str = "%{NAME}.%{ARCH}\t%{EVR} %{SHA256HEADER}\n";

/// All installed packages, or nothing where there is no rpm database. That rpm cannot be started
/// although it has a database is an error: nothing then says what is installed.
pub(super) fn observe(root: &Path) -> Result<Option<Packages>, PackagesError> {
    let Some(database) = DATABASES.iter().map(|path| root.join(path)).find(|path| path.is_dir())
    else {
        return Ok(None);
    };
    let mut command = Command::new("rpm");
    command.arg("--root").arg(root).args(["-qa", "--qf", FORMAT]);
    let answer = program::ask(command, "listing packages").map_err(io::Error::other);
    let answer = answer.and_then(succeeded).map_err(PackagesError::new(&database))?;
    Ok(Some(parse(&String::from_utf8_lossy(&answer.text))))
}

/// An answer that broke off must not pass for a short list of packages.
fn succeeded(answer: Answer) -> io::Result<Answer> {
    if answer.status.success() {
        return Ok(answer);
    }
    Err(io::Error::other(format!(
        "rpm -qa: {}: {}; mend rpm's database, such as with rpm --rebuilddb",
        answer.status,
        answer.complaint.trim()
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
        let answer = |code: i32| Answer {
            status: ExitStatus::from_raw(code << 8),
            text: Vec::new(),
            complaint: "error: cannot open Packages database".to_owned(),
        };
        assert!(succeeded(answer(0)).is_ok());
        let error = succeeded(answer(1)).err().unwrap();
        assert!(error.to_string().contains("cannot open"));
    }

    #[test]
    fn lines_become_packages() {
        let packages = parse("zlib.x86_64\t1.3-2 abc\ngcc.x86_64\t14 def\n");
        assert_eq!(packages.tracked["zlib.x86_64"], "1.3-2 abc");
        assert_eq!(packages.tracked.len(), 2);
    }
}

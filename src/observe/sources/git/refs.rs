//! Refs by name and value: loose ones first, then what `packed-refs` has besides.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::Path;

use crate::base::regular;

/// A ref is a name or an object's.
const LONGEST: u64 = 1 << 16;

/// Refs by name (`refs/tags/v1`), each with the content of its file: an object or another ref.
pub(super) type Refs = BTreeMap<Vec<u8>, Vec<u8>>;

/// The refs of a repository: those of `common`, and a linked working tree's own.
pub(super) fn read(git_dir: &Path, common: &Path) -> io::Result<Refs> {
    let packed = or_empty(regular::read(&common.join("packed-refs"), regular::TEXT))?;
    let mut refs: Refs = packed_refs(&packed).collect();
    loose(&common.join("refs"), b"refs", &mut refs)?;
    if git_dir != common {
        loose(&git_dir.join("refs"), b"refs", &mut refs)?;
    }
    Ok(refs)
}

/// What `HEAD` stands for: the object it names, through refs where it is symbolic.
pub(super) fn resolve(head: &[u8], refs: &Refs) -> Option<Vec<u8>> {
    let mut value = head.trim_ascii();
    for _ in 0..5 {
        let Some(name) = value.strip_prefix(b"ref:") else {
            return Some(value.to_vec());
        };
        value = refs.get(name.trim_ascii())?;
    }
    None
}

fn or_empty(result: io::Result<Vec<u8>>) -> io::Result<Vec<u8>> {
    match result {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Vec::new()),
        other => other,
    }
}

/// `<object> <name>` a line; `#` begins the header and `^` what a tag above points to.
fn packed_refs(content: &[u8]) -> impl Iterator<Item = (Vec<u8>, Vec<u8>)> {
    content.split(|byte| *byte == b'\n').filter_map(|line| {
        if line.starts_with(b"#") || line.starts_with(b"^") {
            return None;
        }
        let space = line.iter().position(|byte| *byte == b' ')?;
        Some((line[space + 1..].to_vec(), line[..space].to_vec()))
    })
}

fn loose(directory: &Path, name: &[u8], refs: &mut Refs) -> io::Result<()> {
    use std::os::unix::ffi::OsStrExt;
    let entries = match fs::read_dir(directory) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        other => other?,
    };
    for entry in entries {
        let entry = entry?;
        let below = [name, b"/", entry.file_name().as_bytes()].concat();
        if entry.file_type()?.is_dir() {
            loose(&entry.path(), &below, refs)?;
        } else if !below.ends_with(b".lock") {
            let value = or_empty(regular::read(&entry.path(), LONGEST))?;
            refs.insert(below, value.trim_ascii().to_vec());
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn head_is_resolved_through_packed_and_loose_refs() {
        let packed = b"# pack-refs with: peeled fully-peeled sorted \n11 refs/heads/main\n22 refs/tags/v1\n^33\n";
        let mut refs: Refs = packed_refs(packed).collect();
        assert_eq!(refs.len(), 2);
        refs.insert(b"refs/x".to_vec(), b"ref: refs/heads/main".to_vec());
        assert_eq!(resolve(b"ref: refs/x\n", &refs), Some(b"11".to_vec()));
        assert_eq!(resolve(b"44\n", &refs), Some(b"44".to_vec()));
        assert_eq!(resolve(b"ref: refs/none", &refs), None);
    }
}

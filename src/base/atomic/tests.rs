//! Records, and the bytes that they always had.

use super::*;

/// Compares bytes with those of a file in `tests/formats`: what is written there has to be read by every larder
/// that knows the format's number. `LARDER_RENEW=1` writes the file, for a new number.
pub(crate) fn assert_golden(name: &str, bytes: &[u8]) {
    let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/formats").join(name);
    if std::env::var_os("LARDER_RENEW").is_some() {
        std::fs::write(&path, bytes).unwrap();
    }
    let golden = std::fs::read(&path).unwrap();
    let (golden, bytes) = (golden.escape_ascii().to_string(), bytes.escape_ascii().to_string());
    assert_eq!(bytes, golden, "the form of {name} is another: raise the format's number");
}

#[test]
fn any_damage_to_a_binary_record_is_noticed() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("record");
    write_binary(&path, &vec!["flour".to_owned(), "salt".to_owned()]).unwrap();
    let whole = std::fs::read(&path).unwrap();
    assert_eq!(read_binary::<Vec<String>>(&path).unwrap().unwrap(), ["flour", "salt"]);
    for index in 0..whole.len() {
        let mut bytes = whole.clone();
        bytes[index] ^= 1;
        std::fs::write(&path, &bytes).unwrap();
        assert!(read_binary::<Vec<String>>(&path).is_err(), "flipped bit in byte {index}");
        std::fs::write(&path, &whole[..index]).unwrap();
        assert!(read_binary::<Vec<String>>(&path).is_err(), "cut at {index}");
    }
}

#[test]
fn a_binary_record_has_the_bytes_that_it_always_had() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("record");
    write_binary(&path, &vec!["flour".to_owned(), "salt".to_owned()]).unwrap();
    assert_golden("record", &std::fs::read(&path).unwrap());
}

#[test]
fn a_binary_record_of_another_format_is_no_record() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("record");
    write_binary(&path, &vec!["flour".to_owned()]).unwrap();
    let whole = std::fs::read(&path).unwrap();
    for other in [b"larder3\n", b"larder5\n", b"another\n"] {
        std::fs::write(&path, [&other[..], &whole[MAGIC.len()..]].concat()).unwrap();
        let read = read_binary::<Vec<String>>(&path);
        assert!(matches!(read, Err(RecordError::Damaged { .. })), "{other:?}");
        assert_eq!(undamaged(read).unwrap(), None);
    }
}

#[test]
fn a_failed_write_leaves_the_old_record() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("record");
    write(&path, b"old", 0o644).unwrap();
    assert!(write(&dir.path().join("record/below"), b"new", 0o644).is_err());
    assert_eq!(std::fs::read(&path).unwrap(), b"old");
    assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 1);
}

#[test]
fn a_full_disk_is_told_by_its_name() {
    struct Full;
    impl Write for Full {
        fn write(&mut self, _: &[u8]) -> io::Result<usize> {
            Err(io::Error::from_raw_os_error(28))
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }
    let error = serialize(&vec!["one"; 9], Full).unwrap_err();
    assert_eq!(error.raw_os_error(), Some(28));
}

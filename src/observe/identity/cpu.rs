//! The processor, where a build is told to use all that it has.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;

use super::Environment;
use super::cargo_config::CargoConfig;

/// What tells rustc, LLVM and C compilers to look at the processor.
const NATIVE: [&[u8]; 5] =
    [b"target-cpu=native", b"tune-cpu=native", b"march=native", b"mtune=native", b"mcpu=native"];

/// Model and flags of the processor if anything asks for it, else nothing.
pub(super) fn native(
    counting: &Environment,
    command: &[Vec<u8>],
    config: &CargoConfig,
) -> Option<String> {
    let mut texts = counting.values().map(|value| OsStr::as_bytes(value));
    let asks =
        texts.any(asks) || command.iter().any(|word| asks(word)) || asks(config.text.as_bytes());
    asks.then(processor)
}

fn asks(text: &[u8]) -> bool {
    NATIVE.iter().any(|native| text.windows(native.len()).any(|window| window == *native))
}

/// The lines of `/proc/cpuinfo` that decide code generation, of the first processor.
fn processor() -> String {
    let text = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let first = text.split("\n\n").next().unwrap_or_default();
    let decides = |line: &&str| {
        let key = line.split(':').next().unwrap_or_default().trim();
        let keys = ["vendor_id", "cpu family", "model", "model name", "stepping", "flags"];
        let arm = ["Features", "CPU implementer", "CPU architecture", "CPU variant", "CPU part"];
        keys.contains(&key) || arm.contains(&key)
    };
    first.lines().filter(decides).collect::<Vec<_>>().join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_build_that_asks_gets_the_processor() {
        let config = CargoConfig::default();
        let flags = |value: &str| [("RUSTFLAGS".into(), value.into())].into();
        let with = native(&flags("-Ctarget-cpu=native"), &[], &config);
        assert!(with.is_some_and(|text| text.contains("flags") || text.contains("Features")));
        assert_eq!(native(&flags("-Ctarget-cpu=x86-64"), &[], &config), None);
        assert!(native(&flags(""), &[b"gcc -march=native".to_vec()], &config).is_some());
    }
}

//! What is in the depot. The path of its own file shows what a build does with paths.

include!(concat!(env!("OUT_DIR"), "/shelves.rs"));

/// Where this was compiled, as a panic would say it.
pub fn place() -> &'static str {
    std::panic::Location::caller().file()
}

/// In words.
pub fn in_words() -> String {
    format!("{SHELVES} shelves, by {}", file!())
}

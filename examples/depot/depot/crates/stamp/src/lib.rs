//! Says of which commit the program is that calls it: as the image's build tells it, or else as git does.

#[doc(hidden)]
pub use described::described as __described;

/// The revision, in the program that says it.
#[macro_export]
macro_rules! revision {
    () => {
        match option_env!("DEPOT_BUILD_GIT_REVISION") {
            Some(revision) => revision,
            None => $crate::__described!(),
        }
    };
}

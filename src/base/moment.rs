//! Moments, as files have them.

use std::fs::Metadata;
use std::ops::Add;
use std::os::unix::fs::MetadataExt;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde::{Deserialize, Serialize};

const SECOND: i64 = 1_000_000_000;

/// A moment: nanoseconds since the epoch, negative before 1970.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
#[serde(transparent)]
pub struct Moment(pub i64);

impl Moment {
    /// Before everything.
    pub const MIN: Self = Self(i64::MIN);
    /// After everything.
    pub const MAX: Self = Self(i64::MAX);

    /// The present one.
    pub fn now() -> Self {
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Self(i64::try_from(since.as_nanos()).unwrap_or(i64::MAX))
    }

    /// Seconds since the epoch and nanoseconds besides, as the kernel tells them.
    pub fn of(seconds: i64, nanoseconds: i64) -> Self {
        Self(seconds.saturating_mul(SECOND).saturating_add(nanoseconds))
    }

    /// The modification time of a file.
    pub fn modified(metadata: &Metadata) -> Self {
        Self::of(metadata.mtime(), metadata.mtime_nsec())
    }

    /// The access time of a file.
    pub fn accessed(metadata: &Metadata) -> Self {
        Self::of(metadata.atime(), metadata.atime_nsec())
    }

    /// How far two are apart, whichever is first.
    pub fn apart(self, other: Self) -> Duration {
        Duration::from_nanos(self.0.abs_diff(other.0))
    }

    /// Whether a filesystem that notes whole seconds may have noted it.
    pub fn is_whole(self) -> bool {
        self.0 % SECOND == 0
    }

    /// The same as a file's time.
    pub fn file_time(self) -> filetime::FileTime {
        let fraction = u32::try_from(self.0.rem_euclid(SECOND)).unwrap_or(0);
        filetime::FileTime::from_unix_time(self.0.div_euclid(SECOND), fraction)
    }
}

impl Add<Duration> for Moment {
    type Output = Self;

    /// So much later; the last moment there is, if it is no more.
    fn add(self, span: Duration) -> Self {
        Self(self.0.saturating_add(i64::try_from(span.as_nanos()).unwrap_or(i64::MAX)))
    }
}

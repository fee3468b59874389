//! Sizes, shares, times and what something takes, as people write them and as they are meant.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// Allocated bytes and inodes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Usage {
    pub bytes: u64,
    pub inodes: u64,
}

impl Usage {
    /// Both together; what cannot be counted any more stays at the largest number.
    #[must_use]
    pub(crate) fn plus(self, other: Self) -> Self {
        Self {
            bytes: self.bytes.saturating_add(other.bytes),
            inodes: self.inodes.saturating_add(other.inodes),
        }
    }

    /// What is left without the other.
    #[must_use]
    pub(crate) fn minus(self, other: Self) -> Self {
        Self {
            bytes: self.bytes.saturating_sub(other.bytes),
            inodes: self.inodes.saturating_sub(other.inodes),
        }
    }
}

/// A size in bytes, written as `20GiB` or `500MB`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct ByteSize(pub u64);

/// A size, or a share of the filesystem and of its inodes, written as `10%`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Amount {
    /// So many bytes.
    Bytes(ByteSize),
    /// So many hundredths of a percent.
    Share(u64),
}

/// A stretch of time, written as `30d` or `12h`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Span(pub Duration);

/// A text that is no size, share or time.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum ParseLimitError {
    /// Where a size has to be, as in `max-size`. Exit code 2 on the command line.
    #[error("`{0}` is no size; write it as 20GiB or 500MB")]
    Size(String),
    /// Where a share may be, as in `min-free`. Exit code 2 on the command line.
    #[error("`{0}` is no share; write it as 10%, at most 100%")]
    Share(String),
    /// Where a time to wait has to be, as in `wait`. Exit code 2 on the command line.
    #[error("`{0}` is no time to wait; write it as 10m, or forever")]
    Wait(String),
    /// Where a time has to be, as in `max-age`. Exit code 2 on the command line.
    #[error("`{0}` is no time; write it as 30d or 12h")]
    Time(String),
}

impl ByteSize {
    /// Two times as much.
    #[must_use]
    pub(crate) fn twice(self) -> Self {
        Self(self.0.saturating_mul(2))
    }
}

impl FromStr for ByteSize {
    type Err = ParseLimitError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let wrong = || ParseLimitError::Size(text.to_owned());
        let size: bytesize::ByteSize = text.trim().parse().map_err(|_| wrong())?;
        Ok(Self(size.as_u64()))
    }
}

impl FromStr for Amount {
    type Err = ParseLimitError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let Some(number) = text.trim().strip_suffix('%') else {
            return text.parse().map(Self::Bytes);
        };
        let wrong = || ParseLimitError::Share(text.to_owned());
        let (whole, fraction) = number.trim().split_once('.').unwrap_or((number.trim(), "0"));
        let plain = |digits: &str| digits.bytes().all(|digit| digit.is_ascii_digit());
        if !plain(whole) || !plain(fraction) || fraction.is_empty() || fraction.len() > 2 {
            return Err(wrong());
        }
        let whole: u64 = whole.parse().map_err(|_| wrong())?;
        let fraction: u64 = format!("{fraction:0<2}").parse().map_err(|_| wrong())?;
        let share = whole.checked_mul(100).and_then(|whole| whole.checked_add(fraction));
        share.filter(|share| *share <= 10_000).map(Self::Share).ok_or_else(wrong)
    }
}

impl FromStr for Span {
    type Err = ParseLimitError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if text.trim() == "0" {
            return Ok(Self::default());
        }
        let wrong = || ParseLimitError::Time(text.to_owned());
        humantime::parse_duration(text.trim()).map(Self).map_err(|_| wrong())
    }
}

impl fmt::Display for ByteSize {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&humansize::format_size(self.0, humansize::BINARY.decimal_places(1)))
    }
}

impl fmt::Display for Amount {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Bytes(size) => size.fmt(f),
            Self::Share(share) if share % 100 == 0 => write!(f, "{}%", share / 100),
            Self::Share(share) => write!(f, "{}.{:02}%", share / 100, share % 100),
        }
    }
}

impl fmt::Display for Span {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let seconds = self.0.as_secs();
        match seconds {
            0..=119 => write!(f, "{seconds} s"),
            120..=7199 => write!(f, "{} min", seconds / 60),
            7200..=172_799 => write!(f, "{} h", seconds / 3600),
            _ => write!(f, "{} d", seconds / 86_400),
        }
    }
}

/// Written as text in the policy file, and as plain numbers in reports.
macro_rules! as_text {
    ($($name:ty),*) => {$(
        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(input: D) -> Result<Self, D::Error> {
                String::deserialize(input)?.parse().map_err(serde::de::Error::custom)
            }
        }
    )*};
}

as_text!(ByteSize, Amount, Span);

impl Serialize for ByteSize {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_u64(self.0)
    }
}

impl Amount {
    /// How much of a whole it is, rounded up; sizes in bytes say nothing of inodes.
    pub(crate) fn of(self, whole: u64) -> u64 {
        match self {
            Self::Bytes(size) => size.0,
            Self::Share(share) => {
                let part = (u128::from(whole) * u128::from(share)).div_ceil(10_000);
                u64::try_from(part).unwrap_or(u64::MAX)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_shares_and_times_are_read_as_people_write_them() {
        let size = |text: &str| text.parse::<ByteSize>().map(|size| size.0);
        assert_eq!(size("20GiB"), Ok(20 << 30));
        assert_eq!(size("500MB"), Ok(500_000_000));
        assert_eq!(size("0"), Ok(0));
        assert_eq!("10%".parse(), Ok(Amount::Share(1000)));
        assert_eq!("2.5 %".parse(), Ok(Amount::Share(250)));
        assert_eq!("5GiB".parse(), Ok(Amount::Bytes(ByteSize(5 << 30))));
        assert_eq!("30d".parse(), Ok(Span(Duration::from_secs(30 * 86_400))));
        assert_eq!("0".parse(), Ok(Span(Duration::ZERO)));
        for wrong in ["", "many", "-1GiB", "1 elephant", "GiB"] {
            assert!(wrong.parse::<ByteSize>().is_err(), "{wrong}");
        }
        for wrong in ["101%", "%", "-1%", "1.%", "1.234%", "x%", "99999999999999999999%"] {
            assert!(wrong.parse::<Amount>().is_err(), "{wrong}");
        }
        for wrong in ["", "soon", "30", "-1d"] {
            assert!(wrong.parse::<Span>().is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_share_of_anything_fits() {
        assert_eq!(Amount::Share(10_000).of(u64::MAX), u64::MAX);
        assert_eq!(Amount::Share(1).of(1), 1);
        assert_eq!(Amount::Share(0).of(u64::MAX), 0);
    }

    #[test]
    fn what_is_read_is_printed_alike() {
        for text in ["10%", "2.50%", "0.05%"] {
            assert_eq!(text.parse::<Amount>().unwrap().to_string(), text);
        }
        assert_eq!("1024".parse::<ByteSize>().unwrap().to_string(), "1 KiB");
        assert_eq!("36h".parse::<Span>().unwrap().to_string(), "36 h");
    }
}

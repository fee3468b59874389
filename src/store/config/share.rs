//! `[share]` of `larder.toml`: how target directories are shared between machines.

use std::path::PathBuf;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::{ConfigError, File};
use crate::base::quantity::{ByteSize, Span};
use crate::store::Store;

/// When `larder run` pushes by itself.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum PushWhen {
    /// Only `larder push` does.
    #[default]
    Never,
    /// After a successful build that compiled something.
    OnSuccess,
}

/// When `larder run` pulls by itself.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum PullWhen {
    /// Only `larder pull` does.
    #[default]
    Never,
    /// When there is no directory yet, or nothing was ever built in it.
    WhenCold,
}

/// What `[share]` says.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub(crate) struct Sharing {
    /// What restic takes as `--repo`.
    pub repository: String,
    /// The file with the repository's password.
    pub password_file: PathBuf,
    /// The private key that signs what this machine pushes; without it, it cannot push.
    pub signing_key: Option<PathBuf>,
    /// The principal that the key signs as, in the list of allowed signers.
    pub signer: Option<String>,
    /// The list of allowed signers (`ssh-keygen(1)`); without it nothing is pulled or pushed.
    pub allowed_signers: Option<PathBuf>,
    /// Keys that are accepted no longer: a KRL or a list of keys.
    pub revoked: Option<PathBuf>,
    /// If it is there, only these principals are accepted.
    pub accept: Option<Vec<String>>,
    /// When `larder run` pushes by itself.
    #[serde(default)]
    pub push: PushWhen,
    /// When `larder run` pulls by itself.
    #[serde(default)]
    pub pull: PullWhen,
    /// How long what this machine pushes may be pulled.
    #[serde(default = "a_month")]
    pub expires: Span,
    /// So many pushes of each scope stay in `larder share gc`.
    #[serde(default = "two")]
    pub keep: usize,
    /// What the repository may take after `larder share gc`.
    pub max_size: Option<ByteSize>,
    /// How long one call of restic may take, and all calls of a pull together.
    #[serde(default = "ten_minutes")]
    pub timeout: Span,
}

fn a_month() -> Span {
    Span(Duration::from_secs(30 * 86_400))
}

fn two() -> usize {
    2
}

fn ten_minutes() -> Span {
    Span(Duration::from_secs(600))
}

/// What the store's policy says of sharing; nothing where it says nothing.
pub(crate) fn sharing(store: &Store) -> Result<Option<Sharing>, ConfigError> {
    Ok(File::read(store)?.share)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_said_is_the_default_and_what_is_misspelt_is_refused() {
        let needed = "[share]\nrepository = '/r'\npassword-file = '/p'\n";
        let share = |text: &str| File::parse(&format!("{needed}{text}")).map(|file| file.share);
        let plain = share("").unwrap().unwrap();
        assert_eq!((plain.push, plain.pull), (PushWhen::Never, PullWhen::Never));
        assert_eq!((plain.expires, plain.keep, plain.timeout), (a_month(), 2, ten_minutes()));
        assert_eq!(plain.accept, None, "no list is another thing than an empty one");
        let said =
            share("push = 'on-success'\npull = 'when-cold'\naccept = []\n").unwrap().unwrap();
        assert_eq!((said.push, said.pull), (PushWhen::OnSuccess, PullWhen::WhenCold));
        assert_eq!(said.accept, Some(Vec::new()));
        for wrong in
            ["push = 'always'", "pull = true", "expires = 30", "signers = 'x'", "keep = -1"]
        {
            assert!(share(wrong).is_err(), "{wrong}");
        }
        assert!(File::parse("[share]\nrepository = '/r'\n").is_err());
        assert_eq!(File::parse("").unwrap().share, None);
    }
}

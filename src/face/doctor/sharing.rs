//! Sharing between machines, where it is configured: restic, and the files that `[share]` names.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use super::Check;
use crate::output;
use crate::store::config::Sharing;
use crate::work::share::{Share, patterns};

/// What pulling and pushing needs; the server is not asked.
pub(crate) fn sharing(share: &Share<'_>) -> Vec<Check> {
    const NAME: &str = "sharing";
    let settings = share.settings();
    let program = match share.version() {
        Ok(version) => Check::ok(NAME, format!("restic {version}, {}", share.repository())),
        Err(error) => Check::warning(
            NAME,
            output::one_line(&error.into()),
            "until then nothing is pulled or pushed, and builds are cold instead",
        ),
    };
    let mut checks = vec![program];
    checks.extend(files(settings));
    checks.extend(settings.allowed_signers.as_deref().and_then(|list| names(list, settings)));
    if checks.len() == 1 {
        let role = match (&settings.signing_key, &settings.allowed_signers) {
            (_, None) => "no allowed-signers: nothing is pulled or pushed",
            (None, Some(_)) => "no signing-key: this machine pulls only",
            (Some(_), Some(_)) => {
                "this machine pulls and pushes; whoever has the repository's password reads what is pushed"
            }
        };
        checks.push(Check::ok("sharing keys", role));
    }
    checks
}

/// Whether a key may sign as whoever it likes.
fn names(list: &Path, settings: &Sharing) -> Option<Check> {
    // That it cannot be read is said already.
    let lines = patterns(list).ok().filter(|lines| !lines.is_empty())?;
    let lines: Vec<String> = lines.iter().map(usize::to_string).collect();
    let passes = match settings.accept {
        Some(_) => ", and so passes `accept`",
        None => "",
    };
    Some(Check::warning(
        "sharing keys",
        format!(
            "in {}, line {}: a pattern, or an authority, lets a key sign as anybody who matches{passes}",
            list.display(),
            lines.join(", ")
        ),
        "write each name out in the list of allowed signers, one key behind it",
    ))
}

/// What is wrong with the files.
fn files(settings: &Sharing) -> Vec<Check> {
    let secret = [Some(&settings.password_file), settings.signing_key.as_ref()];
    let lists = [settings.allowed_signers.as_ref(), settings.revoked.as_ref()];
    let secret = secret.into_iter().flatten().filter_map(|path| look(path, 0o077, "read"));
    let lists = lists.into_iter().flatten().filter_map(|path| look(path, 0o022, "change"));
    secret.chain(lists).collect()
}

/// Whether a file is not there, or others may do to it what they must not.
fn look(path: &Path, forbidden: u32, verb: &str) -> Option<Check> {
    const NAME: &str = "sharing keys";
    let shown = path.display();
    let metadata = match fs::metadata(path) {
        Ok(metadata) => metadata,
        Err(error) => {
            return Some(Check::warning(
                NAME,
                format!("cannot read {shown}: {error}"),
                "correct [share] in larder.toml, or put the file there",
            ));
        }
    };
    let mode = metadata.permissions().mode() & 0o777;
    let is_open = mode & forbidden != 0;
    is_open.then(|| {
        Check::warning(
            NAME,
            format!("others may {verb} {shown} (mode {mode:o})"),
            format!("chmod {:o} {shown}, unless everybody may have it", mode & !forbidden),
        )
    })
}

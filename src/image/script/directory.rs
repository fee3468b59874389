//! The directory in which a script's command runs, as far as the script says it.

use std::path::PathBuf;

use super::lexer::{Before, Piece, Word};

/// A directory as a script names it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum ScriptDirectory {
    /// Where mkosi starts scripts: `/work/src`.
    Start,
    /// A path, possibly with variables; nothing in it needs quotes but these.
    Path(String),
    /// The same, relative to where the script starts.
    Below(String),
    /// The same, but named by an option of the command.
    Option(String),
    /// It cannot be told.
    Unknown,
}

/// What may be in a path that is copied to another place in the script.
fn is_plain(text: &str) -> bool {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"/._+@${}-".contains(&byte);
    !text.is_empty() && text.bytes().all(plain)
}

/// Takes the quotes around a whole word away; nothing if it is quoted in another way.
pub(crate) fn unquoted(raw: &str) -> Option<&str> {
    let inner = |quote: char| raw.strip_prefix(quote)?.strip_suffix(quote);
    let text = inner('"').or_else(|| inner('\'').filter(|text| !text.contains('$'))).unwrap_or(raw);
    (!text.contains(['\'', '"', '\\', '*', '?', '['])).then_some(text)
}

impl ScriptDirectory {
    /// Reads a path that a script names.
    pub(super) fn read(raw: &str) -> Self {
        let Some(text) = unquoted(raw) else { return Self::Unknown };
        Self::of(text)
    }

    /// The same in a text that a shell has in double quotes: single quotes in it are plain there, and
    /// do not keep that shell from replacing variables.
    pub(super) fn read_nested(raw: &str) -> Self {
        let inner = raw.strip_prefix('\'').and_then(|text| text.strip_suffix('\''));
        match inner {
            Some(text) if !text.contains(['\'', '"', '\\']) => Self::of(text),
            Some(_) => Self::Unknown,
            None => Self::read(raw),
        }
    }

    pub(super) fn of(text: &str) -> Self {
        let text = if text.len() > 1 { text.trim_end_matches('/') } else { text };
        let is_start = ["$SRCDIR", "${SRCDIR}", "/work/src"].contains(&text);
        let climbs = text.split('/').any(|part| part == "..");
        match text {
            _ if is_start => Self::Start,
            _ if !is_plain(text) || climbs || text == "." => Self::Unknown,
            path if path.starts_with('/') => Self::Path(path.to_owned()),
            path if path.starts_with('$') && path.contains('/') => Self::Path(path.to_owned()),
            path if path.starts_with('$') => Self::Unknown,
            path => Self::Below(path.trim_start_matches("./").to_owned()),
        }
    }

    /// The directory of a manifest that an option names; nothing if it is the current one.
    pub(super) fn of_manifest(self) -> Option<Self> {
        let (Self::Path(path) | Self::Below(path)) = self else { return Some(Self::Unknown) };
        match path.strip_suffix("Cargo.toml") {
            Some("") => None,
            Some(dir) if dir.ends_with('/') => {
                Some(Self::Option(dir.trim_end_matches('/').to_owned()))
            }
            _ => Some(Self::Unknown),
        }
    }

    /// The variable that names the project there.
    pub(super) fn variable(&self) -> Option<&str> {
        let (Self::Path(path) | Self::Below(path) | Self::Option(path)) = self else { return None };
        let (_, last) = path.rsplit_once('/')?;
        variable(last)
    }

    /// The name of the project there, as a word of the shell; `start` is that of the first directory.
    pub(super) fn name(&self, start: Option<&str>) -> Option<String> {
        let path = match self {
            Self::Start => return start.map(str::to_owned),
            Self::Path(path) | Self::Below(path) | Self::Option(path) => path,
            Self::Unknown => return None,
        };
        let last = path.rsplit('/').next()?;
        if let Some(variable) = variable(last) {
            // What it holds may be a path.
            return path.contains('/').then(|| format!("\"${{{variable}##*/}}\""));
        }
        if ["$SRCDIR", "$BUILDDIR", "$BUILDROOT"].contains(&last) || last.contains('$') {
            return None;
        }
        is_name(last).then(|| last.to_owned())
    }

    /// What `--source` is for a command that starts in the directory: nothing where the default is right.
    pub(super) fn option(&self) -> Option<String> {
        match self {
            Self::Start | Self::Path(_) | Self::Below(_) => Some(String::new()),
            Self::Option(path) => Some(path.clone()),
            Self::Unknown => None,
        }
    }

    /// The same for a command that starts in the directory inside of the sandbox, seen from outside.
    pub(super) fn outside(&self) -> Option<String> {
        let path = match self {
            Self::Start => "$SRCDIR".to_owned(),
            Self::Below(path) => format!("$SRCDIR/{path}"),
            Self::Path(path) | Self::Option(path) => {
                let shared = ["/work/", "$SRCDIR/", "${SRCDIR}/", "$BUILDDIR/", "${BUILDDIR}/"];
                if shared.iter().any(|prefix| path.starts_with(prefix)) {
                    path.clone()
                } else if path.starts_with('/') {
                    format!("$BUILDROOT{path}")
                } else {
                    return None;
                }
            }
            Self::Unknown => return None,
        };
        Some(path)
    }
}

/// Whether a text can be the name of a project as it is.
pub(super) fn is_name(text: &str) -> bool {
    text.parse::<crate::base::names::ProjectName>().is_ok()
}

/// The name of the variable that a text is, and nothing else.
fn variable(text: &str) -> Option<&str> {
    let name = text.strip_prefix('$')?;
    let name = name.strip_prefix('{').and_then(|name| name.strip_suffix('}')).unwrap_or(name);
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
    (!name.is_empty() && name.bytes().all(plain) && !name.ends_with("DIR")).then_some(name)
}

/// A file that a script sources, relative to the repository, if that can be told.
pub(super) fn sourced(raw: &str) -> Option<PathBuf> {
    let text = unquoted(raw)?;
    let roots = ["$SRCDIR/", "${SRCDIR}/", "/work/src/", "./"];
    let inside = roots.iter().find_map(|root| text.strip_prefix(root)).unwrap_or(text);
    let plain = is_plain(inside) && !inside.contains('$') && !inside.starts_with('/');
    let climbs = inside.split('/').any(|part| part == "..");
    (plain && !climbs).then(|| PathBuf::from(inside))
}

/// Where a script is while its commands are read one after the other.
#[derive(Debug)]
pub(super) struct Tracker {
    now: ScriptDirectory,
    open: Vec<Frame>,
}

#[derive(Debug)]
struct Frame {
    /// What holds again behind it.
    outer: ScriptDirectory,
    /// Whether a change in it may or may not have been made.
    conditional: bool,
}

impl Default for Tracker {
    fn default() -> Self {
        Self::new(ScriptDirectory::Start)
    }
}

impl Tracker {
    /// Before the first command.
    pub(super) fn new(start: ScriptDirectory) -> Self {
        Self { now: start, open: Vec::new() }
    }

    /// Where the next command runs.
    pub(super) fn now(&self) -> ScriptDirectory {
        self.now.clone()
    }

    /// Goes past a piece of the script; `read` says what the argument of `cd` is.
    pub(super) fn take(&mut self, piece: &Piece, read: impl Fn(&str) -> ScriptDirectory) {
        match piece {
            Piece::Command { words, before } => {
                self.change(words, *before == Before::Line, read);
            }
            Piece::Open { function } => {
                self.enter(!*function);
                if *function {
                    // Whoever calls it may be anywhere.
                    self.now = ScriptDirectory::Unknown;
                }
            }
            Piece::Subshell => self.enter(false),
            Piece::Block => self.enter(true),
            Piece::Close | Piece::SubshellEnd | Piece::BlockEnd => self.leave(),
            Piece::Document(_) => {}
        }
    }

    /// Follows `cd`; `certain` if it is made in any case.
    pub(super) fn change(
        &mut self,
        words: &[Word],
        certain: bool,
        read: impl Fn(&str) -> ScriptDirectory,
    ) {
        match words {
            [Word { raw: "cd", .. }, place] if certain => self.now = self.below(read(place.raw)),
            [Word { raw: "cd" | "pushd" | "popd", .. }, ..] => self.now = ScriptDirectory::Unknown,
            _ => {}
        }
    }

    /// A relative directory counts from where the script is.
    fn below(&self, place: ScriptDirectory) -> ScriptDirectory {
        match (place, &self.now) {
            (ScriptDirectory::Below(path), ScriptDirectory::Start) => ScriptDirectory::Below(path),
            (ScriptDirectory::Below(path), ScriptDirectory::Below(now)) => {
                ScriptDirectory::Below(format!("{now}/{path}"))
            }
            (ScriptDirectory::Below(path), ScriptDirectory::Path(now)) => {
                ScriptDirectory::Path(format!("{now}/{path}"))
            }
            (ScriptDirectory::Below(_), _) => ScriptDirectory::Unknown,
            (place, _) => place,
        }
    }

    fn enter(&mut self, conditional: bool) {
        self.open.push(Frame { outer: self.now.clone(), conditional });
    }

    fn leave(&mut self) {
        let Some(frame) = self.open.pop() else { return };
        if !frame.conditional {
            self.now = frame.outer;
        } else if self.now != frame.outer {
            self.now = ScriptDirectory::Unknown;
        }
    }
}

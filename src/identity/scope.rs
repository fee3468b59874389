//! What of an identity says whose directories can take each other's place.

use super::Identity;

impl Identity {
    /// The source directory, as the compiler sees it.
    pub fn source(&self) -> &str {
        &self.source
    }

    /// Cargo's home, as the compiler sees it.
    pub fn cargo_home(&self) -> &str {
        &self.cargo_home
    }

    /// The same for no command: what all commands of one place have in common.
    #[must_use]
    pub fn without_command(&self) -> Self {
        Self { command: Vec::new(), ..self.clone() }
    }
}

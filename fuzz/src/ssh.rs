//! Host keys and private keys of SSH.

#[path = "../../src/ssh/key.rs"]
mod key;
#[path = "../../src/ssh/known_hosts.rs"]
mod known_hosts;

use crate::domain::secret::Secret;
use russh::keys::PublicKey;

/// Asks a `known_hosts` file about a host and a key.
pub fn known_hosts(text: &str, host: &str, port: u16, offered: &PublicKey) {
    match known_hosts::KnownHosts::parse(text) {
        Ok(known) => {
            let _ = (known.trust(host, port, offered), known.algorithms(host, port));
        }
        Err(error) => assert!(!error.to_string().is_empty()),
    }
}

/// Reads a private key. An error shows nothing of its text.
pub fn private_key(text: &str, passphrase: &str) {
    if let Err(error) = key::parse(&Secret::new(text), Some(&Secret::new(passphrase))) {
        let _ = error.hint();
        let shown = error.to_string();
        // A fuzzer writes sentences of errors into its input, but keys contain no spaces.
        let is_shown = |line: &str| line.len() >= 24 && !line.contains(' ') && shown.contains(line);
        assert!(!text.lines().map(str::trim).any(is_shown), "{shown}");
    }
}

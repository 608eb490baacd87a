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
    let parse = |text: &str| key::parse(&Secret::new(text), Some(&Secret::new(passphrase)));
    // A fuzzer writes what the error says into its input.
    let usual = parse("").err().map(|error| error.to_string()).unwrap_or_default();
    if let Err(error) = parse(text) {
        let _ = error.hint();
        let shown = error.to_string();
        let is_shown = |line: &str| line.len() >= 24 && shown.contains(line) && !usual.contains(line);
        assert!(!text.lines().map(str::trim).any(is_shown), "{shown}");
    }
}

//! A `known_hosts` file, and a private key.

#![no_main]

use build_deploy_fuzz::{bounded, parts, ssh};
use libfuzzer_sys::fuzz_target;
use russh::keys::PublicKey;

const KEY: &str = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJdD7y3aLq454yWBdwLWbieU1ebz9/cu7/QEXn9OIeZJ";

fuzz_target!(|data: &[u8]| {
    let parts = parts(data);
    let part = |i: usize| parts.get(i).map_or("", String::as_str);
    let Ok(offered) = PublicKey::from_openssh(KEY) else { return };
    // The number of rounds of a key that is encrypted is the user's own choice.
    let passphrase = if part(1).contains("ENCRYPTED") || part(1).contains("OPENSSH") { "" } else { "x" };
    bounded(|| {
        for (host, port) in [("shop.example", 22), ("shop.example", 2222), ("10.0.0.1", 22)] {
            ssh::known_hosts(part(0), host, port, &offered);
        }
        ssh::private_key(part(1), passphrase);
    });
});

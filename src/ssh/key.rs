//! Private keys from their text. Pure.

use russh::keys::{self, PrivateKey, decode_secret_key};
use thiserror::Error;

use crate::domain::secret::Secret;

/// Why a private key cannot be used. Contains nothing of the key.
#[derive(Debug, Error, PartialEq, Eq)]
pub enum KeyError {
    /// The text is empty.
    #[error("the private key is empty")]
    Empty,
    /// The text is a public key.
    #[error("expected a private key, found a public key")]
    Public,
    /// The key is encrypted and there is no passphrase.
    #[error("the private key is encrypted, and there is no passphrase")]
    NoPassphrase,
    /// The passphrase does not decrypt the key.
    #[error("the passphrase does not decrypt the private key")]
    WrongPassphrase,
    /// The key is damaged or has an unsupported format.
    #[error("the private key cannot be read: {0}")]
    Invalid(String),
}

impl KeyError {
    /// What to do about it.
    pub(super) fn hint(&self) -> &'static str {
        match self {
            Self::Empty => "check that the secret exists and is passed to this job",
            Self::Public => "pass the file without the extension .pub",
            Self::NoPassphrase => "pass it with `ssh-passphrase`",
            Self::WrongPassphrase => "check `ssh-passphrase`",
            Self::Invalid(_) => {
                "pass the whole file, from the line BEGIN to the line END; \
                 `ssh-keygen -p -f FILE` converts old formats to the current one"
            }
        }
    }
}

/// Reads a private key: the format of OpenSSH, or PEM with PKCS#1 (RSA), SEC1 (EC) or PKCS#8.
pub(super) fn parse(text: &Secret, passphrase: Option<&Secret>) -> Result<PrivateKey, KeyError> {
    // A secret that was pasted may have lost its last line break, or have gained indentation and carriage returns.
    let lines: Vec<&str> = text.expose().lines().map(str::trim).filter(|line| !line.is_empty()).collect();
    let text = lines.join("\n") + "\n";
    if lines.is_empty() {
        return Err(KeyError::Empty);
    }
    if ["ssh-", "ecdsa-sha2-", "sk-"].iter().any(|kind| text.starts_with(kind)) || text.contains("PUBLIC KEY") {
        return Err(KeyError::Public);
    }
    let passphrase = passphrase.map(Secret::expose).filter(|passphrase| !passphrase.is_empty());
    // OpenSSH says in the key itself whether it is encrypted, PEM in a header.
    let is_encrypted =
        text.contains("ENCRYPTED") || PrivateKey::from_openssh(text.as_bytes()).is_ok_and(|key| key.is_encrypted());
    if is_encrypted && passphrase.is_none() {
        return Err(KeyError::NoPassphrase);
    }
    decode_secret_key(&text, passphrase).map_err(|error| match error {
        keys::Error::KeyIsEncrypted => KeyError::NoPassphrase,
        // A wrong passphrase is noticed by what it decrypts to.
        _ if is_encrypted => KeyError::WrongPassphrase,
        error => KeyError::Invalid(error.to_string()),
    })
}

#[cfg(test)]
mod tests {
    use std::{fs, process::Command};

    use super::{KeyError, parse};
    use crate::domain::secret::Secret;

    /// A key that `ssh-keygen` makes with these arguments.
    fn generated(passphrase: &str, arguments: &[&str]) -> (Secret, String) {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("key");
        let made = Command::new("ssh-keygen").args(["-q", "-N", passphrase, "-f"]).arg(&path).args(arguments).status();
        assert!(made.unwrap().success());
        let public = fs::read_to_string(path.with_extension("pub")).unwrap();
        let blob = public.split(' ').nth(1).unwrap().to_owned();
        (Secret::new(fs::read_to_string(&path).unwrap()), blob)
    }

    #[test]
    fn reads_the_keys_that_ssh_keygen_makes() {
        let kinds: [&[&str]; 7] = [
            &["-t", "ed25519"],
            &["-t", "ecdsa"],
            &["-t", "ecdsa", "-b", "521"],
            &["-t", "rsa", "-b", "2048"],
            &["-t", "rsa", "-b", "2048", "-m", "PEM"],
            &["-t", "rsa", "-b", "2048", "-m", "PKCS8"],
            &["-t", "ecdsa", "-m", "PKCS8"],
        ];
        for arguments in kinds {
            let (text, public) = generated("", arguments);
            let key = parse(&text, None).unwrap();
            assert!(key.public_key().to_openssh().unwrap().contains(&public), "{arguments:?}");
            let pasted = Secret::new(format!("  {}", text.expose().trim_end().replace('\n', "\r\n  ")));
            assert!(parse(&pasted, Some(&Secret::default())).is_ok(), "{arguments:?}");
        }
    }

    #[test]
    fn passphrases() {
        let right = Secret::new("correct horse");
        let kinds: [&[&str]; 3] = [&["-t", "ed25519"], &["-t", "rsa", "-b", "2048"], &["-t", "ecdsa", "-m", "PKCS8"]];
        for arguments in kinds {
            let (text, public) = generated(right.expose(), arguments);
            let key = parse(&text, Some(&right)).unwrap();
            assert!(key.public_key().to_openssh().unwrap().contains(&public), "{arguments:?}");
            assert_eq!(parse(&text, None).unwrap_err(), KeyError::NoPassphrase, "{arguments:?}");
            let wrong = Secret::new("wrong");
            assert_eq!(parse(&text, Some(&wrong)).unwrap_err(), KeyError::WrongPassphrase, "{arguments:?}");
        }
    }

    #[test]
    fn says_what_is_wrong_with_other_texts() {
        let error = |text: &str| parse(&Secret::new(text), None).unwrap_err();
        assert_eq!(error(" \n"), KeyError::Empty);
        assert_eq!(error("ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAI me@host"), KeyError::Public);
        assert!(matches!(error("hunter2"), KeyError::Invalid(_)));
        let cut = "-----BEGIN OPENSSH PRIVATE KEY-----\nb3BlbnNzaC1rZXktdjEAAAAABG5vbmUA\n";
        assert!(matches!(error(cut), KeyError::Invalid(_)));
    }
}

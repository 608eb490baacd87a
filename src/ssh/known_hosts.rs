//! The keys of known hosts, from the text of a `known_hosts` file (`sshd(8)`). Pure.

use base64::{Engine as _, engine::general_purpose::STANDARD};
use ring::hmac;
use russh::keys::{Algorithm, HashAlg, PublicKey};
use thiserror::Error;

/// Why the text is not a valid `known_hosts` file.
#[derive(Debug, Error, PartialEq, Eq)]
#[error("line {line}: {problem}")]
pub struct KnownHostsError {
    /// The line's number, from 1.
    pub line: usize,
    /// The problem.
    pub problem: &'static str,
}

/// The keys of known hosts.
#[derive(Clone, Debug, Default)]
pub struct KnownHosts(Vec<Line>);

#[derive(Clone, Debug)]
struct Line {
    number: usize,
    marker: Option<Marker>,
    hosts: Hosts,
    key: PublicKey,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Marker {
    CertAuthority,
    Revoked,
}

#[derive(Clone, Debug)]
enum Hosts {
    /// `|1|salt|hash`: HMAC-SHA1 of the name.
    Hashed { salt: Vec<u8>, hash: Vec<u8> },
    /// Patterns; one with `!` in front excludes hosts.
    Patterns(Vec<String>),
}

/// What the file says about the key that a host offers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Trust {
    /// The host has this key.
    Known,
    /// The file lists no key of the host.
    Unknown,
    /// The file lists only other keys of the host; the first is on this line.
    Changed(usize),
    /// The line revokes the key.
    Revoked(usize),
    /// The file lists only an authority for the host's certificates, which are not supported.
    OnlyAuthority(usize),
}

impl KnownHosts {
    /// Parses the text of a file.
    ///
    /// # Errors
    /// A line is neither blank, a comment, nor a host with its key. A file that is partly understood could miss a revoked
    /// key.
    pub fn parse(text: &str) -> Result<Self, KnownHostsError> {
        let lines = text.lines().enumerate().map(|(index, line)| (index + 1, line.trim()));
        let lines = lines.filter(|(_, line)| !line.is_empty() && !line.starts_with('#'));
        lines.map(|(number, line)| parse_line(number, line)).collect::<Result<_, _>>().map(Self)
    }

    /// What the file says about this key of `host`.
    pub(super) fn trust(&self, host: &str, port: u16, key: &PublicKey) -> Trust {
        let name = name(host, port);
        let of_host = || self.0.iter().filter(|line| line.hosts.contains(&name));
        let is_same = |line: &&Line| line.key.key_data() == key.key_data();
        let revoked = of_host().filter(|line| line.marker == Some(Marker::Revoked)).find(is_same);
        let mut plain = of_host().filter(|line| line.marker.is_none());
        let authority = || of_host().find(|line| line.marker == Some(Marker::CertAuthority));
        match (revoked, plain.next()) {
            (Some(revoked), _) => Trust::Revoked(revoked.number),
            (None, None) => authority().map_or(Trust::Unknown, |line| Trust::OnlyAuthority(line.number)),
            (None, Some(first)) if is_same(&first) || plain.any(|line| is_same(&line)) => Trust::Known,
            (None, Some(first)) => Trust::Changed(first.number),
        }
    }

    /// The algorithms of the host's known keys, in the order of the file. A server with several keys must offer one of
    /// these: any other would look like a changed key.
    pub(super) fn algorithms(&self, host: &str, port: u16) -> Vec<Algorithm> {
        let name = name(host, port);
        let mut algorithms = Vec::new();
        for line in self.0.iter().filter(|line| line.marker.is_none() && line.hosts.contains(&name)) {
            let of_key = match line.key.algorithm() {
                // The same keys, with signatures that are not made with SHA-1 (RFC 8332).
                Algorithm::Rsa { .. } => {
                    [HashAlg::Sha512, HashAlg::Sha256].map(|hash| Algorithm::Rsa { hash: Some(hash) }).to_vec()
                }
                other => vec![other],
            };
            algorithms.extend(of_key.into_iter().filter(|one| !algorithms.contains(one)).collect::<Vec<_>>());
        }
        algorithms
    }
}

/// The host as in a `known_hosts` file.
pub(super) fn name(host: &str, port: u16) -> String {
    let host = host.to_ascii_lowercase();
    if port == 22 { host } else { format!("[{host}]:{port}") }
}

fn parse_line(number: usize, line: &str) -> Result<Line, KnownHostsError> {
    let wrong = |problem| KnownHostsError { line: number, problem };
    let mut words = line.splitn(2, char::is_whitespace);
    let mut first = words.next().unwrap_or_default();
    let mut rest = words.next().unwrap_or_default().trim_start();
    let mut marker = None;
    if first.starts_with('@') {
        marker = match first {
            "@cert-authority" => Some(Marker::CertAuthority),
            "@revoked" => Some(Marker::Revoked),
            _ => return Err(wrong("unknown marker; expected @cert-authority or @revoked")),
        };
        (first, rest) = rest.split_once(char::is_whitespace).unwrap_or((rest, ""));
    }
    let mut words = rest.split_whitespace();
    let (Some(kind), Some(key)) = (words.next(), words.next()) else {
        return Err(wrong("expected a host, a key type and a key, as `ssh-keyscan HOST` prints them"));
    };
    let key = PublicKey::from_openssh(&format!("{kind} {key}")).map_err(|_| wrong("the key is not valid"))?;
    let hosts = match first.strip_prefix("|1|") {
        Some(hashed) => {
            let (salt, hash) = hashed.split_once('|').ok_or(wrong("the hashed host is not valid"))?;
            let decode = |text: &str| STANDARD.decode(text).map_err(|_| wrong("the hashed host is not valid"));
            Hosts::Hashed { salt: decode(salt)?, hash: decode(hash)? }
        }
        None => Hosts::Patterns(first.split(',').map(str::to_ascii_lowercase).collect()),
    };
    Ok(Line { number, marker, hosts, key })
}

impl Hosts {
    fn contains(&self, name: &str) -> bool {
        match self {
            Self::Hashed { salt, hash } => {
                let key = hmac::Key::new(hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY, salt);
                hmac::verify(&key, name.as_bytes(), hash).is_ok()
            }
            Self::Patterns(patterns) => {
                let excluded = patterns.iter().filter_map(|pattern| pattern.strip_prefix('!'));
                let mut included = patterns.iter().filter(|pattern| !pattern.starts_with('!'));
                included.any(|pattern| fits(pattern, name)) && !excluded.into_iter().any(|pattern| fits(pattern, name))
            }
        }
    }
}

/// Whether a name fits a pattern with `*` and `?` (`ssh_config(5)`).
fn fits(pattern: &str, name: &str) -> bool {
    let (pattern, name) = (pattern.as_bytes(), name.as_bytes());
    let (mut at, mut seen) = (0, 0);
    // Where to go on with the last `*`, and after how much of the name.
    let mut star: Option<(usize, usize)> = None;
    while seen < name.len() {
        match pattern.get(at) {
            Some(b'*') => {
                star = Some((at + 1, seen));
                at += 1;
            }
            Some(byte) if *byte == b'?' || *byte == name[seen] => {
                at += 1;
                seen += 1;
            }
            _ => {
                let Some((after, taken)) = star else { return false };
                star = Some((after, taken + 1));
                at = after;
                seen = taken + 1;
            }
        }
    }
    pattern[at..].iter().all(|byte| *byte == b'*')
}

#[cfg(test)]
mod tests {
    use std::{fs, process::Command};

    use russh::keys::{Algorithm, PublicKey};

    use super::{KnownHosts, Trust, fits};

    const ONE: &str = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJdD7y3aLq454yWBdwLWbieU1ebz9/cu7/QEXn9OIeZJ";
    const TWO: &str = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIK2pr+Bfus1hvPof4Wb/plZCzSbqadHH0u+/f4ODtKnE";

    fn key(text: &str) -> PublicKey {
        PublicKey::from_openssh(text).unwrap()
    }

    fn trust(file: &str, host: &str, port: u16, offered: &str) -> Trust {
        KnownHosts::parse(file).unwrap().trust(host, port, &key(offered))
    }

    #[test]
    fn names_ports_and_several_keys() {
        let file = format!("# a comment\n\nvps.example,10.0.0.1 {ONE} me@laptop\n[vps.example]:2222 {TWO}\n");
        assert_eq!(trust(&file, "vps.example", 22, ONE), Trust::Known);
        assert_eq!(trust(&file, "VPS.example", 22, ONE), Trust::Known);
        assert_eq!(trust(&file, "10.0.0.1", 22, TWO), Trust::Changed(3));
        assert_eq!(trust(&file, "vps.example", 2222, TWO), Trust::Known);
        assert_eq!(trust(&file, "vps.example", 2222, ONE), Trust::Changed(4));
        assert_eq!(trust(&file, "vps.example", 2223, ONE), Trust::Unknown);
        assert_eq!(trust(&file, "other.example", 22, ONE), Trust::Unknown);
        assert_eq!(trust(&format!("h {ONE}\nh {TWO}"), "h", 22, TWO), Trust::Known, "any of the host's keys");
        assert_eq!(trust("", "h", 22, TWO), Trust::Unknown);
    }

    #[test]
    fn patterns() {
        let file = format!("*.example,!bad.example {ONE}\n");
        assert_eq!(trust(&file, "a.example", 22, ONE), Trust::Known);
        assert_eq!(trust(&file, "bad.example", 22, ONE), Trust::Unknown);
        for (pattern, name, want) in [
            ("*", "", true),
            ("a*b*c", "aXXbYYc", true),
            ("a*b*c", "aXXbYY", false),
            ("?b", "ab", true),
            ("?b", "b", false),
            ("10.0.0.*", "10.0.0.12", true),
            ("ab", "abc", false),
        ] {
            assert_eq!(fits(pattern, name), want, "{pattern} {name}");
        }
    }

    #[test]
    fn markers() {
        let file = format!("h {ONE}\n@revoked * {ONE}\nh {TWO}\n");
        assert_eq!(trust(&file, "h", 22, ONE), Trust::Revoked(2));
        assert_eq!(trust(&file, "h", 22, TWO), Trust::Known);
        let authority = format!("@cert-authority *.example {ONE}\n");
        assert_eq!(trust(&authority, "a.example", 22, ONE), Trust::OnlyAuthority(1), "its key is not the host's");
        assert_eq!(trust(&format!("{authority}a.example {TWO}"), "a.example", 22, TWO), Trust::Known);
    }

    #[test]
    fn asks_the_server_for_the_types_that_are_known() {
        let known = KnownHosts::parse(&format!("h {ONE}\nother {TWO}\nh {TWO}\n")).unwrap();
        assert_eq!(known.algorithms("h", 22), [Algorithm::Ed25519]);
        assert_eq!(known.algorithms("h", 23), []);
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("key");
        let made = Command::new("ssh-keygen").args(["-qt", "rsa", "-N", "", "-f"]).arg(&path).status();
        assert!(made.unwrap().success());
        let rsa = fs::read_to_string(path.with_extension("pub")).unwrap();
        let known = KnownHosts::parse(&format!("h {rsa}h {ONE}")).unwrap();
        assert_eq!(known.algorithms("h", 22).len(), 3, "both signatures of RFC 8332");
    }

    #[test]
    fn agrees_with_ssh_keygen_on_hashed_hosts() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("known_hosts");
        fs::write(&path, format!("vps.example {ONE}\n[vps.example]:2222 {TWO}\n")).unwrap();
        assert!(Command::new("ssh-keygen").arg("-qHf").arg(&path).output().unwrap().status.success());
        let hashed = fs::read_to_string(&path).unwrap();
        assert!(hashed.starts_with("|1|") && !hashed.contains("vps"));
        assert_eq!(trust(&hashed, "vps.example", 22, ONE), Trust::Known);
        assert_eq!(trust(&hashed, "vps.example", 2222, TWO), Trust::Known);
        assert_eq!(trust(&hashed, "vps.example", 2222, ONE), Trust::Changed(2));
        assert_eq!(trust(&hashed, "vps.example.org", 22, ONE), Trust::Unknown);
    }

    #[test]
    fn a_line_that_is_not_understood_is_an_error() {
        for (file, line) in [
            ("h", 1),
            ("\nh ssh-ed25519", 2),
            ("h ssh-ed25519 AAAA", 1),
            ("@future h ssh-ed25519 AAAA", 1),
            (&format!("|1|x {ONE}"), 1),
            ("-----BEGIN OPENSSH PRIVATE KEY-----", 1),
        ] {
            assert_eq!(KnownHosts::parse(file).unwrap_err().line, line, "{file}");
        }
    }
}

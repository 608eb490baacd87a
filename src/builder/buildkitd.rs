//! The configuration of the BuildKit daemon in a container. Pure.
//!
//! Format: <https://github.com/moby/buildkit/blob/master/docs/buildkitd.toml.md>. The container trusts the registries
//! that the engine trusts, and uses its mirrors, so that a build behaves the same in both.

use core::net::IpAddr;
use std::{
    collections::{BTreeMap, BTreeSet},
    fmt::Write as _,
};

use super::engine::RegistryRules;
use crate::domain::digest::Digest;

/// The section of a registry.
#[derive(Debug, Default, PartialEq, Eq)]
struct Section {
    mirrors: Vec<String>,
    insecure: bool,
}

/// The text of the configuration file. `mirrors` are the user's, and override the engine's; `registries` are the hosts of
/// the images and caches; `entitlements` are those that the builds may use.
pub fn config(
    mirrors: &[(String, String)],
    registries: &[&str],
    entitlements: &BTreeSet<&str>,
    rules: &RegistryRules,
) -> String {
    let mut sections: BTreeMap<String, Section> = BTreeMap::new();
    for (registry, mirror) in mirrors {
        sections.entry(registry.clone()).or_default().mirrors.push(mirror.clone());
    }
    if !mirrors.iter().any(|(registry, _)| registry == HUB) {
        for mirror in &rules.mirrors {
            let (scheme, host) = mirror.split_once("://").unwrap_or(("https", mirror));
            let host = host.trim_end_matches('/').to_owned();
            if scheme == "http" {
                sections.entry(host.split('/').next().unwrap_or_default().to_owned()).or_default().insecure = true;
            }
            sections.entry(HUB.to_owned()).or_default().mirrors.push(host);
        }
    }
    let named = sections.values().flat_map(|section| &section.mirrors).filter_map(|mirror| mirror.split('/').next());
    let hosts: Vec<String> = named.chain(registries.iter().copied()).map(str::to_owned).collect();
    for host in hosts.into_iter().chain(rules.insecure_hosts.iter().cloned()) {
        if is_insecure(&host, rules) {
            sections.entry(host).or_default().insecure = true;
        }
    }
    // BuildKit refuses requests for entitlements that are not listed.
    let mut text = String::new();
    if !entitlements.is_empty() {
        // Writing to a String cannot fail.
        let _ = writeln!(text, "insecure-entitlements = {:?}", entitlements.iter().collect::<Vec<_>>());
    }
    for (registry, section) in sections {
        let _ = writeln!(text, "\n[registry.{registry:?}]");
        if !section.mirrors.is_empty() {
            let _ = writeln!(text, "  mirrors = {:?}", section.mirrors);
        }
        if section.insecure {
            let _ = writeln!(text, "  http = true\n  insecure = true");
        }
    }
    text
}

const HUB: &str = "docker.io";

fn is_insecure(host: &str, rules: &RegistryRules) -> bool {
    if rules.insecure_hosts.iter().any(|known| known == host) {
        return true;
    }
    let name = host.rsplit_once(':').map_or(host, |(name, _)| name).trim_matches(['[', ']']);
    let Ok(address) = name.parse::<IpAddr>() else { return false };
    rules.insecure_networks.iter().any(|network| contains(network, address))
}

/// Whether a network such as `10.0.0.0/8` contains an address.
fn contains(network: &str, address: IpAddr) -> bool {
    let Some((base, length)) = network.split_once('/') else { return false };
    let (Ok(base), Ok(length)) = (base.parse::<IpAddr>(), length.parse::<u32>()) else { return false };
    let (base, address, width) = match (base, address) {
        (IpAddr::V4(base), IpAddr::V4(address)) => (u128::from(base.to_bits()), u128::from(address.to_bits()), 32),
        (IpAddr::V6(base), IpAddr::V6(address)) => (base.to_bits(), address.to_bits(), 128),
        _ => return false,
    };
    let ignored: u32 = width - length.min(width);
    // Shifting by all bits is undefined.
    ignored == 128 || base >> ignored == address >> ignored
}

/// The name of the container and its volume, derived from its configuration, so that runs with the same configuration share
/// them.
pub fn name(image: &str, network: Option<&str>, config: &str) -> String {
    let configuration = format!("{image}\n{}\n{config}", network.unwrap_or_default());
    format!("{PREFIX}{}", &Digest::of(configuration.as_bytes()).short()["sha256:".len()..])
}

/// The prefix of the names of all such containers.
pub const PREFIX: &str = "build-deploy-buildkit-";

/// A tar archive of one file at `path`.
pub fn archive(path: &str, text: &str) -> Vec<u8> {
    const BLOCK: usize = 512;
    let mut header = [0_u8; BLOCK];
    let mut put = |at: usize, field: &[u8]| {
        for (slot, byte) in header.iter_mut().skip(at).zip(field) {
            *slot = *byte;
        }
    };
    // The fields of a ustar header: name, mode, owner, group, size, time, checksum (blanks while it is computed), type.
    put(0, path.as_bytes());
    put(100, b"0000644\0");
    put(108, b"0000000\0");
    put(116, b"0000000\0");
    put(124, format!("{:011o}\0", text.len()).as_bytes());
    put(136, b"00000000000\0");
    put(148, b"        ");
    put(156, b"0");
    put(257, b"ustar\x0000");
    let sum: u32 = header.iter().copied().map(u32::from).sum();
    for (slot, byte) in header.iter_mut().skip(148).zip(format!("{sum:06o}\0 ").bytes()) {
        *slot = byte;
    }
    let mut archive = header.to_vec();
    archive.extend_from_slice(text.as_bytes());
    archive.resize(archive.len().next_multiple_of(BLOCK) + 2 * BLOCK, 0);
    archive
}

#[cfg(test)]
mod tests {
    use std::{collections::BTreeSet, process::Command};

    use super::{archive, config, contains, name};
    use crate::builder::engine::RegistryRules;

    #[test]
    fn the_container_trusts_what_the_engine_trusts() {
        let rules = RegistryRules {
            mirrors: vec!["http://10.213.0.1:5900/".into()],
            insecure_networks: vec!["::1/128".into(), "10.213.0.1/32".into()],
            insecure_hosts: vec!["old.example:5000".into()],
            maps_users: false,
        };
        let want = "insecure-entitlements = [\"network.host\", \"security.insecure\"]\n\n\
                    [registry.\"10.213.0.1:5000\"]\n  http = true\n  insecure = true\n\n\
                    [registry.\"10.213.0.1:5900\"]\n  http = true\n  insecure = true\n\n\
                    [registry.\"docker.io\"]\n  mirrors = [\"10.213.0.1:5900\"]\n\n\
                    [registry.\"old.example:5000\"]\n  http = true\n  insecure = true\n";
        let both = BTreeSet::from(["security.insecure", "network.host"]);
        assert_eq!(config(&[], &["10.213.0.1:5000", "ghcr.io"], &both, &rules), want);
        let mirror = [("docker.io".into(), "mirror.gcr.io".into())];
        let own = config(&mirror, &[], &BTreeSet::new(), &RegistryRules::default());
        assert!(!own.contains("entitlements"), "{own}");
        assert!(own.ends_with("[registry.\"docker.io\"]\n  mirrors = [\"mirror.gcr.io\"]\n"), "{own}");
    }

    #[test]
    fn networks() {
        let is_within = |network: &str, address: &str| contains(network, address.parse().unwrap());
        assert!(
            is_within("127.0.0.0/8", "127.1.2.3") && is_within("0.0.0.0/0", "8.8.8.8") && is_within("::1/128", "::1")
        );
        assert!(!is_within("10.0.0.0/8", "11.0.0.1") && !is_within("::/0", "1.2.3.4") && !is_within("x", "1.2.3.4"));
    }

    #[test]
    fn another_configuration_has_another_name() {
        let names = [name("a", None, ""), name("b", None, ""), name("a", Some("n"), ""), name("a", None, "c")];
        assert_eq!(names.iter().collect::<std::collections::BTreeSet<_>>().len(), 4);
        assert_eq!(name("a", None, ""), names[0]);
        assert_eq!(names[0].len(), "build-deploy-buildkit-".len() + 12);
    }

    #[test]
    fn tar_reads_the_archive() {
        let dir = tempfile::tempdir().unwrap();
        for text in ["", "x", &"y".repeat(512), &"line\n".repeat(300)] {
            let path = dir.path().join("a.tar");
            std::fs::write(&path, archive("buildkitd.toml", text)).unwrap();
            let output = Command::new("tar").arg("-xOf").arg(&path).arg("buildkitd.toml").output().unwrap();
            assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
            assert_eq!(output.stdout, text.as_bytes());
        }
    }
}

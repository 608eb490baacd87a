//! Decides which registries may be used without TLS. Pure.

use core::net::IpAddr;

/// Whether a registry may be used without TLS: on this machine, in a private network, or with a name that only exists in a
/// local network, such as that of a service container. Docker itself accepts only loopback addresses by default; its
/// configuration (`insecure-registries`) is not visible to this process.
pub fn may_be_plain(host: &str) -> bool {
    let name = match host.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
        Some((address, _)) => address,
        None => host.split(':').next().unwrap_or_default(),
    };
    match name.parse::<IpAddr>() {
        Ok(IpAddr::V4(address)) => address.is_loopback() || address.is_private() || address.is_link_local(),
        Ok(IpAddr::V6(address)) => {
            address.is_loopback() || address.is_unique_local() || address.is_unicast_link_local()
        }
        Err(_) => {
            !name.contains('.') || [".localhost", ".local", ".internal"].iter().any(|suffix| name.ends_with(suffix))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::may_be_plain;

    #[test]
    fn only_local_registries() {
        for near in [
            "localhost:5000",
            "127.0.0.1:5000",
            "10.213.0.1:5000",
            "192.168.1.1",
            "[::1]:5000",
            "registry:5000",
            "registry",
            "host.docker.internal:5000",
            "nas.local",
        ] {
            assert!(may_be_plain(near), "{near}");
        }
        for far in ["ghcr.io", "8.8.8.8", "8.8.8.8:5000", "registry.example:5000", "[2001:db8::1]:5000", "docker.io"] {
            assert!(!may_be_plain(far), "{far}");
        }
    }
}

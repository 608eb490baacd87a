//! Addresses of servers: `ssh://user@host[:port]/path`.

/// A directory on a server: `ssh://user@host[:port]/path`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServerAddress {
    /// The user.
    pub user: String,
    /// Host name or address, without the brackets of an IPv6 address.
    pub host: String,
    /// The port of SSH.
    pub port: u16,
    /// The project's directory, absolute.
    pub path: String,
}

impl ServerAddress {
    /// The address without the path, as messages show it: `user@host` or `user@host:2222`.
    pub fn authority(&self) -> String {
        let host = if self.host.contains(':') { format!("[{}]", self.host) } else { self.host.clone() };
        let port = if self.port == SSH_PORT { String::new() } else { format!(":{}", self.port) };
        format!("{}@{host}{port}", self.user)
    }
}

/// The port of SSH.
const SSH_PORT: u16 = 22;

/// Parses `ssh://user@host[:port]/path`.
pub(super) fn server(text: &str) -> Option<ServerAddress> {
    let (authority, path) = text.strip_prefix("ssh://")?.split_once('/')?;
    let path = path.trim_end_matches('/');
    // A shell would expand the `~`; we do not, and the directory is named in messages and records.
    let is_path = !path.is_empty() && !path.starts_with('~') && !path.contains(char::is_control);
    Some(ServerAddress { path: format!("/{path}"), ..login(authority)? }).filter(|_| is_path)
}

/// Parses `ssh://user@host[:port]`.
pub(super) fn jump_host(text: &str) -> Option<ServerAddress> {
    login(text.strip_prefix("ssh://")?.trim_end_matches('/'))
}

/// Parses `user@host[:port]`, to an address without a path.
fn login(authority: &str) -> Option<ServerAddress> {
    let (user, host) = authority.split_once('@')?;
    let (host, port) = match host.strip_prefix('[') {
        Some(rest) => {
            let (address, port) = rest.split_once(']')?;
            (address, if port.is_empty() { "22" } else { port.strip_prefix(':')? })
        }
        None => host.split_once(':').unwrap_or((host, "22")),
    };
    let is_plain = |text: &str| !text.is_empty() && !text.contains(|c: char| c.is_whitespace() || c.is_control());
    // A user with a colon would be a password.
    let is_user = is_plain(user) && !user.contains([':', '@']) && !user.starts_with('-');
    let is_host = is_plain(host) && !host.contains(['@', '/']) && !host.starts_with('-');
    let port = port.parse().ok().filter(|port| *port != 0)?;
    let (user, host) = (user.to_owned(), host.to_ascii_lowercase());
    (is_user && is_host).then(|| ServerAddress { user, host, port, path: String::new() })
}

#[cfg(test)]
mod tests {
    use super::{ServerAddress, server};

    #[test]
    fn addresses_of_servers() {
        let read = |text: &str| {
            server(text).map(|ServerAddress { user, host, port, path }| format!("{user} {host} {port} {path}"))
        };
        for (text, want) in [
            ("ssh://deploy@Shop.example/srv/shop", Some("deploy shop.example 22 /srv/shop")),
            ("ssh://a@[2001:db8::1]:2222/x/", Some("a 2001:db8::1 2222 /x")),
            ("ssh://a@[::1]/x", Some("a ::1 22 /x")),
            ("ssh://shop.example/srv", None),
            ("ssh://a@b/~/app", None),
            ("ssh://a:secret@b/c", None),
            ("ssh://a@b", None),
            ("ssh://a@b/", None),
            ("ssh://a@b:0/c", None),
            ("ssh://a@-oProxyCommand=x/c", None),
            ("https://a@b/c", None),
        ] {
            assert_eq!(read(text).as_deref(), want, "{text}");
        }
    }
}

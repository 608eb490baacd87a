//! Parses the inputs that control how images are built: the inputs of the group "What to build" that apply to all
//! images, attestations and compression.

use crate::domain::secret::Secret;

use super::Reader;
use crate::inputs::{
    attest,
    secrets::secrets,
    typed::{Allow, Attest, BuildInputs, Compression, CompressionKind, CompressionScope, Network, NoCache},
    values::{boolean, bytes, is_platform, pair},
};

/// The latest timestamp in a reproducible build
/// (<https://reproducible-builds.org/specs/source-date-epoch/>).
const EPOCH: &str = "SOURCE_DATE_EPOCH";

impl Reader<'_> {
    pub(super) fn build(&mut self) -> BuildInputs {
        let stages = self.comma_list("no-cache-filters");
        BuildInputs {
            args: self.build_args(),
            contexts: self.pairs("build-contexts"),
            secrets: self.secrets(),
            secret_files: self.pairs("secret-files"),
            ssh: self.ssh(),
            target: self.text("target"),
            platforms: self.platforms(),
            network: self.network(),
            add_hosts: self.add_hosts(),
            shm_size: self.checked(
                "shm-size",
                bytes,
                "is not a size",
                "use a number with a unit, such as `128m` or `1g`",
            ),
            ulimits: self.ulimits(),
            cgroup_parent: self.text("cgroup-parent"),
            no_cache: match (self.boolean("no-cache"), stages) {
                (true, _) => NoCache::Everything,
                (false, stages) if stages.is_empty() => NoCache::Nothing,
                (false, stages) => NoCache::Stages(stages),
            },
            pull: self.boolean("pull"),
            allow: self.allow(),
            check: self.boolean("check"),
            provenance: self.attest("provenance"),
            sbom: self.attest("sbom"),
            compression: self.compression(),
        }
    }

    fn build_args(&mut self) -> Vec<(String, String)> {
        let mut args: Vec<(String, String)> = Vec::new();
        for item in self.list("build-args") {
            match (pair(&item), self.env.var(&item)) {
                (Some((key, value)), _) => args.push((key.to_owned(), value.to_owned())),
                (None, _) if item.starts_with('=') => {
                    self.reject("build-args", &item, "has no name before the `=`", "write `KEY=value`");
                }
                (None, Some(value)) => args.push((item.clone(), value.to_owned())),
                (None, None) => self.warn(
                    "build argument without a value",
                    format!("`build-args` has no value for `{item}`, and the environment has none either; the argument is not set"),
                ),
            }
        }
        // As in buildx, the variable is passed as a build argument too.
        if !args.iter().any(|(key, _)| key == EPOCH)
            && let Some(epoch) = self.env.var(EPOCH)
        {
            args.push((EPOCH.to_owned(), epoch.to_owned()));
        }
        args
    }

    /// Returns the inputs `secrets` and `secret-envs`.
    fn secrets(&mut self) -> Vec<(String, Secret)> {
        let text = self.raw.get("secrets").unwrap_or_default();
        let mut secrets = secrets(text).unwrap_or_else(|mistake| {
            self.mistakes.push(mistake);
            Vec::new()
        });
        for (id, variable) in self.pairs("secret-envs") {
            if secrets.iter().any(|(known, _)| *known == id) {
                let item = format!("{id}={variable}");
                self.reject(
                    "secret-envs",
                    &item,
                    "has an id that `secrets` or an earlier line sets",
                    "remove one of them",
                );
            } else if let Some(value) = self.env.var(&variable) {
                secrets.push((id, Secret::new(value)));
            } else {
                // Runs of forks have no secrets, but builds that do not need this one can still succeed.
                self.warn(
                    "build secret without a value",
                    format!("`secret-envs`: the variable `{variable}` for `{id}` is not set"),
                );
            }
        }
        secrets
    }

    fn platforms(&mut self) -> Vec<String> {
        let platforms = self.comma_list("platforms");
        for bad in platforms.iter().filter(|platform| !is_platform(platform)) {
            self.reject("platforms", bad, "is not a platform", "use platforms such as `linux/amd64` or `linux/arm/v7`");
        }
        platforms
    }

    fn network(&mut self) -> Option<Network> {
        self.raw.get("network")?;
        let choices = [("default", Network::Default), ("none", Network::None), ("host", Network::Host)];
        Some(self.choice("network", &choices, Network::Default))
    }

    fn add_hosts(&mut self) -> Vec<(String, String)> {
        let mut hosts = Vec::new();
        for item in self.comma_list("add-hosts") {
            // `host=ip` is the newer form. An IPv6 address contains colons, and may be in brackets.
            match item.split_once('=').or_else(|| item.split_once(':')) {
                Some((host, ip)) if !host.is_empty() && !ip.is_empty() => {
                    hosts.push((host.to_owned(), ip.trim_matches(['[', ']']).to_owned()));
                }
                _ => self.reject("add-hosts", &item, "is not of the form `host:ip`", "write one `host:ip` per line"),
            }
        }
        hosts
    }

    fn ulimits(&mut self) -> Vec<String> {
        let limits = self.comma_list("ulimits");
        for limit in &limits {
            let number = |text: &str| text.parse::<i64>().is_ok_and(|number| number >= -1);
            let valid = pair(limit).is_some_and(|(_, value)| {
                let (soft, hard) = value.split_once(':').unwrap_or((value, value));
                number(soft) && number(hard)
            });
            if !valid {
                self.reject("ulimits", limit, "is not a limit", "use limits such as `nofile=1024:2048`");
            }
        }
        limits
    }

    fn allow(&mut self) -> Allow {
        let mut allow = Allow::default();
        for item in self.comma_list("allow") {
            match (item.as_str(), pair(&item)) {
                ("network.host" | "security.insecure", _) => allow.entitlements.push(item),
                ("ssh", _) => allow.ssh = true,
                (_, Some(("fs.read" | "fs", path))) if !path.is_empty() => allow.read.push(path.to_owned()),
                (_, Some(("secrets.env", name))) if !name.is_empty() => allow.secret_envs.push(name.to_owned()),
                (_, Some(("cache-to", name))) if !name.is_empty() => allow.cache_to.push(name.to_owned()),
                _ => {
                    let hint = "use `network.host`, `security.insecure`, `ssh`, `fs.read=PATH`, `secrets.env=NAME` or \
                                `cache-to=REF`";
                    self.reject("allow", &item, "is not a known permission", hint);
                }
            }
        }
        allow
    }

    /// Returns agents and keys: `default`, or `id=path[,path…]`.
    fn ssh(&mut self) -> Vec<(String, Option<String>)> {
        let mut agents: Vec<(String, Option<String>)> = Vec::new();
        for item in self.list("ssh") {
            let (id, path) = match pair(&item) {
                Some((id, path)) => (id, Some(path).filter(|path| !path.is_empty())),
                None => (item.as_str(), None),
            };
            if path.is_none() && id != "default" {
                self.reject("ssh", &item, "has no path to a key", "use `default`, or `id=path` with the path of a key");
            } else if agents.iter().any(|(other, _)| other == id) {
                let hint = "remove one of them; to use several keys with one id, write `id=path,path`";
                self.reject("ssh", &item, "has a duplicate id", hint);
            } else {
                agents.push((id.to_owned(), path.map(str::to_owned)));
            }
        }
        agents
    }

    /// Returns an attestation: `true`, `false` or attributes. `false` is the default, so it cannot override a compose file.
    fn attest(&mut self, input: &str) -> Option<Attest> {
        let text = self.raw.get(input)?;
        match attest::attest(text) {
            Ok(attest) => attest,
            Err(reason) => {
                self.reject(input, text, reason.problem, reason.hint);
                None
            }
        }
    }

    /// Returns a compression: its kind, optionally followed by BuildKit's `compression-level` and `force-compression`.
    fn compression(&mut self) -> Compression {
        let text = self.raw.get("compression").unwrap_or_default();
        let mut compression = Compression::default();
        for (index, field) in text.split(',').enumerate() {
            match (index, field.trim(), pair(field)) {
                (0, "gzip", _) => compression.kind = CompressionKind::Gzip,
                (0, "zstd", _) => compression.kind = CompressionKind::Zstd,
                (0, "estargz", _) => compression.kind = CompressionKind::Estargz,
                (0, "uncompressed", _) => compression.kind = CompressionKind::Uncompressed,
                (1.., _, Some(("compression-level", level))) if level.parse().is_ok_and(|level: u8| level <= 22) => {
                    compression.level = level.parse().ok();
                }
                (1.., _, Some(("force-compression", value))) if boolean(value).is_some() => {
                    compression.scope =
                        if boolean(value) == Some(true) { CompressionScope::All } else { CompressionScope::New };
                }
                _ => {
                    let hint = "use `gzip`, `zstd`, `estargz` or `uncompressed`, optionally followed by \
                                `,compression-level=N` (0 to 22) and `,force-compression=true`";
                    self.reject("compression", text, "is not a compression", hint);
                    break;
                }
            }
        }
        compression
    }
}

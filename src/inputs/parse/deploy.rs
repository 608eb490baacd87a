//! Parses the inputs of the group "Deployments".

use std::collections::BTreeMap;

use super::Reader;
use crate::{
    domain::secret::Secret,
    inputs::{
        targets::targets,
        typed::{DeployInputs, SshInputs, TargetsInput},
        values::url,
    },
};

/// Maximum length of an environment's name on GitHub, in characters.
const LONGEST_ENVIRONMENT: usize = 255;

impl Reader<'_> {
    pub(super) fn deploy(&mut self) -> DeployInputs {
        let (no_name, hint) = ("is not a valid environment name", "use at most 255 characters in one line");
        let (no_url, url_hint) = ("is not a URL", "use a URL that begins with `https://`");
        let deploy = DeployInputs {
            targets: self.targets(),
            ssh: SshInputs {
                key: self.text("ssh-key").map(Secret::new),
                passphrase: self.text("ssh-passphrase").map(Secret::new),
                known_hosts: self.text("ssh-known-hosts"),
            },
            to: self.text("to"),
            digests: self.digests(),
            environment: self.checked("environment", environment, no_name, hint),
            environment_url: self.checked("environment-url", url, no_url, url_hint),
        };
        if deploy.environment_url.is_some() && self.raw.get("environment").is_none() {
            let message = "`environment-url` has no effect without `environment`".to_owned();
            self.warn("unused environment-url", message);
        }
        deploy
    }

    fn targets(&mut self) -> TargetsInput {
        let Some(text) = self.text("deploy") else { return TargetsInput::None };
        let is_file = [".yml", ".yaml"].iter().any(|end| text.ends_with(end)) && !text.contains(['\n', ' ']);
        if is_file {
            return TargetsInput::File(text);
        }
        match targets(&text) {
            Ok(targets) if targets.is_empty() => TargetsInput::None,
            Ok(targets) => TargetsInput::Listed(targets),
            Err(mistakes) => {
                self.mistakes.extend(mistakes);
                TargetsInput::None
            }
        }
    }

    /// Parses a JSON map, as the output `digests` is.
    fn digests(&mut self) -> Vec<(String, String)> {
        let Some(text) = self.text("digests") else { return Vec::new() };
        let Ok(map) = serde_json::from_str::<BTreeMap<String, String>>(&text) else {
            let hint = "pass the output `digests` of the job that built the images";
            self.reject("digests", &text, "is not a JSON map from names to digests", hint);
            return Vec::new();
        };
        map.into_iter().collect()
    }
}

fn environment(text: &str) -> Option<String> {
    let fits = text.chars().count() <= LONGEST_ENVIRONMENT && !text.contains(char::is_control);
    fits.then(|| text.to_owned())
}

#[cfg(test)]
mod tests {
    use super::environment;

    #[test]
    fn environments() {
        assert_eq!(environment("review/pr-7").as_deref(), Some("review/pr-7"));
        assert_eq!(environment(&"x".repeat(256)), None);
        assert_eq!(environment("a\nb"), None);
    }
}

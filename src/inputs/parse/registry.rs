//! Parses the inputs about pushing and logins: `registry`, `username`, `password`, `registries`, and the AWS inputs.

use crate::domain::{credentials::as_in_images, default_user::default_user, ecr, secret::Secret};

use super::{GHCR, Reader};
use crate::inputs::{
    registries::registries,
    typed::{AwsInputs, Credentials, MissingRepository, RegistryInputs, WhenSuperseded},
};

impl Reader<'_> {
    pub(super) fn registry(&mut self) -> RegistryInputs {
        let registry = as_in_images(self.raw.get("registry").unwrap_or(GHCR));
        let actor = self.env.var("GITHUB_ACTOR");
        let token = self.raw.get("github-token");
        let mut credentials: Vec<Credentials> = self.login(&registry).into_iter().collect();
        let mut hosts = Vec::new();
        match self.raw.get("registries").map(registries) {
            Some(Ok(more)) => {
                credentials.extend(more.credentials);
                hosts = more.hosts;
            }
            Some(Err(mistake)) => self.mistakes.push(mistake),
            None => {}
        }
        RegistryInputs {
            credentials,
            github: actor.zip(token).map(|(actor, token)| Credentials {
                registry: GHCR.to_owned(),
                username: actor.to_owned(),
                password: Secret::new(token),
            }),
            hosts,
            username: self.raw.get("username").or(actor.filter(|_| registry == GHCR)).map(str::to_owned),
            missing_repository: if self.boolean("ecr-create-repository") {
                MissingRepository::Create
            } else {
                MissingRepository::Refuse
            },
            push: self.push(),
            when_superseded: self.when_superseded(),
            load: self.boolean("load"),
            builder: self.builder(),
            container: self.builder_container(),
            caches: self.caches(),
        }
    }

    fn when_superseded(&mut self) -> WhenSuperseded {
        let choices = [("skip", WhenSuperseded::Skip), ("publish", WhenSuperseded::Publish)];
        self.choice("when-superseded", &choices, WhenSuperseded::default())
    }

    /// Returns the login of `username` and `password`. On `ghcr.io`, either defaults to GitHub's.
    fn login(&mut self, registry: &str) -> Option<Credentials> {
        let github = registry == GHCR;
        let (username, password) = (self.raw.get("username"), self.raw.get("password"));
        if username.is_none() && password.is_none() {
            return None;
        }
        let actor = self.env.var("GITHUB_ACTOR").filter(|_| github);
        let token = self.raw.get("github-token").filter(|_| github);
        let Some(password) = password.or(token) else {
            // Runs of forks and of Dependabot have no secrets, but can still build.
            self.warn(
                "no registry password",
                format!("`username` is set but `password` is empty, so {registry} is used without credentials"),
            );
            return None;
        };
        let Some(username) = username.or(actor).or_else(|| default_user(registry, password)) else {
            self.reject_hidden("password", format!("has no user name for {registry}"), "set `username` as well");
            return None;
        };
        Some(Credentials {
            registry: registry.to_owned(),
            username: username.to_owned(),
            password: Secret::new(password),
        })
    }

    pub(super) fn aws(&mut self) -> AwsInputs {
        let region = |text: &str| ecr::is_region(text).then(|| text.to_owned());
        AwsInputs {
            region: self.checked("aws-region", region, "is not an AWS region", "use a region such as `eu-west-1`"),
            role: self.checked(
                "aws-role",
                role,
                "is not the ARN of a role",
                "copy it from IAM; it looks like `arn:aws:iam::123456789012:role/name`",
            ),
        }
    }
}

/// Parses `arn:PARTITION:iam::ACCOUNT:role/NAME`.
fn role(text: &str) -> Option<String> {
    let [arn, _, iam, "", account, name] = text.splitn(6, ':').collect::<Vec<_>>()[..] else { return None };
    let account_valid = account.len() == 12 && account.bytes().all(|b| b.is_ascii_digit());
    let valid = arn == "arn" && iam == "iam" && account_valid && name.starts_with("role/");
    valid.then(|| text.to_owned())
}

#[cfg(test)]
mod tests {
    use super::role;

    #[test]
    fn roles_are_arns() {
        for good in ["arn:aws:iam::123456789012:role/ci", "arn:aws-cn:iam::123456789012:role/path/ci"] {
            assert_eq!(role(good).as_deref(), Some(good));
        }
        for bad in
            ["ci", "arn:aws:iam::1:role/ci", "arn:aws:iam::123456789012:user/ci", "arn:aws:sts::123456789012:role/ci"]
        {
            assert_eq!(role(bad), None, "{bad}");
        }
    }
}

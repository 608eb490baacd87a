//! The names that expressions in rules, labels and annotations can use: facts about the event.

use chrono::{DateTime, Utc};

use super::{
    moment,
    render::{self, Arguments, Names, RenderError, Value},
};
use crate::{
    domain::git_event::{GitEvent, GitRef},
    tags::language::{Dialect, PullRequestSha, ShaInputs, TagInputs},
};

/// Facts about the event, as docker/metadata-action defines them.
#[derive(Clone, Debug)]
pub struct Facts<'a> {
    event: &'a GitEvent,
    /// The full ref. For `pull_request_target` it is the pull request's ref, although GitHub provides the base
    /// branch's.
    reference: String,
    sha: &'a str,
    inputs: ShaInputs,
    dialect: Dialect,
    now: DateTime<Utc>,
    commit: DateTime<Utc>,
    version: Option<String>,
}

impl<'a> Facts<'a> {
    /// Collects the facts. `now` is used if the time of the commit is unknown.
    pub fn new(event: &'a GitEvent, inputs: &TagInputs, now: DateTime<Utc>) -> Self {
        let reference = match &event.git_ref {
            GitRef::PullRequest(number) if event.name.contains("pull_request_target") => {
                format!("refs/pull/{number}/merge")
            }
            _ => event.reference.clone(),
        };
        let head =
            inputs.sha.of_pull_request == PullRequestSha::Head && matches!(event.git_ref, GitRef::PullRequest(_));
        let commit = event.commit_time.as_deref().and_then(|time| time.parse().ok());
        Self {
            event,
            reference,
            sha: if head { &event.sha } else { &event.workflow_sha },
            inputs: inputs.sha,
            dialect: inputs.dialect,
            now,
            commit: commit.unwrap_or(now),
            version: None,
        }
    }

    /// Adds `version`, the image's first tag. docker/metadata-action does not have it, so [`Dialect::Exact`] ignores it.
    #[must_use]
    pub fn with_version(self, version: &str) -> Self {
        let version = (self.dialect == Dialect::Repaired).then(|| version.to_owned());
        Self { version, ..self }
    }

    /// Renders a template.
    pub fn render(&self, text: &str) -> Result<String, RenderError> {
        render::render(text, self, self.dialect)
    }

    /// Renders the prefix and suffix and adds them to a text.
    pub(in crate::tags) fn with_affixes(&self, text: &str, prefix: &str, suffix: &str) -> Result<String, RenderError> {
        Ok(format!("{}{text}{}", self.render(prefix)?, self.render(suffix)?))
    }

    /// Renders a template that may contain only dates.
    pub(in crate::tags) fn render_dates(&self, text: &str) -> Result<String, RenderError> {
        render::render(text, &Dates(self), self.dialect)
    }

    /// Returns the dialect, which determines the compatibility with docker/metadata-action.
    pub fn dialect(&self) -> Dialect {
        self.dialect
    }

    /// Returns the commit that rules call `sha`; empty if unknown.
    pub fn sha(&self) -> &str {
        self.sha
    }

    /// Returns the time of the commit, or the current time if that is unknown.
    pub fn commit(&self) -> DateTime<Utc> {
        self.commit
    }

    pub(in crate::tags) fn branch(&self) -> Option<&str> {
        self.reference.strip_prefix("refs/heads/")
    }

    pub(in crate::tags) fn tag(&self) -> Option<&str> {
        self.reference.strip_prefix("refs/tags/")
    }

    /// Returns `15` for `refs/pull/15/merge`.
    pub(in crate::tags) fn pull_request(&self) -> Option<&str> {
        let rest = self.reference.strip_prefix("refs/pull/")?;
        Some(rest.strip_suffix("/merge").unwrap_or(rest))
    }

    pub(in crate::tags) fn is_schedule(&self) -> bool {
        self.event.name.contains("schedule")
    }

    pub(in crate::tags) fn default_branch(&self) -> Option<&str> {
        self.event.default_branch.as_deref()
    }

    pub(in crate::tags) fn short_length(&self) -> usize {
        self.inputs.length
    }

    pub(in crate::tags) fn short_sha(&self) -> String {
        self.sha.chars().take(self.inputs.length).collect()
    }

    fn base_ref(&self) -> &str {
        let known = self.tag().is_some() || self.pull_request().is_some();
        self.event.base_ref.as_deref().filter(|_| known).unwrap_or_default()
    }

    fn is_default_branch(&self) -> bool {
        let branch = self.branch().unwrap_or(&self.reference);
        // The run for these events uses the newest commit of the default branch.
        let of_default = || ["create", "discussion", "issues", "schedule"].iter().any(|n| self.event.name.contains(n));
        !branch.is_empty() && (self.default_branch() == Some(branch) || of_default())
    }

    fn date(&self, name: &str, time: DateTime<Utc>, arguments: Option<&Arguments>) -> Result<Value, RenderError> {
        let no_format = || RenderError::Format(name.to_owned());
        let format = match arguments.ok_or_else(no_format)?.positional.as_slice() {
            [Value::Text(format)] if !format.is_empty() => Some(format.as_str()),
            [Value::Nothing | Value::Text(_) | Value::Bool(false)] => None,
            _ => return Err(no_format()),
        };
        let mut zone_name = "UTC";
        for (key, value) in arguments.into_iter().flat_map(|arguments| &arguments.named) {
            match (key.as_str(), value) {
                ("tz", Value::Text(text)) if !text.is_empty() => zone_name = text,
                ("tz", _) => return Err(RenderError::Zone(String::new())),
                _ => return Err(RenderError::Named { function: name.to_owned(), name: key.clone() }),
            }
        }
        let text = match (moment::zone(zone_name), self.dialect) {
            (Some(zone), _) => moment::format(time, zone, format),
            // moment uses the runner's local zone instead, which is UTC without a name.
            (None, Dialect::Exact) => moment::format_local(time, format),
            (None, Dialect::Repaired) => return Err(RenderError::Zone(zone_name.to_owned())),
        };
        Ok(Value::Text(text))
    }
}

impl Names for Facts<'_> {
    fn value(&self, name: &str, arguments: Option<&Arguments>) -> Result<Option<Value>, RenderError> {
        let text = |text: &str| Value::Text(text.to_owned());
        Ok(Some(match name {
            "branch" => text(self.branch().unwrap_or_default()),
            "tag" => text(self.tag().unwrap_or_default()),
            "sha" => Value::Text(self.short_sha()),
            "base_ref" => text(self.base_ref()),
            "is_default_branch" => Value::Text(self.is_default_branch().to_string()),
            "is_not_default_branch" => Value::Text((!self.is_default_branch()).to_string()),
            "version" if self.version.is_some() => text(self.version.as_deref().unwrap_or_default()),
            _ => return Dates(self).value(name, arguments),
        }))
    }
}

/// The names that return dates, and no others.
struct Dates<'f, 'a>(&'f Facts<'a>);

impl Names for Dates<'_, '_> {
    fn value(&self, name: &str, arguments: Option<&Arguments>) -> Result<Option<Value>, RenderError> {
        let Self(facts) = self;
        match name {
            "date" => facts.date(name, facts.now, arguments).map(Some),
            "commit_date" => facts.date(name, facts.commit, arguments).map(Some),
            _ => Ok(None),
        }
    }
}

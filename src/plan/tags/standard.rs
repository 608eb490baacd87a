//! The tags without any rules: our own, and those of docker/metadata-action.

use super::{GitTags, RenderError, Subject, Tag, Tagged, affixed, evaluate::latest_tag, semver::Version};
use crate::inputs::{
    context::{GitEvent, Target},
    rules::{self, Dialect, Flavor, Latest, Rule},
};

/// The rules that docker/metadata-action has where none are written.
pub(super) fn rules() -> Vec<Rule> {
    let text = "type=schedule\ntype=ref,event=branch\ntype=ref,event=tag\ntype=ref,event=pr";
    rules::read(text, Dialect::Exact).map(|read| read.rules).unwrap_or_default()
}

/// A tag before affixes.
struct Draft {
    text: String,
    /// Whether it has a prefix of its own, which the flavor's does not join.
    prefixed: bool,
}

/// What the event says. Never empty, no tag twice.
pub(super) fn tags(flavor: &Flavor, subject: &Subject<'_>) -> Result<Tagged, RenderError> {
    let Subject { event, facts, git_tags } = subject;
    let plain = |text: String| Draft { text, prefixed: false };
    let prefixed = |text: String| Draft { text, prefixed: true };
    let mut drafts: Vec<Draft> = match &event.target {
        Target::Branch(branch) if event.name == "schedule" => vec![plain("nightly".to_owned()), plain(branch.clone())],
        Target::Branch(branch) => vec![plain(branch.clone())],
        Target::Tag(tag) => match Version::read(tag) {
            Some(version) if version.is_final() => version.levels().map(plain).into(),
            Some(version) => vec![plain(version.text())],
            None => vec![plain(tag.clone())],
        },
        Target::PullRequest(number) => vec![prefixed(format!("pr-{number}"))],
        Target::MergeGroup(number) => vec![prefixed(format!("mq-{number}"))],
        Target::Unknown => Vec::new(),
    };
    if !event.sha.is_empty() {
        let short: String = event.sha.chars().take(facts.short_length()).collect();
        drafts.push(prefixed(format!("sha-{short}")));
    }
    if drafts.is_empty() {
        drafts.push(plain("local".to_owned()));
    }
    let mut tags: Vec<Tag> = Vec::with_capacity(drafts.len() + 1);
    for draft in drafts {
        let prefix = if draft.prefixed { "" } else { &flavor.prefix.text };
        tags.push(Tag::repaired(&affixed(&draft.text, prefix, &flavor.suffix.text, facts)?));
    }
    let latest = match flavor.latest {
        Latest::Auto => is_latest(event, *git_tags),
        Latest::Always => true,
        Latest::Never => false,
    };
    if latest {
        tags.push(latest_tag(flavor, Dialect::Repaired));
    }
    let mut unique: Vec<Tag> = Vec::with_capacity(tags.len());
    for tag in tags {
        if !unique.contains(&tag) {
            unique.push(tag);
        }
    }
    let moving = if matches!(event.target, Target::Branch(_)) { unique.clone() } else { Vec::new() };
    Ok(Tagged { tags: unique, moving, warnings: Vec::new() })
}

fn is_latest(event: &GitEvent, git_tags: GitTags<'_>) -> bool {
    match &event.target {
        Target::Branch(_) => event.is_default_branch() && event.name != "schedule",
        Target::Tag(tag) => {
            Version::read(tag).is_some_and(|version| git_tags.allow_latest(|others| version.is_newest(others)))
        }
        Target::PullRequest(_) | Target::MergeGroup(_) | Target::Unknown => false,
    }
}

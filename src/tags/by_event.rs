//! Decides tags by the event if there are no rules.

use super::{
    language::{self, Dialect, Flavor, Latest, Rule},
    names::{RenderError, semver::Version},
    subject::{GitTags, Subject},
    tagged::Tagged,
};
use crate::domain::{
    git_event::{GitEvent, GitRef},
    tag::Tag,
};

/// Returns docker/metadata-action's default rules.
pub(super) fn rules() -> Vec<Rule> {
    let text = "type=schedule\ntype=ref,event=branch\ntype=ref,event=tag\ntype=ref,event=pr";
    language::read(text, Dialect::Exact).map(|read| read.rules).unwrap_or_default()
}

/// A tag without prefix and suffix.
struct Draft {
    text: String,
    /// Whether it has its own prefix, which replaces the flavor's.
    prefixed: bool,
}

/// Returns the tags: at least one, without duplicates.
pub(super) fn tags(flavor: &Flavor, subject: &Subject<'_>) -> Result<Tagged, RenderError> {
    let Subject { event, facts, git_tags } = subject;
    let plain = |text: String| Draft { text, prefixed: false };
    let prefixed = |text: String| Draft { text, prefixed: true };
    let mut drafts: Vec<Draft> = match &event.git_ref {
        GitRef::Branch(branch) if event.name == "schedule" => vec![plain("nightly".to_owned()), plain(branch.clone())],
        GitRef::Branch(branch) => vec![plain(branch.clone())],
        GitRef::Tag(tag) => match Version::read(tag) {
            Some(version) if version.is_final() => version.levels().map(plain).into(),
            Some(version) => vec![plain(version.text())],
            None => vec![plain(tag.clone())],
        },
        GitRef::PullRequest(number) => vec![prefixed(format!("pr-{number}"))],
        GitRef::MergeGroup(number) => vec![prefixed(format!("mq-{number}"))],
        GitRef::Unknown => Vec::new(),
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
        tags.push(Tag::repaired(&facts.with_affixes(&draft.text, prefix, &flavor.suffix.text)?));
    }
    let latest = match flavor.latest {
        Latest::Auto => is_latest(event, *git_tags),
        Latest::Always => true,
        Latest::Never => false,
    };
    if latest {
        tags.push(flavor.latest_tag(Dialect::Repaired));
    }
    let mut unique: Vec<Tag> = Vec::with_capacity(tags.len());
    for tag in tags {
        if !unique.contains(&tag) {
            unique.push(tag);
        }
    }
    let moving = if matches!(event.git_ref, GitRef::Branch(_)) { unique.clone() } else { Vec::new() };
    Ok(Tagged { tags: unique, moving, ..Tagged::default() })
}

fn is_latest(event: &GitEvent, git_tags: GitTags<'_>) -> bool {
    match &event.git_ref {
        GitRef::Branch(_) => event.is_default_branch() && event.name != "schedule",
        GitRef::Tag(tag) => {
            Version::read(tag).is_some_and(|version| git_tags.allow_latest(|others| version.is_newest(others)))
        }
        GitRef::PullRequest(_) | GitRef::MergeGroup(_) | GitRef::Unknown => false,
    }
}

//! Decides tags by rules. Follows docker/metadata-action's `src/meta.ts`
//! (<https://github.com/docker/metadata-action/blob/master/src/meta.ts>), with the deviations of [`Dialect::Repaired`].

use std::cmp::Ordering;

use super::{
    language::{Dialect, Latest, Pattern, RefKind, Rule, RuleKind, ShaForm, TagInputs, Template, VersionRule},
    names::{
        RenderError, pep440,
        render::{self, Names},
        semver,
    },
    subject::Subject,
    tagged::{RuleError, TagError, Tagged},
};
use crate::domain::diagnostic::Severity;

/// The result of a rule: the text of the tag, and whether the rule requests the tag `latest`.
struct Made {
    text: String,
    latest: bool,
}

/// Whether the tags of a rule identify something that does not change: a version, a commit or a pull request.
fn is_fixed(kind: &RuleKind) -> bool {
    match kind {
        RuleKind::Semver(_)
        | RuleKind::Pep440(_)
        | RuleKind::Match { .. }
        | RuleKind::Ref(RefKind::Tag | RefKind::PullRequest)
        | RuleKind::Sha(_) => true,
        RuleKind::Schedule { .. } | RuleKind::Edge { .. } | RuleKind::Ref(RefKind::Branch) | RuleKind::Raw { .. } => {
            false
        }
    }
}

/// Returns the tags. They are empty if no rule applies to the event.
pub(super) fn tags(rules: &[Rule], inputs: &TagInputs, subject: &Subject<'_>) -> Result<Tagged, TagError> {
    let mut sorted: Vec<&Rule> = rules.iter().collect();
    sorted.sort_by(|a, b| b.priority.partial_cmp(&a.priority).unwrap_or(Ordering::Equal));

    let evaluation = Evaluation { inputs, subject };
    let mut tagged = Tagged::default();
    let mut latest = None;
    let mut fixed = Vec::new();
    for rule in sorted {
        let failed = |reason| TagError::Rule { line: rule.line, written: rule.written.clone(), reason };
        let mut note = |severity, reason: String| match severity {
            Severity::Notice => tagged.notices.push(reason),
            _ => tagged.warnings.push(format!("`tags`, line {}, `{}`: {reason}", rule.line, rule.written)),
        };
        let Some(made) = evaluation.rule(rule, &mut note).map_err(failed)? else { continue };
        let Some(text) = Some(made.text).filter(|text| !text.is_empty()) else { continue };
        let tag = inputs.dialect.tag(&text);
        if is_fixed(&rule.kind) {
            fixed.push(tag.clone());
        }
        if !tagged.tags.contains(&tag) {
            tagged.tags.push(tag);
        }
        // The first rule that creates a tag decides.
        latest.get_or_insert(made.latest);
    }
    if latest == Some(true) {
        let tag = inputs.flavor.latest_tag(inputs.dialect);
        if inputs.dialect == Dialect::Exact || !tagged.tags.contains(&tag) {
            tagged.tags.push(tag);
        }
    }
    tagged.moving = tagged.tags.iter().filter(|tag| !fixed.contains(tag)).cloned().collect();
    Ok(tagged)
}

struct Evaluation<'a> {
    inputs: &'a TagInputs,
    subject: &'a Subject<'a>,
}

impl Evaluation<'_> {
    fn rule(&self, rule: &Rule, note: &mut impl FnMut(Severity, String)) -> Result<Option<Made>, RuleError> {
        let facts = self.subject.facts;
        match facts.render(&rule.enable)?.as_str() {
            "true" => {}
            "false" => return Ok(None),
            other => return Err(RuleError::Enable(other.to_owned())),
        }
        let some = |text: Option<&str>| text.map(|text| (text.to_owned(), false));
        let found: Option<(String, bool)> = match &rule.kind {
            RuleKind::Schedule { pattern } if facts.is_schedule() => Some((facts.render_dates(pattern)?, false)),
            RuleKind::Schedule { .. } => None,
            RuleKind::Semver(version) => self.semver(version, note)?,
            RuleKind::Pep440(version) => self.pep440(version, note)?,
            RuleKind::Match { pattern, group, value } => {
                self.matching(pattern, *group, value, note)?.map(|text| (text, true))
            }
            RuleKind::Edge { branch } => {
                let wanted = if branch.is_empty() { facts.default_branch() } else { Some(branch.as_str()) };
                some(facts.branch().filter(|branch| Some(*branch) == wanted).map(|_| "edge"))
            }
            RuleKind::Ref(RefKind::Branch) => some(facts.branch()),
            RuleKind::Ref(RefKind::Tag) => facts.tag().map(|tag| (tag.to_owned(), true)),
            RuleKind::Ref(RefKind::PullRequest) => some(facts.pull_request()),
            RuleKind::Raw { value } => Some((facts.render(value)?, false)),
            RuleKind::Sha(_) if facts.sha().is_empty() => None,
            RuleKind::Sha(ShaForm::Short) => Some((facts.short_sha(), false)),
            RuleKind::Sha(ShaForm::Long) => Some((facts.sha().to_owned(), false)),
        };
        let Some((text, newest)) = found else { return Ok(None) };
        let flavor = &self.inputs.flavor;
        let prefix = rule.prefix.as_deref().unwrap_or(&flavor.prefix.text);
        let suffix = rule.suffix.as_deref().unwrap_or(&flavor.suffix.text);
        let latest = match flavor.latest {
            Latest::Auto => newest,
            Latest::Always => true,
            Latest::Never => false,
        };
        Ok(Some(Made { text: facts.with_affixes(&text, prefix, suffix)?, latest }))
    }

    /// Returns the text that contains the version: the rule's `value`, or the pushed Git tag if there is none.
    fn candidate(&self, value: &str) -> Result<Option<String>, RuleError> {
        let facts = self.subject.facts;
        match (facts.tag(), value.is_empty()) {
            (_, false) => Ok(Some(facts.render(value)?)),
            (Some(tag), true) => Ok(Some(tag.to_owned())),
            (None, true) => Ok(None),
        }
    }

    /// Returns the version: the first group of `match`, or the whole text if `match` does not match.
    fn version(
        &self,
        rule: &VersionRule,
        note: &mut impl FnMut(Severity, String),
    ) -> Result<Option<String>, RuleError> {
        let Some(mut text) = self.candidate(&rule.value)? else { return Ok(None) };
        if !rule.matching.is_empty() {
            let pattern = Pattern::plain(&rule.matching).map_err(RuleError::Pattern)?;
            let groups = pattern.groups(&text).map_err(RuleError::Slow)?;
            let group = groups.map(|groups| groups.get(1).cloned().flatten());
            match group {
                None => note(Severity::Warning, format!("`{}` does not match `{text}`", rule.matching)),
                Some(None) => return Err(RuleError::NoGroup(rule.matching.clone())),
                Some(Some(group)) => text = group,
            }
        }
        Ok(Some(text.replace('/', "-")))
    }

    fn semver(
        &self,
        rule: &VersionRule,
        note: &mut impl FnMut(Severity, String),
    ) -> Result<Option<(String, bool)>, RuleError> {
        let Some(text) = self.version(rule, note)? else { return Ok(None) };
        let Some(version) = semver::Version::read(&text) else {
            // Docker's usual list of rules contains `type=semver` next to `type=ref`, so a tag that is no version is no mistake.
            if self.inputs.dialect == Dialect::Repaired && rule.value.is_empty() {
                let reason = format!("the Git tag `{text}` is not a semantic version, so `type=semver` creates no tag");
                note(Severity::Notice, reason);
            } else {
                note(Severity::Warning, format!("`{text}` is not a semantic version"));
            }
            return Ok(None);
        };
        let whole = !version.is_final() && !is_raw(&rule.pattern);
        let shown = self.render(if whole { "{{version}}" } else { &rule.pattern }, &version)?;
        Ok(Some((shown, self.is_newest(version.is_final(), |tags| version.is_newest(tags)))))
    }

    fn pep440(
        &self,
        rule: &VersionRule,
        note: &mut impl FnMut(Severity, String),
    ) -> Result<Option<(String, bool)>, RuleError> {
        let Some(text) = self.version(rule, note)? else { return Ok(None) };
        let Some(version) = pep440::Version::read(&text) else {
            note(Severity::Warning, format!("`{text}` is not a PEP 440 version"));
            return Ok(None);
        };
        let shown = match (version.is_final(), is_raw(&rule.pattern)) {
            (true, _) => self.render(&rule.pattern, &version)?,
            (false, true) => text.clone(),
            (false, false) => version.text(),
        };
        Ok(Some((shown, self.is_newest(version.is_final(), |tags| version.is_newest(tags)))))
    }

    /// Whether a version moves `latest`: it is final, and no Git tag is a higher version.
    fn is_newest(&self, is_final: bool, among: impl Fn(&[String]) -> bool) -> bool {
        match self.inputs.dialect {
            Dialect::Repaired => self.subject.git_tags.allow_latest(among),
            Dialect::Exact => is_final,
        }
    }

    fn matching(
        &self,
        pattern: &str,
        group: Option<usize>,
        value: &str,
        note: &mut impl FnMut(Severity, String),
    ) -> Result<Option<String>, RuleError> {
        let Some(text) = self.candidate(value)? else { return Ok(None) };
        let compiled = Pattern::literal(pattern).map_err(RuleError::Pattern)?;
        let Some(groups) = compiled.groups(&text).map_err(RuleError::Slow)? else {
            note(Severity::Warning, format!("`{pattern}` does not match `{text}`"));
            return Ok(None);
        };
        let found = group.and_then(|group| groups.get(group).cloned().flatten());
        if found.is_none() {
            note(Severity::Warning, format!("`{pattern}` has no such group for `{text}`"));
        }
        Ok(found)
    }

    fn render(&self, text: &str, names: &impl Names) -> Result<String, RenderError> {
        render::render(text, names, self.inputs.dialect)
    }
}

fn is_raw(pattern: &str) -> bool {
    Template::read(pattern).is_ok_and(|template| template.is_only("raw"))
}

//! The inputs `tags` and `flavor`, in the language of docker/metadata-action
//! (<https://github.com/docker/metadata-action#tags-input>). What the rules come to is decided in
//! [`crate::plan::tags`].

mod csv;
mod flavor;
mod pattern;
mod read;

pub use self::{
    flavor::{Affix, Flavor, Latest},
    pattern::Pattern,
    read::{lines, number, read},
};

/// Whether JavaScript takes it for white space, which is what docker/metadata-action trims: with the mark that files of
/// some editors begin with, and without `U+0085`.
pub(in crate::inputs) fn is_space(character: char) -> bool {
    character == '\u{feff}' || character.is_whitespace() && character != '\u{85}'
}

/// Without white space around it.
fn trimmed(text: &str) -> &str {
    text.trim_matches(is_space)
}

/// How tags are made.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct TagInputs {
    /// The rules, in the order written; none means the default tags.
    pub rules: Vec<Rule>,
    /// What holds for all of them.
    pub flavor: Flavor,
    /// How closely docker/metadata-action is followed.
    pub dialect: Dialect,
    /// Which commit `sha` is in rules, and how much of it is shown.
    pub sha: ShaInputs,
}

impl TagInputs {
    /// Whether it depends on the repository's other Git tags which tags a release gets. `of_images` are rules of single
    /// images.
    pub fn asks_for_the_newest<'a>(&'a self, of_images: impl IntoIterator<Item = &'a Rule>) -> bool {
        let of_versions = |rule: &Rule| matches!(rule.kind, RuleKind::Semver(_) | RuleKind::Pep440(_));
        let mut rules = self.rules.iter().chain(of_images);
        self.dialect == Dialect::Repaired
            && self.flavor.latest == Latest::Auto
            && (self.rules.is_empty() || rules.any(of_versions))
    }
}

/// How closely docker/metadata-action is followed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Dialect {
    /// Mistakes are told and invalid tags repaired.
    #[default]
    Repaired,
    /// Exactly, its oddities included: `tag-compat: true`.
    Exact,
}

/// Which commit `sha` is in rules, and how much of it is shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ShaInputs {
    /// Characters of the short form: `DOCKER_METADATA_SHORT_SHA_LENGTH`.
    pub length: usize,
    /// Of a pull request: `DOCKER_METADATA_PR_HEAD_SHA`.
    pub of_pull_request: PullRequestSha,
}

impl ShaInputs {
    /// Characters of the short form unless told otherwise.
    pub const LENGTH: usize = 7;
}

impl Default for ShaInputs {
    fn default() -> Self {
        Self { length: Self::LENGTH, of_pull_request: PullRequestSha::Merge }
    }
}

/// A commit of a pull request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PullRequestSha {
    /// The merge commit that GitHub made for the run.
    Merge,
    /// The newest commit.
    Head,
}

/// One rule: what makes a tag, and when. Texts that may hold expressions are templates, not yet filled in.
#[derive(Clone, Debug, PartialEq)]
pub struct Rule {
    /// The line of the input that it stands on, from 1.
    pub line: usize,
    /// The rule as written.
    pub written: String,
    /// What it makes a tag of.
    pub kind: RuleKind,
    /// Those with higher ones come first.
    pub priority: f64,
    /// Template that must yield `true` or `false`.
    pub enable: String,
    /// Template of what stands before, instead of the flavor's.
    pub prefix: Option<String>,
    /// Template of what stands behind, instead of the flavor's.
    pub suffix: Option<String>,
}

/// What a rule makes a tag of.
#[derive(Clone, Debug, PartialEq)]
pub enum RuleKind {
    /// A schedule.
    Schedule {
        /// Template, of dates only.
        pattern: String,
    },
    /// A Git tag that is a semantic version.
    Semver(VersionRule),
    /// A Git tag that is a version of a Python package.
    Pep440(VersionRule),
    /// A part of a Git tag.
    Match {
        /// Regular expression, plain or `/…/flags`.
        pattern: String,
        /// Its group; none if there can be no such group.
        group: Option<usize>,
        /// Template of what is looked at instead of the Git tag; empty for the tag.
        value: String,
    },
    /// The newest state of a branch.
    Edge {
        /// The branch; empty for the default branch.
        branch: String,
    },
    /// The name of what was pushed.
    Ref(RefKind),
    /// A text.
    Raw {
        /// Its template.
        value: String,
    },
    /// The commit.
    Sha(ShaForm),
}

/// A rule about versions.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VersionRule {
    /// Template, of the version's parts.
    pub pattern: String,
    /// Template of what is looked at instead of the Git tag; empty for the tag.
    pub value: String,
    /// Regular expression whose first group is the version; empty for the whole.
    pub matching: String,
}

/// What was pushed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RefKind {
    /// A branch.
    Branch,
    /// A tag.
    Tag,
    /// A pull request.
    PullRequest,
}

/// How a commit is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ShaForm {
    /// Its first characters.
    Short,
    /// All of it.
    Long,
}

/// A mistake in rules.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RuleMistake {
    /// The line of the input, from 1.
    pub line: usize,
    /// What stands there.
    pub written: String,
    /// Why it is wrong.
    pub problem: String,
    /// What to do.
    pub fix: String,
}

/// Rules, and what was written in them to no effect.
#[derive(Debug, Default, PartialEq)]
pub struct RulesRead {
    /// The rules.
    pub rules: Vec<Rule>,
    /// What has no effect.
    pub warnings: Vec<String>,
}

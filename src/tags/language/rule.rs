//! Parsed rules for tags.

use super::{
    dialect::Dialect,
    flavor::{Flavor, Latest},
};

/// The settings for tags: the inputs `tags`, `flavor` and `tag-compat`.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct TagInputs {
    /// The rules, in the order of the input. If empty, the event determines the tags.
    pub rules: Vec<Rule>,
    /// Settings that apply to every rule.
    pub flavor: Flavor,
    /// The degree of compatibility with docker/metadata-action.
    pub dialect: Dialect,
    /// Selects the commit that rules call `sha`.
    pub sha: ShaInputs,
}

impl TagInputs {
    /// Whether the tags of a release depend on the repository's other Git tags. `of_images` are the rules of individual
    /// images.
    pub fn needs_git_tags<'a>(&'a self, of_images: impl IntoIterator<Item = &'a Rule>) -> bool {
        let of_versions = |rule: &Rule| matches!(rule.kind, RuleKind::Semver(_) | RuleKind::Pep440(_));
        let mut rules = self.rules.iter().chain(of_images);
        self.dialect == Dialect::Repaired
            && self.flavor.latest == Latest::Auto
            && (self.rules.is_empty() || rules.any(of_versions))
    }
}

/// Selects the commit that rules call `sha`, and the length of its short form.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ShaInputs {
    /// Number of characters of the short form: `DOCKER_METADATA_SHORT_SHA_LENGTH`.
    pub length: usize,
    /// The commit to use for a pull request: `DOCKER_METADATA_PR_HEAD_SHA`.
    pub of_pull_request: PullRequestSha,
}

impl ShaInputs {
    /// Default number of characters of the short form.
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
    /// The merge commit that GitHub creates for the run.
    Merge,
    /// The newest commit of the pull request.
    Head,
}

/// One rule: the source of a tag, and the condition for it. Texts that can contain expressions are unrendered
/// templates.
#[derive(Clone, Debug, PartialEq)]
pub struct Rule {
    /// Its line in the input, from 1.
    pub line: usize,
    /// The rule as written.
    pub written: String,
    /// The source of the tag's text.
    pub kind: RuleKind,
    /// Priority; rules with a higher one come first.
    pub priority: f64,
    /// Template that must render to `true` or `false`.
    pub enable: String,
    /// Template of the prefix, which replaces the flavor's.
    pub prefix: Option<String>,
    /// Template of the suffix, which replaces the flavor's.
    pub suffix: Option<String>,
}

/// The source of a tag's text.
#[derive(Clone, Debug, PartialEq)]
pub enum RuleKind {
    /// A schedule.
    Schedule {
        /// Template that can contain dates only.
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
        /// Number of the group; `None` if it cannot exist.
        group: Option<usize>,
        /// Template of the text to match; empty for the Git tag.
        value: String,
    },
    /// The newest commit of a branch.
    Edge {
        /// The branch; empty for the default branch.
        branch: String,
    },
    /// The name of the branch, tag or pull request.
    Ref(RefKind),
    /// A text.
    Raw {
        /// Template of the text.
        value: String,
    },
    /// The commit's hash.
    Sha(ShaForm),
}

/// A rule for versions.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VersionRule {
    /// Template that can contain the version's parts.
    pub pattern: String,
    /// Template of the version; empty for the Git tag.
    pub value: String,
    /// Regular expression whose first group is the version; empty to use the whole text.
    pub matching: String,
}

/// A kind of Git ref.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RefKind {
    /// A branch.
    Branch,
    /// A tag.
    Tag,
    /// A pull request.
    PullRequest,
}

/// The form in which a commit's hash is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ShaForm {
    /// Its first characters.
    Short,
    /// All of it.
    Long,
}

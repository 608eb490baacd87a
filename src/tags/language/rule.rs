//! Rules for tags, once they are read.

use super::{
    dialect::Dialect,
    flavor::{Flavor, Latest},
};

/// How tags are made: the inputs `tags`, `flavor` and `tag-compat`.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct TagInputs {
    /// The rules, in the order written. Without any, the event decides.
    pub rules: Vec<Rule>,
    /// Settings that apply to every rule.
    pub flavor: Flavor,
    /// How closely docker/metadata-action is followed.
    pub dialect: Dialect,
    /// The commit that rules call `sha`.
    pub sha: ShaInputs,
}

impl TagInputs {
    /// Whether the tags of a release depend on the repository's other Git tags. `of_images` are the rules of single
    /// images.
    pub fn needs_git_tags<'a>(&'a self, of_images: impl IntoIterator<Item = &'a Rule>) -> bool {
        let of_versions = |rule: &Rule| matches!(rule.kind, RuleKind::Semver(_) | RuleKind::Pep440(_));
        let mut rules = self.rules.iter().chain(of_images);
        self.dialect == Dialect::Repaired
            && self.flavor.latest == Latest::Auto
            && (self.rules.is_empty() || rules.any(of_versions))
    }
}

/// The commit that rules call `sha`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ShaInputs {
    /// Characters of the short form: `DOCKER_METADATA_SHORT_SHA_LENGTH`.
    pub length: usize,
    /// Which commit of a pull request: `DOCKER_METADATA_PR_HEAD_SHA`.
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
    /// The newest commit.
    Head,
}

/// One rule: what makes a tag, and when. Texts that may hold expressions are templates that are not rendered yet.
#[derive(Clone, Debug, PartialEq)]
pub struct Rule {
    /// Its line in the input, from 1.
    pub line: usize,
    /// The rule as written.
    pub written: String,
    /// The source of the tag.
    pub kind: RuleKind,
    /// Rules with a higher priority come first.
    pub priority: f64,
    /// Template that must render to `true` or `false`.
    pub enable: String,
    /// Template of the prefix, which replaces the flavor's.
    pub prefix: Option<String>,
    /// Template of the suffix, which replaces the flavor's.
    pub suffix: Option<String>,
}

/// The source of a tag.
#[derive(Clone, Debug, PartialEq)]
pub enum RuleKind {
    /// A schedule.
    Schedule {
        /// Template that may contain dates only.
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
        /// Its template.
        value: String,
    },
    /// The commit's hash.
    Sha(ShaForm),
}

/// A rule for versions.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VersionRule {
    /// Template that may contain the version's parts.
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

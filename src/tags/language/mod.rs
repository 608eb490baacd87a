//! The language of the inputs `tags` and `flavor`, the same as in docker/metadata-action
//! (<https://github.com/docker/metadata-action#tags-input>).

mod csv;
mod dialect;
mod flavor;
mod lines;
mod pattern;
mod read;
mod rule;
mod template;
mod text;

pub use self::{
    dialect::Dialect,
    flavor::{Affix, Flavor, Latest},
    lines::{LineError, lines},
    pattern::Pattern,
    read::{ParsedRules, read},
    rule::{PullRequestSha, RefKind, Rule, RuleKind, ShaForm, ShaInputs, TagInputs, VersionRule},
    template::{Argument, Call, Part, Path, Template, TemplateError},
    text::number,
};

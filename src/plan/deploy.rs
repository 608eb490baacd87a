//! Which targets a run deploys to, and why not to the others.

use std::collections::BTreeMap;

use globset::Glob;
use serde::Serialize;

use super::PushPlan;
use crate::{
    domain::git_event::{GitEvent, GitRef},
    inputs::{server_address::ServerAddress, targets::TargetInput, typed::CommandInput},
};

/// A target of a run.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct DeployPlan {
    /// The kind of target: `compose`.
    pub kind: &'static str,
    /// Name in messages and outputs.
    pub name: String,
    /// The servers, each with the project's directory, separated by commas.
    pub target: String,
    /// The image of each service; empty if services are matched by repository, service or name.
    pub services: BTreeMap<String, String>,
    /// Globs over the names of branches and tags; empty for the default branch.
    pub refs: Vec<String>,
    /// The reason why the run does not deploy to it; `None` if it does.
    pub skipped: Option<String>,
    /// Its settings.
    #[serde(skip)]
    pub input: TargetInput,
}

/// What is deployed, which decides when that is possible.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Wanted<'a> {
    /// The images of the run, which are pushed.
    Pushed,
    /// The images of the run, which are not pushed, for this reason.
    Unpushed(&'a str),
    /// Images that exist.
    Existing,
    /// An earlier release, whatever the ref of the run is.
    Earlier,
}

impl<'a> Wanted<'a> {
    /// Returns what a command deploys.
    pub(super) fn of(command: CommandInput, push: &'a PushPlan) -> Self {
        match command {
            CommandInput::Rollback => Self::Earlier,
            CommandInput::Deploy => Self::Existing,
            CommandInput::Run | CommandInput::Plan | CommandInput::Notify if push.enabled => Self::Pushed,
            CommandInput::Run | CommandInput::Plan | CommandInput::Notify => Self::Unpushed(&push.reason),
        }
    }
}

/// Plans the targets.
pub(super) fn targets(targets: &[TargetInput], event: &GitEvent, wanted: Wanted<'_>) -> Vec<DeployPlan> {
    let plan = |input: &TargetInput| DeployPlan {
        kind: "compose",
        name: input.name.clone(),
        target: input.servers.iter().map(shown).collect::<Vec<_>>().join(", "),
        services: input.services.iter().cloned().collect(),
        refs: input.refs.clone(),
        skipped: skipped(input, event, wanted),
        input: input.clone(),
    };
    targets.iter().map(plan).collect()
}

fn shown(server: &ServerAddress) -> String {
    format!("{}:{}", server.authority(), server.path)
}

fn skipped(target: &TargetInput, event: &GitEvent, wanted: Wanted<'_>) -> Option<String> {
    if event.is_trial() || event.is_fork_pr {
        return Some("pull requests and merge groups are never deployed".to_owned());
    }
    match wanted {
        Wanted::Unpushed(reason) => return Some(format!("nothing is pushed: {reason}")),
        Wanted::Earlier => return None,
        Wanted::Pushed | Wanted::Existing => {}
    }
    let name = match &event.git_ref {
        GitRef::Branch(name) | GitRef::Tag(name) => Some(name.as_str()),
        GitRef::PullRequest(_) | GitRef::MergeGroup(_) | GitRef::Unknown => None,
    };
    match (target.refs.is_empty(), name) {
        (true, _) if event.is_default_branch() => None,
        (true, _) => Some(match &event.default_branch {
            Some(branch) => format!("only the default branch {branch} is deployed; `refs` selects others"),
            None => "the default branch is unknown; set `refs`".to_owned(),
        }),
        (false, Some(name)) if target.refs.iter().any(|pattern| matches(pattern, name)) => None,
        (false, name) => Some(format!("{} does not match `refs`", name.unwrap_or("the ref"))),
    }
}

fn matches(pattern: &str, name: &str) -> bool {
    Glob::new(pattern).is_ok_and(|glob| glob.compile_matcher().is_match(name))
}

#[cfg(test)]
mod tests {
    use super::{Wanted, skipped, targets};
    use crate::{
        domain::git_event::{GitEvent, GitRef},
        inputs,
    };

    #[test]
    fn refs_decide_which_runs_are_deployed() {
        let of = |git_ref: GitRef| GitEvent { git_ref, default_branch: Some("main".into()), ..GitEvent::default() };
        let branch = |name: &str| of(GitRef::Branch(name.into()));
        let tag = |name: &str| of(GitRef::Tag(name.into()));
        for (refs, event, want) in [
            ("", branch("main"), None),
            ("", branch("dev"), Some("only the default branch main is deployed")),
            ("", tag("main"), Some("only the default branch main is deployed")),
            ("refs: [dev, 'release/*']", branch("release/1"), None),
            ("refs: [dev, 'release/*']", branch("main"), Some("main does not match `refs`")),
            ("refs: 'v*'", tag("v1.2.3"), None),
            ("refs: '*'", of(GitRef::PullRequest(7)), Some("pull requests and merge groups are never deployed")),
            ("refs: '*'", of(GitRef::MergeGroup(7)), Some("pull requests and merge groups are never deployed")),
            ("refs: '*'", of(GitRef::Unknown), Some("the ref does not match `refs`")),
        ] {
            let target = inputs::targets::targets(&format!("compose: ssh://a@b/c\n{refs}\n")).unwrap().remove(0);
            let got = skipped(&target, &event, Wanted::Pushed);
            assert_eq!(got.is_some(), want.is_some(), "{refs} {event:?}: {got:?}");
            assert!(got.unwrap_or_default().starts_with(want.unwrap_or_default()));
            assert!(skipped(&target, &event, Wanted::Unpushed("dry run")).is_some());
        }
    }

    #[test]
    fn the_plan_shows_servers_without_secrets() {
        let of =
            inputs::targets::targets("{name: shop, compose: [ssh://a@b/c, ssh://a@d:2222/e], services: {web: django}}");
        let plan = targets(&of.unwrap(), &GitEvent::default(), Wanted::Existing).remove(0);
        let json = serde_json::to_value(&plan).unwrap();
        assert_eq!(json["target"], "a@b:/c, a@d:2222:/e");
        assert_eq!(json["services"]["web"], "django");
        assert_eq!(json["skipped"], "the default branch is unknown; set `refs`");
    }
}

//! The tags that a run is moving, saved for the post stage in case the run is killed.

use std::{cell::Cell, time::Duration};

use super::{logins::Logins, observers::chat::warning, saved};
use crate::{
    domain::{
        diagnostic::Diagnostic,
        publication::{Publication, TagState},
        run::RunState,
    },
    inputs::{runner::RunnerEnv, typed::Inputs},
    publish::{self, Move, Repaired},
    registry::registries::Registries,
};

/// Names in `GITHUB_STATE`.
const MOVING: &str = "moving";
const MOVED: &str = "moved";

/// Time limit of the repair in the post stage.
const REPAIR: Duration = Duration::from_secs(5);

/// Maximum size in bytes: the runner passes the value in an environment variable of the post stage, which the kernel
/// limits to 128 KiB.
const LARGEST: usize = 96 << 10;

/// Saves the tags that are about to move. If this fails, the post stage repairs nothing.
pub fn begin(env: &RunnerEnv, moves: &[Move]) {
    if let Ok(text) = serde_json::to_string(moves)
        && text.len() <= LARGEST
    {
        let _ = saved::write(env, &[(MOVING, &text)]);
    }
}

/// Saves that the run itself reports its tags, if it moved any and knows the state of each. Returns whether it knows them.
pub fn end(env: &RunnerEnv, moving: &Cell<bool>, run: &RunState) -> bool {
    let publications = || run.images.iter().filter_map(|image| image.publication.as_ref());
    let is_unknown = publications().flat_map(|publication| &publication.tags).any(|tag| tag.state == TagState::Unknown);
    if moving.get() && !is_unknown {
        let _ = saved::write(env, &[(MOVING, "[]"), (MOVED, "true")]);
    }
    !is_unknown
}

/// Repairs the tags of a run that was killed while it moved them, and reports the state of each. Returns nothing if no
/// run was killed.
pub async fn repair(inputs: &Inputs, env: &RunnerEnv) -> Vec<Diagnostic> {
    if env.state(MOVED).is_some() {
        return Vec::new();
    }
    let saved = env.state(MOVING).and_then(|text| serde_json::from_str::<Vec<Move>>(text).ok());
    let Some(moves) = saved.filter(|moves| !moves.is_empty()) else { return Vec::new() };
    let registries = Registries::new(Logins::given(inputs, env).credentials);
    let repair = publish::after_kill(&registries, &moves);
    let Ok(tags) = tokio::time::timeout(REPAIR, repair).await else {
        let all: Vec<String> = moves.iter().map(|one| format!("{}:{}", one.repository, one.tag)).collect();
        let message = format!(
            "the run ended while these tags were being moved, and checking them timed out after {} s: {}",
            REPAIR.as_secs(),
            all.join(", ")
        );
        return vec![warning("tags", message)];
    };
    vec![warning("tags", report(tags))]
}

fn report(repaired: Vec<Repaired>) -> String {
    let problems: Vec<String> =
        repaired.iter().filter_map(|one| Some(format!("{}: {}", one.tag.reference(), one.problem.as_ref()?))).collect();
    let tags = repaired.into_iter().map(|one| one.tag).collect();
    let publication = Publication { digest: None, changed: None, size: None, tags };
    let groups =
        publication.by_state().into_iter().map(|(state, references)| format!("{state}: {}", references.join(", ")));
    let parts: Vec<String> = groups.chain(problems).collect();
    format!("the run ended while its tags were being moved; {}", parts.join("; "))
}

//! The run, in order. Each stage takes values and returns values; this file alone decides what follows what.
//!
//! Nothing here formats text, builds a request or reads the environment.

use crate::{
    build::{self, Goal},
    domain::{
        event::Event,
        run::{Failure, Stage},
    },
    events::Events,
    plan::Plan,
    preflight::{self, Edges},
};

/// Builds and pushes what the plan says. Dropping the future stops every build in the daemon.
pub async fn run(plan: &Plan, edges: &Edges, events: &Events) -> Result<(), Failure> {
    // Everything that can be known to fail is known before the first layer is built.
    events.emit(Event::StageStarted(Stage::Preflight)).await;
    let mut recipes = preflight::recipes(plan, edges)?;
    let builder = preflight::builder(plan, edges, &mut recipes, goal(plan), events).await?;
    for doubt in preflight::support(&builder, &mut recipes).await? {
        events.emit(Event::Diagnostic(doubt)).await;
    }

    // Every image at the same time. Credentials are tried meanwhile: wrong ones end the run at once, not after it.
    events.emit(Event::StageStarted(Stage::Build)).await;
    tokio::select! {
        biased;
        failure = preflight::refused_login(&builder, plan) => Err(failure),
        built = build::all(&builder, &recipes, goal(plan), events) => built,
    }
}

fn goal(plan: &Plan) -> Goal {
    match (plan.push.enabled, plan.load) {
        (true, false) => Goal::Push,
        (true, true) => Goal::PushAndLoad,
        (false, true) => Goal::Load,
        (false, false) if plan.compare_with.is_some() => Goal::Measure,
        (false, false) => Goal::Check,
    }
}

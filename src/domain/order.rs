//! The order of events, as a grammar.
//!
//! ```text
//! run     = { remark | stage | image | target } finished { remark }
//! stage   = preflight, then build, then publish, then deploy; each once at most
//! image   = compared, once, at any time; and
//!           [ started { step | uploading | retrying } ( built | failed | cancelled ) ]    in stage build
//!           after built: { uploading | retrying } published                           in stage publish
//! step    = started { line } finished { line }; steps are numbered from 0 in order of appearance
//! target  = { step } finished                                                          in stage deploy
//! remark  = diagnostic, note, history, the newer commit or the job's address, at any time
//! ```
//!
//! An image may be cancelled before it has started, if another one fails first. When a run is cancelled, no further events
//! are sent for images in progress: the end of the run applies to all of them.
//!
//! The reporter checks every event of every run against this grammar, so no picture or test can show an order that does
//! not occur in a run.

use std::collections::{HashMap, HashSet};

use thiserror::Error;

use super::{
    deploy::DeployStep,
    event::{Event, ImageEvent, StepOutcome},
    stage::Stage,
};

/// An event in an invalid position.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
#[error("event out of order: {0}")]
pub struct OutOfOrder(String);

/// Checks the order of events.
#[derive(Debug, Default)]
pub struct Order {
    stage: Option<Stage>,
    images: HashMap<String, Image>,
    /// The targets whose deployment has ended.
    deployed: HashSet<String>,
    finished: bool,
}

#[derive(Debug, Default)]
struct Image {
    progress: Progress,
    compared: bool,
    steps: Vec<Step>,
}

#[derive(Debug, Default, PartialEq, Eq)]
enum Progress {
    #[default]
    Waiting,
    Building,
    Built,
    Over,
}

#[derive(Debug, PartialEq, Eq)]
enum Step {
    Running,
    Finished,
    Failed,
}

impl Order {
    /// Checks the next event.
    ///
    /// # Errors
    /// Fails if the grammar does not allow the event here. The event is recorded nevertheless.
    pub fn check(&mut self, event: &Event) -> Result<(), OutOfOrder> {
        let invalid = |problem: String| Err(OutOfOrder(problem));
        match event {
            Event::Diagnostic(_)
            | Event::Note(_)
            | Event::SecretLearned(_)
            | Event::History(_)
            | Event::Superseded(_)
            | Event::JobUrl(_) => Ok(()),
            _ if self.finished => invalid(format!("{event:?} after the end of the run")),
            Event::Finished(_) => {
                self.finished = true;
                Ok(())
            }
            Event::StageStarted(stage) => {
                let before = self.stage.replace(*stage);
                if before.is_some_and(|before| before >= *stage) {
                    return invalid(format!("stage {} started after {before:?}", stage.word()));
                }
                Ok(())
            }
            Event::Deploy { target, step } => {
                if self.stage != Some(Stage::Deploy) || self.deployed.contains(target) {
                    return invalid(format!("{target}: {step:?} in stage {:?}", self.stage));
                }
                if matches!(step, DeployStep::Finished(_)) {
                    self.deployed.insert(target.clone());
                }
                Ok(())
            }
            Event::Image { image, event } => {
                let state = self.images.entry(image.clone()).or_default();
                state.check(event, self.stage).map_err(|problem| OutOfOrder(format!("{image}: {problem}")))
            }
        }
    }
}

impl Image {
    fn check(&mut self, event: &ImageEvent, stage: Option<Stage>) -> Result<(), String> {
        use Progress::{Building, Built, Over, Waiting};
        let (building, publishing) = (stage == Some(Stage::Build), stage == Some(Stage::Publish));
        let next = match (event, &self.progress) {
            (ImageEvent::Compared(_), _) if !self.compared => {
                self.compared = true;
                return Ok(());
            }
            (ImageEvent::Started, Waiting) if building => Building,
            (ImageEvent::Cancelled, Waiting | Building) | (ImageEvent::Failed(_), Building) if building => Over,
            (ImageEvent::StepStarted { step, .. }, Building) if building && *step == self.steps.len() => {
                self.steps.push(Step::Running);
                return Ok(());
            }
            (ImageEvent::StepLog { step, .. }, Building) if building && self.steps.get(*step).is_some() => {
                return Ok(());
            }
            (ImageEvent::StepFinished { step, outcome, .. }, Building) if building => {
                // BuildKit may report that a step is done, and later that it failed.
                match (self.steps.get_mut(*step), outcome) {
                    (Some(state @ (Step::Running | Step::Finished)), StepOutcome::Failed(_)) => *state = Step::Failed,
                    (Some(state @ Step::Running), _) => *state = Step::Finished,
                    _ => return Err(format!("{event:?} of a step that does not run")),
                }
                return Ok(());
            }
            (ImageEvent::Pushing | ImageEvent::Retrying { .. }, Building) if building => return Ok(()),
            (ImageEvent::Pushing | ImageEvent::Retrying { .. }, Built) if publishing => return Ok(()),
            (ImageEvent::Finished(_), Building) if building => Built,
            (ImageEvent::Published(_), Built) if publishing => Over,
            _ => return Err(format!("{event:?} in stage {stage:?} while the image is {:?}", self.progress)),
        };
        self.progress = next;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::Order;
    use crate::domain::{
        event::{Event, ImageEvent, ImageResult, Previous, StepOutcome},
        outcome::RunOutcome,
        publication::Publication,
        stage::Stage,
    };

    fn image(event: ImageEvent) -> Event {
        Event::Image { image: "web".into(), event }
    }

    fn finished() -> Event {
        image(ImageEvent::Finished(Box::new(ImageResult {
            digest: None,
            size: None,
            uploaded: true,
            pushed: false,
            loaded: Vec::new(),
            changed: None,
            platforms: Vec::new(),
            steps: 1,
            cached: 0,
            duration: Duration::ZERO,
        })))
    }

    fn published() -> Event {
        let tags = Vec::new();
        image(ImageEvent::Published(Box::new(Publication { digest: None, changed: None, size: None, tags })))
    }

    fn step(step: usize) -> Event {
        image(ImageEvent::StepStarted { step, name: "[1/1] RUN x".into() })
    }

    fn ended(step: usize) -> Event {
        image(ImageEvent::StepFinished { step, outcome: StepOutcome::Done, duration: Duration::ZERO })
    }

    /// Returns the number of events before the first invalid one.
    fn taken(events: &[Event]) -> usize {
        let mut order = Order::default();
        events.iter().take_while(|event| order.check(event).is_ok()).count()
    }

    #[test]
    fn accepts_valid_orders_only() {
        let compared = || image(ImageEvent::Compared(Previous { digest: None, size: None }));
        let whole = [
            Event::StageStarted(Stage::Preflight),
            Event::Note("x".into()),
            Event::StageStarted(Stage::Build),
            image(ImageEvent::Started),
            compared(),
            step(0),
            ended(0),
            image(ImageEvent::Pushing),
            finished(),
            Event::StageStarted(Stage::Publish),
            published(),
            Event::Finished(RunOutcome::Success),
            Event::Note("x".into()),
        ];
        assert_eq!(taken(&whole), whole.len());
        // Each of these events is invalid directly after the given number of events.
        for (after, event) in [
            (2, image(ImageEvent::Started)),
            (3, finished()),
            (3, step(0)),
            (4, image(ImageEvent::Started)),
            (4, step(1)),
            (4, ended(0)),
            (5, compared()),
            (7, ended(0)),
            (8, published()),
            (9, finished()),
            (9, published()),
            (9, Event::StageStarted(Stage::Build)),
            (10, image(ImageEvent::Cancelled)),
            (11, published()),
            (12, Event::StageStarted(Stage::Deploy)),
        ] {
            let mut events = whole[..after].to_vec();
            events.push(event);
            assert_eq!(taken(&events), after, "{:?}", events.last());
        }
    }

    #[test]
    fn a_step_that_is_done_may_fail_once() {
        let failed = || {
            image(ImageEvent::StepFinished {
                step: 0,
                outcome: StepOutcome::Failed("no".into()),
                duration: Duration::ZERO,
            })
        };
        let events =
            |last: Event| [Event::StageStarted(Stage::Build), image(ImageEvent::Started), step(0), ended(0), last];
        assert_eq!(taken(&events(failed())), 5);
        assert_eq!(taken(&events(ended(0))), 4);
        let [stage, started, begun, end, last] = events(failed());
        assert_eq!(taken(&[stage, started, begun, end, last, failed()]), 5);
    }

    #[test]
    fn an_image_may_be_cancelled_before_it_starts() {
        let events = [Event::StageStarted(Stage::Build), image(ImageEvent::Cancelled)];
        assert_eq!(taken(&events), 2);
    }
}

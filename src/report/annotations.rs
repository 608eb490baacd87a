//! Selects the annotations of a run.

use crate::{
    domain::{
        diagnostic::{Diagnostic, Severity},
        failure::Failure,
        visible::bare,
    },
    github::commands::annotation,
};

use super::{folded::folded, human};

/// Maximum number of annotations of each kind per step. The runner drops the rest.
const MOST: usize = 10;

/// The annotations of a run, and the diagnostics that exceed the limit.
#[derive(Debug, PartialEq, Eq)]
pub struct Annotations {
    /// Workflow commands for the runner.
    pub commands: Vec<String>,
    /// Diagnostics to be shown as plain text.
    pub omitted: Vec<Diagnostic>,
}

/// Selects the most important diagnostics of each kind: first the failure, then those about the whole run, then those about
/// lines of files, each in order of appearance. Duplicates are dropped.
pub fn annotations(diagnostics: &[Diagnostic], failure: Option<&Failure>) -> Annotations {
    let failure = failure.map(diagnostic_of);
    let diagnostics = folded(diagnostics);
    let mut all: Vec<&Diagnostic> = Vec::new();
    for diagnostic in failure.iter().chain(&diagnostics) {
        if !all.contains(&diagnostic) {
            all.push(diagnostic);
        }
    }
    let mut commands = Vec::new();
    let mut omitted: Vec<Diagnostic> = Vec::new();
    let mut more: Vec<String> = Vec::new();
    for (severity, word) in [(Severity::Error, "error"), (Severity::Warning, "warning"), (Severity::Notice, "notice")] {
        let mut kind: Vec<&Diagnostic> = all.iter().copied().filter(|one| one.severity == severity).collect();
        kind.sort_by_key(|one| (failure.as_ref() != Some(*one), one.place.is_some()));
        // The note about omitted annotations is a notice itself.
        let all_fit = omitted.is_empty() && kind.len() <= MOST;
        let room = if severity == Severity::Notice && !all_fit { MOST - 1 } else { MOST };
        let (shown, rest) = kind.split_at(kind.len().min(room));
        commands.extend(shown.iter().map(|one| annotation(severity, &one.title, &one.message, one.place.as_ref())));
        omitted.extend(rest.iter().copied().cloned());
        if !rest.is_empty() {
            more.push(human::count(rest.len(), word));
        }
    }
    if !more.is_empty() {
        let message =
            format!("{} in the log only; GitHub shows at most {MOST} annotations of each kind", more.join(" and "));
        commands.push(annotation(Severity::Notice, "annotations omitted", &message, None));
    }
    Annotations { commands, omitted }
}

/// The failure as an annotation on the line that caused it.
fn diagnostic_of(failure: &Failure) -> Diagnostic {
    let title = match (failure.image(), failure.target()) {
        (Some(image), _) => format!("{} of {image} failed", failure.stage.word()),
        (None, Some(target)) => format!("{} to {target} failed", failure.stage.word()),
        (None, None) => format!("{} failed", failure.stage.word()),
    };
    let exit_code = failure.exit_code.map(|code| format!("exit code {code}"));
    // GitHub does not show colors in annotations.
    let cause = failure.key_line().filter(|line| !failure.headline.contains(*line)).map(bare);
    let parts = [Some(failure.headline.clone()), cause, failure.instruction.clone(), exit_code, failure.hint.clone()];
    let message = parts.into_iter().flatten().collect::<Vec<_>>().join("\n");
    Diagnostic { severity: Severity::Error, title, message, place: failure.place.clone() }
}

#[cfg(test)]
mod tests {
    use super::annotations;
    use crate::domain::{
        diagnostic::{Diagnostic, Place, Severity},
        failure::{Blame, Failure, Subject},
        stage::Stage,
    };

    fn diagnostic(severity: Severity, number: usize, place: Option<Place>) -> Diagnostic {
        Diagnostic { severity, title: "t".into(), message: format!("m{number}"), place }
    }

    fn place(line: u32) -> Place {
        Place { file: "Dockerfile".into(), line, end_line: line }
    }

    #[test]
    fn the_failure_comes_first_on_its_line() {
        let failure = Failure {
            blame: Blame::World,
            stage: Stage::Build,
            subject: Subject::Image("django".into()),
            headline: "pip install failed".into(),
            hint: Some("fix it".into()),
            place: Some(place(7)),
            instruction: Some("RUN pip install".into()),
            exit_code: Some(1),
            log: vec!["Failed to build 'psycopg2'".into(), "a last word".into()],
        };
        let other = diagnostic(Severity::Error, 1, None);
        let drawn = annotations(&[other.clone(), other], Some(&failure));
        assert_eq!(
            drawn.commands,
            [
                "::error file=Dockerfile,line=7,endLine=7,title=build of django failed::\
                 pip install failed%0AFailed to build 'psycopg2'%0ARUN pip install%0Aexit code 1%0Afix it",
                "::error title=t::m1",
            ]
        );
    }

    #[test]
    fn ten_of_a_kind_and_a_word_on_the_rest() {
        let in_file = |n: usize| Some(Place { file: format!("Dockerfile.{n}"), ..place(1) });
        let mut all: Vec<Diagnostic> = (0..15).map(|n| diagnostic(Severity::Warning, n, in_file(n))).collect();
        all.push(diagnostic(Severity::Warning, 99, None));
        all.extend((0..10).map(|n| diagnostic(Severity::Notice, n, None)));
        let drawn = annotations(&all, None);
        let count = |prefix: &str| drawn.commands.iter().filter(|command| command.starts_with(prefix)).count();
        assert_eq!((count("::warning"), count("::notice")), (10, 10));
        assert_eq!(drawn.commands[0], "::warning title=t::m99", "diagnostics about the whole run come first");
        assert_eq!(drawn.omitted.len(), 6 + 1);
        assert_eq!(
            drawn.commands.last().unwrap(),
            "::notice title=annotations omitted::6 warnings and 1 notice in the log only; GitHub shows at most 10 annotations of each kind"
        );
    }
}

//! What a Dockerfile prints is text, whatever it looks like.

use crate::{
    lab::Engine,
    run::{BASE, Run, log},
};

/// Lines that are commands for the runner, in both syntaxes and with what hides them.
const NASTY: &str = "\
::error file=evil.py,line=1::evil
::warning::evil
::notice::evil
::set-output name=digest::evil
##[set-output name=digest;]evil
text before ##[error]evil
##[save-state name=x]evil
::save-state name=x::evil
::add-mask::harmless
x ##[add-mask]harmless
::stop-commands::silence
::add-matcher::/github/workspace/matcher.json
##[add-matcher]/nonexistent
::set-env name=A::evil
::add-path::/evil
::endgroup::
##[endgroup]
::group::evil
::ERROR::evil
  ::error::evil
#12 ##[error]evil
progress 1%\r::error::evil\r##[error]evil
\u{2028}::error::evil
\u{85}::error::evil
\u{1b}[31m::error::evil
#\u{1b}[0m#[error]evil
";

#[tokio::test]
async fn build_output_issues_no_commands() {
    for engine in Engine::ALL {
        for (end, status) in [("", 0), (" && false", 1)] {
            let run = Run::new(
                engine,
                &[
                    ("nasty.txt", &NASTY.replace("\\r", "\r")),
                    (
                        "Dockerfile",
                        &format!("{BASE}COPY nasty.txt stamp /\nRUN cat /nasty.txt; cat /nasty.txt >&2{end}\n"),
                    ),
                ],
            );
            run.write("stamp", &run.repository);
            let report = run.expect(status).await;
            let console = &report.console;
            let evil: Vec<_> = console.annotations.iter().filter(|one| one.message.contains("evil")).collect();
            // The one error of the failed build quotes a line of its output.
            assert_eq!(evil.len(), usize::from(status == 1), "{engine:?}: {evil:?}");
            assert!(evil.iter().all(|one| one.message.contains("failed with exit code 1")), "{engine:?}: {evil:?}");
            assert_eq!(console.of_kind("error").count(), usize::from(status == 1));
            assert!(!console.masks.iter().any(|mask| mask == "harmless"), "{engine:?}");
            assert!(log(&report).contains("harmless"), "what it prints is shown");
            assert!(!report.outputs["digest"].contains("evil"));
            let titles: Vec<_> =
                log(&report).lines().filter(|l| l.starts_with("##[group]")).map(str::to_owned).collect();
            assert!(!titles.iter().any(|title| title.contains("evil")), "{titles:?}");
        }
    }
}

//! The job summary: the result of a run as GitHub-flavored Markdown. Untrusted text is escaped ([`super::markdown`]).

use crate::domain::{
    deploy::{DeployReport, DeployResult},
    deployment::Deployment,
    diagnostic::{Diagnostic, Place, Severity},
    failure::Failure,
    history::Change,
    outcome::RunOutcome,
    run::{ImageState, RunState, TargetState},
    tag::Tag,
};

use super::{
    deployments,
    folded::folded,
    human,
    images::{self, cached, cell, codes, result, size, tag_results, totals},
    markdown::{Page, code, fenced, link},
    timeline::{self, Slow},
};

/// Maximum size in bytes. GitHub drops summaries of more than 1 MiB; this leaves room for those of other steps.
pub const LONGEST: usize = 900 << 10;

/// Maximum number of listed warnings.
const MOST_WARNINGS: usize = 50;
/// Maximum number of listed slow steps.
const MOST_SLOW: usize = 5;

/// Renders the summary of a finished run. At most [`LONGEST`] bytes.
pub fn summary(run: &RunState) -> String {
    let mut page = Page::new(LONGEST);
    page.add(&headline(run));
    if let Some(failure) = run.failure() {
        page.add(&failure_section(failure, &run.info.job_url));
    }
    for error in run.diagnostics.iter().filter(|one| one.severity == Severity::Error) {
        page.add(&format!("\n**Error**: {}\n", lines(&error.message)));
    }
    if !run.images.is_empty() {
        page.add(
            "\n| Image | Services | Tags | Digest | Size | Time | Cached | Result |\n\
             |---|---|---|---|--:|--:|--:|---|\n",
        );
        page.add_each(&run.images, row, "image");
        page.add(&format!("\n{}\n", totals(run)));
    }
    let tags = tag_results(run);
    if !tags.is_empty() {
        page.add("\n| Tag | Result |\n|---|---|\n");
        page.add_each(&tags, |(tag, state)| format!("| {} | {state} |\n", code(tag)), "tag");
    }
    let reports: Vec<&DeployReport> = run.targets.iter().filter_map(TargetState::report).collect();
    if !reports.is_empty() {
        page.add("\n| Target | Result | Services | Time | |\n|---|---|---|--:|---|\n");
        page.add_each(&reports, |report| target(report), "target");
        let by_hand: Vec<&str> = reports.iter().flat_map(|report| &report.by_hand).map(String::as_str).collect();
        if !by_hand.is_empty() {
            page.add(&format!("\n**Continue by hand**\n\n{}", fenced(by_hand.into_iter())));
        }
    }
    if !run.deployments.is_empty() {
        page.add("\n| Deployed to | Result | |\n|---|---|---|\n");
        page.add_each(&run.deployments, deployment, "deployment");
    }
    if let Some(chart) = timeline::chart(run) {
        page.add(&format!("\n{chart}"));
    }
    let slowest = timeline::slowest(run, MOST_SLOW);
    if !slowest.is_empty() {
        page.add("\n| Slowest steps | Image | Time |\n|---|---|--:|\n");
        page.add_each(&slowest, slow, "step");
    }
    warnings(run, &mut page);
    loaded(run, &mut page);
    commands(run, &mut page);
    page.into_text()
}

/// The names of loaded images, for the steps that follow.
fn loaded(run: &RunState, page: &mut Page) {
    let names = run.images.iter().filter_map(result).flat_map(|result| &result.loaded).map(String::as_str);
    let names: Vec<&str> = names.collect();
    if !names.is_empty() {
        page.add(&format!("\n**Loaded** into the runner's Docker engine\n\n{}", fenced(names.into_iter())));
    }
}

/// Commands for a terminal: to pull the images, and to restore the previous image of their first tag.
fn commands(run: &RunState, page: &mut Page) {
    let pushed = || run.images.iter().filter_map(|image| Some((image, result(image).filter(|result| result.pushed)?)));
    let pull: Vec<String> = pushed()
        .filter_map(|(image, _)| {
            Some(format!("docker pull {}:{}", image.destinations.repository, first_own_tag(image)?))
        })
        .collect();
    if pull.is_empty() {
        return;
    }
    page.add(&format!("\n**Pull**\n\n{}", fenced(pull.iter().map(String::as_str))));
    let back: Vec<String> = pushed()
        .filter(|(_, result)| result.changed == Some(true))
        .filter_map(|(image, _)| {
            let previous = image.previous.as_ref()?.digest.as_ref()?;
            // The previous image is that of the first tag, which the run may not have moved.
            let tag = first_own_tag(image).filter(|tag| image.destinations.version() == Some(tag))?;
            let repository = &image.destinations.repository;
            Some(format!("docker buildx imagetools create --tag {repository}:{tag} {repository}@{previous}"))
        })
        .collect();
    if !back.is_empty() {
        let lines = fenced(back.iter().map(String::as_str));
        page.add(&format!("\n**Roll back** to the previous image\n\n{lines}"));
    }
}

/// The first tag that points to this image and not to that of a newer commit.
fn first_own_tag(image: &ImageState) -> Option<&str> {
    let repository = image.destinations.repository.as_str();
    let is_kept = |tag: &str| image.publication.as_ref().is_some_and(|one| one.is_kept(repository, tag));
    image.destinations.tags.iter().map(Tag::as_str).find(|tag| !is_kept(tag))
}

fn warnings(run: &RunState, page: &mut Page) {
    let all = folded(&run.diagnostics);
    let warnings: Vec<&Diagnostic> = all.iter().filter(|one| one.severity == Severity::Warning).collect();
    if warnings.is_empty() {
        return;
    }
    page.add("\n**Warnings**\n\n");
    let (shown, rest) = warnings.split_at(warnings.len().min(MOST_WARNINGS));
    page.add_each(shown, |one| warning(one), "warning");
    if !rest.is_empty() {
        page.add(&format!("- and {} more in the log\n", rest.len()));
    }
}

/// The emoji and label for the outcome of a run.
pub(super) fn outcome(run: &RunState) -> (&'static str, &'static str) {
    match &run.outcome {
        Some((RunOutcome::Success, _)) => {
            let pushed = run.images.iter().any(|image| result(image).is_some_and(|result| result.pushed));
            let results = || run.targets.iter().filter_map(TargetState::report).map(|report| report.result);
            let deployed = results().any(|result| result == DeployResult::Deployed);
            match (pushed, deployed) {
                (true, true) => ("✅", "Built, pushed and deployed"),
                (false, true) => ("✅", "Deployed"),
                (true, false) => ("✅", "Built and pushed"),
                (false, false) if run.images.is_empty() && results().next().is_some() => ("✅", "Deployment unchanged"),
                (false, false) => ("✅", "Built"),
            }
        }
        Some((RunOutcome::Failure(_), _)) => {
            let reports = || run.targets.iter().filter_map(TargetState::report);
            if reports().any(|report| report.result == DeployResult::FailedNotRolledBack) {
                ("🚨", "Deployment failed and was NOT rolled back")
            } else if reports().any(|report| report.result == DeployResult::FailedRolledBack && report.was_switched) {
                ("↩️", "Deployment failed, rolled back")
            } else {
                ("❌", "Failed")
            }
        }
        Some((RunOutcome::Cancelled, _)) => ("⏹️", "Cancelled"),
        Some((RunOutcome::TimedOut, _)) => ("⏱️", "Timed out"),
        None => ("⏳", "Not finished"),
    }
}

/// How the outcome compares with that of the previous run.
pub(super) fn change(run: &RunState) -> Option<String> {
    Some(match run.change()? {
        Change::Broke => "New failure: the previous run did not fail.".to_owned(),
        Change::StillFailing(times) => format!("This is failure number {times} in a row."),
        Change::Fixed => "Fixed: the previous run failed.".to_owned(),
    })
}

/// Why tags were left at the image of a newer commit.
pub(super) fn superseded(run: &RunState) -> Option<String> {
    let newer = run.superseded.as_deref()?;
    let newer = code(newer.get(..7).unwrap_or(newer));
    Some(format!(
        "Superseded: the branch has the newer commit {newer}, so tags that point to its image were not moved."
    ))
}

fn headline(run: &RunState) -> String {
    let (mark, label) = outcome(run);
    let time = run.outcome.as_ref().map_or_else(String::new, |(_, time)| format!(" in {}", human::duration(*time)));
    let mut line = format!("### {mark} {label}{time}\n\n");
    let parts = [
        (!run.info.ref_name.is_empty()).then(|| code(&run.info.ref_name)),
        run.info.sha.get(..7).map(code),
        (!run.info.subject.is_empty()).then(|| code(&run.info.subject)),
    ];
    let parts: Vec<String> = parts.into_iter().flatten().collect();
    if !parts.is_empty() {
        line.push_str(&parts.join(" "));
        line.push('\n');
    }
    for note in [change(run), superseded(run)].into_iter().flatten() {
        line.extend(["\n", &note, "\n"]);
    }
    line
}

fn row(image: &ImageState) -> String {
    let result = result(image);
    format!(
        "| {} | {} | {} | {} | {} | {} | {} | {} |\n",
        code(&image.name),
        codes(&image.services),
        codes(&image.destinations.tags),
        cell(result.and_then(|result| result.digest.as_ref()).map(|digest| code(digest.short()))),
        cell(size(image)),
        cell(result.map(|result| human::duration(result.duration))),
        cell(result.map(cached)),
        images::outcome(image),
    )
}

fn target(report: &DeployReport) -> String {
    let open = report.url.as_ref().map_or_else(String::new, |url| link("open", url));
    let services: Vec<String> = report
        .services
        .iter()
        .map(|(name, service)| code(&deployments::change(name, service, report.runs())))
        .collect();
    let reason = report.reason.as_ref().map_or_else(String::new, |reason| format!(": {}", code(reason)));
    format!(
        "| {} | {}{reason} | {} | {} | {open} |\n",
        code(&report.name),
        deployments::words(report),
        services.join("<br>"),
        human::duration(report.duration)
    )
}

fn deployment(deployment: &Deployment) -> String {
    let open = deployment.url.as_ref().map_or_else(String::new, |url| link("open", url));
    format!("| {} | {} | {open} |\n", code(&deployment.place), deployment.outcome.word())
}

fn slow(slow: &Slow<'_>) -> String {
    format!("| {} | {} | {} |\n", code(slow.step), code(slow.image), human::duration(slow.time))
}

/// The cause of a failure, with a link to the log.
pub(super) fn failure_section(failure: &Failure, job_url: &str) -> String {
    let of_image = failure.image().map(|image| format!(" of {}", code(image)));
    let of = of_image.or_else(|| failure.target().map(|target| format!(" to {}", code(target)))).unwrap_or_default();
    let headline = format!("\n**{}{of} failed**: {}\n", failure.stage.word(), lines(&failure.headline));
    let place = |place: &Place| format!("\nat {}\n", code(&format!("{}:{}", place.file, place.line)));
    let last = failure.log.len().saturating_sub(Failure::LOG_LINES);
    let log = failure.log.iter().skip(last).map(String::as_str);
    let parts = [
        Some(headline),
        failure.place.as_ref().map(place),
        failure.instruction.as_ref().map(|instruction| format!("\n{}", fenced(instruction.lines()))),
        failure.exit_code.map(|exit_code| format!("\nexit code {exit_code}\n")),
        (!failure.log.is_empty()).then(|| format!("\n{}", fenced(log))),
        failure.hint.as_ref().map(|hint| format!("\n→ {}\n", code(hint))),
        (!job_url.is_empty()).then(|| format!("\n{}\n", link("full log", job_url))),
    ];
    parts.into_iter().flatten().collect()
}

/// A text of several lines.
fn lines(text: &str) -> String {
    text.lines().map(code).collect::<Vec<_>>().join("<br>")
}

fn warning(diagnostic: &Diagnostic) -> String {
    let place = diagnostic
        .place
        .as_ref()
        .map_or_else(String::new, |place| format!(" at {}", code(&format!("{}:{}", place.file, place.line))));
    format!("- {}{place}: {}\n", code(&diagnostic.title), code(&diagnostic.message))
}

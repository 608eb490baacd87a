//! Formats the plan as text for people.

use std::fmt::{Arguments, Write as _};

use super::{ImagePlan, Plan, images::Purpose, options::options};
use crate::{domain::repository::Repository, inputs::cache::CacheSpec};

/// Formats the plan, one paragraph per image. Shows only the names of build arguments: their values may be private.
pub fn text(plan: &Plan) -> String {
    let mut out = String::new();
    for image in &plan.images {
        paragraph(&mut out, image);
    }
    let push = if plan.push.enabled { "push" } else { "no push" };
    line(&mut out, format_args!("{push}: {}", plan.push.reason));
    line(&mut out, format_args!("builder: {}: {}", plan.builder.kind, plan.builder.reason));
    for target in &plan.deploy {
        match &target.skipped {
            None => line(&mut out, format_args!("deploy to {} ({}): {}", target.name, target.kind, target.target)),
            Some(reason) => line(&mut out, format_args!("no deployment to {}: {reason}", target.name)),
        }
    }
    for channel in &plan.notify {
        line(&mut out, format_args!("notify {} ({}): {}", channel.kind, channel.mode, channel.on.join(", ")));
    }
    for warning in &plan.warnings {
        line(&mut out, format_args!("warning: {warning}"));
    }
    for notice in &plan.notices {
        line(&mut out, format_args!("notice: {notice}"));
    }
    out
}

/// The outputs of `command: plan`, whose JSON is `json`.
pub fn outputs(plan: &Plan, json: String) -> Vec<(&'static str, String)> {
    let pushed = plan.images.iter().filter(|image| image.purpose == Purpose::Wanted);
    let names = pushed.flat_map(|image| image.destinations.names());
    let tags: Vec<String> = names.map(|(repository, tag)| format!("{repository}:{tag}")).collect();
    let first = plan.images.first();
    let labels = first.into_iter().flat_map(|image| &image.labels).map(|(name, value)| format!("{name}={value}"));
    let version = first.and_then(|image| image.destinations.version()).unwrap_or_default().to_owned();
    let labels = labels.collect::<Vec<_>>().join("\n");
    vec![("tags", tags.join("\n")), ("version", version), ("plan", json), ("labels", labels)]
}

fn paragraph(out: &mut String, image: &ImagePlan) {
    match image.purpose {
        Purpose::Wanted => {
            let repositories: Vec<&str> = image.destinations.repositories().map(Repository::as_str).collect();
            line(out, format_args!("{} -> {}", image.name, repositories.join(", ")));
        }
        Purpose::Context => line(out, format_args!("{} (only as the base of other images)", image.name)),
    }
    let mut item = |name: &str, value: String| {
        if !value.is_empty() {
            line(out, format_args!("  {name:<11} {value}"));
        }
    };
    let all = |names: &mut dyn Iterator<Item = String>| names.collect::<Vec<_>>().join(", ");
    if image.purpose == Purpose::Wanted && image.name_from != "default" {
        item("name from", image.name_from.clone());
    }
    item("tags", all(&mut image.destinations.tags.iter().map(ToString::to_string)));
    item("services", image.services.join(", "));
    item("context", image.context.clone());
    item("dockerfile", image.dockerfile.clone().unwrap_or_else(|| "(inline)".to_owned()));
    item("load as", image.load_as.join(", "));
    item("target", image.target.clone().unwrap_or_default());
    item("platforms", image.platforms.join(", "));
    item("build args", all(&mut image.build_args.keys().cloned()));
    item("secrets", image.secret_ids.join(", "));
    for (name, value) in options(&image.build) {
        let mut lines = value.lines();
        item(name, lines.next().unwrap_or_default().to_owned());
        for text in lines {
            item("", text.to_owned());
        }
    }
    let caches = |list: &[CacheSpec]| list.iter().map(ToString::to_string).collect::<Vec<_>>().join(" ");
    item("cache from", caches(&image.cache_from));
    item("cache to", caches(&image.cache_to));
    // The standard labels are much the same for every image.
    let (standard, own): (Vec<_>, Vec<_>) = image.labels.iter().partition(|(key, _)| standard_label(key).is_some());
    for (key, value) in own {
        item("label", format!("{key}={value}"));
    }
    item("labels", all(&mut standard.iter().filter_map(|(key, _)| standard_label(key)).map(str::to_owned)));
    out.push('\n');
}

/// The standard labels without `org.opencontainers.image.`; see [`super::labels::standard`].
const STANDARD: [&str; 8] = ["created", "description", "licenses", "revision", "source", "title", "url", "version"];

fn standard_label(key: &str) -> Option<&str> {
    key.strip_prefix("org.opencontainers.image.").filter(|name| STANDARD.contains(name))
}

fn line(out: &mut String, text: Arguments<'_>) {
    // Writing to a String cannot fail.
    let _ = writeln!(out, "{text}");
}

//! Formats the plan as text for people.

use std::fmt::{Arguments, Write as _};

use super::{ImagePlan, Plan, images::Purpose};
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
    for channel in &plan.notify {
        line(&mut out, format_args!("tell {} ({}): {}", channel.kind, channel.mode, channel.on.join(", ")));
    }
    for warning in &plan.warnings {
        line(&mut out, format_args!("warning: {warning}"));
    }
    for notice in &plan.notices {
        line(&mut out, format_args!("notice: {notice}"));
    }
    out
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
    item("tags", image.destinations.tags.iter().map(ToString::to_string).collect::<Vec<_>>().join(", "));
    item("services", image.services.join(", "));
    item("context", image.context.clone());
    item("dockerfile", image.dockerfile.clone().unwrap_or_else(|| "(inline)".to_owned()));
    item("target", image.target.clone().unwrap_or_default());
    item("platforms", image.platforms.join(", "));
    item("build args", image.build_args.keys().cloned().collect::<Vec<_>>().join(", "));
    item("secrets", image.secret_ids.join(", "));
    let caches = |list: &[CacheSpec]| list.iter().map(ToString::to_string).collect::<Vec<_>>().join(" ");
    item("cache from", caches(&image.cache_from));
    item("cache to", caches(&image.cache_to));
    for (key, value) in &image.labels {
        line(out, format_args!("  {:<11} {key}={value}", "label"));
    }
    out.push('\n');
}

fn line(out: &mut String, text: Arguments<'_>) {
    // Writing to a String cannot fail.
    let _ = writeln!(out, "{text}");
}

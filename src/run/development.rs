//! Warns if a run without any input would publish a development image.

use std::path::Path;

use crate::plan::{ImagePlan, Plan, images::Purpose};

/// Words in a path that mark a development image.
const DEVELOPMENT: [&str; 4] = ["local", "dev", "develop", "development"];
/// Words that replace them in the path of the production image next to it. The empty one stands for `Dockerfile` next to
/// `Dockerfile.dev`.
const PRODUCTION: [&str; 3] = ["production", "prod", ""];
/// Compose files for production, next to a compose file that is selected by default.
const FILES: [&str; 10] = [
    "docker-compose.production.yml",
    "docker-compose.production.yaml",
    "docker-compose.prod.yml",
    "docker-compose.prod.yaml",
    "compose.production.yaml",
    "compose.production.yml",
    "compose.prod.yaml",
    "compose.prod.yml",
    "production.yml",
    "prod.yml",
];

/// Returns a warning for each image whose Dockerfile is one for development, although `project` contains one for
/// production. `compose_files` are those of the run.
pub(super) fn warnings(plan: &Plan, project: &Path, compose_files: &[String]) -> Vec<String> {
    let pushed = |image: &&ImagePlan| plan.push.enabled && image.purpose == Purpose::Wanted;
    plan.images.iter().filter(pushed).filter_map(|image| warning(image, project, compose_files)).collect()
}

fn warning(image: &ImagePlan, project: &Path, compose_files: &[String]) -> Option<String> {
    let dockerfile = image.dockerfile.as_deref()?;
    let others = others(dockerfile);
    if others.is_empty() {
        return None;
    }
    let is_file = |name: &&str| project.join(name).is_file();
    let unused = |name: &&str| compose_files.iter().all(|used| used != name);
    let file = FILES.iter().copied().filter(unused).find(is_file);
    let other = others.iter().map(String::as_str).find(is_file);
    let (exists, fix) = match (file, other) {
        (Some(file), _) => (file, format!("`compose-file: {file}`")),
        (None, Some(other)) => (other, format!("`file: {other}`, or `compose-file`")),
        (None, None) => return None,
    };
    Some(format!(
        "image `{}`: {dockerfile} looks like a development image, and {exists} exists; to publish the production image, set \
         {fix}",
        image.name
    ))
}

/// Returns the paths of the production Dockerfile that may exist next to this one; none if no word of the path marks a
/// development image.
fn others(dockerfile: &str) -> Vec<String> {
    let mut all = Vec::new();
    let is_separator = |c: char| matches!(c, '/' | '.' | '-' | '_');
    let mut start = 0;
    for word in dockerfile.split(is_separator) {
        let end = start + word.len();
        if DEVELOPMENT.contains(&word.to_ascii_lowercase().as_str()) {
            let (before, after) = (&dockerfile[..start], &dockerfile[end..]);
            all.extend(PRODUCTION.iter().map(|production| {
                // Without the word, one of the separators around it is removed, too.
                let before = if production.is_empty() { before.trim_end_matches(['.', '-', '_']) } else { before };
                let path = format!("{before}{production}{after}");
                path.trim_start_matches('/').replace("//", "/")
            }));
        }
        start = end + 1;
    }
    all
}

#[cfg(test)]
mod tests {
    use super::others;

    #[test]
    fn the_production_file_is_looked_for_next_to_it() {
        for (path, want) in [
            (
                "compose/local/django/Dockerfile",
                vec![
                    "compose/production/django/Dockerfile",
                    "compose/prod/django/Dockerfile",
                    "compose/django/Dockerfile",
                ],
            ),
            ("Dockerfile.dev", vec!["Dockerfile.production", "Dockerfile.prod", "Dockerfile"]),
            ("web/dev.Dockerfile", vec!["web/production.Dockerfile", "web/prod.Dockerfile", "web/.Dockerfile"]),
            ("Dockerfile", vec![]),
            ("device/Dockerfile", vec![]),
        ] {
            assert_eq!(others(path), want, "{path}");
        }
    }
}

//! The pushed images as lines of the runner's file `GITHUB_ARTIFACTS`, which later steps such as `actions/attest` read.
//!
//! The runner fails a step that records a second digest under a name, so such a line is left out.
//! Source: <https://github.com/actions/runner/blob/main/src/Runner.Worker/CreateArtifactsFileCommand.cs>.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt::Write as _,
};

use serde::Deserialize;

use crate::domain::publication::{Publication, TagResult};

/// What earlier steps of the job recorded: the file that `GITHUB_ARTIFACTS_LIST` names.
#[derive(Debug, Default, Deserialize)]
pub struct Recorded {
    subjects: Vec<Subject>,
}

#[derive(Debug, Deserialize)]
struct Subject {
    name: String,
    digest: String,
}

/// What to record.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Artifacts {
    /// One line for each image in each of its repositories.
    pub lines: String,
    /// The names that are left out.
    pub omitted: Vec<String>,
}

/// Returns the lines for all images of a run.
///
/// An image is recorded under the name of its repository. If the job pushes several images to a repository, each is
/// recorded with its first tag there.
pub fn artifacts<'a>(images: impl IntoIterator<Item = &'a Publication>, recorded: &Recorded) -> Artifacts {
    let images: Vec<(&TagResult, &str)> = images.into_iter().flat_map(first_tags).collect();
    let mut names: BTreeMap<String, BTreeSet<&str>> = BTreeMap::new();
    for subject in &recorded.subjects {
        names.entry(subject.name.clone()).or_default().insert(&subject.digest);
    }
    for (tag, digest) in &images {
        names.entry(tag.repository.clone()).or_default().insert(digest);
    }
    let mut artifacts = Artifacts::default();
    for (tag, digest) in images {
        let is_shared = names[&tag.repository].len() > 1;
        let name = if is_shared { tag.reference() } else { tag.repository.clone() };
        let digests = names.entry(name.clone()).or_default();
        digests.insert(digest);
        if digests.len() > 1 {
            artifacts.omitted.push(name);
        } else {
            // Writing to a string cannot fail.
            let _ = writeln!(artifacts.lines, "oci://{name}@{digest}");
        }
    }
    artifacts
}

/// The first tag that points to the image in each of its repositories, with the image's digest.
fn first_tags(image: &Publication) -> Vec<(&TagResult, &str)> {
    let Some(digest) = &image.digest else { return Vec::new() };
    let mut seen = BTreeSet::new();
    image.published().filter(|tag| seen.insert(&tag.repository)).map(|tag| (tag, digest.as_str())).collect()
}

#[cfg(test)]
mod tests {
    use super::{Artifacts, Recorded, artifacts};
    use crate::domain::publication::{Publication, TagResult, TagState};

    /// An image with this digit in its digest and these tags, all of which moved but those with `!`.
    fn image(digit: char, tags: &[&str]) -> Publication {
        let result = |reference: &&str| {
            let (state, reference) = match reference.strip_prefix('!') {
                Some(reference) => (TagState::NotMoved, reference),
                None => (TagState::Moved, *reference),
            };
            let (repository, tag) = reference.split_once(':').unwrap();
            TagResult { repository: repository.into(), tag: tag.into(), state }
        };
        let digest = Some(digest(digit).parse().unwrap());
        Publication { digest, changed: None, size: None, tags: tags.iter().map(result).collect() }
    }

    fn digest(digit: char) -> String {
        format!("sha256:{}", digit.to_string().repeat(64))
    }

    fn lines(images: &[Publication]) -> Vec<String> {
        let Artifacts { lines, omitted } = artifacts(images, &Recorded::default());
        assert_eq!(omitted, [""; 0]);
        lines.lines().map(str::to_owned).collect()
    }

    #[test]
    fn every_repository_of_an_image_has_a_line() {
        let web = image('1', &["ghcr.io/o/web:main", "ghcr.io/o/web:latest", "docker.io/o/web:main"]);
        let docs = image('2', &["ghcr.io/o/docs:main"]);
        let expected = [('1', "ghcr.io/o/web"), ('1', "docker.io/o/web"), ('2', "ghcr.io/o/docs")];
        assert_eq!(lines(&[web, docs]), expected.map(|(digit, name)| format!("oci://{name}@{}", digest(digit))));
    }

    #[test]
    fn an_image_that_no_tag_points_to_has_no_line() {
        assert_eq!(lines(&[image('1', &["!ghcr.io/o/web:main"])]), [""; 0]);
    }

    #[test]
    fn images_that_share_a_repository_are_named_by_their_tags() {
        let images = [image('1', &["ghcr.io/o/r:web"]), image('2', &["ghcr.io/o/r:docs", "ghcr.io/o/r:doc"])];
        let expected = [('1', "ghcr.io/o/r:web"), ('2', "ghcr.io/o/r:docs")];
        assert_eq!(lines(&images), expected.map(|(digit, name)| format!("oci://{name}@{}", digest(digit))));
    }

    #[test]
    fn a_name_has_one_digest_in_a_job() {
        let earlier = [("ghcr.io/o/a", '1'), ("ghcr.io/o/b", '2'), ("ghcr.io/o/c", '3'), ("ghcr.io/o/c:main", '4')];
        let earlier =
            earlier.map(|(name, digit)| format!(r#"{{"name":"{name}","digest":"{}","kind":"oci"}}"#, digest(digit)));
        let list = format!(r#"{{"version":1,"subjects":[{}]}}"#, earlier.join(","));
        let images = ["a", "b", "c"].map(|name| image('1', &[&format!("ghcr.io/o/{name}:main")]));
        let Artifacts { lines, omitted } = artifacts(&images, &serde_json::from_str(&list).unwrap());
        // The first is the same image again; the second is named by its tag; the tag of the third is taken, too.
        assert_eq!(lines, format!("oci://ghcr.io/o/a@{0}\noci://ghcr.io/o/b:main@{0}\n", digest('1')));
        assert_eq!(omitted, ["ghcr.io/o/c:main"]);
    }
}

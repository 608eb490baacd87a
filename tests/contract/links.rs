//! Links between the documents lead to files and headings that exist.

use std::{collections::BTreeSet, fs};

use super::{examples::documents, messages::source, path};

/// The lines of a document that are not in a fenced block.
fn prose(text: &str) -> impl Iterator<Item = &str> {
    let mut fenced = false;
    text.lines().filter(move |line| {
        let fence = line.trim_start().starts_with("```");
        fenced ^= fence;
        !fenced && !fence
    })
}

/// The anchors of a document's headings, as GitHub makes them.
fn anchors(text: &str) -> BTreeSet<String> {
    let keep = |c: char| match c {
        ' ' => Some('-'),
        '-' | '_' => Some(c),
        _ => c.is_alphanumeric().then(|| c.to_ascii_lowercase()),
    };
    let heading = |line: &str| line.starts_with('#').then(|| line.trim_start_matches('#').trim().to_owned());
    prose(text).filter_map(heading).map(|heading| heading.chars().filter_map(keep).collect()).collect()
}

/// The targets of a document's links.
fn links(text: &str) -> Vec<String> {
    // A link's text may be split over lines.
    let joined = prose(text).collect::<Vec<_>>().join("\n");
    joined.split("](").skip(1).filter_map(|rest| rest.split_once(')')).map(|(link, _)| link.to_owned()).collect()
}

#[test]
fn links_between_documents_lead_somewhere() {
    let mut count = 0;
    for document in documents() {
        let text = fs::read_to_string(path(&document)).unwrap();
        for link in links(&text).iter().filter(|link| !link.starts_with("https://")) {
            let (file, anchor) = link.split_once('#').unwrap_or((link, ""));
            let target = match file {
                "" => path(&document),
                _ => path(&document).parent().unwrap().join(file),
            };
            assert!(target.exists(), "{document}: {link} does not exist");
            if !anchor.is_empty() {
                let anchors = anchors(&fs::read_to_string(&target).unwrap());
                assert!(anchors.contains(anchor), "{document}: {link}: no such heading; there are {anchors:?}");
            }
            count += 1;
        }
    }
    assert!(count > 40, "only {count} links were found");
}

/// The address of a file in the repository, in texts that are shown outside of it.
const IN_REPOSITORY: &str = "https://github.com/izhan/build-deploy/blob/main/";

#[test]
fn addresses_of_documents_lead_somewhere() {
    let forms = fs::read_dir(path(".github/ISSUE_TEMPLATE")).unwrap();
    let mut texts: Vec<String> = forms.map(|form| fs::read_to_string(form.unwrap().path()).unwrap()).collect();
    texts.push(source());
    let is_end = |c: char| c.is_whitespace() || matches!(c, ')' | '"' | '`' | ';');
    let mut count = 0;
    for address in texts.iter().flat_map(|text| text.split(IN_REPOSITORY).skip(1)) {
        let address = address.split(is_end).next().unwrap_or_default();
        let (file, anchor) = address.split_once('#').unwrap_or((address, ""));
        let text = fs::read_to_string(path(file)).unwrap_or_else(|error| panic!("{address}: {error}"));
        assert!(anchor.is_empty() || anchors(&text).contains(anchor), "{address}: no such heading");
        count += 1;
    }
    assert!(count > 3, "only {count} addresses were found");
}

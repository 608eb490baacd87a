//! The Git tags of a repository, from GitHub's API. Best effort: a run continues without a token or without permission.

use std::time::Duration;

use futures_util::future::try_join_all;
use serde::Deserialize;

use super::{
    client::{ApiError, Client},
    retry,
};
use crate::domain::secret::Secret;

/// Total time for listing the tags, including retries: the run waits for them.
const TAGS: Duration = Duration::from_secs(4);
/// GitHub's maximum page size, the maximum number of pages, and the number of concurrent requests.
const PAGE: usize = 100;
const PAGES: usize = 63;
const WIDEST: usize = 16;

#[derive(Deserialize)]
struct TagAnswer {
    name: String,
}

/// Lists the short names of all Git tags of the repository
/// (<https://docs.github.com/en/rest/repos/repos#list-repository-tags>). Temporary errors
/// are retried.
///
/// # Errors
/// Fails if GitHub does not answer in time, or if there are too many tags.
pub async fn git_tags(api: &str, token: &Secret, owner: &str, repo: &str) -> Result<Vec<String>, ApiError> {
    let client = Client::new(api, token, owner, repo)?;
    let timed_out = || Err(ApiError::TimedOut(format!("for the tags of {owner}/{repo}")));
    let page = |number: usize| {
        let query = [("per_page", PAGE.to_string()), ("page", number.to_string())];
        let client = &client;
        async move { retry::with_retries("the tags", || client.get("/tags", &query)).await }
    };
    tokio::time::timeout(TAGS, all_tags(page)).await.unwrap_or_else(|_| timed_out())
}

/// Collects the tags of all pages. `page` fetches a page by its number, from 1.
async fn all_tags<F>(page: impl Fn(usize) -> F) -> Result<Vec<String>, ApiError>
where
    F: Future<Output = Result<Vec<TagAnswer>, ApiError>>,
{
    let mut names = Vec::new();
    // Most repositories have one page. For others, the number of concurrent requests grows.
    let (mut first, mut width) = (1, 1);
    while first <= PAGES {
        let end = (first + width).min(PAGES + 1);
        let pages = try_join_all((first..end).map(&page)).await?;
        for page in pages {
            let is_last = page.len() < PAGE;
            names.extend(page.into_iter().map(|tag| tag.name));
            if is_last {
                return Ok(names);
            }
        }
        (first, width) = (end, (2 * width).min(WIDEST));
    }
    Err(ApiError::TooMany { path: "tags".to_owned(), limit: PAGE * PAGES })
}

#[cfg(test)]
mod tests {
    use std::{cell::Cell, future::ready};

    use super::{ApiError, PAGE, TagAnswer, all_tags};

    #[tokio::test]
    async fn all_tags_are_read_or_none() {
        for (count, calls) in [(0, 1), (99, 1), (100, 3), (250, 3), (300, 7), (699, 7), (6_299, 63)] {
            let made = Cell::new(0);
            let page = |number: usize| {
                made.set(made.get() + 1);
                let numbers = ((number - 1) * PAGE..count).take(PAGE);
                ready(Ok(numbers.map(|number| TagAnswer { name: number.to_string() }).collect()))
            };
            let tags = all_tags(page).await.unwrap();
            assert!(tags.iter().map(|tag| tag.parse::<usize>().unwrap()).eq(0..count), "{count}");
            assert_eq!(made.get(), calls, "{count}");
        }
        let endless = |_| ready(Ok((0..PAGE).map(|number| TagAnswer { name: number.to_string() }).collect()));
        assert!(matches!(all_tags(endless).await, Err(ApiError::TooMany { limit: 6_300, .. })));
    }
}

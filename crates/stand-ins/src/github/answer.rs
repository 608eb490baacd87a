//! What a call is answered.

use serde_json::{Value, json};

/// What is answered.
#[derive(Debug)]
pub struct Answer {
    /// The status.
    pub status: u16,
    /// The body.
    pub body: Value,
    /// Which page of a list it is.
    pub page: Option<Page>,
}

/// A page of a list.
#[derive(Clone, Copy, Debug)]
pub struct Page {
    /// Its number, from 1.
    pub number: usize,
    /// The last page's.
    pub last: usize,
    /// How many there are on all pages.
    pub total: usize,
}

impl Answer {
    pub(super) fn of(status: u16, body: Value) -> Self {
        Self { status, body, page: None }
    }
}

pub(super) fn not_found() -> Answer {
    Answer::refused(404, "Not Found")
}

pub(super) fn invalid(resource: &str, field: &str, message: &str) -> Answer {
    let mut answer = Answer::refused(422, "Validation Failed");
    answer.body["errors"] = json!([{"resource": resource, "code": "custom", "field": field, "message": message}]);
    answer
}

/// A list within an object, as the API for Actions has it.
pub(super) fn listed(name: &str, answer: &Answer) -> Answer {
    let total = answer.page.map_or(0, |page| page.total);
    let body = json!({"total_count": total, name: answer.body});
    Answer { status: answer.status, body, page: answer.page }
}

/// A page of a list; 30 items and never more than 100.
pub(super) fn paged(items: &[Value], size: Option<&str>, number: Option<&str>) -> Answer {
    let read = |text: Option<&str>, usual: usize| text.and_then(|text| text.parse().ok()).unwrap_or(usual).max(1);
    let (size, number): (usize, usize) = (read(size, 30).min(100), read(number, 1));
    let body = items.iter().skip(size * (number - 1)).take(size).cloned().collect();
    Answer { status: 200, body, page: Some(Page { number, last: items.len().div_ceil(size), total: items.len() }) }
}

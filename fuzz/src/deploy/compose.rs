//! A server with Docker Compose.

#[path = "../../../src/deploy/compose/commands.rs"]
mod commands;
#[path = "../../../src/deploy/compose/inspect.rs"]
mod inspect;
#[path = "../../../src/deploy/compose/probe.rs"]
mod probe;
#[path = "../../../src/deploy/compose/records.rs"]
mod records;

use super::judge::Container;

/// Reads the records of a server, and says what of them is not needed. What is kept is read again as it was.
pub fn records(text: &str, keep: usize) {
    let records = records::parse(text.lines());
    let _ = records::rubbish(&records, keep);
    for record in records::deployed(&records) {
        let _ = record.release();
    }
    let kept = records::parse(records::render(&records).lines().collect::<Vec<_>>());
    assert!(records.ends_with(&kept));
}

/// Reads what the first command on a server printed.
pub fn probe(text: &str) {
    if let Err(error) = probe::Probe::parse(text, "server", "/srv/x") {
        assert!(!error.to_string().is_empty());
    }
}

/// Reads a container and its image as the engine's API shows them.
pub fn container(listed: &str, inspected: &str, image: &str) -> Option<Container> {
    let listed: Vec<inspect::Listed> = serde_json::from_str(listed).unwrap_or_default();
    let service = listed.iter().find_map(|one| one.service()).unwrap_or("web").to_owned();
    let inspected: inspect::Inspected = serde_json::from_str(inspected).ok()?;
    let image: inspect::Image = serde_json::from_str(image).unwrap_or_default();
    let _ = (inspected.is_up(), inspected.has_failed(), inspected.health_output(), inspected.id().len());
    let _ = inspected.pin(&image, |id| format!("kept:{id}"));
    Some(inspected.container(&service, &image))
}

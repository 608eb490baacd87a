//! The notifications of a run to Teams, with and without faults.

use std::{sync::Arc, time::Duration};

use build_deploy::notify::{
    options::FINAL_BUDGET,
    report::DeliveryStatus,
    service::Content,
    teams::{Teams, card},
};
use stand_ins::{
    fault::Fault,
    teams::{Receiver, rules::Rules},
};

use crate::{
    harness::{anywhere, assert_all_right, begin, quick},
    runs::{End, run, states},
};

async fn receiver() -> Receiver {
    Receiver::listen(anywhere()).await.expect("listens")
}

fn teams(receiver: &Receiver) -> Teams {
    Teams::parse(&receiver.url()).expect("a workflow")
}

#[tokio::test]
async fn the_outcome_is_one_card() {
    for (end, style, word) in [
        (End::Green, "good", "succeeded"),
        (End::Red, "attention", "failed to build django"),
        (End::Cancelled, "emphasis", "cancelled"),
        (End::TimedOut, "warning", "timed out"),
    ] {
        let receiver = receiver().await;
        let running = begin(teams(&receiver), quick(), end);
        running.states.send_replace(Arc::new(run(end).swap_remove(9)));
        let (report, _) = running.end(FINAL_BUDGET).await;
        assert_eq!((report.status, report.warning, report.posted), (DeliveryStatus::Done, None, None));
        let cards = receiver.desk().cards();
        assert_eq!(cards.len(), 1);
        assert_eq!(cards[0]["body"][0]["style"], style);
        let title = cards[0]["fallbackText"].as_str().expect("a title");
        assert!(title.contains(word) && title.contains("shop · main"), "{title}");
        assert_all_right(&receiver);
    }
}

#[tokio::test]
async fn faults_are_overcome() {
    for (name, faults, sent) in [
        ("429 header", vec![Fault::RateLimited { body: None, header: Some(0.05) }], 1),
        ("429 neither", vec![Fault::RateLimited { body: None, header: None }], 1),
        ("429 within 200", vec![Fault::Answer(200, "Microsoft Teams endpoint returned HTTP error 429".into())], 1),
        ("502", vec![Fault::bad_gateway()], 1),
        ("500", vec![Fault::Answer(500, String::new())], 1),
        ("reset before", vec![Fault::ResetBefore], 1),
        ("reset after", vec![Fault::ResetAfter], 2),
        ("schema", vec![Fault::Answer(400, r#"{"error": {"code": "TriggerInputSchemaMismatch"}}"#.into())], 1),
        ("too large", vec![Fault::Answer(413, String::new())], 1),
        ("slow", vec![Fault::Slow(Duration::from_secs(1))], 1),
    ] {
        let receiver = receiver().await;
        receiver.fail_next(faults);
        let (report, took) = begin(teams(&receiver), quick(), End::Red).end(FINAL_BUDGET).await;
        assert_eq!((report.status, report.warning), (DeliveryStatus::Done, None), "{name}");
        assert!(took < FINAL_BUDGET, "{name} took {took:?}");
        assert_eq!(receiver.desk().cards().len(), sent, "{name}");
        assert_all_right(&receiver);
    }
}

#[tokio::test]
async fn a_message_that_is_not_delivered_is_a_warning_without_the_url() {
    let error = |status, code: &str| Fault::Answer(status, format!(r#"{{"error": {{"code": "{code}"}}}}"#));
    for (name, faults, words) in [
        ("gone", vec![error(404, "WorkflowNotFound")], "was deleted or disabled"),
        ("off", vec![error(400, "WorkflowTriggerIsNotEnabled")], "was deleted or disabled"),
        ("signature", vec![error(401, "DirectApiAuthorizationRequired")], "its URL is wrong"),
        ("hang", vec![Fault::Hang; 9], "timed out after"),
        ("redirect", vec![Fault::Answer(302, String::new())], "HTTP 302"),
        ("never", vec![error(400, "TriggerInputSchemaMismatch"); 9], "TriggerInputSchemaMismatch"),
    ] {
        let receiver = receiver().await;
        receiver.fail_next(faults);
        let (report, took) = begin(teams(&receiver), quick(), End::Green).end(FINAL_BUDGET).await;
        let warning = report.warning.expect("a warning");
        assert_eq!(
            report.status,
            if name == "hang" { DeliveryStatus::Retryable } else { DeliveryStatus::Failed },
            "{name}"
        );
        assert!(warning.contains(words), "{name}: {warning}");
        assert!(!warning.contains("local-demo") && !warning.contains("powerautomate"), "{name}: {warning}");
        assert!(took <= FINAL_BUDGET + Duration::from_millis(200), "{name} took {took:?}");
    }
}

/// A card for each phase of a run. Set `TEAMS_PAGES` to a directory to keep the pages.
#[tokio::test]
async fn all_states_read_well() {
    let rules = Rules::get().expect("rules");
    for (name, message, words) in states() {
        let body = card::body(&message, Content::Full);
        let text = body.to_string();
        assert_eq!(rules.check(&body, text.len()), [""; 0], "{name}");
        for word in words {
            assert!(text.contains(word), "{name}: no `{word}` in {text}");
        }
        if let Some(folder) = std::env::var_os("TEAMS_PAGES") {
            let card = body["attachments"][0]["content"].clone();
            let place = |ending: &str| std::path::Path::new(&folder).join(format!("{name}.{ending}"));
            std::fs::write(place("json"), card.to_string()).expect("is written");
            let html = stand_ins::teams::page::page(&[card]);
            std::fs::write(place("html"), html).expect("is written");
        }
    }
}

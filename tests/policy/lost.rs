//! Deployments that lose the connection, and with it the lock, with a target that is a script. The clock is paused.

use build_deploy::domain::deploy::DeployResult::{Deployed, FailedRolledBack, Superseded};

use super::{
    outcomes::{deploy, with},
    script::Does,
};

#[tokio::test(start_paused = true)]
async fn a_lost_connection_is_made_again() {
    let done = deploy(with(&[("switch", Does::Lose)]), "new").await;
    assert_eq!((done.result(), done.runs().as_str()), (Deployed, "new"));
    let calls = done.script().calls().replace(" observe", "");
    assert_eq!(calls, "read lock read prepare save migrate switch lock read switch record unlock");
    let done = deploy(with(&[("switch", Does::Lose), ("restore", Does::Lose)]), "bad").await;
    assert_eq!((done.result(), done.runs().as_str()), (FailedRolledBack, "old"));
    let done = deploy(with(&[("observe", Does::Lose)]), "bad").await;
    assert_eq!((done.result(), done.runs().as_str()), (FailedRolledBack, "old"), "the lock is taken again first");
    let calls = done.script().calls().replace(" observe", "");
    assert!(calls.contains("switch lock read restore"), "{calls}");
    // Nobody knows how a migration ended; it is not said to have failed.
    let done = deploy(with(&[("migrate", Does::Lose)]), "new").await;
    assert_eq!((done.result(), done.runs().as_str()), (FailedRolledBack, "old"));
    let reason = "the migration of web may have succeeded: connection lost; nothing was switched";
    assert_eq!(done.reason(), reason);
    assert!(done.script().unfinished.borrow().is_none() && matches!(&done.journal[..], [Some(_), None]));
    // A pull is tried again on another connection, which does not hold the lock.
    let done = deploy(with(&[("prepare", Does::Reconnect)]), "new").await;
    assert_eq!((done.result(), done.runs().as_str()), (Deployed, "new"));
    let calls = done.script().calls().replace(" observe", "");
    assert_eq!(calls, "read lock read prepare lock read save migrate switch record unlock");
}

#[tokio::test(start_paused = true)]
async fn who_loses_the_lock_leaves_a_deployment_that_followed_alone() {
    for step in ["switch", "restore"] {
        let content = if step == "switch" { "new" } else { "bad" };
        let done = deploy(with(&[(step, Does::LoseTo("other"))]), content).await;
        assert_eq!((done.result(), done.runs().as_str()), (Superseded, "other"), "{step}");
        assert!(done.reason().ends_with("another deployment has ended meanwhile"), "{}", done.reason());
        assert!(
            matches!(&done.journal[..], [Some(_), .., None]) && !done.script().calls().contains("record"),
            "{step}"
        );
    }
    // The lock is lost while a release is watched, and the next deployment takes it.
    let done = deploy(with(&[("observe", Does::LoseTo("new"))]), "new").await;
    assert_eq!((done.result(), done.runs().as_str()), (Superseded, "new"));
    assert!(!done.script().calls().contains("record"));
}

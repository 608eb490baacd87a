//! The files of a release.

use build_deploy::{
    deploy::{
        self, TargetSpec,
        compose::{ComposeTarget, SyncedFile},
        release::Release,
        target::Migration,
    },
    domain::deploy::DeployResult::{Deployed, FailedRolledBack, MigrationFailed, Unchanged},
};

use super::site::{Site, USUAL, engine};

/// A target with the files of a release, which the project's directory does not have.
pub(super) fn with_files(site: &Site, color: &str, more: &[(&str, &str)]) -> TargetSpec<ComposeTarget> {
    let compose = USUAL
        .replace("    depends_on", "    environment: {COLOR: $COLOR}\n    env_file: [conf/web.env]\n    depends_on");
    let compose = site.filled(&compose);
    let color = format!("COLOR={color}\n");
    let all = [("compose.yml", compose.as_str()), (".env", &color), ("conf/web.env", "A=1\n")];
    let mut settings = site.settings();
    let file = |(path, text): &(&str, &str)| SyncedFile::new(path, text.as_bytes().to_vec(), false).unwrap();
    settings.sync = all.iter().chain(more).map(file).collect();
    TargetSpec { target: ComposeTarget::new(settings), ..site.spec() }
}

#[tokio::test]
async fn the_files_of_a_release_come_and_go_with_it() {
    let site = Site::new("files", "").await;
    std::fs::remove_file(site.directory.join("compose.yml")).unwrap();
    deploy::check(&[with_files(&site, "red", &[])]).await.unwrap();
    assert!(!site.directory.join("compose.yml").exists(), "a check changes nothing");

    let (v1, v2, crash) = (site.release("v1"), site.release("v2"), site.release("crash"));
    let first = site.deploy_with(with_files(&site, "red", &[]), &v1).await;
    assert_eq!(first.result, Deployed, "{:?} {:?}", first.reason, first.log);
    let color = || engine(&["exec", &site.containers("web")[0], "sh", "-c", "echo $COLOR"]);
    let files = || {
        let mut names: Vec<String> = std::fs::read_dir(site.directory.join(".build-deploy"))
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort();
        names
    };
    site.assert_runs("v1");
    assert_eq!(color(), "red");
    let kept = ["current.yml", "lock", "operation.lock"].map(String::from).into_iter();
    let of_release = ["list", "log", "tar", "yml"].map(|end| format!("release-v1-1.{end}"));
    assert_eq!(files(), kept.chain(of_release).chain(["releases.jsonl".to_owned()]).collect::<Vec<_>>());
    let before = site.containers("worker");
    assert_eq!(site.deploy_with(with_files(&site, "red", &[]), &v1).await.result, Unchanged);

    // The images are the same, the files are not.
    let files_only = site.deploy_with(with_files(&site, "green", &[]), &v1).await;
    assert_eq!((files_only.result, color().as_str()), (Deployed, "green"), "{:?}", files_only.reason);
    assert_eq!(site.containers("worker"), before, "what does not use them is not replaced");

    let more = [("conf/new.conf", "x"), ("-v", "a name that looks like an option")];
    let bad = site.deploy_with(with_files(&site, "blue", &more), &crash).await;
    assert_eq!((bad.result, color().as_str()), (FailedRolledBack, "green"), "{:?}", bad.reason);
    site.assert_runs("v1");
    site.assert_clean();
    let in_place = || std::fs::read_to_string(site.directory.join(".env")).unwrap();
    assert_eq!(in_place(), "COLOR=green\n");
    assert!(!site.directory.join("conf/new.conf").exists());

    let mut failing = with_files(&site, "blue", &more);
    let command = ["-c", "echo $COLOR; exit 4"].map(String::from).to_vec();
    failing.settings.migrations = vec![Migration { service: "web".into(), command }];
    let failed = site.deploy_with(failing, &v2).await;
    assert_eq!((failed.result, in_place().as_str()), (MigrationFailed, "COLOR=green\n"), "{:?}", failed.reason);
    assert!(failed.log.contains(&"blue".to_owned()), "a migration gets the new files: {:?}", failed.log);
    site.assert_clean();

    let next = site.deploy_with(with_files(&site, "blue", &more), &v2).await;
    assert_eq!((next.result, color().as_str()), (Deployed, "blue"), "{:?}", next.reason);
    assert_eq!(std::fs::read_to_string(site.directory.join("conf/new.conf")).unwrap(), "x");
    site.assert_runs("v2");
    site.assert_clean();
    assert!(files().iter().all(|name| !name.starts_with("stage") && name != "before"), "{:?}", files());

    // A rollback on request brings the files of the earlier release, without any checkout.
    let back = site.spec();
    let earlier = back.target.releases().await.unwrap().into_iter().find(|one| one.id == v1.id).unwrap();
    back.target.take_files_of(&earlier.id).await.unwrap();
    let again = Release { id: "back-1".into(), ..earlier };
    let report = site.deploy_with(back, &again).await;
    assert_eq!((report.result, color().as_str()), (Deployed, "green"), "{:?} {:?}", report.reason, report.log);
    assert_eq!(in_place(), "COLOR=green\n");
    site.assert_runs("v1");
    site.assert_clean();
}

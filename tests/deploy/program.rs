//! The program, started as the runner does, and killed while it deploys.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
};

use build_deploy::domain::deploy::DeployResult::Deployed;
use serde_json::json;
use stand_ins::{
    action::Action,
    discord::Receiver,
    runner::{Machine, StageKind, Step},
};
use tokio::sync::mpsc::unbounded_channel;

use super::{
    lab::var,
    site::{Site, USUAL, pushed},
};

#[tokio::test]
async fn killed_while_two_servers_are_deployed_to_at_the_same_time() {
    let sites = [Site::new("one", USUAL).await, Site::new("two", USUAL).await];
    for site in &sites {
        assert_eq!(site.deploy("v1").await.result, Deployed);
    }
    let discord = Receiver::listen("127.0.0.1:0".parse().unwrap()).await.unwrap();
    let (workspace, temp) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let step = step(&sites, &discord, workspace.path().to_owned());
    let machine = machine(temp.path());

    let (sender, mut lines) = unbounded_channel();
    let running = machine.start_program(&program(), &step, StageKind::Main, &BTreeMap::new(), Some(sender)).unwrap();
    let (mut seen, mut switched) = (Vec::new(), 0);
    while switched < 2 {
        let line = lines.recv().await.unwrap_or_else(|| panic!("it ended:\n{}", seen.join("\n")));
        switched += usize::from(line.ends_with(": watching the new release"));
        seen.push(line);
    }
    let killed = running.kill().await.unwrap();
    assert_eq!(killed.exit_code, 137);

    let post = machine.start_program(&program(), &step, StageKind::Post, &killed.state, None).unwrap();
    let post = post.finish().await.unwrap();
    let log = post.console.log.join("\n");
    assert_eq!(post.exit_code, 0, "{log}");
    for site in &sites {
        let name = format!("production (deploy@127.0.0.1:{}{})", site.ssh.port, site.directory.display());
        assert!(log.contains(&format!("{name}: the interrupted deployment was rolled back")), "{name}: {log}");
        site.assert_runs("v1");
        site.assert_clean();
    }
    let messages = discord.messages();
    let [message] = &messages[..] else { panic!("{messages:?}") };
    let body = message.body.to_string();
    assert_eq!(body.matches("failed, rolled back").count(), 2, "{body}");
}

#[tokio::test]
async fn a_rollback_says_which_release_it_puts_back() {
    let sites = [Site::new("back", USUAL).await];
    let [site] = &sites;
    for version in ["v1", "v2"] {
        assert_eq!(site.deploy(version).await.result, Deployed);
    }
    let discord = Receiver::listen("127.0.0.1:0".parse().unwrap()).await.unwrap();
    let (workspace, temp) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let mut step = step(&sites, &discord, workspace.path().to_owned());
    step.with.insert("command".to_owned(), "rollback".to_owned());
    let machine = machine(temp.path());
    let running = machine.start_program(&program(), &step, StageKind::Main, &BTreeMap::new(), None).unwrap();
    let report = running.finish().await.unwrap();
    let log = report.console.log.join("\n");
    assert_eq!(report.exit_code, 0, "{log}");
    assert!(log.contains("production: back to release v1-1 of commit commit-v1"), "{log}");
    site.assert_runs("v1");
    site.assert_clean();
    let messages = discord.messages();
    let [message] = &messages[..] else { panic!("{messages:?}") };
    assert!(message.body.to_string().contains("rolled back on request"), "{}", message.body);
}

fn program() -> PathBuf {
    PathBuf::from(env!("CARGO_BIN_EXE_build-deploy"))
}

/// A machine without an engine of its own.
fn machine(temp: &Path) -> Machine {
    let nowhere = temp.join("docker.sock");
    Machine { docker: PathBuf::from("docker"), socket: nowhere.clone(), mounted_socket: nowhere, temp: temp.to_owned() }
}

/// A step that deploys the bad release to the sites.
fn step(sites: &[Site], discord: &Receiver, workspace: PathBuf) -> Step {
    let text = |pairs: &[(&str, &str)]| pairs.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect();
    fs::write(workspace.join("compose.yaml"), "services: {site: {build: .}}\n").unwrap();
    let address = |site: &Site| format!("ssh://deploy@127.0.0.1:{}{}", site.ssh.port, site.directory.display());
    let servers = json!([{
        "name": "production",
        "compose": sites.iter().map(address).collect::<Vec<_>>(),
        "at-once": 2,
        "settle": "6s",
        "services": {"web": "site", "worker": "site"},
    }]);
    let servers_keys: String = sites.iter().map(Site::known_hosts).collect();
    let repository = sites[0].repository();
    let host = repository.split('/').next().unwrap();
    let images = json!({"site": format!("{repository}@{}", pushed("late"))});
    let login = json!([{"registry": host, "username": var("LAB_USER"), "password": var("LAB_PASSWORD")}]);
    Step {
        action: Action::parse(include_str!("../../action.yml")).unwrap(),
        image: "build-deploy:dev".to_owned(),
        workspace,
        with: text(&[
            ("command", "deploy"),
            ("deploy", &servers.to_string()),
            ("digests", &images.to_string()),
            ("discord-webhook", &discord.url()),
            ("registries", &login.to_string()),
            ("ssh-key", &Site::private_key()),
            ("ssh-known-hosts", &servers_keys),
        ]),
        env: BTreeMap::new(),
        github: text(&[
            ("GITHUB_ACTOR", "octocat"),
            ("GITHUB_EVENT_NAME", "push"),
            ("GITHUB_REF", "refs/heads/main"),
            ("GITHUB_REPOSITORY", "acme/shop"),
            ("GITHUB_RUN_ATTEMPT", "1"),
            ("GITHUB_RUN_ID", "1"),
            ("GITHUB_SERVER_URL", "https://github.com"),
            ("GITHUB_SHA", "0123456789abcdef0123456789abcdef01234567"),
            ("GITHUB_WORKFLOW", "deploy"),
        ]),
        expressions: text(&[("job.status", "failure")]),
        payload: json!({"repository": {"default_branch": "main"}}).to_string(),
        network: None,
    }
}

//! The strategy `rollout`, under a stream of requests through a proxy.

use std::{
    cell::{Cell, RefCell},
    collections::BTreeMap,
    io::{BufRead as _, BufReader},
    path::Path,
    process::{Child, Command, Stdio},
    time::Duration,
};

use build_deploy::{
    deploy::{
        TargetSpec,
        compose::{ComposeTarget, Strategy},
    },
    domain::deploy::DeployResult::{Deployed, FailedRolledBack},
};
use tokio::time::{sleep, timeout};

use super::{
    lab::var,
    site::{Site, engine},
};

const COMPOSE: &str = "
services:
  web:
    image: IMAGE:latest
    init: true
    restart: always
";

/// The proxy, in the server's network.
struct Proxy(Child, String);

impl Proxy {
    fn new(site: &Site) -> Self {
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/deploy/proxy.py");
        let socket = format!("{}/docker.sock", var("LAB_SERVER_DIR"));
        let label = format!("com.docker.compose.project={}", site.name);
        let mut command = Command::new("nsenter");
        command.args(["--net=/run/netns/bd-server", "/usr/bin/python3"]).arg(script);
        let mut child = command.args([&socket, &label, &var("LAB_SERVER")]).stdout(Stdio::piped()).spawn().unwrap();
        let mut port = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut port).unwrap();
        Self(child, format!("http://{}:{}/", var("LAB_SERVER"), port.trim()))
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.0.kill().unwrap();
        self.0.wait().unwrap();
    }
}

/// How many requests got which answer while something went on.
async fn answers_during<R>(proxy: &Proxy, work: impl Future<Output = R>) -> (R, BTreeMap<String, usize>) {
    let (answers, is_done) = (RefCell::new(BTreeMap::new()), Cell::new(false));
    let client = reqwest::Client::builder().timeout(Duration::from_secs(5)).build().unwrap();
    let requests = async {
        while !is_done.get() {
            let answer = match client.get(&proxy.1).send().await {
                Ok(answer) if answer.status().is_success() => answer.text().await.unwrap_or_else(|_| "cut".into()),
                Ok(answer) => answer.status().as_u16().to_string(),
                Err(_) => "error".into(),
            };
            *answers.borrow_mut().entry(answer.trim().to_owned()).or_insert(0) += 1;
            sleep(Duration::from_millis(5)).await;
        }
    };
    let work = async {
        let result = work.await;
        is_done.set(true);
        result
    };
    let (result, ()) = tokio::join!(work, requests);
    (result, answers.into_inner())
}

#[tokio::test]
async fn no_request_fails() {
    build_deploy::http::install_crypto();
    let site = Site::new("rollout", COMPOSE).await;
    let spec = |strategy| {
        let mut settings = site.settings();
        settings.strategy = strategy;
        TargetSpec { target: ComposeTarget::new(settings), ..site.spec() }
    };
    let [one, two, bad] = ["site1", "site2", "site-bad"].map(|version| site.release(version));
    assert_eq!(site.deploy_with(spec(Strategy::Rollout), &one).await.result, Deployed);
    let proxy = Proxy::new(&site);
    sleep(Duration::from_secs(1)).await;

    let (report, answers) = Box::pin(answers_during(&proxy, site.deploy_with(spec(Strategy::Rollout), &two))).await;
    println!("rollout: {answers:?}");
    assert_eq!(report.result, Deployed, "{:?}", report.reason);
    assert_eq!(answers.keys().collect::<Vec<_>>(), ["site1", "site2"], "{answers:?}");
    assert_eq!(site.containers("web").len(), 1);

    let before = site.containers("web");
    let (report, answers) = Box::pin(answers_during(&proxy, site.deploy_with(spec(Strategy::Rollout), &bad))).await;
    println!("a bad release: {answers:?}");
    assert_eq!(report.result, FailedRolledBack, "{:?}", report.reason);
    assert!(report.log.contains(&"boom".to_owned()), "{:?}", report.log);
    assert!(answers.keys().all(|answer| ["site2", "bad"].contains(&answer.as_str())), "{answers:?}");
    assert_eq!(site.containers("web"), before, "the old container was never stopped");
    site.assert_clean();

    // Shows that the stream of requests would notice a gap.
    let (report, answers) = Box::pin(answers_during(&proxy, site.deploy_with(spec(Strategy::Recreate), &one))).await;
    println!("recreate: {answers:?}");
    assert_eq!(report.result, Deployed, "{:?}", report.reason);
    assert!(answers.contains_key("502"), "{answers:?}");

    // More than one container.
    engine(&[
        "compose",
        "-p",
        &site.name,
        "-f",
        &format!("{}/compose.yml", site.directory.display()),
        "-f",
        &format!("{}/.build-deploy/current.yml", site.directory.display()),
        "up",
        "-d",
        "--scale",
        "web=3",
        "--no-recreate",
    ]);
    let (report, answers) = Box::pin(answers_during(&proxy, site.deploy_with(spec(Strategy::Rollout), &two))).await;
    println!("three containers: {answers:?}");
    assert_eq!(report.result, Deployed, "{:?}", report.reason);
    assert!(answers.keys().all(|answer| answer.starts_with("site")), "{answers:?}");

    // A killed process leaves old and new ones side by side.
    let killed = timeout(Duration::from_secs(4), site.deploy_with(spec(Strategy::Rollout), &one));
    let (killed, answers) = answers_during(&proxy, killed).await;
    site.ssh.cut();
    assert!(killed.is_err());
    println!("killed: {answers:?}");
    let (report, answers) = answers_during(&proxy, site.deploy_with(spec(Strategy::Rollout), &one)).await;
    println!("the next one: {answers:?}");
    assert_eq!(report.result, Deployed, "{:?}", report.reason);
    assert!(answers.keys().all(|answer| answer.starts_with("site")), "{answers:?}");
    assert_eq!(site.runs("web"), ["site1 running"]);
    site.assert_clean();
}

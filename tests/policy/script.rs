//! A target that does what a test says, and notes what it is asked for.

use std::{
    cell::{Cell, RefCell},
    collections::{BTreeMap, BTreeSet},
    rc::Rc,
    time::Duration,
};

use build_deploy::{
    deploy::{
        Settings, TargetSpec,
        judge::{Container, Health, State},
        plan::Plan,
        release::{Content, Image, Release},
        target::{Attempt, Migration, Present, PresentService, Recorded, Target, TargetError},
    },
    domain::{
        deploy::{DeployResult, Pin},
        digest::Digest,
    },
};
use tokio::time::{Instant, sleep};

/// A target with the services `web` and `worker`.
pub(super) struct Script {
    /// What each service runs, by the content of its image.
    pub(super) runs: RefCell<BTreeMap<&'static str, String>>,
    /// The images that keep crashing.
    pub(super) bad: Vec<&'static str>,
    /// What each step does besides its work: fail, lose the connection, or take some seconds.
    pub(super) steps: RefCell<Vec<(&'static str, Does)>>,
    /// The services that run the same content as any release.
    pub(super) alike: Vec<&'static str>,
    /// Who holds the lock, and how many seconds longer.
    pub(super) holder: Option<(&'static str, u64)>,
    pub(super) last: Option<Recorded>,
    pub(super) unfinished: RefCell<Option<Plan>>,
    pub(super) calls: RefCell<Vec<String>>,
    /// How often the lock is held.
    pub(super) locks: Rc<Cell<u32>>,
    /// Whether the connection with the lock was lost.
    pub(super) lost: Cell<bool>,
    pub(super) began: Instant,
    pub(super) name: &'static str,
}

/// What a step does besides its work, once.
#[derive(Clone, Debug)]
pub(super) enum Does {
    /// Its work is not done, and an error says why.
    Fail(&'static str),
    /// The same after so many seconds.
    FailAfter(u64, &'static str),
    /// Its work is done, but the connection is lost before the answer.
    Lose,
    /// The same, and somebody else deploys this before the connection is there again.
    LoseTo(&'static str),
    /// It is done on a new connection.
    Reconnect,
    /// It takes so many seconds.
    Take(u64),
    /// Somebody else deploys this.
    Intrude(&'static str),
}

/// The lock.
#[derive(Debug)]
pub(super) struct Held(Rc<Cell<u32>>);

impl Drop for Held {
    fn drop(&mut self) {
        self.0.set(self.0.get() - 1);
    }
}

pub(super) fn image(content: &str) -> Image {
    Image {
        name: "site".into(),
        repository: "ghcr.io/octo/site".into(),
        digest: Digest::of(content.as_bytes()),
        services: Vec::new(),
    }
}

pub(super) fn release(content: &str) -> Release {
    Release {
        id: format!("r-{content}"),
        commit: format!("c-{content}"),
        actor: "octocat".into(),
        run_url: "https://ci.example/1".into(),
        content: Content::Images(vec![image(content)]),
    }
}

/// A target on which both services run `old`.
pub(super) fn running() -> Script {
    let runs = BTreeMap::from([("web", "old".to_owned()), ("worker", "old".to_owned())]);
    Script {
        runs: RefCell::new(runs),
        bad: vec!["bad", "worse"],
        steps: RefCell::default(),
        alike: Vec::new(),
        holder: None,
        last: None,
        unfinished: RefCell::default(),
        calls: RefCell::default(),
        locks: Rc::default(),
        lost: Cell::new(false),
        began: Instant::now(),
        name: "production",
    }
}

pub(super) fn spec(target: Script) -> TargetSpec<Script> {
    let migration = Migration { service: "web".into(), command: vec!["migrate".into()] };
    let settings = Settings {
        migrations: vec![migration],
        lock_wait: Duration::from_mins(1),
        url: Some("https://site.example".into()),
        ..Settings::default()
    };
    TargetSpec { target, settings, joins_previous: false }
}

fn content_of(digest: &Digest) -> String {
    let known = ["old", "new", "bad", "other", "worse"];
    let found = known.iter().find(|content| Digest::of(content.as_bytes()) == *digest);
    (*found.unwrap()).to_owned()
}

impl Script {
    pub(super) fn calls(&self) -> String {
        self.calls.borrow().join(" ")
    }

    /// Notes the call and does what the script says.
    async fn step(&self, name: &'static str, work: impl FnOnce()) -> Result<(), TargetError> {
        self.calls.borrow_mut().push(name.to_owned());
        let does = {
            let mut steps = self.steps.borrow_mut();
            let place = steps.iter().position(|(step, _)| *step == name);
            place.map(|place| steps.remove(place).1)
        };
        match does {
            Some(Does::Fail(reason)) => {
                return Err(TargetError { log: vec!["boom".into()], ..TargetError::new(reason) });
            }
            Some(Does::FailAfter(seconds, reason)) => {
                sleep(Duration::from_secs(seconds)).await;
                return Err(TargetError::new(reason));
            }
            Some(Does::Lose) => {
                work();
                self.lost.set(true);
                return Err(TargetError { is_outage: true, ..TargetError::new("connection lost") });
            }
            Some(Does::LoseTo(content)) => {
                work();
                self.runs.borrow_mut().values_mut().for_each(|runs| content.clone_into(runs));
                *self.unfinished.borrow_mut() = None;
                self.lost.set(true);
                return Err(TargetError { is_outage: true, ..TargetError::new("connection lost") });
            }
            Some(Does::Reconnect) => {
                work();
                self.lost.set(true);
            }
            // As a command on a server: it goes on if nobody waits for it.
            Some(Does::Take(seconds)) => {
                work();
                sleep(Duration::from_secs(seconds)).await;
            }
            Some(Does::Intrude(content)) => {
                self.runs.borrow_mut().values_mut().for_each(|runs| content.clone_into(runs));
            }
            None => work(),
        }
        Ok(())
    }

    fn put(&self, plan: &Plan, pick: impl Fn(&build_deploy::deploy::plan::Change) -> Option<Pin>) {
        for (service, change) in &plan.changes {
            let name = if service == "web" { "web" } else { "worker" };
            match pick(change) {
                Some(pin) => self.runs.borrow_mut().insert(name, content_of(&pin.digest)),
                None => self.runs.borrow_mut().remove(name),
            };
        }
    }
}

impl Target for Script {
    type Lock = Held;

    fn name(&self) -> &'static str {
        self.name
    }

    fn kind(&self) -> &'static str {
        "script"
    }

    async fn check(&self) -> Result<BTreeSet<String>, TargetError> {
        self.step("check", || {}).await?;
        Ok(["web", "worker"].map(String::from).into())
    }

    async fn read(&self) -> Result<Present, TargetError> {
        self.step("read", || {}).await?;
        let service = |name: &str| {
            let runs = self.runs.borrow().get(name).map(|content| image(content).pin());
            let defined = Some("ghcr.io/octo/site:latest".to_owned());
            PresentService { defined, is_up: runs.is_some(), runs: runs.into_iter().collect(), has_failed: false }
        };
        let services = ["web", "worker"].map(|name| (name.to_owned(), service(name)));
        let unfinished = self.unfinished.borrow().clone();
        Ok(Present { services: services.into(), last: self.last.clone(), unfinished, left: None, is_outdated: false })
    }

    async fn lock(&self, _: &Release) -> Result<Attempt<Held>, TargetError> {
        self.step("lock", || {}).await?;
        match self.holder {
            Some((holder, until)) if self.began.elapsed().as_secs() < until => Ok(Attempt::Busy(holder.to_owned())),
            _ => {
                self.lost.set(false);
                self.locks.set(self.locks.get() + 1);
                Ok(Attempt::Taken(Held(self.locks.clone())))
            }
        }
    }

    fn is_held(&self, _: &Held) -> bool {
        !self.lost.get()
    }

    async fn unlock(&self, _: Held) {
        self.calls.borrow_mut().push("unlock".to_owned());
    }

    async fn prepare(&self, _: &Plan, may_stay: &BTreeSet<String>) -> Result<BTreeSet<String>, TargetError> {
        self.step("prepare", || {}).await?;
        Ok(may_stay.iter().filter(|service| self.alike.contains(&service.as_str())).cloned().collect())
    }

    async fn save(&self, plan: &Plan) -> Result<(), TargetError> {
        self.step("save", || *self.unfinished.borrow_mut() = Some(plan.clone())).await
    }

    async fn migrate(&self, _: &Plan, _: &Migration, _: Duration) -> Result<(), TargetError> {
        self.step("migrate", || {}).await
    }

    async fn switch(&self, plan: &Plan, _: Duration) -> Result<(), TargetError> {
        self.step("switch", || self.put(plan, |change| Some(change.next.clone()))).await
    }

    async fn observe(&self, services: &BTreeSet<&str>) -> Result<Vec<Container>, TargetError> {
        self.step("observe", || {}).await?;
        let runs = self.runs.borrow();
        let mine = runs.iter().filter(|(service, _)| services.contains(**service));
        let container = |(service, content): (&&'static str, &String)| Container {
            service: (*service).to_owned(),
            id: format!("{service}-{content}"),
            image: vec![Digest::of(content.as_bytes()).to_string()],
            state: if self.bad.contains(&content.as_str()) { State::Exited(3) } else { State::Running },
            restarts: 0,
            started_at: "t".into(),
            health: Health::None,
        };
        Ok(mine.map(container).collect())
    }

    async fn restore(&self, plan: &Plan, _: Duration) -> Result<(), TargetError> {
        self.step("restore", || self.put(plan, |change| change.previous.clone())).await
    }

    async fn logs(&self, service: &str) -> Vec<String> {
        vec![format!("{service} says boom")]
    }

    async fn record(&self, _: &Plan, _: &Release, result: DeployResult) -> Result<(), TargetError> {
        let is_open = result == DeployResult::FailedNotRolledBack;
        let work = || {
            if !is_open {
                *self.unfinished.borrow_mut() = None;
            }
        };
        self.step("record", work).await
    }

    fn by_hand(&self, _: &Plan) -> Vec<String> {
        vec!["put it back".to_owned()]
    }
}

//! A GitHub of one repository: answers the calls of its API that are used here, and refuses what GitHub refuses.
//!
//! What a call and its answer must look like is in [`rules`], from GitHub's own description of its API; what the repository
//! holds and how it changes is in [`world`]; [`Fault`]s that are queued up are what goes wrong next. Every call is kept.

use std::{
    collections::{BTreeMap, VecDeque},
    net::SocketAddr,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use axum::{
    Router,
    body::Bytes,
    extract::State,
    http::{HeaderMap, Method, StatusCode, Uri, header},
    response::{IntoResponse, Response},
};
use serde_json::{Value, json};
use tokio::{net::TcpListener, sync::watch, task::JoinHandle};

pub mod answer;
pub mod rules;
pub mod world;

use self::{
    answer::{Answer, Page},
    rules::Rules,
    world::World,
};

/// The token that it takes.
pub const TOKEN: &str = "ghs_localDemoTokenThatOpensNothing012345";

/// A call as it came.
#[derive(Clone, Debug)]
pub struct Call {
    /// `GET`, `POST`…
    pub method: String,
    /// Path below the repository, such as `/deployments`.
    pub path: String,
    /// Query, as sent.
    pub query: String,
    /// The body, if there is one.
    pub body: Value,
    /// The status that was answered; 0 where no answer went out.
    pub status: u16,
    /// What the call did wrong, and what of the answer GitHub would not have said.
    pub wrong: Vec<String>,
}

/// What a token may do with a part of the repository.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Access {
    /// Look.
    Read,
    /// Change.
    Write,
}

/// What goes wrong with the next call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fault {
    /// Nothing.
    None,
    /// The hourly limit is used up.
    RateLimited,
    /// Too much at once; asks for this many seconds.
    SecondaryLimit(u64),
    /// An answer with this status and no JSON.
    Broken(u16),
    /// The answer comes this late.
    Slow(Duration),
    /// An answer that never ends.
    Endless,
    /// No answer, ever.
    Hang,
}

/// The server. It runs until it is dropped.
#[derive(Debug)]
pub struct GitHub {
    address: SocketAddr,
    shared: Arc<Shared>,
    server: JoinHandle<()>,
}

#[derive(Debug)]
struct Shared {
    rules: &'static Rules,
    inner: Mutex<Inner>,
    changed: watch::Sender<()>,
}

#[derive(Debug)]
struct Inner {
    world: World,
    permissions: BTreeMap<String, Access>,
    calls: Vec<Call>,
    faults: VecDeque<Fault>,
}

impl GitHub {
    /// Listens at `listen` (port 0 takes a free one) with an empty repository `owner/name`. The token may read its
    /// contents.
    pub async fn start(listen: SocketAddr, repository: &str) -> std::io::Result<Self> {
        let rules = Rules::get().map_err(std::io::Error::other)?;
        let listener = TcpListener::bind(listen).await?;
        let address = listener.local_addr()?;
        let (changed, _) = watch::channel(());
        let permissions = BTreeMap::from([("contents".to_owned(), Access::Read)]);
        let world = World::new(repository);
        let inner = Inner { world, permissions, calls: Vec::new(), faults: VecDeque::new() };
        let shared = Arc::new(Shared { rules, inner: Mutex::new(inner), changed });
        // An enterprise server has its API below a path.
        let app = Router::new().nest_service("/api/v3", Router::new().fallback(serve).with_state(shared.clone()));
        let app = app.fallback(serve).with_state(shared.clone());
        let server = tokio::spawn(async move {
            // Ends with the task: nobody asks how.
            let _ = axum::serve(listener, app).await;
        });
        Ok(Self { address, shared, server })
    }

    /// What `GITHUB_API_URL` is.
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// What `GITHUB_API_URL` is on an enterprise server.
    pub fn enterprise_url(&self) -> String {
        format!("{}/api/v3", self.url())
    }

    /// Lets the token do this, as `permissions:` of a job does: `actions`, `deployments`, `pull-requests`.
    pub fn permit(&self, scope: &str, access: Access) {
        self.shared.inner().permissions.insert(scope.to_owned(), access);
    }

    /// Changes what the repository holds.
    pub fn change<T>(&self, change: impl FnOnce(&mut World) -> T) -> T {
        change(&mut self.shared.inner().world)
    }

    /// All calls, oldest first.
    pub fn calls(&self) -> Vec<Call> {
        self.shared.inner().calls.clone()
    }

    /// Lets the next calls meet these faults, one each.
    pub fn fail_next(&self, faults: impl IntoIterator<Item = Fault>) {
        self.shared.inner().faults.extend(faults);
    }

    /// Lets the next calls go well again.
    pub fn heal(&self) {
        self.shared.inner().faults.clear();
    }

    /// Tells when a call was answered: look at it, then wait for its next change.
    pub fn changes(&self) -> watch::Receiver<()> {
        self.shared.changed.subscribe()
    }

    /// What calls and answers did that GitHub would not have taken or said.
    pub fn wrong(&self) -> Vec<String> {
        self.calls().into_iter().flat_map(|call| call.wrong).collect()
    }
}

impl Drop for GitHub {
    fn drop(&mut self) {
        self.server.abort();
    }
}

impl Shared {
    fn inner(&self) -> MutexGuard<'_, Inner> {
        // A handler that panicked left nothing half done.
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn answer(&self, call: &mut Call, headers: &HeaderMap) -> Answer {
        let header = |name| headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default();
        if header(header::USER_AGENT).is_empty() {
            return Answer::refused(403, "Request forbidden by administrative rules.");
        }
        let token = header(header::AUTHORIZATION).split_once(' ').map(|(_, token)| token);
        if token != Some(TOKEN) {
            return Answer::refused(401, "Bad credentials");
        }
        let mut inner = self.inner();
        let Some(operation) = inner.world.operation(&call.method, &call.path) else {
            return Answer::refused(404, "Not Found");
        };
        if let Some((scope, access)) = operation.needs()
            && inner.permissions.get(scope).is_none_or(|given| *given < access)
        {
            return Answer::refused(403, "Resource not accessible by integration");
        }
        call.wrong = self.rules.check_call(operation.name(), &call.query, &call.body);
        if let Some(first) = call.wrong.first() {
            return Answer::refused(422, &format!("Invalid request.\n\n{first}"));
        }
        let answer = inner.world.carry_out(&operation, &call.query, &call.body, self.rules);
        call.wrong = self.rules.check_answer(operation.name(), answer.status, &answer.body);
        answer
    }
}

async fn serve(
    State(shared): State<Arc<Shared>>,
    method: Method,
    uri: Uri,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    let repository = shared.inner().world.repository().to_owned();
    let path = uri.path().strip_prefix("/repos/").unwrap_or_default();
    let below = path.strip_prefix(&repository).filter(|rest| rest.is_empty() || rest.starts_with('/'));
    let mut call = Call {
        method: method.to_string(),
        path: decoded(below.unwrap_or("/not-here")),
        query: uri.query().unwrap_or_default().to_owned(),
        body: serde_json::from_slice(&body).unwrap_or_default(),
        status: 0,
        wrong: Vec::new(),
    };
    let fault = shared.inner().faults.pop_front().unwrap_or(Fault::None);
    let response = match fault {
        Fault::Hang => {
            shared.record(call);
            return std::future::pending().await;
        }
        Fault::Endless => {
            call.status = 200;
            super::receiver::endless()
        }
        Fault::RateLimited => {
            let answer = Answer::refused(403, "API rate limit exceeded for installation.");
            let headers = [("x-ratelimit-remaining", "0".to_owned()), ("x-ratelimit-reset", "4102444800".to_owned())];
            (headers, answer.respond(&mut call)).into_response()
        }
        Fault::SecondaryLimit(seconds) => {
            let answer = Answer::refused(429, "You have exceeded a secondary rate limit.");
            ([("retry-after", seconds.to_string())], answer.respond(&mut call)).into_response()
        }
        Fault::Broken(status) => {
            call.status = status;
            let status = StatusCode::from_u16(status).unwrap_or(StatusCode::BAD_GATEWAY);
            (status, "<html><title>Unicorn!</title></html>").into_response()
        }
        fault => {
            if let Fault::Slow(delay) = fault {
                tokio::time::sleep(delay).await;
            }
            let mut answer = shared.answer(&mut call, &headers);
            let link = answer.page.take().and_then(|page| link(&uri, page));
            let response = answer.respond(&mut call);
            match link {
                Some(link) => ([(header::LINK, link)], response).into_response(),
                None => response,
            }
        }
    };
    shared.record(call);
    response
}

impl Shared {
    fn record(&self, call: Call) {
        self.inner().calls.push(call);
        self.changed.send_replace(());
    }
}

impl Answer {
    /// An error as the API words it.
    pub fn refused(status: u16, message: &str) -> Self {
        let documentation = "https://docs.github.com/rest";
        let body = json!({ "message": message, "documentation_url": documentation, "status": status.to_string() });
        Self { status, body, page: None }
    }

    fn respond(self, call: &mut Call) -> Response {
        call.status = self.status;
        let status = StatusCode::from_u16(self.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let kind = [(header::CONTENT_TYPE, "application/json; charset=utf-8")];
        (status, kind, self.body.to_string()).into_response()
    }
}

/// The path without its percent signs.
fn decoded(path: &str) -> String {
    rules::pairs(&format!("x={}", path.replace('+', "%2B"))).into_iter().map(|(_, path)| path).collect()
}

/// The pages around this one, as the header `Link` tells them.
fn link(uri: &Uri, page: Page) -> Option<String> {
    if page.last < 2 {
        return None;
    }
    let query = uri.query().unwrap_or_default();
    let other = query.split('&').filter(|pair| !pair.is_empty() && !pair.starts_with("page=")).collect::<Vec<_>>();
    let to = |number: usize, rel: &str| {
        let query = other.iter().copied().map(str::to_owned).chain([format!("page={number}")]);
        format!("<http://localhost{}?{}>; rel=\"{rel}\"", uri.path(), query.collect::<Vec<_>>().join("&"))
    };
    let mut links = Vec::new();
    if page.number > 1 {
        links.extend([to(page.number - 1, "prev"), to(1, "first")]);
    }
    if page.number < page.last {
        links.extend([to(page.number + 1, "next"), to(page.last, "last")]);
    }
    Some(links.join(", "))
}

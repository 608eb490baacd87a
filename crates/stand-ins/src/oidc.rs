//! GitHub's OIDC token service, as the runner names it in `ACTIONS_ID_TOKEN_REQUEST_URL` to a job with
//! `permissions: id-token: write`.
//!
//! Its tokens say who the job is and are signed by nobody.

use std::{
    io,
    net::SocketAddr,
    sync::{Arc, Mutex, PoisonError},
};

use axum::{
    Json, Router,
    extract::{Query, State},
    http::{HeaderMap, StatusCode, header},
    routing::get,
};
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use serde_json::{Value, json};
use tokio::{net::TcpListener, task::JoinHandle};

const BEARER: &str = "request-token-canary-5e1f";
const ISSUER: &str = "https://token.actions.githubusercontent.com";

/// The service. It runs until it is dropped.
#[derive(Debug)]
pub struct TokenService {
    address: SocketAddr,
    shared: Arc<Shared>,
    server: JoinHandle<()>,
}

#[derive(Debug)]
struct Shared {
    subject: String,
    audiences: Mutex<Vec<String>>,
}

impl TokenService {
    /// Listens at `listen` (port 0 takes a free one). Its tokens say that the job is `subject`.
    pub async fn start(listen: SocketAddr, subject: &str) -> io::Result<Self> {
        let listener = TcpListener::bind(listen).await?;
        let address = listener.local_addr()?;
        let shared = Arc::new(Shared { subject: subject.to_owned(), audiences: Mutex::default() });
        let app = Router::new().route("/token", get(token)).with_state(shared.clone());
        let server = tokio::spawn(async move {
            // Ends with the task: nobody asks how.
            let _ = axum::serve(listener, app).await;
        });
        Ok(Self { address, shared, server })
    }

    /// What the runner sets in the environment of the job's steps.
    pub fn variables(&self) -> [(&'static str, String); 2] {
        [
            ("ACTIONS_ID_TOKEN_REQUEST_URL", format!("http://{}/token?api-version=2.0", self.address)),
            ("ACTIONS_ID_TOKEN_REQUEST_TOKEN", BEARER.to_owned()),
        ]
    }

    /// The token that a job gets for an audience.
    pub fn token(&self, audience: &str) -> String {
        self.shared.token(audience)
    }

    /// For which audiences tokens were given.
    pub fn audiences(&self) -> Vec<String> {
        self.shared.audiences.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl Shared {
    fn token(&self, audience: &str) -> String {
        let part = |value: Value| URL_SAFE_NO_PAD.encode(value.to_string());
        let header = part(json!({"alg": "none", "typ": "JWT"}));
        let claims = part(json!({"aud": audience, "iss": ISSUER, "sub": self.subject}));
        format!("{header}.{claims}.{}", URL_SAFE_NO_PAD.encode("signed-by-nobody"))
    }
}

impl Drop for TokenService {
    fn drop(&mut self) {
        self.server.abort();
    }
}

async fn token(
    State(shared): State<Arc<Shared>>,
    Query(query): Query<Vec<(String, String)>>,
    headers: HeaderMap,
) -> Result<Json<Value>, StatusCode> {
    let given = headers.get(header::AUTHORIZATION).and_then(|value| value.to_str().ok());
    if given != Some(&*format!("Bearer {BEARER}")) {
        return Err(StatusCode::UNAUTHORIZED);
    }
    let value = |wanted: &str| query.iter().find(|(name, _)| name == wanted).map(|(_, value)| value.as_str());
    let (Some("2.0"), Some(audience)) = (value("api-version"), value("audience")) else {
        return Err(StatusCode::BAD_REQUEST);
    };
    shared.audiences.lock().unwrap_or_else(PoisonError::into_inner).push(audience.to_owned());
    Ok(Json(json!({"count": 1, "value": shared.token(audience)})))
}

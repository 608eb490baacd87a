//! The engine's own API: what it is, logins, and the images in its store.

use std::{collections::HashMap, sync::Arc};

use base64::{Engine as _, engine::general_purpose::URL_SAFE};
use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Method, Request, StatusCode, header};
use http_body_util::{BodyExt as _, Collected, Full, Limited};
use hyper::body::Incoming;
use serde_json::{Value, json};

use super::{
    Answer, Seen,
    push::{self, Identity},
    state::{Image, State},
};

/// Most bytes of a body that is read.
const LARGEST_BODY: usize = 4 << 20;

/// Answers a call; `path` is without the version.
pub(super) async fn answer(state: &Arc<State>, path: &str, request: Request<Incoming>) -> Answer {
    let (parts, body) = request.into_parts();
    let query = parts.uri.query().unwrap_or_default();
    let query: HashMap<String, String> = url::form_urlencoded::parse(query.as_bytes()).into_owned().collect();
    let body = Limited::new(body, LARGEST_BODY).collect().await.map(Collected::to_bytes).unwrap_or_default();
    match (&parts.method, path) {
        (&Method::GET | &Method::HEAD, "/_ping") => {
            let mut answer = with_status(StatusCode::OK, "text/plain", "OK".to_owned());
            let api = HeaderValue::from_str(&state.setup.api).unwrap_or(HeaderValue::from_static("1.24"));
            answer.headers_mut().insert("api-version", api);
            answer
        }
        (&Method::GET, "/version") => ok(&json!({
            "Version": state.setup.version, "ApiVersion": state.setup.api, "MinAPIVersion": "1.24",
            "Os": "linux", "Arch": "amd64",
        })),
        (&Method::GET, "/info") => ok(&json!({
            "ServerVersion": state.setup.version, "OSType": "linux", "Architecture": "x86_64", "SecurityOptions": [],
            "RegistryConfig": {"IndexConfigs": {}, "InsecureRegistryCIDRs": ["127.0.0.0/8"], "Mirrors": []},
        })),
        (&Method::POST, "/auth") => auth(&serde_json::from_slice(&body).unwrap_or_default()).await,
        (method, path) => {
            let known = path.strip_prefix("/images/").or_else(|| path.strip_prefix("/distribution/"));
            let Some((name, action)) = known.and_then(|rest| rest.rsplit_once('/')) else {
                return refusal(404, "page not found");
            };
            let login = identity(&parts.headers);
            match (method, action, path.starts_with("/images/")) {
                (&Method::GET, "json", true) => inspect(state, name),
                (&Method::POST, "tag", true) => tag(state, name, &query),
                (&Method::POST, "push", true) => {
                    let tag = query.get("tag").map_or("latest", String::as_str);
                    push(state, name, tag, login.as_ref()).await
                }
                (&Method::GET, "json", false) => distribution(name, login.as_ref()).await,
                _ => refusal(404, "page not found"),
            }
        }
    }
}

fn with_status(status: StatusCode, kind: &'static str, body: String) -> Answer {
    let mut answer = Answer::new(Full::new(Bytes::from(body)));
    *answer.status_mut() = status;
    answer.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static(kind));
    answer
}

fn ok(body: &Value) -> Answer {
    with_status(StatusCode::OK, "application/json", body.to_string())
}

/// An error as the engine answers it.
pub(super) fn refusal(status: u16, message: &str) -> Answer {
    let status = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    with_status(status, "application/json", json!({ "message": message }).to_string())
}

/// The login that comes with a call, as JSON in a header.
fn identity(headers: &HeaderMap) -> Option<Identity> {
    let encoded = headers.get("x-registry-auth")?.to_str().ok()?;
    let login: Value = serde_json::from_slice(&URL_SAFE.decode(encoded).ok()?).ok()?;
    let text = |name: &str| login[name].as_str().unwrap_or_default().to_owned();
    let identity = Identity { user: text("username"), secret: text("password") };
    (!identity.user.is_empty()).then_some(identity)
}

/// Tries a login, as `docker login` does.
async fn auth(login: &Value) -> Answer {
    let text = |name: &str| login[name].as_str().unwrap_or_default().to_owned();
    let host = text("serveraddress");
    let identity = Identity { user: text("username"), secret: text("password") };
    let url = format!("http://{host}/v2/");
    match push::call(Method::GET, &host, "/v2/", Vec::new(), Some(&identity)).await {
        Ok(answer) if answer.status.is_success() => ok(&json!({"Status": "Login Succeeded", "IdentityToken": ""})),
        Ok(answer) if answer.status == StatusCode::UNAUTHORIZED => {
            refusal(401, &format!("Get \"{url}\": unauthorized: incorrect username or password"))
        }
        Ok(answer) => refusal(500, &format!("login attempt to {url} failed with status: {}", answer.status)),
        Err(reason) => refusal(500, reason.strip_prefix("failed to do request: ").unwrap_or(&reason)),
    }
}

fn inspect(state: &State, name: &str) -> Answer {
    match state.image(name) {
        Some(Image { id, manifest }) => ok(&json!({"Id": id, "RepoTags": [name], "RepoDigests": [manifest]})),
        None => refusal(404, &format!("No such image: {name}")),
    }
}

fn tag(state: &State, name: &str, query: &HashMap<String, String>) -> Answer {
    let Some(image) = state.image(name) else { return refusal(404, &format!("No such image: {name}")) };
    let text = |key: &str| query.get(key).map_or("", String::as_str);
    state.name_image(&format!("{}:{}", text("repo"), text("tag")), image);
    with_status(StatusCode::CREATED, "application/json", String::new())
}

/// Pushes an image of the store. What goes wrong is told within an answer that has begun well.
async fn push(state: &State, repository: &str, tag: &str, login: Option<&Identity>) -> Answer {
    let name = format!("{repository}:{tag}");
    let Some(image) = state.image(&name) else {
        return refusal(404, &format!("An image does not exist locally with the tag: {repository}"));
    };
    let mut lines = vec![json!({ "status": format!("The push refers to repository [{repository}]") })];
    let done = match state.meet(Seen::Push(repository.to_owned()), "").await {
        Err(status) => Err(status.message().to_owned()),
        Ok(()) => push::put(repository, tag, state.content(&image.manifest).unwrap_or_default(), login).await,
    };
    match done {
        Ok(()) => lines.push(json!({ "status": format!("{tag}: digest: {} size: 946", image.manifest) })),
        Err(message) => lines.push(json!({"errorDetail": {"message": message}, "error": message})),
    }
    let body: Vec<String> = lines.iter().map(ToString::to_string).collect();
    with_status(StatusCode::OK, "application/json", body.join("\r\n"))
}

/// What a registry has under a name.
async fn distribution(name: &str, login: Option<&Identity>) -> Answer {
    let (repository, tag) = super::export::split(name);
    let (host, path) = repository.split_once('/').unwrap_or((repository, ""));
    let path = format!("/v2/{path}/manifests/{}", tag.unwrap_or("latest"));
    match push::call(Method::HEAD, host, &path, Vec::new(), login).await {
        Ok(answer) if answer.status.is_success() => {
            let text = |name: &str| answer.headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default();
            let descriptor = json!({
                "mediaType": text("content-type"), "digest": text("docker-content-digest"), "size": 946,
            });
            ok(&json!({"Descriptor": descriptor, "Platforms": []}))
        }
        Ok(answer) if answer.status == StatusCode::NOT_FOUND => refusal(404, "manifest unknown: manifest unknown"),
        Ok(answer) if answer.status == StatusCode::UNAUTHORIZED => {
            refusal(401, "unauthorized: authentication required")
        }
        Ok(answer) => refusal(500, &format!("received unexpected HTTP status: {}", answer.status)),
        Err(reason) => refusal(500, reason.strip_prefix("failed to do request: ").unwrap_or(&reason)),
    }
}

//! Probes the cache services. BuildKit waits forever for a service that accepts connections and does not answer, and
//! blocks every build of the daemon, even after the build that uses the cache is gone: its scheduler itself queries the
//! caches (<https://github.com/moby/buildkit/blob/master/solver/edge.go>).

use std::collections::BTreeSet;

use futures_util::future::join_all;
use reqwest::Client;

use crate::{
    builder::{caches, spec::BuildSpec},
    buildkit::build::Cache,
    domain::event::Event,
    http::OnDemand,
    inputs::cache::CacheService,
    registry::{plain::may_be_plain, remote::endpoint},
};

/// Returns the addresses of the specs' caches that do not answer. A failed connection does not count: the builder may
/// be able to reach the service.
pub(super) async fn silent_services(
    specs: &[BuildSpec],
    github: Option<&CacheService>,
    http: &OnDemand,
) -> BTreeSet<String> {
    let all = specs.iter().flat_map(|spec| spec.build.cache_from.iter().chain(&spec.build.cache_to));
    let services: BTreeSet<String> = all.filter_map(|cache| service(cache, github)).collect();
    let Some(client) = (!services.is_empty()).then(|| http.client()).flatten() else { return BTreeSet::new() };
    let asked = join_all(services.into_iter().map(async |url| is_silent(client, &url).await.then_some(url))).await;
    asked.into_iter().flatten().collect()
}

/// Removes the caches of these services from the specs, and returns a warning for each service.
pub(super) fn leave_out(
    silent: &BTreeSet<String>,
    specs: &mut [BuildSpec],
    github: Option<&CacheService>,
) -> Vec<Event> {
    let mut left_out = BTreeSet::new();
    for cache in specs.iter_mut().flat_map(|spec| [&mut spec.build.cache_from, &mut spec.build.cache_to]) {
        cache.retain(|cache| {
            let silent = service(cache, github).filter(|url| silent.contains(url));
            let answers = silent.is_none();
            left_out.extend(silent);
            answers
        });
    }
    let warning = |url: &String| {
        caches::warning(format!(
            "{url} does not answer: its build caches are not used in this run; if this persists, set `cache: off` to avoid \
             the wait"
        ))
    };
    left_out.iter().map(warning).collect()
}

/// Returns the address of a cache's service, if it is known.
fn service(cache: &Cache, github: Option<&CacheService>) -> Option<String> {
    match cache.kind.as_str() {
        "registry" => {
            let (first, _) = cache.attribute("ref")?.split_once('/')?;
            let is_host = first.contains(['.', ':']) || first == "localhost";
            Some(format!("https://{}/v2/", endpoint(if is_host { first } else { "docker.io" })))
        }
        "gha" => Some(cache.attribute("url_v2").or(github.map(|service| service.url.as_str()))?.to_owned()),
        _ => None,
    }
}

/// Whether the service accepts a request and does not answer it. Any answer counts.
async fn is_silent(client: &Client, url: &str) -> bool {
    let asked = |url: String| async move {
        let answer = client.get(url).send().await;
        answer.map(drop).map_err(|error| error.is_timeout() && !error.is_connect())
    };
    let near = url.strip_prefix("https://").filter(|rest| rest.split('/').next().is_some_and(may_be_plain));
    match (asked(url.to_owned()).await, near) {
        (Err(false), Some(rest)) => asked(format!("http://{rest}")).await == Err(true),
        (answer, _) => answer == Err(true),
    }
}

//! Build caches: their credentials, and warnings about them. A cache never fails a build. Pure.

use crate::{
    buildkit::{Build, build::Cache, caches::CacheStep},
    domain::{
        diagnostic::{Diagnostic, Severity},
        event::Event,
        secret::Secret,
    },
    inputs::cache::CacheService,
};

/// Credentials of the caches that are neither in a registry nor in the builder.
#[derive(Clone, Debug, Default)]
pub struct CacheCredentials {
    /// GitHub's cache service.
    pub github: Option<CacheService>,
    /// Attributes of `type=s3` from the usual environment variables, as in buildx.
    pub s3: Vec<(&'static str, Secret)>,
}

impl CacheCredentials {
    /// Adds missing credentials to the caches of a build.
    pub fn add_to(&self, build: &mut Build) {
        for cache in build.cache_from.iter_mut().chain(&mut build.cache_to) {
            match (cache.kind.as_str(), &self.github) {
                ("gha", Some(service)) if cache.attribute("token").is_none() => {
                    // A daemon that does not know `url_v2` would send the token there.
                    cache.attributes.retain(|(name, _)| name != "url");
                    cache.set("token", service.token.expose());
                    cache.set("url_v2", &service.url);
                    cache.set("version", "2");
                }
                ("s3", _) if cache.attribute("access_key_id").is_none() => {
                    for (name, value) in &self.s3 {
                        if cache.attribute(name).is_none() {
                            cache.set(name, value.expose());
                        }
                    }
                }
                _ => {}
            }
        }
    }
}

/// Adds the platforms of a build to the names of the caches that it writes, since several builders write at the same
/// time. It also reads those caches, before the given ones.
pub fn divide(build: &mut Build) {
    let suffix = build.platforms.iter().flat_map(|platform| ["-", platform]).collect::<String>().replace('/', "-");
    for cache in &mut build.cache_to {
        name(cache, &suffix);
    }
    let mut own = build.cache_from.clone();
    own.retain_mut(|cache| name(cache, &suffix));
    build.cache_from.splice(0..0, own);
}

/// Adds a suffix to the name of a cache. Returns false if it has none.
fn name(cache: &mut Cache, suffix: &str) -> bool {
    let attribute = match cache.kind.as_str() {
        "registry" => "ref",
        "gha" => "scope",
        "s3" | "azblob" => "name",
        _ => return false,
    };
    let Some(found) = cache.attributes.iter_mut().find(|(known, _)| known == attribute) else {
        // BuildKit's default name.
        cache.attributes.push((attribute.to_owned(), format!("buildkit{suffix}")));
        return true;
    };
    // A reference without a tag gets the default tag first.
    let tagged = attribute != "ref" || found.1.rsplit('/').next().is_some_and(|last| last.contains(':'));
    found.1.push_str(if tagged { "" } else { ":latest" });
    found.1.push_str(suffix);
    true
}

/// The warning about a cache step that failed while the build continued; `None` if the cache does not exist yet.
pub fn failed(image: &str, step: CacheStep, error: &str) -> Option<Event> {
    let lower = error.to_ascii_lowercase();
    let absent = ["not found", "manifest unknown", "name unknown"].iter().any(|sign| lower.contains(sign));
    let what = match step {
        CacheStep::Import if absent => return None,
        CacheStep::Import => "could not be read",
        CacheStep::Export => "could not be written",
    };
    Some(warning(format!("{image}: the build cache {what}: {error}")))
}

/// The warning about a build that continues without caches, since they made it fail.
pub fn refused(image: &str, error: &str) -> Event {
    warning(format!("{image}: built without build caches, because they failed: {error}"))
}

/// The warning about caches whose type the builder does not support.
pub fn unsupported(image: &str, removed: &[Cache]) -> Event {
    let mut names: Vec<&str> = removed.iter().map(|cache| cache.kind.as_str()).collect();
    names.dedup();
    warning(format!(
        "{image}: the builder does not support caches of type {}, so they are not used; set `builder: container` to use them",
        names.join(", ")
    ))
}

/// A warning about caches.
pub fn warning(message: String) -> Event {
    let title = "build cache".to_owned();
    Event::Diagnostic(Diagnostic { severity: Severity::Warning, title, message, place: None })
}

#[cfg(test)]
mod tests {
    use super::{CacheCredentials, CacheStep, failed};
    use crate::{
        buildkit::{Build, build::Cache},
        domain::secret::Secret,
        inputs::cache::{CacheAccess, CacheService, cache_spec},
    };

    fn cache(text: &str) -> Cache {
        let spec = cache_spec(text).unwrap();
        Cache { kind: spec.kind, attributes: spec.attributes }
    }

    #[test]
    fn nodes_do_not_write_the_same_cache() {
        let mut build = Build {
            platforms: vec!["linux/arm64".into()],
            cache_from: vec![cache("r/x:buildcache"), cache("type=gha,scope=x")],
            cache_to: vec![
                cache("type=registry,ref=r:5000/x,mode=max"),
                cache("type=inline"),
                cache("type=s3,bucket=b"),
            ],
            ..Build::default()
        };
        super::divide(&mut build);
        assert_eq!(
            build.cache_from,
            [
                "type=registry,ref=r/x:buildcache-linux-arm64",
                "type=gha,scope=x-linux-arm64",
                "type=registry,ref=r/x:buildcache",
                "type=gha,scope=x",
            ]
            .map(cache)
        );
        assert_eq!(
            build.cache_to,
            [
                "type=registry,ref=r:5000/x:latest-linux-arm64,mode=max",
                "type=inline",
                "type=s3,bucket=b,name=buildkit-linux-arm64",
            ]
            .map(cache)
        );
    }

    #[test]
    fn a_cache_that_does_not_exist_yet_is_no_warning() {
        assert_eq!(failed("a", CacheStep::Import, "r/x:buildcache: not found"), None);
        assert_eq!(failed("a", CacheStep::Import, "https://r/v2/x/manifests/c: 404 Not Found"), None);
        assert!(failed("a", CacheStep::Import, "500 Internal Server Error").is_some());
        assert!(failed("a", CacheStep::Import, "dial tcp 10.0.0.1:44045: connection refused").is_some());
        assert!(failed("a", CacheStep::Export, "404 Not Found").is_some());
    }

    #[test]
    fn caches_get_the_credentials_that_they_lack() {
        let service = CacheService {
            url: "https://results.example/".into(),
            token: Secret::new("t0ken"),
            access: CacheAccess::Full,
        };
        let credentials = CacheCredentials { github: Some(service), s3: vec![("access_key_id", Secret::new("AKIA"))] };
        let mut build = Build {
            cache_from: vec![
                cache("type=gha,scope=a,url=u,url_v2=u,version=1"),
                cache("type=gha,token=own,url=u"),
                cache("r/x:c"),
            ],
            cache_to: vec![cache("type=s3,bucket=b"), cache("type=s3,bucket=b,access_key_id=own")],
            ..Build::default()
        };
        credentials.add_to(&mut build);
        let has = |cache: &Cache, name: &str| cache.attribute(name).map(str::to_owned);
        assert_eq!(has(&build.cache_from[0], "url_v2").as_deref(), Some("https://results.example/"));
        assert_eq!(has(&build.cache_from[0], "token").as_deref(), Some("t0ken"));
        assert_eq!(has(&build.cache_from[0], "url"), None, "an address of the compose file gets no token");
        assert_eq!(has(&build.cache_from[0], "version").as_deref(), Some("2"));
        assert_eq!(has(&build.cache_from[1], "token").as_deref(), Some("own"));
        assert_eq!(has(&build.cache_from[1], "version"), None);
        assert_eq!(build.cache_from[2], cache("r/x:c"));
        assert_eq!(has(&build.cache_to[0], "access_key_id").as_deref(), Some("AKIA"));
        assert_eq!(has(&build.cache_to[1], "access_key_id").as_deref(), Some("own"));
    }
}

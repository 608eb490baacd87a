//! What a build says of its caches, none of which may fail it; and the credentials that they take. Pure.

use crate::{
    domain::{
        diagnostic::{Diagnostic, Severity},
        event::Event,
        secret::Secret,
    },
    inputs::{cache::CacheService, typed::CacheSpec},
};

use super::recipe::Recipe;

/// What opens the caches that are kept neither in a registry nor in the builder.
#[derive(Clone, Debug, Default)]
pub struct Accounts {
    /// GitHub's cache service.
    pub github: Option<CacheService>,
    /// Attributes of `type=s3` from the usual variables, as buildx takes them.
    pub s3: Vec<(&'static str, Secret)>,
}

impl Accounts {
    /// Gives the caches of a recipe what opens them; what they bring themselves is kept.
    pub fn open(&self, recipe: &mut Recipe) {
        for cache in recipe.cache_from.iter_mut().chain(&mut recipe.cache_to) {
            match (cache.kind.as_str(), &self.github) {
                ("gha", Some(service)) if cache.attribute("token").is_none() => {
                    set(cache, "token", service.token.expose());
                    set(cache, "url_v2", &service.url);
                    set(cache, "version", "2");
                }
                ("s3", _) if cache.attribute("access_key_id").is_none() => {
                    for (name, value) in &self.s3 {
                        if cache.attribute(name).is_none() {
                            set(cache, name, value.expose());
                        }
                    }
                }
                _ => {}
            }
        }
    }
}

fn set(cache: &mut CacheSpec, name: &str, value: &str) {
    cache.attributes.retain(|(known, _)| known != name);
    cache.attributes.push((name.to_owned(), value.to_owned()));
}

/// Gives a share of an image caches of its own, for builders that write at the same time: each cache that is written is
/// named after the platforms too, and is read before those that are given.
pub fn divide(recipe: &mut Recipe) {
    let suffix = recipe.platforms.iter().flat_map(|platform| ["-", platform]).collect::<String>().replace('/', "-");
    for cache in &mut recipe.cache_to {
        name(cache, &suffix);
    }
    let mut own = recipe.cache_from.clone();
    own.retain_mut(|cache| name(cache, &suffix));
    recipe.cache_from.splice(0..0, own);
}

/// Adds to the name of a cache; false if it has none.
fn name(cache: &mut CacheSpec, suffix: &str) -> bool {
    let attribute = match cache.kind.as_str() {
        "registry" => "ref",
        "gha" => "scope",
        "s3" | "azblob" => "name",
        _ => return false,
    };
    let Some(found) = cache.attributes.iter_mut().find(|(known, _)| known == attribute) else {
        // BuildKit's own name for those that are given none.
        cache.attributes.push((attribute.to_owned(), format!("buildkit{suffix}")));
        return true;
    };
    // A reference without a tag gets one.
    let tagged = attribute != "ref" || found.1.rsplit('/').next().is_some_and(|last| last.contains(':'));
    found.1.push_str(if tagged { "" } else { ":latest" });
    found.1.push_str(suffix);
    true
}

/// A step of a build that is about a cache.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CacheStep {
    /// It is read.
    Import,
    /// It is written.
    Export,
}

/// How BuildKit begins the names of such steps
/// (<https://github.com/moby/buildkit/tree/master/cache/remotecache>, `Name()` of each).
const EXPORTS: [&str; 2] = ["exporting cache to ", "exporting to GitHub Actions Cache"];
const IMPORT: &str = "importing cache manifest from ";

/// What BuildKit reports, without an error, of a cache that it wrote nothing to: no step had a result to keep
/// (<https://github.com/moby/buildkit/blob/master/cache/remotecache/export.go>).
pub const NOTHING_TO_EXPORT: &str = "skipping cache export for empty result";

/// Whether a step of this name is about a cache.
pub fn step(name: &str) -> Option<CacheStep> {
    if name.starts_with(IMPORT) {
        return Some(CacheStep::Import);
    }
    EXPORTS.iter().any(|prefix| name.starts_with(prefix)).then_some(CacheStep::Export)
}

/// The warning about a cache step that failed while the build went on. A cache that is not there yet is none.
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

/// What is said of a cache that did not answer, before the time.
pub const SILENT: &str = ": no answer within";

/// Whether a build failed only because of how its caches are given.
pub fn is_about(error: &str) -> bool {
    let words = ["cache exporter", "cache importer", "duplicate cache export"];
    // A daemon that waits to read one can do nothing else.
    words.iter().any(|words| error.contains(words))
        || (error.contains(SILENT) && step(error) == Some(CacheStep::Export))
}

/// The warning about caches that the builder does not take at all.
pub fn refused(image: &str, error: &str) -> Event {
    warning(format!("{image}: built without its build cache: {error}"))
}

/// The warning about caches of which the builder knows nothing.
pub fn unable(image: &str, left_out: &[CacheSpec]) -> Event {
    let mut names: Vec<&str> = left_out.iter().map(|cache| cache.kind.as_str()).collect();
    names.dedup();
    warning(format!(
        "{image}: this builder has no caches of type {}, they are left out; with `builder: container` they are used",
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
    use super::{Accounts, CacheStep, failed, is_about, step};
    use crate::{
        builder::recipe::Recipe,
        domain::secret::Secret,
        inputs::{
            cache::{CacheAccess, CacheService, cache_spec},
            typed::CacheSpec,
        },
    };

    #[test]
    fn shares_do_not_write_the_same_cache() {
        let spec = |text: &str| cache_spec(text).unwrap();
        let mut recipe = Recipe {
            platforms: vec!["linux/arm64".into()],
            cache_from: vec![spec("r/x:buildcache"), spec("type=gha,scope=x")],
            cache_to: vec![spec("type=registry,ref=r:5000/x,mode=max"), spec("type=inline"), spec("type=s3,bucket=b")],
            ..Recipe::default()
        };
        super::divide(&mut recipe);
        let shown = |list: &[CacheSpec]| list.iter().map(ToString::to_string).collect::<Vec<_>>();
        assert_eq!(
            shown(&recipe.cache_from),
            [
                "type=registry,ref=r/x:buildcache-linux-arm64",
                "type=gha,scope=x-linux-arm64",
                "type=registry,ref=r/x:buildcache",
                "type=gha,scope=x",
            ]
        );
        assert_eq!(
            shown(&recipe.cache_to),
            [
                "type=registry,ref=r:5000/x:latest-linux-arm64,mode=max",
                "type=inline",
                "type=s3,bucket=b,name=buildkit-linux-arm64",
            ]
        );
    }

    #[test]
    fn knows_the_steps() {
        assert_eq!(step("importing cache manifest from r/x:buildcache"), Some(CacheStep::Import));
        assert_eq!(step("exporting cache to registry"), Some(CacheStep::Export));
        assert_eq!(step("exporting to GitHub Actions Cache"), Some(CacheStep::Export));
        assert_eq!([step("exporting to image"), step("[2/3] RUN x")], [None; 2]);
    }

    #[test]
    fn a_cache_that_is_not_there_yet_is_no_warning() {
        assert_eq!(failed("a", CacheStep::Import, "r/x:buildcache: not found"), None);
        assert_eq!(failed("a", CacheStep::Import, "https://r/v2/x/manifests/c: 404 Not Found"), None);
        assert!(failed("a", CacheStep::Import, "500 Internal Server Error").is_some());
        assert!(failed("a", CacheStep::Import, "dial tcp 10.0.0.1:44045: connection refused").is_some());
        assert!(failed("a", CacheStep::Export, "404 Not Found").is_some());
        assert!(is_about("failed to configure gha cache exporter: cache token expired"));
        assert!(is_about("unknown cache exporter: \"s3\"") && !is_about("failed to push r/x"));
    }

    #[test]
    fn caches_get_what_opens_them() {
        let spec = |text: &str| cache_spec(text).unwrap();
        let service = CacheService {
            url: "https://results.example/".into(),
            token: Secret::new("t0ken"),
            access: CacheAccess::Full,
        };
        let accounts = Accounts { github: Some(service), s3: vec![("access_key_id", Secret::new("AKIA"))] };
        let mut recipe = Recipe {
            cache_from: vec![spec("type=gha,scope=a"), spec("type=gha,token=own,url=u"), spec("r/x:c")],
            cache_to: vec![spec("type=s3,bucket=b"), spec("type=s3,bucket=b,access_key_id=own")],
            ..Recipe::default()
        };
        accounts.open(&mut recipe);
        let has = |cache: &CacheSpec, name: &str| cache.attribute(name).map(str::to_owned);
        assert_eq!(has(&recipe.cache_from[0], "url_v2").as_deref(), Some("https://results.example/"));
        assert_eq!(has(&recipe.cache_from[0], "token").as_deref(), Some("t0ken"));
        assert_eq!(has(&recipe.cache_from[1], "token").as_deref(), Some("own"));
        assert_eq!(has(&recipe.cache_from[1], "version"), None);
        assert_eq!(recipe.cache_from[2], spec("r/x:c"));
        assert_eq!(has(&recipe.cache_to[0], "access_key_id").as_deref(), Some("AKIA"));
        assert_eq!(has(&recipe.cache_to[1], "access_key_id").as_deref(), Some("own"));
    }
}

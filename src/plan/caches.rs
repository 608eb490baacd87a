//! Decides which build caches an image reads and writes. Pure.
//!
//! GitHub scopes caches by branch: a run can read the caches of its own ref, of the base branch of a pull request and of
//! the default branch, and writes only to its own ref. BuildKit keeps one index per ref and reads all of them, so a single
//! scope per image falls back from branch to base to default
//! (<https://github.com/moby/buildkit/blob/master/cache/remotecache/gha/gha.go>).

use std::collections::HashSet;

use super::{
    PushPlan,
    images::{ImageSpec, Purpose},
};
use crate::{
    compose::Access,
    domain::{
        git_event::{GitEvent, GitRef},
        repository::Repository,
        tag::Tag,
    },
    inputs::{
        cache::{CacheAccess, CacheSpec},
        typed::{Cache, Inputs, Push},
    },
};

/// Who requested an image's caches.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Origin {
    /// The user.
    #[default]
    Asked,
    /// `cache: auto`: the caches are used only if the builder supports them.
    Offered,
}

/// The caches of one image.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Caches {
    pub(super) from: Vec<CacheSpec>,
    pub(super) to: Vec<CacheSpec>,
    pub(super) origin: Origin,
}

/// Messages about caches that are not used as configured. Each is recorded once per run.
#[derive(Debug, Default)]
pub(super) struct Remarks {
    /// Expected behavior.
    pub(super) notices: Vec<String>,
    /// Deviations from the inputs.
    pub(super) warnings: Vec<String>,
}

impl Remarks {
    pub(super) fn notice(&mut self, text: &str) {
        remember(&mut self.notices, text);
    }

    pub(super) fn warn(&mut self, text: &str) {
        remember(&mut self.warnings, text);
    }
}

fn remember(list: &mut Vec<String>, text: &str) {
    if !list.iter().any(|known| known == text) {
        list.push(text.to_owned());
    }
}

/// Longest total time that a build waits for GitHub's cache service when it rate-limits requests.
const GHA_TIMEOUT: &str = "2m";

/// Returns the caches to read and to write: those of the image, or else those of the inputs, or else those that `cache`
/// implies. `version` is the image's first tag.
pub(super) fn caches(
    spec: &ImageSpec,
    inputs: &Inputs,
    event: &GitEvent,
    push: &PushPlan,
    (repository, version): (&Repository, &str),
    remarks: &mut Remarks,
) -> Caches {
    let registry = |tag: &str| of_kind("registry", &[("ref", &format!("{repository}:{tag}"))]);
    let may_write = !event.is_fork_pr && !inputs.github.dry_run;
    // Nor does a pull request overwrite the cache of its base branch.
    let writes = may_write && (push.enabled || (inputs.registry.push == Push::Never && !event.is_trial()));
    let kind = inputs.registry.caches.kind;
    let (default_from, default_to) = match kind {
        // An image that is only a context for others is not exported, and neither is its cache.
        _ if spec.purpose == Purpose::Context => (Vec::new(), None),
        Cache::Off => (Vec::new(), None),
        Cache::Auto if inputs.registry.caches.service.is_none() => (Vec::new(), None),
        // No other run can read a cache that was written for a tag or a merge group.
        Cache::Auto | Cache::Gha => {
            let lasting = !matches!(event.git_ref, GitRef::Tag(_) | GitRef::MergeGroup(_));
            (vec![of_kind("gha", &[])], lasting.then(|| of_kind("gha", &[("mode", "max")])))
        }
        Cache::Registry => {
            if event.is_fork_pr {
                remarks.notice("the registry cache is not written, because pull requests from forks have no permission to write it");
            }
            let mut to = registry("buildcache");
            to.attributes.push(("mode".to_owned(), "max".to_owned()));
            (vec![registry("buildcache")], writes.then_some(to))
        }
        Cache::Inline => {
            // An inline cache is part of a pushed image: read the previous image of this tag and those of the base branches.
            let branches = [&event.base_branch, &event.default_branch].into_iter().flatten();
            let mut tags = vec![version.to_owned()];
            tags.extend(branches.map(|branch| Tag::repaired(branch).to_string()));
            let mut known = HashSet::new();
            tags.retain(|tag| !tag.is_empty() && known.insert(tag.clone()));
            (tags.iter().map(|tag| registry(tag)).collect(), Some(of_kind("inline", &[])))
        }
    };
    let first = |lists: [&Vec<CacheSpec>; 2]| lists.into_iter().find(|list| !list.is_empty()).cloned();
    let from = first([&spec.cache_from, &inputs.registry.caches.from]);
    let mut to = first([&spec.cache_to, &inputs.registry.caches.to]);
    if let Some(caches) = to.as_mut().filter(|_| !writes && !inputs.github.dry_run) {
        // Without a push, caches that the compose file names are not written; only inputs can change that.
        let lasting = |cache: &CacheSpec| !matches!(cache.kind.as_str(), "gha" | "inline");
        let of_checkout = |cache: &CacheSpec| {
            spec.cache_to.contains(cache) && !spec.of_inputs.contains(&Access::CacheTo(cache.to_string()))
        };
        let before = caches.len();
        caches.retain(|cache| !lasting(cache) || !of_checkout(cache));
        if caches.len() < before {
            remarks.notice(&format!("the caches of the compose file are not written: {}", push.reason));
        }
    }
    let origin = if kind == Cache::Auto && from.is_none() && to.is_none() { Origin::Offered } else { Origin::Asked };
    // Setting only one of `cache-from` and `cache-to` disables `auto` for the other.
    let offered = origin == Origin::Offered || kind != Cache::Auto;
    let mut caches = Caches {
        from: from.unwrap_or_else(|| if offered { default_from } else { Vec::new() }),
        to: to.unwrap_or_else(|| default_to.filter(|_| offered).into_iter().collect()),
        origin,
    };
    if inputs.github.dry_run {
        caches.to.retain(|cache| cache.kind == "inline");
    }
    github(&mut caches, &scope(spec, repository, event), inputs, event, remarks);
    if asks_for_inline(spec) && !caches.to.iter().any(|cache| cache.kind == "inline") {
        caches.to.push(of_kind("inline", &[]));
    }
    for cache in caches.to.iter_mut().filter(|cache| cache.kind != "inline") {
        set_default(cache, "ignore-error", "true");
    }
    caches
}

/// Whether the build argument `BUILDKIT_INLINE_CACHE`, which BuildKit leaves to its clients, is true by Go's rules
/// (<https://docs.docker.com/reference/dockerfile/#buildkit-built-in-build-args>).
fn asks_for_inline(spec: &ImageSpec) -> bool {
    let yes = |value: &str| matches!(value, "1" | "t" | "T" | "true" | "True" | "TRUE");
    spec.purpose == Purpose::Wanted
        && spec.build.args.iter().any(|(name, value)| name == "BUILDKIT_INLINE_CACHE" && yes(value))
}

/// Completes the attributes of caches in GitHub's service and removes those that the job may not access.
fn github(caches: &mut Caches, scope: &str, inputs: &Inputs, event: &GitEvent, remarks: &mut Remarks) {
    // A cache with its own token is left unchanged.
    let ours = |cache: &CacheSpec| cache.kind == "gha" && cache.attribute("token").is_none();
    let access = inputs.registry.caches.service.as_ref().map(|service| service.access);
    let usable = access.unwrap_or(CacheAccess::None);
    let (reads, writes) = (caches.from.iter().any(ours), caches.to.iter().any(ours));
    match access {
        None if reads || writes => remarks.warn(
            "GitHub's cache service is not there (a GitHub Enterprise Server, or no action's environment): the caches of \
             `type=gha` are left out",
        ),
        Some(_) if writes && !usable.writes() => remarks.notice(&format!(
            "the build cache is not written: GitHub lets a run for the event `{}` only {} it",
            event.name,
            if usable.reads() { "read" } else { "do without" }
        )),
        Some(_) | None => {}
    }
    caches.from.retain(|cache| !ours(cache) || usable.reads());
    caches.to.retain(|cache| !ours(cache) || usable.writes());
    for cache in caches.from.iter_mut().chain(&mut caches.to).filter(|cache| ours(cache)) {
        set_default(cache, "scope", scope);
        set_default(cache, "timeout", GHA_TIMEOUT);
    }
}

/// Returns the name of an image's caches within the Git repository: its path in the registry without the common prefix,
/// and its platforms, since the jobs of a matrix would otherwise overwrite each other's caches.
fn scope(spec: &ImageSpec, repository: &Repository, event: &GitEvent) -> String {
    let whole = repository.to_string();
    let path = whole.split_once('/').map_or(whole.as_str(), |(_, path)| path);
    let prefix = format!("{}/{}/", event.owner, event.repo).to_ascii_lowercase();
    let name = path.strip_prefix(&prefix).unwrap_or(path);
    let platforms = spec.build.platforms.iter().flat_map(|platform| ["-", platform]);
    std::iter::once(name).chain(platforms).collect::<String>().replace('/', "-")
}

fn of_kind(kind: &str, attributes: &[(&str, &str)]) -> CacheSpec {
    let owned = |(key, value): &(&str, &str)| ((*key).to_owned(), (*value).to_owned());
    CacheSpec { kind: kind.to_owned(), attributes: attributes.iter().map(owned).collect() }
}

fn set_default(cache: &mut CacheSpec, name: &str, value: &str) {
    if cache.attribute(name).is_none() {
        cache.attributes.push((name.to_owned(), value.to_owned()));
    }
}

#[cfg(test)]
mod tests {
    use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};

    use crate::{
        domain::git_event::{GitEvent, GitRef},
        inputs::{cache::cache_spec, cli::RawInputs, parse, runner::RunnerEnv, typed::Inputs},
        plan::{Found, Known, Plan, images, naming::Project},
        tags::GitTags,
    };

    /// A push to `main`.
    fn push() -> GitEvent {
        GitEvent {
            name: "push".into(),
            git_ref: GitRef::Branch("main".into()),
            owner: "O".into(),
            repo: "r".into(),
            ..GitEvent::default()
        }
    }

    /// Parses the inputs for a single Dockerfile, in a job with GitHub's cache service and these variables.
    fn found(written: &[(&str, &str)], more: &[(&str, &str)]) -> (Inputs, Found) {
        let part = |text: &str| URL_SAFE_NO_PAD.encode(text);
        let claims = r#"{"ac":"[{\"Scope\":\"refs/heads/main\",\"Permission\":3}]","nbf":1,"exp":2}"#;
        let token = format!("{}.{}.c2ln", part(r#"{"alg":"RS256"}"#), part(claims));
        let mut env = vec![("ACTIONS_RESULTS_URL", "https://results.example/"), ("ACTIONS_RUNTIME_TOKEN", &token)];
        env.extend_from_slice(more);
        let mut raw = RawInputs::default();
        for (name, value) in [("tags", "x")].iter().chain(written) {
            raw.set(name, value).unwrap();
        }
        let inputs = parse::parse(&raw, &RunnerEnv::new(env)).unwrap();
        let images = images::images(None, &inputs.project, &inputs.build, "site").unwrap();
        (
            inputs,
            Found {
                images,
                project: Project::LoneDockerfile,
                warnings: Vec::new(),
                notices: Vec::new(),
                targets: Vec::new(),
            },
        )
    }

    fn plan(written: &[(&str, &str)], more: &[(&str, &str)], event: &GitEvent) -> Plan {
        let (inputs, found) = found(written, more);
        Plan::new(&inputs, Known { event, git_tags: GitTags::Unasked, now: chrono::DateTime::UNIX_EPOCH }, found)
            .unwrap()
    }

    /// The caches that are read and written, as text.
    fn caches(plan: &Plan) -> (String, String) {
        let shown = |list: &[super::CacheSpec]| list.iter().map(ToString::to_string).collect::<Vec<_>>().join(" ");
        (shown(&plan.images[0].cache_from), shown(&plan.images[0].cache_to))
    }

    const READ: &str = "type=gha,scope=o-r,timeout=2m";
    const WRITTEN: &str = "type=gha,mode=max,scope=o-r,timeout=2m,ignore-error=true";

    fn both(from: &str, to: &str) -> (String, String) {
        (from.to_owned(), to.to_owned())
    }

    #[test]
    fn auto_and_gha_use_the_service() {
        for cache in ["auto", "gha"] {
            assert_eq!(caches(&plan(&[("cache", cache)], &[], &push())), both(READ, WRITTEN));
        }
        assert_eq!(caches(&plan(&[("cache", "off")], &[], &push())), both("", ""));
        let without = [("ACTIONS_RESULTS_URL", "")];
        assert_eq!(caches(&plan(&[], &without, &push())), both("", ""), "nothing was asked for");
        assert!(plan(&[], &without, &push()).warnings.is_empty());
        let asked = plan(&[("cache", "gha")], &without, &push());
        assert_eq!((caches(&asked), asked.warnings.len()), (both("", ""), 1));
        let matrix = plan(&[("platforms", "linux/arm64")], &[], &push());
        assert!(caches(&matrix).0.contains("scope=o-r-linux-arm64,"), "{:?}", caches(&matrix));
        let named = plan(&[("image-name", "{registry}/{owner}/{repo}/web/site")], &[], &push());
        assert!(caches(&named).0.contains("scope=web-site,"), "{:?}", caches(&named));
    }

    #[test]
    fn what_nobody_could_read_is_not_written() {
        for git_ref in [GitRef::Tag("v1".into()), GitRef::MergeGroup(7)] {
            let event = GitEvent { git_ref, ..push() };
            assert_eq!(caches(&plan(&[], &[], &event)), both(READ, ""));
        }
        let pull_request = GitEvent { git_ref: GitRef::PullRequest(7), ..push() };
        assert_eq!(caches(&plan(&[], &[], &pull_request)), both(READ, WRITTEN), "its own later runs read it");
        assert_eq!(caches(&plan(&[("dry-run", "true")], &[], &push())), both(READ, ""));
    }

    #[test]
    fn the_registrys_cache_is_written_by_what_may_push() {
        let registry = |more: &[(&str, &str)], event: &GitEvent| {
            let plan = plan(&[&[("cache", "registry")], more].concat(), &[], event);
            (caches(&plan).1, plan.notices.len())
        };
        let to = "type=registry,ref=ghcr.io/o/r:buildcache,mode=max,ignore-error=true".to_owned();
        let pull_request = GitEvent { git_ref: GitRef::PullRequest(7), ..push() };
        let fork = GitEvent { is_fork_pr: true, ..pull_request.clone() };
        assert_eq!(registry(&[], &push()), (to.clone(), 0));
        assert_eq!(registry(&[("push", "false")], &push()), (to.clone(), 0));
        assert_eq!(registry(&[("push", "true")], &pull_request), (to, 0));
        assert_eq!(registry(&[], &pull_request), (String::new(), 0));
        assert_eq!(registry(&[], &fork), (String::new(), 1));
        assert_eq!(registry(&[("dry-run", "true")], &push()), (String::new(), 0));
    }

    #[test]
    fn only_inputs_let_a_pull_request_write_into_a_registry() {
        let of_file = ["type=registry,ref=ghcr.io/o/r:c", "type=inline", "type=gha,scope=x"];
        let planned = |written: &[(&str, &str)], event: &GitEvent| {
            let (inputs, found) = found(written, &[]);
            let mut images = found.images;
            images[0].cache_to = of_file.iter().map(|text| cache_spec(text).unwrap()).collect();
            let found = Found { images, ..found };
            Plan::new(&inputs, Known { event, git_tags: GitTags::Unasked, now: chrono::DateTime::UNIX_EPOCH }, found)
                .unwrap()
        };
        let pull_request = GitEvent { name: "pull_request".into(), git_ref: GitRef::PullRequest(7), ..push() };
        let fork = GitEvent { is_fork_pr: true, ..pull_request.clone() };
        let merge_group = GitEvent { name: "merge_group".into(), git_ref: GitRef::MergeGroup(7), ..push() };
        for event in [&pull_request, &fork, &merge_group] {
            let plan = planned(&[], event);
            assert!(!caches(&plan).1.contains("registry") && caches(&plan).1.contains("inline"), "{:?}", caches(&plan));
            assert!(plan.notices.iter().any(|notice| notice.contains("are not written")), "{:?}", plan.notices);
        }
        assert!(caches(&planned(&[], &push())).1.contains("registry"));
        assert!(caches(&planned(&[("push", "true")], &pull_request)).1.contains("registry"), "an input says so");
        assert!(!caches(&planned(&[("dry-run", "true")], &push())).1.contains("registry"));
        let named = [("cache-to", of_file[0])];
        assert!(caches(&plan(&named, &[], &pull_request)).1.contains("registry"), "so does this one");
    }

    #[test]
    fn what_lies_in_images_is_read_from_the_branch_and_those_before_it() {
        let read = |tags: &str, event: &GitEvent| caches(&plan(&[("cache", "inline"), ("tags", tags)], &[], event)).0;
        let of = |tags: &[&str]| {
            let specs = tags.iter().map(|tag| format!("type=registry,ref=ghcr.io/o/r:{tag}"));
            specs.collect::<Vec<_>>().join(" ")
        };
        let main = GitEvent { default_branch: Some("main".into()), ..push() };
        let request = GitEvent {
            git_ref: GitRef::PullRequest(7),
            base_branch: Some("release/1".into()),
            reference: "refs/pull/7/merge".into(),
            ..main.clone()
        };
        assert_eq!(read("main", &main), of(&["main"]));
        assert_eq!(read("type=ref,event=pr", &request), of(&["pr-7", "release-1", "main"]));
        assert_eq!(
            read("type=ref,event=branch", &request),
            of(&["release-1", "main"]),
            "nothing to push is no mistake"
        );
    }

    #[test]
    fn what_the_user_writes_is_completed() {
        let written =
            [("cache-from", "type=gha\nr.example/x:c"), ("cache-to", "type=gha,scope=mine,ignore-error=false")];
        let want = both(
            "type=gha,scope=o-r,timeout=2m type=registry,ref=r.example/x:c",
            "type=gha,scope=mine,ignore-error=false,timeout=2m",
        );
        assert_eq!(caches(&plan(&written, &[], &push())), want);
        let one = plan(&[("cache-from", "r.example/x:c")], &[], &push());
        assert_eq!(caches(&one), both("type=registry,ref=r.example/x:c", ""), "one of the two replaces `auto`");
        let own =
            plan(&[("cache-to", "type=gha,token=hunter2,url_v2=https://x")], &[("ACTIONS_RESULTS_URL", "")], &push());
        assert_eq!(caches(&own).1, "type=gha,token=***,url_v2=https://x,ignore-error=true");
        assert!(!serde_json::to_string(&own).unwrap().contains("hunter2"));
    }

    #[test]
    fn the_build_argument_for_an_inline_cache_is_followed() {
        let to = |args: &str, more: &[(&str, &str)]| {
            caches(&plan(&[&[("build-args", args)], more].concat(), &[], &push())).1
        };
        assert_eq!(to("BUILDKIT_INLINE_CACHE=1", &[]), format!("{WRITTEN} type=inline"));
        for (args, cache, want) in [
            ("BUILDKIT_INLINE_CACHE=True", "off", "type=inline"),
            ("BUILDKIT_INLINE_CACHE=1", "inline", "type=inline"),
            ("BUILDKIT_INLINE_CACHE=0", "off", ""),
            ("BUILDKIT_INLINE_CACHE=", "off", ""),
        ] {
            assert_eq!(to(args, &[("cache", cache)]), want, "{args}, {cache}");
        }
    }

    #[test]
    fn a_run_that_may_not_write_is_told_once() {
        let read = plan(&[], &[("ACTIONS_CACHE_MODE", "read")], &push());
        assert_eq!((caches(&read), read.notices.len()), (both(READ, ""), 1));
        let none = plan(&[], &[("ACTIONS_CACHE_MODE", "none")], &push());
        assert_eq!((caches(&none), none.notices.len()), (both("", ""), 1));
    }

    #[test]
    fn the_builder_follows_from_what_is_asked_for() {
        let kind = |written: &[(&str, &str)]| plan(written, &[], &push()).builder;
        assert_eq!(kind(&[]).kind, "engine", "what is only offered asks for nothing");
        assert_eq!(kind(&[("platforms", "linux/arm64")]).kind, "engine");
        let two = kind(&[("platforms", "linux/amd64,linux/arm64")]);
        assert_eq!((two.kind, two.reason.ends_with("site is built for 2 platforms")), ("auto", true));
        assert!(kind(&[("cache", "gha")]).reason.ends_with("site writes a cache of type gha"));
        assert_eq!(kind(&[("cache", "inline")]).kind, "engine");
        assert_eq!(kind(&[("builder", "container")]).kind, "container");
        let ends = kind(&[("builder", "tcp://a platform=linux/amd64\nunix:///b")]);
        assert_eq!((ends.kind, ends.reason.as_str()), ("endpoints", "tcp://a:1234, unix:///b"));
    }
}

//! Tables of compose files and inputs, and the resulting images.

use super::{ImageSpec, ImagesError, Purpose, images};
use crate::{
    compose::{ContextSource, Files, Project, Request, SecretSource, join, load},
    domain::secret::Secret,
    inputs::{
        images,
        runner::RunnerEnv,
        typed::{Allow, BuildInputs, Compression, LoneInput, NoCache, ProjectInputs},
    },
    tags::language::Dialect,
};

struct One<'a>(&'a str);

impl Files for One<'_> {
    fn read(&self, path: &str) -> Result<Option<Vec<u8>>, String> {
        Ok((path == "compose.yaml").then(|| self.0.as_bytes().to_vec()))
    }
}

fn project(text: &str) -> Project {
    load(&Request { default_name: "demo".into(), ..Request::default() }, &One(text)).unwrap()
}

fn build_inputs() -> BuildInputs {
    BuildInputs {
        args: Vec::new(),
        contexts: Vec::new(),
        secrets: Vec::new(),
        secret_files: Vec::new(),
        target: None,
        platforms: Vec::new(),
        network: None,
        add_hosts: Vec::new(),
        shm_size: None,
        ulimits: Vec::new(),
        cgroup_parent: None,
        no_cache: NoCache::Nothing,
        pull: false,
        allow: Allow::default(),
        check: true,
        ssh: Vec::new(),
        provenance: None,
        sbom: None,
        compression: Compression::default(),
    }
}

/// The images of a project with the inputs `services` and `images`.
fn plan(text: &str, services: &[&str], override_yaml: &str) -> Result<Vec<ImageSpec>, ImagesError> {
    let inputs = ProjectInputs {
        working_directory: ".".into(),
        lone: None,
        compose_files: Vec::new(),
        profiles: Vec::new(),
        services: services.iter().map(|s| (*s).to_owned()).collect(),
        images: if override_yaml.is_empty() {
            Vec::new()
        } else {
            images::images(override_yaml, &RunnerEnv::default(), Dialect::Repaired).unwrap()
        },
        env_files: Vec::new(),
    };
    let project = (!text.is_empty()).then(|| project(text));
    images(project.as_ref(), &inputs, &build_inputs(), "repo")
}

/// Formats images as `name(service,service)`, separated by spaces; `-` precedes images that are only contexts.
fn shape(specs: &[ImageSpec]) -> String {
    let one = |spec: &ImageSpec| {
        let mark = if spec.purpose == Purpose::Context { "-" } else { "" };
        format!("{mark}{}({})", spec.name, spec.services.join(","))
    };
    specs.iter().map(one).collect::<Vec<_>>().join(" ")
}

const DJANGO: &str = "
services:
  django: &django
    build: {context: ., dockerfile: ./compose/production/django/Dockerfile}
    image: proj_production_django
  celeryworker: {<<: *django, image: proj_production_celeryworker}
  celerybeat: {<<: *django, image: proj_production_celerybeat}
  postgres: {build: {context: ., dockerfile: ./compose/production/postgres/Dockerfile}}
  redis: {image: 'redis:7'}
  docs: {profiles: [docs], build: {context: ., dockerfile: compose/local/docs/Dockerfile}}
";

#[test]
fn services_that_build_the_same_are_one_image() {
    let one = "django(django,celeryworker,celerybeat)";
    for (services, want) in [
        (vec![], format!("{one} postgres(postgres)")),
        (vec!["celery*"], one.to_owned()),
        (vec!["*"], format!("{one} postgres(postgres)")),
        (vec!["docs"], "docs(docs)".to_owned()),
        (vec!["postgres", "django"], format!("{one} postgres(postgres)")),
    ] {
        assert_eq!(plan(DJANGO, &services, "").map(|specs| shape(&specs)), Ok(want), "{services:?}");
    }
}

#[test]
fn what_makes_two_builds_equal() {
    for (a, b, same) in [
        (".", "{context: ./}", true),
        ("{context: .}", "{context: ., dockerfile: ./Dockerfile}", true),
        ("{args: {A: 1, B: 2}}", "{args: [B=2, A=1]}", true),
        ("{args: {A: 1}}", "{args: {A: 2}}", false),
        ("{target: a}", "{target: b}", false),
        ("{context: a}", "{context: b}", false),
        ("{dockerfile_inline: FROM a}", "{dockerfile_inline: FROM b}", false),
        ("{platforms: [linux/amd64, linux/arm64]}", "{platforms: [linux/arm64, linux/amd64]}", true),
        ("{platforms: [linux/amd64]}", "{}", false),
        ("{labels: {a: b}}", "{}", false),
        ("{tags: [x/a]}", "{tags: [x/b]}", true),
        ("{cache_from: [x/a]}", "{no_cache: true}", true),
        ("{network: default}", "{}", true),
        ("{network: host}", "{}", false),
        ("{additional_contexts: {x: ./y}}", "{additional_contexts: [x=y]}", true),
        ("{additional_contexts: {x: 'service:b1'}}", "{additional_contexts: {x: 'service:b2'}}", true),
    ] {
        let base = "  b1: {build: base}\n  b2: {build: ./base}\n";
        let text = format!("services:\n  a: {{build: {a}}}\n  b: {{build: {b}}}\n{base}");
        let specs = plan(&text, &["a", "b"], "").unwrap();
        let first = &specs[0];
        assert_eq!(first.services.len() == 2, same, "{a} and {b}: {}", shape(&specs));
    }
}

#[test]
fn contexts_that_are_services_are_built_too() {
    let text = "
services:
  app: {build: {context: app, additional_contexts: {base: 'service:base'}}}
  base: {build: base}
  other: {build: other}
";
    let specs = plan(text, &["app"], "").unwrap();
    assert_eq!(shape(&specs), "app(app) -base(base)");
    assert_eq!(specs[0].build.additional_contexts, [("base".into(), ContextSource::Service("base".into()))]);
    for (target, want) in [
        ("app", "the additional context `service:app` is circular; remove one of these contexts"),
        ("bsae", "the additional context `service:bsae` does not exist; did you mean `service:base`?"),
        ("redis", "`service:redis` has no `build`; add it, or use `docker-image://` with the name of an image"),
    ] {
        let text = format!("{}  redis: {{image: redis}}\n", text.replace("service:base", &format!("service:{target}")));
        let error = plan(&text, &[], "").unwrap_err().to_string();
        assert!(error.starts_with("image `app`: ") && error.ends_with(want), "{error}");
    }
}

#[test]
fn slips_in_services_are_noticed() {
    for (pattern, want) in [
        ("djnago", "input `services`: `djnago` matches no service with `build`; did you mean `django`?"),
        ("redis", "input `services`: `redis` has no `build` in the compose file; remove it from the list"),
        (
            "frontend-*",
            "input `services`: `frontend-*` matches no service with `build`; the services with `build` are django, celeryworker, celerybeat, postgres, docs",
        ),
        (
            "[",
            "input `services`: `[` is not a valid pattern (unclosed character class; missing ']'); use names, `*` or `?`",
        ),
    ] {
        assert_eq!(plan(DJANGO, &[pattern], "").unwrap_err().to_string(), want);
    }
    let nothing = plan("services: {redis: {image: x}}", &[], "").unwrap_err().to_string();
    assert!(nothing.starts_with("no service of compose.yaml has `build`; name a Dockerfile"), "{nothing}");
    let inactive = plan("services: {web: {build: ., profiles: [b, a]}, redis: {image: x}}", &[], "").unwrap_err();
    assert_eq!(
        inactive.to_string(),
        "the services with `build` (web) have profiles that are not enabled; enable one with the input `profiles`: a, b"
    );
}

#[test]
fn the_input_images_overrides_adds_and_stands_alone() {
    let specs = plan(DJANGO, &[], "- {name: django, target: run, build-args: [A=1], tags: [x]}").unwrap();
    let django = &specs[0];
    assert_eq!(django.build.target.as_deref(), Some("run"));
    assert_eq!((django.build.args.len(), django.tags[0].written.as_str(), django.services.len()), (1, "x", 3));

    let two = "- {name: celerybeat, target: beat}\n- {name: extra, context: ./extra}";
    let specs = plan(DJANGO, &[], two).unwrap();
    assert_eq!(shape(&specs), "celerybeat(celerybeat) extra()", "only these");
    assert_eq!(specs[1].build.context, "extra");
    for (services, want) in [
        (vec!["*"], "django(django,celeryworker) postgres(postgres) celerybeat(celerybeat) extra()"),
        (vec!["extra"], "extra()"),
        (vec!["postgres", "e*"], "postgres(postgres) extra()"),
        (vec!["celeryworker"], "django(django,celeryworker,celerybeat)"),
    ] {
        assert_eq!(shape(&plan(DJANGO, &services, two).unwrap()), want, "{services:?}");
    }
    let linked = "- {name: app, context: app, build-contexts: {base: 'target:base'}}\n- {name: base, context: base}";
    assert_eq!(shape(&plan("", &["app"], linked).unwrap()), "app() -base()");

    let error = plan(DJANGO, &[], "- {name: postgers, target: x}").unwrap_err().to_string();
    assert!(error.contains("the image `postgers` does not exist (did you mean `postgres`?)"), "{error}");

    assert_eq!(shape(&plan("", &[], "").unwrap()), "repo()");
    assert_eq!(shape(&plan("", &[], "- {name: a}\n- {name: b, dockerfile: B.Dockerfile}").unwrap()), "a() b()");
}

#[test]
fn caches_in_a_directory_are_omitted_with_a_warning() {
    let text = "services: {a: {build: {cache_from: ['type=local,src=c', 'x/y:c'], cache_to: ['type=local,dest=c']}}}";
    let spec = plan(text, &[], "").unwrap().remove(0);
    assert_eq!((spec.cache_from.len(), spec.cache_to.len(), spec.warnings.len()), (1, 0, 2));
    assert!(
        spec.warnings[0].starts_with("`cache_from` of the compose file: caches with `type=local`"),
        "{:?}",
        spec.warnings
    );
}

#[test]
fn the_names_of_the_compose_file_are_kept() {
    let specs = plan(DJANGO, &["django", "docs"], "").unwrap();
    let names: Vec<&str> = specs[0].compose_names.iter().map(|name| name.reference.as_str()).collect();
    assert_eq!(names, ["proj_production_django", "proj_production_celeryworker", "proj_production_celerybeat"]);
    assert_eq!(specs[0].compose_names[1].key, "services.celeryworker.image");
    let local = |spec: &ImageSpec| spec.local_names.iter().map(|(_, name)| name.clone()).collect::<Vec<_>>();
    assert_eq!(local(&specs[0]), names);
    assert_eq!(local(&specs[1]), ["demo-docs"], "<project>-<service>, as for Compose");
}

#[test]
fn a_secret_needs_a_value_from_somewhere() {
    let text = "services: {a: {build: {secrets: [t]}}}\nsecrets: {t: {external: true}}";
    let error = plan(text, &[], "").unwrap_err();
    assert_eq!(error, ImagesError::Secret { image: "a".into(), id: "t".into() });

    let project = project(text);
    let mut build = build_inputs();
    build.secrets.push(("t".into(), Secret::new("hunter2")));
    build.secret_files.push(("f".into(), "some/file".into()));
    let inputs = ProjectInputs {
        working_directory: ".".into(),
        lone: None,
        compose_files: Vec::new(),
        profiles: Vec::new(),
        services: Vec::new(),
        images: Vec::new(),
        env_files: Vec::new(),
    };
    let specs = images(Some(&project), &inputs, &build, "repo").unwrap();
    let sources: Vec<&SecretSource> = specs[0].build.secrets.iter().map(|secret| &secret.source).collect();
    assert_eq!(sources, [&SecretSource::External, &SecretSource::File("some/file".into())]);
}

#[test]
fn the_services_platform_counts_if_the_build_has_none() {
    let text = "services: {a: {platform: linux/arm64, build: .}, b: {platform: x/y, build: {platforms: [linux/386]}}}";
    let specs = plan(text, &[], "").unwrap();
    assert_eq!((&specs[0].build.platforms[0][..], &specs[1].build.platforms[0][..]), ("linux/arm64", "linux/386"));
}

#[test]
fn a_project_may_be_said_to_be_one_image() {
    let lone = |context: &str, file: &str| {
        let text = |text: &str| Some(text.to_owned()).filter(|text| !text.is_empty());
        let inputs = ProjectInputs {
            working_directory: ".".into(),
            lone: Some(LoneInput { context: text(context), file: text(file) }),
            compose_files: Vec::new(),
            profiles: Vec::new(),
            services: Vec::new(),
            images: Vec::new(),
            env_files: Vec::new(),
        };
        images(None, &inputs, &build_inputs(), "repo").map(|mut specs| specs.remove(0).build)
    };
    // The file is relative to the working directory, as with `docker build`.
    for (context, file, want) in [
        ("./test", "./test/Dockerfile", ("test", "test/Dockerfile")),
        ("a/b", "docker/x", ("a/b", "docker/x")),
        ("", "docker/app.Dockerfile", (".", "docker/app.Dockerfile")),
        ("sub", "", ("sub", "sub/Dockerfile")),
        ("sub", "/abs/x", ("sub", "/abs/x")),
        ("..build", "", ("..build", "..build/Dockerfile")),
        ("{{defaultContext}}:base", "", ("base", "base/Dockerfile")),
        ("{{defaultContext}}", "", (".", "Dockerfile")),
    ] {
        let build = lone(context, file).unwrap();
        let dockerfile = join(&build.context, build.dockerfile.as_deref().unwrap());
        assert_eq!((&*build.context, &*dockerfile), want, "{context} {file}");
    }
    let remote = lone("https://github.com/a/b.git#main", "sub/Dockerfile").unwrap();
    assert_eq!(remote.dockerfile.as_deref(), Some("sub/Dockerfile"));
    assert_eq!(lone("../x", "").unwrap_err(), ImagesError::Outside("../x".into()));
}

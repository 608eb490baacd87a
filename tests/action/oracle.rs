//! The same compose files, built by us and by `docker buildx bake` on the same engine: the same images.

use std::{fs, process::Command};

use serde_json::Value;

use crate::{
    lab::{self, Engine},
    run::Run,
};

/// A name, a compose file, and the services whose images are compared.
const DEFINITIONS: &[(&str, &str, &[&str])] = &[
    (
        "arguments and targets",
        "services:\n  web:\n    build: {context: ., target: middle, args: {A: '1', B: x y}, labels: {team: web, 'a.b': 'c=d'}}\n  \
         all:\n    build: {context: ., args: {A: '2'}}\n",
        &["web", "all"],
    ),
    (
        "an inline Dockerfile",
        "services:\n  web:\n    build:\n      context: .\n      dockerfile_inline: |\n        FROM busybox:1.36\n        COPY data /data\n        RUN wc -c /data >/count\n",
        &["web"],
    ),
    (
        "options of steps",
        "services:\n  web:\n    build:\n      context: .\n      dockerfile: steps.Dockerfile\n      network: none\n      extra_hosts: ['db=10.9.8.7']\n      \
         shm_size: 96m\n      ulimits: {nofile: {soft: 1111, hard: 2222}}\n      secrets: [token]\nsecrets: {token: {file: secret.txt}}\n",
        &["web"],
    ),
    (
        "contexts",
        "services:\n  web:\n    build: {context: ., dockerfile: contexts.Dockerfile, additional_contexts: {dir: ./sub, image: 'docker-image://busybox:1.36', base: 'service:base'}}\n  \
         base:\n    build: {context: ., target: middle, args: {A: b}}\n",
        &["web", "base"],
    ),
    (
        "a base that is not pushed",
        "services:\n  web:\n    build: {context: ., dockerfile: contexts.Dockerfile, additional_contexts: {dir: ./sub, image: 'docker-image://busybox:1.36', base: 'service:base'}}\n  \
         base:\n    profiles: [never]\n    build: {context: ., target: middle, args: {A: b}, labels: {team: base, kept: 'yes'}}\n",
        &["web"],
    ),
    (
        "contexts with the names of BuildKit's own",
        "services:\n  web:\n    build:\n      context: .\n      additional_contexts: {context: ./sub, dockerfile: ./lower}\n      dockerfile_inline: |\n        \
         FROM busybox:1.36\n        COPY data /\n        COPY --from=context /one /\n        COPY --from=dockerfile /dockerfile /\n",
        &["web"],
    ),
    ("a Dockerfile in lower case", "services:\n  web:\n    build: ./lower\n", &["web"]),
    (
        "an inline cache",
        "services:\n  web:\n    build: {context: ., target: middle, args: {BUILDKIT_INLINE_CACHE: '1'}}\n",
        &["web"],
    ),
    (
        "platforms",
        "services:\n  web:\n    build: {context: ., dockerfile: platforms.Dockerfile, platforms: [linux/amd64, linux/arm64]}\n",
        &["web"],
    ),
    (
        "one foreign platform",
        "services:\n  web:\n    build: {context: ., dockerfile: platforms.Dockerfile, platforms: [linux/arm/v7]}\n",
        &["web"],
    ),
    (
        "ignored files and a subdirectory",
        "services:\n  web:\n    build: {context: ./sub, dockerfile: ../ignored.Dockerfile}\n",
        &["web"],
    ),
];

const FILES: &[(&str, &str)] = &[
    (
        "Dockerfile",
        "FROM busybox:1.36 AS middle\nARG A=0\nARG B\nENV A=$A B=$B\nWORKDIR /srv/app\nCOPY --chmod=640 --chown=7:8 data .\n\
         RUN echo $A $B >/made\nVOLUME /srv\nEXPOSE 80/udp\nSTOPSIGNAL SIGINT\nFROM middle\nUSER 1000:1000\n\
         HEALTHCHECK --interval=5s CMD true\nENTRYPOINT [\"sh\", \"-c\"]\nCMD [\"true\"]\nONBUILD RUN false\nSHELL [\"/bin/ash\", \"-c\"]\n",
    ),
    (
        "steps.Dockerfile",
        "FROM busybox:1.36\nCOPY data /\nRUN --mount=type=secret,id=token (cat /etc/hosts; df -k /dev/shm; ulimit -n; wc -c /run/secrets/token) >/seen\n",
    ),
    (
        "contexts.Dockerfile",
        "FROM base\nCOPY --from=dir /one /two/\nCOPY --from=image /bin/busybox /copied\nRUN cat /one /made >/both 2>&1 || true\n",
    ),
    (
        "platforms.Dockerfile",
        "FROM --platform=$BUILDPLATFORM busybox:1.36 AS build\nARG TARGETPLATFORM\nCOPY data /\nRUN echo $TARGETPLATFORM >/platform\n\
         FROM scratch\nENV X=y\nCOPY --from=build /platform /data /\n",
    ),
    ("ignored.Dockerfile", "FROM busybox:1.36\nCOPY . /all\n"),
    ("ignored.Dockerfile.dockerignore", "b*\n!bb\n"),
    ("lower/dockerfile", "FROM busybox:1.36\nCOPY dockerfile /\n"),
    ("sub/one", "1"),
    ("sub/b", "2"),
    ("sub/bb", "3"),
    ("secret.txt", "hush"),
    ("data", "data"),
];

/// What images are compared by: of each platform its configuration and layers.
fn essence(reference: &str) -> Vec<(String, Value, Vec<String>)> {
    let manifest = lab::manifest(reference);
    let Some(children) = manifest["manifests"].as_array() else {
        return vec![(String::new(), config(reference), lab::layers(reference))];
    };
    let repository = reference.rsplit_once(':').unwrap().0;
    let one = |child: &Value| {
        let reference = format!("{repository}@{}", child["digest"].as_str().unwrap());
        (child["platform"].to_string(), config(&reference), lab::layers(&reference))
    };
    children.iter().map(one).collect()
}

fn config(reference: &str) -> Value {
    let mut config = lab::image_config(reference);
    // The time of the configuration's making; and ours has labels of the commit besides.
    config.as_object_mut().unwrap().remove("created");
    // The cache tells times of its own.
    if let Some(cache) = config.get_mut("moby.buildkit.cache.v0") {
        *cache = Value::Bool(true);
    }
    let labels = config["config"].as_object_mut().unwrap().remove("Labels").unwrap_or_default();
    let own = |(name, _): &(&String, &Value)| !name.starts_with("org.opencontainers.");
    config["labels"] =
        labels.as_object().into_iter().flatten().filter(own).map(|(k, v)| (k.clone(), v.clone())).collect();
    config
}

#[tokio::test]
async fn bake_makes_the_same_images_with_the_containerd_store() {
    compare(Engine::C8d).await;
}

#[tokio::test]
async fn bake_makes_the_same_images_with_the_classic_store() {
    compare(Engine::Classic).await;
}

async fn compare(engine: Engine) {
    for (name, compose, services) in DEFINITIONS {
        if engine == Engine::Classic && *name == "platforms" {
            // The classic store has one platform only.
            continue;
        }
        let run = Run::new(engine, FILES);
        run.write("compose.yaml", compose);
        run.write("data", &run.repository);
        run.expect(0).await;
        let mut bake = Command::new(lab::docker());
        bake.args(["buildx", "bake", "--builder", "default", "--push", "-f", "compose.yaml"]);
        for service in *services {
            bake.args(["--set", &format!("{service}.tags={}:bake", run.image(service))]);
        }
        let bake = bake
            .args(*services)
            .current_dir(fs::canonicalize(&run.step.workspace).unwrap())
            .env("DOCKER_HOST", format!("unix://{}", engine.socket().display()))
            .env("BUILDX_NO_DEFAULT_ATTESTATIONS", "1")
            .env("BUILDX_BAKE_ENTITLEMENTS_FS", "0")
            .output()
            .unwrap();
        assert!(bake.status.success(), "{engine:?}, {name}: {}", String::from_utf8_lossy(&bake.stderr));
        for service in *services {
            let [ours, theirs] = ["main", "bake"].map(|tag| essence(&format!("{}:{tag}", run.image(service))));
            assert_eq!(ours, theirs, "{engine:?}, {name}, {service}");
        }
    }
}

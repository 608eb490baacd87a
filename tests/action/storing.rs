//! What is stored of an image beside its files: attestations, compression, platforms, times.

use serde_json::json;

use crate::{
    lab::{self, Engine},
    run::{BASE, Run, images, log, the_error},
};

const PROVENANCE: &str = "https://slsa.dev/provenance/v";
const INDEX: &str = "application/vnd.oci.image.index.v1+json";

fn one(engine: Engine) -> Run {
    let run = Run::new(engine, &[("Dockerfile", &format!("{BASE}COPY stamp /\nRUN date >/date\n"))]);
    run.write("stamp", &run.repository);
    run
}

fn reference(run: &Run) -> String {
    format!("{}/{}:main", lab::plain(), run.repository)
}

#[tokio::test]
async fn an_image_is_one_manifest_unless_something_is_attested() {
    for engine in Engine::ALL {
        let run = one(engine);
        let report = run.expect(0).await;
        assert!(lab::manifest(&reference(&run)).get("layers").is_some(), "{engine:?}");
        assert_eq!(images(&report)[0]["platforms"], json!(["linux/amd64"]), "{engine:?}");
    }
}

#[tokio::test]
async fn provenance_names_the_run_and_the_commit() {
    for (value, has_source) in [("true", true), ("mode=min", false), ("mode=max", true)] {
        let run = one(Engine::C8d).with("provenance", value);
        let report = run.expect(0).await;
        let reference = reference(&run);
        assert_eq!(lab::manifest(&reference)["mediaType"], INDEX);
        assert_eq!(lab::crane(&["digest", &reference]), report.outputs["digest"]);
        let attestations = lab::attestations(&reference);
        let (kind, predicate) = attestations.iter().next().unwrap();
        assert!(kind.starts_with(PROVENANCE), "{kind}");
        let text = predicate.to_string();
        assert!(text.contains(&report.outputs["run-url"]), "the builder is the run: {text}");
        assert!(text.contains(&run.step.github["GITHUB_SHA"]), "the commit: {text}");
        assert_eq!(text.contains("date >/date"), has_source, "mode=max has the Dockerfile's steps: {text}");
        assert_eq!(images(&report)[0]["platforms"], json!(["linux/amd64"]));
    }
}

#[tokio::test]
async fn what_is_left_in_the_engine_is_stored_the_same_way() {
    let run = one(Engine::C8d).with("provenance", "mode=min").with("compression", "zstd").with("load", "true");
    let report = run.expect(0).await;
    let reference = reference(&run);
    assert_eq!(lab::crane(&["digest", &reference]), report.outputs["digest"]);
    assert_eq!(lab::attestations(&reference).len(), 1);
    assert_eq!(run.engine.docker(&["run", "--rm", &reference, "cat", "/stamp"]), run.repository);
    for tag in report.outputs["tags"].lines() {
        run.engine.docker(&["rmi", "-f", tag]);
    }
}

#[tokio::test]
async fn what_is_in_the_image_is_attested_by_a_generator() {
    let generator = Run::new(
        Engine::C8d,
        &[
            ("Dockerfile", "FROM busybox:1.36\nCOPY --chmod=755 scan /scan\nENTRYPOINT [\"/scan\"]\n"),
            (
                "scan",
                "#!/bin/sh\nset -e\nfor target in core; do\n  printf '{\"_type\":\"https://in-toto.io/Statement/v0.1\",\
                 \"predicateType\":\"https://spdx.dev/Document\",\"predicate\":{\"files\":\"%s\"}}' \
                 \"$(ls $BUILDKIT_SCAN_SOURCE | tr '\\n' ' ')\" >$BUILDKIT_SCAN_DESTINATION/$target.spdx.json\ndone\n",
            ),
        ],
    );
    generator.expect(0).await;
    let run = one(Engine::C8d).with("sbom", &format!("generator={}", reference(&generator)));
    let report = run.expect(0).await;
    let attestations = lab::attestations(&reference(&run));
    let files = attestations["https://spdx.dev/Document"]["files"].as_str().unwrap();
    assert!(files.contains("stamp") && files.contains("date"), "{files}: {}", log(&report));
}

#[tokio::test]
async fn layers_are_packed_as_asked_for() {
    for (value, layer_type, base_too) in [
        ("zstd", "application/vnd.oci.image.layer.v1.tar+zstd", false),
        ("zstd,compression-level=1,force-compression=true", "application/vnd.oci.image.layer.v1.tar+zstd", true),
        ("uncompressed", "application/vnd.oci.image.layer.v1.tar", false),
        ("gzip", "application/vnd.docker.image.rootfs.diff.tar.gzip", false),
    ] {
        let run = one(Engine::C8d).with("compression", value);
        run.expect(0).await;
        let manifest = lab::manifest(&reference(&run));
        let layers = manifest["layers"].as_array().unwrap();
        let types: Vec<&str> = layers.iter().map(|layer| layer["mediaType"].as_str().unwrap()).collect();
        assert_eq!(types[1..], [layer_type, layer_type], "{value}: {manifest}");
        assert!(!base_too || types[0] == layer_type, "{value}: {manifest}");
    }
}

#[tokio::test]
async fn several_platforms_need_no_emulation_where_nothing_is_run() {
    let run = Run::new(
        Engine::C8d,
        &[(
            "Dockerfile",
            "FROM --platform=$BUILDPLATFORM busybox:1.36 AS build\nARG TARGETARCH\nCOPY stamp /\nRUN echo $TARGETARCH >/arch\n\
             FROM scratch\nCOPY --from=build /arch /stamp /\n",
        )],
    )
    .with("platforms", "linux/amd64,linux/arm64");
    run.write("stamp", &run.repository);
    let report = run.expect(0).await;
    assert_eq!(images(&report)[0]["platforms"], json!(["linux/amd64", "linux/arm64"]));
    assert_eq!(report.console.of_kind("warning").count(), 0, "{}", log(&report));
    let index = lab::manifest(&reference(&run));
    let children = index["manifests"].as_array().unwrap();
    let mut sum = 0;
    for (child, architecture) in children.iter().zip(["amd64", "arm64"]) {
        assert_eq!(child["platform"]["architecture"], architecture, "{index}");
        let of_child = format!("{}/{}@{}", lab::plain(), run.repository, child["digest"].as_str().unwrap());
        assert_eq!(lab::image_config(&of_child)["architecture"], architecture);
        let manifest = lab::manifest(&of_child);
        sum += manifest["config"]["size"].as_u64().unwrap();
        sum += manifest["layers"].as_array().unwrap().iter().map(|layer| layer["size"].as_u64().unwrap()).sum::<u64>();
    }
    assert_eq!(children.len(), 2, "{index}");
    assert_eq!(images(&report)[0]["size"], sum, "all platforms count");
}

#[tokio::test]
async fn a_step_that_needs_emulation_says_how_to_get_it() {
    for engine in Engine::ALL {
        // The head of a program for another processor: nothing that this machine can run.
        let program = "printf '\\177ELF\\002\\001\\001\\000\\000\\000\\000\\000\\000\\000\\000\\000\\002\\000\\267\\000' >/sh && \
                       head -c 44 /dev/zero >>/sh && chmod +x /sh";
        let run = Run::new(
            engine,
            &[(
                "Dockerfile",
                &format!(
                    "FROM --platform=$BUILDPLATFORM busybox:1.36 AS build\nCOPY stamp /\nRUN {program}\nFROM scratch\n\
                     COPY --from=build /sh /bin/sh\nRUN anything\n"
                ),
            )],
        )
        .with("platforms", "linux/s390x");
        run.write("stamp", &run.repository);
        let report = run.expect(1).await;
        let warnings: Vec<_> = report.console.of_kind("warning").collect();
        assert!(warnings[0].message.contains("cannot run linux/s390x"), "{engine:?}: {warnings:?}");
        let error = the_error(&report);
        assert!(error.message.contains("docker/setup-qemu-action"), "{engine:?}: {error:?}\n{}", log(&report));
        assert_eq!(error.property("line"), Some("6"), "{engine:?}: {error:?}");
    }
}

#[tokio::test]
async fn what_the_classic_store_cannot_do_is_told_before_anything_is_built() {
    for engine in [Engine::Classic, Engine::Old] {
        for (input, value) in [
            ("platforms", "linux/amd64,linux/arm64"),
            ("provenance", "true"),
            ("sbom", "true"),
            ("compression", "zstd"),
            ("compression", "uncompressed"),
        ] {
            let run = one(engine).with(input, value).with("builder", "engine");
            let report = run.expect(1).await;
            let error = the_error(&report);
            for words in ["containerd image store", "containerd-snapshotter", &format!("`{input}`")] {
                assert!(error.message.contains(words), "{engine:?}, {input}: {error:?}");
            }
            assert!(!log(&report).contains("RUN date"), "nothing was started: {}", log(&report));
        }
    }
}

/// A push whose payload tells when the commit was made.
fn committed(engine: Engine, dockerfile: &str) -> Run {
    let mut run = Run::new(engine, &[("Dockerfile", dockerfile)]);
    run.write("stamp", &run.repository);
    let sha = run.step.github["GITHUB_SHA"].clone();
    run.step.payload = json!({
        "repository": {"default_branch": "main"},
        "head_commit": {"id": sha, "message": "x", "timestamp": "2024-03-01T12:00:00+01:00"},
    })
    .to_string();
    run
}

#[tokio::test]
async fn two_builds_of_one_commit_are_the_same_image() {
    let dockerfile = "FROM busybox:1.36\nWORKDIR /app\nCOPY . .\nRUN mkdir -p a/b && cp stamp a/b/c\n";
    let run = committed(Engine::C8d, dockerfile).with("no-cache", "true");
    let first = run.expect(0).await;
    // What a checkout does: every file is new.
    run.write("stamp", &run.repository);
    let second = run.expect(0).await;
    assert_eq!(first.outputs["digest"], second.outputs["digest"]);
    assert_eq!(second.outputs["changed"], "false");
    assert_eq!(lab::image_config(&reference(&run))["created"], "2024-03-01T11:00:00Z");
    // Another commit, and a time that the user gives.
    for (name, want) in [("2000000000", "2033-05-18T03:33:20Z"), ("0", "1970-01-01T00:00:00Z")] {
        let run = committed(Engine::C8d, dockerfile).env("SOURCE_DATE_EPOCH", name);
        run.expect(0).await;
        assert_eq!(lab::image_config(&reference(&run))["created"], want);
    }
}

#[tokio::test]
async fn a_new_commit_leaves_the_cache_alone() {
    for engine in Engine::ALL {
        let mut run = committed(engine, "FROM busybox:1.36\nWORKDIR /app\nCOPY stamp .\nRUN date >date\n");
        run.expect(0).await;
        run.step.payload = run.step.payload.replace("2024-03-01T12", "2024-03-02T12");
        let report = run.expect(0).await;
        let image = &images(&report)[0];
        assert_eq!(image["cached"], image["steps"], "{engine:?}: {}", log(&report));
    }
}

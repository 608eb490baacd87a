//! Build secrets reach the build and nothing else.

use sha2::{Digest as _, Sha256};

use stand_ins::discord::Receiver;

use crate::{
    lab::{self, Engine},
    run::{BASE, Run, log},
};

const VALUES: [&str; 4] =
    ["one-canary-71c9", "two-canary-82d0\nsecond-line-93e1", "three-canary-a4f2", "four-canary-b503"];

fn sum(text: &str) -> String {
    Sha256::digest(text).iter().map(|byte| format!("{byte:02x}")).collect()
}

#[tokio::test]
async fn secrets_of_every_kind_reach_the_build_and_nothing_else() {
    for engine in Engine::ALL {
        let reads: String = (1..=4)
            .map(|n| format!("RUN --mount=type=secret,id=s{n} echo sum{n} $(sha256sum </run/secrets/s{n})\n"))
            .collect();
        let compose = "\
services:
  web: {build: {context: ., secrets: [s3, s4]}}
secrets:
  s3: {file: three.txt}
  s4: {environment: FOUR}
";
        let run = Run::new(
            engine,
            &[
                ("compose.yaml", compose),
                ("Dockerfile", &format!("# syntax is the engine's own\nFROM busybox:1.36\nCOPY stamp /\n{reads}RUN --mount=type=secret,id=s1 cat /run/secrets/s1\n")),
                (".dockerignore", "*.txt\n"),
                ("three.txt", VALUES[2]),
                ("two.txt", VALUES[1]),
            ],
        )
        .with("secrets", &format!("s1={}", VALUES[0]))
        .with("secret-files", "s2=two.txt")
        .env("FOUR", VALUES[3])
        .secret(VALUES[0]);
        run.write("stamp", &run.repository);
        let report = run.expect(0).await;
        for (n, value) in VALUES.iter().enumerate() {
            let line = format!("sum{} {}", n + 1, sum(value));
            assert!(log(&report).contains(&line), "{engine:?}: {line}\n{}", log(&report));
        }
        let reference = format!("{}:main", run.image("web"));
        let manifest = lab::crane(&["manifest", &reference]) + &lab::crane(&["config", &reference]);
        let shown = format!("{}{manifest}{:?}", report.summary, report.outputs);
        for value in VALUES.iter().flat_map(|value| value.lines()) {
            assert!(!shown.contains(value), "{engine:?}: {value}");
        }
        assert!(lab::files_below(&reference, "run/secrets").iter().all(|name| !name.starts_with('s')), "{engine:?}");
    }
}

/// A compose file writes a variable of the step into a build argument, whose value BuildKit writes into names of steps.
#[tokio::test]
async fn secrets_in_build_arguments_are_hidden() {
    for engine in Engine::ALL {
        let (by_name, by_look, open) = ("x9Q-canary-by-name", "a1B2c3D4e5canaryF6g7H8", "1.2.3-open");
        let compose = "\
services:
  web: {build: {context: ., args: {ONE: \"${STEP_SECRET}\", TWO: \"x-${VALUE}\", THREE: \"${VERSION}\"}}}
";
        let dockerfile =
            format!("{BASE}ARG ONE\nARG TWO\nARG THREE\nRUN echo \"$ONE\" \"$TWO\" \"$THREE\" && exit 3\n");
        let discord = Receiver::listen(format!("{}:0", lab::var("LAB_ADDR")).parse().unwrap()).await.unwrap();
        let run = Run::new(engine, &[("compose.yaml", compose), ("Dockerfile", &dockerfile)])
            .with("discord-webhook", &discord.url())
            .env("STEP_SECRET", by_name)
            .env("VALUE", by_look)
            .env("VERSION", open);
        let report = run.expect(1).await;
        let messages: String = discord.calls().iter().map(|call| call.body.to_string()).collect();
        let shown = format!("{}{}{messages}{:?}", report.console.raw, report.summary, report.console.annotations);
        for secret in [by_name, by_look] {
            assert!(!shown.contains(secret), "{engine:?}: {secret} in {shown}");
        }
        assert!(log(&report).contains(open) && messages.contains(open), "{engine:?}: {}", log(&report));
    }
}

/// The checkout chooses what a secret file of the compose file holds.
#[tokio::test]
async fn ordinary_words_in_a_secret_file_stay_readable() {
    let compose = "services: {web: {build: {context: ., secrets: [s]}}}\nsecrets: {s: {file: s.txt}}\n";
    let dockerfile =
        format!("{BASE}RUN --mount=type=secret,id=s cat /run/secrets/s && echo the build failed at 5432\n");
    let values = "failed\ntrue\n5432\nx9Q!canary#71c9\nDB_PASSWORD=hunter2-canary\n";
    let run = Run::new(Engine::Named, &[("compose.yaml", compose), ("Dockerfile", &dockerfile), ("s.txt", values)]);
    let report = run.expect(0).await;
    assert!(log(&report).contains("the build failed at 5432"), "{}", log(&report));
    assert!(!log(&report).contains("canary"), "{}", log(&report));
    let masks = &report.console.masks;
    assert!(masks.iter().any(|mask| mask == "hunter2-canary"), "{masks:?}");
    assert!(!masks.iter().any(|mask| ["failed", "true", "5432"].contains(&mask.as_str())), "{masks:?}");
}

//! Build secrets reach the build and nothing else.

use sha2::{Digest as _, Sha256};

use crate::{
    lab::{self, Engine},
    run::{Run, log},
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

//! No credential leaves a run but to whom it is for: each secret that a step can be given is planted, and everything that
//! the run leaves behind is searched for it, however the run ends.

use std::{
    fmt::Write as _,
    fs,
    io::Write as _,
    net::SocketAddr,
    path::{Path, PathBuf},
    process::{Command, Output, Stdio},
};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use build_deploy::inputs::spec::INPUTS;
use serde_json::{Value, json};
use stand_ins::{
    discord::Receiver,
    oidc::TokenService,
    runner::{StageKind, StageReport},
};
use tempfile::NamedTempFile;

use crate::{
    lab::{self, Engine},
    run::{BASE, Run, line_with, log},
};

/// How a run ends.
#[derive(Clone, Copy, Debug, PartialEq)]
enum End {
    Succeeds,
    /// The failing command prints its secrets.
    BuildFails,
    PushRefused,
    WrongPassword,
    BadInput,
    BadCompose,
    RoleRefused,
    Cancelled,
    Killed,
}

/// Prints a secret in the ways in which a build may: in other forms, with something between its letters that nobody sees,
/// and across the place where a long line is cut.
const PRINTS: &str = r#"cat /run/secrets/*; base64 -w 0 /run/secrets/one; echo; \
    s="$(cat /run/secrets/one)"; t="${s#????????????}"; h="${s%"$t"}"; \
    for i in '\033[31m' '\000' '\033[K' '\v' '\b' '\033]0;x\007' '\342\200\213' '\302\255' '\377'; do printf "u $h$i$t\n"; done; \
    for c in $(echo "$s" | sed 's/./& /g'); do printf "$c\000"; done; echo; \
    xxd -p /run/secrets/one; hexdump -C /run/secrets/one; od -An -tx1 /run/secrets/one; \
    for n in 16300 16370 16384 32700 32760 32768; do head -c $n /dev/zero | tr '\000' x; echo "$s"; done; \
    printf 'half a line: %s' "$h"; sleep 1; echo "$t"; exit 3"#;

/// What may be found nowhere.
struct Canaries(Vec<(String, String)>, NamedTempFile);

impl Canaries {
    /// A value, by what it is, in the forms that it could be written in.
    fn add(&mut self, what: &str, value: &str) {
        for line in value.lines() {
            let base64 = STANDARD.encode(line);
            let percent = line.replace(':', "%3A").replace('/', "%2F").replace('+', "%2B").replace('=', "%3D");
            let hex: String = line.bytes().map(|byte| format!("{byte:02x}")).collect();
            for form in [line, base64.trim_end_matches('='), &percent, &hex] {
                self.0.push((what.to_owned(), form.to_owned()));
            }
        }
    }

    /// A new value.
    fn plant(&mut self, what: &str) -> String {
        let value = format!("canary-{:016x}-{what}", rand::random::<u64>());
        self.add(what, &value);
        value
    }

    fn search(&self, place: &str, bytes: &[u8]) {
        self.search_raw(place, bytes);
        self.search_raw(&format!("{place}, as it is seen"), seen(bytes).as_bytes());
    }

    fn search_raw(&self, place: &str, bytes: &[u8]) {
        let mut grep = self.grep(&[]).stdin(Stdio::piped()).spawn().unwrap();
        let mut stdin = grep.stdin.take().unwrap();
        // grep may have seen enough before it has seen all.
        let _ = stdin.write_all(bytes);
        drop(stdin);
        self.check(place, &grep.wait_with_output().unwrap());
    }

    /// Every file below a directory but those in which a secret was planted.
    fn search_files(&self, directory: &Path, planted: &[PathBuf]) {
        let mut options = vec!["-r".to_owned()];
        options.extend(planted.iter().map(|path| format!("--exclude={}", path.file_name().unwrap().display())));
        let found = self.grep(&options).arg(directory).output().unwrap();
        self.check(&directory.display().to_string(), &found);
    }

    fn grep(&self, options: &[String]) -> Command {
        let forms: Vec<&str> = self.0.iter().map(|(_, form)| form.as_str()).collect();
        // Not as an argument, where another test would find it.
        fs::write(&self.1, forms.join("\n")).unwrap();
        let mut grep = Command::new("grep");
        grep.args(["-aFo", "-m", "1"]).args(options).arg("-f").arg(self.1.path());
        grep.stdout(Stdio::piped()).stderr(Stdio::piped());
        grep
    }

    fn check(&self, place: &str, grep: &Output) {
        let found = String::from_utf8_lossy(&grep.stdout);
        let whats: Vec<&str> =
            self.0.iter().filter(|(_, form)| found.contains(form.as_str())).map(|(what, _)| what.as_str()).collect();
        assert!(found.is_empty(), "{whats:?} in {place}: {found}");
    }
}

#[test]
#[should_panic(expected = "in here: canary-")]
fn the_search_finds_what_is_there() {
    let mut canaries = Canaries(Vec::new(), NamedTempFile::new().unwrap());
    let value = canaries.plant("password");
    canaries.search("here", format!("x\0{value}\0y").as_bytes());
}

/// A text without what nobody sees of it.
fn seen(bytes: &[u8]) -> String {
    let text = String::from_utf8_lossy(bytes);
    let sequence = regex::Regex::new("\x1b\\[[0-9;:?]*[@-~]|\x1b\\][^\x07\x1b]*\x07").unwrap();
    let hidden = |c: char| c != '\n' && c.is_control() || "\u{200b}\u{ad}\u{fffd}".contains(c);
    sequence.replace_all(&text, "").chars().filter(|c| !hidden(*c)).collect()
}

/// A step with a secret wherever one can stand.
struct Planted {
    run: Run,
    canaries: Canaries,
    /// Files that hold secrets from the start.
    files: Vec<PathBuf>,
    discord: Receiver,
    _oidc: TokenService,
    /// Repositories in the lab's registries that the run may push to.
    stores: Vec<(&'static str, String)>,
}

async fn planted(engine: Engine, end: End) -> Planted {
    let address: SocketAddr = format!("{}:0", lab::var("LAB_ADDR")).parse().unwrap();
    let discord = Receiver::listen(address).await.unwrap();
    let oidc = TokenService::start(address, "repo:o/r:ref:refs/heads/main").await.unwrap();
    let mut canaries = Canaries(Vec::new(), NamedTempFile::new().unwrap());
    let (build_secret, many_lines) =
        (canaries.plant("secrets"), format!("{}\n{}", canaries.plant("line-one"), canaries.plant("line-two")));
    let file_secret = canaries.plant("secret-files");
    let reads: String = ["one", "two", "three", "four"].map(|id| format!("--mount=type=secret,id={id} ")).concat();
    let last = match end {
        End::BuildFails => PRINTS,
        End::Cancelled | End::Killed => "echo asleep-now && sleep 1000",
        _ => "test $(cat /run/secrets/* | wc -c) -gt 100",
    };
    let run = Run::new(
        engine,
        &[
            ("Dockerfile", &format!("{BASE}ARG N\nCOPY stamp /$N\nRUN {reads} {last}\n")),
            (".dockerignore", "*.txt\n"),
            ("file.txt", &file_secret),
        ],
    );
    run.write("stamp", &run.repository);
    let webhook = discord.url();
    canaries.add("discord-webhook", webhook.rsplit('/').next().unwrap());

    // Registries: one by input, one by GitHub's token, one by `registries` or AWS.
    let (basic, password) = (lab::var("LAB_BASIC"), lab::var("LAB_PASSWORD"));
    canaries.add("password", &password);
    let owner = if end == End::PushRefused { "foreign" } else { "ci" };
    let name = run.repository.trim_start_matches("ci/").to_owned();
    let token = if engine == Engine::Named { lab::var("LAB_JOB_TOKEN") } else { canaries.plant("github-token") };
    canaries.add("github-token", &token);
    let second = if engine == Engine::Named { "ghcr.io".to_owned() } else { lab::var("LAB_TOKEN") };
    let mut hosts = vec![
        (basic.clone(), "basic", "ci"),
        (second.clone(), if engine == Engine::Named { "ghcr" } else { "token" }, owner),
    ];
    if engine == Engine::Named {
        hosts.push((lab::var("LAB_ECR"), "ecr", "ci"));
    }
    let images: String = hosts
        .iter()
        .enumerate()
        .map(|(n, (host, _, owner))| {
            format!("- {{name: n{n}, image-name: '{host}/{owner}/{name}/n{n}', build-args: {{N: n{n}}}}}\n")
        })
        .collect();
    let stores =
        hosts.iter().enumerate().map(|(n, (_, store, owner))| (*store, format!("{owner}/{name}/n{n}"))).collect();
    let other = canaries.plant("registries");
    let mut registries = format!("- {{registry: r.example, username: u, password: {other}}}\n");
    if engine != Engine::Named {
        writeln!(registries, "- {{registry: '{second}', username: ci, password: {password}}}").unwrap();
    }
    let given = match end {
        End::WrongPassword => canaries.plant("wrong-password"),
        _ => password,
    };

    // What Docker's own command line would have left, and the environment.
    let config = run.machine.temp.join("docker/config.json");
    fs::create_dir_all(config.parent().unwrap()).unwrap();
    let auth = STANDARD.encode(format!("u:{}", canaries.plant("docker-config")));
    canaries.add("docker-config-auth", &auth);
    let text = json!({"auths": {"other.example": {"auth": auth}, "third.example": {"identitytoken": canaries.plant("identity")}}});
    fs::write(&config, text.to_string()).unwrap();

    let mut run = run
        .with("registry", &basic)
        .with("username", "ci")
        .with("password", &given)
        .with("registries", &registries)
        .with("images", &images)
        .with("secrets", &format!("one: {build_secret}\ntwo: |\n  {}\n", many_lines.replace('\n', "\n  ")))
        .with("secret-files", "three=file.txt")
        .with("discord-webhook", &webhook)
        .with("aws-role", "arn:aws:iam::123456789012:role/ci")
        .with("ecr-create-repository", "true")
        .env("DOCKER_CONFIG", &config.parent().unwrap().display().to_string())
        .env("AWS_ENDPOINT_URL", &lab::var("LAB_AWS"))
        .env("FOUR", &canaries.plant("environment"));
    run.step.expressions.insert("github.token".into(), token);
    for name in ["ACTIONS_RUNTIME_TOKEN", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "GITHUB_TOKEN"] {
        run = run.env(name, &canaries.plant(name));
    }
    run = run.env("AWS_ACCESS_KEY_ID", "AKIAIOSFODNN7EXAMPLE");
    for (name, value) in oidc.variables() {
        if name.ends_with("TOKEN") {
            canaries.add(name, &value);
        }
        run = run.env(name, &value);
    }
    canaries.add("oidc", &oidc.token("sts.amazonaws.com"));
    canaries.add("ecr", "123456789012-auth-token");
    match end {
        End::BadInput => {
            for spec in INPUTS.iter().filter(|spec| spec.kind.is_secret()) {
                run = run.with(spec.name, &canaries.plant(spec.name));
            }
            run = run.with("push", "perhaps").with("pasword", "x");
        }
        End::BadCompose => {
            run.step.with.remove("images");
            let text = "services:\n  n0: {build: {context: ., secrets: [one]}\nsecrets: {one: {environment: FOUR}}\n";
            run.write("compose.yaml", text);
        }
        End::RoleRefused => run = run.env("ACTIONS_ID_TOKEN_REQUEST_TOKEN", &canaries.plant("wrong-bearer")),
        _ => {}
    }
    let files = vec![config, run.path("file.txt")];
    Planted { run, canaries, files, discord, _oidc: oidc, stores }
}

impl Planted {
    /// While it runs: what everybody on the machine can see.
    fn search_running(&self, container: &str) {
        let processes = fs::read_dir("/proc").unwrap().flatten();
        let lines = processes.filter_map(|process| fs::read(process.path().join("cmdline")).ok());
        let lines: Vec<Vec<u8>> = lines.filter(|line| !line.is_empty()).collect();
        self.canaries.search("the process list", &lines.join(&b'\n'));
        let text = self.run.engine.docker(&["inspect", container]);
        let mut inspected: Value = serde_json::from_str(&text).unwrap();
        // The runner hands the inputs over in the environment, which is not ours to change.
        inspected[0]["Config"]["Env"] = Value::Null;
        self.canaries.search("docker inspect", inspected.to_string().as_bytes());
        // Of this container alone: an engine fails to list one that another test's end removes meanwhile.
        let name = format!("name={container}");
        let listed = self.run.engine.docker(&["ps", "--filter", &name, "--no-trunc", "--format", "{{json .}}"]);
        self.canaries.search("docker ps", listed.as_bytes());
    }

    /// When it is over: everything that is left of it.
    fn search_left(&self, report: &StageReport) {
        let canaries = &self.canaries;
        let raw: Vec<&str> = report.console.raw.lines().filter(|line| !line.starts_with("::add-mask::")).collect();
        canaries.search("the log", raw.join("\n").as_bytes());
        canaries.search("docker run", report.command_line.join(" ").as_bytes());
        canaries.search("annotations", format!("{:?}", report.console.annotations).as_bytes());
        for call in self.discord.calls() {
            // The address is a secret that its service is told.
            let query = call.path.split_once('?').map(|(_, query)| query).unwrap_or_default();
            canaries.search("a message", format!("{query} {}", call.body).as_bytes());
        }
        canaries.search("the summary", report.summary.as_bytes());
        // Outputs, state, summary, HOME and RUNNER_TEMP are all below it.
        canaries.search_files(&self.run.machine.temp, &self.files);
        canaries.search_files(&self.run.step.workspace, &self.files);
        self.search_registries();
        self.search_engine();
    }

    /// Manifests, configurations and layers, unpacked, of what was pushed.
    fn search_registries(&self) {
        for (store, repository) in &self.stores {
            let root = format!("{}/registries/{store}/data/docker/registry/v2", lab::var("BUILD_DEPLOY_LAB"));
            for kind in ["_layers/sha256", "_manifests/revisions/sha256"] {
                let directory = format!("{root}/repositories/{repository}/{kind}");
                for link in fs::read_dir(directory).into_iter().flatten().flatten() {
                    let hex = link.file_name().into_string().unwrap();
                    let blob = format!("{root}/blobs/sha256/{}/{hex}/data", &hex[..2]);
                    self.canaries.search(&blob, &fs::read(&blob).unwrap());
                    let unpacked = Command::new("gzip").args(["-dcq", &blob]).output().unwrap();
                    self.canaries.search(&format!("{blob}, unpacked"), &unpacked.stdout);
                }
            }
        }
    }

    /// What the daemon keeps: its build history and records, and its log.
    fn search_engine(&self) {
        let directory = self.run.engine.socket().parent().unwrap().to_owned();
        self.canaries.search_files(&directory.join("data/buildkit"), &[]);
        self.canaries.search("the engine's log", &fs::read(directory.join("log")).unwrap());
        let images = self.run.engine.docker(&[
            "images",
            "-aq",
            "--no-trunc",
            "--filter",
            "label=org.opencontainers.image.revision",
        ]);
        for image in images.lines().take(3) {
            let history = self.run.engine.docker(&["history", "--no-trunc", image]);
            self.canaries.search("an image's history", history.as_bytes());
        }
    }
}

async fn nothing_leaks(engine: Engine, end: End) {
    let planted = planted(engine, end).await;
    let (running, mut lines) = planted.run.start();
    let container = running.container().to_owned();
    let report = match end {
        End::Cancelled | End::Killed => {
            line_with(&mut lines, "    asleep-now").await;
            planted.search_running(&container);
            if end == End::Killed {
                planted.run.engine.docker(&["kill", "--signal", "KILL", &container]);
                running.finish().await.unwrap()
            } else {
                running.cancel().await.unwrap()
            }
        }
        _ => running.finish().await.unwrap(),
    };
    let status = match end {
        End::Succeeds => 0,
        End::BadInput | End::BadCompose => 2,
        End::Cancelled => 130,
        End::Killed => 137,
        _ => 1,
    };
    assert_eq!(report.exit_code, status, "{engine:?}, {end:?}:\n{}", log(&report));
    planted.search_left(&report);
    match end {
        End::Succeeds => {
            for (store, repository) in &planted.stores {
                let path = format!("registries/{store}/data/docker/registry/v2/repositories/{repository}/_manifests");
                assert!(Path::new(&lab::var("BUILD_DEPLOY_LAB")).join(path).is_dir(), "{store} was pushed to");
            }
        }
        // It was there to be found.
        End::BuildFails => assert!(log(&report).contains("[redacted]"), "{}", log(&report)),
        _ => {}
    }
    let post = planted.run.machine.start(&planted.run.step, StageKind::Post, &report.state, None).unwrap();
    planted.search_left(&post.finish().await.unwrap());
}

macro_rules! nothing_leaks {
    ($($name:ident: $end:ident on $($engine:ident)+;)+) => {$(
        #[tokio::test]
        async fn $name() {
            for engine in [$(Engine::$engine),+] {
                nothing_leaks(engine, End::$end).await;
            }
        }
    )+};
}

nothing_leaks! {
    nothing_leaks_from_a_success: Succeeds on Named Classic Old;
    nothing_leaks_from_a_build_that_prints_its_secrets: BuildFails on Named Classic Old;
    nothing_leaks_from_a_refused_push: PushRefused on Named Classic Old;
    nothing_leaks_from_a_wrong_password: WrongPassword on Named Classic Old;
    nothing_leaks_from_bad_inputs: BadInput on Named;
    nothing_leaks_from_a_bad_compose_file: BadCompose on Named;
    nothing_leaks_from_a_role_that_is_refused: RoleRefused on Named;
    nothing_leaks_from_a_cancelled_run: Cancelled on Named Classic Old;
    nothing_leaks_from_a_killed_run: Killed on Named Classic Old;
}

//! A self-hosted runner behind a proxy that presents certificates of its own authority, with GitHub Enterprise Server.

use std::{
    collections::BTreeMap,
    fs,
    net::SocketAddr,
    sync::{Arc, Mutex},
};

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use rustls::{
    ServerConfig,
    pki_types::{CertificateDer, PrivateKeyDer},
};
use stand_ins::{
    console::Annotation,
    discord::Receiver,
    engine::Setup,
    github::{Access, GitHub, TOKEN},
    runner::StageReport,
};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _, copy_bidirectional},
    net::{TcpListener, TcpStream},
};
use tokio_rustls::TlsAcceptor;

use crate::run::{BASE, REPOSITORY, Run, World, log};

/// The credentials of the proxy, in base64.
const LOGIN: (&str, &str) = ("robot:proxy-canary", "cm9ib3Q6cHJveHktY2FuYXJ5");

/// A proxy that ends TLS, as those of companies do. It is the only way to its hosts, whose names do not resolve.
struct Proxy {
    address: SocketAddr,
    /// The certificate of its authority.
    authority: String,
    /// The hosts that it was asked for.
    asked: Arc<Mutex<Vec<String>>>,
}

impl Proxy {
    /// Starts a proxy to servers by host.
    async fn start(servers: BTreeMap<&'static str, String>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let issuer = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
        let authority = issuer.pem();
        let (issuer, servers) = (Arc::new(issuer), Arc::new(servers));
        let asked: Arc<Mutex<Vec<String>>> = Arc::default();
        let seen = asked.clone();
        tokio::spawn(async move {
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                tokio::spawn(serve(stream, issuer.clone(), servers.clone(), seen.clone()));
            }
        });
        Self { address, authority, asked }
    }

    fn asked(&self) -> Vec<String> {
        let mut asked = self.asked.lock().unwrap().clone();
        asked.sort();
        asked.dedup();
        asked
    }

    /// A run whose runner is behind the proxy and knows its authority.
    fn before(&self, mut run: Run) -> Run {
        let file = run.machine.temp.join("authority.pem");
        fs::write(&file, &self.authority).unwrap();
        let url = format!("http://{}@{}", LOGIN.0, self.address);
        let variables = [
            ("HTTPS_PROXY", url.as_str()),
            // The registry of the engine is on this machine.
            ("HTTP_PROXY", "http://127.0.0.1:1"),
            ("NO_PROXY", "127.0.0.1"),
            ("SSL_CERT_FILE", file.to_str().unwrap()),
        ];
        run.step.env.extend(variables.map(|(name, value)| (name.to_owned(), value.to_owned())));
        run.secret("proxy-canary")
    }
}

/// Answers a `CONNECT`, and passes on what is said inside TLS.
async fn serve(
    mut stream: TcpStream,
    issuer: Arc<CertifiedIssuer<'static, KeyPair>>,
    servers: Arc<BTreeMap<&'static str, String>>,
    asked: Arc<Mutex<Vec<String>>>,
) {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(stream.read_u8().await.unwrap());
    }
    let head = String::from_utf8(head).unwrap();
    let host = head.strip_prefix("CONNECT ").unwrap().split(':').next().unwrap().to_owned();
    asked.lock().unwrap().push(host.clone());
    assert!(
        head.to_ascii_lowercase().contains(&format!("proxy-authorization: basic {}", LOGIN.1.to_ascii_lowercase())),
        "{head}"
    );
    let Some(server) = servers.get(host.as_str()) else {
        stream.write_all(b"HTTP/1.1 502 Bad Gateway\r\n\r\n").await.unwrap();
        return;
    };
    stream.write_all(b"HTTP/1.1 200 OK\r\n\r\n").await.unwrap();
    let key = KeyPair::generate().unwrap();
    let certificate = CertificateParams::new(vec![host]).unwrap().signed_by(&key, &issuer).unwrap();
    let chain = vec![CertificateDer::from(certificate.der().to_vec())];
    let key = PrivateKeyDer::try_from(key.serialize_der()).unwrap();
    let tls = ServerConfig::builder().with_no_client_auth().with_single_cert(chain, key).unwrap();
    // A client that does not trust the certificate ends the handshake.
    let Ok(mut inside) = TlsAcceptor::from(Arc::new(tls)).accept(stream).await else { return };
    let mut server = TcpStream::connect(server).await.unwrap();
    let _ = copy_bidirectional(&mut inside, &mut server).await;
}

/// A run of the repository with a token for its enterprise server.
fn run(world: &World, hosts: &Hosts) -> Run {
    let mut run = world.run(&[("Dockerfile", BASE)]).with("github-token", TOKEN).secret(TOKEN);
    run.step.github.insert("GITHUB_API_URL".into(), "https://github.corp.example/api/v3".into());
    run.step.github.insert("GITHUB_SERVER_URL".into(), "https://github.corp.example".into());
    let webhook = hosts.discord.url_at("discord.corp.example").replace("http://", "https://");
    run.with("discord-webhook", &webhook)
}

/// Servers behind the proxy.
struct Hosts {
    discord: Receiver,
    github: GitHub,
    proxy: Proxy,
}

impl Hosts {
    async fn new(world: &World) -> Self {
        let listen = || "127.0.0.1:0".parse().unwrap();
        let discord = Receiver::listen(listen()).await.unwrap();
        let github = GitHub::start(listen(), REPOSITORY).await.unwrap();
        github.permit("contents", Access::Read);
        let authority = |url: String| url.split('/').nth(2).unwrap().to_owned();
        let servers = [
            ("discord.corp.example", authority(discord.url())),
            ("github.corp.example", authority(github.url())),
            ("registry.corp.example", world.registry.host.clone()),
        ];
        Self { proxy: Proxy::start(servers.into()).await, discord, github }
    }
}

fn warnings(report: &StageReport) -> Vec<&Annotation> {
    report.console.of_kind("warning").collect()
}

#[tokio::test]
async fn messages_and_questions_to_github_go_through_the_proxy() {
    let world = World::new(Setup::containerd()).await;
    let hosts = Hosts::new(&world).await;
    let report = hosts.proxy.before(run(&world, &hosts)).expect(0).await;
    assert!(warnings(&report).is_empty(), "{}", log(&report));
    assert_eq!(hosts.discord.messages().len(), 1);
    assert!(!hosts.github.calls().is_empty());
    // Those of `NO_PROXY` are asked directly.
    assert_eq!(hosts.proxy.asked(), ["discord.corp.example", "github.corp.example"]);
    assert!(world.tagged("", "main").is_some());
}

#[tokio::test]
async fn questions_to_registries_go_through_the_proxy() {
    let world = World::new(Setup::containerd()).await;
    let hosts = Hosts::new(&world).await;
    let mut run = run(&world, &hosts).with("registry", "registry.corp.example").with("pr-comment", "true");
    // It compares its images with those of the base branch.
    let event = [("EVENT_NAME", "pull_request"), ("REF", "refs/pull/7/merge"), ("BASE_REF", "main")];
    run.step.github.extend(event.map(|(name, value)| (format!("GITHUB_{name}"), value.to_owned())));
    let report = hosts.proxy.before(run).expect(0).await;
    assert!(hosts.proxy.asked().contains(&"registry.corp.example".to_owned()), "{}", log(&report));
    assert!(world.registry.count(&http::Method::HEAD) > 0, "{}", log(&report));
}

#[tokio::test]
async fn requests_to_aws_go_through_the_proxy() {
    let world = World::new(Setup::containerd()).await;
    let hosts = Hosts::new(&world).await;
    let mut run = run(&world, &hosts).with("registry", "123456789012.dkr.ecr.eu-west-1.amazonaws.com");
    let keys = [("AWS_ACCESS_KEY_ID", "AKIAIOSFODNN7EXAMPLE"), ("AWS_SECRET_ACCESS_KEY", "aws-canary")];
    run.step.env.extend(keys.map(|(name, value)| (name.to_owned(), value.to_owned())));
    let report = hosts.proxy.before(run).expect(1).await;
    assert!(hosts.proxy.asked().contains(&"api.ecr.eu-west-1.amazonaws.com".to_owned()), "{}", log(&report));
}

#[tokio::test]
async fn an_unknown_authority_is_named_with_the_variable_that_helps() {
    let world = World::new(Setup::containerd()).await;
    let hosts = Hosts::new(&world).await;
    let mut run = hosts.proxy.before(run(&world, &hosts));
    run.step.env.remove("SSL_CERT_FILE");
    let report = run.expect(0).await;
    let warnings = warnings(&report);
    assert!(warnings.iter().any(|warning| warning.message.contains("SSL_CERT_FILE")), "{warnings:#?}");
}

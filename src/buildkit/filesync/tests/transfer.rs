//! The packets that are sent for an entry, the answers to requests, and the errors for the daemon and the caller.

use std::{
    os::unix::{
        ffi::OsStrExt,
        fs::{FileTypeExt, MetadataExt, PermissionsExt},
        net::UnixListener,
    },
    time::{Duration, Instant},
};

use rustix::fs::{CWD, FileType, Mode, XattrFlags};

use super::*;

#[tokio::test]
async fn contents_arrive_whole() {
    let root = tree(&["file empty", "file small=hello", "dir dir", "file dir/other=world"]);
    let large: Vec<u8> = (0..300_000_u32).map(|at| (at % 251) as u8).collect();
    fs::write(root.path().join("large"), &large).unwrap();
    let exact = vec![7; 64 << 10];
    fs::write(root.path().join("exact"), &exact).unwrap();
    let received = send(root.path(), Ask::default()).await.unwrap();
    let contents: Vec<(&str, &[u8])> =
        received.contents.iter().map(|(path, content)| (path.as_str(), content.as_slice())).collect();
    assert_eq!(
        contents,
        [("dir/other", b"world".as_slice()), ("empty", b""), ("exact", &exact), ("large", &large), ("small", b"hello")]
    );
}

#[tokio::test]
async fn only_what_is_asked_for_is_sent_and_counted() {
    let root = tree(&["dir src", "file src/a=aaa", "file src/b=bbbbb", "file c=c", "file .dockerignore"]);
    let filesync = shared("api-context", root.path());
    let monitor = filesync.monitor();
    let mut client = connect(filesync).await;
    let plan = Plan { wanted: &|stat| stat.path == "src/b", between: None, after: None };
    let received = receive(&mut client, Ask { dir: "api-context", ..Ask::default() }, plan).await.unwrap();
    assert_eq!(received.contents.keys().collect::<Vec<_>>(), ["src/b"]);
    let [(name, stats)] = monitor.stats() else { panic!("one directory") };
    let counted = || (stats.files(), stats.sent_files(), stats.sent_bytes());
    assert_eq!((name.as_str(), counted()), ("api-context", (4, 1, 5)));
    let ignore_file = Ask { dir: "api-context", follow: &[".dockerignore"], ..Ask::default() };
    assert_eq!(receive(&mut client, ignore_file, EVERYTHING).await.unwrap().contents.len(), 1);
    assert_eq!(counted(), (4, 1, 5));
    // The same directory again on the same connection: ids start again, counters continue.
    receive(&mut client, Ask { dir: "api-context", ..Ask::default() }, EVERYTHING).await.unwrap();
    assert_eq!(counted(), (8, 5, 14));
    assert!(monitor.failure().is_none());
}

#[tokio::test]
async fn an_empty_directory_is_an_empty_list() {
    let root = tree(&[]);
    assert_eq!(send(root.path(), Ask::default()).await.unwrap().stats, []);
}

#[tokio::test]
async fn modes_times_and_owners_are_sent_as_fsutil_does() {
    let root = tree(&["file run", "file group", "dir tmp", "link l -> run"]);
    let at = |path: &str| root.path().join(path);
    for (path, mode) in [("run", 0o4755), ("group", 0o2711), ("tmp", 0o1777)] {
        fs::set_permissions(at(path), fs::Permissions::from_mode(mode)).unwrap();
    }
    let received = send(root.path(), Ask::default()).await.unwrap();
    for (path, mode) in [("run", 0x0080_01ed), ("group", 0x0040_01c9), ("tmp", 0x8010_01ff), ("l", 0x0800_01ff)] {
        let stat = received.stat(path);
        assert_eq!(stat.mode, mode, "{path}: {:#x}", stat.mode);
        assert_eq!((stat.uid, stat.gid), (0, 0));
        let real = fs::symlink_metadata(at(path)).unwrap();
        assert_eq!(stat.mod_time, real.mtime() * 1_000_000_000 + real.mtime_nsec(), "{path}");
        assert_eq!(stat.size, if path == "tmp" { 0 } else { i64::try_from(real.len()).unwrap() }, "{path}");
    }
}

#[tokio::test]
async fn later_names_of_a_file_are_links_to_the_first_kept_one() {
    let root = tree(&["file a=12345", "dir d", "file z"]);
    for name in ["b", "d/c"] {
        fs::hard_link(root.path().join("a"), root.path().join(name)).unwrap();
    }
    let received = send(root.path(), Ask::default()).await.unwrap();
    assert_eq!(received.lines(), ["file a", "file b >a", "dir d", "file d/c >a", "file z"]);
    assert_eq!(received.stat("b").size, 5);
    let received = send(root.path(), Ask { exclude: &["a"], ..Ask::default() }).await.unwrap();
    assert_eq!(received.lines(), ["file b", "dir d", "file d/c >b", "file z"]);
    assert_eq!(received.contents["b"], b"12345");
}

#[tokio::test]
async fn special_files_are_described_and_a_socket_is_an_empty_file() {
    let root = tree(&["file f"]);
    let _listener = UnixListener::bind(root.path().join("socket")).unwrap();
    rustix::fs::mknodat(CWD, root.path().join("fifo"), FileType::Fifo, Mode::from_raw_mode(0o644), 0).unwrap();
    assert!(fs::symlink_metadata(root.path().join("fifo")).unwrap().file_type().is_fifo());
    let received = send(root.path(), Ask::default()).await.unwrap();
    assert_eq!(received.lines(), ["file f", "file fifo", "file socket"]);
    assert_eq!(received.stat("fifo").mode & TYPE, 1 << 25);
    assert_eq!(received.stat("socket").mode & TYPE, 0);
    assert_eq!(received.contents["socket"], b"");
    assert!(!received.contents.contains_key("fifo"));

    let received = send(Path::new("/dev"), Ask { include: &["null"], ..Ask::default() }).await.unwrap();
    let null = received.stat("null");
    assert_eq!((null.mode & TYPE, null.devmajor, null.devminor), (1 << 26 | 1 << 21, 1, 3));
}

#[tokio::test]
async fn extended_attributes_are_sent_with_files_and_directories() {
    let root = tree(&["file plain", "file f", "dir d"]);
    let large = vec![b'x'; 2000];
    for (path, name, value) in [
        ("f", "user.empty", &b""[..]),
        ("f", "user.large", &large),
        ("d", "user.dir", b"1"),
        ("f", "user.a", b"\0\xff"),
    ] {
        rustix::fs::lsetxattr(root.path().join(path), name, value, XattrFlags::empty()).unwrap();
    }
    let received = send(root.path(), Ask::default()).await.unwrap();
    let of = |path: &str| received.stat(path).xattrs.clone().into_iter().collect::<BTreeMap<_, _>>();
    let want = |list: &[(&str, &[u8])]| {
        list.iter().map(|(name, value)| ((*name).to_owned(), value.to_vec())).collect::<BTreeMap<_, _>>()
    };
    // Systems with SELinux or similar add their own attributes.
    let user = |path| {
        let mut all = of(path);
        all.retain(|name, _| name.starts_with("user."));
        all
    };
    assert_eq!(user("f"), want(&[("user.a", b"\0\xff"), ("user.empty", b""), ("user.large", &large)]));
    assert_eq!(user("d"), want(&[("user.dir", b"1")]));
    assert_eq!(user("plain"), want(&[]));
}

#[tokio::test]
async fn names_and_patterns_may_be_of_any_language() {
    let root = tree(&["dir café", "file café/menü +1%.txt=x", "file café/☕.log", "file 日本"]);
    let received = receive(
        &mut connect(shared("größe", root.path())).await,
        Ask {
            dir: "größe",
            include: &[],
            exclude: &["**/*.log", "日*", "a b+c%"],
            follow: &["café/menü +1%.txt", "café/☕.log"],
        },
        EVERYTHING,
    )
    .await
    .unwrap();
    assert_eq!(received.lines(), ["dir café", "file café/menü +1%.txt"]);
}

#[tokio::test]
async fn files_in_memory_are_served_like_a_directory() {
    let file = |path: &str, content: &str| (path.to_owned(), content.as_bytes().to_vec());
    let files = vec![
        file("web.Dockerfile", "FROM web"),
        file("Dockerfile", "FROM scratch"),
        file("d/e/f", ""),
        file("d.x", ""),
    ];
    let source = Source::Memory(files);
    let filesync = FileSync::new(vec![SharedDir { name: "dockerfile".to_owned(), source }]);
    let mut client = connect(filesync).await;
    let dir = "dockerfile";
    let all = receive(&mut client, Ask { dir, ..Ask::default() }, EVERYTHING).await.unwrap();
    assert_eq!(all.lines(), ["file Dockerfile", "dir d", "dir d/e", "file d/e/f", "file d.x", "file web.Dockerfile"]);
    // BuildKit requests this first.
    let follow = &["Dockerfile", "Dockerfile.dockerignore", "dockerfile"];
    let one = receive(&mut client, Ask { dir, follow, ..Ask::default() }, EVERYTHING).await.unwrap();
    assert_eq!(one.contents, BTreeMap::from([("Dockerfile".to_owned(), b"FROM scratch".to_vec())]));
    assert_eq!((one.stat("Dockerfile").size, one.stat("Dockerfile").mode), (12, 0o644));
}

#[tokio::test]
async fn a_path_in_memory_has_to_be_one() {
    for path in ["/Dockerfile", "../x", "", ".", "a//b", "a/", "file/below"] {
        let files = vec![("file".to_owned(), Vec::new()), (path.to_owned(), Vec::new())];
        let filesync = FileSync::new(vec![SharedDir { name: "m".to_owned(), source: Source::Memory(files) }]);
        let result = receive(&mut connect(filesync).await, Ask { dir: "m", ..Ask::default() }, EVERYTHING).await;
        assert!(result.unwrap_err().contains("not a valid path for a file in memory"), "{path:?}");
    }
}

#[tokio::test]
async fn an_unknown_directory_is_not_found() {
    let root = tree(&[]);
    let mut client = connect(shared("context", root.path())).await;
    let status = refusal(&mut client, Ask { dir: "other", ..Ask::default() }).await;
    assert_eq!((status.code(), status.message()), (tonic::Code::NotFound, "no access allowed to dir \"other\""));
    let status = client.tar_stream(tokio_stream::empty()).await.unwrap_err();
    assert_eq!(status.code(), tonic::Code::Unimplemented);
}

/// Runs a transfer that fails; the daemon and the caller must hear the same.
async fn failure(path: &Path, ask: Ask<'_>, plan: Plan<'_>) -> String {
    let filesync = shared("context", path);
    let monitor = filesync.monitor();
    let text = receive(&mut connect(filesync).await, Ask { dir: "context", ..ask }, plan).await.unwrap_err();
    assert_eq!(monitor.failure().expect("the failure is kept").to_string(), text);
    text
}

#[tokio::test]
async fn a_missing_root_is_named() {
    let root = tree(&["file f"]);
    for (path, reason) in [("missing", "no such file or directory"), ("f", "not a directory")] {
        let path = root.path().join(path);
        let text = failure(&path, Ask::default(), EVERYTHING).await;
        assert!(text.contains(&format!("cannot open the directory `{}`: {reason}", path.display())), "{text}");
    }
}

#[tokio::test]
async fn a_root_may_be_a_link() {
    let root = tree(&["dir real", "file real/f", "link l -> real"]);
    assert_eq!(send(&root.path().join("l"), Ask::default()).await.unwrap().lines(), ["file f"]);
}

#[tokio::test]
async fn a_file_that_changes_after_the_list_is_named() {
    type Change = fn(&Path);
    let cases: [(&str, Change); 6] = [
        ("was deleted", |root| fs::remove_file(root.join("d/f")).unwrap()),
        ("is no longer a file", |root| {
            fs::remove_file(root.join("d/f")).unwrap();
            fs::create_dir(root.join("d/f")).unwrap();
        }),
        ("is no longer a file", |root| {
            fs::remove_file(root.join("d/f")).unwrap();
            symlink("/etc/passwd", root.join("d/f")).unwrap();
        }),
        ("is no longer a file", |root| {
            fs::remove_file(root.join("d/f")).unwrap();
            rustix::fs::mknodat(CWD, root.join("d/f"), FileType::Fifo, Mode::from_raw_mode(0o644), 0).unwrap();
        }),
        ("was modified", |root| fs::write(root.join("d/f"), "longer than before").unwrap()),
        // A directory on the way that becomes a link out of the context.
        ("is no longer a file", |root| {
            fs::rename(root.join("d"), root.join("moved")).unwrap();
            symlink(root.join("moved"), root.join("d")).unwrap();
        }),
    ];
    for (how, change) in cases {
        let root = tree(&["dir d", "file d/f=before", "file other"]);
        let plan =
            Plan { wanted: &|stat| stat.path == "d/f", between: Some(Box::new(|| change(root.path()))), after: None };
        let text = failure(root.path(), Ask::default(), plan).await;
        assert!(text.starts_with(&format!("`d/f` changed during the build: it {how}")), "{text}");
    }
}

#[tokio::test]
async fn what_is_not_utf8_is_named_unless_it_is_excluded() {
    let root = tree(&["file a", "dir d"]);
    fs::write(root.path().join("d").join(std::ffi::OsStr::from_bytes(b"caf\xe9.txt")), "").unwrap();
    let text = failure(root.path(), Ask::default(), EVERYTHING).await;
    assert!(text.starts_with("the name of `d/caf\u{fffd}.txt` is not UTF-8"), "{text}");
    let received = send(root.path(), Ask { exclude: &["**/*.txt"], ..Ask::default() }).await.unwrap();
    assert_eq!(received.lines(), ["file a", "dir d"]);

    let root = tree(&["file \u{fffd}"]);
    assert_eq!(send(root.path(), Ask::default()).await.unwrap().lines(), ["file \u{fffd}"]);
    symlink(std::ffi::OsStr::from_bytes(b"\xff"), root.path().join("l")).unwrap();
    let text = failure(root.path(), Ask::default(), EVERYTHING).await;
    assert!(text.starts_with("the link target of `l`"), "{text}");
}

/// Runs as a process without root's right to read everything.
fn without_override<T: Send>(work: impl AsyncFnOnce() -> T + Send) -> T {
    use rustix::thread::{CapabilitySet, capabilities, set_capabilities};
    let run = || {
        let mut sets = capabilities(None).unwrap();
        sets.effective.remove(CapabilitySet::DAC_OVERRIDE | CapabilitySet::DAC_READ_SEARCH);
        set_capabilities(None, sets).unwrap();
        // Threads that this one starts have no more rights than it.
        tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(work())
    };
    std::thread::scope(|scope| scope.spawn(run).join().unwrap())
}

#[test]
fn what_may_not_be_read_is_named_unless_it_is_excluded() {
    let root = tree(&["dir foo", "dir foo/bar", "file secret=x", "file ok"]);
    for path in ["foo/bar", "secret"] {
        fs::set_permissions(root.path().join(path), fs::Permissions::from_mode(0o000)).unwrap();
    }
    let list = |ask: Ask<'static>| without_override(async || send(root.path(), ask).await.map(|all| all.lines()));
    let ask = Ask::default();
    for exclude in [&["foo", "!foo/bar"][..], &["nothing"]] {
        let text = list(Ask { exclude, ..ask }).unwrap_err();
        assert!(text.starts_with("cannot read `foo/bar`: permission denied"), "{text}");
    }
    let text = without_override(async || failure(root.path(), Ask { exclude: &["foo"], ..ask }, EVERYTHING).await);
    assert!(text.starts_with("cannot read `secret`: permission denied"), "{text}");
    for exclude in [&["**/bar", "secret"][..], &["**/bar", "!foo/bar/baz", "secret"]] {
        assert_eq!(list(Ask { exclude, ..ask }).unwrap(), ["dir foo", "file ok"], "{exclude:?}");
    }
    let ask = Ask { include: &["foo", "!**/bar"], ..ask };
    assert_eq!(list(ask).unwrap(), ["dir foo"]);
    fs::set_permissions(root.path().join("foo/bar"), fs::Permissions::from_mode(0o755)).unwrap();
}

#[tokio::test]
async fn a_pattern_that_cannot_be_used_is_named() {
    let root = tree(&["file f"]);
    for (exclude, want) in
        [("!", "the pattern `!` has no path"), ("[a", "`[a` is not a valid"), ("[z-a]", "`[z-a]` is not a valid")]
    {
        let text = failure(root.path(), Ask { exclude: &[exclude], ..Ask::default() }, EVERYTHING).await;
        assert!(text.contains(want), "{text}");
    }
}

#[tokio::test]
async fn only_listed_files_may_be_asked_for_and_each_once() {
    let root = tree(&["dir d", "file f=x"]);
    for (ids, refused) in [(&[0][..], 0), (&[7], 7), (&[1, 1], 1)] {
        let (requests, stream) = mpsc::channel(8);
        let ask = Ask { dir: "context", ..Ask::default() };
        let mut client = connect(shared("context", root.path())).await;
        let mut packets = client.diff_copy(ask.request(ReceiverStream::new(stream))).await.unwrap().into_inner();
        while packets.message().await.unwrap().unwrap().stat.is_some() {}
        for id in ids {
            requests.send(packet(PacketType::PacketReq, *id)).await.unwrap();
        }
        let error = loop {
            let packet = packets.message().await.unwrap().unwrap();
            if packet.r#type() == PacketType::PacketErr {
                break String::from_utf8(packet.data).unwrap();
            }
        };
        assert!(error.starts_with(&format!("BuildKit requested file number {refused},")), "{error}");
    }
}

fn many(files: usize) -> tempfile::TempDir {
    let root = tempfile::tempdir().unwrap();
    for dir in 0..files / 100 {
        let dir = root.path().join(format!("dir{dir:03}"));
        fs::create_dir(&dir).unwrap();
        (0..100).for_each(|file| fs::write(dir.join(format!("file{file:02}.txt")), format!("{file:02}")).unwrap());
    }
    root
}

#[tokio::test]
async fn thousands_of_files_are_listed_and_sent() {
    let root = many(4_000);
    let exclude = &["**/__pycache__", "**/*.pyc", ".git", "node_modules", "*.log", "!keep.log", ".env*"];
    let began = Instant::now();
    let nothing = Plan { wanted: &|_| false, between: None, after: None };
    let ask = Ask { dir: "context", exclude, ..Ask::default() };
    let listed = receive(&mut connect(shared("context", root.path())).await, ask, nothing).await.unwrap();
    println!("4,000 files listed in {:?}", began.elapsed());
    assert_eq!((listed.stats.len(), listed.contents.len()), (4_040, 0));
    let began = Instant::now();
    let received = send(root.path(), Ask { exclude, ..Ask::default() }).await.unwrap();
    println!("4,000 files sent in {:?}", began.elapsed());
    assert_eq!(received.contents.len(), 4_000);
    assert!(received.contents.iter().all(|(path, content)| path.as_bytes()[11..13] == **content));
}

/// A receiver that disconnects must not leave a thread behind; the runtime of this test waits for its threads at the end.
#[tokio::test]
async fn a_daemon_that_goes_away_ends_the_work() {
    let root = many(2_000);
    for packets_read in [0, 10] {
        let (requests, stream) = mpsc::channel(8);
        let ask = Ask { dir: "context", ..Ask::default() };
        let mut client = connect(shared("context", root.path())).await;
        let mut packets = client.diff_copy(ask.request(ReceiverStream::new(stream))).await.unwrap().into_inner();
        for _ in 0..packets_read {
            packets.message().await.unwrap().unwrap();
        }
        if packets_read > 1 {
            requests.send(packet(PacketType::PacketReq, 1)).await.unwrap();
        }
    }
}

#[tokio::test]
async fn an_error_of_the_daemon_ends_the_call() {
    let root = tree(&["file f"]);
    let (requests, stream) = mpsc::channel(8);
    let filesync = shared("context", root.path());
    let monitor = filesync.monitor();
    let mut client = connect(filesync).await;
    let ask = Ask { dir: "context", ..Ask::default() };
    let mut packets = client.diff_copy(ask.request(ReceiverStream::new(stream))).await.unwrap().into_inner();
    let error = Packet { data: b"disk full".to_vec(), ..packet(PacketType::PacketErr, 0) };
    requests.send(error).await.unwrap();
    let end = async {
        loop {
            if let Err(status) = packets.message().await {
                return status;
            }
        }
    };
    let status = tokio::time::timeout(Duration::from_secs(20), end).await.unwrap();
    assert_eq!(status.message(), "error from receiver: disk full");
    assert!(monitor.failure().is_none(), "it is not ours");
}

/// More patterns than fit into hyper's usual 16 KiB of headers, as a large `.dockerignore` makes them.
#[tokio::test]
async fn very_many_patterns_are_read() {
    let root = tree(&["file keep", "file x999"]);
    let patterns: Vec<String> = (0..3_000).map(|at| format!("some/long/directory/x{at}")).collect();
    let mut exclude: Vec<&str> = patterns.iter().map(String::as_str).collect();
    exclude.push("x999");
    assert_eq!(send(root.path(), Ask { exclude: &exclude, ..Ask::default() }).await.unwrap().lines(), ["file keep"]);
}

/// The daemon writes thousands of requests, each in a separate frame, before we read one. With the default limits, `h2`
/// treats that as an attack and closes the connection.
#[tokio::test]
async fn a_flood_of_requests_is_no_attack() {
    let root = many(5_000);
    let (ours, theirs) = tokio::io::duplex(4 << 20);
    let (listed, end_of_list) = tokio::sync::oneshot::channel();
    let (stand_still, standing_still) = std::sync::mpsc::channel();
    let (all_written, wait) = std::sync::mpsc::channel();
    let (received, end) = tokio::sync::oneshot::channel();
    let filesync = shared("context", root.path());
    let server = std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            tokio::spawn(serve(filesync, ours));
            let () = end_of_list.await.unwrap();
            // While this thread waits, the server does not run either.
            stand_still.send(()).unwrap();
            let () = wait.recv().unwrap();
            let () = end.await.unwrap();
        });
    });
    let plan = Plan {
        wanted: &|_| true,
        between: Some(Box::new(move || {
            listed.send(()).unwrap();
            standing_still.recv().unwrap();
        })),
        after: Some((5_000, Box::new(move || all_written.send(()).unwrap()))),
    };
    let ask = Ask { dir: "context", ..Ask::default() };
    let all = receive(&mut client(theirs).await, ask, plan).await.unwrap();
    assert_eq!(all.contents.len(), 5_000);
    received.send(()).unwrap();
    server.join().unwrap();
}

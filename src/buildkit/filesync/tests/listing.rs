//! Which entries are listed, and in which order: fsutil's tables, and random trees.

use proptest::prelude::*;

use super::*;

async fn lines(path: &Path, ask: Ask<'_>) -> Vec<String> {
    send(path, ask).await.unwrap().lines()
}

#[tokio::test]
async fn include_patterns_bring_their_parents() {
    let root = tree(&["dir bar", "file bar/foo", "file foo2"]);
    let bar = &["dir bar", "file bar/foo"][..];
    for (include, want) in [
        ("bar", bar),
        ("bar/foo", bar),
        ("b*", bar),
        ("bar/f*", bar),
        ("bar/g*", &[]),
        ("f*", &["file foo2"]),
        ("b*/f*", bar),
        ("b*/foo", bar),
        ("b*/", bar),
    ] {
        assert_eq!(lines(root.path(), Ask { include: &[include], ..Ask::default() }).await, want, "{include}");
    }
}

#[tokio::test]
async fn double_stars_include_at_any_depth() {
    let root = tree(&[
        "dir a",
        "dir a/b",
        "dir a/b/baz",
        "dir a/b/bar",
        "file a/b/bar/foo",
        "file a/b/bar/fop",
        "dir bar",
        "file bar/foo",
        "dir baz",
        "file foo2",
        "dir foo",
        "dir foo/bar",
        "file foo/bar/bee",
    ]);
    let both_foo = "dir a,dir a/b,dir a/b/bar,file a/b/bar/foo,dir bar,file bar/foo";
    let all_f = "dir a,dir a/b,dir a/b/bar,file a/b/bar/foo,file a/b/bar/fop,dir bar,file bar/foo";
    for (include, want) in [
        (
            "**",
            "dir a,dir a/b,dir a/b/bar,file a/b/bar/foo,file a/b/bar/fop,dir a/b/baz,dir bar,file bar/foo,dir baz,\
             dir foo,dir foo/bar,file foo/bar/bee,file foo2",
        ),
        ("**/bar", &format!("{all_f},dir foo,dir foo/bar,file foo/bar/bee")),
        ("**/bar/foo", both_foo),
        (
            "**/b*",
            "dir a,dir a/b,dir a/b/bar,file a/b/bar/foo,file a/b/bar/fop,dir a/b/baz,dir bar,file bar/foo,dir baz,\
             dir foo,dir foo/bar,file foo/bar/bee",
        ),
        ("**/bar/f*", all_f),
        ("**/bar/g*", ""),
        ("**/f*", &format!("{all_f},dir foo,dir foo/bar,file foo/bar/bee,file foo2")),
        ("**/b*/f*", all_f),
        ("**/b*/foo", both_foo),
        ("**/foo/**", "dir foo,dir foo/bar,file foo/bar/bee"),
        ("**/baz", "dir a,dir a/b,dir a/b/baz,dir baz"),
    ] {
        assert_eq!(
            lines(root.path(), Ask { include: &[include], ..Ask::default() }).await.join(","),
            want,
            "{include}"
        );
    }
}

#[tokio::test]
async fn exceptions_bring_back_what_was_excluded() {
    let root = tree(&["file bar", "dir foo", "file foo2", "file foo/bar2"]);
    let ask = Ask { exclude: &["foo*", "!foo/bar2"], ..Ask::default() };
    assert_eq!(lines(root.path(), ask).await, ["file bar", "dir foo", "file foo/bar2"]);
}

/// The patterns that BuildKit makes of a `.dockerignore`, together with what the Dockerfile copies.
#[tokio::test]
async fn a_dockerignore_is_honoured() {
    let root = tree(&[
        "file .dockerignore=*.log",
        "dir .git",
        "file .git/config",
        "dir docs",
        "file docs/keep.md",
        "file docs/x.md",
        "file requirements.txt",
        "file run.log",
        "dir src",
        "file src/app.py",
        "file src/app.log",
        "dir src/node_modules",
        "file src/node_modules/x.js",
        "dir src/pkg",
        "dir src/pkg/node_modules",
        "dir web",
        "file web/x",
    ]);
    let exclude = &["*.log", "docs", "!docs/keep.md", "**/node_modules", ".git"];
    assert_eq!(
        lines(root.path(), Ask { exclude, follow: &["requirements.txt", "src"], ..Ask::default() }).await,
        ["file requirements.txt", "dir src", "file src/app.log", "file src/app.py", "dir src/pkg"]
    );
    assert_eq!(
        lines(root.path(), Ask { exclude, ..Ask::default() }).await,
        [
            "file .dockerignore",
            "dir docs",
            "file docs/keep.md",
            "file requirements.txt",
            "dir src",
            "file src/app.log",
            "file src/app.py",
            "dir src/pkg",
            "dir web",
            "file web/x"
        ]
    );
    let only = Ask { follow: &[".dockerignore"], ..Ask::default() };
    assert_eq!(lines(root.path(), only).await, ["file .dockerignore"]);
}

#[tokio::test]
async fn siblings_are_ordered_by_bytes_and_a_directory_stays_together() {
    let root = tree(&[
        "dir a", "file a/x", "file a.b", "file a-b", "file A", "file é", "dir z", "file z/1", "file z0", "dir leer",
    ]);
    assert_eq!(
        lines(root.path(), Ask::default()).await,
        ["file A", "dir a", "file a/x", "file a-b", "file a.b", "dir leer", "dir z", "file z/1", "file z0", "file é"]
    );
}

#[tokio::test]
async fn followed_links_bring_their_targets() {
    let root = tree(&[
        "file bar",
        "dir foo",
        "link foo/l1 -> /baz/one",
        "link foo/l2 -> /baz/two",
        "dir baz",
        "file baz/one",
        "link baz/two -> ../bax",
        "file bax",
        "file bay",
    ]);
    assert_eq!(
        lines(root.path(), Ask { follow: &["foo/l*", "bar"], ..Ask::default() }).await,
        [
            "file bar",
            "file bax",
            "dir baz",
            "file baz/one",
            "link baz/two -> ../bax",
            "dir foo",
            "link foo/l1 -> /baz/one",
            "link foo/l2 -> /baz/two"
        ]
    );
    let root = tree(&["link foo -> .", "file bar", "dir bay", "file bay/baz"]);
    assert_eq!(
        lines(root.path(), Ask { follow: &["foo"], ..Ask::default() }).await,
        ["file bar", "dir bay", "file bay/baz", "link foo -> ."]
    );
}

/// fsutil's table of `FollowLinks`; `None` means everything.
#[test]
fn links_resolve_as_in_fsutil() {
    let simple = tree(&["dir dir", "file dir/foo", "link dir/l1 -> foo", "link l2 -> dir/l1", "file bar", "file baz"]);
    let loops = tree(&["link l1 -> l1", "link l3 -> l2", "link l2 -> l3"]);
    let absolute = tree(&["dir dir", "link dir/l1 -> /foo/bar/baz", "dir foo", "link foo/bar -> ../", "file baz"]);
    let outside = tree(&["dir dir", "link dir/l1 -> /foo/bar/baz", "dir foo", "link foo/bar -> ../../../", "file baz"]);
    let empty = tree(&[]);
    let rooted = tree(&["dir dir", "link dir/l1 -> /foo", "link dir/l2 -> /", "dir foo", "file foo/bar"]);
    let wild = tree(&[
        "dir dir",
        "dir foo",
        "link dir/l1 -> /foo/bar1",
        "link dir/l2 -> /foo/bar2",
        "link dir/anotherlink -> /foo/bar3",
        "link foo/bar2 -> ../baz",
        "file foo/bar1",
        "file foo/bar3",
        "file baz",
    ]);
    for (root, paths, want) in [
        (&simple, &["l2", "bar"][..], Some(&["bar", "dir/foo", "dir/l1", "l2"][..])),
        (&loops, &["l1", "l3"], Some(&["l1", "l2", "l3"])),
        (&absolute, &["dir/l1"], Some(&["baz", "dir/l1", "foo/bar"])),
        (&outside, &["dir/l1"], Some(&["baz", "dir/l1", "foo/bar"])),
        (&empty, &["foo/bar/baz", "bar/baz"], Some(&["bar/baz", "foo/bar/baz"])),
        (&empty, &["."], None),
        (&empty, &["/"], None),
        (&empty, &["f*/foo/t*"], Some(&["f*/foo/t*"])),
        (&empty, &["../x"], Some(&["../x"])),
        (&empty, &["foo/bar/baz", "foo/bar"], Some(&["foo/bar"])),
        (&rooted, &["dir/l1", "foo/bar"], Some(&["dir/l1", "foo"])),
        (&rooted, &["dir/l2", "foo", "foo/bar"], None),
        (&wild, &["dir/l*"], Some(&["baz", "dir/l*", "foo/bar1", "foo/bar2"])),
        (&wild, &["dir"], Some(&["dir"])),
        (&wild, &["dir", "dir/*link"], Some(&["dir", "foo/bar3"])),
    ] {
        let disk = disk::Disk::open(root.path()).unwrap();
        let given: Vec<String> = paths.iter().map(|path| (*path).to_owned()).collect();
        let got = follow::follow(&disk, &given).unwrap();
        let want = want.map(|paths| paths.iter().map(|path| (*path).to_owned()).collect::<Vec<_>>());
        assert_eq!(got, want, "{paths:?}");
    }
}

/// The walk of a tree on disk and of the same one in memory, without a connection.
fn walked(files: &[String], include: &[String], exclude: &[String]) -> [Vec<String>; 2] {
    let root = tempfile::tempdir().unwrap();
    for file in files {
        let path = root.path().join(file);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, "").unwrap();
    }
    let filter = filter::Filter::new(include, exclude).unwrap();
    let mut on_disk = Vec::new();
    let tree = disk::Disk::open(root.path()).unwrap();
    walk::walk(&tree, &filter, &mut |listed| {
        on_disk.push(listed.stat);
        Ok(())
    })
    .unwrap();
    let mut in_memory = Vec::new();
    let memory = memory::Memory::new(files.iter().map(|file| (file.clone(), Vec::new())).collect());
    memory
        .walk(&filter, &mut |listed| {
            in_memory.push(listed.stat);
            Ok(())
        })
        .unwrap();
    [on_disk, in_memory].map(|stats| {
        let mut validator = Validator::default();
        for stat in &stats {
            validator.check(stat).unwrap();
        }
        stats.into_iter().map(|stat| stat.path).collect()
    })
}

/// Filters every path separately, without skipping any: the matches, and the directories above them.
fn without_shortcuts(files: &[String], include: &[String], exclude: &[String]) -> BTreeSet<String> {
    let paths: BTreeSet<&str> = files
        .iter()
        .flat_map(|file| file.match_indices('/').map(|(at, _)| &file[..at]).chain([file.as_str()]))
        .collect();
    let fits = |patterns: &[String], path: &str| pattern::tests::reference(patterns, path).unwrap();
    let kept = paths.into_iter().filter(|path| (include.is_empty() || fits(include, path)) && !fits(exclude, path));
    kept.flat_map(|path| path.match_indices('/').map(|(at, _)| &path[..at]).chain([path])).map(str::to_owned).collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(100))]

    #[test]
    fn the_walk_lists_what_matches_in_order(
        files in prop::collection::btree_set("([ab][.a]?/){0,3}[cd][.x]?", 1..12),
        include in prop::collection::vec("(\\*\\*/)?[ab]\\*?(/[abcd*]|/\\*\\*)?", 0..3),
        exclude in prop::collection::vec("!?(\\*\\*/)?[abc]\\*?(/[abcd*]|/\\*\\*)?", 0..4),
    ) {
        let files: Vec<String> = files.into_iter().collect();
        let want = without_shortcuts(&files, &include, &exclude);
        for got in walked(&files, &include, &exclude) {
            prop_assert_eq!(got.into_iter().collect::<BTreeSet<_>>(), want.clone());
        }
    }
}

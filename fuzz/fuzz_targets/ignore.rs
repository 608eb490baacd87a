//! Patterns of `.dockerignore`: excluded ones, included ones, and a path.

#![no_main]

use build_deploy_fuzz::{
    bounded,
    filesync::{glob_matches, is_left_out},
    parts,
};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let parts = parts(data);
    let lines = |part: usize| -> Vec<String> {
        parts.get(part).map(|text| text.lines().map(str::to_owned).collect()).unwrap_or_default()
    };
    let (exclude, include) = (lines(0), lines(1));
    // Each directory above the file costs as much as the file itself.
    let path = parts.get(2).filter(|path| path.len() <= 512).map_or("a/b.c", String::as_str);
    bounded(|| {
        let _ = is_left_out(&exclude, &include, path);
        for pattern in &exclude {
            let _ = glob_matches(pattern, path);
        }
    });
});

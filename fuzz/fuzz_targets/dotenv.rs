//! A `.env` file.

#![no_main]

use std::collections::BTreeMap;

use build_deploy_fuzz::compose::dotenv::parse_into;
use build_deploy_fuzz::{bounded, parts};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let files = parts(data);
    let environment = BTreeMap::from([("OUTER".to_owned(), "outer".to_owned())]);
    bounded(|| {
        let mut values = BTreeMap::new();
        for file in &files {
            let _ = parse_into(".env", file, &environment, &mut values);
        }
    });
});

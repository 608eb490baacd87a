//! A compose project of several files.

#![no_main]

use std::collections::BTreeMap;

use build_deploy_fuzz::compose::{Files, Request, load};
use build_deploy_fuzz::{bounded, parts};
use libfuzzer_sys::fuzz_target;

const NAMES: [&str; 6] = ["compose.yaml", ".env", "a.yaml", "b.yaml", "c/compose.yaml", "c/.env"];

struct Given(BTreeMap<&'static str, String>);

impl Files for Given {
    fn read(&self, path: &str) -> Result<Option<Vec<u8>>, String> {
        Ok(self.0.get(path).map(|text| text.clone().into_bytes()))
    }
}

fuzz_target!(|data: &[u8]| {
    let files = Given(NAMES.into_iter().zip(parts(data)).collect());
    let env: BTreeMap<String, String> = [("SET", "set"), ("EMPTY", "")].map(|(k, v)| (k.into(), v.into())).into();
    bounded(|| {
        for profiles in [vec![], vec!["*".to_owned()]] {
            let request = Request { env: env.clone(), profiles, ..Request::default() };
            if let Err(error) = load(&request, &files) {
                let _ = error.place();
                assert!(!error.to_string().is_empty());
            }
        }
    });
});

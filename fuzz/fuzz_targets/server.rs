//! What a server says: its releases, its containers, and what is there.

#![no_main]

use std::{collections::BTreeMap, time::Duration};

use build_deploy_fuzz::{
    bounded,
    deploy::{
        compose,
        judge::{Container, Judge},
        plan::{Plan, Side, repository},
    },
    parts,
};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let parts = parts(data);
    let part = |i: usize| parts.get(i).map_or("", String::as_str);
    bounded(|| {
        compose::records(part(0), part(0).len() % 7);
        compose::probe(part(0));
        let _ = repository(part(0));
        let plan: Option<Plan> = serde_json::from_str(part(1)).ok();
        let expected = plan.map_or_else(BTreeMap::new, |plan| {
            let _ = (plan.is_done(), plan.has_way_back(), plan.difference(), plan.services());
            let _ = plan.expected(Side::Previous);
            plan.expected(Side::Next)
        });
        let containers: Vec<Container> = parts.iter().filter_map(|one| compose::container(part(2), one, part(3))).collect();
        let mut judge = Judge::new(expected, Duration::from_secs(2), Duration::from_secs(9));
        for second in 0..10 {
            let _ = judge.see(Duration::from_secs(second), &containers[..containers.len().min(9)]);
        }
    });
});

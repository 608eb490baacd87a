//! Parses `cache`, `cache-from` and `cache-to`.

use super::Reader;
use crate::inputs::{
    cache::{CacheService, CacheSpec, cache_spec},
    typed::{Cache, CacheInputs},
};

impl Reader<'_> {
    pub(super) fn caches(&mut self) -> CacheInputs {
        let choices = [
            ("auto", Cache::Auto),
            ("gha", Cache::Gha),
            ("registry", Cache::Registry),
            ("inline", Cache::Inline),
            ("off", Cache::Off),
        ];
        let kind = self.choice("cache", &choices, Cache::Auto);
        let (from, to) = (self.cache_specs("cache-from"), self.cache_specs("cache-to"));
        let service = CacheService::of(self.env);
        let secrets = from.iter().chain(&to).flat_map(CacheSpec::secrets);
        let secrets = secrets.chain(service.iter().map(|service| service.token.clone())).collect();
        CacheInputs { kind, from, to, service, secrets }
    }

    fn cache_specs(&mut self, input: &str) -> Vec<CacheSpec> {
        let mut specs = Vec::new();
        for line in self.list(input) {
            match cache_spec(&line) {
                Ok(spec) => specs.push(spec),
                // The line may contain a key, so the error does not contain it.
                Err(reason) => self.reject_hidden(input, reason.problem, reason.hint),
            }
        }
        specs
    }
}

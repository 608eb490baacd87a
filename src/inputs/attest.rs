//! Parses attestations that inputs and compose files request: `true`, `false` or BuildKit attributes.

use super::{
    typed::Attest,
    values::{boolean, pair},
};
use crate::domain::invalid::Invalid;

/// Parses a requested attestation; `None` for `false`.
pub fn attest(text: &str) -> Result<Option<Attest>, Invalid> {
    if let Some(wanted) = boolean(text) {
        return Ok(wanted.then(Attest::default));
    }
    for field in text.split(',') {
        match pair(field) {
            None => {
                let hint = "use `true`, `false`, or attributes such as `mode=max`";
                return Err(Invalid::new(format!("has `{}`, which is not an attribute", field.trim()), hint));
            }
            Some(("mode", mode)) if !matches!(mode, "min" | "max") => {
                return Err(Invalid::new(format!("has the unknown mode `{mode}`"), "use `mode=min` or `mode=max`"));
            }
            // As with `docker build --provenance`.
            Some(("disabled", value)) if boolean(value) == Some(true) => return Ok(None),
            Some(_) => {}
        }
    }
    Ok(Some(Attest(text.split(',').map(str::trim).collect::<Vec<_>>().join(","))))
}

#[cfg(test)]
mod tests {
    use super::attest;
    use crate::inputs::typed::Attest;

    #[test]
    fn switches_and_attributes() {
        let wanted = |text: &str| Ok(Some(Attest(text.to_owned())));
        assert_eq!(attest("true"), wanted(""));
        assert_eq!(attest("false"), Ok(None));
        assert_eq!(attest("mode=max, builder-id=x"), wanted("mode=max,builder-id=x"));
        assert_eq!(attest("disabled=true"), Ok(None));
        for bad in ["maybe", "mode=full", "mode=max,x", "=x"] {
            assert!(attest(bad).is_err(), "{bad}");
        }
    }
}

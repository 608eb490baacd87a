//! Reads attestations as compose files and inputs ask for them: `true`, `false`, or BuildKit's attributes.

use super::{
    structured::Complaint,
    typed::Attest,
    values::{boolean, pair},
};

/// `None` if nothing is to be attested (`false`).
pub fn attest(text: &str) -> Result<Option<Attest>, Complaint> {
    if let Some(wanted) = boolean(text) {
        return Ok(wanted.then(Attest::default));
    }
    let fix = || "write `true`, `false`, or attributes such as `mode=max`".to_owned();
    for field in text.split(',') {
        match pair(field) {
            None => return Err((format!("has `{}`, which is no attribute", field.trim()), fix())),
            Some(("mode", mode)) if !matches!(mode, "min" | "max") => {
                return Err((format!("has the mode `{mode}`"), "write `mode=min` or `mode=max`".to_owned()));
            }
            // As `docker build --provenance` takes it.
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

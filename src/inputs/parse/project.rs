//! Parses the inputs about the project's location and its images.

use super::Reader;
use crate::inputs::{
    error::InputError,
    images::images,
    typed::{LoneInput, ProjectInputs},
};

impl Reader<'_> {
    pub(super) fn project(&mut self) -> ProjectInputs {
        let compose_files = self.list("compose-file");
        for file in compose_files.iter().filter(|file| file.rsplit_once('.').is_some_and(|(_, end)| end == "hcl")) {
            let hint = "list compose files, and set what only the Bake file contains with `images`";
            self.reject("compose-file", file, "is a Bake file", hint);
        }
        let images = self.raw.get("images").map(|text| images(text, self.env, self.dialect()));
        ProjectInputs {
            working_directory: self.text("working-directory").unwrap_or_else(|| ".".to_owned()),
            lone: self.lone(),
            compose_files,
            profiles: self.comma_list("profiles"),
            services: self.comma_list("services"),
            images: match images {
                None => Vec::new(),
                Some(Ok(images)) => images,
                Some(Err(mistakes)) => {
                    self.mistakes.extend(mistakes);
                    Vec::new()
                }
            },
            env_files: self.list("env-file"),
        }
    }

    /// Returns the inputs `context` and `file`, which describe a project with a single image.
    fn lone(&mut self) -> Option<LoneInput> {
        let lone = LoneInput { context: self.text("context"), file: self.text("file") };
        let given = match &lone {
            LoneInput { context: None, file: None } => return None,
            LoneInput { context: Some(_), .. } => "context",
            LoneInput { .. } => "file",
        };
        for other in ["compose-file", "profiles", "services", "images"] {
            if self.raw.written(other).is_some() {
                let problem = format!("cannot be combined with `{other}`, which is for projects of several images");
                let hint = "remove one of them; items of `images` have a `context` and a `dockerfile`";
                self.mistakes.push(InputError::hidden(given, problem, hint));
            }
        }
        Some(lone)
    }
}

#[cfg(test)]
mod tests {
    use crate::inputs::{cli::RawInputs, parse::parse, runner::RunnerEnv};

    #[test]
    fn inputs_for_one_image() {
        let lone = |written: &[(&str, &str)]| {
            let mut raw = RawInputs::default();
            for (name, value) in written {
                raw.set(name, value).unwrap();
            }
            parse(&raw, &RunnerEnv::default()).map(|inputs| inputs.project.lone)
        };
        assert_eq!(lone(&[]).unwrap(), None);
        let mistakes = lone(&[("compose-file", "docker-bake.hcl")]).unwrap_err();
        assert!(mistakes[0].to_string().contains("is a Bake file"), "{mistakes:?}");
        let mistakes = lone(&[("file", "x"), ("services", "web")]).unwrap_err();
        assert_eq!(
            mistakes[0].to_string(),
            "input `file`: cannot be combined with `services`, which is for projects of several images; remove one of them; \
             items of `images` have a `context` and a `dockerfile`"
        );
    }
}

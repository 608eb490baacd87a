//! Reads the inputs that say where the project lies and which images it is.

use super::Reader;
use crate::inputs::{
    error::InputError,
    structured,
    typed::{LoneInput, ProjectInputs},
};

impl Reader<'_> {
    pub(super) fn project(&mut self) -> ProjectInputs {
        let compose_files = self.list("compose-file");
        for file in compose_files.iter().filter(|file| file.rsplit_once('.').is_some_and(|(_, end)| end == "hcl")) {
            let fix = "name compose files; what a Bake file says more goes into `images`";
            self.wrong("compose-file", file, "is a Bake file", fix);
        }
        let images = self.raw.get("images").map(|text| structured::images(text, self.env, self.dialect()));
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

    /// The inputs `context` and `file`. They say what the project is, and so do those that tell of several images.
    fn lone(&mut self) -> Option<LoneInput> {
        let lone = LoneInput { context: self.text("context"), file: self.text("file") };
        let given = match &lone {
            LoneInput { context: None, file: None } => return None,
            LoneInput { context: Some(_), .. } => "context",
            LoneInput { .. } => "file",
        };
        for other in ["compose-file", "profiles", "services", "images"] {
            if self.raw.written(other).is_some() {
                let problem = format!("is for a project that is one image, and `{other}` is for several");
                let fix = "leave one of them out; an item of `images` has a `context` and `dockerfile` of its own";
                self.mistakes.push(InputError::hidden(given, problem, fix));
            }
        }
        Some(lone)
    }
}

#[cfg(test)]
mod tests {
    use crate::inputs::{cli::RawInputs, parse::parse, runner::RunnerEnv};

    #[test]
    fn one_image_is_not_several() {
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
            "input `file`: is for a project that is one image, and `services` is for several; leave one of them out; an \
             item of `images` has a `context` and `dockerfile` of its own"
        );
    }
}

//! What the runner gives a container: its environment, its mounts, and the arguments of `docker run`.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
};

use super::{Machine, StageKind, Step};

const LABEL: &str = "fe1400";

impl Machine {
    /// The environment of a stage, in the runner's order: later wins. `mounts` says where directories of this machine
    /// are for the stage.
    pub(super) fn environment(
        &self,
        step: &Step,
        state: &BTreeMap<String, String>,
        id: &str,
        mounts: &[(PathBuf, PathBuf)],
    ) -> BTreeMap<String, String> {
        let mut env = step.env.clone();
        env.extend(state.iter().map(|(name, value)| (format!("STATE_{name}"), value.clone())));
        for (name, default) in &step.action.inputs {
            let given = step.with.iter().find(|(key, _)| key.eq_ignore_ascii_case(name));
            let value = given.map_or_else(|| evaluated(default, &step.expressions), |(_, value)| value.clone());
            env.insert(input_name(name), value);
        }
        // Undeclared ones are exported too, with a warning.
        env.extend(step.with.iter().map(|(name, value)| (input_name(name), value.clone())));
        env.insert("HOME".into(), self.temp.join("_github_home").display().to_string());
        env.extend(step.github.clone());
        for (name, file) in [
            ("GITHUB_PATH", "add_path"),
            ("GITHUB_ENV", "set_env"),
            ("GITHUB_STEP_SUMMARY", "step_summary"),
            ("GITHUB_STATE", "save_state"),
            ("GITHUB_OUTPUT", "set_output"),
            ("GITHUB_ARTIFACTS", "artifacts"),
            ("GITHUB_ARTIFACTS_LIST", "artifacts_list"),
        ] {
            let file = format!("_runner_file_commands/{file}_{id}");
            env.insert(name.into(), self.temp.join(file).display().to_string());
        }
        for (name, path) in [
            ("GITHUB_WORKSPACE", step.workspace.clone()),
            ("GITHUB_EVENT_PATH", self.temp.join("_github_workflow/event.json")),
            ("RUNNER_TEMP", self.temp.clone()),
        ] {
            env.insert(name.into(), path.display().to_string());
        }
        // Paths below the directories that are mounted are rewritten in every value.
        for value in env.values_mut() {
            for (host, inside) in mounts {
                if let Some(rest) = value.strip_prefix(host.to_string_lossy().as_ref())
                    && (rest.is_empty() || rest.starts_with('/'))
                {
                    *value = format!("{}{rest}", inside.display());
                    break;
                }
            }
        }
        env
    }

    /// In the order in which paths are translated.
    pub(super) fn mounts(&self, step: &Step) -> [(PathBuf, PathBuf); 5] {
        let below = |name| self.temp.join(name);
        [
            (step.workspace.clone(), "/github/workspace"),
            (below("_runner_file_commands"), "/github/file_commands"),
            (below("_github_workflow"), "/github/workflow"),
            (below("_github_home"), "/github/home"),
            (self.temp.clone(), "/github/runner_temp"),
        ]
        .map(|(host, inside)| (host, PathBuf::from(inside)))
    }

    pub(super) fn arguments(
        &self,
        step: &Step,
        stage: StageKind,
        env: &BTreeMap<String, String>,
        container: &str,
    ) -> Vec<String> {
        let fixed = ["run", "--name", container, "--label", LABEL, "--workdir", "/github/workspace", "--rm"];
        let mut args: Vec<String> = fixed.map(str::to_owned).into();
        for name in env.keys() {
            args.extend(["-e".to_owned(), name.clone()]);
        }
        args.extend(["-e", "GITHUB_ACTIONS=true", "-e", "CI=true"].map(str::to_owned));
        let entrypoint = match stage {
            StageKind::Main => &step.action.entrypoint,
            StageKind::Post => &step.action.post_entrypoint,
        };
        if let Some(entrypoint) = entrypoint {
            args.extend(["--entrypoint".to_owned(), entrypoint.clone()]);
        }
        if let Some(network) = &step.network {
            args.extend(["--network".to_owned(), network.clone()]);
        }
        let mut mount = |host: &Path, inside: &Path| {
            args.extend(["-v".to_owned(), format!("{}:{}", host.display(), inside.display())]);
        };
        mount(&self.mounted_socket, Path::new("/var/run/docker.sock"));
        for (host, inside) in self.mounts(step).iter().rev() {
            mount(host, inside);
        }
        args.push(step.image.clone());
        args
    }
}

/// Only spaces change; hyphens stay.
fn input_name(name: &str) -> String {
    format!("INPUT_{}", name.replace(' ', "_").to_uppercase())
}

/// A default with its `${{ expression }}`s replaced; one without a value is empty, as on the runner.
fn evaluated(default: &str, expressions: &BTreeMap<String, String>) -> String {
    let mut text = String::new();
    let mut rest = default;
    while let Some((before, after)) = rest.split_once("${{") {
        let (expression, after) = after.split_once("}}").unwrap_or((after, ""));
        text.push_str(before);
        text.push_str(expressions.get(expression.trim()).map_or("", String::as_str));
        rest = after;
    }
    text + rest
}

#[cfg(test)]
mod tests {
    use super::{evaluated, input_name};

    #[test]
    fn names_and_defaults() {
        assert_eq!(input_name("discord-webhook"), "INPUT_DISCORD-WEBHOOK");
        let expressions = [("github.token".to_owned(), "t".to_owned())].into();
        assert_eq!(evaluated("a ${{ github.token }} b ${{ job.check_run_id }}", &expressions), "a t b ");
    }
}

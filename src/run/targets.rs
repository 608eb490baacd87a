//! Builds the deploy targets of a run from the plan, the inputs and the credentials.

use std::{collections::BTreeMap, path::PathBuf, sync::Arc};

use chrono::Utc;

use super::{job::JobContext, synced, trust};
use crate::{
    deploy::{
        HttpCheck, Settings, TargetSpec,
        compose::{self, ComposeSettings, ComposeTarget, SyncedFile},
        release::{Content, Release},
        stage::{Deployment, Descent},
        target::Migration,
    },
    domain::{credentials::Credentials, failure::Failure, git_event::GitEvent, secret::Secret, stage::Stage},
    inputs::{
        runner::RunnerEnv,
        server_address::ServerAddress,
        targets::{Strategy, TargetInput},
        typed::{CommandInput, Inputs, SshInputs},
    },
    plan::Plan,
    run::observers::history,
    ssh::{Identity, KnownHosts, Server},
};

/// Returns the deployment of a run; `None` if no target is deployed to.
///
/// # Errors
/// If the inputs for SSH are missing or invalid.
pub(super) fn deployment(
    plan: &Plan,
    inputs: &Inputs,
    env: &RunnerEnv,
    context: &JobContext,
    credentials: &Credentials,
) -> Result<Option<Arc<Deployment>>, Failure> {
    let boundary = trust::boundary(inputs, env, context);
    // An earlier release brings its own files, not those of this checkout.
    let synced = |input: &TargetInput| match inputs.command {
        CommandInput::Rollback => Ok(Vec::new()),
        _ => synced::files(&input.sync, &context.project, &boundary),
    };
    let targets = plan.deploy.iter().filter(|target| target.skipped.is_none()).map(|target| &target.input);
    let targets: Vec<_> = targets.map(|input| Ok((input, synced(input)?))).collect::<Result<_, Failure>>()?;
    if targets.is_empty() {
        return Ok(None);
    }
    Ok(Some(Arc::new(Deployment {
        targets: specs(&targets, inputs, env, credentials)?,
        release: release(env, context, Content::Images(Vec::new())),
        descent: descent(inputs, env, &context.event),
    })))
}

/// Returns the targets, one for each server, with the files of the checkout that are copied there.
///
/// # Errors
/// If the inputs for SSH are missing or invalid.
pub fn specs(
    targets: &[(&TargetInput, Vec<SyncedFile>)],
    inputs: &Inputs,
    env: &RunnerEnv,
    credentials: &Credentials,
) -> Result<Vec<TargetSpec<ComposeTarget>>, Failure> {
    let login = Login::new(&inputs.deploy.ssh, env)?;
    let mut specs = Vec::new();
    for (input, synced) in targets {
        for (place, server) in input.servers.iter().enumerate() {
            let name = name(input, server);
            let target = ComposeTarget::new(ComposeSettings {
                name,
                server: login.to(server, input.jump.as_ref()),
                path: server.path.clone(),
                project: input.project.clone(),
                files: input.files.clone(),
                sync: synced.clone(),
                has_files: !input.sync.is_empty(),
                strategy: match input.strategy {
                    Strategy::Recreate => compose::Strategy::Recreate,
                    Strategy::Rollout => compose::Strategy::Rollout,
                },
                keep: input.keep,
                credentials: credentials.clone(),
            });
            let joins_previous = !place.is_multiple_of(input.at_once);
            specs.push(TargetSpec { target, settings: settings(input), joins_previous });
        }
    }
    Ok(specs)
}

/// Returns the names of a plan's targets as messages show them, one for each server.
pub fn names(plan: &Plan) -> Vec<String> {
    let targets = plan.deploy.iter().filter(|target| target.skipped.is_none());
    targets.flat_map(|target| names_of(&target.input)).collect()
}

/// Returns the names of a target as messages show them, one for each server.
pub fn names_of(input: &TargetInput) -> Vec<String> {
    input.servers.iter().map(|server| name(input, server)).collect()
}

/// A target with several servers is several targets, each named after its server too: after its host, or after its whole
/// address if another one has the same host.
fn name(input: &TargetInput, server: &ServerAddress) -> String {
    if input.servers.len() < 2 {
        return input.name.clone();
    }
    let of_host = input.servers.iter().filter(|other| other.host == server.host).count();
    let place = if of_host > 1 { server.authority() + &server.path } else { server.host.clone() };
    format!("{} ({place})", input.name)
}

fn settings(input: &TargetInput) -> Settings {
    Settings {
        services: input.services.iter().cloned().collect::<BTreeMap<_, _>>(),
        migrations: input
            .migrations
            .iter()
            .map(|(service, command)| Migration { service: service.clone(), command: command.clone() })
            .collect(),
        lock_wait: input.lock_wait,
        timeout: input.timeout,
        settle: input.settle,
        rolls_back: input.rolls_back,
        http_check: input.http_check.as_ref().map(|check| HttpCheck {
            url: check.url.clone(),
            status: check.status,
            timeout: check.timeout,
            body: check.body.clone(),
        }),
        url: input.url.clone(),
    }
}

/// Returns a release with these contents.
pub fn release(env: &RunnerEnv, context: &JobContext, content: Content) -> Release {
    let event = &context.event;
    let id = match (env.var("GITHUB_RUN_ID"), env.var("GITHUB_RUN_ATTEMPT")) {
        (Some(run), Some(attempt)) if is_number(run) && is_number(attempt) => format!("{run}-{attempt}"),
        _ => Utc::now().format("%Y%m%d-%H%M%S").to_string(),
    };
    Release { id, commit: event.sha.clone(), actor: event.actor.clone(), run_url: event.run_url.clone(), content }
}

fn is_number(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit())
}

/// Returns how to ask GitHub which of two commits is newer, if it can be asked.
pub fn descent(inputs: &Inputs, env: &RunnerEnv, event: &GitEvent) -> Option<Descent> {
    let client = history::client(inputs, env, event)?;
    (!event.sha.is_empty()).then(|| Descent { client, commit: event.sha.clone() })
}

/// Splits the input `ssh-key`, which may contain several keys.
fn keys(all: &Secret) -> Vec<Secret> {
    let text = all.expose();
    let ends = text.match_indices("-----BEGIN ").skip(1).map(|(at, _)| at).chain([text.len()]);
    let mut start = 0;
    ends.map(|end| Secret::new(&text[std::mem::replace(&mut start, end)..end])).collect()
}

/// How to log in to servers.
struct Login {
    identities: Vec<Identity>,
    known_hosts: KnownHosts,
    agent: Option<PathBuf>,
}

impl Login {
    fn new(ssh: &SshInputs, env: &RunnerEnv) -> Result<Self, Failure> {
        let missing = |input: &str, hint: &str| {
            let headline = format!("`deploy` requires the input `{input}`");
            Failure::invalid(Stage::Plan, headline, Some(hint.to_owned()))
        };
        // On a laptop, its user's agent has keys too.
        let agent = env.var("SSH_AUTH_SOCK").filter(|_| !env.is_github_actions()).map(PathBuf::from);
        if ssh.key.is_none() && agent.is_none() {
            let hint = "store the private key as a secret and pass it: `ssh-key: ${{ secrets.SSH_KEY }}`";
            return Err(missing("ssh-key", hint));
        }
        let Some(known_hosts) = &ssh.known_hosts else {
            let hint = "run `ssh-keyscan HOST` from a network that you trust, and pass its output";
            return Err(missing("ssh-known-hosts", hint));
        };
        // The file of a laptop lists many hosts, some with keys of unsupported types.
        let is_usable = |line: &&str| env.is_github_actions() || KnownHosts::parse(line).is_ok();
        let known_hosts: Vec<&str> = known_hosts.lines().filter(is_usable).collect();
        let known_hosts = KnownHosts::parse(&known_hosts.join("\n")).map_err(|error| {
            let hint = "pass lines as `ssh-keyscan HOST` prints them".to_owned();
            Failure::invalid(Stage::Plan, format!("input `ssh-known-hosts`: {error}"), Some(hint))
        })?;
        let identity = |key: Secret| Identity { key, passphrase: ssh.passphrase.clone() };
        Ok(Self { identities: ssh.key.iter().flat_map(keys).map(identity).collect(), known_hosts, agent })
    }

    fn to(&self, server: &ServerAddress, jump: Option<&ServerAddress>) -> Server {
        Server {
            host: server.host.clone(),
            port: server.port,
            user: server.user.clone(),
            identities: self.identities.clone(),
            known_hosts: self.known_hosts.clone(),
            agent: self.agent.clone(),
            jump: jump.map(|jump| Box::new(self.to(jump, None))),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Credentials, RunnerEnv, Secret, keys, specs};
    use crate::{
        deploy::target::Target as _,
        inputs::{cli::RawInputs, parse::parse, typed::TargetsInput},
    };

    #[test]
    fn servers_are_deployed_in_groups() {
        let deploy = "
- {name: web, at-once: 2, compose: [ssh://u@a/srv, ssh://u@b/srv, ssh://u@c/srv]}
- {name: jobs, compose: [ssh://u@d/srv, ssh://u@e/srv]}";
        let mut raw = RawInputs::default();
        for (name, value) in [("deploy", deploy), ("ssh-key", "key")] {
            raw.set(name, value).unwrap();
        }
        let env = RunnerEnv::new([("HOME", "/root")]);
        let mut inputs = parse(&raw, &env).unwrap();
        inputs.deploy.ssh.known_hosts = Some(String::new());
        let TargetsInput::Listed(targets) = &inputs.deploy.targets else { panic!("no targets") };
        let targets: Vec<_> = targets.iter().map(|target| (target, Vec::new())).collect();
        let specs = specs(&targets, &inputs, &env, &Credentials::default()).unwrap();
        let groups: Vec<(&str, bool)> = specs.iter().map(|spec| (spec.target.name(), spec.joins_previous)).collect();
        let want =
            [("web (a)", false), ("web (b)", true), ("web (c)", false), ("jobs (d)", false), ("jobs (e)", false)];
        assert_eq!(groups, want);
    }

    #[test]
    fn several_keys_are_split() {
        let [one, two] = ["a", "b"].map(|text| format!("-----BEGIN KEY-----\n{text}\n-----END KEY-----\n"));
        let split = |text: &str| -> Vec<String> {
            keys(&Secret::new(text)).iter().map(|key| key.expose().to_owned()).collect()
        };
        assert_eq!(split(&one), [one.as_str()]);
        assert_eq!(split(&format!("{one}{two}")), [one.as_str(), &two]);
        assert_eq!(split("no key"), ["no key"], "its parser says what is wrong");
    }
}

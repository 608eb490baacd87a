//! The scenes of the demonstration: a push that repairs the project and is deployed to a server, a pull request that does not
//! build, and a push whose release crashes on the server and is rolled back. Each is a step as GitHub would run it.

use std::{
    collections::BTreeMap,
    fs, io,
    path::{Path, PathBuf},
    process::Command,
};

use serde_json::{Value, json};
use stand_ins::{
    action::Action,
    github::{Access, GitHub, TOKEN},
    runner::Step,
};

/// The repository.
pub(crate) const REPOSITORY: &str = "example/django-site";
/// The pull request.
pub(crate) const PULL_REQUEST: u64 = 7;
const BRANCH: &str = "login";
const COMMIT: &str = "8f0c3a5b7d9e1f2a4b6c8d0e2f4a6b8c0d2e4f60";
const HEAD: &str = "3b1d5f7092a4c6e8f0a2b4c6d8e0f1a3b5c7d9e1";
const CRASHES: &str = "5a7c9e1b3d5f7092b4d6f8a0c2e4061830527496";
const MERGE: &str = "d4e6f8a0b2c4d6e8f0a1b3c5d7e9f0a2b4c6d8e0";

/// A run.
pub(crate) struct Scene {
    /// What its files are called after.
    pub(crate) name: &'static str,
    /// What happens.
    pub(crate) title: &'static str,
    /// How it ends.
    pub(crate) exit_code: i32,
    project: PathBuf,
    with: &'static [(&'static str, &'static str)],
    /// The run's number, which is its id as well.
    run: &'static str,
    github: &'static [(&'static str, &'static str)],
    payload: Value,
}

/// The job of the run `run`.
fn job(run: u64) -> u64 {
    run * 100
}

/// Lets GitHub know of the runs before, and of those to come.
pub(crate) fn before(github: &GitHub) {
    github.permit("actions", Access::Read);
    github.permit("deployments", Access::Write);
    github.permit("pull-requests", Access::Write);
    github.change(|world| {
        for (run, branch, event) in [(41, "main", "push"), (43, BRANCH, "pull_request")] {
            world.add_run(json!({
                "id": run, "run_number": run, "conclusion": "failure", "head_branch": branch, "event": event,
            }));
            world.add_job(json!({"id": job(run), "run_id": run, "name": "build", "conclusion": "failure"}));
        }
        for run in [42, 44, 45] {
            let step = json!({"name": "Build", "number": 3, "status": "in_progress", "conclusion": null});
            world.add_job(json!({
                "id": job(run), "run_id": run, "name": "build", "status": "in_progress", "conclusion": null,
                "steps": [step],
            }));
        }
    });
}

/// Copies the project to `to`, and adds text at the end of some files.
fn changed(project: &Path, to: &Path, changes: &[(&str, &str)]) -> io::Result<()> {
    if to.exists() {
        fs::remove_dir_all(to)?;
    }
    let copied = Command::new("cp").arg("-a").args([project, to]).status()?;
    if !copied.success() {
        return Err(io::Error::other(format!("cp ended with {copied}")));
    }
    for (file, more) in changes {
        let path = to.join(file);
        let text = fs::read_to_string(&path)?;
        fs::write(&path, text + more)?;
    }
    Ok(())
}

/// A copy of the project in `to` whose release builds and then crashes, as a push.
pub(crate) fn crashes(project: &Path, to: &Path) -> io::Result<Scene> {
    changed(project, to, &[("config/wsgi.py", "\nraise RuntimeError(\"the setting SHOP_URL is missing\")\n")])?;
    Ok(Scene {
        name: "crash",
        title: "a push whose release crashes on the server",
        exit_code: 1,
        project: to.to_owned(),
        run: "45",
        github: &[
            ("GITHUB_EVENT_NAME", "push"),
            ("GITHUB_REF", "refs/heads/main"),
            ("GITHUB_REF_NAME", "main"),
            ("GITHUB_SHA", CRASHES),
        ],
        payload: json!({"head_commit": {
            "id": CRASHES,
            "message": "Read the shop's address from the settings",
            "timestamp": "2026-01-02T04:05:06Z",
        }}),
        ..Scene::push(project)
    })
}

/// A copy of the project in `to` in which a page is broken, as a pull request.
pub(crate) fn broken(project: &Path, to: &Path) -> io::Result<Scene> {
    let changes = [
        ("example/pages/views.py", "\n\ndef login(request)\n    return render(request, \"pages/login.html\")\n"),
        (
            "compose/production/django/Dockerfile",
            "\n# A typo is found here, not by the site's users.\nRUN python -m compileall -q example\n",
        ),
    ];
    changed(project, to, &changes)?;
    Ok(Scene::pull_request(to))
}

impl Scene {
    /// A push to `main`, deployed to `production`.
    pub(crate) fn push(project: &Path) -> Self {
        Self {
            name: "push",
            title: "a push to main, after a run that had failed",
            exit_code: 0,
            project: project.to_owned(),
            with: &[("environment", "production"), ("environment-url", "https://django-site.example")],
            run: "42",
            github: &[
                ("GITHUB_EVENT_NAME", "push"),
                ("GITHUB_REF", "refs/heads/main"),
                ("GITHUB_REF_NAME", "main"),
                ("GITHUB_SHA", COMMIT),
            ],
            payload: json!({"head_commit": {
                "id": COMMIT,
                "message": "Greet visitors by name\n\nMore of it.",
                "timestamp": "2026-01-02T03:04:05Z",
            }}),
        }
    }

    fn pull_request(project: &Path) -> Self {
        Self {
            name: "pull-request",
            title: "a pull request that does not build, as its run before",
            exit_code: 1,
            project: project.to_owned(),
            with: &[("pr-comment", "true")],
            run: "44",
            github: &[
                ("GITHUB_EVENT_NAME", "pull_request"),
                ("GITHUB_REF", "refs/pull/7/merge"),
                ("GITHUB_REF_NAME", "7/merge"),
                ("GITHUB_SHA", MERGE),
                ("GITHUB_HEAD_REF", BRANCH),
                ("GITHUB_BASE_REF", "main"),
            ],
            payload: json!({"number": PULL_REQUEST, "pull_request": {
                "number": PULL_REQUEST,
                "title": "Add a login page",
                "head": {"ref": BRANCH, "sha": HEAD, "repo": {"full_name": REPOSITORY}},
                "base": {"ref": "main", "sha": COMMIT, "repo": {"full_name": REPOSITORY}},
            }}),
        }
    }

    /// The step. `registry` is a host that the engine can push to; the next two are addresses, and `more` are inputs.
    pub(crate) fn step(
        &self,
        action: &Action,
        registry: &str,
        discord: &str,
        github: &str,
        more: &[(&str, &str)],
    ) -> Step {
        let text =
            |pairs: &[(&str, &str)]| pairs.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect::<Vec<_>>();
        let mut payload = self.payload.clone();
        payload["repository"] =
            json!({"full_name": REPOSITORY, "default_branch": "main", "description": "A Django site"});
        let job = job(self.run.parse().unwrap_or_default()).to_string();
        let common = [
            ("GITHUB_ACTOR", "octocat"),
            ("GITHUB_API_URL", github),
            ("GITHUB_JOB", "build"),
            ("GITHUB_REF_TYPE", "branch"),
            ("GITHUB_REPOSITORY", REPOSITORY),
            ("GITHUB_REPOSITORY_OWNER", "example"),
            ("GITHUB_RUN_ATTEMPT", "1"),
            ("GITHUB_RUN_ID", self.run),
            ("GITHUB_RUN_NUMBER", self.run),
            ("GITHUB_SERVER_URL", "https://github.com"),
            ("GITHUB_WORKFLOW", "build"),
            ("GITHUB_WORKFLOW_REF", "example/django-site/.github/workflows/build.yml@refs/heads/main"),
        ];
        let expressions = [("job.status", "success"), ("job.check_run_id", &job), ("github.token", TOKEN)];
        Step {
            action: action.clone(),
            image: "build-deploy:dev".to_owned(),
            workspace: self.project.clone(),
            with: text(&[("registry", registry), ("discord-webhook", discord)])
                .into_iter()
                .chain(text(self.with))
                .chain(text(more))
                .collect(),
            env: BTreeMap::new(),
            github: text(&common).into_iter().chain(text(self.github)).collect(),
            expressions: text(&expressions).into_iter().collect(),
            payload: payload.to_string(),
            network: None,
        }
    }
}

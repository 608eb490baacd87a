//! What became of the inputs of Docker's own actions that have other names here, or none: for whoever takes a workflow
//! over from them.

/// What to write instead of an input of docker/build-push-action, docker/bake-action, docker/login-action,
/// docker/metadata-action, docker/setup-buildx-action or docker/setup-qemu-action that does not exist here.
pub fn instead_of(name: &str) -> Option<&'static str> {
    const LEAVE_OUT: &str =
        "leave it out: https://github.com/izhan/build-deploy/blob/main/docs/migrating.md says why it is not needed";
    Some(match name {
        "ulimit" => "write `ulimits`",
        "attests" => "write `provenance` or `sbom`",
        "call" => {
            "leave it out: every build reports its checks; `# check=error=true` in the Dockerfile makes them errors"
        }
        "outputs" => "use `push`, `load` and `compression`; there are no other outputs",
        "files" => "write `compose-file`",
        "source" => "write `working-directory`, or `context` for a URL",
        "targets" => "write `services`",
        "set" => "use the input for it, which holds for all images, or `images` for one of them",
        "vars" => "use `env-file` or `env:` for `${VAR}` in compose files, `build-args` for build arguments",
        "registry-auth" => "write `registries`",
        "scope" => "leave it out: a login is for a registry",
        "bake-target" | "sep-tags" | "sep-labels" | "sep-annotations" => {
            "leave it out: there is no other step to hand it to"
        }
        "driver" | "endpoint" | "append" => "write `builder`",
        "driver-opts" => "write `buildkit-image` or `buildkit-network`",
        "buildkitd-config" | "buildkitd-config-inline" | "config" | "config-inline" => "write `buildkit-mirror`",
        "buildkitd-flags" => "write `allow`",
        "ecr" | "logout" | "version" | "use" | "install" | "name" | "keep-state" | "cache-binary" | "cleanup" => {
            LEAVE_OUT
        }
        "reset" | "cache-image" => "keep the step docker/setup-qemu-action for it",
        _ => return None,
    })
}

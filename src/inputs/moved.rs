//! Replacements for the inputs of Docker's own actions that have another name or do not exist here, to help users who
//! migrate a workflow.

/// Returns a hint for an input of docker/build-push-action, docker/bake-action, docker/login-action,
/// docker/metadata-action, docker/setup-buildx-action or docker/setup-qemu-action that does not exist here.
pub fn instead_of(name: &str) -> Option<&'static str> {
    const LEAVE_OUT: &str =
        "remove it; it is not needed (see https://github.com/izhan/build-deploy/blob/main/docs/migrating.md)";
    Some(match name {
        "dockerfile" => "use `file`",
        "ulimit" => "use `ulimits`",
        "attests" => "use `provenance` or `sbom`",
        "call" => {
            "remove it; every build reports its checks, and `# check=error=true` in the Dockerfile makes them errors"
        }
        "outputs" => "use `push`, `load` and `compression`; there are no other outputs",
        "files" => "use `compose-file`",
        "source" => "use `working-directory`, or `context` for a URL",
        "targets" => "use `services`",
        "set" => "use the input with that name, which applies to all images, or `images` for one of them",
        "vars" => "use `env-file` or `env:` for `${VAR}` in compose files, `build-args` for build arguments",
        "registry-auth" => "use `registries`",
        "scope" => "remove it; a login applies to a whole registry",
        "bake-target" | "sep-tags" | "sep-labels" | "sep-annotations" => "remove it; no other step needs it",
        "driver" | "endpoint" | "append" => "use `builder`",
        "driver-opts" => "use `buildkit-image` or `buildkit-network`",
        "buildkitd-config" | "buildkitd-config-inline" | "config" | "config-inline" => "use `buildkit-mirror`",
        "buildkitd-flags" => "use `allow`",
        "ecr" | "logout" | "version" | "use" | "install" | "name" | "keep-state" | "cache-binary" | "cleanup" => {
            LEAVE_OUT
        }
        "reset" | "cache-image" => "keep using docker/setup-qemu-action for it",
        _ => return None,
    })
}

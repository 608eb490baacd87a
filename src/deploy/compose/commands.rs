//! The commands for the server. Pure.
//!
//! The scripts are fixed texts; everything else is passed to them in their arguments, which [`crate::ssh::quote`] protects.
//! They are for any POSIX shell, and run in `sh` whatever the login shell of the user is.

/// The directory that holds everything that belongs to deployments, in the project's directory.
pub(super) const DIRECTORY: &str = ".build-deploy";

/// The first version of Compose that knows `!reset`
/// (<https://docs.docker.com/reference/compose-file/merge/#reset-value>).
pub(super) const OLDEST_COMPOSE: (u64, u64) = (2, 24);

/// `probe DIRECTORY [FILE...]`: prints what the server has, one fact a line.
pub(super) const PROBE: &str = r#"
cd "$1" 2>/dev/null || { echo "no-directory"; exit 0; }
shift
for tool in docker flock timeout; do command -v "$tool" >/dev/null || echo "no-tool $tool"; done
if [ -e .build-deploy ]; then [ -w .build-deploy ]; else [ -w . ]; fi || echo "not-writable"
# Docker's client takes a moment to start, so its two runs overlap.
echo "compose $(docker compose version --short 2>&1 | head -n 1)" &
echo "engine $(docker context inspect --format '{{.Endpoints.docker.Host}}' 2>&1 | head -n 1)"
wait
if [ $# -gt 0 ]; then
  for file; do if [ -f "$file" ]; then echo "file $file"; else echo "no-file $file"; fi; done
  exit 0
fi
list=$COMPOSE_FILE
[ -n "$list" ] || [ ! -f .env ] || list=$(sed -n 's/^COMPOSE_FILE=//p' .env | tail -n 1)
if [ -n "$list" ]; then echo "files $list"; exit 0; fi
for file in compose.yaml compose.yml docker-compose.yml docker-compose.yaml; do
  if [ -f "$file" ]; then echo "file $file"; break; fi
done
for file in compose.override.yml compose.override.yaml docker-compose.override.yml docker-compose.override.yaml; do
  if [ -f "$file" ]; then echo "file $file"; break; fi
done
"#;

/// `state DIRECTORY`: prints the note of an unfinished deployment and the releases, one a line.
pub(super) const STATE: &str = r#"
cd "$1/.build-deploy" 2>/dev/null || exit 0
[ ! -f unfinished.json ] || sed 's/^/unfinished /' unfinished.json
[ ! -f releases.jsonl ] || sed 's/^/release /' releases.jsonl
"#;

/// `lock DIRECTORY HOLDER SECONDS`: holds the lock until its input ends. A command that a killed deployment left running
/// gets so many seconds to end.
pub(super) const LOCK: &str = r#"
umask 077
cd "$1" && mkdir -p .build-deploy && cd .build-deploy && exec 9>lock || { echo FAILED; exit 73; }
if ! flock -n 9; then echo "BUSY $(cat holder 2>/dev/null)"; exit 0; fi
if ! flock -w "$3" operation.lock true; then echo "BUSY a command of an earlier deployment"; exit 0; fi
printf '%s\n' "$2" >holder
echo TAKEN
cat >/dev/null
rm -f holder
"#;

/// `write DIRECTORY BYTES [FILE LINES]...`: writes its input to files, in this order, each whole or not at all. Nothing is
/// written if the input breaks off.
pub(super) const WRITE: &str = r#"
umask 077
cd "$1" && mkdir -p .build-deploy && cd .build-deploy || exit 73
trap 'rm -f input.new file.new' EXIT
cat >input.new && [ "$(wc -c <input.new)" -eq "$2" ] || exit 74
shift 2
first=1
while [ $# -gt 0 ]; do
  last=$((first + $2 - 1))
  sed -n "$first,${last}p" input.new >file.new && [ "$(wc -l <file.new)" -eq "$2" ] && mv -f file.new "$1" || exit 74
  first=$((last + 1))
  shift 2
done
"#;

/// `operate DIRECTORY LOG SECONDS COMMAND...`: runs a command that changes what runs. It goes on if the connection breaks:
/// its output goes to a file, so that it is not ended by a closed pipe. Nothing else of a deployment runs at the same time.
/// Prints `timed out` as an error if it did: the exit code alone can also be that of the command.
pub(super) const OPERATE: &str = r#"
umask 077
cd "$1" || exit 73
log=.build-deploy/$2; limit=$3; began=$(date +%s); shift 3
flock .build-deploy/operation.lock timeout -k 10 "$limit" "$@" >"$log" 2>&1 </dev/null
code=$?
tail -c 32768 "$log"
case $code in 124 | 137) [ $(($(date +%s) - began)) -lt "$limit" ] || echo "timed out" >&2 ;; esac
exit $code
"#;

/// `stage DIRECTORY STAGE NAME ARCHIVE FILE...`: unpacks the files of a release to `STAGE/files`, from its input (`-`) or from
/// an archive that PLACE has made, and makes the view of the directory with them: `STAGE/view/NAME`. Prints `differs` if any
/// file differs from the one in the directory.
pub(super) const STAGE: &str = r#"
umask 022
root=$1; own=.build-deploy/$2/files; view=.build-deploy/$2/view/$3; archive=$4
[ "$archive" = - ] || archive=.build-deploy/$archive
cd "$root" && (umask 077; mkdir -p .build-deploy) && rm -rf ".build-deploy/$2" || exit 73
mkdir -p "$own" "$view" && tar -xf "$archive" -C "$own" || exit 74
shift 4
for file; do
  # A name may begin with a hyphen.
  file=./$file
  cmp -s "$own/$file" "$file" || echo differs
  mkdir -p "$view/${file%/*}"
  cp -p "$own/$file" "$view/$file" || exit 74
done
find "$view" -type d | while IFS= read -r directory; do
  below=${directory#"$view"}
  for entry in "$root$below"/* "$root$below"/.[!.]*; do
    name=${entry##*/}
    if [ "$name" = .build-deploy ] || [ -e "$directory/$name" ] || [ ! -e "$entry" ]; then continue; fi
    ln -s "$entry" "$directory/$name"
  done
done
"#;

/// `place DIRECTORY STAGE ARCHIVE FILE...`: puts the files of a release in place, each whole or not at all, and saves the former
/// ones in `before`. What is saved there already is older, and stays. Keeps the files in an archive and their names in a list
/// beside it, for a rollback.
pub(super) const PLACE: &str = r#"
umask 022
cd "$1" || exit 73
own=.build-deploy/$2/files; old=.build-deploy/before; list=.build-deploy/${3%.tar}.list
(umask 077; tar -cf .build-deploy/archive.new -C "$own" . && mv -f .build-deploy/archive.new ".build-deploy/$3") || exit 74
shift 3
(umask 077; printf '%s\n' "$@" >"$list") || exit 74
for file; do
  file=./$file
  directory=${file%/*}
  mkdir -p "$directory" "$old/files/$directory" "$old/absent/$directory" || exit 74
  if [ ! -e "$old/files/$file" ] && [ ! -e "$old/absent/$file" ]; then
    if [ -e "$file" ]; then cp -p "$file" "$old/files/$file"; else : >"$old/absent/$file"; fi || exit 74
  fi
  cp -p "$own/$file" "$file.build-deploy" && mv -f "$file.build-deploy" "$file" || exit 74
done
"#;

/// `list DIRECTORY LIST`: prints the names of a release's files, if it had any.
pub(super) const LIST: &str = r#"
cd "$1/.build-deploy" || exit 73
[ ! -f "$2" ] || cat "$2"
"#;

/// `put-back DIRECTORY`: puts back the files that PLACE has saved.
pub(super) const PUT_BACK: &str = r#"
cd "$1" || exit 73
old=.build-deploy/before
[ -d "$old" ] || exit 0
(cd "$old/files" && find . -type f) | while IFS= read -r file; do
  cp -p "$old/files/$file" "$file.build-deploy" && mv -f "$file.build-deploy" "$file" || exit 74
done || exit 74
(cd "$old/absent" && find . -type f) | while IFS= read -r file; do rm -f "$file"; done
rm -rf "$old"
"#;

/// `run DIRECTORY REMOVE COMMAND...`: runs a command that changes nothing, then removes a directory, unless REMOVE is empty.
pub(super) const RUN: &str = r#"
cd "$1" || exit 73
remove=$2; shift 2
"$@"
code=$?
[ -z "$remove" ] || rm -rf "$remove"
exit $code
"#;

/// `finish DIRECTORY CURRENT CLOSED [FILE...]`: points `current.yml` to a file unless CURRENT is empty, removes the note
/// of an unfinished deployment and what was saved for it if CLOSED is `closed`, and removes the files of all releases but
/// these. Those of a deployment that was killed are in no record.
pub(super) const FINISH: &str = r#"
cd "$1/.build-deploy" || exit 73
if [ -n "$2" ]; then ln -sf "$2" current.new && mv -f current.new current.yml || exit 74; fi
if [ "$3" = closed ]; then rm -rf unfinished.json before; fi
shift 3
for file in release-*.yml release-*.log release-*.tar release-*.list restore-*.yml *.new; do
  for kept; do [ "$file" != "$kept" ] || continue 2; done
  rm -f -- "$file"
done
# What killed deployments have staged.
find . -maxdepth 1 -name 'stage-*' -mmin +10 -exec rm -rf {} +
"#;

/// `logs CONTAINER LINES`: the last lines of a container, in the order in which they were printed.
pub(super) const LOGS: &str = r#"exec docker logs --tail "$2" "$1" 2>&1"#;

/// A script with its arguments, as a list of words.
pub(super) fn script<'a>(text: &'a str, arguments: impl IntoIterator<Item = &'a str>) -> Vec<String> {
    ["sh", "-c", text.trim(), "sh"].into_iter().chain(arguments).map(String::from).collect()
}

/// The beginning of each call of Compose.
pub(super) fn compose(project: Option<&str>, files: &[String]) -> Vec<String> {
    let mut argv = vec!["docker".to_owned(), "compose".to_owned()];
    if let Some(project) = project {
        argv.extend(["-p".to_owned(), project.to_owned()]);
    }
    for file in files {
        argv.extend(["-f".to_owned(), file.clone()]);
    }
    argv
}

/// The files in a value of `COMPOSE_FILE`, without those of deployments
/// (<https://docs.docker.com/compose/how-tos/environment-variables/envvars/#compose_file>).
pub(super) fn listed_files(value: &str) -> Vec<String> {
    let value = value.trim().trim_matches(['"', '\'']);
    let is_own = |file: &str| file.trim_start_matches("./").starts_with(DIRECTORY);
    value.split(':').filter(|file| !file.is_empty() && !is_own(file)).map(String::from).collect()
}

/// Major and minor version.
pub(super) fn version(text: &str) -> Option<(u64, u64)> {
    let mut parts = text.trim().trim_start_matches('v').split('.');
    Some((parts.next()?.parse().ok()?, parts.next()?.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::{compose, listed_files, script, version};

    #[test]
    fn words() {
        assert_eq!(script(" echo $1\n", ["a b"]), ["sh", "-c", "echo $1", "sh", "a b"]);
        let files = ["compose.yml".to_owned(), "-x.yml".to_owned()];
        assert_eq!(compose(Some("site"), &files)[2..], ["-p", "site", "-f", "compose.yml", "-f", "-x.yml"]);
    }

    #[test]
    fn the_files_of_the_project_without_our_own() {
        let value = "\"compose.yml:prod.yml:.build-deploy/current.yml:./.build-deploy/current.yml\"";
        assert_eq!(listed_files(value), ["compose.yml", "prod.yml"]);
        assert!(listed_files(" ").is_empty());
    }

    #[test]
    fn versions() {
        assert_eq!(version("2.40.3-3\n"), Some((2, 40)));
        assert_eq!(version("v5.5.0"), Some((5, 5)));
        assert_eq!(version("docker: unknown command"), None);
    }
}

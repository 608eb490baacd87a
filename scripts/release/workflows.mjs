// Checks workflows with GitHub's own language service, the one behind its editor extension: the workflows of this
// repository, its action.yml, and every workflow in the documentation, whose inputs must be those of our action.yml.
import {readFileSync, readdirSync} from "node:fs";
import {join} from "node:path";
import {validate} from "@actions/languageservice";
import {TextDocument} from "vscode-languageserver-textdocument";
import {parse} from "yaml";

const action = parse(readFileSync("action.yml", "utf8"));
const ours = (reference) => reference.owner === "izhan" && reference.name === "build-deploy" && !reference.path;
const config = {
  actionsMetadataProvider: {fetchActionMetadata: async (reference) => (ours(reference) ? action : undefined)},
};

const files = (directory, suffix) =>
  readdirSync(directory, {recursive: true}).filter((name) => name.endsWith(suffix)).map((name) => join(directory, name)).sort();

// The fenced blocks of YAML that are whole workflows, with the line on which each begins.
function* blocks(file) {
  let lines, start;
  for (const [index, line] of readFileSync(file, "utf8").split("\n").entries()) {
    if (lines === undefined) {
      if (line.trim() === "```yaml") [lines, start] = [[], index + 1];
    } else if (line.trim() === "```") {
      const text = lines.join("\n");
      if (/^jobs:/m.test(text)) yield {place: file, start, text};
      lines = undefined;
    } else {
      lines.push(line);
    }
  }
}

const documents = ["README.md", "SECURITY.md", ...files("docs", ".md"), ...files("examples", ".md")];
const own = [...files(".github/workflows", ".yml"), "action.yml"].map((place) => ({place, start: 0, text: readFileSync(place, "utf8")}));
const examples = documents.flatMap((file) => [...blocks(file)]);
let mistakes = 0;
for (const {place, start, text} of [...own, ...examples]) {
  // The service remembers what it has parsed by address.
  const uri = place === "action.yml" ? "file:///action.yml" : `file:///.github/workflows/${place}-${start}.yml`;
  for (const {severity, message, range} of await validate(TextDocument.create(uri, "yaml", 1, text), config)) {
    // Errors and warnings. What other actions accept is not known here.
    if (severity > 2 || (message.startsWith("Unable to resolve action") && !message.includes("izhan/build-deploy"))) continue;
    console.error(`${place}:${start + range.start.line + 1}: ${message}`);
    mistakes += 1;
  }
}
console.log(`${own.length} files of the repository and ${examples.length} workflows of ${documents.length} documents`);
if (mistakes > 0 || examples.length === 0) process.exit(1);

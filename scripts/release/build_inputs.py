#!/usr/bin/env python3
"""Prints the inputs of the step `build` in release.yml as the variables that a runner sets, each ended by a zero byte.

    build_inputs.py WORKFLOW EXPRESSION=VALUE...

An expression is what stands between `${{` and `}}`. One without a value here is an error, so that the rehearsal builds
with the very inputs of the workflow.
"""

import re
import sys

from ruamel.yaml import YAML

workflow, values = sys.argv[1], dict(pair.split("=", 1) for pair in sys.argv[2:])
with open(workflow) as file:
    steps = YAML(typ="safe").load(file)["jobs"]["image"]["steps"]
step = next(step for step in steps if step.get("id") == "build")
if step["uses"] != "./":
    sys.exit(f"{workflow}: the step `build` uses `{step['uses']}`, not `./`")


def evaluated(text):
    return re.sub(r"\$\{\{\s*(.*?)\s*\}\}", lambda found: values[found[1]], str(text))


for name, value in step["with"].items():
    sys.stdout.write(f"INPUT_{name.upper()}={evaluated(value)}\0")
for name, value in step["env"].items():
    sys.stdout.write(f"{name}={evaluated(value)}\0")

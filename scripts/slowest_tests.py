#!/usr/bin/env python3
"""Prints the slowest tests of nextest's JUnit report as a table for the job summary: slowest_tests.py REPORT [COUNT]"""

import sys
import xml.etree.ElementTree as tree

report = sys.argv[1]
count = int(sys.argv[2]) if len(sys.argv) > 2 else 15
cases = [(float(case.get("time")), suite.get("name"), case.get("name"))
         for suite in tree.parse(report).getroot().iter("testsuite") for case in suite.iter("testcase")]
if not cases:
    sys.exit(f"{report}: no tests")
cases.sort(reverse=True)
print(f"{len(cases)} tests, {sum(seconds for seconds, _, _ in cases):.0f} s in all. The slowest:\n")
print("| Seconds | Test |\n|--:|---|")
for seconds, suite, name in cases[:count]:
    print(f"| {seconds:.1f} | `{suite} {name}` |")

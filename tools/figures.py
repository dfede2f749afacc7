#!/usr/bin/env python3
# SPDX-License-Identifier: BSL-1.0
"""Writes what the suites have covered into the documentation.

usage: tools/figures.py DIRECTORY

DIRECTORY holds NAME.json files, as the suites leave them where CAIRN_REPORT_DIR says (tests/support/report.hpp): flat
objects of numbers. In each document the text between the two marks

    <!-- figures: NAME -->  ...  <!-- end of figures -->

is replaced by what NAME makes of these numbers. `tools/dev figures` runs the suites and then this.
"""
import glob
import json
import os
import re
import sys

ROOT = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..")
DOCUMENTS = ["README.md", "docs/crash-safety.md"]


def grouped(number):
    return f"{number:,.0f}".replace(",", " ")


class Figures:
    def __init__(self, directory):
        self.suites = {}
        for path in glob.glob(os.path.join(directory, "*.json")):
            with open(path, encoding="utf-8") as file:
                self.suites[os.path.splitext(os.path.basename(path))[0]] = json.load(file)

    def get(self, suite, key):
        if suite not in self.suites or key not in self.suites[suite]:
            sys.exit(f"figures: no '{key}' of suite '{suite}'; run `tools/dev figures`")
        return self.suites[suite][key]

    def of_models(self, key):
        values = [numbers.get(key, 0) for name, numbers in self.suites.items() if name.startswith("model_")]
        if not values:
            sys.exit("figures: no model has reported; run `tools/dev figures`")
        return sum(values)

    def rows(self):
        """What is counted, and how many: a line of the table each."""
        crash = lambda key: self.get("crash", key)
        waits = (f"{grouped(crash('wait_min_microseconds'))} / {grouped(crash('wait_median_microseconds'))} / "
                 f"{grouped(crash('wait_p99_microseconds'))} / {grouped(crash('wait_max_microseconds'))} us")
        lines = [
            ("operations in states, stepped one instruction at a time", grouped(crash("rows"))),
            ("instructions stepped", grouped(crash("instructions_stepped"))),
            ("distinct memory images recovered and checked", grouped(crash("images"))),
            ("distinct images of recoveries that were killed in turn", grouped(crash("recovery_images"))),
            ("real SIGKILLs with somebody blocked on the lock", grouped(crash("real_kills"))),
            ("from the kill to the blocked one's finished operation: least / median / 99 % / most", waits),
            ("kills in storms of random work", grouped(self.get("storm", "kills"))),
            ("operations acknowledged in these storms, each found exactly once", grouped(self.get("storm", "operations"))),
            ("states of the protocols' models", grouped(self.of_models("states"))),
            ("rules of the protocols left out, and found missing by their model", grouped(self.of_models("rules_left_out"))),
        ]
        if "mutants" in self.suites:
            lines.append(("deliberately broken versions of the code, all noticed",
                          f"{grouped(self.get('mutants', 'caught'))} of {grouped(self.get('mutants', 'mutants'))}"))
        if "hostile" in self.suites:
            lines.append(("damaged segments opened, read, written and verified",
                          grouped(self.get("hostile", "mutations"))))
        return lines

    def table(self):
        return "| in one run of the suites | |\n| --- | ---: |\n" + "".join(
            f"| {what} | {number} |\n" for what, number in self.rows())

    def sentence(self):
        crash = lambda key: grouped(self.get("crash", key))
        return (f"One run steps {crash('rows')} operations through {crash('instructions_stepped')} instructions, recovers "
                f"and checks\n{crash('images')} distinct memory images and {crash('recovery_images')} of killed "
                f"recoveries, and kills {crash('real_kills')} processes for real;\nstorms of random work kill "
                f"{grouped(self.get('storm', 'kills'))} more. [docs/crash-safety.md](docs/crash-safety.md) says how.\n")


def main():
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    figures = Figures(sys.argv[1])
    texts = {"table": figures.table(), "sentence": figures.sentence()}
    for document in DOCUMENTS:
        path = os.path.join(ROOT, document)
        with open(path, encoding="utf-8") as file:
            text = file.read()
        changed = re.sub(
            r"(<!-- figures: (\w+) -->\n).*?(<!-- end of figures -->)",
            lambda found: found[1] + texts[found[2]] + found[3], text, flags=re.DOTALL)
        with open(path, "w", encoding="utf-8") as file:
            file.write(changed)
        print(f"{document}: {'written' if changed != text else 'unchanged'}")


if __name__ == "__main__":
    main()

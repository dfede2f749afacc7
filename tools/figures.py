#!/usr/bin/env python3
# SPDX-License-Identifier: BSL-1.0
"""Writes what the suites have covered into the documentation.

usage: tools/figures.py DIRECTORY

DIRECTORY holds NAME.json files, as the suites leave them where CAIRN_REPORT_DIR says (tests/support/report.hpp): flat
objects of numbers. In each document the text between the two marks

    <!-- figures: NAME -->  ...  <!-- end of figures -->

is replaced by what NAME makes of these numbers. `tools/dev figures` runs the suites and then this.
"""
import datetime
import glob
import json
import os
import re
import sys

ROOT = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..")
DOCUMENTS = ["README.md", "docs/crash-safety.md"]


def grouped(number):
    return f"{number:,.0f}".replace(",", " ")


def origin():
    """Where the figures are from, and whether times in them can be believed."""
    processors = os.cpu_count() or 1
    load = os.getloadavg()[2]
    words = f"{datetime.date.today()}, {processors} processors"
    if load > 1.5 * processors:
        words += f", for which {load:.0f} threads ran on average: in the times from a kill on are waits for a processor"
    return words + "."


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

    def share_of(self, images):
        """How many a run has checked, and of how many, where it leaves some to others."""
        checked, left = self.get("crash", images), self.get("crash", images + "_left_to_other_seeds")
        return grouped(checked) if left == 0 else f"{grouped(checked)} of {grouped(checked + left)}"

    def rows(self):
        """What is counted, and how many: a line of the table each."""
        crash = lambda key: self.get("crash", key)
        waits = (f"{grouped(crash('wait_min_microseconds'))} / {grouped(crash('wait_median_microseconds'))} / "
                 f"{grouped(crash('wait_p99_microseconds'))} / {grouped(crash('wait_max_microseconds'))} us")
        lines = [
            ("operations in states, of the table of the crash suite",
             f"{grouped(crash('rows'))} of {grouped(crash('rows_of_table'))}"),
            ("stores at which they were stopped", grouped(crash("stores"))),
            ("of these operations stepped one instruction at a time", grouped(crash("rows_stepped"))),
            ("instructions stepped", grouped(crash("instructions_stepped"))),
            ("distinct memory images recovered and checked", self.share_of("images")),
            ("distinct images of recoveries that were killed in turn", self.share_of("recovery_images")),
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

    def is_full(self):
        return self.get("crash", "rows") == self.get("crash", "rows_of_table") == self.get("crash", "rows_stepped")

    def table(self):
        run = "in one run with all rows stepped" if self.is_full() else "in one ordinary run, which takes a share of everything"
        return (f"| {run} | |\n| --- | ---: |\n" +
                "".join(f"| {what} | {number} |\n" for what, number in self.rows()) + "\n" + origin() + "\n")

    def sentence(self):
        crash = lambda key: grouped(self.get("crash", key))
        run = "A full run" if self.is_full() else "An ordinary run"
        return (f"{run} takes {crash('rows')} of {crash('rows_of_table')} operations in their states, stops them at "
                f"{crash('stores')} stores,\nsteps {crash('rows_stepped')} of them through {crash('instructions_stepped')} "
                f"instructions, recovers and checks\n{crash('images')} distinct memory images and {crash('recovery_images')} of killed "
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

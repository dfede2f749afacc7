#!/usr/bin/env python3
# SPDX-License-Identifier: BSL-1.0
"""Runs `meson test`, says how far it is and what it has covered.

usage: tools/run_tests.py BUILD_FOLDER ARGUMENT...

The arguments go to `meson test`. On a terminal the last line says how many tests are done and how long the rest will take;
elsewhere a plain line does so now and then. The estimate comes from the last run in this folder, and in the first one
from the table below. What suites report (tests/support/report.hpp) is printed at the end.

Limits grow with the machine: a loop is timed on all processors first, on a busy one it takes longer, and
`--timeout-multiplier` and CAIRN_TEST_PATIENCE (tests/support/patience.hpp) are raised accordingly.
"""
import json
import multiprocessing
import os
import re
import selectors
import subprocess
import sys
import tempfile
import time

USUAL_SECONDS = {"crash": 200, "mutants": 90, "storm": 55, "hostile": 50, "process": 40, "pools": 40, "cli": 20, "unit": 20}
OTHER_SECONDS = 5
SECONDS_BETWEEN_LINES = 30
LOOP_SECONDS = 0.4  # what the loop takes on one processor of a slow machine that does nothing else
MOST_PATIENCE = 20
WAITING_JOBS = 2  # more tests at a time than there are processors: many of them wait most of their time


def loop(_):
    begin, total = time.monotonic(), 0
    for i in range(4_000_000):
        total += i & 3
    return time.monotonic() - begin


def measured_patience():
    """How many times longer than on an idle slow machine work takes here and now; 1 or more."""
    count = len(os.sched_getaffinity(0))
    with multiprocessing.Pool(count) as pool:
        slowest = max(pool.map(loop, range(count)))
    return min(MOST_PATIENCE, max(1.0, slowest / LOOP_SECONDS))


class Progress:
    def __init__(self, build, name, patience):
        self.patience = patience
        self.path = os.path.join(build, ".test-seconds.json")
        self.known = {}
        try:
            with open(self.path, encoding="utf-8") as file:
                self.known = json.load(file)
        except (OSError, ValueError):
            pass
        self.left, self.total, self.begin = None, 0, time.monotonic()
        self.jobs = max(1, int(os.environ["MESON_TESTTHREADS"]))
        self.terminal, self.shown, self.said = sys.stdout.isatty(), False, time.monotonic()
        self.names, self.name = None, name

    def seconds(self, name):
        return self.known.get(name, self.patience * USUAL_SECONDS.get(name, OTHER_SECONDS))

    def expect(self, names):
        self.names = dict.fromkeys(names)

    def line(self, text):
        """A line of meson's; "12/36 crash  OK  200.1s" is the end of a test."""
        self.clear()
        print(text, flush=True)
        ended = re.match(r"\s*(\d+)/(\d+)\s+(\S.*?)\s+(OK|FAIL|TIMEOUT|ERROR|SKIP|EXPECTEDFAIL|UNEXPECTEDPASS|INTERRUPT)\s+"
                         r"([\d.]+)s", text)
        if not ended:
            return
        self.total = int(ended.group(2))
        name = ended.group(3).split(" / ")[-1]
        if self.names is not None:
            self.names.pop(name, None)
        if ended.group(4) == "OK":
            self.known[name] = float(ended.group(5))
        self.done = int(ended.group(1))
        self.tell()

    done = 0

    def remaining(self):
        if not self.names:
            return 0
        spent = time.monotonic() - self.begin
        each = [self.seconds(name) for name in self.names]
        # All but the longest are done beside each other; what runs now began some time ago.
        started = sum(sorted(each, reverse=True)[:self.jobs]) / self.jobs
        return max(sum(each) / self.jobs - min(spent, started) / 2, max(each) - spent, 1)

    def tell(self, now=False):
        if self.names is None or (not self.terminal and not now and
                                  time.monotonic() - self.said < SECONDS_BETWEEN_LINES):
            return
        total = self.total or len(self.names)
        left = self.remaining()
        when = f"about {left / 60:.0f} minutes left" if left > 90 else f"about {left:.0f} s left"
        text = f"{self.name}: {self.done} of {total}, {when if left > 1 else 'longer than expected'}"
        if not self.names:
            return
        if self.terminal:
            self.clear()
            sys.stdout.write(text)
            sys.stdout.flush()
            self.shown = True
        else:
            print("-- " + text, flush=True)
        self.said = time.monotonic()

    def clear(self):
        if self.shown:
            sys.stdout.write("\r\x1b[K")
            self.shown = False

    def save(self):
        self.clear()
        try:
            with open(self.path, "w", encoding="utf-8") as file:
                json.dump(self.known, file)
        except OSError:
            pass


def grouped(number):
    return f"{number:,.0f}".replace(",", " ")


def print_covered(folder):
    """One line for each suite that has reported."""
    reports = {}
    for name in sorted(os.listdir(folder)):
        if name.endswith(".json"):
            with open(os.path.join(folder, name), encoding="utf-8") as file:
                reports[name[:-5]] = json.load(file)

    def figure(suite, key):
        return grouped(reports[suite].get(key, 0))

    lines = []
    if "crash" in reports:
        lines.append(f"crash table: {figure('crash', 'rows')} of {figure('crash', 'rows_of_table')} rows, {figure('crash', 'stores')} stores, "
                     f"{figure('crash', 'rows_stepped')} rows stepped ({figure('crash', 'instructions_stepped')} instructions), "
                     f"{figure('crash', 'images')} images, {figure('crash', 'recovery_images')} of recoveries, "
                     f"{figure('crash', 'real_kills')} kills")
    if "storm" in reports:
        lines.append(f"storms: {figure('storm', 'kills')} kills, {figure('storm', 'operations')} operations")
    models = [numbers for name, numbers in reports.items() if name.startswith("model_")]
    if models:
        lines.append(f"models: {len(models)}, {grouped(sum(m.get('states', 0) for m in models))} states, "
                     f"{grouped(sum(m.get('rules_left_out', 0) for m in models))} rules left out and missed")
    if "mutants" in reports:
        lines.append(f"mutants: {figure('mutants', 'caught')} of {figure('mutants', 'mutants')} caught, "
                     f"{figure('mutants', 'left_to_other_seeds')} left to other commits")
    if "hostile" in reports:
        lines.append(f"damaged segments: {figure('hostile', 'mutations')}")
    if lines:
        print("\nCovered:\n" + "\n".join("  " + line for line in lines), flush=True)


def run(command, progress):
    """Its exit status; every line that it writes goes through `progress`."""
    with subprocess.Popen(command, stdout=subprocess.PIPE) as process, selectors.DefaultSelector() as selector:
        selector.register(process.stdout, selectors.EVENT_READ)
        rest = b""
        while True:
            try:
                if not selector.select(timeout=5):
                    progress.tell()
                    continue
                part = os.read(process.stdout.fileno(), 65536)
                if not part:
                    break
                *whole, rest = (rest + part).split(b"\n")
                for text in whole:
                    progress.line(text.decode(errors="replace"))
            except KeyboardInterrupt:
                pass  # meson has it, too, and comes to its end
        if rest:
            progress.line(rest.decode(errors="replace"))
        return process.wait()


def main():
    build, arguments = sys.argv[1], sys.argv[2:]
    patience = measured_patience()
    for place, argument in enumerate(arguments):
        if argument == "--timeout-multiplier":
            arguments[place + 1] = f"{float(arguments[place + 1]) * patience:.1f}"
    if "--timeout-multiplier" not in arguments:
        arguments += ["--timeout-multiplier", f"{patience:.1f}"]
    os.environ.setdefault("CAIRN_TEST_PATIENCE", f"{patience:.1f}")
    if patience > 1.2:
        print(f"this machine is {patience:.1f} times as slow as an idle one: limits are as much longer", flush=True)

    os.environ.setdefault("MESON_TESTTHREADS", str(len(os.sched_getaffinity(0)) + WAITING_JOBS))
    command = ["meson", "test", "-C", build, *arguments]
    progress = Progress(build, os.path.basename(build), patience)
    listed = subprocess.run(["meson", "test", "-C", build, "--list", "--no-rebuild", *arguments],
                            capture_output=True, text=True, check=False)
    if listed.returncode == 0:
        progress.expect(line.split(" / ")[-1].strip() for line in listed.stdout.splitlines() if " / " in line)
    own = None
    if not os.environ.get("CAIRN_REPORT_DIR"):
        own = tempfile.TemporaryDirectory(prefix="cairn-covered.")
        os.environ["CAIRN_REPORT_DIR"] = own.name
    status = run(command, progress)
    progress.save()
    print_covered(os.environ["CAIRN_REPORT_DIR"])
    if own:
        own.cleanup()
    return status


if __name__ == "__main__":
    sys.exit(main())

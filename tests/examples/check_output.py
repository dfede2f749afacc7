# SPDX-License-Identifier: BSL-1.0
"""Runs an example and fails when it does not print what the Python original prints.

usage: check_output.py NAME PROGRAM
"""
import re
import subprocess
import sys

STATISTICS = r"<ExecutorStatistics object at 0x[0-9a-f]+ \(failures=0, executed=(\d+), runtime=\d+\.\d\d, cancelled=0\)>"
SUMS = r"Results: \[(.*)\]"


def run(*arguments):
    result = subprocess.run([program, *arguments], capture_output=True, text=True, check=False, timeout=120)
    return result.returncode, result.stdout.splitlines(), result.stderr.splitlines()


def require(holds, what):
    if not holds:
        sys.exit(f"{name}: {what}")


def require_sums(line, count, each):
    """The line is a list of so many sums of random integers from 1 to 100."""
    found = re.fullmatch(SUMS, line)
    require(found, f"no results: {line}")
    sums = [int(text) for text in found[1].split(", ")]
    require(len(sums) == count, f"{len(sums)} results instead of {count}")
    require(all(abs(s - 50.5 * each) < 0.05 * 50.5 * each for s in sums), f"sums are not about {50.5 * each}: {sums}")


def executed(line):
    found = re.fullmatch(STATISTICS, line)
    require(found, f"no statistics: {line}")
    return int(found[1])


def eight_sums():
    code, out, err = run()
    require((code, len(out), err) == (0, 1, []), f"{code} {out} {err}")
    require_sums(out[0], 8, 1_000_000)


def pool():
    eight_sums()
    code, out, err = run("32")
    require((code, err) == (0, []), f"{code} {err}")
    require(out == [f"Results: {list(range(32))}"], f"not the items in order: {out}")


def futurist_statistics():
    code, out, err = run()
    require((code, len(out), err) == (0, 3, []), f"{code} {out} {err}")
    require(executed(out[0]) <= 8, out[0])
    require(executed(out[1]) == 8, f"after all were waited for: {out[1]}")
    require_sums(out[2], 8, 10_000)


def futurist_reject():
    code, out, err = run()
    require((code, len(out), err) == (0, 3, []), f"{code} {out} {err}")
    require(executed(out[0]) <= 20, out[0])
    require(executed(out[1]) == 20, out[1])
    require_sums(out[2], 20, 1_000_000)
    code, out, err = run("2")
    require((code, out) == (1, []), f"{code} {out}")
    require(err == ["cairn::rejected_submission: Current backlog 2 is not allowed to go beyond 2"], err)


CHECKS = {
    "threads": eight_sums,
    "processes": eight_sums,
    "thread_pool": eight_sums,
    "pool": pool,
    "process_pool": eight_sums,
    "futurist_statistics": futurist_statistics,
    "futurist_reject": futurist_reject,
}

name, program = sys.argv[1:]
require(name in CHECKS, "give it a check in " + sys.argv[0])
CHECKS[name]()
print(f"{name}: as the original")

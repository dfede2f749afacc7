# SPDX-License-Identifier: BSL-1.0
"""Runs an example and fails when it does not print what the Python original prints.

usage: check_output.py NAME PROGRAM
"""
import os
import pathlib
import re
import select
import signal
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


WATCHER = (
    r"<Watcher\(metrics=\{'runs': (\d+), 'elapsed': [0-9.e-]+, 'elapsed_waiting': [0-9.e-]+, 'failures': 0, 'successes': (\d+),"
    r" 'requested_stop': False, 'late': [0-9.e-]+, 'skipped': \d+\}, work=Work\(name='(\w+)'\)\) object at 0x[0-9a-f]+>"
)


def periodic():
    """One line a second, one of statistics after four, for 6.5 s. On a busy machine runs are late, but none is before its time,
    none is left out that was due, and the statistics are those of the lines before."""
    code, out, err = run("6.5")
    require((code, err) == (0, []), f"{code} {err}")
    is_tick = [line.startswith("1: ") for line in out]
    times = [float(line[3:]) for line, it_is in zip(out, is_tick) if it_is]
    require(1 <= len(times) <= 6, f"{len(times)} runs in 6.5 s, one a second: {out}")
    require(len(times) == 6 or times[-1] > 5.4, f"a run is missing: {times}")
    earlier = [0.0] + times
    require(all(b - a > 0.99 for a, b in zip(earlier, times)), f"runs are less than a second apart: {times}")

    stats = [line for line in out if line.startswith("stats: [")]
    require(len(stats) == 1, f"not one line of statistics: {out}")
    watchers = re.findall(WATCHER, stats[0])
    require([w[2] for w in watchers] == ["every_one", "print_stats", "stop"], stats[0])
    before = sum(is_tick[: out.index(stats[0])])
    require(watchers[0][:2] == (str(before), str(before)), f"after {before} runs: {stats[0]}")
    require(watchers[1][0] == watchers[2][0] == "0", stats[0])
    require(before <= 4 and (before >= 3 or times[2] > 3.9), f"the statistics are not of the fourth second: {out}")

    rows = [[cell.strip() for cell in line.split("|")[1:-1]] for line in out if line.startswith("|")]
    require(rows[0][:2] == ["Name", "Active"] and rows[0][-2:] == ["Late", "Skipped"], rows[0])
    columns = {name: i for i, name in enumerate(rows[0])}
    # Name, runs, failures, successes, whether it said never_again.
    picked = [[row[columns[c]] for c in ("Name", "Runs", "Failures", "Successes", "Stop Requested")] for row in rows[1:3]]
    count = str(len(times))
    require(picked == [["every_one", count, "0", count, "False"], ["print_stats", "1", "0", "1", "False"]], f"{picked}")


class Running:
    """A program that runs until it is told to end; killed when a check fails. Its workers end with it."""

    def __enter__(self):
        self.process = subprocess.Popen([program], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, bufsize=1)
        return self

    def __exit__(self, *_):
        self.process.kill()
        self.process.communicate()

    def line(self):
        ready, _, _ = select.select([self.process.stdout], [], [], 60)
        require(ready, "prints nothing")
        return os.read(self.process.stdout.fileno(), 4096).decode()

    def lines(self, count):
        text = ""
        while text.count("\n") < count:
            text += self.line()
        return text.splitlines()

    def workers(self, title):
        """Their pids, by worker id."""
        found = {}
        waiting = [self.process.pid]
        while waiting:
            pid = waiting.pop()
            try:
                waiting += map(int, pathlib.Path(f"/proc/{pid}/task/{pid}/children").read_text().split())
                text = pathlib.Path(f"/proc/{pid}/cmdline").read_text().rstrip("\0")
            except OSError:
                continue
            matched = re.fullmatch(rf"{name}: {title} worker\((\d)\)", text)
            if matched:
                found[int(matched[1])] = pid
        return found

    def end(self, signal_number):
        self.process.send_signal(signal_number)
        return self.process.wait(60)


def printer_service():
    with Running() as running:
        require(set(running.lines(4)) == {"Doing stuff"}, "prints other things")
        workers = running.workers("printer")
        require(sorted(workers) == [0, 1], f"not two workers: {workers}")
        os.kill(workers[0], signal.SIGKILL)
        require(set(running.lines(4)) == {"Doing stuff"}, "prints other things")
        after = running.workers("printer")
        require(after[0] != workers[0] and after[1] == workers[1], f"not replaced: {workers} {after}")
        require(running.end(signal.SIGTERM) == 0, "does not end well")
        require(running.workers("printer") == {}, "leaves workers")


def producer_printer():
    line = re.compile(r"I am Worker: ([01]) PID: (\d+) and I print (\d+)( again)?")
    with Running() as running:
        printed = []
        deaths = 0
        while deaths < 2 or not set(range(5)) <= set(printed):
            for text in running.lines(1):
                found = line.fullmatch(text)
                require(found, f"prints {text}")
                workers = running.workers("printer")
                # None is lost, and none printed twice without saying so.
                if not found[4]:
                    printed.append(int(found[3]))
                if deaths < 2 and int(found[1]) in workers:
                    os.kill(workers[int(found[1])], signal.SIGKILL)
                    deaths += 1
        require(len(set(printed)) == len(printed), f"an item twice: {printed}")
        require(running.end(signal.SIGTERM) == 0, "does not end well")


CHECKS = {
    "threads": eight_sums,
    "processes": eight_sums,
    "thread_pool": eight_sums,
    "periodic": periodic,
    "pool": pool,
    "process_pool": eight_sums,
    "printer_service": printer_service,
    "producer_printer": producer_printer,
    "futurist_statistics": futurist_statistics,
    "futurist_reject": futurist_reject,
}

name, program = sys.argv[1:]
require(name in CHECKS, "give it a check in " + sys.argv[0])
CHECKS[name]()
print(f"{name}: as the original")

#!/usr/bin/env python3
# SPDX-License-Identifier: BSL-1.0
"""Breaks the library one rule at a time, and expects the tests to notice.

For each mutant of mutants.py: a copy of one file is changed, what needs it is compiled again as compile_commands.json
says, and one test program is linked anew, all in a folder of its own; neither the tree nor the build folder is touched.
Then the tests that the mutant names are run and have to fail. They are run with the unbroken program, too, and have to
pass. A mutant whose text is not found (once) fails, also when it is not run, so that mutants cannot rot.

Without arguments it does those that every run does, and some that CAIRN_CRASH_SEED chooses; with CAIRN_FULL=1 all; with
arguments those whose name contains one of them.
"""
import argparse
import json
import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
import tempfile
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from mutants import MUTANTS  # noqa: E402

SAMPLE = 5            # how many a run that does not do all of them does beside those that are always done
CRASH_TABLE = "an operation has happened whole or not at all*"
# A watchdog: the tests take a few seconds, a mutant may hang. Longer on a busy machine, as tools/run_tests.py measures.
TEST_SECONDS = 60 * max(1.0, float(os.environ.get("CAIRN_TEST_PATIENCE") or 1))


class Problem(Exception):
    pass


class Build:
    """What the build folder knows: how each file is compiled, and how each test program is linked."""

    def __init__(self, folder, source):
        self.folder, self.source = os.path.abspath(folder), os.path.abspath(source)
        with open(os.path.join(folder, "compile_commands.json"), encoding="utf-8") as file:
            self.commands = json.load(file)
        self.links = {}

    def compilation(self, source, program):
        """(command, output, joined) of the compilation of `source` that the program consists of. `joined` is the file of the
        build folder that includes it, when it is compiled with others, else None."""
        wanted = os.path.join(self.source, source)
        found = []
        for entry in self.commands:
            path = os.path.normpath(os.path.join(entry["directory"], entry["file"]))
            joined = path if path != wanted else None
            if joined and not self.line_that_includes(joined, source):
                continue
            output = entry["output"]
            if output.startswith("src/libcairn.a.p/") and os.path.exists(os.path.join(self.folder, "src/libcairn.so")):
                continue  # of the shared library's objects the tests are made
            if output.startswith("src/") or output in self.link(program):
                found.append((shlex.split(entry["command"]), output, joined))
        if len(found) != 1:
            raise Problem(f"{source} is compiled {len(found)} times for {program}_tests, expected once")
        return found[0]

    def line_that_includes(self, path, source):
        """The line by which a file of the build folder includes the source, or None. Meson's own have whole paths."""
        if not path.startswith(self.folder + os.sep):
            return None
        wanted = (os.path.join(self.source, source), source.removeprefix("tests/"))
        with open(path, encoding="utf-8") as file:
            for line in file:
                included = re.match(r'#include ?[<"](.*)[>"]$', line)
                if included and os.path.normpath(included.group(1)) in wanted:
                    return line
        return None

    def link(self, program):
        if program not in self.links:
            lines = subprocess.run(["ninja", "-C", self.folder, "-t", "commands", "-s", f"tests/{program}_tests"],
                                   check=True, capture_output=True, text=True).stdout.splitlines()
            self.links[program] = shlex.split(lines[-1])
        return list(self.links[program])


class Sandbox:
    """Where tests run: with processes and a /dev/shm of their own where the system allows it, so that whatever a broken
    program leaves behind goes with it; else in a process group that is killed."""

    def __init__(self):
        # Forked with --kill-child: everything in it dies with the first process.
        self.prefix = ["unshare", "--mount", "--pid", "--fork", "--kill-child", "--mount-proc"]
        script = 'mount -t tmpfs -o size=2g tmpfs /dev/shm && exec "$@"'
        self.shell = ["sh", "-c", script, "sh"]
        for extra in ([], ["--user", "--map-root-user"]):
            probe = self.prefix + extra + self.shell + ["true"]
            if shutil.which("unshare") and subprocess.run(probe, capture_output=True, check=False).returncode == 0:
                self.prefix = self.prefix + extra + self.shell
                return
        self.prefix = []

    def run(self, command, environment):
        """(exit status or None after the watchdog, output)."""
        with subprocess.Popen(self.prefix + command, env=environment, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                              stderr=subprocess.STDOUT, text=True, errors="replace", start_new_session=True) as process:
            try:
                output = process.communicate(timeout=TEST_SECONDS)[0]
                status = process.returncode
            except subprocess.TimeoutExpired:
                status, output = None, ""
            finally:
                try:
                    os.killpg(process.pid, signal.SIGKILL)
                except ProcessLookupError:
                    pass
            if status is None:
                output = process.communicate()[0]
        return status, output


def absolute(command, folder, include):
    """A compilation without what only a build needs, with paths that hold anywhere, and `include` looked at first."""
    result, skip = [], False
    for word in command:
        if skip:
            skip = False
        elif word in ("-MQ", "-MF", "-o"):
            skip = True
        elif word in ("-MD", "-c", "-g", "-g1", "-Werror"):
            pass
        elif word.startswith("-I") and not os.path.isabs(word[2:]):
            result.append("-I" + os.path.normpath(os.path.join(folder, word[2:])))
        else:
            result.append(word)
    result.pop()  # the source
    compiler = 2 if os.path.basename(result[0]) == "ccache" else 1
    return result[:compiler] + include + result[compiler:] + ["-g0", "-w"]


def run_tests(sandbox, program_path, mutant):
    environment = {**os.environ, "CAIRN_CRASH_SEED": "0"}
    environment.pop("CAIRN_REPORT_DIR", None)
    environment.pop("CAIRN_FULL", None)
    command = [program_path]
    if "rows" in mutant:
        environment["CAIRN_CRASH_ROWS"] = mutant["rows"]
        command.append("--test-case=" + CRASH_TABLE)
    else:
        environment.pop("CAIRN_CRASH_ROWS", None)
        command.append("--test-case=" + mutant["cases"].replace(",", "\\,"))
    status, output = sandbox.run(command, environment)
    counted = re.search(r"crash table: (\d+) of" if "rows" in mutant else r"test cases:\s*(\d+)", output)
    return status, output, int(counted.group(1)) if counted else 0


def unbroken_text(build, mutant):
    """The file that it breaks, whose text is there once."""
    path = mutant["file"]
    with open(os.path.join(build.source, path), encoding="utf-8") as file:
        text = file.read()
    if text.count(mutant["old"]) != 1:
        raise Problem(f"its text is {text.count(mutant['old'])} times in {path}, expected once: mend the mutant")
    return text


def break_file(build, mutant, folder):
    """The changed copy; returns its path, relative to `folder`, and what the compiler has to look at first for it."""
    path, text = mutant["file"], unbroken_text(build, mutant)
    copy = os.path.join(folder, path)
    os.makedirs(os.path.dirname(copy), exist_ok=True)
    with open(copy, "w", encoding="utf-8") as file:
        file.write(text.replace(mutant["old"], mutant["new"]))
    return path


def break_joined(build, joined, path, folder):
    """A copy of a file that includes several, with the changed one; its path, relative to `folder`."""
    with open(joined, encoding="utf-8") as file:
        text = file.read()
    copy = os.path.basename(joined)
    with open(os.path.join(folder, copy), "w", encoding="utf-8") as file:
        file.write(text.replace(build.line_that_includes(joined, path), f'#include "{path}"\n'))
    return copy


def build_mutant(build, mutant, folder):
    """The broken program; its path."""
    path = break_file(build, mutant, folder)
    is_header = not path.endswith(".cpp")
    include = ["-Iinclude", "-Isrc"] if is_header else []
    program = mutant["program"]
    link = build.link(program)
    own_objects = []
    object_path_of = {}
    for number, source in enumerate(mutant["compile"] if is_header else [path]):
        command, output, joined = build.compilation(source, program)
        object_path = os.path.join(folder, f"{number}.o")
        if object_path_of.setdefault(output, object_path) != object_path:
            continue  # compiled with one before
        # The path of the broken file is relative, so that the compiler's cache knows it again.
        command = absolute(command, build.folder, include)
        from_path = os.path.join(build.source, source) if is_header else path
        # Of files of tests that are compiled as one the program has this one only, which is enough. The library needs all.
        if joined and source.startswith("src/"):
            from_path = joined if is_header else break_joined(build, joined, path, folder)
        result = subprocess.run(command + ["-o", object_path, "-c", from_path], cwd=folder, capture_output=True,
                                text=True, check=False)
        if result.returncode != 0:
            raise Problem("it does not compile:\n" + result.stderr)
        # First of all: of an inline function that several objects have, the linker takes the first.
        own_objects.append(object_path)
        if output in link:
            link.remove(output)
    first_object = next(i for i, word in enumerate(link) if word.endswith(".o"))
    link[first_object:first_object] = own_objects
    target = os.path.join(folder, "program")
    link[link.index("-o") + 1] = target
    result = subprocess.run(link, cwd=build.folder, capture_output=True, text=True, check=False)
    if result.returncode != 0:
        raise Problem("it does not link:\n" + result.stderr)
    return target


def check(build, sandbox, mutant, baseline):
    """What is wrong with the mutant's tests, or "" when they have caught it; and how they did."""
    with tempfile.TemporaryDirectory(prefix="cairn-mutant.") as folder:
        program = build_mutant(build, mutant, folder)
        sound = baseline(mutant)
        if sound:
            return sound, ""
        status, output, count = run_tests(sandbox, program, mutant)
    if status == 0:
        return f"NOT CAUGHT by {count} tests\n{output[-2000:]}", ""
    if status is None:
        return ("", "hangs") if mutant.get("may_hang") else ("its tests hang", "")
    if status < 0 or status > 128:
        return "", f"dies by signal {-status if status < 0 else status - 128}"
    return "", first_complaint(output)


def first_complaint(output):
    """What a test says that fails: the line of the crash table, or what doctest had expected."""
    for line in output.splitlines():
        said = re.match(r"    (\S.*)|.*ERROR: (.*)", line)
        if said and not line.startswith("    list<"):
            return (said.group(1) or said.group(2))[:120]
    return "red"


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--build", required=True)
    parser.add_argument("--source", required=True)
    parser.add_argument("names", nargs="*")
    arguments = parser.parse_args()
    build, sandbox = Build(arguments.build, arguments.source), Sandbox()

    chosen = MUTANTS
    if arguments.names:
        chosen = [m for m in MUTANTS if any(name in m["name"] for name in arguments.names)]
    elif not os.environ.get("CAIRN_FULL"):
        # Those that end by hanging take as long as all others together.
        others = [m for m in MUTANTS if not m.get("may_hang") and not m.get("always")]
        first = int(os.environ.get("CAIRN_CRASH_SEED") or 0) % len(others)
        chosen = [m for m in MUTANTS if m.get("always")] + (others + others)[first:first + SAMPLE]

    rotten = 0
    for mutant in MUTANTS:  # also those that are left to other runs
        try:
            unbroken_text(build, mutant)
        except Problem as error:
            print(f"FAIL {mutant['name']}: {error}", flush=True)
            rotten += 1

    results = {}

    def baseline(mutant):
        key = (mutant["program"], mutant.get("rows"), mutant.get("cases"))
        if key not in results:
            program = os.path.join(build.folder, "tests", mutant["program"] + "_tests")
            status, output, count = run_tests(sandbox, program, mutant)
            results[key] = "" if status == 0 and count else \
                f"the unbroken program fails, or has no such test ({count} run)\n{output[-2000:]}"
        return results[key]

    def one(mutant):
        begin = time.monotonic()
        try:
            problem, how = check(build, sandbox, mutant, baseline)
        except Problem as error:
            problem, how = str(error), ""
        print(f"{'FAIL' if problem else 'ok  '} {mutant['name']}: {problem or how}, {time.monotonic() - begin:.1f} s",
              flush=True)
        return not problem

    # Whoever ends this run, as `meson test` does after its timeout, ends what it has started, too.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    caught = sum(one(mutant) for mutant in chosen)
    print(f"{caught} of {len(chosen)} mutants caught, {len(MUTANTS) - len(chosen)} left to other runs")
    if os.environ.get("CAIRN_REPORT_DIR"):
        with open(os.path.join(os.environ["CAIRN_REPORT_DIR"], "mutants.json"), "w", encoding="utf-8") as to:
            json.dump({"mutants": len(chosen), "caught": caught,
                       "left_to_other_seeds": len(MUTANTS) - len(chosen)}, to, indent=2)
    return 0 if chosen and caught == len(chosen) and not rotten else 1


if __name__ == "__main__":
    sys.exit(main())

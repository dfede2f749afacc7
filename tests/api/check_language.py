# SPDX-License-Identifier: BSL-1.0
"""Fails when a public header says too much, or nothing, to a compiler that was not told enough.

usage: check_language.py INCLUDE_DIR LIBRARY COMPILER [ARGUMENT...]

Each public header: an older C++, and containers or strings of the standard library with other layouts, give one line that
says what to do. What was built with such is a different library: it does not link with LIBRARY.
"""
import os
import pathlib
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor

MOST_LINES = 10

# Flags, and the words of the refusal: of every header, and of one, since all begin with the same.
CASES = [
    ("-std=c++17", "Cairn needs C++20: pass -std=c++20 (or gnu++20) to the compiler"),
    ("-std=c++20 -D_GLIBCXX_DEBUG", "this Cairn is without: build it with -Dcpp_args=-D_GLIBCXX_DEBUG"),
]
FURTHER_CASES = [
    ("-std=c++11", "Cairn needs C++20: pass -std=c++20 (or gnu++20) to the compiler"),
    ("-std=c++20 -DCAIRN_GLIBCXX_DEBUG", "pass -D_GLIBCXX_DEBUG to the compiler"),
    ("-std=c++20 -D_GLIBCXX_USE_CXX11_ABI=0", "this Cairn was built without: build it the same way"),
    ("-std=c++20 -DCAIRN_GLIBCXX_OLD_ABI", "pass -D_GLIBCXX_USE_CXX11_ABI=0 to the compiler"),
]
DEBUG = "-std=c++20 -D_GLIBCXX_DEBUG -DCAIRN_GLIBCXX_DEBUG"
PROGRAM = """\
#include <cairn/version.hpp>
int main() { return cairn::version() == nullptr; }
"""


def run(flags, *arguments):
    command = [*compiler, *flags.split(), f"-I{include_dir}", *map(str, arguments)]
    result = subprocess.run(command, capture_output=True, text=True, check=False, env={**os.environ, "LC_ALL": "C"})
    return result.returncode == 0, result.stdout + result.stderr


def refused(folder, header, flags, words):
    """None, or what is wrong with the refusal."""
    source = folder / f"{header}{abs(hash(flags))}.cpp"
    source.write_text(f"#include <cairn/{header}>\n")
    compiles, output = run(flags, "-fsyntax-only", source)
    lines = output.splitlines()
    if compiles:
        return f"<cairn/{header}> compiles with {flags}"
    if words not in output or len(lines) >= MOST_LINES:
        return f"<cairn/{header}> with {flags}: {len(lines)} lines instead of '{words}':\n" + "\n".join(lines[:MOST_LINES])
    return None


include_dir, library, compiler = pathlib.Path(sys.argv[1]), pathlib.Path(sys.argv[2]), sys.argv[3:]
headers = sorted(path.name for path in (include_dir / "cairn").glob("*.hpp"))
with tempfile.TemporaryDirectory() as name, ThreadPoolExecutor(max_workers=2) as pool:
    folder = pathlib.Path(name)
    jobs = [(folder, header, *case) for header in headers for case in CASES]
    jobs += [(folder, "cairn.hpp", *case) for case in FURTHER_CASES]
    problems = [problem for problem in pool.map(lambda job: refused(*job), jobs) if problem]

    program = folder / "program.cpp"
    program.write_text(PROGRAM)
    static = ["-DCAIRN_STATIC"] if library.suffix == ".a" else []
    for flags, links in (("-std=c++20", True), (DEBUG, False)):
        done, output = run(flags, *static, program, "-o", folder / "program", library, "-pthread")
        if done != links:
            problems.append(f"a program with {flags} {'links' if done else 'does not link'} with {library.name}:\n{output}")
    umbrella = folder / "umbrella.cpp"
    umbrella.write_text("#include <cairn/cairn.hpp>\n")
    compiles, output = run(DEBUG, "-fsyntax-only", umbrella)
    if not compiles:
        problems.append(f"<cairn/cairn.hpp> does not compile with {DEBUG}:\n{output}")
for problem in problems:
    print(problem)
print(f"{len(headers)} headers, {len(jobs)} compilations with too little, {len(problems)} problems")
sys.exit(bool(problems))

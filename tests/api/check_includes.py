# SPDX-License-Identifier: BSL-1.0
"""Fails when a header that most programs include brings in standard headers that take long to compile and that it does not need.

usage: check_includes.py INCLUDE_DIR COMPILER [ARGUMENT...]

Only for the standard library whose parts detail/base/standard.hpp names: GCC 12's. Elsewhere skipped.
"""
import os
import pathlib
import re
import subprocess
import sys

STREAMS = "ostream istream sstream".split()
COSTLY = [*STREAMS, *"memory functional ranges chrono algorithm atomic thread stop_token unordered_map".split()]

# A header, and what it has to do without.
RULES = {
    "error": COSTLY,
    "fields": COSTLY,
    "codec": COSTLY,
    "repr": COSTLY,
    "segment": COSTLY,
    "list": COSTLY,
    "dict": COSTLY,
    # std::stop_token is in their signatures, and brings <ostream> in that library.
    "queue": "memory functional ranges chrono algorithm sstream".split(),
    "channel": "memory functional ranges chrono algorithm sstream".split(),
    "set": "memory functional ranges chrono algorithm thread stop_token atomic".split(),
    "cairn": "ranges chrono algorithm sstream".split(),
}

include_dir, compiler = pathlib.Path(sys.argv[1]), sys.argv[2:]


def run(source, *arguments):
    return subprocess.run([*compiler, "-std=c++20", f"-I{include_dir}", "-x", "c++", *arguments, "-"], input=source,
                          capture_output=True, text=True, check=True, env={**os.environ, "LC_ALL": "C"}).stdout


release = run("#include <version>\n_GLIBCXX_RELEASE\n", "-E", "-P").split()[-1]
if release != "12":
    print(f"the standard library is of GCC {release}, or another; only 12 is looked at")
    sys.exit(77)

problems = []
for header, forbidden in RULES.items():
    included = set(re.findall(r"/([a-z_]+)(?=[ \\\n])", run(f"#include <cairn/{header}.hpp>\n", "-M")))
    for name in forbidden:
        if name in included:
            problems.append(f"<cairn/{header}.hpp> includes <{name}>, by whatever way (g++ -H shows it)")
for problem in problems:
    print(problem)
print(f"{len(RULES)} headers, {len(problems)} problems")
sys.exit(bool(problems))

# SPDX-License-Identifier: BSL-1.0
"""Fails when the public headers use a name that others define as a macro, or give warnings where they are not system headers.

usage: check_warnings.py INCLUDE_DIR COMPILER [ARGUMENT...]

The compiler is the one that Meson uses; the others that are tested are tried where they are installed.
"""
import os
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile

WARNINGS = "-Wall -Wextra -Wpedantic -Wconversion -Wsign-conversion -Wshadow -Wold-style-cast -Wundef -Werror".split()

# Whose headers may stand before ours, with what they define.
NAMES = {
    "Qt": "slots signals emit foreach forever SIGNAL SLOT",
    "X11": "Bool Status None True False Success Always Above Below Unsorted Convex Opposite Screen Display Font Window"
           " KeyPress KeyRelease FocusIn FocusOut Expose CursorShape GrayScale CurrentTime",
    "the C library": "major minor makedev linux unix I B0 B50 ECHO",
    "others": "check require interface near far small TRUE FALSE BOOL ERROR DEBUG IN OUT YES NO nil current assume"
              " BLOCK_SIZE PAGE_SIZE container_of typeof",
}
# With an argument: [[likely]] is not one of these. Nor is the kernel's barrier(): no class of that name, std::barrier neither, has a
# constructor where that is a macro.
FUNCTIONS = "likely(x) unlikely(x) get_user(x)"

include_dir, compiler = pathlib.Path(sys.argv[1]), sys.argv[2:]
standard = {name for path in include_dir.rglob("*.hpp")
            for name in re.findall(r"^#include <([a-z_]+)>", path.read_text(encoding="utf-8"), re.MULTILINE)}
lines = [f"#if __has_include(<{name}>)\n#include <{name}>\n#endif" for name in sorted(standard | {"sstream"})]
lines += [f"#undef {name}\n#define {name} ?" for names in NAMES.values() for name in names.split()]
lines += [f"#define {name} ?" for name in FUNCTIONS.split()]

compilers = [compiler]
for name in ("g++", "clang++-14", "clang++-16"):
    path = shutil.which(name)
    if path and os.path.realpath(path) not in {os.path.realpath(shutil.which(each[-1]) or each[-1]) for each in compilers}:
        compilers.append([path])

failed = 0
with tempfile.TemporaryDirectory() as folder:
    prelude = pathlib.Path(folder) / "others.hpp"
    prelude.write_text("\n".join(lines) + "\n")
    source = pathlib.Path(__file__).with_name("every_handle.cpp")
    for each in compilers:
        command = [*each, "-std=c++20", "-fsyntax-only", *WARNINGS, f"-I{include_dir}", "-include", str(prelude), str(source)]
        result = subprocess.run(command, capture_output=True, text=True, check=False)
        if result.returncode:
            failed = 1
            print(f"{' '.join(each)}:\n" + "\n".join((result.stdout + result.stderr).splitlines()[:40]))
        else:
            print(f"{' '.join(each)}: no warning, no name taken")
sys.exit(failed)

# SPDX-License-Identifier: BSL-1.0
"""Fails when a source file does not say its licence.

usage: check_licence.py [--add] SOURCE_ROOT

The line is the last one of the comment that the file begins with, or its first line where it begins with none (after `#!`).
With --add it is put there.
"""
import pathlib
import re
import sys

LINE = "SPDX-License-Identifier: BSL-1.0"
SLASHES = {".cpp", ".hpp", ".h"}
HASHES = {".py", ".sh"}
NAMES = {"meson.build", "meson_options.txt", "CMakeLists.txt", "dev", "run"}  # tools/dev, .ci/run
SKIPPED = {".git", "build", "subprojects"}


def comment_of(path):
    """How a comment begins in this file; None when it is no source."""
    stem = pathlib.Path(path.name.removesuffix(".in"))
    if stem.suffix in SLASHES:
        return "//"
    if stem.suffix in HASHES | {".cmake"} or stem.name in NAMES:
        return "#"
    return None


def with_line(text, mark):
    lines = text.split("\n")
    begin = 1 if lines[0].startswith("#!") else 0
    end = begin
    while end < len(lines) and re.match(re.escape(mark) + r"( |$)", lines[end]):
        end += 1
    # Prose of several lines is set off.
    added = [mark] * (end - begin > 1) + [f"{mark} {LINE}"]
    return "\n".join(lines[:end] + added + lines[end:])


arguments = sys.argv[1:]
add = "--add" in arguments
root = pathlib.Path([each for each in arguments if each != "--add"][0])
count, missing = 0, []
for path in sorted(root.rglob("*")):
    parts = path.relative_to(root).parts
    mark = comment_of(path)
    if not path.is_file() or path.is_symlink() or mark is None or SKIPPED & set(parts):
        continue
    count += 1
    text = path.read_text(encoding="utf-8")
    if f"{mark} {LINE}\n" not in text:
        missing.append(path)
        if add:
            path.write_text(with_line(text, mark), encoding="utf-8")
for path in missing:
    print(f"{path.relative_to(root)}: {'now says' if add else 'does not say'} '{LINE}'")
print(f"{count} files, {len(missing)} without a licence")
sys.exit(bool(missing) and not add)

# SPDX-License-Identifier: BSL-1.0
"""Fails when docs/limits.md names a test that there is not, or a limit without a test.

usage: check_limits.py SOURCE_ROOT

The last column of each row has one or more of: `folder/stem` "name of a test case", which is tests/folder/stem.cpp.
"""
import pathlib
import re
import sys

root = pathlib.Path(sys.argv[1])
CASE = re.compile(r'TEST_CASE\(\s*((?:"(?:[^"\\]|\\.)*"\s*)+)\)')
TEXT = re.compile(r'"((?:[^"\\]|\\.)*)"')
NAMED = re.compile(r'`([\w/]+)` "([^"]+)"')
cases = {}
problems = []
row_count = 0


def cases_of(stem):
    if stem not in cases:
        source = root / "tests" / f"{stem}.cpp"
        text = source.read_text(encoding="utf-8") if source.is_file() else None
        cases[stem] = None if text is None else {"".join(TEXT.findall(names)) for names in CASE.findall(text)}
    return cases[stem]


for number, line in enumerate((root / "docs" / "limits.md").read_text(encoding="utf-8").splitlines(), 1):
    if not line.startswith("| ") or line.startswith(("| limit |", "| --- |")):
        continue
    row_count += 1
    where = f"docs/limits.md:{number}"
    columns = [column.strip() for column in line.strip("|").split(" | ")]
    if len(columns) != 4:
        problems.append(f"{where}: {len(columns)} columns, expected 4")
        continue
    named = NAMED.findall(columns[3])
    if not named or NAMED.sub("", columns[3]).replace("·", "").strip():
        problems.append(f'{where}: the last column is not: `folder/stem` "name of a test case"')
    for stem, name in named:
        known = cases_of(stem)
        if known is None:
            problems.append(f"{where}: there is no tests/{stem}.cpp")
        elif name not in known:
            problems.append(f"{where}: tests/{stem}.cpp has no test case '{name}'")

if row_count < 40:
    problems.append(f"docs/limits.md: only {row_count} rows were found: this check looks at the wrong thing")
for problem in problems:
    print(problem)
print(f"{row_count} limits, {len(cases)} files of tests, {len(problems)} problems")
sys.exit(bool(problems))

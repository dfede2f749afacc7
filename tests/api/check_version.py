# SPDX-License-Identifier: BSL-1.0
"""Fails when the version that meson.build gives is not everywhere the same.

usage: check_version.py INCLUDE_DIR LIBRARY VERSION COMPILER [ARGUMENT...]

Looked at: the macros of <cairn/version.hpp>, the namespace (0.x: one for each minor version), the name of the shared library
(the same, and never one that 1.0 could have), and how much static TLS it takes, which docs/building.md says.
"""
import pathlib
import re
import subprocess
import sys

MOST_TLS_BYTES = 160  # chosen freely: the C library sets 1664 aside for all libraries that dlopen loads

include_dir, library, version, compiler = sys.argv[1], pathlib.Path(sys.argv[2]), sys.argv[3], sys.argv[4:]
major, minor, patch = (int(part) for part in version.split("."))
interface = f"{major}.{minor}" if major == 0 else f"{major}"

problems = []


def expect(what, found, expected):
    if found != expected:
        problems.append(f"{what} is {found}, expected {expected}")


def preprocessed(text, *flags):
    command = [*compiler, "-std=c++20", f"-I{include_dir}", *flags, "-E", "-P", "-x", "c++", "-"]
    output = subprocess.run(command, input=text, check=True, capture_output=True, text=True).stdout
    return output.strip().splitlines()[-1]


macros = "MAJOR MINOR PATCH".split()
line = preprocessed("#include <cairn/version.hpp>\n" + ", ".join(f"CAIRN_VERSION_{m}" for m in macros) + ", CAIRN_VERSION\n")
expect("the version of <cairn/version.hpp>", tuple(eval(line)), (major, minor, patch, major * 10000 + minor * 100 + patch))

for flags, suffix in (
    ([], ""),
    (["-DCAIRN_STATIC"], "_static"),
    (["-D_GLIBCXX_DEBUG", "-DCAIRN_GLIBCXX_DEBUG"], "_debug"),
    (["-DCAIRN_STATIC", "-D_GLIBCXX_DEBUG", "-DCAIRN_GLIBCXX_DEBUG"], "_static_debug"),
    (["-D_GLIBCXX_USE_CXX11_ABI=0", "-DCAIRN_GLIBCXX_OLD_ABI"], "_old_strings"),
):
    expect(f"the namespace with {' '.join(flags) or 'no flags'}",
           preprocessed("#include <cairn/version.hpp>\nCAIRN_ABI\n", *flags),
           "v" + interface.replace(".", "_") + suffix)

# A header that opened the namespace without its name would be in one that is called CAIRN_ABI.
names = subprocess.run(["nm", "-C", library], check=True, capture_output=True, text=True).stdout
expect("symbols of the library in a namespace without a version", len(re.findall(r"cairn::CAIRN_ABI", names)), 0)

if ".so" in library.suffixes or library.suffix == ".so":
    dynamic = subprocess.run(["readelf", "-dW", library], check=True, capture_output=True, text=True).stdout
    expect("the soname", re.search(r"SONAME.*\[(.*)\]", dynamic).group(1), f"libcairn.so.{interface}")
    segments = subprocess.run(["readelf", "-lW", library], check=True, capture_output=True, text=True).stdout
    tls = [int(row.split()[5], 16) for row in segments.splitlines() if row.split()[:1] == ["TLS"]]
    if len(tls) != 1 or not 0 < tls[0] <= MOST_TLS_BYTES:
        problems.append(f"the library takes {tls} bytes of static TLS, expected {MOST_TLS_BYTES} at most")
    building = (pathlib.Path(include_dir).parent / "docs" / "building.md").read_text(encoding="utf-8")
    expect("the static TLS that docs/building.md names", re.findall(r"needs (\d+) bytes of the 1 664", building), [str(MOST_TLS_BYTES)])

for problem in problems:
    print(problem)
print(f"version {version}: {len(problems)} problems")
sys.exit(bool(problems))

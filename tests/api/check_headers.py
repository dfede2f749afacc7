# SPDX-License-Identifier: BSL-1.0
"""Fails when include/cairn and the list of public headers in include/meson.build differ."""
import pathlib
import sys

folder, listed = pathlib.Path(sys.argv[1]), set(sys.argv[2:])
present = {path.name for path in folder.glob("*.hpp")}
for name in sorted(present - listed):
    print(f"include/cairn/{name} is public by its place; add it to public_headers or optional_headers in include/meson.build")
for name in sorted(listed - present):
    print(f"include/meson.build lists {name}, which is not in include/cairn")
sys.exit(present != listed)

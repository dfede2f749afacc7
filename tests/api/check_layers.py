# SPDX-License-Identifier: BSL-1.0
"""Fails when a file includes something from a layer to its right.

usage: check_layers.py SOURCE_ROOT

The layer of a file is its folder in src/ or include/cairn/detail/; a header directly in include/cairn has the layer it
is given in PUBLIC below. Also looked at: a .cpp in src/ includes its own header first, which proves it complete; what opens the namespace knows its name;
a public header first includes what tells older compilers off; nothing waits by a clock that somebody may set.
"""
import pathlib
import re
import sys

LAYERS = (
    "base os segment txn arena codec containers sync manager process executors pool periodic service inspect tools".split()
)
RANK = {name: rank for rank, name in enumerate(LAYERS)}

# The umbrella and inspect see everything, so nothing but tools may include them.
PUBLIC = {
    "base": "error literals version",
    "segment": "segment",
    "codec": "codec fields repr json fmt msgpack cereal",
    "containers": "list dict sharded_dict set queue channel value namespace once_id transaction",
    "sync": "array once mutex shared_mutex semaphore condition event barrier latch",
    "manager": "manager",
    "process": "descriptor process",
    "executors": "executor future task thread_pool_executor",
    "pool": "exception nursery outcome pool process_pool_executor result",
    "periodic": "periodic",
    "service": "service service_control service_manager",
    "inspect": "inspect",
    "tools": "cairn",
}
PUBLIC_LAYER = {stem: layer for layer, stems in PUBLIC.items() for stem in stems.split()}

WALL_CLOCK = re.compile(r"^(?!\s*//).*\b(system_clock|CLOCK_REALTIME\w*|gettimeofday)\b", re.MULTILINE)
# When a segment was made, and how long ago that was.
MAY_SEE_WALL_CLOCK = ("src/os/identity.cpp", "tools/shmctl/words.cpp")

INCLUDE = re.compile(r'^[ \t]*#[ \t]*include[ \t]*(["<])([^">]+)[">]', re.MULTILINE)

root = pathlib.Path(sys.argv[1]).resolve()
public_dir, detail_dir, src_dir = root / "include/cairn", root / "include/cairn/detail", root / "src"
ABI_HEADER, LANGUAGE_HEADER = detail_dir / "base/export.hpp", detail_dir / "base/language.hpp"
problems = []


def layer_of(path):
    """The layer of a file of the library, or None for what is not ours."""
    for base in (detail_dir, src_dir):
        if base in path.parents and path.parent != base:
            layer = path.relative_to(base).parts[0]
            if layer not in RANK:
                problems.append(f"{path.relative_to(root)}: '{layer}' is no layer; they are: {' '.join(LAYERS)}")
                return None
            return layer
    if path.parent == public_dir:
        if path.stem not in PUBLIC_LAYER:
            problems.append(f"{path.relative_to(root)}: give it a layer in {pathlib.Path(__file__).name}, PUBLIC")
        return PUBLIC_LAYER.get(path.stem)
    if root / "tools" in path.parents:
        return "tools"
    return None


def resolve(includer, quote, name):
    """The file of ours which an include means, or None."""
    places = [root / "include", src_dir]
    if quote == '"':
        places.insert(0, includer.parent)
    for place in places:
        path = (place / name).resolve()
        if path.is_file() and root in path.parents:
            return path
    return None


def own_header(path):
    layer_dir = path.relative_to(src_dir).parent
    for place in (src_dir / layer_dir, detail_dir / layer_dir, public_dir):
        header = place / (path.stem + ".hpp")
        if header.is_file():
            return header
    return None


def includes_of(path, seen):
    """All files of ours that `path` includes, also through others."""
    for match in INCLUDE.finditer(path.read_text(encoding="utf-8")):
        target = resolve(path, *match.groups())
        if target and target not in seen:
            seen.add(target)
            includes_of(target, seen)
    return seen


files = [p for folder in ("include/cairn", "src", "tools") for p in sorted((root / folder).rglob("*.[ch]pp"))]
for path in files:
    text = path.read_text(encoding="utf-8")
    layer = layer_of(path)
    includes = []
    for match in INCLUDE.finditer(text):
        target = resolve(path, *match.groups())
        includes.append(target)
        target_layer = layer_of(target) if target else None
        if layer and target_layer and RANK[target_layer] > RANK[layer]:
            line = text.count("\n", 0, match.start(2)) + 1
            problems.append(
                f"{path.relative_to(root)}:{line}: {layer} includes {target.relative_to(root)},"
                f" which is {target_layer}, to its right"
            )
    if "inline CAIRN_ABI" in text and ABI_HEADER not in includes_of(path, set()):
        problems.append(f"{path.relative_to(root)}: opens the namespace without {ABI_HEADER.name}, which gives it its name")
    wall_clock = WALL_CLOCK.search(text)
    if wall_clock and str(path.relative_to(root)) not in MAY_SEE_WALL_CLOCK:
        problems.append(f"{path.relative_to(root)}: {wall_clock[1]} can be set; limits and lengths of time are by steady_clock")
    if path.parent == public_dir and includes[:1] != [LANGUAGE_HEADER]:
        problems.append(f"{path.relative_to(root)}: a public header includes {LANGUAGE_HEADER.name} first")
    if src_dir in path.parents and path.suffix == ".cpp":
        header = own_header(path)
        if header in includes and includes[0] != header:
            problems.append(
                f"{path.relative_to(root)}: includes its own header, but not first"
                f" (write it with quotes: that is how clang-format knows it)"
            )

for problem in dict.fromkeys(problems):
    print(problem)
print(f"{len(files)} files, {len(set(problems))} problems")
sys.exit(bool(problems))

# SPDX-License-Identifier: BSL-1.0
"""Fails when a public operation that changes something is in no row of the crash table.

usage: check_crash_coverage.py INCLUDE_DIRECTORY [CRASH_TESTS]
       without CRASH_TESTS: prints what it finds in the headers, and what it takes each for

Looks at every header directly in include/cairn and takes each public member function (inherited ones, constructors and
destructors, too) and each free function for an operation. One is in order when a row of the crash table covers it
(experiment::covers), or when it stands below: because it changes nothing (READS), or because it is another one that is
covered (SAME_AS). A new container needs no word here to be seen; its reads are added to READS.
Also fails when the table or a list below names what no header has: so neither outlives a change of name.
"""
import os
import pathlib
import re
import subprocess
import sys

# Headers without operations on a segment, and why.
OUTSIDE = {
    "cairn": "includes the others",
    "codec": "values in private memory",
    "descriptor": "values in private memory",
    "error": "exceptions",
    "executor": "tasks of this process, nothing that is stored",
    "future": "results of this process, nothing that is stored",
    "exception": "types of exceptions",
    "outcome": "values in private memory",
    "periodic": "threads and runs of this process, nothing that is stored",
    "pool": "steps of tasks and workers, which have rows of their own (tests/crash/pool_rows.cpp)",
    "process_pool_executor": "the same",
    "nursery": "processes, nothing that is stored",
    "result": "memory of a task's result, which is a step of the pool's",
    "task": "tasks of this process, nothing that is stored",
    "thread_pool_executor": "threads, nothing that is stored",
    "fields": "values in private memory",
    "json": "values in private memory",
    "fmt": "values in private memory",
    "msgpack": "values in private memory",
    "cereal": "values in private memory",
    "literals": "numbers",
    "process": "processes, nothing that is stored",
    "repr": "text",
    "segment": "options",
    "service": "processes, nothing that is stored",
    "service_control": "steps of a set of services, which have rows of their own (tests/crash/service_rows.cpp)",
    "service_manager": "processes, nothing that is stored",
    "version": "numbers",
}

# Change nothing that is stored. "*": of every class. What is not here and in no row fails, so when in doubt leave it out.
# (Iterators hold copies: theirs are left out.)
READS = {
    "*": """operator== operator!= operator<=> operator<< append_repr_to begin end size empty contains snapshot for_each
        name manager validate type_name""",
    "list": "at get front back slice index count",
    "dict": "at get count keys values items",
    "sharded_dict": "at get count keys values items shard_count",
    **dict.fromkeys(["queue", "lifo_queue", "priority_queue"], "full maxsize is_closed lost leased dead_letters"),
    "channel": "full capacity is_closed shape_of require_shape",
    **dict.fromkeys(["mutex", "recursive_mutex"], "owner_died fence is_locked is_owned"),
    "event": "is_set",
    "condition": "waiting",
    "latch": "remaining try_wait",
    "barrier": "broken parties waiting require_parties",
    **dict.fromkeys(["semaphore", "bounded_semaphore"], "value"),
    "semaphore_permit": "is_held operator=",
    "item_lease": "get operator* operator-> deliveries is_held",
    "set": "count union_with intersection difference symmetric_difference isdisjoint issubset issuperset",
    "element_proxy": "element_proxy get operator@T",
    "array": "at get operator[] front back slice data require_size owner_died fence is_locked is_owned",
    "value": "load get operator@T",
    "value::encoded_contents": "*",
    "ns": "get find names type_of",
    "once": "done",
    "shared_mutex": "owner_died fence is_locked is_owned readers",
    "manager": "happened find objects stats is_anonymous operator= address_of at_address",
    "codec": "encode decode",
    "": "find_segments locate_segment use_segment_directory",
    "inspection": "*",
    "object_contents": "*",
    "verification": "*",
}

# Nothing but a call of another operation, and in no row of its own.
# (A handle's constructor, `create` and `fill` are steps of the manager's operation of that name: manager::list.)
SAME_AS = {
    # A step of the queue's operation of that name.
    "item_lease::item_lease": "queue::lease",
    "semaphore_permit::semaphore_permit": "semaphore::permit",
    "semaphore_permit::~semaphore_permit": "semaphore_permit::release",
    # Another name for the same.
    **{
        f"{q}::{other}": f"{q}::{name}"
        for q in ("queue", "lifo_queue", "priority_queue", "channel")
        for other, name in {"push": "put", "pop": "get", "try_push": "try_put", "try_pop": "try_get"}.items()
    },
    **{f"{q}::join_for": f"{q}::join" for q in ("queue", "lifo_queue", "priority_queue")},
    # What is about one key is done by the dict that has it.
    **{
        f"sharded_dict::{name}": f"dict::{name}"
        for name in ("insert_or_assign", "operator[]", "try_emplace", "setdefault", "pop")
    },
    "sharded_dict::operator|=": "sharded_dict::update",
    "set::insert": "set::add",
    "set::erase": "set::discard",
    "set::operator&=": "set::intersection_update",
    "set::operator^=": "set::symmetric_difference_update",
    # A word of a value is changed by one instruction, whatever is computed.
    **{
        f"value::{name}": "value::fetch_add"
        for name in "fetch_sub fetch_and fetch_or fetch_xor fetch_max fetch_min "
        "operator+= operator-= operator&= operator|= operator^= operator++ operator--".split()
    },
    "value::set": "value::store",
    # The lock of an array is a recursive one.
    **{f"array::{name}": f"recursive_mutex::{name}" for name in "lock try_lock try_lock_for try_lock_until unlock mark_consistent".split()},
    "once::call_for": "once::call",
    **{f"shared_mutex::{name}": "shared_mutex::lock_shared" for name in "try_lock_shared_for try_lock_shared_until".split()},
    # A proxy (l[i]) sets or updates its element.
    "element_proxy::operator=": "list::set",
    **{f"element_proxy::operator{o}": "list::update" for o in "+= -= *= /= %= &= |= ^= <<= >>= ++ --".split()},
}

# What the manager calls the operation that makes one.
MADE_BY = {"mutex": "lock", "recursive_mutex": "rlock"}

OPENING, CLOSING = "([{", ")]}"
TOKEN = re.compile(r"[A-Za-z_]\w*|::|->|<=>|<=|>=|\d[\w.']*|[^\sA-Za-z_0-9]")
NOISE = re.compile(
    r'//[^\n]*|/\*.*?\*/|^[ \t]*\#(?:[^\n\\]|\\.|\\\n)*|"(?:[^"\\\n]|\\.)*"|\'(?:[^\'\\\n]|\\.)+\'', re.DOTALL | re.MULTILINE
)
AROUND_BODIES = {"try", "CAIRN_THROWS_UNLOCKED"}  # of function-try-blocks
ATTRIBUTES = {"alignas", "__attribute__", "explicit", "noexcept", "decltype"}


class Operation:
    def __init__(self, scope, name, where, step_of=None):
        self.scope, self.name, self.where, self.step_of = scope, name, where, step_of

    def __str__(self):
        return f"{self.scope}::{self.name}" if self.scope else self.name


class Class:
    def __init__(self, name, bases, where):
        self.name, self.bases, self.where = name, bases, where
        self.operations = []
        self.is_proxy = False


class Header:
    """The classes and free functions of one header. Knows as much of C++ as headers in the layout of ours need."""

    def __init__(self, path, is_internal=False):
        self.is_internal = is_internal
        self.classes, self.free = [], []
        self.stem = path.stem
        tokens = TOKEN.findall(NOISE.sub(" ", path.read_text(encoding="utf-8")))
        self.tokens = [each for each in tokens if each not in AROUND_BODIES]
        self.at = self.began = 0
        try:
            self.scope(None, "public")
        except IndexError:
            words = " ".join(self.tokens[self.began : self.began + 30])
            sys.exit(f"{path}: this check does not understand: {words} ...; teach it, or write that otherwise")

    def balanced(self, i):
        """The position after the bracket that closes the one at i."""
        depth = 0
        while i < len(self.tokens):
            depth += (self.tokens[i] in OPENING) - (self.tokens[i] in CLOSING)
            i += 1
            if depth == 0:
                break
        return i

    def angles(self, i):
        """The same for <>, brackets inside being skipped."""
        depth = 0
        while i < len(self.tokens):
            token = self.tokens[i]
            if token in OPENING:
                i = self.balanced(i)
                continue
            depth += (token == "<") - (token == ">")
            i += 1
            if depth == 0:
                break
        return i

    def requirement(self, i):
        """After the `requires` before i: the position after the whole clause."""
        while True:
            if self.tokens[i] == "requires":
                i += 1
                if self.tokens[i] == "(":
                    i = self.balanced(i)
                i = self.balanced(i)
            elif self.tokens[i] == "(":
                i = self.balanced(i)
            else:
                while True:  # a concept or a constant, qualified, with arguments
                    i += 1
                    if self.tokens[i] == "<":
                        i = self.angles(i)
                    if self.tokens[i] != "::":
                        break
                    i += 1
                if self.tokens[i] == "(":
                    i = self.balanced(i)
            if self.tokens[i : i + 2] not in (["&", "&"], ["|", "|"]):
                return i
            i += 2

    def scope(self, inside, access):
        """Up to the brace that closes it: declarations, one after the other."""
        while self.at < len(self.tokens):
            token = self.tokens[self.at]
            if token == "}":
                return
            if token in ("public", "protected", "private") and self.tokens[self.at + 1] == ":":
                access = token
                self.at += 2
            elif token == ";":
                self.at += 1
            else:
                self.declaration(inside, access)

    def declaration(self, inside, access):
        self.began = self.at
        i, words = self.at, []  # words: at the outermost level, before the parameters
        name, is_friend = None, False
        while i < len(self.tokens):
            token = self.tokens[i]
            if token == "template" and self.tokens[i + 1] == "<":
                i = self.angles(i + 1)
            elif token == "requires":
                i = self.requirement(i + 1)
            elif token in ATTRIBUTES and self.tokens[i + 1] == "(":
                i = self.balanced(i + 1)
            elif token == "[" and self.tokens[i + 1] == "[":
                i = self.balanced(i)
            elif token in ("using", "typedef", "static_assert", "concept") and name is None:
                if inside is not None and self.tokens[i + 1] == "is_cairn_proxy":
                    inside.is_proxy = True
                return self.skip_statement(i)
            elif token == "namespace":
                while self.tokens[i] != "{":
                    words.append(self.tokens[i])
                    i += 1
                self.at = i + 1
                if "detail" in words and not self.is_internal:
                    self.at = self.balanced(i)
                    return None
                self.scope(inside, access)
                self.at += 1
                return None
            elif token == "enum" and name is None:
                return self.skip_statement(i)
            elif token in ("class", "struct", "union") and name is None:
                return self.definition_of_class(i, inside, access)
            elif token == "operator" and name is None:
                name, i = "operator", i + 1
                if self.tokens[i : i + 2] == ["(", ")"]:
                    name, i = "operator()", i + 2
                while self.tokens[i] != "(":
                    name += ("" if not self.tokens[i][0].isalpha() else " ") + self.tokens[i]
                    i += 1
                words.append(name)
            elif token == "<" and name is None:
                i = self.angles(i)
            elif token == "(" and name is None:
                if len(words) == 1 and words[0].isupper():  # a macro
                    self.at = self.balanced(i)
                    return None
                name = words[-1]
                i = self.balanced(i)
            elif token == "(":
                i = self.balanced(i)
            elif token == "=" and name is None:
                return self.skip_statement(i)
            elif token == ";" or (token == "=" and self.tokens[i + 1] in ("default", "delete", "0")):
                if token == "=" and self.tokens[i + 1] in ("default", "delete"):
                    name = None
                break
            elif token == ":" and name is not None:  # members are initialised
                while self.tokens[i] in (":", ","):
                    while self.tokens[i] not in ("(", "{"):
                        i = self.angles(i) if self.tokens[i] == "<" else i + 1
                    i = self.balanced(i)
                    while self.tokens[i] == ".":  # of a pack
                        i += 1
            elif token == "{":
                break
            else:
                is_friend |= token == "friend"
                words.append(token)
                i += 1
        self.at = i
        if self.tokens[i] == "{":
            self.at = self.balanced(i)
        else:
            self.skip_statement(i)
        if name is None or access != "public" or name in ("if", "for", "while"):
            return None
        position = len(words) - 1 - words[::-1].index(name)
        if position > 0 and words[position - 1] == "::":
            return None  # a body of what was declared in its class
        if position > 0 and words[position - 1] == "~":
            name = "~" + name
        if inside is None:
            self.free.append(Operation("", name, self.stem))
        elif not is_friend or "operator" in name:
            inside.operations.append(Operation(inside.name, name, self.stem))
        return None

    def definition_of_class(self, i, inside, access):
        kind = self.tokens[i]
        words, bases = [], []
        while self.tokens[i] not in (";", "{", ":"):
            if self.tokens[i] == "<":
                i = self.angles(i)
            elif self.tokens[i] in ATTRIBUTES or self.tokens[i] == "[":
                i = self.balanced(i + (self.tokens[i] != "["))
            elif self.tokens[i] == "(":  # a function that returns `struct x`
                return self.skip_statement(i)
            else:
                words.append(self.tokens[i])
                i += 1
        if self.tokens[i] == ";":
            self.at = i + 1
            return None
        words = [w for w in words if w not in (kind, "final", "::") and not w.isupper() and not w.startswith("CAIRN_")]
        if self.tokens[i] == ":":
            i += 1
            is_public = kind == "struct"
            while self.tokens[i] != "{":
                if self.tokens[i] == "<":
                    i = self.angles(i)
                    continue
                if self.tokens[i] in ("public", "private", "protected"):
                    is_public = self.tokens[i] == "public"
                elif self.tokens[i] not in (",", "::", "virtual") and self.tokens[i + 1] != "::" and is_public:
                    bases.append(self.tokens[i])
                i += 1
        # `class list<T>::iterator` is defined after its list: its name has both.
        name = "::".join(words)
        if inside is not None and name:
            name = f"{inside.name}::{name}"
        made = Class(name, bases, self.stem)
        if name and access == "public":
            self.classes.append(made)
        self.at = i + 1
        self.scope(made, "private" if kind == "class" else "public")
        self.at += 1
        return self.skip_statement(self.at)

    def skip_statement(self, i):
        while i < len(self.tokens) and self.tokens[i] != ";":
            i = self.balanced(i) if self.tokens[i] in OPENING else i + 1
        self.at = i + 1


def operations_in(include):
    """Every public operation: of each class of a public header, with what it inherits, and the free functions."""
    public = [Header(p) for p in sorted((include / "cairn").glob("*.hpp"))]
    internal = [Header(p, is_internal=True) for p in sorted((include / "cairn/detail").rglob("*.hpp"))]
    everywhere = {c.name: c for h in internal + public for c in h.classes}

    def all_of(c, seen):
        found = list(c.operations)
        for base in c.bases:
            if base in everywhere and base not in seen:
                special = {base, "~" + base, "operator="}
                found += [o for o in all_of(everywhere[base], seen | {base}) if o.name not in special]
        return found

    def is_handle(c):
        return "object_handle" in c.bases or any(b in everywhere and is_handle(everywhere[b]) for b in c.bases)

    for header in internal + public:
        if header.stem in OUTSIDE:
            continue
        if not header.is_internal:
            yield from header.free
        for c in header.classes:
            if header.is_internal and not c.is_proxy:  # a proxy is what l[i] gives to everybody
                continue
            if c.name.endswith("::iterator"):
                continue
            steps = {c.name, "create", "fill"} if is_handle(c) else {}
            for operation in all_of(c, {c.name}):
                step_of = f"manager::{MADE_BY.get(c.name, c.name)}" if operation.name in steps else None
                yield Operation(c.name, operation.name, header.stem, step_of)


def listed(names):
    return {(f"{scope}::{name}" if scope else name).replace("@", " ") for scope, text in names.items() for name in text.split()}


def rows_of(program):
    """What the crash table says that it covers."""
    out = subprocess.run(
        [program, "--test-case=an operation has happened whole*"], env={**os.environ, "CAIRN_CRASH_LIST": "1"}, stdout=subprocess.PIPE, check=True, text=True
    ).stdout
    return {line.split(None, 1)[1] for line in out.splitlines() if line.startswith("covers ")}


def main():
    include = pathlib.Path(sys.argv[1])
    operations = {}
    for operation in operations_in(include):
        operations.setdefault(str(operation), operation)
    reads = listed(READS)
    same_as = {name: o.step_of for name, o in operations.items() if o.step_of} | SAME_AS

    def is_read(operation):
        scope = operation.scope or "free"
        names = {str(operation), f"{scope}::*"}
        if operation.name != operation.scope:  # a constructor is not what another class has under that name
            names.add(f"*::{operation.name}")
        return bool(names & reads)

    if len(sys.argv) == 2:
        for name, operation in sorted(operations.items()):
            kind = "reads" if is_read(operation) else f"same as {same_as[name]}" if name in same_as else "changes"
            print(f"{operation.where:12} {name:40} {kind}")
        return 0

    covered = rows_of(sys.argv[2])
    problems = []
    if not covered:
        problems.append(f"{sys.argv[2]} names no operation: is this the crash table?")
    for name, operation in sorted(operations.items()):
        ways = [name in covered, is_read(operation), name in same_as]
        if not any(ways):
            problems.append(
                f"{operation.where}.hpp: {name} is in no row of the crash table; add one to tests/crash that covers it,"
                f" or, if it changes nothing, name it in READS of {pathlib.Path(__file__).name}"
            )
        elif sum(ways) > 1:
            problems.append(f"{name} is said twice: in the crash table, in READS, in SAME_AS; once is enough")
    for name in sorted(covered - operations.keys()):
        problems.append(f"the crash table covers {name}, which is in no public header")
    for name in sorted(reads - operations.keys()):
        scope, _, member = name.rpartition("::")
        known = {o.scope for o in operations.values()} if member == "*" else set()
        if scope != "*" and scope not in known:
            problems.append(f"READS has {name}, which is in no public header")
    for name in sorted(SAME_AS.keys() - operations.keys()):
        problems.append(f"SAME_AS has {name}, which is in no public header")
    for name, other in sorted(same_as.items()):
        if name in operations and other not in covered:
            problems.append(f"{name} is said to be {other}, which no row covers")
    for problem in problems:
        print(problem)
    print(f"{len(operations)} public operations, {len(covered)} in the crash table, {len(problems)} problems")
    return bool(problems)


sys.exit(main())

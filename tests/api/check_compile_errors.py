# SPDX-License-Identifier: BSL-1.0
"""Fails when a type that cannot be an element compiles, or is refused in other words than the library's own.

usage: check_compile_errors.py INCLUDE_DIR COMPILER [ARGUMENT...]

The compiler is the one that Meson uses. Each case is a few lines in a file of its own; what must stand in the compiler's
output is beside it. The cases that shall compile show that it is not something else which fails.
"""
import os
import pathlib
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor

POINTER = "cairn: a pointer means nothing in another process: store a value or an index"
VIEW = "cairn: a string_view points into this process: store a std::string"
HANDLE = "cairn: a handle (cairn::list, ...) is no plain value: name the object, and store the name"
VALUE = "cairn: an element is a value type: drop const, volatile and &"
NO_CODEC = "cairn: this type has no codec"
CONST_FIELD = "cairn: a field is assigned when it is read back: it cannot be const"
NO_DEFAULT = "cairn: a type with CAIRN_FIELDS is read back into an object that was made without arguments"
KEY_EQUALITY = "cairn: a key needs == or CAIRN_FIELDS"
KEY_PADDING = "cairn: a key with padding or floating-point members cannot be hashed by its bytes"
TRAVELS = "cairn: the callable cannot be called with what these arguments are when they arrive"
CAPTURES = "cairn: a callable with captures does not travel to another process"
BY_VALUE = "cairn: by_value sends the captures by their bytes: they must be trivially copyable"
ARGUMENT = "cairn: an argument of a task has to be an element type, or a handle"
RESULT = "cairn: a task's result has to be an element type, or void"
CALL = "cairn::process: the callable cannot be called with (decayed copies of) these arguments"

POOLS = "cairn::process_pool_executor ex; cairn::pool pool; std::vector<int> v;"
SERVICE = "cairn::service_manager::add<S>: "

# Name, the line that uses the library, and the words of the refusal; None: it compiles.
CASES = [
    ("a number is an element", 'm.list<long>("x").push_back(1);', None),
    ("a plain struct is an element", 'm.list<point>("x").push_back({1, 2});', None),
    ("an enumeration is an element", 'm.list<colour>("x").push_back(colour::red);', None),
    ("a string is an element, given as a literal", 'm.list<std::string>("x").push_back("abc");', None),
    ("a vector of numbers is an element", 'm.list<std::vector<int>>("x").push_back({1, 2});', None),
    ("a type with a codec of its own is an element", 'm.list<wrapped>("x").push_back(wrapped{"abc"});', None),
    ("a pointer is no element", 'm.list<int*>("x");', POINTER),
    ("a C string is no element", 'm.list<const char*>("x");', POINTER),
    ("a pointer to a function is no element", 'm.list<void (*)()>("x");', POINTER),
    ("a pointer to a member is no element", 'm.list<int point::*>("x");', POINTER),
    ("nullptr is no element", 'm.list<std::nullptr_t>("x");', POINTER),
    ("a string_view is no element", 'm.list<std::string_view>("x");', VIEW),
    ("a handle is no element", 'm.list<cairn::list<int>>("x");', HANDLE),
    ("a reference is no element", 'm.list<int&>("x");', VALUE),
    ("a constant is no element", 'm.list<const int>("x");', VALUE),
    ("a volatile is no element", 'm.list<volatile int>("x");', VALUE),
    ("a map of vectors of strings is an element", 'm.list<std::map<std::string, std::vector<std::string>>>("x");', None),
    ("a tuple, an optional and a variant are elements",
     'm.list<std::tuple<std::optional<int>, std::variant<std::monostate, std::string>>>("x");', None),
    ("a struct with fields is an element", 'm.list<job>("x").push_back({1, {"a"}});', None),
    ("a vector of pointers is no element", 'm.list<std::vector<int*>>("x");', POINTER),
    ("a map to string_views is no element", 'm.list<std::map<int, std::string_view>>("x");', VIEW),
    ("a variant with a handle is no element", 'm.list<std::variant<int, cairn::list<int>>>("x");', HANDLE),
    ("a pair of what has no codec is no element", 'm.list<std::pair<int, with_destructor>>("x");', NO_CODEC),
    ("an unordered map is no element", 'm.list<std::unordered_map<int, int>>("x");', NO_CODEC),
    ("a field is no pointer", 'm.list<with_pointer>("x");', POINTER),
    ("nor is a field of a field", 'm.list<std::vector<holds_with_pointer>>("x");', POINTER),
    ("a field is no array of pointers", 'm.list<with_pointers>("x");', POINTER),
    ("a field is no string_view", 'm.list<with_view>("x");', VIEW),
    ("a field is not const", 'm.list<with_const>("x");', CONST_FIELD),
    ("a struct with fields has a default constructor", 'm.list<without_default>("x");', NO_DEFAULT),
    ("a key is a string, a number, a struct with fields or without padding",
     'm.dict<std::string, job>("x"); m.set<double>("y"); m.dict<job, dense>("z"); m.set<dense>("w");', None),
    ("a tuple, an optional and a vector of keys are keys",
     'm.dict<std::pair<int, std::string>, int>("x"); m.set<std::optional<std::vector<dense>>>("y");', None),
    ("a key has ==", 'm.dict<point, int>("x");', KEY_EQUALITY),
    ("a key without fields has no padding", 'm.dict<padded, int>("x");', KEY_PADDING),
    ("a key without fields has no float", 'm.set<floating>("x");', KEY_PADDING),
    ("nor has a part of a key", 'm.dict<std::pair<int, padded>, int>("x");', KEY_PADDING),
    ("a key is an element", 'm.dict<int*, int>("x");', POINTER),
    ("nor is an optional key a view", 'm.set<std::optional<std::string_view>>("x");', VIEW),
    ("a value of a dict is an element", 'm.dict<int, std::vector<int*>>("x");', POINTER),
    ("a part of a tuple is no reference", 'm.list<std::tuple<int, int&>>("x");', VALUE),
    ("what cannot be compared is not searched", 'm.list<point>("x").index({1, 2});', "equatable"),
    ("a span is no element", 'm.list<std::span<int>>("x");', NO_CODEC),
    ("a reference_wrapper is no element", 'm.list<std::reference_wrapper<int>>("x");', NO_CODEC),
    ("a unique_ptr is no element", 'm.list<std::unique_ptr<int>>("x");', NO_CODEC),
    ("a class with a destructor and no codec is no element", 'm.list<with_destructor>("x");', NO_CODEC),
    ("find says it as well", 'm.find<cairn::list<int*>>("x");', POINTER),
    ("what is no handle is not found", 'm.find<int>("x");', "handle_type"),
    ("a process takes a callable with its arguments", "cairn::process p([](int) {}, 1);", None),
    ("a service is made from what add is given", 'cairn::service_manager sm; sm.add<printer>(2, 1);', None),
    ("a service's options are braces", 'cairn::service_manager sm; sm.add<printer>({.workers = 2, .backoff = {std::chrono::milliseconds(100), std::chrono::seconds(30)}}, 1);', None),
    ("a service is derived from cairn::service", 'cairn::service_manager sm; sm.add<point>(1);', SERVICE + "S is to be derived"),
    ("a service says what it cannot be made from", 'cairn::service_manager sm; sm.add<printer>(1, "one");',
     SERVICE + "S cannot be made from these arguments"),
    ("reload() of a service is public", 'cairn::service_manager sm; sm.add<hides_reload>();', SERVICE + "reload() of S is to be public"),
    ("a process says which callable it cannot call", 'cairn::process p([](int) {}, "one");', CALL),
    ("a pool maps what can be called with the items", 'cairn::pool(2).map(text_of, std::vector<int>{1});', None),
    ("and nothing else", 'cairn::pool(2).map(length_of, std::vector<int>{1});', TRAVELS),
    ("nor does imap", 'static_cast<void>(cairn::pool(2).imap(length_of, std::vector<int>{1}));', TRAVELS),
    ("nor does imap_unordered", 'static_cast<void>(cairn::pool(2).imap_unordered(length_of, std::vector<int>{1}));',
     TRAVELS),
    ("nor does map_async", 'cairn::pool(2).map_async(length_of, std::vector<int>{1});', TRAVELS),
    ("nor does starmap", 'cairn::pool(2).starmap(length_of, std::vector<std::pair<int, int>>{{1, 2}});', TRAVELS),
    ("functions, lambdas, by_value and handles travel to a worker",
     'int n = 3; cairn::process_pool_executor ex; ex.submit(add, 1, 2); ex.submit([](int x) { return x; }, 1);'
     'ex.submit(cairn::by_value([n](int x) { return x + n; }), 1);'
     'ex.submit([](cairn::list<int> l) { l.push_back(1); }, m.list<int>("x"));', None),
    ("a pool's functions take what travels",
     'cairn::pool pool; pool.map(negative, std::vector<int>{1}); pool.apply(add, 1, 2); pool.map_async(negative, std::vector<int>{1});'
     'for (int each : pool.imap(negative, std::vector<int>{1})) static_cast<void>(each);'
     'static_cast<void>(pool.imap_unordered(negative, std::vector<int>{1}));'
     'pool.starmap(add, std::vector<std::pair<int, int>>{});', None),
    *[(f"captures do not travel to a worker: {call}", f"int n = 3; {POOLS} {call};", CAPTURES)
      for call in [
          "ex.submit([n] { return n; })",
          "ex.submit(std::function<int()>([] { return 1; }))",
          "static_cast<void>(ex.map([n](int x) { return x + n; }, v))",
          "pool.apply_async([n] { return n; })",
          "pool.map([n](int x) { return x + n; }, v)",
          "static_cast<void>(pool.imap([n](int x) { return x + n; }, v))",
          "static_cast<void>(pool.imap_unordered([n](int x) { return x + n; }, v))",
          "pool.starmap([n](int x, int y) { return x + y + n; }, std::vector<std::pair<int, int>>{})",
      ]],
    ("a string does not travel in by_value", 'std::string s; cairn::process_pool_executor ex; ex.submit(cairn::by_value([s] { return 1; }));', BY_VALUE),
    ("a pointer is no argument of a task", 'int n = 3; cairn::process_pool_executor ex; ex.submit([](int*) {}, &n);', POINTER),
    ("a unique_ptr is no argument of a task", 'cairn::process_pool_executor ex; ex.submit([](std::unique_ptr<int>) {}, std::unique_ptr<int>());', NO_CODEC),
    ("a struct with a pointer is no argument of a task", 'cairn::process_pool_executor ex; ex.submit([](with_pointer) {}, with_pointer{});', POINTER),
    ("what is no argument is no item of map", 'cairn::pool pool; pool.map([](int*) { return 1; }, std::vector<int*>{});', POINTER),
    ("what is no argument is no item of an executor's map",
     'cairn::process_pool_executor ex; static_cast<void>(ex.map([](int*) { return 1; }, std::vector<int*>{}));', POINTER),
    ("an argument is said to be that", 'int n = 3; cairn::process_pool_executor ex; ex.submit([](int*) {}, &n);', ARGUMENT),
    ("a worker has nothing that a reference could refer to", 'cairn::process_pool_executor ex; ex.submit([](int& x) { x = 1; }, 3);', TRAVELS),
    ("a worker calls with what was given", 'cairn::process_pool_executor ex; ex.submit(add, 1);', TRAVELS),
    *[(f"what is no element is no result of a task: {call}", f"{POOLS} {call};", words)
      for call, words in [
          ("ex.submit([]() -> int* { return nullptr; })", RESULT),
          ("ex.submit([] { return std::string_view(); })", VIEW),
          ("ex.submit([] { return std::make_unique<int>(1); })", NO_CODEC),
          ("static_cast<void>(ex.map([](int) -> int* { return nullptr; }, v))", POINTER),
          ("pool.map([](int) -> int* { return nullptr; }, v)", POINTER),
          ("static_cast<void>(pool.imap([](int) -> int* { return nullptr; }, v))", RESULT),
          ("static_cast<void>(pool.imap_unordered([](int) -> int* { return nullptr; }, v))", RESULT),
      ]],
    ("a pool has apply_async, and no submit", 'cairn::pool pool; pool.submit(negative, 1);', "deleted"),
]

# Parsed once, as a precompiled header; each case is a file that begins with it.
PRELUDE = """\
#include <cstddef>
#include <functional>
#include <map>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include <cairn/cairn.hpp>

struct point { int x, y; };
enum class colour { red };
struct job { int id; std::vector<std::string> tags; };
CAIRN_FIELDS(job, id, tags)
struct with_pointer { int x; int* at; };
CAIRN_FIELDS(with_pointer, x, at)
struct holds_with_pointer { std::string name; with_pointer in; };
CAIRN_FIELDS(holds_with_pointer, name, in)
struct with_pointers { int* at[2]; };
CAIRN_FIELDS(with_pointers, at)
struct with_view { std::string_view at; };
CAIRN_FIELDS(with_view, at)
struct with_const { const std::string name; };
CAIRN_FIELDS(with_const, name)
struct without_default { explicit without_default(int) {} std::string name; };
CAIRN_FIELDS(without_default, name)
struct dense { int x, y; bool operator==(const dense&) const = default; };
inline int add(int a, int b) { return a + b; }
inline int negative(int x) { return -x; }
struct padded { char x; int y; bool operator==(const padded&) const = default; };
struct floating { float x; bool operator==(const floating&) const = default; };
struct with_destructor { ~with_destructor() {} int x = 0; };
struct printer : cairn::service { explicit printer(int) {} };
struct hides_reload : cairn::service { private: void reload() override {} };
struct wrapped { std::string text; };
std::string text_of(int);
long length_of(std::string);
template <> struct cairn::codec<wrapped> {
    static std::string type_name() { return "wrapped"; }
    static std::size_t size(const wrapped& w) { return w.text.size(); }
    static void encode(const wrapped& w, std::byte* to) { std::memcpy(to, w.text.data(), w.text.size()); }
    static wrapped decode(std::span<const std::byte> b) {
        return {std::string(reinterpret_cast<const char*>(b.data()), b.size())};
    }
};
"""

CASE = """\
void use(const cairn::manager& m);
void use(const cairn::manager& m) {
    static_cast<void>(m);
    %s
}
"""

MOST_LINES = 30  # of a compiler's complaint; templates complain at length


def run(*arguments):
    """Success, and what the compiler said."""
    command = [*compiler, "-std=c++20", f"-I{include_dir}", *map(str, arguments)]
    result = subprocess.run(command, capture_output=True, text=True, check=False, env={**os.environ, "LC_ALL": "C"})
    return result.returncode == 0, result.stdout + result.stderr


def shortened(text):
    lines = text.splitlines()
    return "\n".join(lines[:MOST_LINES] + ["..."] * (len(lines) > MOST_LINES))


def check(prelude, number, name, line, words):
    """None, or what is wrong with the case."""
    source = prelude.with_name(f"case{number}.cpp")
    source.write_text(CASE % line)
    compiles, output = run("-fsyntax-only", "-include", prelude, source)
    if words is None:
        return None if compiles else f"{name}: `{line}` shall compile, but:\n{shortened(output)}"
    if compiles:
        return f"{name}: `{line}` compiles"
    if words not in output:
        return f"{name}: `{line}` is refused, but not with '{words}':\n{shortened(output)}"
    # Before what follows from it.
    first = next(text for text in output.splitlines() if "error:" in text)
    if words is TRAVELS and words not in first:
        return f"{name}: `{line}` is refused with '{words}', but first with\n{first}"
    return None


include_dir, compiler = sys.argv[1], sys.argv[2:]
with tempfile.TemporaryDirectory() as folder, ThreadPoolExecutor(max_workers=2) as pool:
    prelude = pathlib.Path(folder) / "prelude.hpp"
    prelude.write_text(PRELUDE)
    compiles, output = run("-x", "c++-header", prelude, "-o", f"{prelude}.gch")
    if not compiles:
        sys.exit(f"what all cases begin with does not compile:\n{shortened(output)}")
    numbered = [(prelude, number, *case) for number, case in enumerate(CASES)]
    problems = [problem for problem in pool.map(lambda case: check(*case), numbered) if problem]
for problem in problems:
    print(problem)
print(f"{len(CASES)} cases, {len(problems)} problems")
sys.exit(bool(problems))

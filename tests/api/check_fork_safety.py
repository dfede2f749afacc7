# SPDX-License-Identifier: BSL-1.0
"""Fails when the library calls what may hang for ever in a child of a program with threads.

usage: check_fork_safety.py NM LIBRARY

A child has one thread, and finds every lock as it was at the fork: those that another thread held stay locked. The C library
resets the ones of malloc and stdio, and fork handlers ours. What remains is not to be used, which this looks for among the
library's undefined symbols. It does not see what templates in headers call, nor what the C++ library calls in turn.
"""
import subprocess
import sys

FORBIDDEN = {
    "__cxa_guard_acquire": "static objects of functions that are made at first use: see base/never_destroyed.hpp",
    "pthread_once": "as static objects: make it when the library is loaded",
    "__cxa_thread_atexit": "thread_local objects with destructors take the loader's lock",
    "dlopen": "the loader's data may be half changed",
    "dladdr": "the loader's data may be half changed",
    "dl_iterate_phdr": "the loader's second lock",
    "exit": "the lock of the exit handlers, and those handlers are the parent's",
    "setlocale": "the lock of the locales",
    "syslog": "a lock of its own",
}
# All of them look at the time zone under one lock; also gmtime.
for name in "localtime localtime_r gmtime gmtime_r mktime timegm ctime ctime_r asctime strftime tzset".split():
    FORBIDDEN[name] = "the lock of the time zone"
for name in "getpwuid getpwuid_r getpwnam getgrgid getaddrinfo gethostbyname".split():
    FORBIDDEN[name] = "locks of the name services"

nm, library = sys.argv[1:]
options = ["--undefined-only", "--format=posix"]
if library.endswith(".so") or ".so." in library:
    options.append("--dynamic")
lines = subprocess.run([nm, *options, library], check=True, capture_output=True, text=True).stdout.splitlines()
called = {line.split()[0].split("@")[0] for line in lines if line and not line.endswith(":")}
if len(called) < 20:
    sys.exit(f"{library}: only {len(called)} undefined symbols: this check looks at the wrong thing")

found = sorted(called & FORBIDDEN.keys())
for name in found:
    print(f"{library} calls {name}: {FORBIDDEN[name]}; a child that is forked while another thread is there hangs")
sys.exit(1 if found else 0)

// export.hpp - which symbols leave the library, and the namespace that they are in.
//
// The shared library is built with hidden visibility; what users or our templates call across its border says CAIRN_API.
// Exceptions must be exported, too: a hidden typeinfo would make `catch (cairn::error&)` miss them. Of a static library
// (CAIRN_STATIC, for it and its users) nothing leaves the program or plugin that it is linked into.
//
// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <cairn/detail/base/language.hpp>

#if !defined(__linux__) || !(defined(__x86_64__) || defined(__aarch64__)) || !defined(__LP64__)
#error "Cairn runs on 64-bit Linux (x86-64, AArch64) only: it relies on robust futexes and 64-bit offsets"
#endif

// The namespace says which binary interface this is. What does not fit together does not link, and several copies in one
// process keep out of each other: v0_1, v0_1_static, v0_1_debug ... While the version is 0.x, each minor version has an
// interface of its own.
#if defined(CAIRN_STATIC)
#define CAIRN_ABI_LINKED _static
#else
#define CAIRN_ABI_LINKED
#endif
#if defined(CAIRN_GLIBCXX_DEBUG)
#define CAIRN_ABI_CONTAINERS _debug
#else
#define CAIRN_ABI_CONTAINERS
#endif
#if defined(CAIRN_GLIBCXX_OLD_ABI)
#define CAIRN_ABI_STRINGS _old_strings
#else
#define CAIRN_ABI_STRINGS
#endif
#define CAIRN_JOIN_EXPANDED(a, b, c, d) a##b##c##d
#define CAIRN_JOIN(a, b, c, d) CAIRN_JOIN_EXPANDED(a, b, c, d)
#define CAIRN_ABI CAIRN_JOIN(v0_1, CAIRN_ABI_LINKED, CAIRN_ABI_CONTAINERS, CAIRN_ABI_STRINGS)

#if defined(CAIRN_STATIC)
#define CAIRN_API
#else
#define CAIRN_API __attribute__((visibility("default")))
#endif
#if defined(__OPTIMIZE__)
#define CAIRN_INLINE inline __attribute__((always_inline))
#else
#define CAIRN_INLINE inline  // without optimisation, a body at each call is only more to compile
#endif
#define CAIRN_NOINLINE __attribute__((noinline))
#define CAIRN_COLD __attribute__((noinline, cold))

// Behind a function-try-block that locks a root. Rule: what is thrown while a lock is held leaves the operation with the lock given
// back, also when nobody catches it and the program ends. Without a handler behind the lock's scope nothing would be unwound,
// and the program would look like a writer that has died.
#define CAIRN_THROWS_UNLOCKED                                                                                \
    catch (...) {                                                                                            \
        throw;                                                                                               \
    }

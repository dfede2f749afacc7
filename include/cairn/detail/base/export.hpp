// export.hpp - which symbols leave the shared library.
//
// The library is built with hidden visibility; what users or our templates call across its border says CAIRN_API.
// Exceptions must be exported, too: a hidden typeinfo would make `catch (cairn::error&)` miss them.
#pragma once

#if !defined(__linux__) || !(defined(__x86_64__) || defined(__aarch64__)) || !defined(__LP64__)
#error "Cairn runs on 64-bit Linux (x86-64, AArch64) only: it relies on robust futexes and 64-bit offsets"
#endif

// What everything is in: the binary interface is in the name, so that another one does not link with it. While the version is
// 0.x, each minor version has one of its own.
#define CAIRN_ABI v0_1

#define CAIRN_API __attribute__((visibility("default")))
#define CAIRN_INLINE inline __attribute__((always_inline))
#define CAIRN_NOINLINE __attribute__((noinline))
#define CAIRN_COLD __attribute__((noinline, cold))

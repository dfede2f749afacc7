// language.hpp - what the compiler has to be told. Every public header includes it first, so that one line says what is
// missing, and not thousands.
//
// SPDX-License-Identifier: BSL-1.0
#pragma once

// After each #error comes a file that does not exist: that stops the compiler, which would go on otherwise.
#if __cplusplus < 202002L
#error "Cairn needs C++20: pass -std=c++20 (or gnu++20) to the compiler"
#include "cairn-needs-c++20"
#endif

#include <version>  // for _GLIBCXX_USE_CXX11_ABI

// Strings and containers of the standard library cross the library's border, so both sides need the same ones. Where the
// library was built with others, its installed packages define the macro of ours (docs/building.md).
#if defined(_GLIBCXX_DEBUG) && !defined(CAIRN_GLIBCXX_DEBUG)
#error "_GLIBCXX_DEBUG changes std::vector; this Cairn is without: build it with -Dcpp_args=-D_GLIBCXX_DEBUG"
#include "cairn-with-glibcxx-debug"
#elif defined(CAIRN_GLIBCXX_DEBUG) && !defined(_GLIBCXX_DEBUG)
#error "this Cairn was built with _GLIBCXX_DEBUG: pass -D_GLIBCXX_DEBUG to the compiler"
#include "cairn-without-glibcxx-debug"
#endif
#if defined(_GLIBCXX_USE_CXX11_ABI) && _GLIBCXX_USE_CXX11_ABI == 0
#if !defined(CAIRN_GLIBCXX_OLD_ABI)
#error "_GLIBCXX_USE_CXX11_ABI=0 changes std::string, and this Cairn was built without: build it the same way"
#include "cairn-with-the-old-string"
#endif
#elif defined(CAIRN_GLIBCXX_OLD_ABI)
#error "this Cairn was built with _GLIBCXX_USE_CXX11_ABI=0: pass -D_GLIBCXX_USE_CXX11_ABI=0 to the compiler"
#include "cairn-without-the-old-string"
#endif

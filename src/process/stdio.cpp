// SPDX-License-Identifier: BSL-1.0
#include "process/stdio.hpp"

#include <cstdio>
#include <iostream>
#include <ostream>
#include <streambuf>

#include <dlfcn.h>
#include <stdio_ext.h>

#ifdef __GLIBCXX__
#include <ext/stdio_sync_filebuf.h>
#endif

namespace cairn::inline CAIRN_ABI::detail {

namespace {

// The C library's list of all open streams: each FILE links to the next in its _chain. The symbol is exported but in
// no header; asked for by name, so that a C library without it means the plain fflush(nullptr) instead. Asked once, when
// the library is loaded, and not in a child of a program with threads, where the loader's data may be half changed.
FILE** const stream_list = static_cast<FILE**>(::dlsym(RTLD_DEFAULT, "_IO_list_all"));

template <typename Fn>
void for_each_stream(Fn fn) noexcept {
#ifdef __GLIBC__
    if (stream_list == nullptr) return;
    for (FILE* stream = *stream_list; stream != nullptr; stream = stream->_chain) fn(stream);
#endif
}

// Unless another thread is at it.
void try_flush(FILE* stream) noexcept {
    if (::ftrylockfile(stream) != 0) return;
    ::fflush_unlocked(stream);
    ::funlockfile(stream);
}

// As long as a C++ stream is synchronised with stdio it has no buffer of its own.
template <typename Char>
void flush_own_buffer(std::basic_ostream<Char>& stream) noexcept {
    try {
#ifdef __GLIBCXX__
        if (dynamic_cast<__gnu_cxx::stdio_sync_filebuf<Char>*>(stream.rdbuf()) != nullptr) return;
#endif
        stream.flush();
    } catch (...) {  // the stream's badbit says it, as for any other flush
    }
}

void flush_cpp_streams() noexcept {
    flush_own_buffer(std::cout);
    flush_own_buffer(std::clog);
    flush_own_buffer(std::wcout);
    flush_own_buffer(std::wclog);
}

}  // namespace

void flush_before_fork() noexcept {
    flush_cpp_streams();
    if (stream_list == nullptr) {
        std::fflush(nullptr);
        return;
    }
    try_flush(stdout);
}

void forget_inherited_output() noexcept {
    // The child is single-threaded here, and its C library has reset all locks of streams.
    for_each_stream([](FILE* stream) {
        if (::fileno_unlocked(stream) >= 0 && ::__fpending(stream) > 0) ::__fpurge(stream);
    });
}

void flush_before_end() noexcept {
    flush_cpp_streams();
    if (stream_list == nullptr || ::ftrylockfile(stdin) == 0) {
        std::fflush(nullptr);
        return;  // standard input stays locked: there is nothing left to be read
    }
    // A thread of the child still waits for input.
    for_each_stream(try_flush);
}

}  // namespace cairn::inline CAIRN_ABI::detail

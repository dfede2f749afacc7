// SPDX-License-Identifier: BSL-1.0
#include "service/worker_output.hpp"

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <iostream>
#include <streambuf>
#include <string>
#include <string_view>

#include <unistd.h>

#ifdef __GLIBCXX__
#include <ext/stdio_sync_filebuf.h>
#endif

#include "os/uncancellable.hpp"

namespace cairn::inline CAIRN_ABI::detail {

namespace {

// Longer lines are written in pieces.
constexpr std::size_t line_room_bytes = std::size_t{64} * 1024;

// A stream's buffer that hands all on to a FILE, whose lock it uses. A flush of std::cerr, which comes after each part of a line, is none.
class line_buffer final : public std::streambuf {
public:
    line_buffer(std::FILE* to, bool flushes) noexcept : to_(to), flushes_(flushes) {}

private:
    int_type overflow(int_type c) override {
        if (traits_type::eq_int_type(c, traits_type::eof())) return traits_type::not_eof(c);
        return std::putc(traits_type::to_char_type(c), to_) == EOF ? traits_type::eof() : c;
    }
    std::streamsize xsputn(const char* text, std::streamsize bytes) override {
        return static_cast<std::streamsize>(std::fwrite(text, 1, static_cast<std::size_t>(bytes), to_));
    }
    int sync() override { return flushes_ && std::fflush(to_) != 0 ? -1 : 0; }

    std::FILE* to_;
    bool flushes_;
};

// What a FILE with a prefix writes to. Called under the FILE's lock.
struct prefixed_output {
    int fd;
    std::string prefix;
    bool is_in_line = false;
    std::string room = {};

    bool write_out() {
        const os::uncancellable in_one_piece;
        for (std::string_view rest = room; !rest.empty();) {
            const ssize_t written = ::write(fd, rest.data(), rest.size());
            if (written < 0 && errno == EINTR) continue;
            if (written < 0) return false;
            rest.remove_prefix(static_cast<std::size_t>(written));
        }
        return true;
    }
};

ssize_t write_prefixed(void* of, const char* text, std::size_t bytes) {
    prefixed_output& out = *static_cast<prefixed_output*>(of);
    std::string_view rest(text, bytes);
    try {
        while (!rest.empty()) {
            const std::size_t line = std::min(rest.find('\n'), rest.size() - 1) + 1;
            out.room.clear();
            if (!out.is_in_line) out.room = out.prefix;
            out.room += rest.substr(0, line);
            out.is_in_line = rest[line - 1] != '\n';
            if (!out.write_out()) return static_cast<ssize_t>(bytes - rest.size());
            rest.remove_prefix(line);
        }
    } catch (const std::bad_alloc&) {
        errno = ENOMEM;
        return static_cast<ssize_t>(bytes - rest.size());
    }
    return static_cast<ssize_t>(bytes);
}

std::FILE* prefixed_file(int fd, const std::string& prefix) {
    // It is there as long as the process: destructors of others write.
    auto* const out = new prefixed_output{fd, prefix};
    std::FILE* const file = ::fopencookie(
        out, "w", {.read = nullptr, .write = &write_prefixed, .seek = nullptr, .close = nullptr});
    if (file == nullptr) delete out;
    return file;
}

// A stream that the program has given another buffer keeps that.
void redirect(std::ostream& stream, std::FILE* to, bool flushes) {
#ifdef __GLIBCXX__
    if (dynamic_cast<__gnu_cxx::stdio_sync_filebuf<char>*>(stream.rdbuf()) == nullptr) return;
#endif
    stream.rdbuf(new line_buffer(to, flushes));  // as long as the process
}

}  // namespace

void write_whole_lines(const std::string& prefix) {
    if (!prefix.empty()) {
        if (std::FILE* const out = prefixed_file(STDOUT_FILENO, prefix)) stdout = out;
        if (std::FILE* const err = prefixed_file(STDERR_FILENO, prefix)) stderr = err;
    }
    // Memory that is there as long as the process. Without any of its own, stderr keeps the one byte that it may have had.
    for (std::FILE* const each : {stdout, stderr})
        std::setvbuf(each, new char[line_room_bytes], _IOLBF, line_room_bytes);
    redirect(std::cout, stdout, true);
    redirect(std::cerr, stderr, false);
    redirect(std::clog, stderr, false);
}

}  // namespace cairn::inline CAIRN_ABI::detail

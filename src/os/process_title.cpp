// SPDX-License-Identifier: BSL-1.0
#include "os/process_title.hpp"

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdint>
#include <cstdlib>
#include <cstring>

#include <fcntl.h>
#include <linux/prctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <unistd.h>

#include "os/checked_call.hpp"

namespace cairn::inline CAIRN_ABI::detail::os {

namespace {

constexpr std::size_t title_room_bytes = 4096;

// Only run() of a service manager and processes with one thread come here.
char* title_room = nullptr;
std::uint64_t original_begin = 0;  // of the arguments; 0: not known yet
std::uint64_t original_end = 0;

// As much of the file as fits.
std::size_t read_whole(const char* path, char* to, std::size_t room) noexcept {
    const uncancellable in_one_piece;
    const unique_fd file(::open(path, O_RDONLY | O_CLOEXEC));
    if (!file.valid()) return 0;
    std::size_t bytes = 0;
    while (bytes < room) {
        const ssize_t got = ::read(file.get(), to + bytes, room - bytes);
        if (got <= 0) break;
        bytes += static_cast<std::size_t>(got);
    }
    return bytes;
}

// The numbers of /proc/self/stat by their places in proc(5), which counts from 1.
struct stat_fields {
    std::array<std::uint64_t, 53> values{};
    bool is_known = false;

    stat_fields() noexcept {
        std::array<char, 2048> text{};
        if (read_whole("/proc/self/stat", text.data(), text.size() - 1) == 0) return;
        const char* at = std::strrchr(text.data(), ')');  // the name in front may hold anything
        if (at == nullptr) return;
        at = std::strchr(at + 2, ' ');  // behind the state, field 3
        for (std::size_t i = 4; at != nullptr && i < values.size(); ++i) {
            char* end = nullptr;
            values[i] = std::strtoull(at, &end, 10);
            if (end == at) return;
            at = end;
        }
        is_known = values[48] != 0;
    }
};

std::error_code use_arguments(std::uint64_t begin, std::uint64_t end, const stat_fields& now) noexcept {
    prctl_mm_map map{};
    map.start_code = now.values[26];
    map.end_code = now.values[27];
    map.start_stack = now.values[28];
    map.start_data = now.values[45];
    map.end_data = now.values[46];
    map.start_brk = now.values[47];
    map.brk = reinterpret_cast<std::uintptr_t>(::sbrk(0));
    map.arg_start = begin;
    map.arg_end = end;
    map.env_start = now.values[50];
    map.env_end = now.values[51];
    map.exe_fd = static_cast<std::uint32_t>(-1);
    return outcome(checked_call("prctl", [&] {
        // Without privileges: unlike the options for single fields.
        return ::prctl(PR_SET_MM, PR_SET_MM_MAP, &map, sizeof map, 0);
    }));
}

}  // namespace

std::error_code set_process_title(std::string_view title) noexcept {
    const stat_fields now;
    if (!now.is_known) return from_errno(ENOENT);
    if (title_room == nullptr) {
        void* const room =
            ::mmap(nullptr, title_room_bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        if (room == MAP_FAILED) return from_errno(errno);
        title_room = static_cast<char*>(room);
    }
    if (original_begin == 0) {
        original_begin = now.values[48];
        original_end = now.values[49];
    }
    const std::size_t bytes = std::min(title.size(), title_room_bytes - 1);
    std::memcpy(title_room, title.data(), bytes);
    title_room[bytes] = '\0';
    const auto begin = reinterpret_cast<std::uintptr_t>(title_room);
    return use_arguments(begin, begin + bytes + 1, now);
}

std::error_code restore_process_title() noexcept {
    if (original_begin == 0) return {};
    const stat_fields now;
    if (!now.is_known) return from_errno(ENOENT);
    return use_arguments(original_begin, original_end, now);
}

std::string own_command_line() {
    std::array<char, title_room_bytes> text{};
    const std::size_t bytes = read_whole("/proc/self/cmdline", text.data(), text.size());
    std::string line(text.data(), bytes);
    while (!line.empty() && line.back() == '\0') line.pop_back();
    std::replace(line.begin(), line.end(), '\0', ' ');
    return line;
}

std::string_view program_name() noexcept {
    return program_invocation_short_name != nullptr ? program_invocation_short_name : "";
}

}  // namespace cairn::inline CAIRN_ABI::detail::os

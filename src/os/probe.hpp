// probe.hpp - looking at files of unknown content and at other processes, without changing anything.
//
// Files are read by pread rather than through a mapping: a file that somebody shortens meanwhile gives a short read
// instead of SIGBUS, and a hole stays a hole (a touch through a mapping would allocate it).
//
// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <system_error>
#include <vector>

#include <sys/types.h>

#include "os/unique_fd.hpp"
#include <cairn/detail/base/export.hpp>

namespace cairn::inline CAIRN_ABI::detail::os {

/// For reading; follows links (those of /proc lead to files without a name) unless told not to; never creates, never
/// blocks.
std::error_code open_for_reading(const std::string& path, bool follow_links, unique_fd& fd);

/// Reads up to `bytes` at `offset`; `got` is less only where the file ends.
std::error_code read_at(int fd, std::uint64_t offset, void* to, std::uint64_t bytes, std::uint64_t& got);

/// First offset from `from` on that is not in a hole; the largest number when there is none.
std::uint64_t next_data(int fd, std::uint64_t from) noexcept;

/// Private memory, zero, reserved and not yet backed; given back when it goes.
class private_memory {
public:
    private_memory() noexcept = default;
    static std::error_code create(std::uint64_t bytes, private_memory& out);
    private_memory(private_memory&& other) noexcept;
    private_memory& operator=(private_memory&& other) noexcept;
    private_memory(const private_memory&) = delete;
    private_memory& operator=(const private_memory&) = delete;
    ~private_memory();

    [[nodiscard]] std::byte* base() const noexcept { return base_; }
    [[nodiscard]] std::uint64_t bytes() const noexcept { return bytes_; }

private:
    std::byte* base_ = nullptr;
    std::uint64_t bytes_ = 0;
};

/// A short file of /proc or /sys, whole; empty when it cannot be read.
std::string read_small_file(const std::string& path);

/// Where a symbolic link leads; empty when it cannot be read.
std::string read_link(const std::string& path);

/// Ids of all processes that /proc shows, in ascending order.
std::vector<pid_t> all_processes();

/// Children of this process that run the same program and have not ended; nothing where /proc does not tell.
std::optional<std::vector<pid_t>> living_forks();
/// Threads of this process whose names do not begin like that; 0 where they are not listed.
std::size_t count_threads_but(std::string_view prefix);

/// The process that the thread belongs to; 0 when there is no such thread.
pid_t process_of_thread(pid_t thread);

/// "stopped", "running": what the kernel says of a thread (proc(5), State); empty when it is gone.
std::string state_of_thread(pid_t thread);

/// Name of the program that the process runs; empty when it is gone.
std::string program_of(pid_t pid);

/// Bytes of memory that this process has in use, shared ones included; 0 when not known.
std::uint64_t own_memory_bytes();

}  // namespace cairn::inline CAIRN_ABI::detail::os

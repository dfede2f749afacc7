// probe_test.cpp - looking at files and at other processes without changing anything.
// SPDX-License-Identifier: BSL-1.0
#include "os/probe.hpp"

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <cstring>
#include <limits>
#include <ostream>
#include <string>
#include <system_error>
#include <thread>
#include <utility>
#include <vector>

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <doctest/doctest.h>

#include "support/scratch.hpp"
#include "support/scratch_directory.hpp"

namespace probe_test {

using namespace cairn_test;
using namespace cairn::detail;

namespace {

bool has_error(std::error_code code, int error) {
    return code == std::error_code(error, std::generic_category());
}

os::unique_fd new_file(const std::string& path, const std::string& content) {
    os::unique_fd fd(::open(path.c_str(), O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600));
    REQUIRE(fd.valid());
    REQUIRE(::write(fd.get(), content.data(), content.size()) == static_cast<ssize_t>(content.size()));
    return fd;
}

}  // namespace

TEST_CASE("a file is opened for reading only, by way of a link only if that is wanted, and never made") {
    const scratch_directory directory;
    static_cast<void>(new_file(directory / "file", "content"));
    REQUIRE(::symlink("file", (directory / "link").c_str()) == 0);
    os::unique_fd fd;
    CHECK_FALSE(os::open_for_reading(directory / "file", false, fd));
    CHECK((::fcntl(fd.get(), F_GETFD) & FD_CLOEXEC) != 0);
    CHECK(::write(fd.get(), "x", 1) == -1);
    CHECK(errno == EBADF);
    CHECK_FALSE(os::open_for_reading(directory / "link", true, fd));
    CHECK(has_error(os::open_for_reading(directory / "link", false, fd), ELOOP));
    CHECK(has_error(os::open_for_reading(directory / "missing", true, fd), ENOENT));
    struct stat status = {};
    CHECK(::lstat((directory / "missing").c_str(), &status) == -1);
    REQUIRE(::mkfifo((directory / "fifo").c_str(), 0600) == 0);
    CHECK_FALSE(os::open_for_reading(directory / "fifo", true, fd));  // and has not waited for a writer
}

TEST_CASE("a read is short only where the file ends") {
    const scratch_directory directory;
    const os::unique_fd fd = new_file(directory / "file", "0123456789");
    char buffer[16] = {};
    std::uint64_t got = 99;
    CHECK_FALSE(os::read_at(fd.get(), 0, buffer, 4, got));
    CHECK(got == 4);
    CHECK(std::string(buffer, 4) == "0123");
    CHECK_FALSE(os::read_at(fd.get(), 7, buffer, 16, got));
    CHECK(got == 3);
    CHECK(std::string(buffer, 3) == "789");
    CHECK_FALSE(os::read_at(fd.get(), 10, buffer, 16, got));
    CHECK(got == 0);
    CHECK_FALSE(os::read_at(fd.get(), 1000, buffer, 16, got));
    CHECK(got == 0);
    CHECK(has_error(os::read_at(-1, 0, buffer, 16, got), EBADF));
    CHECK(got == 0);
}

TEST_CASE("reading and looking for data leave a hole a hole") {
    const scratch_directory directory;
    const os::unique_fd fd = new_file(directory / "file", "");
    REQUIRE(::ftruncate(fd.get(), 64 * 4096) == 0);
    REQUIRE(::pwrite(fd.get(), "x", 1, 16 * 4096) == 1);
    CHECK(os::next_data(fd.get(), 0) == 16 * 4096);
    CHECK(os::next_data(fd.get(), 16 * 4096 + 5) == 16 * 4096 + 5);
    CHECK(os::next_data(fd.get(), 17 * 4096) == std::numeric_limits<std::uint64_t>::max());
    CHECK(os::next_data(fd.get(), 1 << 30) == std::numeric_limits<std::uint64_t>::max());
    std::vector<char> all(64 * 4096);
    std::uint64_t got = 0;
    CHECK_FALSE(os::read_at(fd.get(), 0, all.data(), all.size(), got));
    CHECK(got == all.size());
    CHECK(std::count(all.begin(), all.end(), '\0') == static_cast<std::ptrdiff_t>(all.size()) - 1);
    struct stat status = {};
    REQUIRE(::fstat(fd.get(), &status) == 0);
    CHECK(status.st_blocks * 512 == 4096);
    CHECK(os::next_data(-1, 7) == 7);  // who cannot tell says: here
}

TEST_CASE("private memory is zero, not a child's to change, and given back") {
    os::private_memory none;
    CHECK(none.base() == nullptr);
    CHECK(none.bytes() == 0);
    std::byte* base = nullptr;
    {
        os::private_memory memory;
        REQUIRE_FALSE(os::private_memory::create(1 << 20, memory));
        base = memory.base();
        CHECK(memory.bytes() == 1 << 20);
        CHECK(std::all_of(base, base + (1 << 20), [](std::byte b) { return b == std::byte{0}; }));
        base[5] = std::byte{1};
        CHECK(in_child([&] { base[5] = std::byte{2}; }) == 0);
        CHECK(base[5] == std::byte{1});

        os::private_memory moved(std::move(memory));
        CHECK(moved.base() == base);
        CHECK(memory.base() == nullptr);
        memory = std::move(moved);
        CHECK(memory.base() == base);
        CHECK(moved.base() == nullptr);
    }
    // An address of nobody's is refused; whoever maps there meanwhile would be our own thread.
    CHECK(::madvise(base, 4096, MADV_NORMAL) == -1);
    CHECK(errno == ENOMEM);
    os::private_memory impossible;
    CHECK(has_error(os::private_memory::create(std::uint64_t{1} << 62, impossible), ENOMEM));
    CHECK(impossible.base() == nullptr);
}

TEST_CASE("a link is read, and what is no link is empty") {
    const scratch_directory directory;
    REQUIRE(::symlink("over the hills", (directory / "link").c_str()) == 0);
    CHECK(os::read_link(directory / "link") == "over the hills");
    CHECK(os::read_link(directory.path()) == "");
    CHECK(os::read_link(directory / "missing") == "");
}

TEST_CASE("all processes are there, in order, children too") {
    const gate leave;
    child c([&] { leave.wait(); });
    const std::vector<pid_t> all = os::all_processes();
    CHECK(std::is_sorted(all.begin(), all.end()));
    CHECK(std::adjacent_find(all.begin(), all.end()) == all.end());
    CHECK(std::binary_search(all.begin(), all.end(), ::getpid()));
    CHECK(std::binary_search(all.begin(), all.end(), c.pid()));
    leave.open();
    const pid_t pid = c.pid();
    CHECK(c.join() == 0);
    const std::vector<pid_t> later = os::all_processes();
    CHECK_FALSE(std::binary_search(later.begin(), later.end(), pid));
}

TEST_CASE("a thread's process is found, and nobody's is 0") {
    CHECK(os::process_of_thread(::getpid()) == ::getpid());
    std::thread([] {
        const auto thread = static_cast<pid_t>(::syscall(SYS_gettid));
        CHECK(thread != ::getpid());
        CHECK(os::process_of_thread(thread) == ::getpid());
    }).join();
    CHECK(os::process_of_thread(0x3fffffff) == 0);
    child ended([] {});
    const pid_t pid = ended.pid();
    CHECK(ended.join() == 0);
    CHECK(os::process_of_thread(pid) == 0);
}

TEST_CASE("a program is called what it calls itself, whatever that is") {
    const gate named;
    const gate leave;
    child c([&] {
        ::prctl(PR_SET_NAME, "odd) name");
        named.open();
        leave.wait();
    });
    REQUIRE(named.wait());
    CHECK(os::program_of(c.pid()) == "odd) name");
    leave.open();
    const pid_t pid = c.pid();
    CHECK(c.join() == 0);
    CHECK(os::program_of(pid) == "");
}

}  // namespace probe_test

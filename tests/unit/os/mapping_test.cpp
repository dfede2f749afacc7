// mapping_test.cpp - a mapping that is larger than its file, and what of it a process sees, may write and has backed.
// SPDX-License-Identifier: BSL-1.0
#include "os/mapping.hpp"

#include <cerrno>
#include <csignal>
#include <cstdint>
#include <cstdlib>
#include <fstream>
#include <functional>
#include <ostream>
#include <string>
#include <utility>
#include <vector>

#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <doctest/doctest.h>

#include "os/file.hpp"
#include "support/scratch.hpp"

namespace mapping_test {

using namespace cairn_test;
using namespace cairn::detail;

namespace {

constexpr std::uint64_t page = 4096;

os::unique_fd memory_file(std::uint64_t bytes) {
    os::unique_fd fd;
    REQUIRE_FALSE(os::create_anonymous("cairn-test", fd));
    if (bytes != 0) REQUIRE_FALSE(os::allocate(fd.get(), 0, bytes));
    return fd;
}

os::mapping map(const os::unique_fd& fd, std::uint64_t bytes, os::map_access access) {
    os::mapping m;
    REQUIRE_FALSE(os::mapping::create(fd.get(), bytes, access, m));
    REQUIRE(m.bytes() == bytes);
    return m;
}

volatile unsigned char& byte_at(const os::mapping& m, std::uint64_t offset) {
    return *reinterpret_cast<volatile unsigned char*>(m.base() + offset);
}

std::uint64_t occupied_bytes(const os::unique_fd& fd) {
    struct stat status = {};
    REQUIRE(::fstat(fd.get(), &status) == 0);
    return static_cast<std::uint64_t>(status.st_blocks) * 512;
}

// How a child ends that does this; without the core that a SIGBUS or SIGSEGV would leave.
int death_of(const std::function<void()>& body) {
    return in_child([&] {
        const rlimit none = {};
        ::setrlimit(RLIMIT_CORE, &none);
        body();
    });
}

// The flags of the mapping that begins at `address`.
std::string flags_of(const void* address) {
    std::ifstream maps("/proc/self/smaps");
    bool is_inside = false;
    for (std::string line; std::getline(maps, line);) {
        char* end = nullptr;
        const std::uint64_t from = std::strtoull(line.c_str(), &end, 16);
        if (*end == '-') is_inside = from == reinterpret_cast<std::uint64_t>(address);
        if (is_inside && line.starts_with("VmFlags:")) return line + ' ';
    }
    return {};
}

}  // namespace

TEST_CASE("what one mapping writes the other one sees, in this and in another process") {
    const os::unique_fd fd = memory_file(2 * page);
    const os::mapping a = map(fd, 2 * page, os::map_access::read_write);
    const os::mapping b = map(fd, 2 * page, os::map_access::read_write);
    CHECK(a.base() != b.base());
    byte_at(a, page + 7) = 42;
    CHECK(byte_at(b, page + 7) == 42);
    CHECK(in_child([&] {
              CHILD_CHECK(byte_at(a, page + 7) == 42);
              byte_at(a, 0) = 43;
          }) == 0);
    CHECK(byte_at(b, 0) == 43);
}

TEST_CASE("a read-only mapping sees what others write, and writing to it is a SIGSEGV") {
    const os::unique_fd fd = memory_file(page);
    const os::mapping writer = map(fd, page, os::map_access::read_write);
    const os::mapping reader = map(fd, page, os::map_access::read_only);
    byte_at(writer, 1) = 42;
    CHECK(byte_at(reader, 1) == 42);
    if (!is_sanitized) CHECK(death_of([&] { byte_at(reader, 1) = 43; }) == -SIGSEGV);
    CHECK(byte_at(writer, 1) == 42);
}

TEST_CASE("a file that may only be read is mapped read-only or privately, not for writing") {
    const os::unique_fd fd = memory_file(page);
    os::unique_fd reader;
    REQUIRE_FALSE(os::set_mode(fd, 0600));
    reader =
        os::unique_fd(::open(("/proc/self/fd/" + std::to_string(fd.get())).c_str(), O_RDONLY | O_CLOEXEC));
    REQUIRE(reader.valid());
    os::mapping m;
    CHECK(os::mapping::create(reader.get(), page, os::map_access::read_write, m).value() == EACCES);
    CHECK(m.base() == nullptr);
    CHECK_FALSE(os::mapping::create(reader.get(), page, os::map_access::read_only, m));
    CHECK_FALSE(os::mapping::create(reader.get(), page, os::map_access::private_copy, m));
}

TEST_CASE("what is written to a private copy stays there") {
    const os::unique_fd fd = memory_file(page);
    const os::mapping writer = map(fd, page, os::map_access::read_write);
    byte_at(writer, 1) = 42;
    const os::mapping copy = map(fd, page, os::map_access::private_copy);
    CHECK(byte_at(copy, 1) == 42);
    byte_at(copy, 1) = 43;
    CHECK(byte_at(copy, 1) == 43);
    CHECK(byte_at(writer, 1) == 42);
}

TEST_CASE("pages appear in a mapping as the file grows, and are a SIGBUS before") {
    const os::unique_fd fd = memory_file(page);
    const os::mapping m = map(fd, 1024 * page, os::map_access::read_write);
    byte_at(m, page - 1) = 1;
    if (!is_sanitized) CHECK(death_of([&] { byte_at(m, page) = 1; }) == -SIGBUS);
    REQUIRE_FALSE(os::allocate(fd.get(), page, page));
    CHECK(byte_at(m, page) == 0);
    byte_at(m, page) = 1;
    CHECK(byte_at(m, page) == 1);
    CHECK(occupied_bytes(fd) == 2 * page);
}

TEST_CASE("populate backs pages without a descriptor, from any offset, and keeps what is there") {
    os::unique_fd fd = memory_file(0);
    REQUIRE_FALSE(os::set_size(fd, 64 * page));
    const os::mapping m = map(fd, 64 * page, os::map_access::read_write);
    byte_at(m, 0) = 42;
    CHECK(occupied_bytes(fd) == page);
    const os::unique_fd observer(::dup(fd.get()));
    fd.reset();
    CHECK_FALSE(m.populate(page + 100, 3 * page - 100));
    CHECK(occupied_bytes(observer) == 4 * page);
    CHECK_FALSE(m.populate(0, page));
    CHECK(byte_at(m, 0) == 42);
}

TEST_CASE("populate behind the end of the file is ENOSPC, where a touch would be a SIGBUS") {
    const os::unique_fd fd = memory_file(page);
    const os::mapping m = map(fd, 4 * page, os::map_access::read_write);
    CHECK(m.populate(page, page) == std::error_code(ENOSPC, std::generic_category()));
    CHECK_FALSE(m.populate(0, page));
}

TEST_CASE("what cannot be mapped is an error, and the mapping that was there stays") {
    const os::unique_fd fd = memory_file(page);
    os::mapping m = map(fd, page, os::map_access::read_write);
    const std::byte* const before = m.base();
    CHECK(os::mapping::create(-1, page, os::map_access::read_write, m).value() == EBADF);
    CHECK(os::mapping::create(fd.get(), std::uint64_t{1} << 62, os::map_access::read_write, m).value() ==
          ENOMEM);
    CHECK(m.base() == before);
    byte_at(m, 0) = 1;
}

TEST_CASE("a mapping is in no core dump, and takes no swap before it is used") {
    const os::unique_fd fd = memory_file(page);
    const os::mapping m = map(fd, 1024 * page, os::map_access::read_write);
    const std::string flags = flags_of(m.base());
    CAPTURE(flags);
    CHECK(contains(flags, " dd "));
    CHECK(contains(flags, " nr "));
}

TEST_CASE("a mapping that was moved is unmapped once") {
    const os::unique_fd fd = memory_file(page);
    const footprint before = take_footprint();
    {
        os::mapping a = map(fd, page, os::map_access::read_write);
        std::byte* const base = a.base();
        const os::mapping b = std::move(a);
        CHECK(b.base() == base);
        byte_at(b, 0) = 1;
    }
    CHECK(take_footprint() == before);
}

TEST_CASE("pages that are mapped ahead are there without a fault") {
    const os::unique_fd fd = memory_file(0);
    REQUIRE_FALSE(os::write_zeros(fd.get(), 0, 64 * page));
    const os::mapping m = map(fd, 64 * page, os::map_access::read_write);
    const auto faults = [] {
        rusage usage = {};
        ::getrusage(RUSAGE_SELF, &usage);
        return usage.ru_minflt;
    };
    os::map_ahead(m.base(), 64 * page);
    const long before = faults();
    for (std::uint64_t i = 0; i < 64; ++i) byte_at(m, i * page) = 1;
    if (is_sanitized) return;        // their own memory faults, too
    CHECK(faults() - before <= 16);  // where the kernel maps what is around a read fault: 0
}

TEST_CASE("a wiped page is the parent's alone: a child finds zeros, whatever was in it") {
    std::uint64_t* word = nullptr;
    REQUIRE_FALSE(os::map_wiped_on_fork(word));
    CHECK(*word == 0);
    *word = 42;
    CHECK(in_child([&] {
              CHILD_CHECK(*word == 0);
              *word = 43;
          }) == 0);
    CHECK(*word == 42);
    ::munmap(word, static_cast<std::size_t>(::sysconf(_SC_PAGESIZE)));
}

}  // namespace mapping_test

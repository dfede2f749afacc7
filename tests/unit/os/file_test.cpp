// file_test.cpp - the files behind segments: born without a name, opened without following, grown without surprises.
// SPDX-License-Identifier: BSL-1.0
#include "os/file.hpp"

#include <algorithm>
#include <cerrno>
#include <cstdint>
#include <cstring>
#include <ostream>
#include <string>
#include <system_error>
#include <vector>

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <doctest/doctest.h>

#include "os/probe.hpp"
#include "support/scratch_directory.hpp"

namespace file_test {

using namespace cairn_test;
using namespace cairn::detail;

namespace {

std::uint64_t occupied_bytes(int fd) {
    struct stat status = {};
    REQUIRE(::fstat(fd, &status) == 0);
    return static_cast<std::uint64_t>(status.st_blocks) * 512;
}

std::uint64_t size_of(int fd) {
    os::file_facts facts;
    REQUIRE_FALSE(os::describe(fd, facts));
    return facts.bytes;
}

bool closes_on_exec(int fd) {
    return (::fcntl(fd, F_GETFD) & FD_CLOEXEC) != 0;
}

bool has_error(std::error_code code, int error) {
    return code == std::error_code(error, std::generic_category());
}

os::unique_fd named_file(const std::string& path) {
    os::unique_fd fd;
    const std::string directory = path.substr(0, path.rfind('/'));
    REQUIRE_FALSE(os::create_nameless(directory, 0600, fd));
    REQUIRE_FALSE(os::link_file(fd, path));
    return fd;
}

}  // namespace

TEST_CASE("a nameless file shows nowhere until it is linked, and then whole") {
    const scratch_directory directory;
    os::unique_fd fd;
    REQUIRE_FALSE(os::create_nameless(directory.path(), 0640, fd));
    CHECK(closes_on_exec(fd.get()));
    std::vector<std::string> names;
    CHECK_FALSE(os::list_directory(directory.path(), names));
    CHECK(std::count(names.begin(), names.end(), "born") == 0);
    CHECK(names.size() == 2);  // "." and ".."
    REQUIRE(::write(fd.get(), "whole", 5) == 5);

    CHECK_FALSE(os::link_file(fd, directory / "born"));
    os::file_facts by_name;
    os::file_facts by_descriptor;
    CHECK_FALSE(os::describe(directory / "born", by_name));
    CHECK_FALSE(os::describe(fd.get(), by_descriptor));
    CHECK(by_name.same_file(by_descriptor));
    CHECK(by_name.bytes == 5);
    CHECK(by_name.link_count == 1);
    names.clear();
    CHECK_FALSE(os::list_directory(directory.path(), names));
    CHECK(std::count(names.begin(), names.end(), "born") == 1);
}

TEST_CASE("a name that is taken is not taken over") {
    const scratch_directory directory;
    const os::unique_fd first = named_file(directory / "name");
    os::unique_fd second;
    REQUIRE_FALSE(os::create_nameless(directory.path(), 0600, second));
    CHECK(has_error(os::link_file(second, directory / "name"), EEXIST));
    os::file_facts facts;
    os::file_facts of_first;
    CHECK_FALSE(os::describe(directory / "name", facts));
    CHECK_FALSE(os::describe(first.get(), of_first));
    CHECK(facts.same_file(of_first));
}

TEST_CASE("what is described is what the system says") {
    const scratch_directory directory;
    const os::unique_fd fd = named_file(directory / "name");
    CHECK_FALSE(os::set_mode(fd, 0604));
    CHECK_FALSE(os::set_size(fd, 12345));
    os::file_facts facts;
    CHECK_FALSE(os::describe(directory / "name", facts));
    CHECK(facts.bytes == 12345);
    CHECK((facts.mode & 07777U) == 0604);
    CHECK(facts.owner == ::geteuid());
    CHECK(facts.is_regular);
    CHECK(facts.link_count == 1);
    CHECK_FALSE(os::describe(directory.path(), facts));
    CHECK_FALSE(facts.is_regular);

    // A link is described itself, not what it leads to.
    REQUIRE(::symlink("name", (directory / "link").c_str()) == 0);
    CHECK_FALSE(os::describe(directory / "link", facts));
    CHECK_FALSE(facts.is_regular);

    os::file_facts before = facts;
    CHECK(has_error(os::describe(directory / "missing", facts), ENOENT));
    CHECK(facts.inode == before.inode);  // unchanged when it fails
    CHECK(has_error(os::describe(-1, facts), EBADF));
}

TEST_CASE("opening never creates, follows no link, and waits for nobody") {
    const scratch_directory directory;
    os::unique_fd fd;
    CHECK(has_error(os::open_existing(directory / "missing", true, fd), ENOENT));
    CHECK_FALSE(fd.valid());
    os::file_facts facts;
    CHECK(has_error(os::describe(directory / "missing", facts), ENOENT));

    static_cast<void>(named_file(directory / "name"));
    REQUIRE(::symlink("name", (directory / "link").c_str()) == 0);
    CHECK(has_error(os::open_existing(directory / "link", false, fd), ELOOP));

    // A FIFO without a writer would keep a plain open() waiting; with one it is opened and seen to be no file.
    REQUIRE(::mkfifo((directory / "fifo").c_str(), 0600) == 0);
    CHECK_FALSE(os::open_existing(directory / "fifo", false, fd));
    CHECK_FALSE(os::describe(fd.get(), facts));
    CHECK_FALSE(facts.is_regular);
    CHECK(has_error(os::open_existing(directory.path(), true, fd), EISDIR));
}

TEST_CASE("a file is opened for what was asked, and not left to a program that is executed") {
    const scratch_directory directory;
    static_cast<void>(named_file(directory / "name"));
    os::unique_fd reader;
    os::unique_fd writer;
    CHECK_FALSE(os::open_existing(directory / "name", true, writer));
    CHECK_FALSE(os::open_existing(directory / "name", false, reader));
    CHECK(closes_on_exec(writer.get()));
    CHECK(closes_on_exec(reader.get()));
    CHECK(::write(writer.get(), "x", 1) == 1);
    CHECK(::write(reader.get(), "x", 1) == -1);
    CHECK(errno == EBADF);
}

TEST_CASE("an anonymous file shows its name to ps alone, and can be opened by way of /proc") {
    os::unique_fd fd;
    REQUIRE_FALSE(os::create_anonymous("cairn.some-name", fd));
    CHECK(closes_on_exec(fd.get()));
    const std::string link = "/proc/self/fd/" + std::to_string(fd.get());
    CHECK(os::read_link(link) == "/memfd:cairn.some-name (deleted)");
    const os::unique_fd again = os::open_following(link.c_str());
    REQUIRE(again.valid());
    os::file_facts one;
    os::file_facts two;
    CHECK_FALSE(os::describe(fd.get(), one));
    CHECK_FALSE(os::describe(again.get(), two));
    CHECK(one.same_file(two));
    CHECK_FALSE(os::open_following("/proc/self/fd/-1").valid());
}

TEST_CASE("a sealed file grows and does not shrink") {
    os::unique_fd fd;
    REQUIRE_FALSE(os::create_anonymous("cairn-test", fd));
    REQUIRE_FALSE(os::set_size(fd, 8192));
    CHECK_FALSE(os::seal_against_shrinking(fd));
    CHECK(has_error(os::set_size(fd, 4096), EPERM));
    CHECK(size_of(fd.get()) == 8192);
    CHECK_FALSE(os::set_size(fd, 16384));
    CHECK(size_of(fd.get()) == 16384);
}

TEST_CASE("allocate backs the range and grows the file, set_size only grows it") {
    const scratch_directory directory;
    const os::unique_fd fd = named_file(directory / "name");
    CHECK_FALSE(os::set_size(fd, 1 << 20));
    CHECK(size_of(fd.get()) == 1 << 20);
    CHECK(occupied_bytes(fd.get()) == 0);
    CHECK_FALSE(os::allocate(fd.get(), 65536, 65536));
    CHECK(size_of(fd.get()) == 1 << 20);
    CHECK(occupied_bytes(fd.get()) == 65536);
    CHECK_FALSE(os::allocate(fd.get(), 1 << 20, 8192));
    CHECK(size_of(fd.get()) == (1 << 20) + 8192);
    CHECK(occupied_bytes(fd.get()) == 65536 + 8192);
    CHECK(has_error(os::allocate(fd.get(), 0, 0), EINVAL));
}

TEST_CASE("zeros are written where they belong, in as many calls as it takes, and grow the file") {
    const scratch_directory directory;
    const os::unique_fd fd = named_file(directory / "name");
    const std::string text(1'000'000, 'x');
    REQUIRE(::pwrite(fd.get(), text.data(), text.size(), 0) == static_cast<ssize_t>(text.size()));
    const std::size_t from = 5000;
    const std::size_t bytes = 700'001;  // more than one call takes
    CHECK_FALSE(os::write_zeros(fd.get(), from, bytes));
    std::string back(text.size(), '?');
    REQUIRE(::pread(fd.get(), back.data(), back.size(), 0) == static_cast<ssize_t>(back.size()));
    CHECK((back == std::string(from, 'x') + std::string(bytes, '\0') + text.substr(from + bytes)));

    CHECK_FALSE(os::write_zeros(fd.get(), 2 << 20, 8192));
    CHECK(size_of(fd.get()) == (2 << 20) + 8192);
    const std::uint64_t occupied = occupied_bytes(fd.get());
    CHECK_FALSE(os::punch(fd.get(), 2 << 20, 8192));
    CHECK(occupied_bytes(fd.get()) == occupied - 8192);
    CHECK_FALSE(os::write_zeros(fd.get(), 0, 0));
    CHECK(has_error(os::write_zeros(-1, 0, 1), EBADF));
}

TEST_CASE("the first hole is where no page is, or where the file ends") {
    const scratch_directory directory;
    const os::unique_fd fd = named_file(directory / "name");
    CHECK(os::first_hole(fd.get(), 0) == 0);
    REQUIRE_FALSE(os::write_zeros(fd.get(), 0, 65536));
    CHECK(os::first_hole(fd.get(), 4096) == 65536);
    CHECK(os::first_hole(fd.get(), 65536) == 65536);
    CHECK(os::first_hole(fd.get(), 1 << 20) == 1 << 20);  // behind the end
    REQUIRE_FALSE(os::punch(fd.get(), 8192, 4096));
    CHECK(os::first_hole(fd.get(), 4096) == 8192);
    CHECK(os::first_hole(-1, 4096) > std::uint64_t{1} << 63);
}

TEST_CASE("what was punched is given back, reads as zero, and keeps its place") {
    const scratch_directory directory;
    const os::unique_fd fd = named_file(directory / "name");
    const std::string text(3 * 4096, 'x');
    REQUIRE(::pwrite(fd.get(), text.data(), text.size(), 0) == static_cast<ssize_t>(text.size()));
    CHECK_FALSE(os::punch(fd.get(), 4096, 4096));
    CHECK(size_of(fd.get()) == 3 * 4096);
    CHECK(occupied_bytes(fd.get()) == 2 * 4096);
    std::string back(3 * 4096, '?');
    REQUIRE(::pread(fd.get(), back.data(), back.size(), 0) == static_cast<ssize_t>(back.size()));
    CHECK(back == std::string(4096, 'x') + std::string(4096, '\0') + std::string(4096, 'x'));
}

TEST_CASE("a file is removed by its name; what is open stays") {
    const scratch_directory directory;
    const os::unique_fd fd = named_file(directory / "name");
    CHECK_FALSE(os::remove_file(directory / "name"));
    CHECK(has_error(os::remove_file(directory / "name"), ENOENT));
    os::file_facts facts;
    CHECK_FALSE(os::describe(fd.get(), facts));
    CHECK(facts.link_count == 0);
}

TEST_CASE("a directory that is not there has an error, not an empty list") {
    const scratch_directory directory;
    std::vector<std::string> names;
    CHECK(has_error(os::list_directory(directory / "missing", names), ENOENT));
    CHECK(names.empty());
    static_cast<void>(named_file(directory / "file"));
    CHECK(has_error(os::list_directory(directory / "file", names), ENOTDIR));
}

TEST_CASE("free space is what the file system has, or 0 when nobody knows") {
    const scratch_directory directory;
    CHECK(os::free_bytes(directory.path()) > 0);
    CHECK(os::free_bytes(directory / "missing") == 0);
}

TEST_CASE("named segments live in /dev/shm, unless a test says otherwise") {
    const std::string before = os::shm_directory();
    CHECK(before == "/dev/shm");
    CHECK(os::set_shm_directory("/somewhere/else"));
    CHECK(os::shm_directory() == "/somewhere/else");
    CHECK_FALSE(os::set_shm_directory(std::string(5000, 'd')));
    CHECK(os::shm_directory() == "/somewhere/else");
    CHECK(os::set_shm_directory(before));
}

}  // namespace file_test

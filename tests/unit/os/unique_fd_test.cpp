// unique_fd_test.cpp - a descriptor has one owner, and is closed once.
// SPDX-License-Identifier: BSL-1.0
#include "os/unique_fd.hpp"

#include <type_traits>
#include <utility>

#include <fcntl.h>
#include <unistd.h>

#include <doctest/doctest.h>

namespace unique_fd_test {

using cairn::detail::os::unique_fd;

namespace {

int open_descriptor() {
    const int fd = ::open("/dev/null", O_RDONLY | O_CLOEXEC);
    REQUIRE(fd >= 0);
    return fd;
}

bool is_open(int fd) {
    return ::fcntl(fd, F_GETFD) != -1;
}

}  // namespace

TEST_CASE("a descriptor is closed with its owner") {
    const int fd = open_descriptor();
    {
        const unique_fd owner(fd);
        CHECK(owner.valid());
        CHECK(owner.get() == fd);
        CHECK(is_open(fd));
    }
    CHECK_FALSE(is_open(fd));
}

TEST_CASE("descriptor 0 is one like any other, a negative one is none") {
    CHECK_FALSE(unique_fd().valid());
    CHECK_FALSE(unique_fd(-1).valid());
    unique_fd zero(0);
    CHECK(zero.valid());
    CHECK(zero.release() == 0);
    CHECK_FALSE(zero.valid());
}

TEST_CASE("moving hands the descriptor over, and the one that was there before is closed") {
    static_assert(!std::is_copy_constructible_v<unique_fd> && !std::is_copy_assignable_v<unique_fd>);
    const int first = open_descriptor();
    const int second = open_descriptor();
    unique_fd a(first);
    unique_fd b(std::move(a));
    CHECK_FALSE(a.valid());
    CHECK(b.get() == first);
    unique_fd c(second);
    c = std::move(b);
    CHECK(c.get() == first);
    CHECK(is_open(first));
    CHECK_FALSE(is_open(second));
    unique_fd& same = c;
    c = std::move(same);
    CHECK(c.get() == first);
    CHECK(is_open(first));
}

TEST_CASE("a released descriptor is somebody else's to close") {
    const int fd = open_descriptor();
    {
        unique_fd owner(fd);
        CHECK(owner.release() == fd);
        CHECK_FALSE(owner.valid());
    }
    CHECK(is_open(fd));
    unique_fd again(fd);
    again.reset();
    CHECK_FALSE(again.valid());
    CHECK_FALSE(is_open(fd));
    again.reset();
}

}  // namespace unique_fd_test

// memory_test.cpp - what a segment costs the machine.
// SPDX-License-Identifier: BSL-1.0
#include <cstdint>
#include <random>
#include <string>
#include <vector>

#include <sys/mman.h>
#include <sys/resource.h>
#include <unistd.h>

#include <doctest/doctest.h>

#include "support/opened.hpp"
#include "support/sanitizers.hpp"
#include "support/scratch.hpp"
#include <cairn/manager.hpp>

namespace memory_test {

using namespace cairn_test;

namespace {

constexpr std::uint64_t much = std::uint64_t{1} << 28;
constexpr std::uint64_t little = std::uint64_t{1} << 23;

}  // namespace

TEST_CASE("stats() say what is committed, and what the system has allocated") {
    const scratch_name name;
    for (const cairn::manager& m :
         {cairn::manager({.max_size = much}), cairn::manager(name, {.max_size = much})}) {
        const cairn::segment_stats before = m.stats();
        CHECK(before.real_bytes >= before.used_bytes);
        CHECK(before.real_bytes < little);
        m.list<std::string>("l").push_back(std::string(3 * little, 'x'));
        const cairn::segment_stats after = m.stats();
        CHECK(after.real_bytes >= 3 * little);
        CHECK(after.real_bytes < 4 * little);
        CHECK(after.max_bytes >= after.size_bytes);
    }
}

TEST_CASE("the default of max_size is as large as a file may be, and a quarter of the address space") {
    const scratch_name name;
    const auto is_within = [&](std::uint64_t most) {
        for (const cairn::manager& m : {cairn::manager(), cairn::manager(name)}) {
            CHILD_CHECK(m.stats().max_bytes <= most);
            CHILD_CHECK(m.stats().max_bytes > most / 2);
            const auto l = m.list<long>("l");
            // It is what can be had.
            const std::size_t count = most / 2 / sizeof(long);
            l.extend(std::vector<long>(count, 7));
            CHILD_CHECK(l.size() == count);
            CHILD_CHECK(!thrown_by<cairn::segment_full>([&] { l.reserve(2 * count + 1); }).empty());
            CHILD_CHECK(l.size() == count);
        }
    };
    SUBCASE("files") {
        CHECK(in_child([&] {
                  const rlimit limit = {little + 100, little + 100};
                  CHILD_CHECK(::setrlimit(RLIMIT_FSIZE, &limit) == 0);
                  is_within(little);
              }) == 0);
    }
    SUBCASE("address space") {
        if (is_sanitized) return;  // which takes terabytes of it
        CHECK(in_child([&] {
                  const rlimit limit = {8 * much, 8 * much};
                  CHILD_CHECK(::setrlimit(RLIMIT_AS, &limit) == 0);
                  CHILD_CHECK(cairn::manager().stats().max_bytes <= 2 * much);
                  CHILD_CHECK(cairn::manager().stats().max_bytes > much);
              }) == 0);
    }
}

TEST_CASE("a segment costs what it uses, also in a program that has locked its memory") {
    if (is_sanitized) {
        MESSAGE("skipped: sanitizers do not lock memory");
        return;
    }
    constexpr int not_allowed = 77;
    const scratch_name name;
    const int result = in_child([&] {
        if (::mlockall(MCL_CURRENT | MCL_FUTURE) != 0) ::_exit(not_allowed);
        for (const cairn::manager& m :
             {cairn::manager({.max_size = much}), cairn::manager(name, {.max_size = much})}) {
            CHILD_CHECK(m.stats().real_bytes < little);
            const auto l = m.list<long>("l");
            l.extend(std::vector<long>(little / sizeof(long), 7));
            CHILD_CHECK(l.back() == 7);
            CHILD_CHECK(m.stats().real_bytes < 3 * little);
        }
    });
    if (result == not_allowed) MESSAGE("skipped: memory may not be locked here");
    else CHECK(result == 0);
}

TEST_CASE("a segment without a name grows in a program without descriptors and privileges") {
    constexpr int not_allowed = 77;
    constexpr uid_t nobody = 65534;
    const scratch_name name;
    const int result = in_child([&] {
        if (::geteuid() == 0 &&
            (::setresgid(nobody, nobody, nobody) != 0 || ::setresuid(nobody, nobody, nobody) != 0))
            ::_exit(not_allowed);
        const cairn::manager m(name, {.max_size = much});
        const auto l = m.list<long>("l");
        m.unlink();
        for (int fd = 3; fd < 256; ++fd) ::close(fd);
        l.extend(std::vector<long>(little / sizeof(long), 7));
        CHILD_CHECK(l.size() == little / sizeof(long));
        CHILD_CHECK(l.back() == 7);
    });
    if (result == not_allowed) MESSAGE("skipped: this user may not become another");
    else CHECK(result == 0);
}

TEST_CASE("many small lists of strings take half as much again as what is in them, at most") {
    const cairn::manager m({.max_size = much});
    std::mt19937 random(20261130);  // NOLINT: the same each time
    const std::uint64_t before = m.stats().used_bytes;
    std::uint64_t held = 0;
    for (int count : {30, 300, 3000}) {
        for (int i = 0; i < 6000 / count; ++i) {
            const auto l = m.list<std::string>(std::to_string(count) + " of " + std::to_string(i));
            for (int k = 0; k < count; ++k) {
                const std::size_t bytes = 1 + random() % 400;
                l.push_back(std::string(bytes, 'x'));
                held += bytes + 16;
            }
        }
        const std::uint64_t used = m.stats().used_bytes - before;
        MESSAGE(count << " strings each: " << used << " bytes for " << held);
        CHECK(used < held * 3 / 2 + static_cast<std::uint64_t>(6000 / count) * 8192);
    }
}

TEST_CASE("strings of random sizes come and go: memory stays bounded, and goes back") {
    const cairn::manager m({.max_size = much});
    const std::uint64_t before = m.stats().used_bytes;
    const auto l = m.list<std::string>("l");
    const auto d = m.dict<long, std::string>("d");
    std::mt19937 random(20261130);  // NOLINT: the same each time
    const auto size = [&]() -> std::size_t {
        const std::size_t kind = random() % 100;
        if (kind < 80) return random() % 400;
        return random() % (kind < 98 ? std::size_t{8000} : std::size_t{100'000});
    };
    std::uint64_t early = 0;
    const int rounds = static_cast<int>(scaled(40));
    for (int round = 0; round < rounds; ++round) {
        for (int i = 0; i < 1000; ++i) {
            if (l.size() < 1000 || random() % 2 == 0) l.push_back(std::string(size(), 'x'));
            else l.erase(random() % l.size());
            d.set(static_cast<long>(random() % 3000), std::string(size(), 'y'));
            d.erase(static_cast<long>(random() % 3000));
        }
        while (l.size() > 1000) l.erase(random() % l.size());
        if (round == rounds / 4) early = m.stats().used_bytes - before;
    }
    const std::uint64_t late = m.stats().used_bytes - before;
    MESSAGE("after a quarter of the time " << early << " bytes, at the end " << late);
    CHECK(late < early * 3 / 2);
    while (!l.empty()) static_cast<void>(l.pop());
    while (!d.empty()) static_cast<void>(d.popitem());
    const std::uint64_t empty = m.stats().used_bytes - before;
    MESSAGE("empty: " << empty);
    CHECK(empty < 1'000'000);  // young pages, one span each, some tables
    m.remove("l");
    m.remove("d");
    CHECK(m.stats().used_bytes - before < 100'000);
}

}  // namespace memory_test

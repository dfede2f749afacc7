// first_contents_test.cpp - long first contents are built while others go on; their builder may be stopped, fail or die.
// SPDX-License-Identifier: BSL-1.0
#include <algorithm>
#include <chrono>
#include <csignal>
#include <cstdint>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include <sys/wait.h>

#include <doctest/doctest.h>

#include "segment/directory.hpp"
#include "support/crash/segment_audit.hpp"
#include "support/opened.hpp"
#include "support/patience.hpp"
#include "support/scratch.hpp"
#include <cairn/cairn.hpp>
#include <cairn/inspect.hpp>

namespace first_contents_test {

using namespace cairn_test;
using namespace cairn::detail;

namespace {

using longs = std::vector<long>;

constexpr std::chrono::seconds watchdog(20);  // turns a hang into a failure
constexpr int most_attempts = 10;  // chosen freely; even on a busy machine the first one mostly does

const longs& many() {
    static const longs values(6'000'000, 7);  // some 50 ms
    return values;
}

const segment& segment_of(const cairn::manager& m) {
    return opened_list<long>(m.list<long>("l")).in();
}

// Objects that are being made without the segment's lock.
std::size_t count_entrusted(const segment& s) {
    std::size_t count = 0;
    for (std::uint32_t link = s.control().building_slot; link != 0; link = s.slot(link - 1).next_free_slot)
        if (s.slot(link - 1).part_of == 0) ++count;
    return count;
}

bool has_ended(const child& process) {
    siginfo_t found = {};
    return ::waitid(P_PID, static_cast<id_t>(process.pid()), &found, WEXITED | WNOHANG | WNOWAIT) != 0 ||
           found.si_pid != 0;
}

// Stops the child in the middle of building, where it does not hold the segment's lock; false when it was through before.
bool is_stopped_inside(const child& builder, const segment& s, std::size_t others) {
    const auto deadline = std::chrono::steady_clock::now() + patiently(watchdog);
    for (;;) {
        while (count_entrusted(s) == others) {
            if (has_ended(builder)) return false;
            if (std::chrono::steady_clock::now() > deadline) FAIL("a builder that neither builds nor ends");
            std::this_thread::yield();
        }
        REQUIRE(::kill(builder.pid(), SIGSTOP) == 0);
        builder.wait_until_stopped();
        const bool is_between = inspect(s.control().lock).thread_id == 0;
        if (is_between) return count_entrusted(s) == others + 1;
        REQUIRE(std::chrono::steady_clock::now() < deadline);
        builder.resume();
        std::this_thread::sleep_for(std::chrono::microseconds(100));
    }
}

std::vector<std::string> names_in(const cairn::manager& m) {
    std::vector<std::string> names;
    for (const cairn::object_info& each : m.objects()) names.push_back(each.name);
    return names;
}

// A child in the middle of building, which does not hold the segment's lock at the moment. On a busy machine a child may be
// through before it is stopped: then its object is removed, and the next child tries.
template <typename Build>
child stopped_builder(const cairn::manager& m, const Build& build) {
    const segment& s = segment_of(m);
    const std::vector<std::string> kept = names_in(m);
    const std::size_t others = count_entrusted(s);
    for (int attempt = 1;; ++attempt) {
        child builder(build);
        if (is_stopped_inside(builder, s, others)) return builder;
        REQUIRE_MESSAGE(attempt < most_attempts, "each builder ended before it was seen building");
        builder.resume();
        static_cast<void>(builder.join());
        for (const std::string& made : names_in(m))
            if (std::find(kept.begin(), kept.end(), made) == kept.end()) REQUIRE(m.remove(made));
    }
}

// Without the page map, which stays as large as it was while the segment was at its largest.
std::uint64_t used_beside_map(const cairn::manager& m) {
    return m.stats().used_bytes - segment_of(m).committed_pages() * sizeof(page_entry);
}

// Of a segment that nobody uses at the moment.
void require_whole(const cairn::manager& m) {
    static_cast<void>(m.contains("anything"));  // whoever takes its lock gives back what was abandoned
    CHECK(audit_segment(opened_list<long>(m.list<long>("of the audit")).in()) == "");
    CHECK(cairn::inspection(m.name()).verify().problems.empty());
}

}  // namespace

TEST_CASE("while long first contents are built the segment is free, and the object is not there") {
    const scratch_name name;
    const cairn::manager m(name, {.max_size = 1 << 30, .lock_timeout = std::chrono::seconds(60)});
    const auto l = m.list<long>("l", {1});
    child builder =
        stopped_builder(m, [&] { CHILD_CHECK(m.list<long>("big", many()).size() == many().size()); });
    CHECK_FALSE(m.contains("big"));
    // contains() has taken the segment's lock, and leaves a living builder what it has.
    REQUIRE(count_entrusted(segment_of(m)) == 1);
    CHECK_FALSE(m.find<cairn::list<long>>("big").has_value());
    CHECK(m.objects().size() == 1);
    CHECK(m.stats().object_count == 1);
    l.extend(longs(100'000, 3));
    CHECK(m.list<long>("other", {1, 2}) == longs{1, 2});
    CHECK(m.remove("other"));
    CHECK(cairn::manager::open(name).list<long>("l").size() == 100'001);
    CHECK(cairn::inspection(m.name()).verify().problems.empty());
    builder.resume();
    CHECK(builder.join() == 0);
    CHECK(m.list<long>("big") == many());
    require_whole(m);
}

TEST_CASE("of two that build an object of one name the first to end wins, and the other gets that one") {
    const scratch_name name;
    const cairn::manager m(name, {.max_size = 1 << 30});
    child builder = stopped_builder(m, [&] { CHILD_CHECK((m.list<long>("big", many()) == longs{1, 2})); });
    CHECK(m.list<long>("big", {1, 2}) == longs{1, 2});
    const std::uint64_t beside = m.stats().used_bytes;
    builder.resume();
    CHECK(builder.join() == 0);
    CHECK(m.list<long>("big") == longs{1, 2});
    CHECK(m.stats().used_bytes < beside + (1 << 20));  // the page map stays
    require_whole(m);
}

TEST_CASE("who is late and wants another type is told so, and leaves nothing") {
    const scratch_name name;
    const cairn::manager m(name, {.max_size = 1 << 30});
    child builder = stopped_builder(m, [&] {
        try {
            static_cast<void>(m.list<long>("big", many()));
            CHILD_CHECK(false);
        } catch (const cairn::type_mismatch&) {}
    });
    static_cast<void>(m.list<std::string>("big", {"a"}));
    builder.resume();
    CHECK(builder.join() == 0);
    require_whole(m);
}

TEST_CASE("what a builder had that was killed is given back by the next one that uses the segment") {
    const scratch_name name;
    const cairn::manager m(name, {.max_size = 1 << 30});
    static_cast<void>(m.list<long>("l", {1}));
    const std::uint64_t before = used_beside_map(m);
    for (int round = 0; round < 3; ++round) {
        child builder = stopped_builder(m, [&] {
            if (round == 0) static_cast<void>(m.list<long>("big", many()));
            if (round == 1)
                static_cast<void>(m.dict<long, long>("big", [] {
                    std::vector<std::pair<long, long>> pairs;
                    for (long i = 0; i < 300'000; ++i) pairs.emplace_back(i, i);
                    return pairs;
                }()));
            if (round == 2) {
                std::vector<std::pair<long, long>> pairs;
                for (long i = 0; i < 300'000; ++i) pairs.emplace_back(i, i);
                static_cast<void>(m.sharded_dict<long, long>("big", pairs, {.shards = 4}));
            }
        });
        CHECK(used_beside_map(m) >= before);
        builder.kill();
        CHECK(builder.join() == -SIGKILL);
        CHECK_FALSE(m.contains("big"));
        CHECK(used_beside_map(m) <= before + (64 << 10));  // of control blocks
    }
    // Nobody has died in these.
    CHECK(m.list<long>("big", {1, 2, 3}).size() == 3);
    CHECK(cairn::inspection(m.name()).object("big").recovery_count == 0);
    require_whole(m);
}

TEST_CASE("a builder for whose contents there is no room leaves nothing") {
    const scratch_name name;
    const cairn::manager m(name, {.max_size = 4 << 20});
    static_cast<void>(m.list<long>("l", {1}));
    const std::uint64_t before = m.stats().used_bytes;
    for (int round = 0; round < 3; ++round) {
        CHECK_THROWS_AS(static_cast<void>(m.list<long>("big", many())), cairn::segment_full);
        CHECK_FALSE(m.contains("big"));
        CHECK(m.stats().used_bytes <= before + (64 << 10));
    }
    CHECK(m.list<long>("big", longs(20'000, 1)).size() == 20'000);
    require_whole(m);
}

TEST_CASE("a handle to a former object does not wait for the one that is being made in its place") {
    const scratch_name name;
    const cairn::manager m(name, {.max_size = 1 << 30, .lock_timeout = std::chrono::seconds(60)});
    static_cast<void>(m.list<long>("l"));
    const auto former = m.list<long>("former", {1});
    REQUIRE(m.remove("former"));
    child builder = stopped_builder(m, [&] { static_cast<void>(m.list<long>("big", many())); });
    CHECK_THROWS_AS(former.push_back(2), cairn::object_gone);
    CHECK_THROWS_AS(static_cast<void>(former.size()), cairn::object_gone);
    builder.resume();
    CHECK(builder.join() == 0);
    CHECK(m.list<long>("big") == many());
}

TEST_CASE("several objects are built at a time, and each is whole or gone") {
    const scratch_name name;
    const cairn::manager m(name, {.max_size = 1 << 30});
    std::vector<child> builders;
    for (int i = 0; i < 6; ++i)
        builders.push_back(stopped_builder(
            m, [&, i] { static_cast<void>(m.list<long>("big " + std::to_string(i), many())); }));
    for (const int i : {0, 2, 5}) {
        builders[static_cast<std::size_t>(i)].kill();
        CHECK(builders[static_cast<std::size_t>(i)].join() == -SIGKILL);
    }
    for (const int i : {3, 1, 4}) {
        builders[static_cast<std::size_t>(i)].resume();
        CHECK(builders[static_cast<std::size_t>(i)].join() == 0);
    }
    for (int i = 0; i < 6; ++i) {
        const bool is_there = i == 1 || i == 3 || i == 4;
        CHECK(m.contains("big " + std::to_string(i)) == is_there);
        if (is_there) CHECK(m.list<long>("big " + std::to_string(i)) == many());
    }
    require_whole(m);
}

}  // namespace first_contents_test

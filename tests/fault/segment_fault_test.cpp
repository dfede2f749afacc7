// segment_fault_test.cpp - segments and their objects when the system says no: at every call that it is asked.
// SPDX-License-Identifier: BSL-1.0
#include <cerrno>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include <sys/resource.h>
#include <sys/stat.h>

#include <doctest/doctest.h>

#include "os/file.hpp"
#include "support/faults.hpp"
#include "support/opened.hpp"
#include "support/scratch.hpp"
#include <cairn/cairn.hpp>
#include <cairn/inspect.hpp>

namespace segment_fault_test {

using namespace cairn_test;
using namespace cairn::literals;

namespace {
using longs = std::vector<long>;

// What is made once a process should not count as a leak.
void warm_up() {
    const scratch_name name;
    const cairn::manager m(name);
    m.list<long>("l").push_back(1);
}
}  // namespace

TEST_CASE(
    "a creation that fails at any call leaves no file, no descriptor and no mapping, and works afterwards") {
    warm_up();
    for (const bool anonymous : {false, true}) {
        const scratch_name name;
        const footprint before = take_footprint();
        std::optional<cairn::manager> m;
        const int thrown = fail_every_call(
            anonymous ? "segment" : name.get(),
            [&] { m = anonymous ? cairn::manager() : cairn::manager::create(name); },
            [&](bool threw) {
                if (!threw) {
                    m->list<long>("l").push_back(1);
                    CHECK(m->list<long>("l") == longs{1});
                    m.reset();
                }
                CHECK(take_footprint() == before);
                CHECK_FALSE(name.exists());
            });
        CHECK(thrown > 10);
    }
}

TEST_CASE("an open that fails at any call leaves nothing, and the segment is as it was") {
    warm_up();
    for (const auto mode : {cairn::open_mode::read_write, cairn::open_mode::read_only}) {
        const scratch_name name;
        gate ready;
        gate leave;
        child owner([&] {
            const cairn::manager m(name);
            m.list<long>("l", {1, 2});
            ready.open();
            leave.wait();
        });
        REQUIRE(ready.wait());
        const footprint before = take_footprint();
        std::optional<cairn::manager> m;
        const int thrown = fail_every_call(
            name.get(), [&] { m = cairn::manager::open(name, mode); },
            [&](bool threw) {
                if (!threw) {
                    CHECK(m->list<long>("l") == longs{1, 2});
                    CHECK(m->stats().process_count == (mode == cairn::open_mode::read_write ? 2 : 1));
                    m.reset();
                }
                CHECK(take_footprint() == before);
                CHECK(name.exists());
            });
        CHECK(thrown > 5);
        leave.open();
        CHECK(owner.join() == 0);
    }
}

TEST_CASE("an open_or_create that fails at any call leaves nothing or what it found") {
    warm_up();
    const scratch_name name;
    const footprint before = take_footprint();
    std::optional<cairn::manager> m;
    CHECK(fail_every_call(
              name.get(), [&] { m = cairn::manager::open_or_create(name); },
              [&](bool threw) {
                  CHECK(m.has_value() == !threw);
                  if (m) m->list<long>("l").push_back(1);
                  m.reset();
                  CHECK(take_footprint() == before);
              }) > 10);
    gate ready;
    gate leave;
    child owner([&] {
        const cairn::manager own = cairn::manager::open_or_create(name);
        own.list<long>("l", {1, 2});
        ready.open();
        leave.wait();
    });
    REQUIRE(ready.wait());
    fail_every_call(
        name.get(), [&] { m = cairn::manager::open_or_create(name); },
        [&](bool threw) {
            if (!threw) CHECK(m->list<long>("l") == longs{1, 2});
            m.reset();
            CHECK(name.exists());
        });
    leave.open();
    CHECK(owner.join() == 0);
}

TEST_CASE("an object that cannot be made leaves no trace, and one that can is whole") {
    const scratch_name name;
    const cairn::manager m(name, {.max_size = 256_MiB, .initial_size = 200'000});
    const longs contents(100'000, 7);
    const int thrown = fail_every_call(
        name.get(),
        [&] {
            // Larger each time than what is free, so that it must grow.
            static_cast<void>(
                m.list<long>("l", longs((m.stats().size_bytes - m.stats().used_bytes) / 8 + 10'000, 7)));
        },
        [&](bool threw) {
            CHECK(m.contains("l") == !threw);
            CHECK(m.stats().object_count == (threw ? 0 : 1));
            if (threw) return;
            CHECK(broken_invariant(m.list<long>("l")) == "");
            CHECK(m.remove("l"));
        });
    CHECK(thrown > 5);
}

TEST_CASE("remove and unlink that fail leave the object or the name, and work afterwards") {
    const scratch_name name;
    std::optional<cairn::manager> m(std::in_place, name, cairn::segment_options{});
    m->list<long>("l", {1, 2});
    fail_every_call(
        name.get(), [&] { static_cast<void>(m->remove("l")); },
        [&](bool threw) {
            CHECK(m->contains("l") == threw);
            static_cast<void>(m->list<long>("l", {1, 2}));
            CHECK(m->list<long>("l") == longs{1, 2});
        });
    const int thrown = fail_every_call(
        name.get(), [&] { m->unlink(); },
        [&](bool threw) {
            CHECK(name.exists() == threw);
            CHECK(m->list<long>("l") == longs{1, 2});
            if (threw) {
                // Nothing has happened: who opens it by name gets this very segment.
                CHECK(in_child(
                          [&] { CHILD_CHECK(cairn::manager::open(name).list<long>("l").size() == 2); }) == 0);
                return;
            }
            m.reset();
            m.emplace(name, cairn::segment_options{});
            m->list<long>("l", {1, 2});
        });
    CHECK(thrown > 0);
}

TEST_CASE(
    "a manager that goes while the system says no throws nothing, and nothing is left but perhaps the name") {
    warm_up();
    for (const int error : {ENOMEM, EMFILE, EPERM}) {
        for (int n = 1; n < 30; ++n) {
            const scratch_name name;
            const footprint before = take_footprint();
            std::optional<cairn::manager> m(std::in_place, name, cairn::segment_options{});
            {
                const nth_call_fails fault(n, error);
                m.reset();
            }
            footprint after = take_footprint();
            after.shm_entries = before.shm_entries;
            CHECK(after == before);
            const cairn::manager again = cairn::manager::create(name);  // replaces what may be left
            CHECK_FALSE(again.contains("l"));
        }
    }
}

TEST_CASE("beyond the limit of a file's size a segment is full, and the program is not killed by SIGXFSZ") {
    const scratch_name name;
    const int code = in_child([&] {
        const rlimit limit = {2 << 20, 2 << 20};
        CHILD_CHECK(::setrlimit(RLIMIT_FSIZE, &limit) == 0);
        const std::string text =
            thrown_by<cairn::segment_full>([] { const cairn::manager anonymous({.max_size = 64_MiB}); });
        CHILD_CHECK(contains(text, "File too large"));
        CHILD_CHECK(contains(text, "ulimit -f"));
        const cairn::manager m(name, {.max_size = 64_MiB});
        const auto l = m.list<long>("l", {1});
        const std::string grown = thrown_by<cairn::segment_full>([&] { l.reserve(1'000'000); });
        CHILD_CHECK(contains(grown, "File too large"));
        CHILD_CHECK(contains(grown, "ulimit -f"));
        CHILD_CHECK(l == longs{1});
        l.push_back(2);
        CHILD_CHECK((l == longs{1, 2}));
        CHILD_CHECK(broken_invariant(l).empty());
    });
    CHECK(code == 0);
}

namespace {
int no_room(const char* call) noexcept {
    return std::string_view(call) == "pwritev" ? ENOSPC : 0;
}
}  // namespace

TEST_CASE("a name that is taken is segment_exists also where there is no room for another segment") {
    const scratch_name name;
    const cairn::manager m(name);
    cairn::detail::os::fault.store(&no_room);
    CHECK_THROWS_AS(cairn::manager::create(name), cairn::segment_exists);
    cairn::detail::os::fault.store(nullptr);
}

namespace {
int written_of_attempt = 0;
int written_in_all = 0;
// Each attempt to grow, which begins with the page map, gets the pages of one call.
int room_for_some(const char* call) noexcept {
    if (std::string_view(call) == "fallocate") written_of_attempt = 0;
    if (std::string_view(call) != "pwritev") return 0;
    if (++written_of_attempt > 1) return ENOSPC;
    ++written_in_all;
    return 0;
}

std::uint64_t occupied_bytes(const std::string& segment) {
    struct stat status = {};
    const std::string path = cairn::detail::os::shm_directory() + "/cairn." + segment;
    REQUIRE(::stat(path.c_str(), &status) == 0);
    return static_cast<std::uint64_t>(status.st_blocks) * 512;
}
}  // namespace

TEST_CASE("a growth that gets a part of its pages gives them back") {
    const scratch_name name;
    const cairn::manager m(name, {.max_size = 64_MiB, .initial_size = 200'000});
    const auto l = m.list<long>("l", {1, 2, 3});
    const std::uint64_t before = occupied_bytes(name.get());
    const std::uint64_t size_before = m.stats().size_bytes;
    const auto beyond = [&] {  // what is backed, and not known to the segment
        return static_cast<std::int64_t>(occupied_bytes(name.get()) - m.stats().size_bytes);
    };
    const std::int64_t usual = beyond();
    cairn::detail::os::fault.store(&room_for_some);
    // Less than 2 MiB: more is asked for in all, before the segment grows.
    CHECK_THROWS_AS(l.reserve(100'000), cairn::segment_full);
    cairn::detail::os::fault.store(nullptr);
    CHECK(written_in_all > 0);  // what fits one call was had, and has gone back
    CHECK(m.stats().size_bytes == size_before);
    CHECK(beyond() <= usual + 8192);  // entries of the page map stay backed
    CHECK(l == longs{1, 2, 3});
    l.reserve(100'000);
    CHECK(occupied_bytes(name.get()) >= before + 800'000);
    CHECK(broken_invariant(l).empty());
}

namespace {
int no_boot_id(const char* call) noexcept {
    return std::string_view(call) == "boot_id" ? EMFILE : 0;
}
}  // namespace

TEST_CASE(
    "where the system's id cannot be read a segment is neither made, opened nor judged, and is left alone") {
    const scratch_name fresh;
    const scratch_name name;
    gate ready;
    gate leave;
    child owner([&] {
        const cairn::manager m(name);
        ready.open();
        leave.wait();
    });
    REQUIRE(ready.wait());
    const footprint before = take_footprint();
    cairn::detail::os::fault.store(&no_boot_id);
    const std::vector<std::string> texts = {
        thrown_by<cairn::system_failure>([] { const cairn::manager anonymous; }),
        thrown_by<cairn::system_failure>([&] { cairn::manager::create(fresh); }),
        thrown_by<cairn::system_failure>([&] { cairn::manager::open_or_create(fresh); }),
        thrown_by<cairn::refused>([&] { cairn::manager::open(name); }),
        thrown_by<cairn::refused>([&] { cairn::manager::open_or_create(name); }),
        thrown_by<cairn::system_failure>([&] { const cairn::inspection look(name.get()); }),
        thrown_by<cairn::refused>([&] { cairn::collect_segment(cairn::locate_segment(name.get())); }),
        thrown_by<cairn::refused>([&] { cairn::remove_segment(cairn::locate_segment(name.get())); }),
    };
    cairn::detail::os::fault.store(nullptr);
    for (const std::string& text : texts) {
        CHECK(contains(text, "/proc/sys/kernel/random/boot_id cannot be read: Too many open files"));
        CHECK(contains(text, "`ulimit -n`"));
    }
    CHECK(take_footprint() == before);
    CHECK_FALSE(fresh.exists());
    CHECK(name.exists());
    CHECK(cairn::inspection(name.get()).facts().is_of_this_boot);
    leave.open();
    CHECK(owner.join() == 0);
}

}  // namespace segment_fault_test

// manager_nth_call_test.cpp - each operation of a manager, with each call that it makes to the system failing in turn, and
// with no descriptor left at all. Creating and opening segments: segment_fault_test.cpp.
//
// SPDX-License-Identifier: BSL-1.0
#include <functional>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include <fcntl.h>
#include <sys/resource.h>
#include <unistd.h>

#include <doctest/doctest.h>

#include "support/crash/segment_audit.hpp"
#include "support/faults.hpp"
#include "support/opened.hpp"
#include "support/sanitizers.hpp"
#include "support/scratch.hpp"
#include "support/values.hpp"
#include <cairn/cairn.hpp>

namespace manager_nth_call_test {

using namespace cairn_test;
using namespace cairn::literals;

namespace {

using longs = std::vector<long>;
using strings = std::vector<std::string>;

// Pages in use that are not the segment's own; at rest, and when every invariant of the segment holds.
std::uint32_t pages_of_objects(const cairn::manager& m) {
    const auto probe = m.list<char>("probe");
    const opened_list<char> inside(probe);
    CHECK(m.remove("probe"));
    CHECK(audit_segment(inside.in()) == "");
    return count_pages(inside.in()).of_objects();
}

// No further descriptor for this process.
void use_up_descriptors() {
    const int lowest_free = ::dup(0);
    ::close(lowest_free);
    const rlimit none = {.rlim_cur = static_cast<rlim_t>(lowest_free),
                         .rlim_max = static_cast<rlim_t>(lowest_free)};
    CHILD_CHECK(::setrlimit(RLIMIT_NOFILE, &none) == 0);
    CHILD_CHECK(::dup(0) < 0);
}

}  // namespace

TEST_CASE("a manager finds and tells what there is, whatever the system says") {
    const scratch_name name;
    const cairn::manager m(name);
    const auto l = m.list<long>("l", {1, 2});
    m.list<std::string>("s", {"a"});
    const footprint usual = take_footprint();
    // Each says whether it came out as without a fault. No CHECK in them: it would catch what is thrown.
    const std::vector<std::pair<std::string, std::function<bool()>>> operations = {
        {"find",
         [&] {
             return m.find<cairn::list<long>>("l").value() == longs{1, 2};
         }},
        {"find nothing", [&] { return !m.find<cairn::list<long>>("nothing"); }},
        {"find or create",
         [&] {
             return m.list<long>("l", {9}) == longs{1, 2};
         }},
        {"contains", [&] { return m.contains("l") && !m.contains("nothing"); }},
        {"objects", [&] { return m.objects().size() == 2; }},
        {"stats", [&] { return m.stats().object_count == 2 && m.stats().process_count == 1; }},
        {"trim",
         [&] {
             m.trim();
             return audit_segment(opened_list<long>(l).in()).empty();
         }},
        {"the manager of a handle", [&] { return l.manager().name() == name.get(); }},
        {"copies", [&] { return cairn::manager(m).contains("l"); }},
    };
    for (const auto& [what, operation] : operations) {
        CAPTURE(what);
        bool came_out = false;
        const int thrown = fail_every_call(
            name.get(), [&, &operation = operation] { came_out = operation(); },
            [&](bool) {
                CHECK(came_out);
                CHECK(take_footprint() == usual);
                CHECK(l == longs{1, 2});
            });
        CHECK(thrown == 0);
    }
}

TEST_CASE_TEMPLATE("a new object whose n-th call fails is not there, and takes no memory; else it is whole",
                   T, long, std::string) {
    const scratch_name name;
    // For each attempt a segment that has hardly a page, so that it must grow.
    std::optional<cairn::manager> m;
    const auto afresh = [&] {
        m.reset();
        m.emplace(std::string_view(name),
                  cairn::segment_options{.max_size = 256_MiB, .initial_size = 150'000});
        m->list<long>("other", {1, 2});
    };
    std::vector<T> contents;
    for (std::uint64_t i = 0; i < 12'000; ++i) contents.push_back(value_of<T>::make(i));
    afresh();
    const std::uint32_t used = pages_of_objects(*m);
    const footprint usual = take_footprint();
    const int thrown = fail_every_call(
        name.get(), [&] { static_cast<void>(m->list<T>("l", contents)); },
        [&](bool threw) {
            CHECK(take_footprint() == usual);
            CHECK(m->contains("l") == !threw);
            if (threw) {
                CHECK(m->stats().object_count == 1);
                CHECK(pages_of_objects(*m) == used);
            }
            CHECK(m->list<long>("other") == longs{1, 2});
            const auto now = m->list<T>("l", contents);
            CHECK(now == contents);
            CHECK(broken_invariant(now) == "");
            afresh();
        });
    CHECK(thrown > 0);
}

TEST_CASE("removing an object needs nothing from the system, and its memory is free at once") {
    const scratch_name name;
    const cairn::manager m(name);
    const strings contents(3000, std::string(100, 'x'));
    m.list<std::string>("l", contents);
    CHECK(m.remove("l"));
    const std::uint32_t used = pages_of_objects(m);
    m.list<std::string>("l", contents);
    CHECK(pages_of_objects(m) > used);
    const int thrown = fail_every_call(
        name.get(), [&] { static_cast<void>(m.remove("l")); },
        [&](bool) {
            CHECK_FALSE(m.contains("l"));
            CHECK(pages_of_objects(m) == used);
            m.list<std::string>("l", contents);
        });
    CHECK(thrown == 0);
}

TEST_CASE(
    "without a descriptor left, segments cannot be made or opened, and those that are open work and grow") {
    const scratch_name open_one;
    const scratch_name other;
    const scratch_name fresh;
    const cairn::manager m(open_one);
    gate leave;
    gate ready;
    child owner([&] {
        const cairn::manager keeps(other);
        ready.open();
        leave.wait();
    });
    REQUIRE(ready.wait());
    CHECK(in_child([&] {
              const auto l = m.list<long>("l");
              use_up_descriptors();
              const auto refused = [](const std::string& who, const std::function<void()>& operation) {
                  const std::string text = thrown_by<cairn::system_failure>(operation);
                  CHILD_CHECK(contains(text, who));
                  CHILD_CHECK(contains(text, "Too many open files"));
              };
              refused("segment", [] { const cairn::manager anonymous; });
              refused(fresh.get(), [&] { cairn::manager::create(fresh); });
              refused(fresh.get(), [&] { cairn::manager::open_or_create(fresh); });
              refused(other.get(), [&] { cairn::manager::open(other); });
              refused(other.get(), [&] { cairn::manager::open(other, cairn::open_mode::read_only); });
              CHILD_CHECK(!fresh.exists());
              const std::uint64_t size = m.stats().size_bytes;
              l.extend(longs(1'000'000, 3));
              CHILD_CHECK(m.stats().size_bytes > size);
              m.list<long>("another").push_back(1);
              CHILD_CHECK(m.remove("another"));
              CHILD_CHECK(broken_invariant(l).empty());
          }) == 0);
    leave.open();
    CHECK(owner.join() == 0);
    CHECK(m.list<long>("l").size() == 1'000'000);
}

TEST_CASE("a child that is forked when no descriptor is left is refused, and harms nobody") {
    if (has_address_sanitizer) {
        MESSAGE("skipped: the sanitizer itself needs a descriptor");
        return;
    }
    const cairn::manager m;
    const auto l = m.list<long>("l");
    CHECK(in_child([&] {
              use_up_descriptors();
              CHILD_CHECK(in_child([&] {
                              // It cannot find out who it is.
                              const std::string said = thrown_by<cairn::refused>([&] { l.push_back(1); });
                              CHILD_CHECK(contains(said, "refused in this forked process"));
                          }) == 0);
              l.push_back(2);
          }) == 0);
    CHECK(l == longs{2});
    CHECK(broken_invariant(l) == "");
}

}  // namespace manager_nth_call_test

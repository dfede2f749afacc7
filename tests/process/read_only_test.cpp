// read_only_test.cpp - a process that may only read, beside writers that live, that die, and that are stopped.
// SPDX-License-Identifier: BSL-1.0
#include <chrono>
#include <csignal>
#include <string>
#include <vector>

#include <unistd.h>

#include <doctest/doctest.h>

#include "segment/name_table.hpp"
#include "support/opened.hpp"
#include "support/scratch.hpp"
#include "support/values.hpp"
#include <cairn/manager.hpp>

namespace read_only_test {

using namespace cairn_test;
using namespace cairn::detail;

namespace {
using longs = std::vector<long>;
}

TEST_CASE_TEMPLATE("a read-only process sees whole values beside a writer that hardly rests", T, small_struct,
                   large_struct, std::string) {
    using V = value_of<T>;
    const scratch_name name;
    const cairn::manager m(name);
    const auto l = m.list<T>("l");
    for (std::uint64_t i = 0; i < 40; ++i) l.push_back(V::make(i));
    child writer([&] {
        for (std::uint64_t i = 0;; ++i) {
            l.set(i % 8, V::make(i));
            if (i % 16 == 3) l.insert(i % 8, V::make(i));
            if (i % 16 == 4) l.erase(i % 8);
            if (i % 64 == 0) l.sort();
            if (i % 16 == 5) ::usleep(20);  // who may not lock cannot ask for a pause
        }
    });
    child reader([&] {
        const cairn::manager r = cairn::manager::open(name, cairn::open_mode::read_only);
        const auto seen = r.list<T>("l");
        const auto end = std::chrono::steady_clock::now() + std::chrono::milliseconds(400);
        while (std::chrono::steady_clock::now() < end) {
            for (std::size_t i = 0; i < 30; ++i) CHILD_CHECK(V::is_whole(seen.at(i)));
            const std::vector<T> all = seen.snapshot();
            CHILD_CHECK(all.size() == 40 || all.size() == 41);
            for (const T& value : all) CHILD_CHECK(V::is_whole(value));
        }
    });
    CHECK(reader.join() == 0);
}

TEST_CASE("a read-only process beside a writer that died in the middle sees the state before, and changes "
          "nothing") {
    const scratch_name name;
    const cairn::manager m(name);
    const auto l = m.list<long>("l", {1, 2, 3});
    const auto strings = m.list<std::string>("s", {"one", "a string that needs a block of its own"});
    const opened_list<long> inside(l);
    const opened_list<std::string> inside_strings(strings);
    CHECK(in_child([&] {
              root_transaction tx(inside.in(), inside.slot(), inside.generation());
              tx.begin_change();
              for (std::uint64_t i = 0; i < 3; ++i)
                  tx.store(*reinterpret_cast<std::uint64_t*>(element_at(tx, inside.node_ref(), i)), 99);
              tx.store(inside.node_ref().size, 1);
              ::_exit(0);
          }) == 0);
    CHECK(in_child([&] {
              root_transaction tx(inside_strings.in(), inside_strings.slot(), inside_strings.generation());
              tx.begin_change();
              drop_last(tx, inside_strings.node_ref());
              static_cast<void>(allocate(tx, 100'000));
              ::_exit(0);
          }) == 0);
    const std::uint64_t version = inside.slot().version;
    CHECK(version % 2 == 1);
    const footprint before = take_footprint();
    CHECK(in_child([&] {
              const cairn::manager r = cairn::manager::open(name, cairn::open_mode::read_only);
              const auto seen = r.list<long>("l");
              CHILD_CHECK(seen.size() == 3);
              CHILD_CHECK(seen.at(2) == 3);
              CHILD_CHECK(seen == longs({1, 2, 3}));
              CHILD_CHECK(r.list<std::string>("s").back() == "a string that needs a block of its own");
              CHILD_CHECK(r.list<std::string>("s").size() == 2);
              const footprint first = take_footprint();
              for (int i = 0; i < 100; ++i) CHILD_CHECK(seen.size() == 3);
              CHILD_CHECK(take_footprint() == first);
          }) == 0);
    CHECK(take_footprint() == before);
    CHECK(inside.slot().version == version);
    CHECK(inside.slot().recovery_count == 0);
    CHECK(l == longs{1, 2, 3});  // now somebody who may write repairs it
    CHECK(inside.slot().recovery_count == 1);
    CHECK(broken_invariant(strings) != "");
    strings.push_back("x");
    CHECK(broken_invariant(strings) == "");
}

TEST_CASE("a read-only process gives up on a writer that is stopped in the middle, and says who it is") {
    const scratch_name name;
    const cairn::manager m(name);
    const auto l = m.list<long>("l", {1, 2, 3});
    const opened_list<long> inside(l);
    child stopped([&] {
        root_transaction tx(inside.in(), inside.slot(), inside.generation());
        tx.begin_change();
        ::raise(SIGSTOP);
    });
    stopped.wait_until_stopped();
    CHECK(in_child([&] {
              const cairn::manager r = cairn::manager::open(name, cairn::open_mode::read_only);
              const auto seen = r.list<long>("l");
              const std::string text =
                  thrown_by<cairn::timeout_error>([&] { static_cast<void>(seen.size()); });
              CHILD_CHECK(contains(text, "list 'l' in segment '" + name.get()));
              CHILD_CHECK(contains(text, std::to_string(stopped.pid())));
          }) == 0);
    stopped.resume();
    CHECK(stopped.join() == 0);
    CHECK(in_child([&] {
              CHILD_CHECK(cairn::manager::open(name, cairn::open_mode::read_only).list<long>("l").size() ==
                          3);
          }) == 0);
}

TEST_CASE("a read-only process finds what is there, and nothing else, while the directory never rests") {
    const scratch_name name;
    const cairn::manager m(name);
    constexpr int standing = 200;
    const auto name_of = [](int i) { return "there " + std::to_string(i); };
    for (int i = 0; i < standing; ++i) static_cast<void>(m.list<long>(name_of(i), {i}));
    child writer([&] {
        name_table_haste = most_name_buckets;  // each new object divides a bucket
        for (long i = 0;; ++i) {
            static_cast<void>(m.list<long>("l" + std::to_string(i)));
            if (i >= 20) m.remove("l" + std::to_string(i - 20));
        }
    });
    child reader([&] {
        const cairn::manager r = cairn::manager::open(name, cairn::open_mode::read_only);
        for (int i = 0; i < 20'000; ++i) {
            CHILD_CHECK(r.contains(name_of(i % standing)));
            CHILD_CHECK(!r.contains("never there"));
        }
        CHILD_CHECK(r.list<long>(name_of(7)).at(0) == 7);
    });
    CHECK(reader.join() == 0);
    writer.kill();
    CHECK(writer.join() == -SIGKILL);
    // Also when the last writer has died in the middle.
    child late([&] {
        const cairn::manager r = cairn::manager::open(name, cairn::open_mode::read_only);
        for (int i = 0; i < standing; ++i) CHILD_CHECK(r.contains(name_of(i)));
        CHILD_CHECK(!r.contains("never there"));
    });
    CHECK(late.join() == 0);
}

}  // namespace read_only_test

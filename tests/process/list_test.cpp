// list_test.cpp - several processes on one list.
// SPDX-License-Identifier: BSL-1.0
#include <chrono>
#include <csignal>
#include <cstdint>
#include <string>
#include <thread>
#include <vector>

#include <doctest/doctest.h>

#include "support/opened.hpp"
#include "support/scratch.hpp"
#include "support/values.hpp"
#include <cairn/manager.hpp>

namespace list_test {

using namespace cairn_test;

TEST_CASE_TEMPLATE(
    "processes that do everything at once to one list leave it whole, and no reader sees half a value", T,
    long, small_struct, large_struct, std::string, std::vector<int>) {
    using V = value_of<T>;
    const cairn::manager m;
    const auto l = m.list<T>("l");
    for (std::uint64_t i = 0; i < 64; ++i) l.push_back(V::make(i));
    const std::size_t count = scaled(6000);
    const auto try_it = [](const auto& operation) {
        try {
            operation();
        } catch (const cairn::index_error&) {
        } catch (const cairn::invalid_argument&) {}
    };
    std::vector<child> all;
    for (std::uint64_t w = 0; w < 3; ++w) {
        all.emplace_back([&, w] {
            for (std::uint64_t i = w * 1'000'000; i < w * 1'000'000 + count; ++i) {
                try_it([&] {
                    switch (i % 13) {
                        case 0:
                        case 1: l.push_back(V::make(i)); break;
                        case 2: l.insert(i % 8, V::make(i)); break;
                        case 3: static_cast<void>(l.pop()); break;
                        case 4: static_cast<void>(l.pop(i % 5)); break;
                        case 5: l.set(i % 16, V::make(i)); break;
                        case 6: l.update(i % 16, [&](T& v) { v = V::make(i); }); break;
                        case 7: l.erase(i % 3, i % 3 + 2); break;
                        case 8: l.extend(std::vector<T>{V::make(i), V::make(i + 1), V::make(i + 2)}); break;
                        case 9: l.sort(); break;
                        case 10: l.reverse(); break;
                        case 11: l.remove(l.at(i % 7)); break;
                        default:
                            if (i % 39 == 12) l.clear();
                            break;
                    }
                });
            }
        });
    }
    for (int r = 0; r < 2; ++r) {
        all.emplace_back([&] {
            for (std::size_t i = 0; i < count / 4; ++i) {
                for (const T& value : l.snapshot()) CHILD_CHECK(V::is_whole(value));
                for (const T& value : l) CHILD_CHECK(V::is_whole(value));
                try_it([&] { CHILD_CHECK(V::is_whole(l.at(i % 9))); });
                try_it([&] { CHILD_CHECK(V::is_whole(l.back())); });
            }
        });
    }
    for (child& c : all) CHECK(c.join() == 0);
    for (const T& value : l.snapshot()) CHECK(V::is_whole(value));
    CHECK(broken_invariant(l) == "");
}

TEST_CASE("what an operation has returned is there for every other process at once") {
    const cairn::manager m;
    const auto l = m.list<std::string>("l");
    gate to_child;
    gate to_parent;
    child echo([&] {
        for (std::size_t i = 0; i < 200; ++i) {
            CHILD_CHECK(to_child.wait());
            CHILD_CHECK(l.size() == 2 * i + 1);
            CHILD_CHECK(l.back() == "ping " + std::to_string(i));
            l.push_back("pong " + std::to_string(i));
            to_parent.open();
        }
    });
    for (std::size_t i = 0; i < 200; ++i) {
        l.push_back("ping " + std::to_string(i));
        to_child.open();
        REQUIRE(to_parent.wait());
        REQUIRE(l.back() == "pong " + std::to_string(i));
    }
    CHECK(echo.join() == 0);
}

// Clean under ThreadSanitizer, too, which does not see who inherits a lock: see thread_sanitizer.hpp.
TEST_CASE(
    "threads asleep on a lock whose holder is killed get it one after another, each after the others' work") {
    constexpr std::size_t thread_count = 4;
    const cairn::manager m;
    const auto l = m.list<std::string>("l", {"first"});
    child holder([&] { l.update(0, [](std::string&) { ::raise(SIGSTOP); }); });
    holder.wait_until_stopped();
    {
        std::vector<std::jthread> threads;
        for (std::size_t t = 0; t < thread_count; ++t)
            threads.emplace_back([&, t] { l.push_back("from thread " + std::to_string(t)); });
        std::this_thread::sleep_for(std::chrono::milliseconds(50));  // asleep by now, as a rule
        CHECK(l.size() == 1);
        holder.kill();
    }
    CHECK(holder.join() == -SIGKILL);
    CHECK(l.size() == 1 + thread_count);
    for (std::size_t t = 0; t < thread_count; ++t) CHECK(l.contains("from thread " + std::to_string(t)));
    CHECK(broken_invariant(l) == "");
}

}  // namespace list_test

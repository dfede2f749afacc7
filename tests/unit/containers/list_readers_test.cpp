// list_readers_test.cpp - threads that read without the lock beside threads that write: no value is ever half of one
// and half of another, no snapshot shows a state that never was. Run under ThreadSanitizer, too.
//
// SPDX-License-Identifier: BSL-1.0
#include <atomic>
#include <chrono>
#include <functional>
#include <string>
#include <thread>
#include <vector>

#include <doctest/doctest.h>

#include "support/opened.hpp"
#include "support/scratch.hpp"
#include "support/values.hpp"
#include <cairn/manager.hpp>

namespace list_readers_test {

using namespace cairn_test;
using namespace std::chrono_literals;

namespace {

constexpr auto how_long = 250ms;

// Writers run for a while, readers until they are done; every exception fails the test.
void run_beside(std::vector<std::function<void(std::uint64_t)>> writers,
                const std::vector<std::function<void()>>& readers) {
    std::atomic<bool> done{false};
    std::atomic<int> failures{0};
    std::atomic<std::size_t> reads{0};
    const auto guarded = [&](const auto& body) {
        try {
            body();
        } catch (const std::exception& e) {
            if (failures++ == 0) MESSAGE("thrown: ", e.what());
            done = true;
        }
    };
    {
        std::vector<std::jthread> threads;
        for (const auto& reader : readers) {
            threads.emplace_back([&, reader] {
                guarded([&] {
                    do {
                        reader();
                        ++reads;
                    } while (!done);
                });
            });
        }
        const auto end = std::chrono::steady_clock::now() + how_long;
        std::vector<std::jthread> busy;
        for (std::size_t w = 0; w < writers.size(); ++w) {
            busy.emplace_back([&, w] {
                guarded([&] {
                    for (std::uint64_t n = 0; !done && std::chrono::steady_clock::now() < end; ++n)
                        writers[w](n * writers.size() + w);
                });
            });
        }
        busy.clear();
        done = true;
    }
    CHECK(failures == 0);
    CHECK(reads > 0);
}

}  // namespace

TEST_CASE_TEMPLATE("readers never see a torn element beside writers that set, insert, erase, sort and clear",
                   T, small_struct, large_struct, blob_struct, std::string, std::vector<int>) {
    using V = value_of<T>;
    const cairn::manager m;
    const auto l = m.list<T>("l");
    for (std::uint64_t i = 0; i < 50; ++i) l.push_back(V::make(i));
    std::atomic<int> torn{0};
    const auto look = [&](const T& value) {
        if (!V::is_whole(value)) ++torn;
    };
    const auto write = [&](std::uint64_t n) {
        try {
            switch (n % 11) {
                case 0:
                case 1:
                case 2: l.set(n % 20, V::make(n)); break;
                case 3: l.insert(n % 10, V::make(n)); break;
                case 4: l.erase(n % 10); break;
                case 5: l.push_back(V::make(n)); break;
                case 6: l.pop(); break;
                case 7: l.sort(); break;
                case 8: l.reverse(); break;
                case 9: l.update(n % 20, [&](T& value) { value = V::make(n + 1); }); break;
                case 10:
                    if (n % 55 != 10) break;
                    l.clear();
                    for (std::uint64_t i = 0; i < 50; ++i) l.push_back(V::make(i + n));
                    break;
                default: break;
            }
        } catch (const cairn::index_error&) {  // the other writer was faster
        }
    };
    run_beside({write, write}, {[&] {
                                    try {
                                        for (std::size_t i = 0; i < 30; ++i) look(l.at(i));
                                    } catch (const cairn::index_error&) {}
                                },
                                [&] {
                                    for (const T& value : l.snapshot()) look(value);
                                    for (const T& value : l) look(value);
                                    l.for_each(look);
                                }});
    CHECK(torn == 0);
    CHECK(broken_invariant(l) == "");
}

TEST_CASE(
    "a snapshot is one moment: of two words that are set one after the other the second is never ahead") {
    const cairn::manager m;
    const auto l = m.list<long>("l");
    for (long i = 0; i < 200; ++i) l.push_back(0);
    std::atomic<int> impossible{0};
    run_beside({[&](std::uint64_t n) {
                   l.set(0, static_cast<long>(n));
                   l.set(199, static_cast<long>(n));
               }},
               {[&] {
                   const std::vector<long> s = l.snapshot();
                   if (s[199] > s[0]) ++impossible;
               }});
    CHECK(impossible == 0);
}

TEST_CASE("remove never takes an element that another thread has just set to another value") {
    const cairn::manager m;
    const auto l = m.list<long>("l");
    std::atomic<int> wrong{0};
    std::atomic<bool> done{false};
    std::jthread remover([&] {
        while (!done) {
            try {
                l.remove(5);
            } catch (const cairn::invalid_argument&) {  // just now there is none
            }
        }
    });
    const auto end = std::chrono::steady_clock::now() + how_long;
    while (std::chrono::steady_clock::now() < end) {
        l.clear();
        l.extend({1, 0});
        long last = 0;
        try {
            for (int i = 0; i < 1000; ++i) {
                l.set(1, 5);
                last = 5;
                l.set(1, 7);
                last = 7;
            }
        } catch (const cairn::index_error&) {  // removed, so it was what was set last
            if (last != 5) ++wrong;
        }
    }
    done = true;
    remover.join();
    CHECK(wrong == 0);
}

TEST_CASE("threads that append at the same time lose nothing and keep their own order") {
    constexpr int thread_count = 4;
    const long count = static_cast<long>(scaled(20'000));
    const cairn::manager m;
    const auto l = m.list<long>("l");
    {
        std::vector<std::jthread> threads;
        for (long t = 0; t < thread_count; ++t) {
            threads.emplace_back([&, t] {
                for (long i = 0; i < count; ++i) l.push_back(t * count + i);
            });
        }
    }
    std::vector<long> next(thread_count, 0);
    for (const long value : l.snapshot()) {
        const auto t = static_cast<std::size_t>(value / count);
        REQUIRE(value % count == next[t]);
        ++next[t];
    }
    for (const long n : next) CHECK(n == count);
}

TEST_CASE("an element that was appended is whole for whoever sees the size") {
    const cairn::manager m;
    const auto l = m.list<small_struct>("l");
    std::atomic<int> torn{0};
    run_beside({[&](std::uint64_t n) { l.push_back(value_of<small_struct>::make(n)); }}, {[&] {
                   const std::size_t size = l.size();
                   if (size == 0) return;
                   if (l.at(size - 1) != value_of<small_struct>::make(size - 1)) ++torn;
                   if (l.back().words[0] + 1 < size) ++torn;
               }});
    CHECK(torn == 0);
}

TEST_CASE("compound assignment through a proxy loses nothing beside other threads") {
    const cairn::manager m;
    const auto l = m.list<long>("l", {0});
    const long count = static_cast<long>(scaled(20'000));
    {
        std::vector<std::jthread> threads;
        for (int t = 0; t < 4; ++t) {
            threads.emplace_back([&, t] {
                for (long i = 0; i < count; ++i) {
                    if (t % 2 == 0) ++l[0];
                    else l[0] += 2;
                }
            });
        }
    }
    CHECK(l.at(0) == 6 * count);
}

TEST_CASE("an iteration beside a writer sees every element once that is there all the time") {
    const cairn::manager m;
    const auto l = m.list<long>("l");
    for (long i = 0; i < 1000; ++i) l.push_back(i);
    std::atomic<int> wrong{0};
    run_beside({[&](std::uint64_t) {
                   l.push_back(5000);
                   l.push_back(5001);
                   l.pop();
                   l.pop();
               }},
               {[&] {
                   long expected = 0;
                   for (const long value : l) {
                       if (value >= 5000) continue;
                       if (value != expected++) ++wrong;
                   }
                   if (expected != 1000) ++wrong;
               }});
    CHECK(wrong == 0);
}

}  // namespace list_readers_test

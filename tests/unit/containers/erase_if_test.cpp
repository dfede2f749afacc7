// erase_if_test.cpp - erase_if() of each container: what it removes when others change it meanwhile, and in how much time.
// SPDX-License-Identifier: BSL-1.0
#include <algorithm>
#include <cerrno>
#include <chrono>
#include <random>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

#include <doctest/doctest.h>

#include "os/fault.hpp"
#include "support/brittle.hpp"
#include "support/crowding.hpp"
#include "support/opened.hpp"
#include "support/opened_dict.hpp"
#include "support/scratch.hpp"
#include "support/values.hpp"
#include <cairn/cairn.hpp>

namespace erase_if_test {

using namespace cairn_test;
using longs = std::vector<long>;

TEST_CASE_TEMPLATE("erase_if of a list does what it does to a vector, for any pattern", T, char, long,
                   large_struct, std::string, std::vector<int>) {
    const cairn::manager m(cairn::segment_options{.max_size = 256 << 20});
    const auto l = m.list<T>("l");
    std::mt19937 random(7);
    for (const std::size_t count : {0U, 1U, 5U, 64U, 65U, 130U, 700U, 3000U}) {
        for (const unsigned percent : {0U, 1U, 50U, 97U, 100U}) {
            CAPTURE(count);
            CAPTURE(percent);
            std::vector<T> model;
            std::vector<bool> goes;
            for (std::size_t i = 0; i < count; ++i) {
                model.push_back(value_of<T>::make(i % 97 + 1));
                goes.push_back(random() % 100 < percent);
            }
            l.clear();
            l.extend(model);
            std::size_t at = 0;
            const std::size_t erased = erase_if(l, [&](const T&) { return bool{goes[at++]}; });
            at = 0;
            std::erase_if(model, [&](const T&) { return bool{goes[at++]}; });
            CHECK(erased == count - model.size());
            CHECK(l.snapshot() == model);
            CHECK(broken_invariant(l) == "");
            l.push_back(value_of<T>::make(7));
            CHECK(l.size() == model.size() + 1);
        }
    }
}

TEST_CASE("erase_if of every other of a million takes about as long as of one of them") {
    const cairn::manager m(cairn::segment_options{.max_size = 256 << 20});
    const auto count = static_cast<long>(scaled(1'000'000));
    longs all;
    for (long i = 0; i < count; ++i) all.push_back(i);
    const auto seconds = [&](auto predicate) {
        const auto l = m.list<long>("l");
        l.clear();
        l.extend(all);
        const auto begin = std::chrono::steady_clock::now();
        erase_if(l, predicate);
        return std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
    };
    const double one = seconds([](long each) { return each == 0; });
    const double half = seconds([](long each) { return each % 2 == 1; });
    // Quadratic, it is some thousand times as long.
    CHECK(half < 100 * one + 1);
}

TEST_CASE("erase_if of a list judges anew what others have changed, and only that") {
    const cairn::manager m;
    const auto l = m.list<long>("l");
    for (long i = 0; i < 1000; ++i) l.push_back(i);
    std::size_t judged = 0;
    const std::size_t erased = erase_if(l, [&](long each) {
        if (++judged == 900) {
            l.set(10, 5001);    // as another process might: matches now
            l.set(11, 5000);    // matches no more
            l.push_back(5003);  // not looked at
        }
        return each % 2 == 1;
    });
    CHECK(judged == 1002 + 1);  // with what was appended, since the list has changed otherwise, too
    CHECK(erased == 501);
    CHECK(!l.contains(5001));
    CHECK(l.contains(5000));
    CHECK(!l.contains(5003));
    CHECK(l.size() == 500);
}

TEST_CASE("erase_if and remove of a list end beside a writer that leaves no time between two looks") {
    const cairn::manager m;
    const auto l = m.list<brittle>("l");
    for (int i = 0; i < 50; ++i) l.push_back({std::to_string(i)});
    const auto elsewhere = [](auto change) { std::thread(change).join(); };
    const opened_list<brittle> open(l);
    int changes = 0;
    const auto is_locked = [&] { return cairn::detail::inspect(open.slot().lock).thread_id != 0; };
    const auto disturb = [&] {
        if (!is_locked()) elsewhere([&] { l.set(3, {"new" + std::to_string(++changes)}); });
    };
    CHECK(erase_if(l, [&](const brittle& each) {
              disturb();
              return each.text == "7";
          }) == 1);
    CHECK(l.size() == 49);
    {
        const while_decoding others(disturb);
        l.remove({"20"});
    }
    CHECK(l.size() == 48);
    CHECK(!l.contains({"20"}));
    CHECK(broken_invariant(l) == "");
}

TEST_CASE("a predicate that throws has erased nothing from a list") {
    const cairn::manager m;
    const auto l = m.list<long>("l", {1, 2, 3, 4});
    const auto throws = [](long each) -> bool {
        if (each == 4) throw std::runtime_error("not this");
        return true;
    };
    CHECK_THROWS_AS(erase_if(l, throws), std::runtime_error);
    CHECK(l == longs{1, 2, 3, 4});
}

TEST_CASE("erase_if of a list without room for its bits leaves it as it was; neighbours and few need none") {
    const cairn::manager m(cairn::segment_options{.max_size = 512 << 10});
    const auto l = m.list<long>("l");
    for (long i = 0; i < 9000; ++i) l.push_back(i);
    use_up_memory([&] { m.list<std::string>("small").push_back(std::string(1000, 'x')); });
    use_up_pages(m.list<char>("filler"));
    cairn::detail::os::fault.store([](const char* /*call*/) noexcept { return ENOSPC; });
    const longs before = l.snapshot();
    CHECK_THROWS_AS(erase_if(l, [](long each) { return each % 2 == 1; }), cairn::segment_full);
    CHECK(l == before);
    CHECK(broken_invariant(l) == "");
    CHECK(erase_if(l, [](long each) { return each >= 100 && each < 8000; }) == 7900);
    CHECK(erase_if(l, [](long each) { return each < 64 && each % 2 == 1; }) == 32);
    cairn::detail::os::fault.store(nullptr);
    CHECK(l.size() == 1068);
    CHECK(broken_invariant(l) == "");
}

namespace {

// erase_if of what is expired, beside a renewal that is acknowledged after the judgement.
template <typename D>
void renew_while_erasing(const D& d) {
    for (long i = 0; i < 20; ++i) d.set(i, 1);
    CHECK(erase_if(d, [&](long key, long expires) {
              if (key == 7 && expires == 1) d.set(7, 100);
              if (key == 8) {
                  d.erase(8);
                  d.set(8, expires);
              }
              return expires < 10;
          }) == 18);
    CHECK(d.get(7) == 100);
    CHECK(d.get(8) == 1);
    CHECK(d.size() == 2);
}

}  // namespace

TEST_CASE("erase_if of a dict leaves what was set or inserted again since it was judged") {
    const cairn::manager m;
    renew_while_erasing(m.dict<long, long>("d"));
    renew_while_erasing(m.sharded_dict<long, long>("s"));
    const auto texts = m.dict<std::string, std::string>("texts", {{"a", "old"}, {"b", "old"}});
    CHECK(erase_if(texts, [&](const std::string& key, const std::string& value) {
              if (key == "a" && value == "old") texts.set("a", std::string(100, 'n'));
              return value == "old";
          }) == 1);
    CHECK(texts.snapshot().front().second == std::string(100, 'n'));
}

TEST_CASE("erase_if of a set leaves what was removed and added again since it was judged") {
    const cairn::manager m;
    const auto s = m.set<std::string>("s", {"a", "b", "c"});
    CHECK(erase_if(s, [&](const std::string& each) {
              if (each == "b") {
                  s.remove("b");
                  CHECK(s.add("b"));
              }
              return true;
          }) == 2);
    CHECK(s == std::vector<std::string>{"b"});
}

TEST_CASE("erase_if of a dict ends beside a writer that sets the value before every look") {
    const cairn::manager m;
    const auto d = m.dict<long, long>("d", {{1, 0}, {2, 0}});
    long value = 0;
    std::size_t judged = 0;
    std::size_t refused = 0;
    CHECK(erase_if(d, [&](long key, long) {
              ++judged;
              try {
                  if (key == 1) d.set(1, ++value);
              } catch (const cairn::would_deadlock&) {
                  ++refused;  // in the end it is judged under the lock
              }
              return true;
          }) == 2);
    CHECK(judged == 6);
    CHECK(refused == 1);
    CHECK(d.empty());
}

}  // namespace erase_if_test

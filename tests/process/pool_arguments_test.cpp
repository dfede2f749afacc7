// pool_arguments_test.cpp - handles of Cairn's objects as arguments of tasks.
// SPDX-License-Identifier: BSL-1.0
#include <chrono>
#include <string>
#include <vector>

#include <doctest/doctest.h>

#include "support/patience.hpp"
#include "support/scratch.hpp"
#include <cairn/cairn.hpp>

namespace pool_arguments_test {

using namespace cairn_test;
using namespace std::chrono_literals;

namespace {

const auto watchdog = patiently(20s);

void append(cairn::list<long> to, long x) {
    to.push_back(x);
}

}  // namespace

TEST_CASE("a handle of any container is an argument of a task") {
    const cairn::manager m;
    const auto l = m.list<long>("l");
    const auto d = m.dict<std::string, long>("d");
    const auto parts = m.sharded_dict<std::string, long>("parts");
    const auto s = m.set<long>("s");
    const auto q = m.queue<long>("q");
    const auto stack = m.lifo_queue<long>("stack");
    const auto heap = m.priority_queue<long>("heap");
    const auto ring = m.channel<long>("ring", 4);
    cairn::process_pool_executor ex(2);
    ex.submit(
          [](cairn::list<long> to_l, const cairn::dict<std::string, long>& to_d,
             cairn::sharded_dict<std::string, long> to_parts, cairn::set<long> to_s, long x) {
              to_l.push_back(x);
              to_d["a"] = x;
              to_parts["b"] = x;
              to_s.insert(x);
          },
          l, d, parts, s, 5L)
        .result(watchdog);
    ex.submit(
          [](cairn::queue<long> to_q, cairn::lifo_queue<long> to_stack, cairn::priority_queue<long> to_heap,
             cairn::channel<long> to_ring) {
              to_q.put(1);
              to_stack.put(2);
              to_heap.put(3);
              to_ring.put(4);
          },
          q, stack, heap, ring)
        .result(watchdog);
    CHECK(l.snapshot() == std::vector<long>{5});
    CHECK(d["a"] == 5);
    CHECK(parts["b"] == 5);
    CHECK(s.contains(5));
    CHECK(q.get() == 1);
    CHECK(stack.get() == 2);
    CHECK(heap.get() == 3);
    CHECK(ring.get() == 4);
}

TEST_CASE("an object without a name, or made after the pool in a segment of before, is an argument, too") {
    const cairn::manager m;
    cairn::pool pool(2);
    const auto nameless = m.list<long>();
    for (long i = 0; i < 10; ++i) pool.apply(append, nameless, i);
    CHECK(nameless.size() == 10);
}

TEST_CASE("a segment that was made after the pool is opened by its name; one without is refused") {
    cairn::process_pool_executor ex(1);
    const scratch_name named;
    const cairn::manager later(named.get());
    const auto l = later.list<long>("l");
    ex.submit(append, l, 1L).result(watchdog);
    ex.submit(append, l, 2L).result(watchdog);
    CHECK(l.snapshot() == std::vector<long>{1, 2});
    const cairn::manager anonymous;
    const auto f = ex.submit(append, anonymous.list<long>("l"), 1L);
    try {
        f.result(watchdog);
        FAIL("it was not refused");
    } catch (const cairn::refused& e) {
        CHECK(std::string(e.what()).find("list 'l'") != std::string::npos);
    }
    ex.submit(append, l, 3L).result(watchdog);
}

TEST_CASE("an object that was removed before the task begins is gone for it, also where there is another of "
          "its name") {
    const cairn::manager m;
    cairn::process_pool_executor ex(1);
    const auto waits = ex.submit([](cairn::queue<long> go) { return go.get(); }, m.queue<long>("go"));
    const auto l = m.list<long>("l");
    const auto f = ex.submit(append, l, 1L);
    m.remove("l");
    const auto again = m.list<long>("l");
    const auto g = ex.submit(append, again, 2L);
    m.queue<long>("go").put(7);
    CHECK(waits.result(watchdog) == 7);
    CHECK_THROWS_AS(f.result(watchdog), cairn::object_gone);
    g.result(watchdog);
    CHECK(again.snapshot() == std::vector<long>{2});
}

}  // namespace pool_arguments_test

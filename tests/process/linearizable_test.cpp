// linearizable_test.cpp - threads and processes at one object see what one caller after the other could have seen.
// SPDX-License-Identifier: BSL-1.0
#include "support/linearizable.hpp"

#include <vector>

#include <doctest/doctest.h>

#include "dict_specification.hpp"
#include "linearizable_rounds.hpp"
#include "list_specification.hpp"
#include "queue_specification.hpp"
#include <cairn/manager.hpp>

namespace linearizable_test {

using namespace cairn_test;

namespace {

using call = list_specification::call;
using operation = list_specification::operation;
using event = timed<operation>;
using lists = linearizability<list_specification>;

event returned(std::uint64_t from, std::uint64_t to, call what, std::size_t index, long value, long result) {
    return {from, to, {.what = what, .index = index, .value = value, .is_known = true, .result = result}};
}

bool explains(const std::vector<event>& history, const std::vector<long>& initial = {}) {
    return lists::holds(history, initial);
}

}  // namespace

TEST_CASE("a history is linearizable when some order of its operations explains every result") {
    CHECK(explains({}));
    CHECK(explains({returned(1, 4, call::push_back, 0, 7, 0), returned(2, 3, call::size, 0, 0, 0)}));
    CHECK(explains({returned(1, 4, call::push_back, 0, 7, 0), returned(2, 3, call::size, 0, 0, 1)}));
    // Two appends at once, in either order, but in the same one for all who look.
    const event a = returned(1, 10, call::push_back, 0, 1, 0);
    const event b = returned(2, 11, call::push_back, 0, 2, 0);
    CHECK(explains({a, b, returned(12, 13, call::get, 0, 0, 1), returned(14, 15, call::get, 1, 0, 2)}));
    CHECK(explains({a, b, returned(12, 13, call::get, 0, 0, 2), returned(14, 15, call::get, 1, 0, 1)}));
    CHECK_FALSE(explains({a, b, returned(12, 13, call::get, 0, 0, 1), returned(14, 15, call::get, 0, 0, 2)}));
}

TEST_CASE("a history that no order explains is rejected") {
    // A reader that misses what was acknowledged before it came.
    CHECK_FALSE(explains({returned(1, 2, call::push_back, 0, 7, 0), returned(3, 4, call::size, 0, 0, 0)}));
    // An element that two have got.
    CHECK_FALSE(explains({returned(1, 4, call::pop, 0, 0, 7), returned(2, 3, call::pop, 0, 0, 7)}, {5, 7}));
    // An update that is lost.
    CHECK_FALSE(explains({returned(1, 4, call::add, 0, 1, 5), returned(2, 3, call::add, 0, 1, 5)}, {5}));
    CHECK(explains({returned(1, 4, call::add, 0, 1, 5), returned(2, 3, call::add, 0, 1, 6)}, {5}));
    // A change that one has seen and another, later, has not.
    CHECK_FALSE(explains({returned(1, 9, call::set, 0, 8, 0), returned(2, 3, call::get, 0, 0, 8),
                          returned(4, 5, call::get, 0, 0, 5)},
                         {5}));
    // A refusal in a list that was never that short.
    event refused = returned(1, 2, call::pop, 0, 0, 0);
    refused.what.is_refused = true;
    CHECK_FALSE(explains({refused}, {5}));
    CHECK(explains({refused}));
}

TEST_CASE("an operation whose process was killed has happened at some time, or never") {
    const event killed = {1, never_returned, {.what = call::push_back, .value = 7}};
    CHECK(explains({killed, returned(2, 3, call::size, 0, 0, 0)}));
    CHECK(explains({killed, returned(2, 3, call::size, 0, 0, 1)}));
    CHECK(explains({killed, returned(2, 3, call::size, 0, 0, 0), returned(4, 5, call::size, 0, 0, 1)}));
    CHECK_FALSE(explains({killed, returned(2, 3, call::size, 0, 0, 1), returned(4, 5, call::size, 0, 0, 0)}));
    CHECK_FALSE(explains({killed, returned(2, 3, call::size, 0, 0, 2)}));
}

TEST_CASE("what threads see of a list is linearizable") {
    const cairn::manager m;
    linearizable_rounds<list_specification>(m.list<long>("l")).run_threads();
}

TEST_CASE("what processes see of a list is linearizable") {
    const cairn::manager m;
    linearizable_rounds<list_specification>(m.list<long>("l")).run_processes();
}

TEST_CASE("what threads see of a dict is linearizable, its order, too") {
    const cairn::manager m;
    linearizable_rounds<dict_specification>(m.dict<long, long>("d")).run_threads();
}

TEST_CASE("what processes see of a dict is linearizable, its order, too") {
    const cairn::manager m;
    linearizable_rounds<dict_specification>(m.dict<long, long>("d")).run_processes();
}

TEST_CASE_TEMPLATE("what threads see of a bounded queue is linearizable, its counts, too", Q,
                   cairn::queue<long>, cairn::lifo_queue<long>, cairn::priority_queue<long>) {
    using specification = queue_specification<Q>;
    const cairn::manager m;
    linearizable_rounds<specification>(queue_kind<Q>::open(m, "q", {.maxsize = specification::maxsize}))
        .run_threads();
}

TEST_CASE_TEMPLATE("what processes see of a bounded queue is linearizable, its counts, too", Q,
                   cairn::queue<long>, cairn::lifo_queue<long>, cairn::priority_queue<long>) {
    using specification = queue_specification<Q>;
    const cairn::manager m;
    linearizable_rounds<specification>(queue_kind<Q>::open(m, "q", {.maxsize = specification::maxsize}))
        .run_processes();
}

}  // namespace linearizable_test

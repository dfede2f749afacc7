// model_kill_test.cpp - containers against their models, with kills: among_victims.hpp. The seed is printed when something
// does not hold; RC_PARAMS=seed=... repeats the operations and the instructions. Optimised: a victim dies after a number of
// instructions, and would seldom come as far as the commit without.
//
// SPDX-License-Identifier: BSL-1.0
#include <string>

#include <doctest/doctest.h>

#include "crash/among_victims.hpp"
#include "support/dict_model.hpp"
#include "support/list_model.hpp"
#include "support/queue_model.hpp"

using namespace cairn_test;

TEST_CASE_TEMPLATE("a list whose writers are killed again and again does what a vector does, or nothing", T,
                   long, large_struct, std::string) {
    check_model_with_kills<pair_of_lists<T>>("list as vector", &steps,
                                             [](const step& s) { return s.kind < first_reading_kind; });
}

namespace {

template <typename K, typename V>
void check_with_kills() {
    check_model_with_kills<dict_and_model<K, V>>("dict as vector of pairs", &dict_steps,
                                                 [](const step& s) { return s.kind != several_operations; });
}

}  // namespace

TEST_CASE("a dict of words whose writers are killed again and again does what its model does, or nothing") {
    check_with_kills<long, long>();
}
TEST_CASE("a dict of strings whose writers are killed again and again does what its model does, or nothing") {
    check_with_kills<std::string, std::string>();
}

TEST_CASE_TEMPLATE("a queue whose users are killed again and again does what its model does, or nothing", Q,
                   cairn::queue<long>, cairn::queue<std::string>, cairn::lifo_queue<std::string>,
                   cairn::priority_queue<long>) {
    check_model_with_kills<queue_and_model<Q>>(
        std::string(queue_kind<Q>::word) + " of " + Q::type_name(), &queue_steps,
        [](const step& s) { return s.kind < first_of_several_operations; });
}

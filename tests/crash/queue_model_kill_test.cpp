// queue_model_kill_test.cpp - queues of each kind against their model, with kills: among_victims.hpp. The seed is printed
// when something does not hold; RC_PARAMS=seed=... repeats the operations and the instructions.
//
// SPDX-License-Identifier: BSL-1.0
#include <string>

#include <doctest/doctest.h>

#include "crash/among_victims.hpp"
#include "support/queue_model.hpp"

using namespace cairn_test;

TEST_CASE_TEMPLATE("a queue whose users are killed again and again does what its model does, or nothing", Q,
                   cairn::queue<long>, cairn::queue<std::string>, cairn::lifo_queue<std::string>,
                   cairn::priority_queue<long>) {
    check_model_with_kills<queue_and_model<Q>>(
        std::string(queue_kind<Q>::word) + " of " + Q::type_name(), &queue_steps,
        [](const step& s) { return s.kind < first_of_several_operations; });
}

// queue_model_test.cpp - queues of each kind against vectors of their items, by random operations. The seed is printed;
// RC_PARAMS=seed=... repeats a run.
//
// SPDX-License-Identifier: BSL-1.0
#include "support/queue_model.hpp"

#include <string>

#include <doctest/doctest.h>
#include <rapidcheck.h>

#include "support/scratch.hpp"
#include "support/shared_models.hpp"

namespace queue_model_test {

using namespace cairn_test;

namespace {

constexpr int rc_steps = 60;  // sequences for each type; tools/dev stress runs more by RC_PARAMS

}  // namespace

TEST_CASE_TEMPLATE("a queue does what a vector of its items does, whatever the operations", Q,
                   cairn::queue<long>, cairn::queue<std::string>, cairn::queue<large_struct>,
                   cairn::lifo_queue<long>, cairn::lifo_queue<std::string>, cairn::priority_queue<long>,
                   cairn::priority_queue<std::string>) {
    CHECK(holds_for_random_steps("queue as vector", static_cast<int>(scaled(rc_steps)), [] {
        const cairn::manager m;
        queue_and_model<Q> both(queue_and_model<Q>::open(m));
        for (const step& s : *queue_steps()) {
            both.run(s);
            both.compare();
        }
        // What the tests with kills rely on.
        const cairn::manager other;
        const Q made = queue_and_model<Q>::open(other);
        queue_and_model<Q>::make(made, both.model());
        RC_ASSERT(queue_and_model<Q>::look(made) == both.model());
    }));
}

}  // namespace queue_model_test

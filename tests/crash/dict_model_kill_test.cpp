// dict_model_kill_test.cpp - dicts against their model, with kills: among_victims.hpp. The seed is printed when something
// does not hold; RC_PARAMS=seed=... repeats the operations and the instructions.
//
// SPDX-License-Identifier: BSL-1.0
#include <string>

#include <doctest/doctest.h>

#include "crash/among_victims.hpp"
#include "support/dict_model.hpp"

using namespace cairn_test;

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

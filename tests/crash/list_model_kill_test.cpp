// list_model_kill_test.cpp - lists against std::vector, with kills: among_victims.hpp. The seed is printed when something
// does not hold; RC_PARAMS=seed=... repeats the operations and the instructions.
//
// SPDX-License-Identifier: BSL-1.0
#include <string>

#include <doctest/doctest.h>

#include "crash/among_victims.hpp"
#include "support/list_model.hpp"

using namespace cairn_test;

TEST_CASE_TEMPLATE("a list whose writers are killed again and again does what a vector does, or nothing", T,
                   long, large_struct, std::string) {
    check_model_with_kills<pair_of_lists<T>>("list as vector", &steps,
                                             [](const step& s) { return s.kind < first_reading_kind; });
}

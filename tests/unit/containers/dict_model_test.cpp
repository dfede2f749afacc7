// dict_model_test.cpp - dict<K, V> against a vector of pairs in order of insertion, by random operations.
// SPDX-License-Identifier: BSL-1.0
#include "support/dict_model.hpp"

#include <string>

#include <doctest/doctest.h>
#include <rapidcheck.h>

#include "support/shared_models.hpp"

namespace dict_model_test {

using namespace cairn_test;

namespace {

template <typename K, typename V>
void check_model() {
    CHECK(rc::check([] {
        const auto steps = *dict_steps();
        const cairn::manager m;
        dict_and_model<K, V> pair(m.dict<K, V>("d"));
        for (const step& s : steps) {
            pair.run(s);
            pair.compare();
        }
    }));
}

}  // namespace

TEST_CASE("dict of words is what a vector of pairs is") {
    check_model<long, long>();
}
TEST_CASE("dict of strings is what a vector of pairs is") {
    check_model<std::string, std::string>();
}
TEST_CASE("dict of words and strings is what a vector of pairs is") {
    check_model<long, std::string>();
}

}  // namespace dict_model_test

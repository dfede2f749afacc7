// tuple_elements_test.cpp - arrays, tuples and pairs, which docs/element-types.md names, in every container.
// SPDX-License-Identifier: BSL-1.0
#include <array>
#include <string>
#include <tuple>
#include <utility>

#include "unit/containers/every_container.hpp"

namespace tuple_elements_test {

using namespace cairn_test;

TEST_CASE("arrays, tuples and pairs are elements and keys in every container") {
    use_in_every_container<std::array<bool, 3>, usable_as::key>({true, false, true}, {});
    use_in_every_container<std::tuple<bool, std::string>, usable_as::key>({true, "a"}, {false, "a"});
    use_in_every_container<std::pair<int, double>, usable_as::key>({1, 2.5}, {2, 2.5});
}

}  // namespace tuple_elements_test

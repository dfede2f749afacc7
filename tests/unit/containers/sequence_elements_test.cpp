// sequence_elements_test.cpp - strings and vectors, which docs/element-types.md names, in every container.
// SPDX-License-Identifier: BSL-1.0
#include <string>
#include <vector>

#include "unit/containers/every_container.hpp"

namespace sequence_elements_test {

using namespace cairn_test;

TEST_CASE("strings are elements and keys in every container") {
    use_in_every_container<std::string, usable_as::key>("short", std::string(300, 'x'));
}

TEST_CASE("vectors, of bools, too, are elements and keys in every container") {
    use_in_every_container<std::vector<int>, usable_as::key>({1, 2, 3}, std::vector<int>(100, 4));
    use_in_every_container<std::vector<bool>, usable_as::key>({true, false, true}, {});
    use_in_every_container<std::vector<std::string>>({"a", ""}, {std::string(300, 'x')});
}

}  // namespace sequence_elements_test

// coded_elements_test.cpp - element types that docs/element-types.md names and that are stored field by field or by a codec of
// the user's, in every container. Those of other libraries: tests/unit/codec.
//
// SPDX-License-Identifier: BSL-1.0
#include <string>

#include "support/brittle.hpp"
#include "support/structs.hpp"
#include "unit/containers/every_container.hpp"

namespace coded_elements_test {

using namespace cairn_test;

TEST_CASE("structs that are stored field by field are elements in every container") {
    use_in_every_container<tagged_job>(tagged(), untagged());
}

TEST_CASE("types with a codec of their own are elements and keys in every container") {
    use_in_every_container<brittle, usable_as::key>({"a"}, {std::string(5000, 'b')});
}

}  // namespace coded_elements_test

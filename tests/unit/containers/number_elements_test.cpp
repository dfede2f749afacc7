// number_elements_test.cpp - element types that docs/element-types.md names and that keep their bytes, in every container.
// SPDX-License-Identifier: BSL-1.0
#include <array>
#include <cstdint>
#include <limits>
#include <string>

#include "support/structs.hpp"
#include "support/values.hpp"
#include "unit/containers/every_container.hpp"

namespace number_elements_test {

using namespace cairn_test;

namespace {

enum class colour : std::uint8_t { red = 1, blue = 200 };

}  // namespace

TEST_CASE(
    "bools are elements and keys like any other type, though a std::vector<bool> has no objects of them") {
    use_in_every_container<bool, usable_as::key>(true, false);
    use_in_every_container<bool, usable_as::key>(false, true);
}

TEST_CASE("integers are elements and keys in every container") {
    use_in_every_container<std::int64_t, usable_as::key>(std::numeric_limits<std::int64_t>::min(), 7);
    use_in_every_container<std::uint8_t, usable_as::key>(0, 255);
}

TEST_CASE("floating-point numbers are elements and keys in every container") {
    use_in_every_container<double, usable_as::key>(-0.0, 2.5);
}

TEST_CASE("enumerations are elements and keys in every container") {
    use_in_every_container<colour, usable_as::key>(colour::blue, colour::red);
}

TEST_CASE(
    "structs that keep their bytes are elements in every container, those with CAIRN_FIELDS also keys") {
    use_in_every_container<blob_struct>(value_of<blob_struct>::make(3), value_of<blob_struct>::make(4));
    use_in_every_container<plain_job, usable_as::key>({1, 2.5, "a"}, {2, 2.5, "b"});
}

}  // namespace number_elements_test

// choice_elements_test.cpp - optionals, variants and maps, which docs/element-types.md names, in every container.
// SPDX-License-Identifier: BSL-1.0
#include <map>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "unit/containers/every_container.hpp"

namespace choice_elements_test {

using namespace cairn_test;

TEST_CASE("optionals, variants and std::monostate are elements and keys in every container") {
    use_in_every_container<std::optional<bool>, usable_as::key>(std::nullopt, false);
    use_in_every_container<std::variant<std::monostate, bool, std::string>, usable_as::key>(true, "text");
    use_in_every_container<std::monostate, usable_as::key>({}, {});
}

TEST_CASE("maps are elements and keys in every container") {
    use_in_every_container<std::map<bool, std::vector<bool>>, usable_as::key>({{true, {true, false}}},
                                                                              {{false, {}}, {true, {}}});
}

}  // namespace choice_elements_test

// token_values.hpp - values that tell the token they were made from, whole.
// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <cstdint>
#include <cstdlib>
#include <string>
#include <type_traits>
#include <vector>

#include "support/storm/storm.hpp"
#include "support/values.hpp"

namespace cairn_test {

/// Throws storm_failure when it is not the whole value of any token.
template <typename T>
token token_in(const T& value) {
    token t = 0;
    if constexpr (std::is_same_v<T, std::string>) t = std::strtoull(value.c_str(), nullptr, 10);
    else if constexpr (std::is_integral_v<T>) t = static_cast<token>(value);
    else t = value.words[0];
    if (value != value_of<T>::make(t)) throw storm_failure("half a value: of token " + std::to_string(t));
    return t;
}

template <typename T>
std::vector<T> values_from(token first, std::uint64_t count) {
    std::vector<T> values;
    for (std::uint64_t i = 0; i < count; ++i) values.push_back(value_of<T>::make(first + i));
    return values;
}

template <typename Object>
storm_row row_of(const std::string& name) {
    return {name, [name](const cairn::manager& m, unsigned object) {
                return std::make_unique<Object>(m, name, object);
            }};
}

}  // namespace cairn_test

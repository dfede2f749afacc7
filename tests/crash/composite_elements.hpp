// composite_elements.hpp - element types of the crash table that are made of others (composite_rows.cpp).
// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "crash/elements.hpp"

namespace cairn_test {

using maybe_text = std::optional<std::string>;
using texts = std::vector<std::string>;
using numbered_text = std::pair<int, std::string>;

template <>
struct element<maybe_text> : elements<maybe_text> {
    static maybe_text make(std::size_t i) {
        return i % 4 == 2 ? maybe_text() : maybe_text(element<std::string>::make(i));
    }
};
template <>
struct element<texts> : elements<texts> {
    static texts make(std::size_t i) { return element<std::string>::some(i % 4, i); }
};
template <>
struct element<numbered_text> : elements<numbered_text> {
    static numbered_text make(std::size_t i) {
        return {static_cast<int>(i), element<std::string>::make(i / 2)};
    }
};

}  // namespace cairn_test

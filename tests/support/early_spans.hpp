// early_spans.hpp - arenas that have spans while they are small, so that tests which look at every byte of them stay quick.
// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <cstdint>

#include "arena/spans.hpp"

namespace cairn_test {

class early_spans {
public:
    early_spans() noexcept { cairn::detail::most_loose_pages = 16; }
    early_spans(const early_spans&) = delete;
    early_spans& operator=(const early_spans&) = delete;
    ~early_spans() { cairn::detail::most_loose_pages = before_; }

private:
    std::uint64_t before_ = cairn::detail::most_loose_pages;
};

}  // namespace cairn_test

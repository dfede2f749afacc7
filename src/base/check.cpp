// SPDX-License-Identifier: BSL-1.0
#include "cairn/detail/base/check.hpp"

#include <cstdio>
#include <cstdlib>

namespace cairn::inline CAIRN_ABI::detail {

void check_failed(const char* what, const char* file, int line) noexcept {
    std::fprintf(stderr, "cairn: internal error: %s (%s:%d)\n", what, file, line);
    std::abort();
}

}  // namespace cairn::inline CAIRN_ABI::detail

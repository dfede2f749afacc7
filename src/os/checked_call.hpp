// checked_call.hpp - system calls that say -1 and errno: the fault hook is asked first, EINTR is tried again.
// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <cerrno>
#include <system_error>
#include <utility>

#include "os/fault.hpp"
#include "os/uncancellable.hpp"
#include "os/unique_fd.hpp"
#include <cairn/detail/base/export.hpp>

namespace cairn::inline CAIRN_ABI::detail::os {

inline std::error_code from_errno(int error) noexcept {
    return {error, std::generic_category()};
}

// Runs a call that returns -1 and sets errno. `name` is what the fault hook knows it by.
template <typename Call>
auto checked_call(const char* name, Call call) noexcept -> decltype(call()) {
    const uncancellable in_one_piece;
    for (;;) {
        if (const int error = injected_fault(name); error != 0) {
            if (error == EINTR) continue;
            errno = error;
            return -1;
        }
        const auto result = call();
        if (result >= 0 || errno != EINTR) return result;
    }
}

// What checked_call returned, as an error code.
inline std::error_code outcome(long result) noexcept {
    return result < 0 ? from_errno(errno) : std::error_code{};
}

// The descriptor that checked_call returned, away from the numbers of the standard streams.
inline std::error_code take_over(long opened, unique_fd& fd) noexcept {
    if (opened < 0) return outcome(opened);
    unique_fd kept = above_standard(static_cast<int>(opened));
    if (!kept.valid()) return from_errno(errno);
    fd = std::move(kept);
    return {};
}

}  // namespace cairn::inline CAIRN_ABI::detail::os

// never_destroyed.hpp - a static object that is there before any code runs, and for whatever runs last.
//
// A static object of a function is made at its first use, behind a guard: a child that another thread forks at that moment
// would find the guard locked for ever. Declared `constinit`, this one needs none (tests/api/check_fork_safety.py).
//
// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <cairn/detail/base/export.hpp>

namespace cairn::inline CAIRN_ABI::detail {

template <typename T>
class never_destroyed {
public:
    template <typename... Args>
    constexpr explicit never_destroyed(Args... args) : value_(args...) {}
    never_destroyed(const never_destroyed&) = delete;
    never_destroyed& operator=(const never_destroyed&) = delete;
    // NOLINTNEXTLINE(modernize-use-equals-default): would be deleted
    constexpr ~never_destroyed() {}

    [[nodiscard]] T& get() noexcept { return value_; }

private:
    union {
        T value_;
    };
};

}  // namespace cairn::inline CAIRN_ABI::detail

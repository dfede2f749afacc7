// outcome.hpp - what came of one call: its value, or the exception that ended it.
// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <cairn/detail/base/language.hpp>

#include <exception>
#include <type_traits>
#include <utility>
#include <variant>

#include <cairn/detail/base/export.hpp>

namespace cairn::inline CAIRN_ABI {

/// Of pool::map(..., {.collect = outcomes}): one for each item.
/// Safety  as a value of T
template <typename T>
class [[nodiscard]] outcome {
    using stored = std::conditional_t<std::is_void_v<T>, std::monostate, T>;

public:
    outcome(stored value) : held_(std::in_place_index<0>, std::move(value)) {}  // NOLINT: from what it holds
    outcome(std::exception_ptr error) : held_(std::in_place_index<1>, std::move(error)) {}  // NOLINT

    [[nodiscard]] bool has_value() const noexcept { return held_.index() == 0; }
    explicit operator bool() const noexcept { return has_value(); }
    /// @throws the exception, if it ended by one
    stored& value() & {
        demand_value();
        return std::get<0>(held_);
    }
    const stored& value() const& {
        demand_value();
        return std::get<0>(held_);
    }
    stored&& value() && {
        demand_value();
        return std::get<0>(std::move(held_));
    }
    /// Null if there is a value.
    [[nodiscard]] std::exception_ptr error() const noexcept {
        return has_value() ? std::exception_ptr() : *std::get_if<1>(&held_);
    }

private:
    void demand_value() const {
        if (!has_value()) std::rethrow_exception(*std::get_if<1>(&held_));
    }

    std::variant<stored, std::exception_ptr> held_;
};

}  // namespace cairn::inline CAIRN_ABI

// call.hpp - the parts of a task that depend on types: what it calls, and where its result goes.
// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <cstddef>
#include <memory>
#include <new>
#include <optional>
#include <tuple>
#include <type_traits>
#include <utility>

#include <cairn/detail/base/export.hpp>
#include <cairn/detail/executors/local_state.hpp>

namespace cairn::inline CAIRN_ABI::detail {

/// A task with room for its result.
template <typename T>
class value_state : public local_state {
public:
    ~value_state() override {
        if (has_value_) std::launder(reinterpret_cast<T*>(room_))->~T();
    }

protected:
    value_state() noexcept = default;

    template <typename Call>
    void keep_result_of(Call&& call) {
        ::new (static_cast<void*>(room_)) T(std::forward<Call>(call)());
        has_value_ = true;
    }

private:
    [[nodiscard]] void* value() final { return room_; }

    alignas(T) std::byte room_[sizeof(T)];
    bool has_value_ =
        false;  // also where the future has settled otherwise meanwhile: it is destroyed all the same
};

template <>
class value_state<void> : public local_state {
protected:
    template <typename Call>
    void keep_result_of(Call&& call) {
        static_cast<void>(std::forward<Call>(call)());
    }
};

/// How a task calls its callable: once, with what it holds moved in (as std::thread does), or again and again.
enum class calls { once, repeatedly };

template <typename T, calls How, typename Fn, typename... Args>
class call_state final : public value_state<T> {
public:
    template <typename OtherFn, typename... OtherArgs>
    explicit call_state(std::in_place_t /*tag*/, OtherFn&& fn, OtherArgs&&... args)
        : call_(std::in_place, std::forward<OtherFn>(fn),
                std::tuple<Args...>(std::forward<OtherArgs>(args)...)) {}

private:
    struct bound {
        Fn fn;
        std::tuple<Args...> args;
        template <typename OtherFn>
        bound(OtherFn&& other_fn, std::tuple<Args...>&& other_args)
            : fn(std::forward<OtherFn>(other_fn)), args(std::move(other_args)) {}
    };

    // std::apply calls pointers to members, too.
    void invoke() override {
        this->keep_result_of([this]() -> decltype(auto) {
            if constexpr (How == calls::once) return std::apply(std::move(call_->fn), std::move(call_->args));
            else return std::apply(call_->fn, call_->args);
        });
    }
    void drop_call() noexcept override { call_.reset(); }
    [[nodiscard]] bool is_repeatable() const noexcept override { return How == calls::repeatedly; }

    std::optional<bound> call_;
};

}  // namespace cairn::inline CAIRN_ABI::detail

// task.hpp - what a child shall run, in a form that the compiled part of cairn::process can take.
// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <functional>
#include <tuple>
#include <type_traits>
#include <utility>

#include <cairn/detail/base/export.hpp>
#include <cairn/detail/base/standard.hpp>

namespace cairn::inline CAIRN_ABI::detail {

/// A callable somewhere on the caller's stack, and the function that invokes it. Valid during the call that gets it:
/// the child never returns from that call, so it needs nothing that lives longer.
struct process_task {
    void (*run)(void* callable);
    void* callable;
};

/// Decayed copies of a callable and its arguments, as std::thread makes them. The child invokes them as rvalues.
template <typename Fn, typename... Args>
class bound_call {
public:
    template <typename OtherFn, typename... OtherArgs>
    explicit bound_call(std::in_place_t, OtherFn&& fn, OtherArgs&&... args)
        : parts_(std::forward<OtherFn>(fn), std::forward<OtherArgs>(args)...) {}

    process_task task() noexcept { return {&run, this}; }

private:
    static void run(void* self) {
        // The result, if any, is ignored: an exit code is said with exit().
        std::apply(
            [](auto&&... parts) { static_cast<void>(call_with(std::forward<decltype(parts)>(parts)...)); },
            std::move(static_cast<bound_call*>(self)->parts_));
    }

    std::tuple<Fn, Args...> parts_;
};

}  // namespace cairn::inline CAIRN_ABI::detail

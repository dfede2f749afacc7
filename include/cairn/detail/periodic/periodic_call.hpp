// periodic_call.hpp - what a periodic_worker calls, and its clock's function: the parts that depend on types.
// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <tuple>
#include <type_traits>
#include <utility>

#include <cairn/detail/base/deadline.hpp>
#include <cairn/detail/base/export.hpp>
#include <cairn/detail/base/standard.hpp>
#include <cairn/detail/base/time_limit.hpp>
#include <cairn/detail/executors/local_state.hpp>
#include <cairn/detail/pool/remote_call.hpp>

namespace cairn::inline CAIRN_ABI {

class never_again;

namespace detail {

class periodic_core;
class clock_source;
class manual_time;
struct periodic_work;

class CAIRN_API periodic_call {
public:
    periodic_call(const periodic_call&) = delete;
    periodic_call& operator=(const periodic_call&) = delete;
    virtual ~periodic_call();
    /// True: it has returned never_again.
    virtual bool run() = 0;

    /// Whether it can be called by a worker process.
    [[nodiscard]] virtual bool travels() const noexcept = 0;
    /// One call, for the workers of a process pool; of remote_state<remote_run_report>. Only of what travels.
    [[nodiscard]] virtual task_ptr make_remote_task() const = 0;

protected:
    periodic_call() noexcept = default;
};

template <typename Result>
bool says_never_again(const Result& result) noexcept {
    if constexpr (std::is_same_v<Result, never_again>) return true;
    else if constexpr (std::is_same_v<Result, std::optional<never_again>>) return result.has_value();
    else return false;
}

/// What a worker process says of a run.
struct remote_run_report {
    std::int64_t started = 0;  // nanoseconds of the steady clock, which processes have in common
    std::int64_t finished = 0;
    std::int64_t is_last = 0;  // it said never_again
};

/// Calls Fn there. Empty where Fn is.
template <typename Fn, typename... Args>
struct remote_periodic {
    [[no_unique_address]] Fn fn;

    // never_again, which is incomplete here
    using last = std::conditional_t<std::is_object_v<Fn>, never_again, Fn>;

    remote_run_report operator()(Args... args) {
        remote_run_report report;
        report.started = ticking();
        try {
            using result = std::remove_cvref_t<std::invoke_result_t<Fn&, Args&...>>;
            if constexpr (std::is_void_v<result>) call_with(fn, args...);
            else report.is_last = says_never_again<result>(call_with(fn, args...)) ? 1 : 0;
        } catch (const last&) {
            report.is_last = 1;
        }
        report.finished = ticking();
        return report;
    }
    static std::int64_t ticking() noexcept {
        return std::chrono::nanoseconds(std::chrono::steady_clock::now().time_since_epoch()).count();
    }
};

template <typename T>
constexpr bool is_travelling_argument() {
    if constexpr (handle_type<T>) return requires { sizeof(handle_address<T>); };
    else return !std::is_pointer_v<T> && !std::is_member_pointer_v<T> && has_codec<T>;
}

template <typename Fn, typename... Args>
constexpr bool is_travelling_call() {
    if constexpr ((is_code_address<Fn> || is_without_state<Fn> || is_by_value<Fn>::value) &&
                  (is_travelling_argument<travelling<Args>>() && ...))
        return std::is_invocable_v<Fn&, travelling<Args>&...>;
    else return false;
}

template <typename Fn, typename... Args>
class periodic_call_of final : public periodic_call {
public:
    template <typename OtherFn, typename... OtherArgs>
    explicit periodic_call_of(OtherFn&& fn, OtherArgs&&... args)
        : fn_(std::forward<OtherFn>(fn)), args_(std::forward<OtherArgs>(args)...) {}

    bool run() override {
        using result = std::remove_cvref_t<std::invoke_result_t<Fn&, Args&...>>;
        if constexpr (std::is_void_v<result>) {
            std::apply(fn_, args_);
            return false;
        } else {
            return says_never_again<result>(std::apply(fn_, args_));
        }
    }
    [[nodiscard]] bool travels() const noexcept override { return is_travelling_call<Fn, Args...>(); }
    [[nodiscard]] task_ptr make_remote_task() const override {
        if constexpr (is_travelling_call<Fn, Args...>()) {
            using function = remote_periodic<Fn, travelling<Args>...>;
            const function remote{fn_};
            input_writer<function, travelling<Args>...> input(remote);
            std::apply([&](const auto&... args) { input.add(travelling<Args>(args)...); }, args_);
            return task_ptr(new remote_state<remote_run_report>(
                remote_part(&remote_entry<remote_run_report, function, travelling<Args>...>::run,
                            address_of_code(fn_), std::move(input).take(), 1)));
        } else {
            return {};
        }
    }

private:
    Fn fn_;
    std::tuple<Args...> args_;
};

/// Null pointers, and what is made from one and says whether it has a target (std::function).
template <typename Fn>
bool is_empty_callable([[maybe_unused]] const Fn& fn) noexcept {
    using function = std::decay_t<Fn>;
    constexpr bool is_pointer =
        (std::is_pointer_v<function> && !std::is_function_v<Fn>) || std::is_member_pointer_v<function>;
    constexpr bool may_have_target = !std::is_function_v<Fn> &&
                                     std::is_constructible_v<function, std::nullptr_t> &&
                                     std::is_constructible_v<bool, const function&>;
    if constexpr (is_pointer) return fn == nullptr;
    else if constexpr (may_have_target) return !static_cast<bool>(fn);
    else return false;
}

using clock_reader = std::function<steady_time()>;

template <typename Clock, typename Duration>
steady_time as_steady_time(const std::chrono::time_point<Clock, Duration>& time) {
    return steady_time(std::chrono::duration_cast<std::chrono::nanoseconds>(time.time_since_epoch()));
}
template <typename Rep, typename Period>
steady_time as_steady_time(const std::chrono::duration<Rep, Period>& time) {
    return steady_time(std::chrono::duration_cast<std::chrono::nanoseconds>(time));
}

/// Empty where `now` is.
template <typename Now>
clock_reader clock_function(Now&& now) {
    if (is_empty_callable(now)) return {};
    return [now = std::decay_t<Now>(std::forward<Now>(now))]() mutable { return as_steady_time(now()); };
}

CAIRN_API std::shared_ptr<clock_source> source_of(clock_reader now, time_limit look_every);

}  // namespace detail

}  // namespace cairn::inline CAIRN_ABI

// process_pool_executor.hpp - an executor whose workers are processes: concurrent.futures.ProcessPoolExecutor, without its traps.
//
// Workers       are forked when the executor is made, and replaced when they die. What the program opens, loads, or changes later is not in
//               them. They keep open 0, 1 and 2 and Cairn's segments only.
// Tasks         functions, lambdas without captures, cairn::by_value(lambda), pointers to members; arguments and results are element types
//               (codec.hpp). Exceptions arrive as what they are (exception.hpp).
// Death         of a worker costs the task it was in: worker_died, or another start (.retries). Every other task goes on.
// End           of the owner, however it ends: the workers are killed at once.
// Handle        can be copied; the pool ends with the last one. In a forked child it does nothing; futures that were settled before
//               can be read.
//
// docs/pools.md says more.
//
// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <cairn/detail/base/language.hpp>

#include <cstddef>
#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <tuple>
#include <type_traits>
#include <utility>
#include <vector>

#include <cairn/detail/base/export.hpp>
#include <cairn/detail/base/time_limit.hpp>
#include <cairn/detail/pool/remote_call.hpp>
#include <cairn/detail/pool/sent_future.hpp>
#include <cairn/exception.hpp>
#include <cairn/executor.hpp>
#include <cairn/nursery.hpp>
#include <cairn/thread_pool_executor.hpp>

namespace cairn::inline CAIRN_ABI {

/// All optional. As thread_pool_options (thread_pool_executor.hpp), where nothing else is said.
struct process_pool_options {
    /// Processors that this process may use (affinity, and the quota of its control group), if not given. 1 to 1024.
    std::optional<int> max_workers = {};
    /// Further starts of a task after the death of its worker; of one task: task_options::retries.
    std::optional<int> retries = {};
    /// Called by each worker before its first task. May have captures: it is copied by the fork. When it throws in every worker, waiting
    /// and later tasks settle with initializer_failed.
    std::function<void()> initializer = {};
    /// A worker is replaced after so many tasks (items of map count each).
    std::optional<int> max_tasks_per_worker = {};
    /// A worker that has more memory than this, in bytes, after a task, is replaced. (What it shares with others counts.)
    std::optional<std::uint64_t> max_worker_memory = {};
    /// A worker that has had nothing to do for so long ends; others are forked when tasks wait.
    time_limit idle_timeout = {};
    rejection_check check_and_reject = {};
    std::optional<std::int64_t> max_pending = {};
    enum when_full when_full = when_full::block;
    /// Longest run of a task, from its start: its worker is killed then, and the future settles with timeout_error.
    time_limit timeout = {};
    /// Children that tasks leave behind are killed when their worker ends, unless this is set.
    bool keep_orphans = false;
    /// At least this is the `oom_score_adj` of the workers, 0 to 1000: when memory runs out, the kernel kills a worker sooner than the
    /// program or the nursery, and that costs one task. 0 leaves it as the program's is.
    int oom_score_adj = 100;
};

namespace detail {

class process_pool;
struct process_pool_life;

constexpr std::size_t encoded_pool_bytes = 16;

/// What process_pool_executor and pool have in common. Copies refer to the same pool, which ends with the last of them.
class CAIRN_API process_pool_handle : public executor_handle {
public:
    process_pool_handle(const process_pool_handle& other) noexcept
        : executor_handle(other.core_), life_(other.life_) {}
    process_pool_handle& operator=(const process_pool_handle& other) noexcept {
        if (this == &other) return *this;
        core_ = other.core_;
        life_ = other.life_;
        return *this;
    }

    /// As kill() of each worker by SIGTERM (terminate) or SIGKILL (kill): what waits is cancelled, what runs settles as worker_died.
    /// A task that sees stop_requested() and returns before the signal comes has its result. The executor stays usable.
    ///
    /// @throws invalid_state  in a forked child
    void terminate() { core().terminate(); }
    void kill() { core().kill(); }

    /// For future::then(): `fn(before)` in a worker once that is done.
    template <typename T, typename Fn>
    auto follow_remotely(const future<T>& before, Fn&& fn) {
        using function = std::decay_t<Fn>;
        static_assert(require_travelling<function, future<T>>());
        using result = remote_result<function, future<T>>;
        static_assert(require_travelling_result<result>(),
                      "cairn: a task's result has to be an element type, or void");
        using part = following_part<T, function>;
        function code = std::forward<Fn>(fn);
        const void* const address = address_of_code(code);
        task_ptr task(new remote_state<result, part>(
            part(&remote_entry<result, function, future<T>>::run, address, std::move(code), before)));
        future<result> after = future_access::make<result>(state_ptr::sharing(task.get()));
        run_after(required(future_access::state_of(before), "continue"), std::move(task), core_.get());
        return after;
    }

    /// For codecs: as what it travels to its workers, of encoded_pool_bytes.
    void encode_to(std::byte* to) const;
    /// @throws refused  this process has no such pool
    static process_pool_handle decode_from(std::span<const std::byte> bytes, const char* type);
    ~process_pool_handle();

protected:
    explicit process_pool_handle(core_ptr core);
    explicit process_pool_handle(std::shared_ptr<process_pool_life> life) noexcept;

    template <typename T, typename State>
    future<T> give_remote(remote_part part, const task_options* options, std::chrono::nanoseconds delay) {
        task_ptr task(new State(std::move(part)));
        future<T> result = future_access::make<T>(state_ptr::sharing(task.get()));
        core_->submit(std::move(task), options, delay);
        return result;
    }

    template <typename Fn, typename... Args>
    auto call_remotely(const task_options* options, std::chrono::nanoseconds delay, Fn&& fn, Args&&... args) {
        using function = std::decay_t<Fn>;
        static_assert(require_travelling<function, travelling<Args>...>());
        using result = remote_result<function, travelling<Args>...>;
        static_assert(require_travelling_result<result>(),
                      "cairn: a task's result has to be an element type, or void");
        const function code = std::forward<Fn>(fn);
        input_writer<function, travelling<Args>...> input(code);
        input.add(travelling<Args>(std::forward<Args>(args))...);
        return give_remote<result, remote_state<result>>(
            remote_part(&remote_entry<result, function, travelling<Args>...>::run, address_of_code(code),
                        std::move(input).take(), 1),
            options, delay);
    }

private:
    std::shared_ptr<process_pool_life> life_;  // lets go of the pool
};

/// Gives chunks of a map to workers. Of R: what the function gives, void or an element type.
template <typename R, typename Fn, typename... Ranges>
class remote_source {
public:
    template <typename OtherFn>
    remote_source(std::ptrdiff_t chunk_size, OtherFn&& fn, Ranges&&... ranges)
        : chunk_size_(chunk_size), fn_(std::forward<OtherFn>(fn)), ranges_(std::forward<Ranges>(ranges)...) {}

    /// What travels of the next items, at most `most`; nothing at the end.
    std::optional<remote_part> next(std::ptrdiff_t most) {
        most = std::min(most, chunk_size_);
        input_writer<Fn, travelling<item_of<Ranges>>...> input(fn_);
        const auto add = [&](auto&&... each) {
            input.add(travelling<item_of<Ranges>>(std::forward<decltype(each)>(each))...);
        };
        while (static_cast<std::ptrdiff_t>(input.count()) < most && ranges_.take_next(add)) {}
        const std::uint32_t count = input.count();
        if (count == 0) return std::nullopt;
        return remote_part(&remote_entry<R, Fn, travelling<item_of<Ranges>>...>::run, address_of_code(fn_),
                           std::move(input).take(), count);
    }

private:
    std::ptrdiff_t chunk_size_;
    Fn fn_;
    zipped_ranges<Ranges...> ranges_;
};

template <typename Fn, typename... Ranges>
using remote_mapped = remote_result<std::decay_t<Fn>, travelling<item_of<Ranges>>...>;

/// Submits chunks to a pool, for map_results.
template <typename R, typename Fn, typename... Ranges>
class remote_map_source final : public map_source<std::conditional_t<std::is_void_v<R>, no_result, R>> {
    using item = std::conditional_t<std::is_void_v<R>, no_result, R>;

public:
    template <typename OtherFn>
    remote_map_source(core_ptr core, std::ptrdiff_t chunk_size, OtherFn&& fn, Ranges&&... ranges)
        : core_(std::move(core)),
          source_(chunk_size, std::forward<OtherFn>(fn), std::forward<Ranges>(ranges)...) {}

    std::optional<future<chunk_result<item>>> submit_next(std::ptrdiff_t most,
                                                          std::ptrdiff_t& items) override {
        std::optional<remote_part> part = source_.next(most);
        if (!part) return std::nullopt;
        items = part->item_count;
        task_ptr task(new chunk_state(*std::move(part)));
        auto result = future_access::make<chunk_result<item>>(state_ptr::sharing(task.get()));
        core_->submit(std::move(task), nullptr, std::chrono::nanoseconds(0));
        return result;
    }

private:
    class chunk_state final : public value_state<chunk_result<item>> {
    public:
        explicit chunk_state(remote_part part) : part_(std::move(part)) { this->be_remote(part_); }

    private:
        void invoke() override {
            this->keep_result_of([this] {
                chunk_result<item> results;
                std::span<const std::byte> frames = part_.frames;
                for (std::uint32_t i = 0; i < part_.item_count && results.error == nullptr; ++i) {
                    const auto bytes = next_result(frames, *this, results.error);
                    if (!bytes) break;
                    if constexpr (std::is_void_v<R>) results.values.emplace_back();
                    else results.values.push_back(receive_result<R>(*bytes, part_.delivery));
                }
                return results;
            });
        }
        void drop_call() noexcept override { std::vector<std::byte>().swap(part_.input); }

        remote_part part_;
    };

    core_ptr core_;
    remote_source<R, Fn, Ranges...> source_;
};

}  // namespace detail

/// Safety  thread-safe
class CAIRN_API process_pool_executor : public detail::process_pool_handle {
public:
    /// @throws invalid_argument  an option makes no sense
    /// @throws system_failure, segment_full  no process, descriptor or memory left
    explicit process_pool_executor(const process_pool_options& options = {});
    explicit process_pool_executor(int max_workers);
    /// For its codec.
    explicit process_pool_executor(const detail::process_pool_handle& handle) noexcept;
    /// Finishes what was accepted, as shutdown(). During unwinding, workers are killed first; after main has returned they are left
    /// to the end of the process, which ends them.
    ~process_pool_executor() = default;

    /// Has `fn(args...)` called by a worker process. What travels is copied.
    ///
    /// @return the future of its result; the task runs also when that is thrown away
    /// @throws invalid_state        after shutdown; in a forked child
    /// @throws rejected_submission  check_and_reject, or when_full::reject; nothing was submitted
    /// @throws refused              the function is in a library that was loaded after the executor was made
    /// @throws segment_full         no memory for it; nothing was submitted
    /// @throws worker_died, initializer_failed  there are no workers any more
    /// Cost    some 300 ns while the workers are busy, a wake-up where one sleeps
    template <typename Fn, typename... Args>
        requires(!std::is_same_v<std::remove_cvref_t<Fn>, task_options>)
    auto submit(Fn&& fn, Args&&... args) {
        return call_remotely(nullptr, std::chrono::nanoseconds(0), std::forward<Fn>(fn),
                             std::forward<Args>(args)...);
    }
    /// The same with options. `.timeout` kills the worker (after `.grace`, in which this_task::stop_requested() is true); `.retries` are
    /// further starts after a death, and after an exception that `.retry_if` accepts, which is called in this process.
    template <typename Fn, typename... Args>
    auto submit(const task_options& options, Fn&& fn, Args&&... args) {
        return call_remotely(&options, std::chrono::nanoseconds(0), std::forward<Fn>(fn),
                             std::forward<Args>(args)...);
    }
    /// As executor_handle::submit_after().
    template <typename Rep, typename Period, typename Fn, typename... Args>
        requires(!std::is_same_v<std::remove_cvref_t<Fn>, task_options>)
    auto submit_after(const std::chrono::duration<Rep, Period>& delay, Fn&& fn, Args&&... args) {
        return call_remotely(nullptr, detail::checked_delay(delay), std::forward<Fn>(fn),
                             std::forward<Args>(args)...);
    }
    template <typename Rep, typename Period, typename Fn, typename... Args>
    auto submit_after(const std::chrono::duration<Rep, Period>& delay, const task_options& options, Fn&& fn,
                      Args&&... args) {
        return call_remotely(&options, detail::checked_delay(delay), std::forward<Fn>(fn),
                             std::forward<Args>(args)...);
    }

    /// As executor_handle::map(). All items of a chunk are done, also after one that throws.
    template <typename Fn, typename... Ranges>
        requires(sizeof...(Ranges) > 0 && !std::is_same_v<std::remove_cvref_t<Fn>, map_options>)
    auto map(Fn&& fn, Ranges&&... ranges) {
        return map(map_options{}, std::forward<Fn>(fn), std::forward<Ranges>(ranges)...);
    }
    template <typename Fn, typename... Ranges>
        requires(sizeof...(Ranges) > 0)
    auto map(const map_options& options, Fn&& fn, Ranges&&... ranges) {
        using function = std::decay_t<Fn>;
        static_assert(detail::require_travelling<function, detail::travelling<detail::item_of<Ranges>>...>());
        using result = detail::remote_mapped<Fn, Ranges...>;
        static_assert(detail::require_travelling_result<result>(),
                      "cairn: a task's result has to be an element type, or void");
        using item = std::conditional_t<std::is_void_v<result>, no_result, result>;
        detail::check_map_options(options, (... && detail::knows_no_end<detail::end_of<Ranges>>));
        return map_results<item>(
            std::make_unique<detail::remote_map_source<result, function, Ranges...>>(
                core_, options.chunk_size, std::forward<Fn>(fn), std::forward<Ranges>(ranges)...),
            options);
    }
};

/// A handle travels to the workers of its own pool: they can submit to it, and wait.
template <>
struct codec<process_pool_executor> {
    static std::string type_name() { return "process_pool_executor"; }
    static std::size_t size(const process_pool_executor& /*value*/) { return detail::encoded_pool_bytes; }
    static void encode(const process_pool_executor& value, std::byte* to) { value.encode_to(to); }
    static process_pool_executor decode(std::span<const std::byte> bytes) {
        return process_pool_executor(
            detail::process_pool_handle::decode_from(bytes, "process_pool_executor"));
    }
};

}  // namespace cairn::inline CAIRN_ABI

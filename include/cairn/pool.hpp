// pool.hpp - multiprocessing.Pool: many calls of one function, by worker processes.
//
//   cairn::pool pool(8);
//   std::vector<long> r = pool.map(compute, std::views::iota(0, 8));     // order kept
//
// As process_pool_executor (process_pool_executor.hpp) in everything about workers, what travels, and deaths.
//
// Chunks        a task is a chunk of items, one call after the other. The death of a worker costs the item it was in; another worker goes on
//               behind it. Without .chunk_size, map takes Python's: a quarter of what each worker would get.
// Failures      map throws the first one in the order of the items, after all items have ended; with {.collect = cairn::outcomes} it gives
//               what came of each item.
//
// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <cairn/detail/base/language.hpp>

#include <cstddef>
#include <cstdint>
#include <exception>
#include <functional>
#include <initializer_list>
#include <iterator>
#include <memory>
#include <optional>
#include <tuple>
#include <type_traits>
#include <utility>
#include <vector>

#include <cairn/detail/base/export.hpp>
#include <cairn/detail/base/standard.hpp>
#include <cairn/process_pool_executor.hpp>

namespace cairn::inline CAIRN_ABI {

/// All optional. As process_pool_options, where nothing else is said.
struct pool_options {
    std::optional<int> workers = {};
    std::optional<int> retries = {};
    std::function<void()> initializer = {};
    std::optional<int> max_tasks_per_worker = {};
    std::optional<std::uint64_t> max_worker_memory = {};
    time_limit idle_timeout = {};
    rejection_check check_and_reject = {};
    std::optional<std::int64_t> max_pending = {};
    enum when_full when_full = when_full::block;
    time_limit timeout = {};
    bool keep_orphans = false;
    int oom_score_adj = 100;
};

/// What map() says about how far it is: nothing, a bar on stderr, or a call of yours after each chunk.
class progress_option {
public:
    progress_option() = default;
    /// A bar where stderr is a terminal, elsewhere a line now and then.
    progress_option(bool shows_bar) : shows_bar_(shows_bar) {}  // NOLINT(google-explicit-constructor)
    template <typename Fn>
        requires(std::is_invocable_v<Fn&, std::size_t, std::size_t> &&
                 !std::is_same_v<std::decay_t<Fn>, bool>)
    progress_option(Fn call) : call_(std::move(call)) {}  // NOLINT(google-explicit-constructor)

    [[nodiscard]] bool shows_bar() const noexcept { return shows_bar_; }
    [[nodiscard]] const std::function<void(std::size_t done, std::size_t total)>& call() const noexcept {
        return call_;
    }

private:
    bool shows_bar_ = false;
    std::function<void(std::size_t done, std::size_t total)> call_;
};

/// {.collect = cairn::outcomes}
struct outcomes_t {
    explicit constexpr outcomes_t() = default;
};
inline constexpr outcomes_t outcomes{};

struct pool_map_options {
    std::optional<std::ptrdiff_t> chunk_size = {};  ///< below 1: invalid_argument
    progress_option progress = {};
};
struct pool_outcomes_options {
    const outcomes_t& collect;
    std::optional<std::ptrdiff_t> chunk_size = {};
    progress_option progress = {};
};
struct pool_imap_options {
    std::ptrdiff_t chunk_size = 1;
    /// Most items that are submitted and not yet read; 0: twice as many chunks as there are workers.
    std::ptrdiff_t buffer_size = 0;
};

namespace detail {

/// Shows how far a map is.
class CAIRN_API progress_display {
public:
    progress_display(const progress_option& option, std::size_t total);
    progress_display(const progress_display&) = delete;
    progress_display& operator=(const progress_display&) = delete;
    ~progress_display();
    void add(std::size_t done);

private:
    void show(bool is_last);

    const progress_option& option_;
    std::size_t total_;
    std::size_t done_ = 0;
    std::int64_t next_ = 0;  // when to show it again, milliseconds
    bool is_terminal_ = false;
};

/// Python's rule: four chunks for each worker, rounded up.
CAIRN_API std::ptrdiff_t chunk_size_for(std::optional<std::ptrdiff_t> given, std::size_t items,
                                        std::size_t workers);
[[noreturn]] CAIRN_API void throw_endless_map();
CAIRN_API void check_imap_options(const char* operation, const pool_imap_options& options);
/// Has `task` run once all of those are settled, in the settling thread.
CAIRN_API void run_after_all(const std::vector<future_state*>& all, task_ptr task);

/// Whether `Fn` can be called with the parts of a `Tuple`.
template <typename Fn, typename Tuple>
concept callable_with_parts = requires {
    std::tuple_size<std::remove_cvref_t<Tuple>>::value;
} && []<std::size_t... Part>(std::index_sequence<Part...>) {
    return std::is_invocable_v<Fn, decltype(std::get<Part>(std::declval<Tuple>()))...>;
}(std::make_index_sequence<std::tuple_size_v<std::remove_cvref_t<Tuple>>>());

/// Calls with the parts of starmap's items.
template <typename Fn>
struct unpacking {
    Fn fn;
    template <typename Tuple>
        requires callable_with_parts<const Fn&, Tuple>
    decltype(auto) operator()(Tuple&& args) const {
        return std::apply(fn, std::forward<Tuple>(args));
    }
};
template <typename Fn>
    requires is_without_state<Fn>
struct unpacking<Fn> {
    template <typename Tuple>
        requires callable_with_parts<Fn, Tuple>
    decltype(auto) operator()(Tuple&& args) const {
        return std::apply(Fn{}, std::forward<Tuple>(args));
    }
};

template <typename R>
using held_result = std::conditional_t<std::is_void_v<R>, no_result, R>;

}  // namespace detail

/// The results of imap_unordered(), as they come: an input range. One pass; not for several threads.
template <typename R>
class [[nodiscard]] unordered_results
    : public detail::one_pass<unordered_results<R>, detail::held_result<R>> {
public:
    using chunk_source = std::function<std::optional<future<std::vector<outcome<R>>>>()>;
    using item = detail::held_result<R>;

    unordered_results(chunk_source source, std::size_t window) : source_(std::move(source)) {
        while (running_.size() < window && submit_one()) {}
    }

    /// Waits for the next result; empty at the end.
    /// @throws what the call for an item threw; the next call goes on behind it
    std::optional<item> next() {
        for (;;) {
            if (at_ != ready_.size()) {
                outcome<R>& each = ready_[at_++];
                if (!each.has_value()) std::rethrow_exception(each.error());
                if constexpr (std::is_void_v<R>) return item{};
                else return std::move(each).value();
            }
            if (running_.empty()) return std::nullopt;
            auto some = cairn::wait(running_, first_completed);
            running_ = std::move(some.not_done);
            ready_.clear();
            at_ = 0;
            for (auto& chunk : some.done) {
                auto results = std::move(chunk).result();
                ready_.insert(ready_.end(), std::make_move_iterator(results.begin()),
                              std::make_move_iterator(results.end()));
            }
            // Now that nothing is lost by what that throws.
            for (std::size_t i = 0; i < some.done.size() && submit_one(); ++i) {}
        }
    }

private:
    bool submit_one() {
        if (!source_) return false;
        auto chunk = source_();
        if (!chunk) source_ = nullptr;
        else running_.push_back(*std::move(chunk));
        return source_ != nullptr;
    }

    chunk_source source_;
    std::vector<future<std::vector<outcome<R>>>> running_;
    std::vector<outcome<R>> ready_;
    std::size_t at_ = 0;
};

namespace detail {

/// What map() makes of the results of its chunks: values, or the first failure once all have ended.
template <typename R>
class gathered_values {
public:
    explicit gathered_values(std::size_t expected) { values_.reserve(expected); }
    void add(std::vector<outcome<R>>&& chunk) {
        for (outcome<R>& each : chunk) {
            if (error_ == nullptr) error_ = each.error();
            if (error_ != nullptr) return;
            if constexpr (std::is_void_v<R>) values_.emplace_back();
            else values_.push_back(std::move(each).value());
        }
    }
    std::vector<held_result<R>> take() && {
        if (error_ != nullptr) std::rethrow_exception(error_);
        return std::move(values_);
    }

private:
    std::vector<held_result<R>> values_;
    std::exception_ptr error_;
};

/// The same of each item.
template <typename R>
class gathered_outcomes {
public:
    explicit gathered_outcomes(std::size_t expected) { all_.reserve(expected); }
    void add(std::vector<outcome<R>>&& chunk) {
        all_.insert(all_.end(), std::make_move_iterator(chunk.begin()), std::make_move_iterator(chunk.end()));
    }
    std::vector<outcome<R>> take() && { return std::move(all_); }

private:
    std::vector<outcome<R>> all_;
};

}  // namespace detail

/// Safety  thread-safe
class CAIRN_API pool : public detail::process_pool_handle {
public:
    /// @throws as process_pool_executor
    explicit pool(const pool_options& options = {});
    explicit pool(int workers);
    /// For its codec.
    explicit pool(const detail::process_pool_handle& handle) noexcept;

    /// Calls it in a worker, and waits.
    /// @throws what it throws; as process_pool_executor::submit
    template <typename Fn, typename... Args>
    auto apply(Fn&& fn, Args&&... args) {
        return apply_async(std::forward<Fn>(fn), std::forward<Args>(args)...).result();
    }
    template <typename Fn, typename... Args>
    auto apply_async(Fn&& fn, Args&&... args) {
        return call_remotely(nullptr, std::chrono::nanoseconds(0), std::forward<Fn>(fn),
                             std::forward<Args>(args)...);
    }

    /// Calls `fn` with each item, and waits for all. The results come in the order of the items.
    ///
    /// @throws the first failure in that order, after all items have ended; invalid_argument for a chunk_size below 1
    /// Cost    a task for each chunk, and some 30 ns for each item; it copies the items, and the results
    template <typename Fn, std::ranges::input_range Range>
    auto map(Fn&& fn, Range&& items, const pool_map_options& options = {}) {
        return gather<detail::gathered_values>(std::forward<Fn>(fn), std::forward<Range>(items),
                                               options.chunk_size, options.progress);
    }
    /// The same, with what came of each item, value or exception: std::vector<outcome<R>>.
    template <typename Fn, std::ranges::input_range Range>
    auto map(Fn&& fn, Range&& items, const pool_outcomes_options& options) {
        return gather<detail::gathered_outcomes>(std::forward<Fn>(fn), std::forward<Range>(items),
                                                 options.chunk_size, options.progress);
    }
    /// map(f, {1, 2, 3})
    template <typename Fn, typename T>
    auto map(Fn&& fn, std::initializer_list<T> items, const pool_map_options& options = {}) {
        return map(std::forward<Fn>(fn), std::vector<T>(items), options);
    }
    /// Does not wait: the future of map()'s result.
    template <typename Fn, std::ranges::input_range Range>
    auto map_async(Fn&& fn, Range&& items, const pool_map_options& options = {}) {
        static_assert(require_map<std::decay_t<Fn>, Range>());
        using result = detail::remote_mapped<Fn, Range>;
        auto chunks = submit_all(std::forward<Fn>(fn), std::forward<Range>(items), options.chunk_size);
        std::vector<detail::future_state*> states;
        for (const auto& each : chunks) states.push_back(detail::future_access::state_of(each));
        const auto gather_all = [](std::vector<future<std::vector<outcome<result>>>>&& done) {
            detail::gathered_values<result> all(0);
            for (auto& each : done) all.add(std::move(each).result());
            return std::move(all).take();
        };
        using values = decltype(detail::gathered_values<result>(0).take());
        using call = detail::call_state<values, detail::calls::once, std::decay_t<decltype(gather_all)>,
                                        std::vector<future<std::vector<outcome<result>>>>>;
        detail::task_ptr task(new call(std::in_place, gather_all, std::move(chunks)));
        auto gathered = detail::future_access::make<values>(detail::state_ptr::sharing(task.get()));
        detail::run_after_all(states, std::move(task));
        return gathered;
    }
    /// As map(), of tuples (or pairs) that are the arguments.
    template <typename Fn, std::ranges::input_range Range>
    auto starmap(Fn&& fn, Range&& items, const pool_map_options& options = {}) {
        using function = std::decay_t<Fn>;
        static_assert(detail::can_travel_as_callable<function>());
        if constexpr (detail::is_without_state<function>)
            return map(detail::unpacking<function>{}, std::forward<Range>(items), options);
        else
            return map(by_value(detail::unpacking<function>{std::forward<Fn>(fn)}),
                       std::forward<Range>(items), options);
    }
    template <typename Fn, std::ranges::input_range Range>
    auto starmap_async(Fn&& fn, Range&& items, const pool_map_options& options = {}) {
        using function = std::decay_t<Fn>;
        static_assert(detail::can_travel_as_callable<function>());
        if constexpr (detail::is_without_state<function>)
            return map_async(detail::unpacking<function>{}, std::forward<Range>(items), options);
        else
            return map_async(by_value(detail::unpacking<function>{std::forward<Fn>(fn)}),
                             std::forward<Range>(items), options);
    }
    /// The results one by one, in order: a range that is read as it is needed, and that reads the items so. An item that fails throws in
    /// its place, and the rest is cancelled.
    template <typename Fn, std::ranges::input_range Range>
    auto imap(Fn&& fn, Range&& items, const pool_imap_options& options = {}) {
        using function = std::decay_t<Fn>;
        static_assert(require_map<function, Range>());
        using result = detail::remote_mapped<function, Range>;
        detail::check_imap_options("imap", options);
        return map_results<detail::held_result<result>>(
            std::make_unique<detail::remote_map_source<result, function, Range>>(
                core_, options.chunk_size, std::forward<Fn>(fn), std::forward<Range>(items)),
            map_options{.timeout = {},
                        .chunk_size = options.chunk_size,
                        .buffer_size =
                            options.buffer_size != 0 ? options.buffer_size : options.chunk_size * window()});
    }
    /// The same as they come. After an item that fails the next ones can be read.
    template <typename Fn, std::ranges::input_range Range>
    auto imap_unordered(Fn&& fn, Range&& items, const pool_imap_options& options = {}) {
        using function = std::decay_t<Fn>;
        static_assert(require_map<function, Range>());
        using result = detail::remote_mapped<function, Range>;
        detail::check_imap_options("imap_unordered", options);
        auto source = std::make_shared<detail::remote_source<result, function, Range>>(
            options.chunk_size, std::forward<Fn>(fn), std::forward<Range>(items));
        const std::ptrdiff_t chunks =
            options.buffer_size == 0 ? window()
                                     : std::max<std::ptrdiff_t>(1, options.buffer_size / options.chunk_size);
        return unordered_results<result>(
            [copy = *this, source,
             size = options.chunk_size]() mutable -> std::optional<future<std::vector<outcome<result>>>> {
                std::optional<detail::remote_part> part = source->next(size);
                if (!part) return std::nullopt;
                return copy.template submit_chunk<result>(*std::move(part));
            },
            static_cast<std::size_t>(chunks));
    }

    // What executors have by these names is apply_async() here.
    void submit() = delete;
    void submit_after() = delete;

    /// Takes no further tasks. What was accepted is done.
    void close();
    /// Waits until all is done and the workers have ended.
    /// @throws invalid_state  close() or terminate() has not been called
    void join();
    /// Cancels what waits, ends the workers, takes no further tasks.
    void terminate();

private:
    template <typename Fn, typename Range>
    static constexpr bool require_map() {
        static_assert(detail::require_travelling<Fn, detail::travelling<detail::item_of<Range>>>());
        static_assert(detail::require_travelling_result<detail::remote_mapped<Fn, Range>>(),
                      "cairn: a task's result has to be an element type, or void");
        return true;
    }

    template <typename R>
    future<std::vector<outcome<R>>> submit_chunk(detail::remote_part part) {
        return give_remote<std::vector<outcome<R>>, detail::remote_chunk_state<R>>(
            std::move(part), nullptr, std::chrono::nanoseconds(0));
    }

    template <typename Fn, typename Range>
    auto submit_all(Fn&& fn, Range&& items, std::optional<std::ptrdiff_t> chunk_size,
                    std::size_t* count = nullptr) {
        using function = std::decay_t<Fn>;
        static_assert(require_map<function, Range>());
        using result = detail::remote_mapped<function, Range>;
        if constexpr (std::ranges::sized_range<Range>) {
            const auto total = static_cast<std::size_t>(std::ranges::size(items));
            if (count != nullptr) *count = total;
            detail::remote_source<result, function, Range> source(
                detail::chunk_size_for(chunk_size, total, num_places()), std::forward<Fn>(fn),
                std::forward<Range>(items));
            std::vector<future<std::vector<outcome<result>>>> chunks;
            for (;;) {
                std::optional<detail::remote_part> part =
                    source.next(std::numeric_limits<std::ptrdiff_t>::max());
                if (!part) return chunks;
                chunks.push_back(submit_chunk<result>(*std::move(part)));
            }
        } else {
            if constexpr (detail::knows_no_end<std::ranges::sentinel_t<Range>>) detail::throw_endless_map();
            // How many there are says how they are cut.
            std::vector<detail::item_of<Range>> all;
            for (auto&& each : items) all.push_back(std::forward<decltype(each)>(each));
            return submit_all(std::forward<Fn>(fn), std::move(all), chunk_size, count);
        }
    }

    template <template <typename> class Gathered, typename Fn, typename Range>
    auto gather(Fn&& fn, Range&& items, std::optional<std::ptrdiff_t> chunk_size,
                const progress_option& progress) {
        static_assert(require_map<std::decay_t<Fn>, Range>());
        std::size_t total = 0;
        auto chunks = submit_all(std::forward<Fn>(fn), std::forward<Range>(items), chunk_size, &total);
        detail::progress_display display(progress, total);
        Gathered<detail::remote_mapped<Fn, Range>> all(total);
        for (auto& each : chunks) {
            auto results = std::move(each).result();
            const std::size_t done = results.size();
            all.add(std::move(results));
            display.add(done);
        }
        return std::move(all).take();
    }

    [[nodiscard]] std::size_t num_places() const noexcept;
    [[nodiscard]] std::ptrdiff_t window() const noexcept {
        return 2 * static_cast<std::ptrdiff_t>(num_places());
    }
};

/// As codec<process_pool_executor>.
template <>
struct codec<pool> {
    static std::string type_name() { return "pool"; }
    static std::size_t size(const pool& /*value*/) { return detail::encoded_pool_bytes; }
    static void encode(const pool& value, std::byte* to) { value.encode_to(to); }
    static pool decode(std::span<const std::byte> bytes) {
        return pool(detail::process_pool_handle::decode_from(bytes, "pool"));
    }
};

}  // namespace cairn::inline CAIRN_ABI

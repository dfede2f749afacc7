// map.hpp - ex.map(fn, ranges...): one task for each chunk of items, results in order.
//
// Reading       one thread pulls the results, and with a buffer the input as well: whenever a chunk has been read, as many items
//               are submitted. Nobody else touches it.
// Exceptions    a chunk ends at the item whose call throws. The reader gets the results before it, then the exception, then the end;
//               what has not started is cancelled.
//
// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <cstddef>
#include <deque>
#include <exception>
#include <iterator>
#include <limits>
#include <memory>
#include <optional>
#include <tuple>
#include <type_traits>
#include <utility>
#include <vector>

#include <cairn/detail/base/deadline.hpp>
#include <cairn/detail/base/export.hpp>
#include <cairn/detail/base/standard.hpp>
#include <cairn/detail/base/time_limit.hpp>
#include <cairn/detail/executors/one_pass.hpp>
#include <cairn/error.hpp>
#include <cairn/future.hpp>

namespace cairn::inline CAIRN_ABI {

/// Of `ex.map(options, fn, ranges...)`.
struct map_options {
    /// Counted from the call of map: the iteration throws timeout_error when the next result is not there by then.
    time_limit timeout = {};
    /// Most items for each task; with many tiny items, more are cheaper. A task gets fewer where the input ends, or where
    /// `.buffer_size` leaves no room for more. Below 1: invalid_argument.
    std::ptrdiff_t chunk_size = 1;
    /// Most items that are submitted and not yet read; the input is then read only as results are. Not given: all are submitted by
    /// the call. Below 1: invalid_argument.
    std::optional<std::ptrdiff_t> buffer_size = {};
};

/// What map() yields where the function returns nothing.
struct no_result {
    friend constexpr bool operator==(no_result, no_result) noexcept { return true; }
};

namespace detail {

/// What a range given to map is kept as: a reference to a container that the caller owns, or the range itself.
template <typename Range>
class kept_range {
public:
    explicit kept_range(Range&& range) : range_(std::forward<Range>(range)) {}
    auto begin() { return std::begin(get()); }
    auto end() { return std::end(get()); }

private:
    auto& get() noexcept {
        if constexpr (std::is_lvalue_reference_v<Range>) return range_.get();
        else return range_;
    }
    std::conditional_t<std::is_lvalue_reference_v<Range>,
                       std::reference_wrapper<std::remove_reference_t<Range>>, std::remove_reference_t<Range>>
        range_;
};

template <typename Range>
using begin_of = decltype(std::declval<kept_range<Range>&>().begin());
template <typename Range>
using end_of = decltype(std::declval<kept_range<Range>&>().end());
template <typename Iterator>
struct item_at {
    using type = std::decay_t<decltype(*std::declval<Iterator&>())>;
};
// The value, not the proxy that refers to it: the range may be gone before the task runs.
template <typename Iterator>
    requires std::is_object_v<std::iter_value_t<Iterator>> &&
             std::is_convertible_v<decltype(*std::declval<Iterator&>()), std::iter_value_t<Iterator>>
struct item_at<Iterator> {
    using type = std::iter_value_t<Iterator>;
};
/// What is kept of an item until its call.
template <typename Range>
using item_of = typename item_at<begin_of<Range>>::type;

template <typename Sentinel>
concept knows_no_end = std::is_same_v<Sentinel, std::unreachable_sentinel_t>;

/// The ranges given to map, read item by item. As zip: the shortest ends it.
template <typename... Ranges>
class zipped_ranges {
public:
    explicit zipped_ranges(Ranges&&... ranges)
        : ranges_(kept_range<Ranges>(std::forward<Ranges>(ranges))...),
          at_(std::apply([](auto&... range) { return std::tuple(range.begin()...); }, ranges_)),
          ends_(std::apply([](auto&... range) { return std::tuple(range.end()...); }, ranges_)) {}
    zipped_ranges(const zipped_ranges&) = delete;  // at_ leads into ranges_
    zipped_ranges& operator=(const zipped_ranges&) = delete;
    ~zipped_ranges() = default;

    /// Calls `take` with the next item of each. False at the end.
    template <typename Take>
    bool take_next(const Take& take) {
        // Only now: reading on may wait for the next item, and what was read is to be submitted before.
        if (is_past_) std::apply([](auto&... at) { (..., static_cast<void>(++at)); }, at_);
        is_past_ = false;
        if (is_at_end(std::index_sequence_for<Ranges...>())) return false;
        std::apply([&](auto&... at) { take(*at...); }, at_);
        is_past_ = true;
        return true;
    }

private:
    template <std::size_t... Index>
    [[nodiscard]] bool is_at_end(std::index_sequence<Index...> /*all*/) const {
        return (... || (std::get<Index>(at_) == std::get<Index>(ends_)));
    }

    std::tuple<kept_range<Ranges>...> ranges_;
    std::tuple<begin_of<Ranges>...> at_;
    std::tuple<end_of<Ranges>...> ends_;
    bool is_past_ = false;  // the item that at_ refers to has been taken
};

CAIRN_API void check_map_options(const map_options& options, bool is_endless);
[[noreturn]] CAIRN_API void throw_map_timeout();
/// In a handler for everything. Throws on what only looks like an exception: the end of the thread (pthread_exit).
CAIRN_API std::exception_ptr caught_exception();

/// The results of a chunk, and what ended it early.
template <typename R>
struct chunk_result {
    std::deque<R> values = {};  // a vector of bool holds no bools
    std::exception_ptr error = {};
};

/// Where the tasks of a map come from.
template <typename R>
class map_source {
public:
    map_source() = default;
    map_source(const map_source&) = delete;
    map_source& operator=(const map_source&) = delete;
    virtual ~map_source() = default;
    /// Submits the next chunk, of at most `most` items; nothing at the end of the input. `items` gets how many it has.
    virtual std::optional<future<chunk_result<R>>> submit_next(std::ptrdiff_t most,
                                                               std::ptrdiff_t& items) = 0;
};

}  // namespace detail

/// The results of map(), in the order of the input: an input range. One pass; not for several threads. Results that are not read
/// are still computed, unless their input was never read (`.buffer_size`); destroying this does not wait.
template <typename R>
class [[nodiscard]] map_results : public detail::one_pass<map_results<R>, R> {
public:
    map_results(std::unique_ptr<detail::map_source<R>> source, const map_options& options)
        : source_(std::move(source)), deadline_(detail::no_deadline) {
        if (options.timeout.is_given()) deadline_ = detail::deadline_after(options.timeout.nanoseconds());
        if (options.buffer_size) room_ = *options.buffer_size;
        fill();
    }
    map_results(map_results&&) noexcept = default;
    map_results& operator=(map_results&&) noexcept = default;
    map_results(const map_results&) = delete;
    map_results& operator=(const map_results&) = delete;
    ~map_results() = default;

    /// Waits for the next result; empty at the end.
    ///
    /// @throws what the call for this item threw, and then the rest is cancelled and the end reached; timeout_error; after the results
    ///         of what was submitted, what reading the input or submitting threw
    std::optional<R> next() {
        for (;;) {
            if (!chunk_.values.empty()) {
                std::optional<R> value(std::move(chunk_.values.front()));
                chunk_.values.pop_front();
                if (chunk_.values.empty() && chunk_.error == nullptr) refill();
                return value;
            }
            if (chunk_.error != nullptr) {
                const std::exception_ptr error = std::exchange(chunk_.error, nullptr);
                give_up();
                std::rethrow_exception(error);
            }
            if (chunks_.empty()) {
                if (input_error_ != nullptr) std::rethrow_exception(std::exchange(input_error_, nullptr));
                return std::nullopt;
            }
            take_chunk();
        }
    }

private:
    struct chunk {
        future<detail::chunk_result<R>> results;
        std::ptrdiff_t items;
    };

    void fill() {
        while (source_ != nullptr && (!room_ || *room_ > 0)) {
            std::ptrdiff_t items = 0;
            auto next =
                source_->submit_next(room_.value_or(std::numeric_limits<std::ptrdiff_t>::max()), items);
            if (!next) source_.reset();
            else chunks_.push_back({std::move(*next), items});
            if (room_) *room_ -= items;
        }
    }
    // A chunk has been read. What goes wrong comes after the results of what is submitted.
    void refill() {
        if (room_) *room_ += items_;
        try {
            fill();
        } catch (...) {
            input_error_ = detail::caught_exception();
            source_.reset();
        }
    }
    void take_chunk() {
        chunk next = std::move(chunks_.front());
        chunks_.pop_front();
        items_ = next.items;
        try {
            if (!detail::future_access::state_of(next.results)->wait_until(deadline_))
                detail::throw_map_timeout();
            chunk_ = std::move(next.results).result();
        } catch (...) {
            if (next.results.valid()) next.results.cancel();
            give_up();
            throw;
        }
    }
    void give_up() {
        source_.reset();
        input_error_ = nullptr;
        for (const chunk& each : chunks_) each.results.cancel();
        chunks_.clear();
    }

    std::unique_ptr<detail::map_source<R>> source_;
    detail::steady_time deadline_;
    std::optional<std::ptrdiff_t> room_;  // for items that may still be submitted; empty: all are
    std::deque<chunk> chunks_;
    detail::chunk_result<R> chunk_;   // being read
    std::ptrdiff_t items_ = 0;        // that it had
    std::exception_ptr input_error_;  // of reading the input, or of a submit
};

namespace detail {

template <typename Executor, typename R, typename Fn, typename... Ranges>
class mapped_source final : public map_source<R> {
public:
    template <typename OtherFn>
    mapped_source(Executor executor, std::ptrdiff_t chunk_size, OtherFn&& fn, Ranges&&... ranges)
        : executor_(std::move(executor)), chunk_size_(chunk_size), fn_(std::forward<OtherFn>(fn)),
          ranges_(std::forward<Ranges>(ranges)...) {}

    std::optional<future<chunk_result<R>>> submit_next(std::ptrdiff_t most, std::ptrdiff_t& items) override {
        most = std::min(most, chunk_size_);
        std::vector<std::tuple<item_of<Ranges>...>> inputs;
        const auto keep = [&](auto&&... each) { inputs.emplace_back(std::forward<decltype(each)>(each)...); };
        while (static_cast<std::ptrdiff_t>(inputs.size()) < most && ranges_.take_next(keep)) {}
        items = static_cast<std::ptrdiff_t>(inputs.size());
        if (items == 0) return std::nullopt;
        return executor_.submit(call_chunk, fn_, std::move(inputs));
    }

private:
    static chunk_result<R> call_chunk(Fn fn, std::vector<std::tuple<item_of<Ranges>...>> inputs) {
        chunk_result<R> results;
        try {
            for (auto& input : inputs) {
                if constexpr (std::is_same_v<R, no_result>) {
                    std::apply(fn, std::move(input));
                    results.values.emplace_back();
                } else {
                    results.values.push_back(std::apply(fn, std::move(input)));
                }
            }
        } catch (...) {
            results.error = caught_exception();
        }
        return results;
    }

    Executor executor_;
    std::ptrdiff_t chunk_size_;  // most items of a chunk
    Fn fn_;
    zipped_ranges<Ranges...> ranges_;
};

/// The result of calling `Fn` with items of the ranges.
template <typename Fn, typename... Ranges>
using mapped_result =
    std::conditional_t<std::is_void_v<std::invoke_result_t<std::decay_t<Fn>&, item_of<Ranges>...>>, no_result,
                       std::remove_cvref_t<std::invoke_result_t<std::decay_t<Fn>&, item_of<Ranges>...>>>;

}  // namespace detail

}  // namespace cairn::inline CAIRN_ABI

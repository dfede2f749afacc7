// basic_queue.hpp - what all queues have in common: putting, getting, waiting, counting, ending. queue.hpp says what each
// is for.
//
// `Order` says which item comes next, and where items lie: fifo_order.hpp.
//
// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <initializer_list>
#include <iosfwd>
#include <optional>
#include <stop_token>
#include <string>
#include <utility>
#include <vector>

#include <cairn/codec.hpp>
#include <cairn/detail/base/standard.hpp>
#include <cairn/detail/containers/decoding.hpp>
#include <cairn/detail/containers/early_copy.hpp>
#include <cairn/detail/containers/item_lease.hpp>
#include <cairn/detail/containers/object_handle.hpp>
#include <cairn/detail/containers/once_table.hpp>
#include <cairn/detail/containers/queue_holders.hpp>
#include <cairn/detail/containers/queue_items.hpp>
#include <cairn/detail/containers/queue_leases.hpp>
#include <cairn/detail/containers/queue_waiting.hpp>
#include <cairn/detail/containers/user_transaction.hpp>
#include <cairn/error.hpp>
#include <cairn/repr.hpp>

namespace cairn::inline CAIRN_ABI::detail {

template <typename T, typename Order>
class basic_queue : public object_handle {
    static_assert(require_element<T>());
    using parameter = typename element_traits<T>::parameter;

public:
    using value_type = T;
    using size_type = std::size_t;
    using is_cairn_handle = void;
    using lease_type = item_lease<T>;
    using dead_letter_queue = typename Order::dead_letter_queue;

    static constexpr object_kind kind = Order::kind;
    /// "str": recorded with the queue, and checked when it is opened.
    static std::string type_name() { return codec<T>::type_name(); }

    // ---- putting ---------------------------------------------------------------------------------------------------

    /// Appends a copy of `value`, waiting while the queue is full.
    /// @throws queue_closed  it was closed before or during the wait
    /// @throws segment_full  no room for the bytes and no growth possible; the queue is unchanged
    void put(parameter value) const { static_cast<void>(put_before(value, no_deadline, {})); }
    /// As put(). False when a stop was requested first, and then nothing was put.
    bool put(parameter value, const std::stop_token& stop) const {
        return put_before(value, no_deadline, stop);
    }
    /// As put(), waiting no longer than that. False when the time was up first, and then nothing was put.
    template <typename Rep, typename Period>
    bool put_for(parameter value, std::chrono::duration<Rep, Period> timeout,
                 const std::stop_token& stop = {}) const {
        return put_before(value, wait_limit(timeout), stop);
    }
    template <typename Clock, typename Duration>
    bool put_until(parameter value, std::chrono::time_point<Clock, Duration> deadline,
                   const std::stop_token& stop = {}) const {
        return attempt_until_time(
            deadline, [&] { return stop.stop_requested(); },
            [&](steady_time until) { return put_before(value, until, stop); });
    }
    /// False when the queue is full. @throws queue_closed, segment_full
    bool try_put(parameter value) const { return put_before(value, at_once, {}); }
    /// put() once, however often it is tried (once_id.hpp). Whether it was done now: what has happened does not wait.
    /// @throws invalid_argument  the number is 0
    bool put(parameter value, const exactly_once& how) const;
    /// Appends all: at once, as one, if the queue can ever hold that many, else in batches of its size, as room comes. While it
    /// waits, places that become free are kept for it, and to those who put single items the queue is full.
    /// @throws queue_closed, segment_full  batches that were appended before stay
    template <std::ranges::input_range Range = std::initializer_list<T>>
    void put_many(Range&& values) const {
        static_cast<void>(put_batches(values, {}));
    }
    /// How many were appended before a stop was requested.
    template <std::ranges::input_range Range = std::initializer_list<T>>
    size_type put_many(Range&& values, const std::stop_token& stop) const {
        return put_batches(values, stop);
    }

    // ---- getting ---------------------------------------------------------------------------------------------------

    /// Takes the next item, waiting while there is none.
    /// @throws queue_closed  it is closed, and nothing is left
    // Until some day it waits, and then there is one.
    T get() const { return *get_before(no_deadline, {}); }  // NOLINT(bugprone-unchecked-optional-access)
    /// As get(). Nothing when a stop was requested first.
    std::optional<T> get(const std::stop_token& stop) const { return get_before(no_deadline, stop); }
    /// As get(), waiting no longer than that. Nothing when the time was up first.
    template <typename Rep, typename Period>
    std::optional<T> get_for(std::chrono::duration<Rep, Period> timeout,
                             const std::stop_token& stop = {}) const {
        return get_before(wait_limit(timeout), stop);
    }
    template <typename Clock, typename Duration>
    std::optional<T> get_until(std::chrono::time_point<Clock, Duration> deadline,
                               const std::stop_token& stop = {}) const {
        return attempt_until_time(
            deadline, [&] { return stop.stop_requested(); },
            [&](steady_time until) { return get_before(until, stop); });
    }
    /// Nothing when the queue is empty. @throws queue_closed
    std::optional<T> try_get() const { return get_before(at_once, {}); }
    /// Takes up to `most` items as one, waiting while there is none; fewer than there are where a full segment has no room
    /// for the notes of a long batch. @throws queue_closed
    std::vector<T> get_many(size_type most) const { return get_batch(most, {}); }
    /// As get_many(). Empty when a stop was requested first.
    std::vector<T> get_many(size_type most, const std::stop_token& stop) const {
        return get_batch(most, stop);
    }

    // ---- leasing -----------------------------------------------------------------------------------------------------

    /// Takes the next item for as long as it is worked on, waiting while there is none: it is gone for good with ack(), and
    /// comes back to the front of the queue with release(), with the end of the guard, and with the death of this process.
    /// @throws queue_closed  it is closed, and nothing is left
    /// @throws segment_full  no room for the record of the lease; the queue is unchanged
    // NOLINTNEXTLINE(bugprone-unchecked-optional-access): as get()
    lease_type lease() const { return *lease_before(no_deadline, {}); }
    /// As lease(). Nothing when a stop was requested first.
    std::optional<lease_type> lease(const std::stop_token& stop) const {
        return lease_before(no_deadline, stop);
    }
    /// As lease(), waiting no longer than that. Nothing when the time was up first.
    template <typename Rep, typename Period>
    std::optional<lease_type> lease_for(std::chrono::duration<Rep, Period> timeout,
                                        const std::stop_token& stop = {}) const {
        return lease_before(wait_limit(timeout), stop);
    }
    template <typename Clock, typename Duration>
    std::optional<lease_type> lease_until(std::chrono::time_point<Clock, Duration> deadline,
                                          const std::stop_token& stop = {}) const {
        return attempt_until_time(
            deadline, [&] { return stop.stop_requested(); },
            [&](steady_time until) { return lease_before(until, stop); });
    }
    /// Nothing when the queue is empty. @throws queue_closed, segment_full
    std::optional<lease_type> try_lease() const { return lease_before(at_once, {}); }
    /// Items that somebody works on. They are not among size(), and join() waits for them.
    [[nodiscard]] size_type leased() const;
    /// Where items go that were leased max_deliveries times and never acknowledged: they are done, as far as join() is
    /// concerned. Nothing when the queue was made without max_deliveries.
    [[nodiscard]] std::optional<dead_letter_queue> dead_letters() const;

    /// The names of the standard library.
    void push(parameter value) const { put(value); }
    bool try_push(parameter value) const { return try_put(value); }
    T pop() const { return get(); }
    std::optional<T> try_pop() const { return try_get(); }

    // ---- counting ----------------------------------------------------------------------------------------------------

    /// Items that wait to be taken. Takes no lock, as all that follow; others may put and take at the same time.
    [[nodiscard]] size_type size() const;
    [[nodiscard]] bool empty() const { return size() == 0; }
    [[nodiscard]] bool full() const { return maxsize() != 0 && size() >= maxsize(); }
    /// 0: no limit.
    [[nodiscard]] size_type maxsize() const;
    /// Copies of all items at one moment, in the order in which they would be taken.
    [[nodiscard]] std::vector<T> snapshot() const;

    // ---- what was taken is done ----------------------------------------------------------------------------------------

    /// Says that an item that was taken has been dealt with: join() waits for one of these for each item put. It is taken to
    /// be for an item of this process if it has one, else for one that lost() counts, else for somebody else's. So it is best
    /// said by who took the item.
    /// @throws invalid_state  once more than items were put
    void task_done() const;
    /// Waits until task_done() has been called for every item that was put, but for those that lost() counts.
    void join() const { static_cast<void>(join_before(no_deadline, {})); }
    /// As join(). False when a stop was requested first.
    bool join(const std::stop_token& stop) const { return join_before(no_deadline, stop); }
    /// As join(), waiting no longer than that. False when the time was up first.
    template <typename Rep, typename Period>
    bool join_for(std::chrono::duration<Rep, Period> timeout, const std::stop_token& stop = {}) const {
        return join_before(wait_limit(timeout), stop);
    }

    /// Items that were taken with get() by processes that have ended, or let go of the segment, without a task_done() for
    /// them. They are not waited for:
    /// use lease() where the item must not end with its worker. A task_done() that comes for one after all makes it done.
    /// Takes no lock; asks the system for each process that has taken something.
    [[nodiscard]] size_type lost() const;

    // ---- ending ------------------------------------------------------------------------------------------------------

    /// No more items: put() throws queue_closed from now on, also where it waits; get() does when nothing is left. Once is
    /// enough; it cannot be undone.
    void close() const { shutdown(false); }
    /// As close(). If `immediate`, what is in the queue is dropped, and counts as done.
    void shutdown(bool immediate = false) const;
    [[nodiscard]] bool is_closed() const;

    // ---- several operations as one -----------------------------------------------------------------------------------

    /// Calls fn(queue&), and makes all that is done inside to this queue, by that handle or any other one in this thread, one
    /// change: all or nothing, also when fn throws or the process dies. See list::transaction. What would have to wait inside
    /// throws would_deadlock, since nobody could end that wait, and so do leases: they begin and end outside.
    template <std::invocable<typename Order::queue_type&> Fn>
    std::invoke_result_t<Fn, typename Order::queue_type&> transaction(Fn&& fn) const {
        this->require_writable();
        const typename Order::queue_type self(root_reference{this->hold(), &slot(), generation(), node()});
        return call_in_transaction(self, in(), slot(), generation(), std::forward<Fn>(fn));
    }
    /// The same once, however often it is tried. See list::transaction.
    template <std::invocable<typename Order::queue_type&> Fn>
    once_result<std::invoke_result_t<Fn, typename Order::queue_type&>> transaction(const exactly_once& how,
                                                                                   Fn&& fn) const {
        this->require_writable();
        const typename Order::queue_type self(root_reference{this->hold(), &slot(), generation(), node()});
        return call_in_transaction(self, in(), slot(), generation(), how.once, std::forward<Fn>(fn));
    }

    /// "queue([1, 2], maxsize=3)"
    void append_repr_to(std::string& text) const;
    friend std::ostream& operator<<(std::ostream& to, const basic_queue& q) {
        std::string text;
        q.append_repr_to(text);
        write(to, text);
        return to;
    }

    /// For the manager.
    explicit basic_queue(root_reference root) noexcept : object_handle(std::move(root)) {}
    static void validate(const segment& s, segment_offset node) {
        static_cast<void>(queue_at(s, node, Order::stride, Order::form, Order::order));
    }
    static segment_offset create(root_transaction& tx, std::uint64_t maxsize, std::uint32_t max_deliveries) {
        return Order::create(tx, maxsize, max_deliveries);
    }

private:
    static constexpr bool may_be_large =
        Order::order == queue_order::fifo && Order::form == element_form::blob && is_copied_whole<T>();

    [[nodiscard]] CAIRN_INLINE queue_node& node_in(const segment& s) const noexcept {
        return *s.template at<queue_node>(node());
    }
    static void require_open(const char* operation, const root_transaction& tx, const queue_node& n) {
        if (n.state != queue_state::open) [[unlikely]]
            throw_closed(operation, tx, n);
    }
    // Under the lock, where a slot is found by what the node says of it: it was judged when the handle was made.
    static void require_stride(const root_transaction& tx, const queue_node& n) {
        if (n.stride != Order::stride) [[unlikely]]
            throw_damaged(tx.in(), tx.slot());
    }
    // A fifo passes its own stride.
    static void require_list_stride(const root_transaction& tx, const queue_node& n) {
        if constexpr (Order::order != queue_order::fifo) require_stride(tx, n);
    }
    bool put_before(parameter value, steady_time deadline, const std::stop_token& stop) const;
    template <typename Range>
    size_type put_batches(Range& values, const std::stop_token& stop) const;
    std::optional<T> get_before(steady_time deadline, const std::stop_token& stop) const;
    template <typename Early>  // early_copy<T>, of what is large; for other elements there is none
    std::optional<T> get_early(steady_time deadline, const std::stop_token& stop) const;
    template <typename Attempt>
    bool attempt_get(steady_time deadline, const std::stop_token& stop, const Attempt& take) const;
    std::optional<T> get_decoded(steady_time deadline, const std::stop_token& stop) const;
    static void take_returned(root_transaction& tx, queue_node& n, element_copy<T>& item);
    static const std::byte* next_slot(root_transaction& tx, queue_node& n);
    static void take_next(root_transaction& tx, queue_node& n, const std::byte* slot);
    static bool take_batch(root_transaction& tx, queue_node& n, size_type most, batch_to_take<T>& batch);
    template <typename Item>
    void decode_outside(Item& item) const;
    void pass_wake_on() const noexcept;
    std::vector<T> get_batch(size_type most, const std::stop_token& stop) const;
    std::optional<lease_type> lease_before(steady_time deadline, const std::stop_token& stop) const;
    bool join_before(steady_time deadline, const std::stop_token& stop) const;
    template <typename Get>
    [[nodiscard]] auto read(Get value) const;
};

}  // namespace cairn::inline CAIRN_ABI::detail

#include <cairn/detail/containers/queue_impl.hpp>

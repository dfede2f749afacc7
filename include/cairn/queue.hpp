// queue.hpp - cairn::queue<T>, a blocking FIFO for all attached processes (Python: Manager().Queue and JoinableQueue).
//
//   auto jobs = m.queue<std::string>("jobs", 100);      // holds 100 at most; without a number as many as there is room for
//   jobs.put("a");                                      // waits while it is full
//   std::string job = jobs.get();                       // waits while it is empty
//
// Stored        one queue_node in its root's arena, items in linked chunks (detail/containers/queue_layout.hpp).
// Handle        a queue is a pointer: copies refer to the same one, and keep the mapping alive; it owns no item.
// Protected by  the root's mutex for every change. Sizes and snapshots take no lock.
// Commit        put: the store of the tail. get: the store of the head. Sleepers are woken before it.
// Death         an operation whose process is killed has happened whole or not at all, and those who wait go on: at once as
//               a rule, within 250 ms at the worst instruction.
// Failure       an item is decoded before it is taken: where that throws, it stays where it was, for the next who comes, and
//               a lease has not begun. What nobody can decode stays at the front, until shutdown(true) drops all items.
//
// When to use   each item is to be dealt with once, by whoever is free. A list<T> or dict<K, V> keeps what it has.
// Cost          put and get: one lock, constant; no system call unless somebody sleeps. Waiting costs no processor time.
//               Items are copies.
// Safety        every operation is thread-safe, process-shared, crash-atomic and fork-safe; none is signal-safe. What waits
//               throws would_deadlock in callbacks of other operations, and object_gone when the queue is removed.
//
// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <cairn/detail/base/language.hpp>

#include <cstdint>
#include <optional>
#include <utility>
#include <vector>

#include <cairn/detail/base/standard.hpp>
#include <cairn/detail/containers/basic_queue.hpp>
#include <cairn/detail/containers/fifo_order.hpp>
#include <cairn/detail/containers/lifo_order.hpp>
#include <cairn/detail/containers/priority_order.hpp>

namespace cairn::inline CAIRN_ABI {

/// What a queue is made with; a queue that is there keeps what it was made with.
struct queue_options {
    /// The most items that it holds; 0: as many as there is memory for. Leased items do not count, and come back even so.
    std::int64_t maxsize = 0;
    /// An item that was leased so often, and was never acknowledged, goes to the dead letters; 0: never.
    std::uint32_t max_deliveries = 0;
};

/// An item of a queue, leased. Move-only; what is neither acknowledged nor released when it goes is released.
/// Safety        one object, one thread at a time; ack() and release() are process-shared and crash-atomic
template <typename T>
class item_lease : public detail::lease_hold {
public:
    /// The item, a copy.
    [[nodiscard]] const T& get() const noexcept { return item_; }
    [[nodiscard]] const T& operator*() const noexcept { return item_; }
    [[nodiscard]] const T* operator->() const noexcept { return &item_; }

    /// For the queue.
    item_lease(detail::root_reference root, detail::lease_ticket ticket, T&& item)
        : lease_hold(std::move(root), ticket), item_(std::move(item)) {}

private:
    T item_;
};

/// First in, first out.
template <typename T>
class queue : public detail::basic_queue<T, detail::fifo_order<T>> {
public:
    using detail::basic_queue<T, detail::fifo_order<T>>::basic_queue;
};

/// Last in, first out: what was put last is taken first.
template <typename T>
class lifo_queue : public detail::basic_queue<T, detail::lifo_order<T>> {
public:
    using detail::basic_queue<T, detail::lifo_order<T>>::basic_queue;
};

/// The smallest first; of equals the one that was put first. `Compare` is a type that is made where it is needed, and runs
/// under the queue's lock: it may not use Cairn. put() and get() compare about as often as the number of items has digits in
/// base 2. What comes back from a lease is taken first, whatever it is.
template <typename T, typename Compare = std::less<T>>
class priority_queue : public detail::basic_queue<T, detail::priority_order<T, Compare>> {
public:
    using detail::basic_queue<T, detail::priority_order<T, Compare>>::basic_queue;
};

/// Generic code asks for this: a queue of T, whatever keeps it.
template <typename Q, typename T>
concept queue_of = requires(const Q& q, const T& item) {
    q.put(item);
    { q.try_put(item) } -> std::convertible_to<bool>;
    { q.get() } -> std::convertible_to<T>;
    { q.try_get() } -> std::convertible_to<std::optional<T>>;
    { q.size() } -> std::convertible_to<std::size_t>;
    q.task_done();
    q.close();
};

}  // namespace cairn::inline CAIRN_ABI

// channel.hpp - cairn::channel<T>, a bounded ring from one producer to one consumer, which takes no lock.
//
//   auto lines = m.channel<std::string>("lines", 4096);  // 4096 items at most
//   lines.put("a");                                      // one thread of all processes, waits while it is full
//   std::string line = lines.get();                      // one thread of all processes, waits while it is empty
//
// Stored        one channel_node in its root's arena, and a boost::lockfree::spsc_queue of words
//               (detail/containers/channel_layout.hpp). The version of Boost is part of its type.
// Handle        a channel is a pointer: copies refer to the same one, and keep the mapping alive; it owns no item.
// Ends          the first thread that puts is the producer, the first that gets the consumer, until it ends, dies with its
//               process, or calls release_producer() or release_consumer(). Anybody else gets invalid_state meanwhile, and
//               becomes it afterwards.
// Protected by  that, where items go in and out. The root's mutex for everything else.
// Commit        put: the store of the ring's write index. get: that of its read index.
// Death         a process killed at any instruction leaves each item in the channel, once, or out of it; its end is free.
//               Who waits at the other end goes on: at once as a rule, within 250 ms at the worst instruction.
//
// When to use   one thread makes what one other needs, and a lock would be half of the cost. A queue<T> has any number at
//               both ends, leases and join(), and grows.
// Cost          put and get: constant, no lock, two fences; no system call unless the other end sleeps. Items are copies.
// Safety        every operation is process-shared, crash-atomic and fork-safe, and thread-safe as far as the ends go; none is
//               signal-safe. All but the reads throw would_deadlock in callbacks of other operations, and object_gone when
//               the channel is removed. It has no transaction(): nothing is taken back where there is no lock.
//
// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <cairn/detail/base/language.hpp>

#include <array>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <iosfwd>
#include <optional>
#include <span>
#include <stop_token>
#include <string>
#include <utility>
#include <vector>

#include <cairn/codec.hpp>
#include <cairn/detail/base/standard.hpp>
#include <cairn/detail/containers/channel_core.hpp>
#include <cairn/detail/containers/decoding.hpp>
#include <cairn/detail/containers/element.hpp>
#include <cairn/detail/containers/object_handle.hpp>
#include <cairn/detail/containers/waiting.hpp>
#include <cairn/error.hpp>
#include <cairn/repr.hpp>

namespace cairn::inline CAIRN_ABI {

/// What a channel is made with. One that is there must have been made with the same.
struct channel_options {
    /// The most items that it holds.
    std::int64_t capacity = 0;
    /// For items without a fixed size (strings ...): how many bytes all of them may have, 8 more for each included. No item
    /// can be larger. 0: 64 for each item; where all have one size (large structs, tuples of
    /// numbers), as many as they need.
    std::uint64_t bytes = 0;
};

template <typename T>
class channel : public detail::object_handle {
    static_assert(detail::require_element<T>());
    using traits = detail::element_traits<T>;
    using parameter = typename traits::parameter;

public:
    using value_type = T;
    using size_type = std::size_t;
    using is_cairn_handle = void;

    static constexpr detail::object_kind kind = detail::object_kind::channel;
    /// "str, boost 1.74": recorded with the channel, and checked when it is opened.
    static std::string type_name() { return detail::channel_type_name(codec<T>::type_name()); }

    // ---- putting: one thread ---------------------------------------------------------------------------------------

    /// Appends a copy of `value`, waiting while the channel is full.
    /// @throws queue_closed      it was closed before or during the wait
    /// @throws invalid_state     another living thread is its producer
    /// @throws invalid_argument  the item is larger than the channel; nothing was put
    void put(parameter value) const { static_cast<void>(put_before(value, detail::no_deadline, {})); }
    /// As put(). False when a stop was requested first, and then nothing was put.
    bool put(parameter value, const std::stop_token& stop) const {
        return put_before(value, detail::no_deadline, stop);
    }
    /// As put(), waiting no longer than that. False when the time was up first, and then nothing was put.
    template <typename Rep, typename Period>
    bool put_for(parameter value, std::chrono::duration<Rep, Period> timeout,
                 const std::stop_token& stop = {}) const {
        return put_before(value, detail::wait_limit(timeout), stop);
    }
    template <typename Clock, typename Duration>
    bool put_until(parameter value, std::chrono::time_point<Clock, Duration> deadline,
                   const std::stop_token& stop = {}) const {
        return detail::attempt_until_time(
            deadline, [&] { return stop.stop_requested(); },
            [&](detail::steady_time until) { return put_before(value, until, stop); });
    }
    /// False when the channel is full. Throws as put().
    bool try_put(parameter value) const { return put_before(value, detail::at_once, {}); }
    /// Another thread may put from now on. Nothing where this one does not.
    void release_producer() const { detail::release_end(writable(), detail::producer_end); }

    // ---- getting: one thread ---------------------------------------------------------------------------------------

    /// Takes the next item, waiting while there is none.
    /// @throws queue_closed   it is closed, and nothing is left
    /// @throws invalid_state  another living thread is its consumer
    // Until some day it waits, and then there is one.
    T get() const {
        return *get_before(detail::no_deadline, {});  // NOLINT(bugprone-unchecked-optional-access)
    }
    /// As get(). Nothing when a stop was requested first.
    std::optional<T> get(const std::stop_token& stop) const { return get_before(detail::no_deadline, stop); }
    /// As get(), waiting no longer than that. Nothing when the time was up first.
    template <typename Rep, typename Period>
    std::optional<T> get_for(std::chrono::duration<Rep, Period> timeout,
                             const std::stop_token& stop = {}) const {
        return get_before(detail::wait_limit(timeout), stop);
    }
    template <typename Clock, typename Duration>
    std::optional<T> get_until(std::chrono::time_point<Clock, Duration> deadline,
                               const std::stop_token& stop = {}) const {
        return detail::attempt_until_time(
            deadline, [&] { return stop.stop_requested(); },
            [&](detail::steady_time until) { return get_before(until, stop); });
    }
    /// Nothing when the channel is empty. Throws as get().
    std::optional<T> try_get() const { return get_before(detail::at_once, {}); }
    /// Another thread may get from now on. Nothing where this one does not.
    void release_consumer() const { detail::release_end(writable(), detail::consumer_end); }

    /// The names of the standard library.
    void push(parameter value) const { put(value); }
    bool try_push(parameter value) const { return try_put(value); }
    T pop() const { return get(); }
    std::optional<T> try_pop() const { return try_get(); }

    // ---- looking: anybody -------------------------------------------------------------------------------------------

    /// Items that wait to be taken. Takes no lock, as all that follow but snapshot().
    [[nodiscard]] size_type size() const {
        return read([](const detail::segment& s, const detail::channel_node& n) {
            return detail::count_items(s, n);
        });
    }
    [[nodiscard]] bool empty() const { return size() == 0; }
    /// An item more has no room, however small it is.
    [[nodiscard]] bool full() const {
        return read([](const detail::segment& s, const detail::channel_node& n) {
            return detail::count_items(s, n) >= detail::load_word(n.capacity) ||
                   !detail::has_room_for(s, n, traits::in_place ? detail::channel_item_words(sizeof(T)) : 1);
        });
    }
    /// The most items that it holds.
    [[nodiscard]] size_type capacity() const {
        return read([](const detail::segment&, const detail::channel_node& n) {
            return detail::load_word(n.capacity);
        });
    }
    [[nodiscard]] bool is_closed() const {
        return read([](const detail::segment&, const detail::channel_node& n) {
            return detail::is_channel_closed(n);
        });
    }
    /// Copies of all items, in the order in which they would be taken, at one moment: both ends wait for it. Where the
    /// segment is open for reading only, of those that are there all the time.
    [[nodiscard]] std::vector<T> snapshot() const;

    // ---- ending -----------------------------------------------------------------------------------------------------

    /// No more items: put() throws queue_closed from now on, also where it waits; get() does when nothing is left. Once is
    /// enough, by anybody; it cannot be undone.
    void close() const { detail::close_channel(writable()); }

    /// "channel([1, 2], capacity=4)"
    void append_repr_to(std::string& text) const;
    friend std::ostream& operator<<(std::ostream& to, const channel& c) {
        std::string text;
        c.append_repr_to(text);
        detail::write(to, text);
        return to;
    }

    /// For the manager.
    explicit channel(detail::root_reference root) noexcept : object_handle(std::move(root)) {}
    static void validate(const detail::segment& s, detail::segment_offset node) {
        static_cast<void>(detail::channel_at(s, node, item_bytes));
    }
    static detail::channel_shape shape_of(const std::string& what, const channel_options& options) {
        // Large structs and tuples are stored as strings are, but may have one size: then the channel holds its capacity.
        constexpr std::uint64_t each = traits::in_place ? 0 : detail::fixed_bytes<T>();
        return detail::channel_shape_of(what, options.capacity, options.bytes, item_bytes, each);
    }
    static detail::segment_offset create(detail::root_transaction& tx, const detail::channel_shape& shape) {
        return detail::create_channel(tx, shape);
    }
    /// Throws type_mismatch where it was made with another capacity.
    void require_shape(const detail::channel_shape& wanted, bool any_bytes) const {
        detail::require_channel_shape(reference(), wanted, any_bytes || traits::in_place);
    }

private:
    static constexpr std::size_t item_bytes = traits::in_place ? sizeof(T) : 0;
    using item_words = std::array<std::uint64_t, detail::channel_item_words(sizeof(T))>;  // in place

    [[nodiscard]] detail::channel_reference reference() const noexcept {
        return {in(), slot(), generation(), *in().template at<detail::channel_node>(node())};
    }
    [[nodiscard]] detail::channel_reference writable() const {
        require_writable();
        return reference();
    }
    struct receiver final : detail::item_receiver {
        bool prepare(std::span<const std::byte> bytes) override {
            is_left = !value.prepare(bytes, false);
            return !is_left;
        }
        detail::decoding<T> value;
        bool is_left = false;
    };
    bool put_before(parameter value, detail::steady_time deadline, const std::stop_token& stop) const;
    std::optional<T> get_before(detail::steady_time deadline, const std::stop_token& stop) const;
    template <typename Get>
    [[nodiscard]] auto read(Get value) const;
};

// ---- bodies --------------------------------------------------------------------------------------------------------------

template <typename T>
bool channel<T>::put_before(parameter value, detail::steady_time deadline,
                            const std::stop_token& stop) const {
    const detail::channel_reference c = writable();
    if constexpr (traits::in_place) {
        item_words words{};
        std::memcpy(words.data(), &value, sizeof(T));
        return detail::put_item(c, words, deadline, stop);
    } else {
        const detail::encoded<T> stored(value);
        const detail::blob_words words(stored.bytes());
        return detail::put_item(c, words.get(), deadline, stop);
    }
}

template <typename T>
std::optional<T> channel<T>::get_before(detail::steady_time deadline, const std::stop_token& stop) const {
    const detail::channel_reference c = writable();
    if constexpr (traits::in_place) {
        item_words words;
        if (!detail::get_item(c, std::span<std::uint64_t>(words), deadline, stop)) return std::nullopt;
        return detail::in_place_copy<T>(reinterpret_cast<const std::byte*>(words.data())).get();
    } else {
        receiver item;
        do {
            if (item.is_left) item.value.decode_outside();
            if (!detail::get_item(c, item, deadline, stop)) return std::nullopt;
        } while (item.is_left);
        return item.value.take();
    }
}

template <typename T>
template <typename Get>
auto channel<T>::read(Get value) const {
    const auto at = [this](const detail::segment& s) -> const detail::channel_node& {
        return *s.template at<detail::channel_node>(node());
    };
    const detail::quick_look look(in(), slot(), generation());
    if (look.may_look()) [[likely]] {
        const auto seen = value(in(), at(in()));
        if (look.is_whole()) [[likely]]
            return seen;
    }
    decltype(value(in(), at(in()))) seen{};
    detail::read_root(in(), slot(), generation(), [&](detail::segment& s) {
        seen = value(s, at(s));
        return detail::read_result::done;
    });
    return seen;
}

template <typename T>
std::vector<T> channel<T>::snapshot() const {
    const detail::channel_reference c = reference();
    const std::vector<std::uint64_t> words = detail::copy_of_items(c);
    std::vector<T> values;
    for (std::size_t at = 0; at < words.size();) {
        const std::span<const std::byte> bytes = detail::next_item(item_bytes, words, at);
        if (bytes.data() == nullptr) detail::throw_damaged(in(), slot());
        if constexpr (traits::in_place) values.push_back(detail::in_place_copy<T>(bytes.data()).get());
        else values.push_back(codec<T>::decode(bytes));
    }
    return values;
}

template <typename T>
void channel<T>::append_repr_to(std::string& text) const {
    text += "channel(";
    detail::append_element(text, snapshot());
    text += ", capacity=" + std::to_string(capacity()) + ')';
}

}  // namespace cairn::inline CAIRN_ABI

// value.hpp - cairn::value<T>: one value of any element type that processes share (multiprocessing.Value).
//
//   auto hits = m.value<long>("hits");          // find or create, 0 then; m.value<long>("hits", 5) begins with 5
//   hits.fetch_add(1);                          // also ++hits, hits += 2; by any number of processes, none is lost
//   long seen = hits.load();
//   hits.update([](long& v) { v = v * 2 + 1; }); // any change, as one
//
// Stored        a number, bool, enum or struct of 1, 2, 4 or 8 bytes: a word in its root's control block (detail/containers/value_cell.hpp).
//               Any other T: as an element of a list is.
// Handle        a value is a pointer: copies refer to the same one, and keep the mapping alive.
// Protected by  of a word, one instruction, and the root's lock in transactions and in update(). Of any other T, the root's lock; readers
//               take none.
// Commit        that instruction; else that of the operation.
// Death         before the commit: nothing happened. After it: it has. Nobody waits for the dead.
//
// Cost          of a word, load: some loads; store, exchange, fetch_add ...: one compare-and-swap of 16 bytes, again where another process was
//               faster. update(): one lock. Of any other T as of a list's element.
// Safety        every operation is thread-safe, process-shared, crash-atomic and fork-safe; none is signal-safe. In callbacks of other
//               operations all are would_deadlock, but in transactions of this value. All throw object_gone when it is removed.
//
// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <cairn/detail/base/language.hpp>

#include <array>
#include <concepts>
#include <cstdint>
#include <cstring>
#include <iosfwd>
#include <optional>
#include <string>
#include <type_traits>
#include <utility>

#include <cairn/detail/containers/once_table.hpp>
#include <cairn/detail/containers/value_cell.hpp>
#include <cairn/list.hpp>

namespace cairn::inline CAIRN_ABI {

namespace detail {

/// Values of a type that fits into a cell, as a word.
template <typename T>
CAIRN_INLINE std::uint64_t to_cell(const T& value) noexcept {
    std::uint64_t word = 0;
    std::memcpy(&word, &value, sizeof value);
    return word;
}
template <typename T>
CAIRN_INLINE T from_cell(std::uint64_t word) noexcept {
    if constexpr (std::is_same_v<T, bool>) {
        return (word & 0xff) != 0;
    } else {
        in_place_copy<T> copy(reinterpret_cast<const std::byte*>(&word));
        return copy.get();
    }
}

template <typename T>
concept countable = std::is_arithmetic_v<T> && !std::is_same_v<T, bool>;
template <typename T>
concept has_bits = std::integral<T> && !std::is_same_v<T, bool>;

/// Sums wrap, as those of std::atomic.
template <countable T>
constexpr T wrapping_sum(T a, T b) noexcept {
    if constexpr (std::integral<T>) {
        using bits = std::make_unsigned_t<T>;
        return static_cast<T>(static_cast<bits>(static_cast<bits>(a) + static_cast<bits>(b)));
    } else {
        return a + b;
    }
}
template <countable T>
constexpr T wrapping_difference(T a, T b) noexcept {
    if constexpr (std::integral<T>) {
        using bits = std::make_unsigned_t<T>;
        return static_cast<T>(static_cast<bits>(static_cast<bits>(a) - static_cast<bits>(b)));
    } else {
        return a - b;
    }
}

}  // namespace detail

template <typename T>
class value : public detail::object_handle {
    static_assert(detail::require_element<T>());
    using traits = detail::element_traits<T>;
    using parameter = typename traits::parameter;

public:
    using value_type = T;
    using is_cairn_handle = void;
    static constexpr detail::object_kind kind = detail::object_kind::value;
    /// Whether load, store, exchange and the like take no lock.
    static constexpr bool is_always_lock_free = traits::is_word;
    /// "int64": recorded with the value, and checked when it is opened.
    static std::string type_name() { return codec<T>::type_name(); }

    // ---- reading and writing --------------------------------------------------------------------------------------

    [[nodiscard]] CAIRN_INLINE T load() const;
    [[nodiscard]] CAIRN_INLINE T get() const { return load(); }
    [[nodiscard]] operator T() const {
        return load();
    }  // NOLINT(google-explicit-constructor): as std::atomic
    /// @throws segment_full  of a T that is no word: no room for its bytes; it is unchanged
    CAIRN_INLINE void store(parameter to) const;
    void set(parameter to) const { store(to); }
    /// Stores `to`; returns what was there.
    T exchange(parameter to) const;
    /// Stores `to` if `expected` is there, compared by its bytes, and returns true; else writes what is there to `expected`.
    bool compare_exchange(T& expected, T to) const
        requires(detail::element_traits<T>::is_word);
    /// Calls fn on a copy under the lock, and stores it: what fn left in its T& argument, or what it returned, if it returns a T. If
    /// fn throws, nothing happened. Returns what is there now.
    /// @throws segment_full, whatever fn throws; inside fn any use of Cairn is would_deadlock
    template <typename Fn>
        requires std::invocable<Fn, T&>
    T update(Fn&& fn) const;

    // ---- counting ---------------------------------------------------------------------------------------------------

    /// Each returns what was there before. Integers wrap.
    CAIRN_INLINE T fetch_add(T by) const
        requires detail::countable<T>
    {
        return change([by](T old) { return detail::wrapping_sum(old, by); });
    }
    CAIRN_INLINE T fetch_sub(T by) const
        requires detail::countable<T>
    {
        return change([by](T old) { return detail::wrapping_difference(old, by); });
    }
    T fetch_and(T bits) const
        requires detail::has_bits<T>
    {
        return change([bits](T old) { return static_cast<T>(old & bits); });
    }
    T fetch_or(T bits) const
        requires detail::has_bits<T>
    {
        return change([bits](T old) { return static_cast<T>(old | bits); });
    }
    T fetch_xor(T bits) const
        requires detail::has_bits<T>
    {
        return change([bits](T old) { return static_cast<T>(old ^ bits); });
    }
    T fetch_max(T other) const
        requires detail::countable<T>
    {
        return change([other](T old) { return old < other ? other : old; });
    }
    T fetch_min(T other) const
        requires detail::countable<T>
    {
        return change([other](T old) { return other < old ? other : old; });
    }
    /// Each returns what is there now.
    T operator+=(T by) const
        requires detail::countable<T>
    {
        return detail::wrapping_sum(fetch_add(by), by);
    }
    T operator-=(T by) const
        requires detail::countable<T>
    {
        return detail::wrapping_difference(fetch_sub(by), by);
    }
    T operator&=(T bits) const
        requires detail::has_bits<T>
    {
        return static_cast<T>(fetch_and(bits) & bits);
    }
    T operator|=(T bits) const
        requires detail::has_bits<T>
    {
        return static_cast<T>(fetch_or(bits) | bits);
    }
    T operator^=(T bits) const
        requires detail::has_bits<T>
    {
        return static_cast<T>(fetch_xor(bits) ^ bits);
    }
    T operator++() const
        requires detail::countable<T>
    {
        return *this += T{1};
    }
    T operator--() const
        requires detail::countable<T>
    {
        return *this -= T{1};
    }
    /// What was there before, as of a number.
    T operator++(int) const
        requires detail::countable<T>
    {
        return fetch_add(T{1});
    }
    T operator--(int) const
        requires detail::countable<T>
    {
        return fetch_sub(T{1});
    }

    // ---- once ---------------------------------------------------------------------------------------------------------

    /// Once, however often it is tried (once_id.hpp): whether it was now. Under the lock. @throws invalid_argument  the number is 0
    bool store(parameter to, const exactly_once& how) const {
        return once(how, [&] { store(to); });
    }
    bool set(parameter to, const exactly_once& how) const { return store(to, how); }
    /// What was there before, if it was now.
    std::optional<T> fetch_add(T by, const exactly_once& how) const
        requires detail::countable<T>
    {
        std::optional<T> before;
        if (!once(how, [&] { before = fetch_add(by); })) return std::nullopt;
        return before;
    }

    // ---- several operations as one -----------------------------------------------------------------------------------

    /// Calls fn(value&), and makes all that is done inside to this value one change. See list::transaction; together with another
    /// object: cairn::transaction.
    template <std::invocable<value&> Fn>
    std::invoke_result_t<Fn, value&> transaction(Fn&& fn) const {
        this->require_writable();
        return detail::call_in_transaction(*this, in(), slot(), generation(), std::forward<Fn>(fn));
    }
    template <std::invocable<value&> Fn>
    detail::once_result<std::invoke_result_t<Fn, value&>> transaction(const exactly_once& how,
                                                                      Fn&& fn) const {
        this->require_writable();
        return detail::call_in_transaction(*this, in(), slot(), generation(), how.once, std::forward<Fn>(fn));
    }

    /// The value, as repr() prints it.
    void append_repr_to(std::string& text) const { detail::append_element(text, load()); }
    friend std::ostream& operator<<(std::ostream& to, const value& v) {
        detail::write(to, repr(v));
        return to;
    }
    [[nodiscard]] friend bool operator==(const value& a, const value& b)
        requires detail::equatable<T>
    {
        return a.same_object(b) || detail::equal_elements(a.load(), b.load());
    }
    /// Of a number or an enum it is that of the T that the value converts to.
    [[nodiscard]] friend bool operator==(const value& a, const T& b)
        requires(detail::equatable<T> && std::is_class_v<T>)
    {
        return detail::equal_elements(a.load(), b);
    }

    /// For the manager.
    explicit value(detail::root_reference root)
        : object_handle(root), element_(element_of(std::move(root))) {}
    static void validate(const detail::segment& s, detail::segment_offset node) {
        [[maybe_unused]] const detail::value_node& found =
            detail::value_at(s, node, form, form == detail::value_form::cell ? sizeof(T) : 0);
        if constexpr (!is_always_lock_free) cairn::list<T>::validate(s, detail::load_word(found.element));
    }
    /// What it begins with, encoded.
    class encoded_contents {
    public:
        explicit encoded_contents(parameter first) : bytes_(first) {}
        detail::segment_offset create(detail::root_transaction& tx) const {
            if constexpr (is_always_lock_free) {
                std::uint64_t word = 0;
                std::memcpy(&word, bytes_.bytes().data(), sizeof(T));
                return detail::create_cell_node(tx, sizeof(T), word);
            } else {
                const detail::segment_offset element = cairn::list<T>::create(tx);
                auto& node = *tx.in().template at<detail::list_node>(element);
                std::byte* const to = detail::next_element(tx, node, traits::stride);
                if constexpr (traits::in_place) {
                    alignas(8) std::array<std::byte, traits::stride> padded{};
                    std::memcpy(padded.data(), bytes_.bytes().data(), bytes_.bytes().size());
                    detail::copy_in_fixed<traits::stride>(to, padded.data());
                } else {
                    detail::write_blob(tx, *reinterpret_cast<detail::blob_slot*>(to), bytes_.bytes());
                }
                tx.store(node.size, 1);
                return detail::create_element_node(tx, element);
            }
        }
        [[nodiscard]] std::uint64_t size_in_bytes() const noexcept { return bytes_.bytes().size(); }

    private:
        detail::encoded<T> bytes_;
    };

private:
    static constexpr detail::value_form form =
        is_always_lock_free ? detail::value_form::cell : detail::value_form::element;
    struct nothing {};
    using element = std::conditional_t<is_always_lock_free, nothing, cairn::list<T>>;

    static element element_of(detail::root_reference root) {
        if constexpr (is_always_lock_free) {
            return {};
        } else {
            root.node = detail::load_word(root.in->template at<detail::value_node>(root.node)->element);
            return cairn::list<T>(std::move(root));
        }
    }

    /// next(T) → T, which has no effects and may be called several times. Returns what was there.
    template <typename Next>
    CAIRN_INLINE T change(Next next) const {
        this->require_writable();
        detail::root_slot& of = slot();
        if (detail::this_thread.open == nullptr) [[likely]] {
            for (;;) {
                const detail::cell_look seen = detail::look_at_cell(of.cell);
                if ((seen.control & detail::cell_is_held) != 0 ||
                    detail::load_word(of.generation) != generation() ||
                    detail::load_word(of.state) != static_cast<std::uint32_t>(detail::root_state::live))
                    [[unlikely]]
                    break;
                const T old = detail::from_cell<T>(seen.value);
                if (detail::replace_cell(of.cell, seen, detail::to_cell(next(old)), seen.control + 2))
                    [[likely]]
                    return old;
            }
        }
        return change_under_lock(next);
    }
    template <typename Next>
    CAIRN_NOINLINE T change_under_lock(Next& next) const {
        return detail::from_cell<T>(detail::change_cell_under_lock(
            in(), slot(), generation(), &next, [](void* how, std::uint64_t old) {
                return detail::to_cell<T>((*static_cast<Next*>(how))(detail::from_cell<T>(old)));
            }));
    }
    template <typename Fn>
    bool once(const exactly_once& how, Fn fn) const {
        this->require_writable();
        return detail::do_once(in(), slot(), generation(), how.once, fn) == detail::once_outcome::done;
    }

    [[no_unique_address]] element element_;
};

// ---- bodies --------------------------------------------------------------------------------------------------------

template <typename T>
CAIRN_INLINE T value<T>::load() const {
    if constexpr (is_always_lock_free) {
        const detail::quick_look look(in(), slot(), generation());
        if (look.may_look()) [[likely]] {
            const std::uint64_t word = detail::load_word(slot().cell.value);
            if (look.is_whole()) [[likely]]
                return detail::from_cell<T>(word);
        }
        return detail::from_cell<T>(detail::read_cell_slowly(in(), slot(), generation()));
    } else {
        return element_.at(0);
    }
}

template <typename T>
CAIRN_INLINE void value<T>::store(parameter to) const {
    if constexpr (is_always_lock_free) static_cast<void>(change([&to](T) { return to; }));
    else element_.set(0, to);
}

template <typename T>
T value<T>::exchange(parameter to) const {
    if constexpr (is_always_lock_free) {
        return change([&to](T) { return to; });
    } else {
        std::optional<T> before;
        const T after(to);
        element_.update(0, [&](T& stored) {
            before.emplace(std::move(stored));
            stored = after;
        });
        return *std::move(before);
    }
}

template <typename T>
bool value<T>::compare_exchange(T& expected, T to) const
    requires(detail::element_traits<T>::is_word)
{
    const std::uint64_t wanted = detail::to_cell(expected);
    bool is_done = false;
    const T old = change([&](T seen) {
        is_done = detail::to_cell(seen) == wanted;
        return is_done ? to : seen;
    });
    if (!is_done) expected = old;
    return is_done;
}

template <typename T>
template <typename Fn>
    requires std::invocable<Fn, T&>
T value<T>::update(Fn&& fn) const {
    const auto call = [&](T& stored) {
        if constexpr (std::is_same_v<std::remove_cvref_t<std::invoke_result_t<Fn, T&>>, T>)
            stored = detail::call_with(std::forward<Fn>(fn), stored);
        else detail::call_with(std::forward<Fn>(fn), stored);
    };
    if constexpr (is_always_lock_free) {
        this->require_writable();
        std::optional<T> after;
        auto next = [&](T old) {
            call(old);
            after.emplace(old);
            return old;
        };
        static_cast<void>(change_under_lock(next));
        return *after;
    } else {
        std::optional<T> after;
        element_.update(0, [&](T& stored) {
            call(stored);
            after.emplace(stored);
        });
        return *std::move(after);
    }
}

}  // namespace cairn::inline CAIRN_ABI

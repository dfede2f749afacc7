// array.hpp - cairn::array<T>: a fixed number of elements that processes share (multiprocessing.Array).
//
//   auto a = m.array<double>("a", 1'000);          // find or create, all 0; m.array<long>("b", {1, 2, 3})
//   a[7] += 0.5;                                   // one element, atomically
//   {
//       const std::lock_guard held(a);             // or several, by the owner of its lock, through memory that is its own meanwhile
//       for (double& each : a.data()) each *= 2;
//   }
//
// Stored        one array_node and the elements, side by side, in its root's arena (detail/sync/sync_layout.hpp).
// Handle        an array is a pointer: copies refer to the same one, and keep the mapping alive.
// Protected by  the root's lock, which lock() takes; readers take none. While a thread has it, its own operations go on, and others wait.
// Commit        the store of an element of 8 bytes or less; else the root's log. Through data(): each store by itself.
// Death         of who changes an element: before the commit nothing happened, after it it has. Of the owner of the lock: what it has stored
//               through data(), or by operations while it had the lock, is there, and the next owner finds owner_died().
//
// Cost          at: some loads. set of a word: one lock. lock, unlock: as a mutex.
// Safety        every operation is thread-safe, process-shared and fork-safe, and crash-atomic but through data(); none is signal-safe. All are
//               would_deadlock in callbacks of other operations, but in transactions of this array. All throw object_gone when it is
//               removed.
//
// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <cairn/detail/base/language.hpp>

#include <concepts>
#include <cstdint>
#include <iosfwd>
#include <iterator>
#include <optional>
#include <span>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

#include <cairn/detail/codec/equal.hpp>
#include <cairn/detail/containers/element.hpp>
#include <cairn/detail/containers/element_proxy.hpp>
#include <cairn/detail/containers/once_table.hpp>
#include <cairn/detail/sync/basic_mutex.hpp>
#include <cairn/repr.hpp>

namespace cairn::inline CAIRN_ABI {

template <typename T>
class array : public detail::basic_mutex {
    static_assert(detail::require_element<T>());
    using traits = detail::element_traits<T>;
    static_assert(
        traits::in_place,
        "the elements of an array are numbers, enums, or structs of such, of a fixed size; for strings and "
        "the like there is cairn::list");

public:
    using value_type = T;
    using size_type = std::size_t;
    using difference_type = std::ptrdiff_t;
    using reference = detail::element_proxy<array, std::size_t, T>;
    class iterator;
    using const_iterator = iterator;
    static constexpr detail::object_kind kind = detail::object_kind::array;
    /// "int64": recorded with the array, and checked when it is opened.
    static std::string type_name() { return codec<T>::type_name(); }

    // ---- reading ------------------------------------------------------------------------------------------------------

    [[nodiscard]] CAIRN_INLINE size_type size() const;
    [[nodiscard]] bool empty() const { return size() == 0; }
    /// A copy of element `index`. @throws index_error. Takes no lock.
    [[nodiscard]] CAIRN_INLINE T at(size_type index) const;
    [[nodiscard]] CAIRN_INLINE T get(size_type index) const { return at(index); }
    /// Refers to element `index`: reads when converted, assigns atomically.
    [[nodiscard]] reference operator[](size_type index) const { return {*this, index}; }
    [[nodiscard]] T front() const { return at(0); }
    [[nodiscard]] T back() const { return at(size() - 1); }
    /// Copies of all elements at one moment.
    [[nodiscard]] std::vector<T> snapshot() const { return slice(0, size()); }
    /// Copies of elements first, first + step ... below last, at one moment; what is beyond the end is not there.
    /// @throws invalid_argument  step is 0
    [[nodiscard]] std::vector<T> slice(size_type first, size_type last, size_type step = 1) const;
    /// Each step copies one element, without the lock.
    [[nodiscard]] iterator begin() const { return iterator(*this, 0); }
    [[nodiscard]] iterator end() const { return iterator(*this, size()); }

    // ---- changing -----------------------------------------------------------------------------------------------------

    /// Replaces element `index`. @throws index_error, segment_full
    CAIRN_INLINE void set(size_type index, const T& to) const;
    /// The same once, however often it is tried (once_id.hpp). Whether it was now.
    bool set(size_type index, const T& to, const exactly_once& how) const {
        this->require_writable();
        return detail::do_once(in(), slot(), generation(), how.once, [&] { set(index, to); }) ==
               detail::once_outcome::done;
    }
    /// Calls fn on a copy of element `index` under the lock, and stores it: what fn left in its T& argument, or what it returned, if it
    /// returns a T. If fn throws, nothing happened.
    /// @throws index_error, segment_full, whatever fn throws; inside fn any use of Cairn is would_deadlock
    template <typename Fn>
        requires std::invocable<Fn, T&>
    void update(size_type index, Fn&& fn) const;
    /// Replaces the elements from `first` on by those of the range, as one. @throws index_error  there are not so many; nothing
    /// happened. @throws segment_full
    template <std::ranges::input_range Range>
        requires std::convertible_to<std::ranges::range_reference_t<Range>, T>
    void assign(size_type first, Range&& values) const;
    void assign(size_type first, std::initializer_list<T> values) const {
        assign(first, std::span<const T>(values.begin(), values.size()));
    }
    /// Replaces all elements, as one. @throws segment_full
    void fill(const T& to) const { assign(0, std::vector<T>(size(), to)); }

    // ---- the memory itself --------------------------------------------------------------------------------------------

    /// The elements, for the thread that has the lock, until unlock(). Others may read at the same time, and see each store by itself.
    /// @throws invalid_state  this thread does not have it
    [[nodiscard]] std::span<T> data() const
        requires(sizeof(T) == traits::stride)
    {
        require_owner();
        return {reinterpret_cast<T*>(elements(in(), node_in(in()))),
                static_cast<size_type>(node_in(in()).size)};
    }

    // ---- several operations as one --------------------------------------------------------------------------------------

    /// Calls fn(array&), and makes all that is done inside to this array one change. See list::transaction. Not while this thread has the
    /// lock.
    template <std::invocable<array&> Fn>
    std::invoke_result_t<Fn, array&> transaction(Fn&& fn) const {
        this->require_writable();
        return detail::call_in_transaction(*this, in(), slot(), generation(), std::forward<Fn>(fn));
    }
    template <std::invocable<array&> Fn>
    detail::once_result<std::invoke_result_t<Fn, array&>> transaction(const exactly_once& how,
                                                                      Fn&& fn) const {
        this->require_writable();
        return detail::call_in_transaction(*this, in(), slot(), generation(), how.once, std::forward<Fn>(fn));
    }

    /// "[1, 2, 3]"
    void append_repr_to(std::string& text) const { detail::append_element(text, snapshot()); }
    friend std::ostream& operator<<(std::ostream& to, const array& a) {
        detail::write(to, repr(a));
        return to;
    }
    [[nodiscard]] friend bool operator==(const array& a, const array& b)
        requires detail::equatable<T>
    {
        return a.same_object(b) || detail::equal_elements(a.snapshot(), b.snapshot());
    }
    [[nodiscard]] friend bool operator==(const array& a, const std::vector<T>& b)
        requires detail::equatable<T>
    {
        return detail::equal_elements(a.snapshot(), b);
    }

    /// For the manager.
    explicit array(detail::root_reference root) noexcept : basic_mutex(std::move(root), true) {}
    static void validate(const detail::segment& s, detail::segment_offset node) {
        static_cast<void>(detail::array_at(s, node, traits::stride));
    }
    /// What it begins with: `count` elements, which are those of the encoded range, if there is one.
    static detail::segment_offset create(detail::root_transaction& tx, std::uint64_t count,
                                         const std::byte* from) {
        return detail::create_array(tx, traits::stride, count, from);
    }
    /// @throws type_mismatch  it has another number
    void require_size(std::uint64_t count) const {
        detail::require_array_size(in(), slot(), node_in(in()), count);
    }

private:
    [[nodiscard]] CAIRN_INLINE detail::array_node& node_in(const detail::segment& s) const noexcept {
        return *s.template at<detail::array_node>(node());
    }
    /// Null where the node's words are damaged.
    [[nodiscard]] static CAIRN_INLINE std::byte* find_elements(const detail::segment& s,
                                                               const detail::array_node& n) noexcept {
        const detail::segment_offset offset = detail::load_word(n.elements);
        const std::uint64_t count = detail::load_word(n.size);
        if (count > s.visible_bytes() / traits::stride || offset % 8 != 0 ||
            !detail::segment_bounds(s).has_run(offset, count * traits::stride)) [[unlikely]]
            return nullptr;
        return s.template at<std::byte>(offset);
    }
    [[nodiscard]] static std::byte* elements(const detail::segment& s, const detail::array_node& n) {
        std::byte* const found =
            detail::load_word(n.size) == 0 ? s.template at<std::byte>(0) : find_elements(s, n);
        if (found == nullptr) detail::throw_damaged_array(s);
        return found;
    }
    /// Whether this thread has the lock. Throws would_deadlock where it has, and is in a callback of another operation.
    [[nodiscard]] bool is_owned_outside() const {
        // In a transaction of this array the root's lock is that one's.
        if (detail::may_join(slot()) || !is_owned()) return false;
        detail::require_outside("use of", in(), slot(), "");
        return true;
    }
    void require_owner() const {
        if (detail::this_thread.open != nullptr || !is_owned())
            detail::throw_not_array_owner("data of", in(), slot());
    }
    /// Of the element, under the lock. @throws index_error
    std::byte* element(const char* operation, size_type index) const {
        const detail::array_node& n = node_in(in());
        if (index >= detail::load_word(n.size)) throw_index(operation, index, detail::load_word(n.size));
        return elements(in(), n) + index * traits::stride;
    }
    void write(detail::root_transaction& tx, std::byte* to, const T& value) const;
    void write_as_owner(std::byte* to, const T& value) const noexcept;

    T copy_of(const std::byte* from) const { return detail::in_place_copy<T>(from).get(); }
};

/// Goes over the elements by number.
template <typename T>
class array<T>::iterator {
public:
    using iterator_category = std::input_iterator_tag;
    using iterator_concept = std::forward_iterator_tag;
    using value_type = T;
    using difference_type = std::ptrdiff_t;
    using reference = T;

    iterator() = default;
    iterator(array of, size_type index) : of_(std::move(of)), index_(index) {}
    T operator*() const { return of_->at(index_); }
    iterator& operator++() {
        ++index_;
        return *this;
    }
    iterator operator++(int) {
        iterator before = *this;
        ++index_;
        return before;
    }
    friend bool operator==(const iterator& a, const iterator& b) noexcept { return a.index_ == b.index_; }

private:
    std::optional<array> of_;
    size_type index_ = 0;
};

// ---- bodies --------------------------------------------------------------------------------------------------------

template <typename T>
CAIRN_INLINE typename array<T>::size_type array<T>::size() const {
    std::uint64_t count = 0;
    detail::read_root(in(), slot(), generation(), [&](const detail::segment& s) {
        count = detail::load_word(node_in(s).size);
        return detail::read_result::done;
    });
    return static_cast<size_type>(count);
}

template <typename T>
CAIRN_INLINE T array<T>::at(size_type index) const {
    std::optional<detail::in_place_copy<T>> copy;
    std::uint64_t count = 0;
    detail::read_root(in(), slot(), generation(), [&](const detail::segment& s) {
        const detail::array_node& n = node_in(s);
        count = detail::load_word(n.size);
        if (index >= count) return detail::read_result::done;
        const std::byte* from = find_elements(s, n);
        if (from == nullptr) return detail::read_result::torn;
        copy.emplace(from + index * traits::stride);
        return detail::read_result::done;
    });
    if (index >= count) [[unlikely]]
        throw_index("at of", index, count);
    return copy->get();
}

template <typename T>
std::vector<T> array<T>::slice(size_type first, size_type last, size_type step) const {
    if (step == 0) throw_argument("slice of", "step is 0");
    std::vector<detail::in_place_copy<T>> copies;
    detail::read_root(in(), slot(), generation(), [&](const detail::segment& s) {
        copies.clear();
        const detail::array_node& n = node_in(s);
        const std::uint64_t end = std::min<std::uint64_t>(last, detail::load_word(n.size));
        if (first >= end) return detail::read_result::done;
        const std::byte* from = find_elements(s, n);
        if (from == nullptr) return detail::read_result::torn;
        copies.reserve((end - first + step - 1) / step);
        for (std::uint64_t i = first; i < end; i += step) {
            copies.emplace_back(from + i * traits::stride);
            if (step > end - i) break;
        }
        return detail::read_result::done;
    });
    std::vector<T> values;
    values.reserve(copies.size());
    for (const auto& each : copies) values.push_back(each.get());
    return values;
}

// By the owner of the lock: readers see all of it or nothing, whoever finds it dead what it has stored.
template <typename T>
void array<T>::write_as_owner(std::byte* to, const T& value) const noexcept {
    std::uint64_t& version = slot().version;
    detail::store_word(version, detail::load_word(version) | 1);
    __atomic_thread_fence(__ATOMIC_RELEASE);  // as root_transaction::begin_change()
    detail::write_in_place(to, value);
    __atomic_store_n(&version, detail::load_word(version) + 1,
                     __ATOMIC_RELEASE);  // release: as a writer's end
}

template <typename T>
void array<T>::write(detail::root_transaction& tx, std::byte* to, const T& value) const {
    tx.begin_change();
    if constexpr (traits::stride >= 8) {
        tx.log(to, traits::stride);
        detail::write_in_place(to, value);
    } else {
        using bits = std::conditional_t<traits::stride == 4, std::uint32_t,
                                        std::conditional_t<traits::stride == 2, std::uint16_t, std::uint8_t>>;
        bits word = 0;
        std::memcpy(&word, &value, sizeof value);
        tx.store(*reinterpret_cast<bits*>(to), word);
    }
}

template <typename T>
CAIRN_INLINE void array<T>::set(size_type index, const T& to) const {
    this->require_writable();
    if (is_owned_outside()) [[unlikely]]
        return write_as_owner(element("set in", index), to);
    if constexpr (traits::is_word) {
        if (detail::this_thread.open == nullptr) [[likely]] {
            detail::single_store writer(in(), slot(), generation());
            writer.template overwrite<sizeof(T)>(element("set in", index), &to);
            return;
        }
    }
    detail::root_transaction tx(in(), slot(), generation());
    write(tx, element("set in", index), to);
    tx.commit();
}

template <typename T>
template <typename Fn>
    requires std::invocable<Fn, T&>
void array<T>::update(size_type index, Fn&& fn) const {
    this->require_writable();
    const auto changed = [&](const std::byte* at) {
        T value = copy_of(at);
        if constexpr (std::is_same_v<std::remove_cvref_t<std::invoke_result_t<Fn, T&>>, T>)
            value = detail::call_with(std::forward<Fn>(fn), value);
        else detail::call_with(std::forward<Fn>(fn), value);
        return value;
    };
    if (is_owned_outside()) {
        std::byte* const at = element("update of", index);
        const T value = changed(at);
        require_owner();  // fn may have given it back
        return write_as_owner(at, value);
    }
    detail::root_transaction tx(in(), slot(), generation());
    std::byte* const at = element("update of", index);
    const T value = changed(at);
    tx.require_own();
    write(tx, at, value);
    tx.commit();
}

template <typename T>
template <std::ranges::input_range Range>
    requires std::convertible_to<std::ranges::range_reference_t<Range>, T>
void array<T>::assign(size_type first, Range&& values) const {
    this->require_writable();
    // The range is user code: it runs before the lock is taken.
    std::vector<T> all;
    for (auto&& each : values) all.push_back(static_cast<T>(std::forward<decltype(each)>(each)));
    const auto at = [&] {
        const std::uint64_t count = detail::load_word(node_in(in()).size);
        if (first > count || all.size() > count - first) throw_index("assign to", first + all.size(), count);
        return elements(in(), node_in(in())) + first * traits::stride;
    };
    if (is_owned_outside()) {
        std::byte* const to = at();
        for (size_type i = 0; i < all.size(); ++i) write_as_owner(to + i * traits::stride, all[i]);
        return;
    }
    detail::root_transaction tx(in(), slot(), generation());
    std::byte* const to = at();
    for (size_type i = 0; i < all.size(); ++i) write(tx, to + i * traits::stride, all[i]);
    tx.commit();
}

}  // namespace cairn::inline CAIRN_ABI

// list.hpp - cairn::list<T>, a growing sequence for all attached processes (Python: Manager().list).
//
// Stored        one list_node in its root's arena, elements in chunks that never move (detail/containers/list_layout.hpp).
// Handle        list<T> is a pointer: copies refer to the same list, and keep the mapping alive; it owns no element.
// Protected by  the root's mutex for every write. Reads of elements take no lock: they copy between two looks at the
//               root's version.
// Commit        append: the one store of the size. Everything else: the root's undo log, or a stored operation.
// Death         an operation whose process is killed has happened whole or not at all.
// Failure       an operation that throws has not happened: what is taken out is decoded before it is taken.
//
// When to use   results of many workers, logs, anything indexed. A queue<T> hands each element to one taker; a dict<K, V>
//               finds by key; an array<T> has a fixed length and lets you at the memory.
// Cost          append, get, set, pop at the end: constant. insert, erase: moves what is behind. Elements are copies.
// Safety        every operation is thread-safe, process-shared, crash-atomic and fork-safe; none is signal-safe.
//
// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <cairn/detail/base/language.hpp>

#include <cstddef>
#include <cstdint>
#include <iosfwd>
#include <iterator>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include <cairn/codec.hpp>
#include <cairn/detail/base/standard.hpp>
#include <cairn/detail/codec/equal.hpp>
#include <cairn/detail/containers/decoding.hpp>
#include <cairn/detail/containers/element.hpp>
#include <cairn/detail/containers/element_proxy.hpp>
#include <cairn/detail/containers/marked_elements.hpp>
#include <cairn/detail/containers/object_handle.hpp>
#include <cairn/detail/containers/once_table.hpp>
#include <cairn/detail/containers/user_transaction.hpp>
#include <cairn/error.hpp>
#include <cairn/repr.hpp>

namespace cairn::inline CAIRN_ABI {

template <typename T>
class list : public detail::object_handle {
    static_assert(detail::require_element<T>());
    using traits = detail::element_traits<T>;
    using parameter = typename traits::parameter;

public:
    using value_type = T;
    using size_type = std::size_t;
    using difference_type = std::ptrdiff_t;
    using reference = detail::element_proxy<list, std::size_t, T>;
    using is_cairn_handle = void;
    class iterator;
    using const_iterator = iterator;

    static constexpr detail::object_kind kind = detail::object_kind::list;
    /// "int64", "str": recorded with the list, and checked when it is opened.
    static std::string type_name() { return codec<T>::type_name(); }

    // ---- adding --------------------------------------------------------------------------------------------------

    /// Appends a copy of `value`.
    /// @throws segment_full  no room and no growth possible; the list is unchanged
    /// Cost    one uncontended lock; a new chunk now and then
    CAIRN_INLINE void push_back(parameter value) const;
    CAIRN_INLINE void append(parameter value) const { push_back(value); }
    /// The same once, however often it is tried (once_id.hpp). Whether it was done now. @throws invalid_argument  the number is 0
    bool push_back(parameter value, const exactly_once& how) const {
        return once(how, [&] { push_back(value); });
    }
    template <typename... Args>
    void emplace_back(Args&&... args) const {
        push_back(T(std::forward<Args>(args)...));
    }
    /// Appends all elements of the range, in order and as one: others see none or all of them.
    /// @throws segment_full  no room for all; the list is unchanged
    template <std::ranges::input_range Range>
        requires std::convertible_to<std::ranges::range_reference_t<Range>, T>
    void extend(Range&& range) const;
    void extend(std::initializer_list<T> values) const {
        extend(std::ranges::subrange(values.begin(), values.end()));
    }
    /// Puts a copy of `value` before element `index`; `index` == size() appends.
    /// @throws index_error, segment_full
    /// Cost    moves the elements from `index` on
    void insert(size_type index, parameter value) const;

    // ---- taking away ---------------------------------------------------------------------------------------------

    /// Removes the last element and returns it. @throws index_error  the list is empty
    T pop() const;
    /// Removes element `index` and returns it. @throws index_error
    T pop(size_type index) const;
    /// Removes element `index`, or the elements [first, last). @throws index_error. Needs no memory.
    void erase(size_type index) const;
    void erase(size_type first, size_type last) const;
    bool erase(size_type index, const exactly_once& how) const {
        return once(how, [&] { erase(index); });
    }
    /// Removes the first element that equals `value`. Searches without the lock, and under it only beside writers that change
    /// the elements before it again and again. @throws invalid_argument  there is none
    void remove(parameter value) const
        requires detail::equatable<T>;
    /// Removes everything. Needs no memory.
    void clear() const;

    // ---- reading -------------------------------------------------------------------------------------------------

    /// A copy of element `index`. @throws index_error. Takes no lock.
    [[nodiscard]] CAIRN_INLINE T at(size_type index) const;
    [[nodiscard]] CAIRN_INLINE T get(size_type index) const { return at(index); }
    /// Refers to element `index`: reads when converted, assigns atomically.
    [[nodiscard]] reference operator[](size_type index) const { return {*this, index}; }
    [[nodiscard]] T front() const { return at(0); }
    [[nodiscard]] T back() const;
    [[nodiscard]] CAIRN_INLINE size_type size() const;
    [[nodiscard]] bool empty() const { return size() == 0; }
    /// Copies of all elements at one moment. Only where the segment is open for reading only, beside a writer that does not leave
    /// it alone for as long as that takes: in pieces, each of one moment, together as by an iterator. So are slices, searches,
    /// comparisons and output.
    [[nodiscard]] std::vector<T> snapshot() const;
    /// Copies of elements first, first + step ... below last, at one moment; what is beyond the end is not there.
    /// @throws invalid_argument  step is 0
    [[nodiscard]] std::vector<T> slice(size_type first, size_type last, size_type step = 1) const;
    /// Position of the first element that equals `value`. @throws invalid_argument  there is none
    [[nodiscard]] size_type index(parameter value) const
        requires detail::equatable<T>;
    [[nodiscard]] size_type count(parameter value) const
        requires detail::equatable<T>;
    [[nodiscard]] bool contains(parameter value) const
        requires detail::equatable<T>;

    // ---- changing ------------------------------------------------------------------------------------------------

    /// Replaces element `index`. @throws index_error, segment_full
    CAIRN_INLINE void set(size_type index, parameter value) const;
    bool set(size_type index, parameter value, const exactly_once& how) const {
        return once(how, [&] { set(index, value); });
    }
    /// Calls fn on a copy of element `index` under the list's lock, and stores it: what fn left in its T& argument, or
    /// what it returned, if it returns a T. If fn throws, nothing happened.
    /// @throws index_error, segment_full, whatever fn throws; inside fn any use of Cairn is would_deadlock
    template <typename Fn>
        requires std::invocable<Fn, T&>
    void update(size_type index, Fn&& fn) const;
    void reverse() const;
    /// Sorts stably by `compare`, which runs under the list's lock. If it throws, nothing happened.
    /// @throws segment_full  no room for the undo log of all elements
    template <typename Compare = std::less<>>
    void sort(Compare compare = {}) const;
    /// Makes room for `count` elements in all. @throws segment_full
    void reserve(size_type count) const;
    /// Calls fn on each element, in order, under the list's lock: keep it short. fn may not use Cairn (would_deadlock).
    template <typename Fn>
        requires std::invocable<Fn, const T&>
    void for_each(Fn fn) const;

    // ---- several operations as one -------------------------------------------------------------------------------

    /// Calls fn(list&), and makes all that is done inside to this list, by that handle or any other one in this thread, one
    /// change: others see all of it or nothing, whatever happens on the way, a death included. If fn throws, nothing happened;
    /// an operation that fails inside alone can be caught, and the rest goes on. Returns what fn returns. May be nested: an
    /// inner one that throws takes back its own part.
    /// Inside, other objects are would_deadlock, reading included. All others wait until fn is done: keep it short, and do not
    /// wait inside for a thread or process that uses the list, which would wait for fn. What was removed inside is free for use
    /// afterwards, so that a list which is cleared and filled inside takes room twice. Removing needs room for the undo log.
    /// @throws segment_full  no room for the undo log; whatever fn throws. Nothing happened then.
    /// @throws would_deadlock  inside another object's transaction, or any callback; object_gone, object_poisoned,
    ///         permission_denied (read-only)
    /// Cost    one lock; each operation logs the bytes that it changes or adds
    /// Safety  thread-safe, process-shared, crash-atomic. In a child that fn forks the transaction is its parent's: to return
    ///         from fn there throws invalid_state, and using the list waits for the parent's commit, and is no part of it.
    template <std::invocable<list&> Fn>
    std::invoke_result_t<Fn, list&> transaction(Fn&& fn) const {
        this->require_writable();
        return detail::call_in_transaction(*this, in(), slot(), generation(), std::forward<Fn>(fn));
    }
    /// The same once, however often it is tried: true, or what fn returned, if that was now. fn returns a value or nothing.
    template <std::invocable<list&> Fn>
    detail::once_result<std::invoke_result_t<Fn, list&>> transaction(const exactly_once& how, Fn&& fn) const {
        this->require_writable();
        return detail::call_in_transaction(*this, in(), slot(), generation(), how.once, std::forward<Fn>(fn));
    }

    // ---- iteration, comparison, output -----------------------------------------------------------------------------

    /// Live: each step copies one element, without a lock. Goes over as many elements as there are when it begins, whatever is
    /// appended meanwhile, and ends early in a list that shrinks. Where nothing is inserted or erased in front of it, an
    /// element that is there all the time is seen once.
    [[nodiscard]] iterator begin() const { return iterator(*this, 0); }
    [[nodiscard]] std::default_sentinel_t end() const noexcept { return {}; }

    /// Equal elements in equal order; compares snapshots.
    template <std::ranges::input_range Range>
        requires detail::compares_with<T, std::ranges::range_value_t<Range>>
    [[nodiscard]] friend bool operator==(const list& a, const Range& b) {
        return std::ranges::equal(a.snapshot(), b, detail::element_equality());
    }
    [[nodiscard]] friend bool operator==(const list& a, const list& b)
        requires detail::equatable<T>
    {
        return a.same_object(b) || detail::equal_elements(a.snapshot(), b.snapshot());
    }
    [[nodiscard]] friend bool operator==(const list& a, std::initializer_list<T> b)
        requires detail::equatable<T>
    {
        return detail::equal_elements(a.snapshot(), std::vector<T>(b));
    }

    void append_repr_to(std::string& text) const { detail::append_element(text, snapshot()); }
    /// "[1, 2, 3]", as Python prints it.
    friend std::ostream& operator<<(std::ostream& to, const list& l) {
        detail::write(to, repr(l));
        return to;
    }

    /// For the manager.
    explicit list(detail::root_reference root) noexcept : object_handle(std::move(root)) {}
    static void validate(const detail::segment& s, detail::segment_offset node) {
        static_cast<void>(detail::list_at(s, node, traits::stride, traits::form));
    }
    static detail::segment_offset create(detail::root_transaction& tx) {
        return detail::create_list(tx, traits::stride, traits::form);
    }
    using encoded_contents = detail::encoded_range<T>;
    static void fill(detail::root_transaction& tx, detail::segment_offset at,
                     const encoded_contents& contents) {
        contents.append_to(tx, *tx.in().template at<detail::list_node>(at));
    }

private:
    template <typename U, typename Predicate>
    friend std::size_t erase_if(const list<U>& l, Predicate predicate);

    [[nodiscard]] CAIRN_INLINE detail::list_node& node_in(detail::segment& s) const noexcept {
        return *s.template at<detail::list_node>(node());
    }
    /// The stride is known here, so that the arithmetic of the geometry is done by the compiler.
    [[nodiscard]] static CAIRN_INLINE detail::chunk_links links_in(detail::list_node& n) noexcept {
        return {&n.directory, n.chunks, detail::list_geometry(traits::stride)};
    }
    /// Calls fn(), an operation of this object, with a number.
    template <typename Fn>
    bool once(const exactly_once& how, Fn fn) const {
        this->require_writable();
        return detail::do_once(this->in(), this->slot(), this->generation(), how.once, fn) ==
               detail::once_outcome::done;
    }
    CAIRN_COLD void make_room() const;
    CAIRN_COLD void push_back_inside(parameter value) const;
    void set_logged(size_type index, parameter value) const;
    /// The node under the lock, with words that may be followed.
    [[nodiscard]] detail::list_node& sound_node(detail::root_transaction& tx) const {
        return detail::sound_node(tx, node(), traits::stride, traits::form);
    }
    /// ... that has an element of that index.
    detail::list_node& checked(detail::root_transaction& tx, const char* operation, size_type index) const {
        detail::list_node& n = sound_node(tx);
        if (index >= n.size) throw_index(operation, index, n.size);
        return n;
    }
    CAIRN_NOINLINE T at_slowly(size_type index) const;
    std::optional<T> try_at(size_type index, size_type& size) const;
    CAIRN_INLINE static void store_element(detail::root_transaction& tx, detail::list_node& n, std::byte* to,
                                           const detail::encoded<T>& value);
    static T decode_element(const detail::segment& s, const std::byte* from);
    /// Stored bytes of all elements (in place), or of all blobs with their lengths.
    struct raw_copy {
        std::uint64_t count = 0;
        std::uint64_t version = 0;
        std::vector<std::byte> in_place;
        std::vector<detail::element_copy<T>> blobs;

        /// Element `index`, decoded; a reference where the copy is the element.
        [[nodiscard]] decltype(auto) view(std::uint64_t index) const {
            if constexpr (traits::in_place)
                return codec<T>::decode(std::span(in_place).subspan(index * traits::stride, sizeof(T)));
            else return blobs[index].view();
        }
    };
    detail::read_result copy_raw(detail::segment& s, std::uint64_t first, std::uint64_t last,
                                 raw_copy& to) const;
    std::vector<T> read_in_pieces(size_type first, size_type last) const;
    /// Takes the blobs out of the copy.
    static std::vector<T> decode_raw(raw_copy& raw);
    static std::vector<T> decode_all(detail::root_transaction& tx, detail::list_node& n);
    template <typename Values>
    void append_all(const Values& values) const;
    /// How often remove() and erase_if() search or judge without the lock what others change meanwhile.
    static constexpr int rounds_without_lock = 3;
    template <typename Predicate>
    size_type erase_where(const Predicate& matches) const;
    template <typename Fn>
    static void for_each_changed(detail::root_transaction& tx, detail::list_node& n, const raw_copy& raw,
                                 std::uint64_t count, Fn fn);
    static std::vector<std::uint64_t> refresh(detail::root_transaction& tx, detail::list_node& n,
                                              raw_copy& raw);
};

/// Input iterator over a live list; holds a copy of the current element.
template <typename T>
class list<T>::iterator {
public:
    using iterator_concept = std::input_iterator_tag;
    using iterator_category = std::input_iterator_tag;
    using value_type = T;
    using difference_type = std::ptrdiff_t;
    using pointer = const T*;
    using reference = const T&;

    iterator(list of, size_type index) : list_(std::move(of)), index_(index), end_(list_.size()) { load(); }

    reference operator*() const noexcept { return *current_; }  // NOLINT(bugprone-unchecked-optional-access)
    pointer operator->() const noexcept { return &*current_; }  // NOLINT(bugprone-unchecked-optional-access)
    iterator& operator++() {
        ++index_;
        load();
        return *this;
    }
    void operator++(int) { ++*this; }
    friend bool operator==(const iterator& i, std::default_sentinel_t) noexcept {
        return !i.current_.has_value();
    }

private:
    void load() {
        current_.reset();
        size_type size = 0;
        if (index_ < end_) current_ = list_.try_at(index_, size);
    }

    list list_;
    size_type index_;
    size_type
        end_;  // fixed: beside a process that appends it would move away as fast as it is come closer to
    std::optional<T> current_;
};

/// Generic code asks for this: a list of T, whatever keeps it.
template <typename L, typename T>
concept list_of = requires(const L& l, const T& value, std::size_t i) {
    l.push_back(value);
    { l.at(i) } -> std::convertible_to<T>;
    { l.size() } -> std::convertible_to<std::size_t>;
    { l.snapshot() } -> std::convertible_to<std::vector<T>>;
};

/// Removes all elements for which `predicate` is true, as one: others see all or none of them removed, whatever happens on the
/// way, a death included. Returns how many. The predicate runs outside the lock on copies, and again on what others have changed
/// meanwhile (but for appends of numbers and structs, which are not looked at); beside writers that leave it no time, in the
/// end, on what has changed under the lock, where it may not use Cairn (would_deadlock): it has to depend on the value alone.
/// @throws segment_full  no room for a bit for each element, if more than 64 are concerned that are not neighbours
/// @throws whatever predicate throws. Nothing happened then.
/// Cost    moves the elements behind the first one that is removed, once, while others wait
template <typename T, typename Predicate>
std::size_t erase_if(const list<T>& l, Predicate predicate) {
    return l.erase_where(
        [&](const T& value) { return static_cast<bool>(detail::call_with(predicate, value)); });
}

}  // namespace cairn::inline CAIRN_ABI

#include <cairn/detail/containers/list_impl.hpp>

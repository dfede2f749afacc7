// set.hpp - cairn::set<T>, distinct elements in order of insertion for all attached processes (Python: Manager().set).
//
// Stored        as a dict whose records have no values (detail/containers/dict_layout.hpp).
// Handle        set<T> is a pointer: copies refer to the same set, and keep the mapping alive; it owns nothing.
// Protected by  the root's mutex for every write. Reads take no lock: they copy between two looks at the root's version.
// Commit        the root's undo log; clear: a stored operation.
// Death         an operation whose process is killed has happened whole or not at all.
// Failure       an operation that throws has not happened: what is taken out is decoded before it is taken.
//
// When to use   "seen before?", membership. add() says whether it was the first to come: one of many processes gets true.
// Cost          add, discard, contains: constant. Set operations with a range: one lock and one commit for all of it.
// Safety        every operation is thread-safe, process-shared, crash-atomic and fork-safe; none is signal-safe.
//
// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <cairn/detail/base/language.hpp>

#include <cstddef>
#include <cstdint>
#include <initializer_list>
#include <iosfwd>
#include <iterator>
#include <optional>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

#include <cairn/codec.hpp>
#include <cairn/detail/base/standard.hpp>
#include <cairn/detail/containers/dict_elements.hpp>
#include <cairn/detail/containers/object_handle.hpp>
#include <cairn/detail/containers/once_table.hpp>
#include <cairn/detail/containers/user_transaction.hpp>
#include <cairn/error.hpp>
#include <cairn/repr.hpp>

namespace cairn::inline CAIRN_ABI {

template <typename T>
class set : public detail::object_handle {
    static_assert(detail::require_key<T>());
    using parameter = typename detail::element_traits<T>::parameter;
    static constexpr detail::dict_shape shape = detail::dict_shape_of<T, void>();

public:
    using key_type = T;
    using value_type = T;
    using size_type = std::size_t;
    using difference_type = std::ptrdiff_t;
    using is_cairn_handle = void;
    class iterator;
    using const_iterator = iterator;

    static constexpr detail::object_kind kind = detail::object_kind::set;
    /// "str": recorded with the set, and checked when it is opened.
    static std::string type_name() { return codec<T>::type_name(); }

    // ---- one element ---------------------------------------------------------------------------------------------

    /// Adds a copy of `value`. True when it was not there. @throws segment_full  the set is unchanged
    bool add(parameter value) const;
    bool insert(parameter value) const { return add(value); }
    /// Removes it. False when it was not there. Needs no memory.
    bool discard(parameter value) const;
    bool erase(parameter value) const { return discard(value); }
    /// The two once, however often they are tried (once_id.hpp). Whether it was done now. @throws invalid_argument  the number is 0
    bool add(parameter value, const exactly_once& how) const {
        return once(how, [&] { static_cast<void>(add(value)); });
    }
    bool discard(parameter value, const exactly_once& how) const {
        return once(how, [&] { static_cast<void>(discard(value)); });
    }
    /// Removes it. @throws key_error  it is not there
    void remove(parameter value) const {
        if (!discard(value)) this->throw_key("remove from", "no element " + repr(T(value)));
    }
    /// Removes an element, the one that was added last, and returns it. @throws key_error  the set is empty
    T pop() const;
    /// Removes everything. Needs no memory.
    void clear() const;

    [[nodiscard]] CAIRN_INLINE bool contains(parameter value) const;
    [[nodiscard]] size_type count(parameter value) const { return contains(value) ? 1 : 0; }
    [[nodiscard]] CAIRN_INLINE size_type size() const;
    [[nodiscard]] bool empty() const { return size() == 0; }
    /// Copies of all elements at one moment, in order of insertion. Only where the segment is open for reading only, beside a
    /// writer that does not leave it alone for as long as that takes: in pieces, each of one moment, together as by an iterator.
    /// So is all that begins with a snapshot.
    [[nodiscard]] std::vector<T> snapshot() const;

    // ---- with others: any range of T, also another set; all or nothing ------------------------------------------------

    /// Adds all of the range. @throws segment_full
    template <std::ranges::input_range Range>
    void update(Range&& values) const {
        change(values, [](detail::dict_change& in, const auto& all) {
            for (const auto& each : all) add_to(in, each);
        });
    }
    void update(std::initializer_list<T> values) const { update(std::vector<T>(values)); }
    /// Removes all of the range. @throws segment_full  no room for the undo log of many elements
    template <std::ranges::input_range Range = std::initializer_list<T>>
    void difference_update(Range&& values) const {
        change(values, [](detail::dict_change& in, const auto& all) {
            for (const auto& each : all) take_from(in, each);
        });
    }
    /// Removes what is not in the range. @throws segment_full  no room for the undo log of many elements
    template <std::ranges::input_range Range = std::initializer_list<T>>
    void intersection_update(Range&& values) const;
    /// Removes what is in the range, and adds what was not. An element that the range has twice counts once.
    /// @throws segment_full
    template <std::ranges::input_range Range = std::initializer_list<T>>
    void symmetric_difference_update(Range&& values) const;

    template <std::ranges::input_range Range = std::initializer_list<T>>
    const set& operator|=(Range&& values) const {
        update(values);
        return *this;
    }
    template <std::ranges::input_range Range = std::initializer_list<T>>
    const set& operator-=(Range&& values) const {
        difference_update(values);
        return *this;
    }
    template <std::ranges::input_range Range = std::initializer_list<T>>
    const set& operator&=(Range&& values) const {
        intersection_update(values);
        return *this;
    }
    template <std::ranges::input_range Range = std::initializer_list<T>>
    const set& operator^=(Range&& values) const {
        symmetric_difference_update(values);
        return *this;
    }

    /// Elements of a snapshot, in its order, and of the range, as a vector: the set is unchanged.
    template <std::ranges::input_range Range = std::initializer_list<T>>
    [[nodiscard]] std::vector<T> union_with(Range&& values) const;
    template <std::ranges::input_range Range = std::initializer_list<T>>
    [[nodiscard]] std::vector<T> intersection(Range&& values) const;
    template <std::ranges::input_range Range = std::initializer_list<T>>
    [[nodiscard]] std::vector<T> difference(Range&& values) const;
    template <std::ranges::input_range Range = std::initializer_list<T>>
    [[nodiscard]] std::vector<T> symmetric_difference(Range&& values) const;
    template <std::ranges::input_range Range = std::initializer_list<T>>
    [[nodiscard]] bool isdisjoint(Range&& values) const {
        return intersection(values).empty();
    }
    /// Every element is in the range.
    template <std::ranges::input_range Range = std::initializer_list<T>>
    [[nodiscard]] bool issubset(Range&& values) const {
        return difference(values).empty();
    }
    /// Everything in the range is an element.
    template <std::ranges::input_range Range = std::initializer_list<T>>
    [[nodiscard]] bool issuperset(Range&& values) const;

    /// Calls fn(const T&) on each element, in order, under the set's lock: keep it short. fn may not use Cairn.
    template <typename Fn>
        requires std::invocable<Fn, const T&>
    void for_each(Fn fn) const;

    // ---- several operations as one -----------------------------------------------------------------------------------

    /// Calls fn(set&), and makes all that is done inside to this set, by that handle or any other one in this thread, one
    /// change: all or nothing, also when fn throws or the process dies. See list::transaction.
    template <std::invocable<set&> Fn>
    std::invoke_result_t<Fn, set&> transaction(Fn&& fn) const {
        this->require_writable();
        return detail::call_in_transaction(*this, this->in(), this->slot(), this->generation(),
                                           std::forward<Fn>(fn));
    }
    /// The same once, however often it is tried. See list::transaction.
    template <std::invocable<set&> Fn>
    detail::once_result<std::invoke_result_t<Fn, set&>> transaction(const exactly_once& how, Fn&& fn) const {
        this->require_writable();
        return detail::call_in_transaction(*this, this->in(), this->slot(), this->generation(), how.once,
                                           std::forward<Fn>(fn));
    }

    // ---- iteration, comparison, output -------------------------------------------------------------------------------

    /// Live, in order of insertion: each step copies one element, without a lock. Ends with what was added last when it began.
    /// An element that is there all the time is seen once, others may be or not.
    [[nodiscard]] iterator begin() const { return iterator(*this); }
    [[nodiscard]] std::default_sentinel_t end() const noexcept { return {}; }

    /// The same elements, in whatever order; compares snapshots.
    [[nodiscard]] friend bool operator==(const set& a, const set& b) {
        return a.same_object(b) || a.equals(b.snapshot());
    }
    template <std::ranges::input_range Range>
        requires(!detail::handle_type<Range>)
    [[nodiscard]] friend bool operator==(const set& a, const Range& b) {
        return a.equals({std::ranges::begin(b), std::ranges::end(b)});
    }
    [[nodiscard]] friend bool operator==(const set& a, std::initializer_list<T> b) { return a.equals(b); }

    void append_repr_to(std::string& text) const;
    /// "{1, 2}", as Python prints it; "set()" when it is empty.
    friend std::ostream& operator<<(std::ostream& to, const set& s) {
        detail::write(to, repr(s));
        return to;
    }

    /// For the manager.
    explicit set(detail::root_reference root) noexcept : object_handle(std::move(root)) {}
    static void validate(const detail::segment& s, detail::segment_offset node) {
        static_cast<void>(detail::dict_at(s, node, shape));
    }
    static detail::segment_offset create(detail::root_transaction& tx) {
        return detail::create_dict(tx, shape);
    }
    class encoded_contents;
    static void fill(detail::root_transaction& tx, detail::segment_offset at,
                     const encoded_contents& contents) {
        detail::dict_change change(tx, *tx.in().template at<detail::dict_node>(at));
        for (const encoded_key& each : contents.keys()) add_to(change, each);
        change.commit();
    }

private:
    template <typename U, typename Predicate>
    friend std::size_t erase_if(const set<U>& s, Predicate predicate);
    using encoded_key = detail::encoded_key<T>;
    class lookup;

    [[nodiscard]] CAIRN_INLINE detail::dict_node& node_in(const detail::segment& s) const noexcept {
        return *s.template at<detail::dict_node>(node());
    }
    [[nodiscard]] CAIRN_INLINE std::uint64_t seed() const noexcept { return in().header().hash_seed; }
    /// That of the next element: all that are there have smaller ones.
    /// Calls fn(), an operation of this object, with a number.
    template <typename Fn>
    bool once(const exactly_once& how, Fn fn) const {
        this->require_writable();
        return detail::do_once(this->in(), this->slot(), this->generation(), how.once, fn) ==
               detail::once_outcome::done;
    }
    [[nodiscard]] std::uint64_t next_sequence() const;
    CAIRN_NOINLINE bool contains_slowly(parameter value) const;
    static std::byte* find(detail::dict_change& set, const encoded_key& key) {
        return key.is_nan() ? nullptr : set.template find<shape>(key.get());
    }
    static bool add_to(detail::dict_change& set, const encoded_key& key) {
        if (find(set, key) != nullptr) return false;
        set.template insert_missing<shape>(key.get(), {});
        return true;
    }
    static bool take_from(detail::dict_change& set, const encoded_key& key) {
        std::byte* record = find(set, key);
        if (record != nullptr) set.erase(record);
        return record != nullptr;
    }
    /// The range is user code: it runs before the lock is taken.
    template <typename Range>
    static std::vector<T> collect(Range&& values) {
        using bare = std::remove_cvref_t<Range>;
        if constexpr (std::is_same_v<bare, set>) {
            return values.snapshot();
        } else {
            std::vector<T> all;
            if constexpr (std::ranges::sized_range<bare>) all.reserve(std::ranges::size(values));
            for (const auto& each : values) all.push_back(T(each));
            return all;
        }
    }
    template <typename Range, typename Fn>
    void change(Range&& values, Fn fn) const;
    template <typename Predicate>
    size_type erase_where(const Predicate& matches) const;
    template <typename Add>
    void read_all(Add add) const;
    [[nodiscard]] bool equals(const std::vector<T>& other) const;
    /// What is in `from` and not in `without`, each element once.
    static std::vector<T> difference_of(const std::vector<T>& from, const std::vector<T>& without);
};

/// Input iterator over a live set; holds a copy of the current element.
template <typename T>
class set<T>::iterator {
public:
    using iterator_concept = std::input_iterator_tag;
    using iterator_category = std::input_iterator_tag;
    using value_type = T;
    using difference_type = std::ptrdiff_t;
    using pointer = const T*;
    using reference = const T&;

    explicit iterator(set of) : set_(std::move(of)), end_(set_.next_sequence()) {
        load();
        // What was there has gone, and something has come: a set that was never empty has a first element.
        for (std::uint64_t now = end_; !current_ && (now = set_.next_sequence()) != end_;) {
            next_ = std::exchange(end_, now);
            load();
        }
    }

    reference operator*() const noexcept { return *current_; }
    pointer operator->() const noexcept { return &*current_; }
    iterator& operator++() {
        load();
        return *this;
    }
    void operator++(int) { ++*this; }
    friend bool operator==(const iterator& i, std::default_sentinel_t) noexcept {
        return !i.current_.has_value();
    }

private:
    void load();

    set set_;
    std::uint64_t next_ = 0;  // sequence number
    std::uint64_t end_;       // fixed: numbers are given out as fast as a process adds
    std::optional<T> current_;
};

/// Generic code asks for this: a set of T, whatever keeps it.
template <typename S, typename T>
concept set_of = requires(const S& s, const T& value) {
    { s.add(value) } -> std::convertible_to<bool>;
    { s.discard(value) } -> std::convertible_to<bool>;
    { s.contains(value) } -> std::convertible_to<bool>;
    { s.size() } -> std::convertible_to<std::size_t>;
    { s.snapshot() } -> std::convertible_to<std::vector<T>>;
};

/// Removes all elements for which `predicate` is true, each by itself, in one pass as by an iterator; returns how many. The
/// predicate runs outside the lock on a copy, and what was removed and added again meanwhile stays (but after a clear()).
/// @throws whatever predicate throws; what was removed before stays so. Needs no memory in the segment.
template <typename T, typename Predicate>
std::size_t erase_if(const set<T>& s, Predicate predicate) {
    return s.erase_where(
        [&](const T& value) { return static_cast<bool>(detail::call_with(predicate, value)); });
}

}  // namespace cairn::inline CAIRN_ABI

#include <cairn/detail/containers/set_impl.hpp>

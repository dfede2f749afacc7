// dict.hpp - cairn::dict<K, V>, keys and values in order of insertion for all attached processes (Python: Manager().dict).
//
// Stored        one dict_node in its root's arena; tables of records that grow one at a time, and the order of insertion
//               beside them (detail/containers/dict_layout.hpp).
// Handle        dict<K, V> is a pointer: copies refer to the same dict, and keep the mapping alive; it owns nothing.
// Protected by  the root's mutex for every write. Reads take no lock: they copy between two looks at the root's version.
// Commit        the root's undo log; clear: a stored operation.
// Death         an operation whose process is killed has happened whole or not at all.
// Failure       an operation that throws has not happened: what is taken out is decoded before it is taken.
//
// When to use   anything found by key. A set<T> has keys alone; a list<T> is indexed; a sharded_dict<K, V> takes many
//               writers at once.
// Cost          get, set, erase: constant; an insert moves one table of 16 KiB now and then (64 KiB in large dicts),
//               never all. Elements are copies.
// Keys          equal keys are one: 0.0 and -0.0, but no NaN. Strings are found by views and literals.
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
#include <cairn/detail/containers/element_proxy.hpp>
#include <cairn/detail/containers/object_handle.hpp>
#include <cairn/detail/containers/once_table.hpp>
#include <cairn/detail/containers/user_transaction.hpp>
#include <cairn/error.hpp>
#include <cairn/repr.hpp>

namespace cairn::inline CAIRN_ABI {

template <typename K, typename V>
class sharded_dict;

template <typename K, typename V>
class dict : public detail::object_handle {
    static_assert(detail::require_key<K>() && detail::require_element<V>());
    using key_parameter = typename detail::element_traits<K>::parameter;
    using value_parameter = typename detail::element_traits<V>::parameter;
    static constexpr detail::dict_shape shape = detail::dict_shape_of<K, V>();
    static constexpr bool is_fast = shape.key_form == detail::dict_key_form::word &&
                                    shape.value_form == detail::dict_value_form::in_place;

public:
    using key_type = K;
    using mapped_type = V;
    using value_type = std::pair<K, V>;
    using size_type = std::size_t;
    using difference_type = std::ptrdiff_t;
    using reference = detail::element_proxy<dict, K, V>;
    using is_cairn_handle = void;
    class iterator;
    using const_iterator = iterator;

    static constexpr detail::object_kind kind = detail::object_kind::dict;
    /// "str, float64": recorded with the dict, and checked when it is opened.
    static std::string type_name() { return codec<K>::type_name() + ", " + codec<V>::type_name(); }

    // ---- reading -------------------------------------------------------------------------------------------------

    /// A copy of the value, if the key is there. Takes no lock.
    [[nodiscard]] CAIRN_INLINE std::optional<V> get(key_parameter key) const;
    /// A copy of the value, or `otherwise`.
    [[nodiscard]] V get(key_parameter key, V otherwise) const {
        std::optional<V> found = get(key);
        return found ? *std::move(found) : std::move(otherwise);
    }
    /// A copy of the value. @throws key_error  the key is not there
    [[nodiscard]] V at(key_parameter key) const;
    /// Refers to the value: reads when converted (key_error when there is none), assigns atomically; compound assignment
    /// begins with V{} where the key is not there.
    [[nodiscard]] reference operator[](key_parameter key) const { return {*this, K(key)}; }
    [[nodiscard]] CAIRN_INLINE bool contains(key_parameter key) const;
    [[nodiscard]] size_type count(key_parameter key) const { return contains(key) ? 1 : 0; }
    [[nodiscard]] CAIRN_INLINE size_type size() const;
    [[nodiscard]] bool empty() const { return size() == 0; }
    /// Copies of all keys and values at one moment, in order of insertion. Only where the segment is open for reading only, beside
    /// a writer that does not leave it alone for as long as that takes: in pieces, each of one moment, together as by an
    /// iterator. So are items(), keys(), values(), comparisons and output.
    [[nodiscard]] std::vector<value_type> snapshot() const;
    [[nodiscard]] std::vector<value_type> items() const { return snapshot(); }
    [[nodiscard]] std::vector<K> keys() const;
    [[nodiscard]] std::vector<V> values() const;

    // ---- setting ---------------------------------------------------------------------------------------------------

    /// Stores a copy of `value` under `key`; a key that is there keeps its place in the order.
    /// @throws segment_full  no room and no growth possible; the dict is unchanged
    void set(key_parameter key, value_parameter value) const {
        static_cast<void>(insert_or_assign(key, value));
    }
    /// As set(). True when the key was not there before.
    bool insert_or_assign(key_parameter key, value_parameter value) const;
    /// set() once, however often it is tried (once_id.hpp). Whether it was done now. @throws invalid_argument  the number is 0
    bool set(key_parameter key, value_parameter value, const exactly_once& how) const {
        return once(how, [&] { set(key, value); });
    }
    /// Stores V(args...) unless the key is there. True when it was stored. @throws segment_full
    template <typename... Args>
    bool try_emplace(key_parameter key, Args&&... args) const;
    /// Stores `value` unless the key is there; returns what is there then. @throws segment_full
    V setdefault(key_parameter key, V value = V{}) const;
    /// Calls fn on a copy of the value (V{} where there is none) under the dict's lock, and stores it: what fn left in its
    /// V& argument, or what it returned, if it returns a V. If fn throws, nothing happened.
    /// @throws segment_full, whatever fn throws; inside fn any use of Cairn is would_deadlock
    template <typename Fn>
        requires std::invocable<Fn, V&>
    void update(key_parameter key, Fn&& fn) const;
    /// Stores all pairs of the range, as one: others see none or all of them. @throws segment_full  unchanged then
    template <std::ranges::input_range Range>
    void update(Range&& pairs) const;
    void update(std::initializer_list<value_type> pairs) const {
        update(std::span(pairs.begin(), pairs.size()));
    }
    template <std::ranges::input_range Range = std::initializer_list<value_type>>
    const dict& operator|=(Range&& pairs) const {
        update(pairs);
        return *this;
    }

    // ---- taking away -----------------------------------------------------------------------------------------------

    /// Removes the key. False when it was not there. Needs no memory.
    bool erase(key_parameter key) const {
        this->require_writable();
        return take({key, seed()}, nullptr);
    }
    /// The same once, however often it is tried: whether that was now. @throws invalid_argument  the number is 0
    bool erase(key_parameter key, const exactly_once& how) const {
        return once(how, [&] { static_cast<void>(erase(key)); });
    }
    /// Removes the key and returns its value. @throws key_error
    V pop(key_parameter key) const;
    /// ... or `otherwise` when it is not there.
    V pop(key_parameter key, V otherwise) const;
    /// Removes the pair that was inserted last, and returns it. @throws key_error  the dict is empty
    value_type popitem() const;
    /// Removes everything. Needs no memory.
    void clear() const;

    /// Calls fn(const K&, const V&) on each pair, in order, under the dict's lock: keep it short. fn may not use Cairn.
    template <typename Fn>
        requires std::invocable<Fn, const K&, const V&>
    void for_each(Fn fn) const;

    // ---- several operations as one -----------------------------------------------------------------------------------

    /// Calls fn(dict&), and makes all that is done inside to this dict, by that handle or any other one in this thread, one
    /// change: all or nothing, also when fn throws or the process dies. See list::transaction.
    template <std::invocable<dict&> Fn>
    std::invoke_result_t<Fn, dict&> transaction(Fn&& fn) const {
        this->require_writable();
        return detail::call_in_transaction(*this, this->in(), this->slot(), this->generation(),
                                           std::forward<Fn>(fn));
    }
    /// The same once, however often it is tried. See list::transaction.
    template <std::invocable<dict&> Fn>
    detail::once_result<std::invoke_result_t<Fn, dict&>> transaction(const exactly_once& how, Fn&& fn) const {
        this->require_writable();
        return detail::call_in_transaction(*this, this->in(), this->slot(), this->generation(), how.once,
                                           std::forward<Fn>(fn));
    }

    // ---- iteration, comparison, output -------------------------------------------------------------------------------

    /// Live, in order of insertion: each step copies one pair, without a lock. Ends with what was inserted last when it began.
    /// A pair that is there all the time is seen once, others may be or not.
    [[nodiscard]] iterator begin() const { return iterator(*this); }
    [[nodiscard]] std::default_sentinel_t end() const noexcept { return {}; }

    /// Equal values under equal keys, in whatever order; compares snapshots.
    [[nodiscard]] friend bool operator==(const dict& a, const dict& b)
        requires detail::equatable<V>
    {
        return a.same_object(b) || same_pairs(a.snapshot(), b.snapshot());
    }
    template <std::ranges::input_range Range>
        requires(!detail::handle_type<Range> && detail::equatable<V>)
    [[nodiscard]] friend bool operator==(const dict& a, const Range& b) {
        return same_pairs(a.snapshot(), {std::ranges::begin(b), std::ranges::end(b)});
    }
    [[nodiscard]] friend bool operator==(const dict& a, std::initializer_list<value_type> b)
        requires detail::equatable<V>
    {
        return same_pairs(a.snapshot(), b);
    }

    void append_repr_to(std::string& text) const;
    /// "{'a': 1, 'b': 2}", as Python prints it.
    friend std::ostream& operator<<(std::ostream& to, const dict& d) {
        detail::write(to, repr(d));
        return to;
    }

    /// For the manager.
    explicit dict(detail::root_reference root) noexcept : object_handle(std::move(root)) {}
    static void validate(const detail::segment& s, detail::segment_offset node) {
        static_cast<void>(detail::dict_at(s, node, shape));
    }
    static detail::segment_offset create(detail::root_transaction& tx) {
        return detail::create_dict(tx, shape);
    }
    class encoded_contents;
    static void fill(detail::root_transaction& tx, detail::segment_offset at,
                     const encoded_contents& contents) {
        contents.store(tx, *tx.in().template at<detail::dict_node>(at));
    }

private:
    friend class sharded_dict<K, V>;  // which is several dicts
    template <typename A, typename B, typename Predicate>
    friend std::size_t erase_if(const dict<A, B>& d, Predicate predicate);
    template <typename A, typename B, typename Predicate>
    friend std::size_t erase_if(const sharded_dict<A, B>& d, Predicate predicate);
    using encoded_key = detail::encoded_key<K>;
    using encoded_value = detail::encoded<V>;

    [[nodiscard]] CAIRN_INLINE detail::dict_node& node_in(const detail::segment& s) const noexcept {
        return *s.template at<detail::dict_node>(node());
    }
    /// Of the hash: the same for all of a segment.
    [[nodiscard]] CAIRN_INLINE std::uint64_t seed() const noexcept { return in().header().hash_seed; }
    /// That of the next insert: all pairs that are there have smaller ones.
    /// Calls fn(), an operation of this object, with a number.
    template <typename Fn>
    bool once(const exactly_once& how, Fn fn) const {
        this->require_writable();
        return detail::do_once(this->in(), this->slot(), this->generation(), how.once, fn) ==
               detail::once_outcome::done;
    }
    [[nodiscard]] std::uint64_t next_sequence() const;
    // As the operations above, for who has the key encoded, as a sharded_dict has, which needs its hash to know the shard.
    // `wanted(node)` gives the key as it is looked for: a word, with its hash.
    template <typename Wanted>
    [[nodiscard]] CAIRN_INLINE std::optional<V> get_word(key_parameter key, Wanted wanted) const;
    template <typename Wanted>
    [[nodiscard]] CAIRN_INLINE bool contains_word(key_parameter key, Wanted wanted) const;
    [[nodiscard]] CAIRN_NOINLINE std::optional<V> get_encoded(const encoded_key& wanted) const;
    [[nodiscard]] CAIRN_NOINLINE bool contains_encoded(const encoded_key& wanted) const;
    bool store(const encoded_key& wanted, value_parameter value) const;
    bool store_if_new(const encoded_key& wanted, const V& value) const;
    template <typename Fn>
    void update_encoded(const encoded_key& wanted, Fn&& fn) const;
    bool take(const encoded_key& wanted, std::optional<V>* value) const;
    template <typename Predicate>
    size_type erase_where(std::uint64_t end, const Predicate& matches) const;
    [[noreturn]] CAIRN_COLD void throw_missing(const char* operation, key_parameter key) const {
        this->throw_key(operation, "no key " + repr(K(key)));
    }
    static V decode_value(const detail::segment& s, const std::byte* record);
    static bool same_pairs(const std::vector<value_type>& a, const std::vector<value_type>& b);
    static std::byte* find(detail::dict_change& change, const encoded_key& key) {
        return key.is_nan() ? nullptr : change.template find<shape>(key.get());
    }
    template <typename Add>
    void read_all(Add add) const;
};

/// Input iterator over a live dict; holds a copy of the current pair.
template <typename K, typename V>
class dict<K, V>::iterator {
public:
    using iterator_concept = std::input_iterator_tag;
    using iterator_category = std::input_iterator_tag;
    using value_type = std::pair<K, V>;
    using difference_type = std::ptrdiff_t;
    using pointer = const value_type*;
    using reference = const value_type&;

    explicit iterator(dict of) : dict_(std::move(of)), end_(dict_.next_sequence()) {
        load();
        // What was there has gone, and something has come: a dict that was never empty has a first pair.
        for (std::uint64_t now = end_; !current_ && (now = dict_.next_sequence()) != end_;) {
            next_ = std::exchange(end_, now);
            load();
        }
    }
    /// For sharded_dict: up to that sequence number.
    iterator(dict of, std::uint64_t end) : dict_(std::move(of)), end_(end) { load(); }

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

    dict dict_;
    std::uint64_t next_ = 0;  // sequence number
    std::uint64_t end_;       // fixed: numbers are given out as fast as a process inserts
    std::optional<value_type> current_;
};

/// Generic code asks for this: a dict from K to V, whatever keeps it.
template <typename D, typename K, typename V>
concept dict_of = requires(const D& d, const K& key, const V& value) {
    d.set(key, value);
    { d.get(key) } -> std::convertible_to<std::optional<V>>;
    { d.erase(key) } -> std::convertible_to<bool>;
    { d.contains(key) } -> std::convertible_to<bool>;
    { d.size() } -> std::convertible_to<std::size_t>;
    { d.snapshot() } -> std::convertible_to<std::vector<std::pair<K, V>>>;
};

/// Removes all pairs for which `predicate(key, value)` is true, each by itself, in one pass as by an iterator; returns how many.
/// The predicate runs outside the lock on a copy, and a pair is removed only if it is still the one that was judged: a value that
/// was set meanwhile is judged anew; after a few times in vain under the lock, where the predicate may not use Cairn
/// (would_deadlock).
/// @throws whatever predicate throws; what was removed before stays so. Needs no memory in the segment.
template <typename K, typename V, typename Predicate>
std::size_t erase_if(const dict<K, V>& d, Predicate predicate) {
    return d.erase_where(d.next_sequence(), [&](const K& key, const V& value) {
        return static_cast<bool>(detail::call_with(predicate, key, value));
    });
}

}  // namespace cairn::inline CAIRN_ABI

#include <cairn/detail/containers/dict_impl.hpp>

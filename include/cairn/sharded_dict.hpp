// sharded_dict.hpp - cairn::sharded_dict<K, V>, a dict for many writers: keys are spread over dicts with locks of their own.
//
// Stored        one root with the name, whose parts_node leads to the shards; each shard is a dict in a root of its own, with
//               a lock, a log and an arena, but without a name. How many is said when it is created, and stored.
// Handle        sharded_dict<K, V> is two counted references (48 bytes), of the mapping and of what it knows of the shards:
//               copies refer to the same one, and keep the mapping alive; it owns nothing.
// Protected by  each shard by its root's mutex. The key says which: the lowest bits of its hash (dict_layout.hpp).
// Commit        that of the shard. Creation and removal: one commit of the segment, for all roots.
// Death         an operation on one key has happened whole or not at all. One that goes over all shards (clear,
//               update(range)) has been done in some of them, each whole, and not in the others.
// Damage        one shard that is poisoned makes the whole refuse to be opened (object_poisoned); handles that are there go on
//               with the others. manager::remove() removes it all the same.
//
// When to use   many writers at once on different keys: each waits for those of its key's shard only. It pays where operations are
//               long (strings, update(fn)) or writers many; two that set words gain little over the one lock of a dict.
//               With one writer, or few pairs, a dict is smaller; what has to change together is in one dict.
// Differs       from dict in what is one step: everything about one key is, as there. What is about all pairs goes from shard
//               to shard, each at a moment of its own: size(), snapshot() and the like, for_each(), update(range), clear().
//               Order is that of insertion within a shard, shard after shard: the same for all who look, and that of
//               nothing else. popitem() takes the last pair of some shard. No transaction over several keys.
// Cost          of one key: as dict; of all: as dict, for each shard. A shard has a control block of 2 KiB,
//               and 4 KiB at least: 100 KiB for an empty one of 16.
// Keys          as dict.
// Safety        every operation is thread-safe, process-shared and fork-safe, and crash-atomic as said above; none is
//               signal-safe.
//
// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <cairn/detail/base/language.hpp>

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <initializer_list>
#include <iosfwd>
#include <iterator>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

#include <cairn/detail/base/standard.hpp>
#include <cairn/dict.hpp>

namespace cairn::inline CAIRN_ABI {

struct sharded_dict_options {
    /// Dicts that the keys are spread over: a power of two from 1 to 64. More of them cost memory and the time of what goes
    /// over all pairs; with four for each process or thread that writes at the same time, few of them wait for each other.
    /// Not taken from the machine at hand, so that a program's memory is the same on all of them.
    std::uint32_t shards = 16;
};

template <typename K, typename V>
class sharded_dict : public detail::object_handle {
    using key_parameter = typename detail::element_traits<K>::parameter;
    using value_parameter = typename detail::element_traits<V>::parameter;

public:
    using shard = dict<K, V>;
    using key_type = K;
    using mapped_type = V;
    using value_type = std::pair<K, V>;
    using size_type = std::size_t;
    using difference_type = std::ptrdiff_t;
    using reference = typename shard::reference;
    using is_cairn_handle = void;
    class iterator;
    using const_iterator = iterator;

    static constexpr detail::object_kind kind = detail::object_kind::sharded_dict;
    /// "str, float64": recorded with it, and checked when it is opened.
    static std::string type_name() { return shard::type_name(); }

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
    [[nodiscard]] reference operator[](key_parameter key) const { return shard_for(key)[key]; }
    [[nodiscard]] CAIRN_INLINE bool contains(key_parameter key) const;
    [[nodiscard]] size_type count(key_parameter key) const { return contains(key) ? 1 : 0; }
    /// The sum over the shards, each counted at a moment of its own: exact when nobody inserts or erases meanwhile.
    [[nodiscard]] size_type size() const;
    /// Every shard was empty when it was looked at.
    [[nodiscard]] bool empty() const;
    /// Copies of all keys and values: of each shard at one moment and in order of insertion, shard after shard.
    [[nodiscard]] std::vector<value_type> snapshot() const;
    [[nodiscard]] std::vector<value_type> items() const { return snapshot(); }
    [[nodiscard]] std::vector<K> keys() const;
    [[nodiscard]] std::vector<V> values() const;
    /// As it was created.
    [[nodiscard]] size_type shard_count() const noexcept { return state_->shards.size(); }

    // ---- setting ---------------------------------------------------------------------------------------------------

    /// Stores a copy of `value` under `key`; a key that is there keeps its place in the order.
    /// @throws segment_full  no room and no growth possible; nothing has changed
    void set(key_parameter key, value_parameter value) const {
        static_cast<void>(insert_or_assign(key, value));
    }
    /// As set(). True when the key was not there before.
    bool insert_or_assign(key_parameter key, value_parameter value) const;
    /// Stores V(args...) unless the key is there. True when it was stored. @throws segment_full
    template <typename... Args>
    bool try_emplace(key_parameter key, Args&&... args) const {
        return shard_for(key).try_emplace(key, std::forward<Args>(args)...);
    }
    /// Stores `value` unless the key is there; returns what is there then. @throws segment_full
    V setdefault(key_parameter key, V value = V{}) const {
        return shard_for(key).setdefault(key, std::move(value));
    }
    /// Calls fn on a copy of the value (V{} where there is none) under the lock of the key's shard, and stores it: what fn
    /// left in its V& argument, or what it returned, if it returns a V. If fn throws, nothing happened.
    /// @throws segment_full, whatever fn throws; inside fn any use of Cairn is would_deadlock
    template <typename Fn>
        requires std::invocable<Fn, V&>
    void update(key_parameter key, Fn&& fn) const;
    /// Stores all pairs of the range, those of one shard as one: others see none or all of these.
    /// @throws segment_full  the pairs of some shards may be there then, those of the others are not
    template <std::ranges::input_range Range>
    void update(Range&& pairs) const;
    void update(std::initializer_list<value_type> pairs) const {
        update(std::span(pairs.begin(), pairs.size()));
    }
    template <std::ranges::input_range Range = std::initializer_list<value_type>>
    const sharded_dict& operator|=(Range&& pairs) const {
        update(pairs);
        return *this;
    }

    // ---- taking away -----------------------------------------------------------------------------------------------

    /// Removes the key. False when it was not there. Needs no memory.
    bool erase(key_parameter key) const;
    /// set() and erase() once, however often they are tried (once_id.hpp). Whether it was done now.
    bool set(key_parameter key, value_parameter value, const exactly_once& how) const;
    bool erase(key_parameter key, const exactly_once& how) const;
    /// Removes the key and returns its value. @throws key_error
    V pop(key_parameter key) const { return shard_for(key).pop(key); }
    /// ... or `otherwise` when it is not there.
    V pop(key_parameter key, V otherwise) const { return shard_for(key).pop(key, std::move(otherwise)); }
    /// Removes a pair, the last one of its shard, and returns it; begins at another shard each time, so that several callers
    /// seldom meet. @throws key_error  every shard was empty when it was looked at
    value_type popitem() const;
    /// Removes everything, shard after shard: what others insert meanwhile may stay. Needs no memory.
    void clear() const;

    /// Calls fn(const K&, const V&) on each pair, shard after shard, under the lock of that shard: keep it short. fn may not
    /// use Cairn.
    template <typename Fn>
        requires std::invocable<Fn, const K&, const V&>
    void for_each(Fn fn) const;

    // ---- iteration, comparison, output -------------------------------------------------------------------------------

    /// Live, shard after shard: each step copies one pair, without a lock. Ends, in each shard, with what was inserted last when
    /// it began. A pair that is there all the time is seen once, others may be or not.
    [[nodiscard]] iterator begin() const { return iterator(*this); }
    [[nodiscard]] std::default_sentinel_t end() const noexcept { return {}; }

    /// Equal values under equal keys, in whatever order; compares snapshots.
    [[nodiscard]] friend bool operator==(const sharded_dict& a, const sharded_dict& b)
        requires detail::equatable<V>
    {
        return a.same_object(b) || same_pairs(a.snapshot(), b.snapshot());
    }
    template <std::ranges::input_range Range>
        requires(!detail::handle_type<Range> && detail::equatable<V>)
    [[nodiscard]] friend bool operator==(const sharded_dict& a, const Range& b) {
        return same_pairs(a.snapshot(), {std::ranges::begin(b), std::ranges::end(b)});
    }
    [[nodiscard]] friend bool operator==(const sharded_dict& a, std::initializer_list<value_type> b)
        requires detail::equatable<V>
    {
        return same_pairs(a.snapshot(), b);
    }

    void append_repr_to(std::string& text) const;
    /// "{'a': 1, 'b': 2}", as Python prints a dict.
    friend std::ostream& operator<<(std::ostream& to, const sharded_dict& d) {
        detail::write(to, repr(d));
        return to;
    }

    /// For the manager.
    explicit sharded_dict(const detail::root_reference& root)
        : object_handle({root.in, root.slot, root.generation, root.node}), state_(make_state(root)) {}
    /// The node of a shard.
    static void validate(const detail::segment& s, detail::segment_offset node) { shard::validate(s, node); }
    class encoded_contents;

private:
    template <typename A, typename B, typename Predicate>
    friend std::size_t erase_if(const sharded_dict<A, B>& d, Predicate predicate);
    /// What all copies of a handle share; of this process.
    struct state {
        std::uint64_t seed = 0;  // of the hash: the same for all of a segment
        std::uint32_t count = 0;
        std::vector<shard> shards;
        std::atomic<std::size_t> turn{0};  // of popitem()
    };
    static std::shared_ptr<state> make_state(const detail::root_reference& root);

    using encoded_key = detail::encoded_key<K>;
    static constexpr bool has_words = detail::key_form_of<K>() == detail::dict_key_form::word;

    /// The shard that has the key, if any has.
    [[nodiscard]] CAIRN_INLINE const shard& of(const detail::dict_key& key) const {
        return state_->shards[detail::shard_of(key.hash, state_->count)];
    }
    [[nodiscard]] CAIRN_INLINE const shard& of(const encoded_key& key) const { return of(key.get()); }
    [[nodiscard]] CAIRN_INLINE detail::dict_key word_key(key_parameter key) const
        requires has_words
    {
        return detail::word_key(detail::word_of(key), state_->seed);
    }
    /// The sequence numbers of the next inserts, of each shard.
    [[nodiscard]] std::vector<std::uint64_t> ends() const {
        std::vector<std::uint64_t> all;
        all.reserve(state_->shards.size());
        for (const shard& each : state_->shards) all.push_back(each.next_sequence());
        return all;
    }
    [[nodiscard]] const shard& shard_for(key_parameter key) const {
        return of(encoded_key(key, state_->seed));
    }
    /// The pairs of a range, by shard, in their order.
    template <typename Range>
    static std::vector<std::vector<value_type>> by_shard(Range&& pairs, std::uint64_t seed,
                                                         std::uint32_t count);
    static bool same_pairs(const std::vector<value_type>& a, const std::vector<value_type>& b) {
        return shard::same_pairs(a, b);
    }

    std::shared_ptr<state> state_;
};

/// Input iterator over a live sharded_dict; holds a copy of the current pair.
template <typename K, typename V>
class sharded_dict<K, V>::iterator {
public:
    using iterator_concept = std::input_iterator_tag;
    using iterator_category = std::input_iterator_tag;
    using value_type = std::pair<K, V>;
    using difference_type = std::ptrdiff_t;
    using pointer = const value_type*;
    using reference = const value_type&;

    explicit iterator(sharded_dict of) : dict_(std::move(of)) {
        ends_ = dict_.ends();
        enter();
    }

    reference operator*() const noexcept { return **in_shard_; }
    pointer operator->() const noexcept { return &**in_shard_; }
    iterator& operator++() {
        ++*in_shard_;
        if (*in_shard_ == std::default_sentinel) {
            ++shard_;
            enter();
        }
        return *this;
    }
    void operator++(int) { ++*this; }
    friend bool operator==(const iterator& i, std::default_sentinel_t) noexcept {
        return !i.in_shard_.has_value();
    }

private:
    /// The first pair of this shard, or of one behind it.
    void enter();

    sharded_dict dict_;
    std::size_t shard_ = 0;
    std::vector<std::uint64_t>
        ends_;  // of all shards, fixed: a body that inserts would find more in each than in the last
    std::optional<typename shard::iterator> in_shard_;  // at a pair; none: the end
};

/// Removes all pairs for which `predicate(key, value)` is true, shard after shard, as erase_if() of a dict; returns how many.
template <typename K, typename V, typename Predicate>
std::size_t erase_if(const sharded_dict<K, V>& d, Predicate predicate) {
    const auto matches = [&](const K& key, const V& value) {
        return static_cast<bool>(detail::call_with(predicate, key, value));
    };
    const sharded_dict<K, V> keep = d;  // the predicate may let go of the last handle
    const std::vector<std::uint64_t> ends = keep.ends();
    std::size_t erased = 0;
    for (std::size_t i = 0; i != ends.size(); ++i)
        erased += keep.state_->shards[i].erase_where(ends[i], matches);
    return erased;
}

}  // namespace cairn::inline CAIRN_ABI

#include <cairn/detail/containers/sharded_dict_impl.hpp>

// set_impl.hpp - bodies of set.hpp.
// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <deque>
#include <unordered_set>

#include <cairn/detail/base/standard.hpp>
#include <cairn/set.hpp>

namespace cairn::inline CAIRN_ABI {

/// Elements in private memory, found by hash: what set operations look into. Refers to a vector that outlives it; numbers are
/// kept by value, since the elements of a std::vector<bool> are no objects that could be referred to.
template <typename T>
class set<T>::lookup {
public:
    explicit lookup(const std::vector<T>& values) : found_(2 * values.size() + 1) {
        for (const T& each : values) found_.insert(entry_of(each));
    }
    [[nodiscard]] bool contains(const T& value) const { return found_.contains(entry_of(value)); }
    /// False when it was there.
    bool add(const T& value) { return found_.insert(entry_of(value)).second; }

private:
    static constexpr bool is_by_value = detail::number_or_enum<T>;
    using entry = std::conditional_t<is_by_value, T, const T*>;
    static entry entry_of(const T& value) {
        if constexpr (is_by_value) return value;
        else return &value;
    }
    static const T& value_of(const entry& of) {
        if constexpr (is_by_value) return of;
        else return *of;
    }
    struct hash_of {
        std::size_t operator()(const entry& of) const { return detail::key_traits<T>::hash(value_of(of), 0); }
    };
    struct same {
        bool operator()(const entry& a, const entry& b) const {
            return detail::key_traits<T>::equal(value_of(a), value_of(b));
        }
    };
    std::unordered_set<entry, hash_of, same> found_;
};

/// Elements as they are looked for, encoded outside the lock.
template <typename T>
class set<T>::encoded_contents {
public:
    template <typename Range>
    encoded_contents(Range&& values, std::uint64_t seed) : values_(collect(values)) {
        for (const auto& each : values_) keys_.emplace_back(static_cast<const T&>(each), seed);
    }

    [[nodiscard]] const std::deque<encoded_key>& keys() const noexcept { return keys_; }
    /// About: of blobs more.
    [[nodiscard]] std::uint64_t size_in_bytes() const noexcept { return keys_.size() * sizeof(encoded_key); }

private:
    std::vector<T> values_;         // strings are referred to, not copied
    std::deque<encoded_key> keys_;  // which cannot be moved
};

// ---- one element ---------------------------------------------------------------------------------------------------

template <typename T>
bool set<T>::add(parameter value) const try {
    this->require_writable();
    const encoded_key key(value, seed());
    detail::root_transaction tx(in(), slot(), generation());
    detail::dict_change change(tx, node_in(in()));
    if (!add_to(change, key)) return false;
    change.commit();
    return true;
}
CAIRN_THROWS_UNLOCKED

template <typename T>
bool set<T>::discard(parameter value) const try {
    this->require_writable();
    const encoded_key key(value, seed());
    detail::root_transaction tx(in(), slot(), generation());
    detail::dict_change change(tx, node_in(in()));
    if (!take_from(change, key)) return false;
    change.commit();
    return true;
}
CAIRN_THROWS_UNLOCKED

template <typename T>
T set<T>::pop() const try {
    this->require_writable();
    detail::decoding<T> taken;
    for (;; taken.decode_outside()) {
        detail::root_transaction tx(in(), slot(), generation());
        detail::dict_change change(tx, node_in(in()));
        bool torn = false;
        std::byte* record = detail::last_record(in(), change.node(), shape, torn);
        if (!torn && record == nullptr) this->throw_key("pop from", "it is empty");
        if (torn) detail::throw_damaged(in(), slot());
        if (!detail::prepare_key(tx, shape, record, taken)) continue;
        change.erase(record);
        change.commit();
        break;
    }
    return taken.take();
}
CAIRN_THROWS_UNLOCKED

template <typename T>
void set<T>::clear() const try {
    this->require_writable();
    detail::root_transaction tx(in(), slot(), generation());
    detail::clear_dict(tx, node_in(in()));
}
CAIRN_THROWS_UNLOCKED

template <typename T>
CAIRN_INLINE bool set<T>::contains(parameter value) const {
    if constexpr (shape.key_form == detail::dict_key_form::word) {
        const detail::quick_look look(in(), slot(), generation());
        if (look.may_look()) [[likely]] {
            const detail::dict_node& n = node_in(in());
            bool torn = false;
            const detail::dict_key wanted =
                detail::word_key(detail::word_of(value), detail::load_word(n.seed));
            const bool is_there = detail::find_word(in(), n, shape.record_bytes(), wanted, torn) != nullptr &&
                                  detail::equals_itself(value);
            if (look.is_whole() && !torn) [[likely]]
                return is_there;
        }
    }
    return contains_slowly(value);
}

template <typename T>
CAIRN_NOINLINE bool set<T>::contains_slowly(parameter value) const {
    const encoded_key wanted(value, seed());
    bool is_there = false;
    if (wanted.is_nan()) return false;
    detail::read_root(in(), slot(), generation(), [&](detail::segment& s) {
        bool torn = false;
        is_there = detail::find_record(s, node_in(s), shape, wanted.get(), torn) != nullptr;
        return torn ? detail::read_result::torn : detail::read_result::done;
    });
    return is_there;
}

template <typename T>
CAIRN_INLINE typename set<T>::size_type set<T>::size() const {
    std::uint64_t size = 0;
    detail::read_root(in(), slot(), generation(), [&](detail::segment& s) {
        size = detail::load_word(node_in(s).size);
        return detail::read_result::done;
    });
    return size;
}

template <typename T>
std::uint64_t set<T>::next_sequence() const {
    std::uint64_t next = 0;
    detail::read_root(in(), slot(), generation(), [&](detail::segment& s) {
        next = detail::load_word(node_in(s).next_sequence);
        return detail::read_result::done;
    });
    return next;
}

template <typename T>
template <typename Add>
void set<T>::read_all(Add add) const {
    detail::read_records<T, void>(in(), slot(), generation(), node(), add);
}

template <typename T>
std::vector<T> set<T>::snapshot() const {
    std::vector<T> all;
    read_all([&](T&& value) { all.push_back(std::move(value)); });
    return all;
}

template <typename T>
template <typename Predicate>
typename set<T>::size_type set<T>::erase_where(const Predicate& matches) const {
    this->require_writable();
    detail::record_eraser<T, void> elements(this->hold(), slot(), generation(), node());
    return elements.erase_before(next_sequence(), matches);
}

// ---- with others ---------------------------------------------------------------------------------------------------

template <typename T>
template <typename Range, typename Fn>
void set<T>::change(Range&& values, Fn fn) const try {
    this->require_writable();
    const encoded_contents contents(values, seed());
    detail::root_transaction tx(in(), slot(), generation());
    detail::dict_change change(tx, node_in(in()));
    fn(change, contents.keys());
    change.commit();
}
CAIRN_THROWS_UNLOCKED

template <typename T>
template <std::ranges::input_range Range>
void set<T>::intersection_update(Range&& values) const {
    change(values, [](detail::dict_change& in, const auto& keys) {
        // By number: nothing is decoded or compared under the lock, and what equals nothing (NaN) goes, too.
        std::unordered_set<std::uint64_t> kept;
        for (const encoded_key& each : keys)
            if (const std::byte* record = find(in, each)) kept.insert(detail::word_in(record, 0));
        for (std::uint64_t sequence = 0;; ++sequence) {
            bool torn = false;
            std::byte* record = detail::next_record(in.tx().in(), in.node(), shape, sequence, torn);
            if (torn) detail::throw_damaged(in.tx().in(), in.tx().slot());
            if (record == nullptr) return;
            if (!kept.contains(sequence)) in.erase(record);
        }
    });
}

template <typename T>
template <std::ranges::input_range Range>
void set<T>::symmetric_difference_update(Range&& values) const {
    const std::vector<T> all = collect(values);
    const std::vector<T> none;
    lookup seen(none);
    std::vector<T> once;
    for (const T& each : all)
        if (seen.add(each)) once.push_back(each);
    change(once, [](detail::dict_change& in, const auto& keys) {
        for (const encoded_key& each : keys)
            if (!take_from(in, each)) add_to(in, each);
    });
}

template <typename T>
template <std::ranges::input_range Range>
std::vector<T> set<T>::union_with(Range&& values) const {
    std::vector<T> all = snapshot();
    std::vector<T> more = difference_of(collect(values), all);
    all.insert(all.end(), std::make_move_iterator(more.begin()), std::make_move_iterator(more.end()));
    return all;
}

template <typename T>
template <std::ranges::input_range Range>
std::vector<T> set<T>::intersection(Range&& values) const {
    const std::vector<T> wanted = collect(values);
    const lookup kept(wanted);
    std::vector<T> all = snapshot();
    std::erase_if(all, [&](const T& each) { return !kept.contains(each); });
    return all;
}

template <typename T>
template <std::ranges::input_range Range>
std::vector<T> set<T>::difference(Range&& values) const {
    return difference_of(snapshot(), collect(values));
}

template <typename T>
template <std::ranges::input_range Range>
std::vector<T> set<T>::symmetric_difference(Range&& values) const {
    const std::vector<T> own = snapshot();
    const std::vector<T> other = collect(values);
    std::vector<T> all = difference_of(own, other);
    std::vector<T> more = difference_of(other, own);
    all.insert(all.end(), std::make_move_iterator(more.begin()), std::make_move_iterator(more.end()));
    return all;
}

template <typename T>
template <std::ranges::input_range Range>
bool set<T>::issuperset(Range&& values) const {
    return difference_of(collect(values), snapshot()).empty();
}

template <typename T>
std::vector<T> set<T>::difference_of(const std::vector<T>& from, const std::vector<T>& without) {
    lookup seen(without);
    std::vector<T> rest;
    for (const T& each : from)
        if (seen.add(each)) rest.push_back(each);
    return rest;
}

template <typename T>
bool set<T>::equals(const std::vector<T>& other) const {
    const std::vector<T> own = snapshot();
    const lookup theirs(other);
    const std::vector<T> once = difference_of(other, {});
    return own.size() == once.size() &&
           std::all_of(own.begin(), own.end(), [&](const T& each) { return theirs.contains(each); });
}

// ---- all of them ---------------------------------------------------------------------------------------------------

template <typename T>
template <typename Fn>
    requires std::invocable<Fn, const T&>
void set<T>::for_each(Fn fn) const try {
    if (!in().is_writable()) {  // no lock to hold: a snapshot is as good
        for (const T& value : snapshot()) detail::call_with(fn, value);
        return;
    }
    const detail::segment_ptr keep = this->hold();
    const detail::segment_offset at = node();
    detail::root_transaction tx(in(), slot(), generation());
    const detail::dict_node& n = *keep->template at<detail::dict_node>(at);
    for (std::uint64_t sequence = 0;; ++sequence) {
        bool torn = false;
        detail::dict_copy copy;
        const std::byte* record = detail::next_record(*keep, n, shape, sequence, torn);
        if (!torn && record == nullptr) return;
        if (torn || detail::copy_record(*keep, shape, record, copy) == detail::read_result::torn)
            detail::throw_damaged(*keep, tx.slot());
        detail::dict_decoder<T, void>(copy).next(
            [&](T&& value) { detail::call_with(fn, std::as_const(value)); });
        tx.require_own();
    }
}
CAIRN_THROWS_UNLOCKED

template <typename T>
void set<T>::iterator::load() {
    detail::dict_copy copy;
    std::uint64_t sequence = 0;
    detail::read_root(set_.in(), set_.slot(), set_.generation(), [&](detail::segment& s) {
        copy = {};
        sequence = next_;
        bool torn = false;
        const std::byte* record = detail::next_record(s, set_.node_in(s), shape, sequence, torn);
        if (torn) return detail::read_result::torn;
        if (record == nullptr || sequence >= end_) return detail::read_result::done;
        return detail::copy_record(s, shape, record, copy);
    });
    next_ = sequence + 1;
    current_.reset();
    detail::dict_decoder<T, void> decoder(copy);
    if (!decoder.has_next()) return;
    decoder.next([&](T&& value) { current_.emplace(std::move(value)); });
}

template <typename T>
void set<T>::append_repr_to(std::string& text) const {
    const std::vector<T> all = snapshot();
    if (all.empty()) {
        text += "set()";
        return;
    }
    text += '{';
    for (std::size_t i = 0; i < all.size(); ++i) {
        if (i != 0) text += ", ";
        detail::append_element(text, all[i]);
    }
    text += '}';
}

}  // namespace cairn::inline CAIRN_ABI

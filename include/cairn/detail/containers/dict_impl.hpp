// dict_impl.hpp - bodies of dict.hpp.
// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <deque>
#include <variant>

#include <cairn/detail/base/standard.hpp>
#include <cairn/dict.hpp>

namespace cairn::inline CAIRN_ABI {

// ---- reading -------------------------------------------------------------------------------------------------------

template <typename K, typename V>
CAIRN_INLINE std::optional<V> dict<K, V>::get(key_parameter key) const {
    if constexpr (is_fast) {
        return get_word(key, [&](const detail::dict_node& n) {
            return detail::word_key(detail::word_of(key), detail::load_word(n.seed));
        });
    } else {
        return get_encoded({key, seed()});
    }
}

template <typename K, typename V>
template <typename Wanted>
CAIRN_INLINE std::optional<V> dict<K, V>::get_word(key_parameter key, Wanted wanted) const {
    const detail::quick_look look(in(), slot(), generation());
    if (look.may_look()) [[likely]] {
        const detail::dict_node& n = node_in(in());
        bool torn = false;
        const std::byte* record = detail::find_word(in(), n, shape.record_bytes(), wanted(n), torn);
        if (record != nullptr) [[likely]] {
            const detail::in_place_copy<V> copy(record + shape.value_at());
            if (look.is_whole() && detail::equals_itself(key)) [[likely]]
                return copy.get();
        } else if (look.is_whole() && !torn) {
            return std::nullopt;
        }
    }
    return get_encoded({key, seed()});
}

template <typename K, typename V>
CAIRN_NOINLINE std::optional<V> dict<K, V>::get_encoded(const encoded_key& wanted) const {
    if (wanted.is_nan()) return std::nullopt;
    detail::copied_bytes bytes;
    bool is_there = false;
    detail::read_root(in(), slot(), generation(), [&](detail::segment& s) {
        bool torn = false;
        const std::byte* record = detail::find_record(s, node_in(s), shape, wanted.get(), torn);
        is_there = record != nullptr;
        if (torn) return detail::read_result::torn;
        return is_there ? bytes.copy(s, shape, record, detail::find_value_bytes) : detail::read_result::done;
    });
    if (!is_there) return std::nullopt;
    return codec<V>::decode(bytes.get());
}

template <typename K, typename V>
V dict<K, V>::at(key_parameter key) const {
    std::optional<V> found = get(key);
    if (!found) throw_missing("get from", key);
    return *std::move(found);
}

template <typename K, typename V>
CAIRN_INLINE bool dict<K, V>::contains(key_parameter key) const {
    if constexpr (shape.key_form == detail::dict_key_form::word) {
        return contains_word(key, [&](const detail::dict_node& n) {
            return detail::word_key(detail::word_of(key), detail::load_word(n.seed));
        });
    } else {
        return contains_encoded({key, seed()});
    }
}

template <typename K, typename V>
template <typename Wanted>
CAIRN_INLINE bool dict<K, V>::contains_word(key_parameter key, Wanted wanted) const {
    const detail::quick_look look(in(), slot(), generation());
    if (look.may_look()) [[likely]] {
        const detail::dict_node& n = node_in(in());
        bool torn = false;
        const bool is_there = detail::find_word(in(), n, shape.record_bytes(), wanted(n), torn) != nullptr &&
                              detail::equals_itself(key);
        if (look.is_whole() && !torn) [[likely]]
            return is_there;
    }
    return contains_encoded({key, seed()});
}

template <typename K, typename V>
CAIRN_NOINLINE bool dict<K, V>::contains_encoded(const encoded_key& wanted) const {
    bool is_there = false;
    if (wanted.is_nan()) return false;
    detail::read_root(in(), slot(), generation(), [&](detail::segment& s) {
        bool torn = false;
        is_there = detail::find_record(s, node_in(s), shape, wanted.get(), torn) != nullptr;
        return torn ? detail::read_result::torn : detail::read_result::done;
    });
    return is_there;
}

template <typename K, typename V>
CAIRN_INLINE typename dict<K, V>::size_type dict<K, V>::size() const {
    const detail::quick_look look(in(), slot(), generation());
    if (look.may_look()) [[likely]] {
        const std::uint64_t size = detail::load_word(node_in(in()).size);
        if (look.is_whole()) [[likely]]
            return size;
    }
    std::uint64_t size = 0;
    detail::read_root(in(), slot(), generation(), [&](detail::segment& s) {
        size = detail::load_word(node_in(s).size);
        return detail::read_result::done;
    });
    return size;
}

template <typename K, typename V>
std::uint64_t dict<K, V>::next_sequence() const {
    std::uint64_t next = 0;
    detail::read_root(in(), slot(), generation(), [&](detail::segment& s) {
        next = detail::load_word(node_in(s).next_sequence);
        return detail::read_result::done;
    });
    return next;
}

template <typename K, typename V>
template <typename Add>
void dict<K, V>::read_all(Add add) const {
    detail::read_records<K, V>(in(), slot(), generation(), node(), add);
}

template <typename K, typename V>
std::vector<std::pair<K, V>> dict<K, V>::snapshot() const {
    std::vector<value_type> all;
    read_all([&](K&& key, V&& value) { all.emplace_back(std::move(key), std::move(value)); });
    return all;
}

template <typename K, typename V>
std::vector<K> dict<K, V>::keys() const {
    std::vector<K> all;
    read_all([&](K&& key, V&&) { all.push_back(std::move(key)); });
    return all;
}

template <typename K, typename V>
std::vector<V> dict<K, V>::values() const {
    std::vector<V> all;
    read_all([&](K&&, V&& value) { all.push_back(std::move(value)); });
    return all;
}

// ---- setting -------------------------------------------------------------------------------------------------------

template <typename K, typename V>
bool dict<K, V>::insert_or_assign(key_parameter key, value_parameter value) const {
    this->require_writable();
    return store({key, seed()}, value);
}

template <typename K, typename V>
bool dict<K, V>::store(const encoded_key& wanted, value_parameter value) const try {
    const encoded_value bytes(value);
    detail::root_transaction tx(in(), slot(), generation());
    detail::dict_change change(tx, node_in(in()));
    std::byte* record = find(change, wanted);
    if constexpr (is_fast && detail::element_traits<V>::is_word) {
        if (record != nullptr) {
            std::uint64_t word = 0;
            std::memcpy(&word, &value, sizeof value);
            tx.overwrite(*reinterpret_cast<std::uint64_t*>(record + shape.value_at()), word);
            return false;
        }
    }
    if (record != nullptr) change.replace(record, bytes.bytes());
    else change.template insert_missing<shape>(wanted.get(), bytes.bytes());
    change.commit();
    return record == nullptr;
}
CAIRN_THROWS_UNLOCKED

template <typename K, typename V>
template <typename... Args>
bool dict<K, V>::try_emplace(key_parameter key, Args&&... args) const {
    this->require_writable();
    if (contains(key)) return false;
    return store_if_new({key, seed()}, V(std::forward<Args>(args)...));
}

template <typename K, typename V>
bool dict<K, V>::store_if_new(const encoded_key& wanted, const V& value) const try {
    const encoded_value bytes(value);
    detail::root_transaction tx(in(), slot(), generation());
    detail::dict_change change(tx, node_in(in()));
    if (find(change, wanted) != nullptr) return false;
    change.template insert_missing<shape>(wanted.get(), bytes.bytes());
    change.commit();
    return true;
}
CAIRN_THROWS_UNLOCKED

template <typename K, typename V>
V dict<K, V>::setdefault(key_parameter key, V value) const try {
    this->require_writable();
    if (std::optional<V> found = get(key)) return *std::move(found);
    const encoded_key wanted(key, seed());
    const encoded_value bytes(value);
    detail::copied_bytes present;
    {
        detail::root_transaction tx(in(), slot(), generation());
        detail::dict_change change(tx, node_in(in()));
        const std::byte* record = find(change, wanted);
        if (record == nullptr) {
            change.template insert_missing<shape>(wanted.get(), bytes.bytes());
            change.commit();
            return value;
        }
        if (present.copy(in(), shape, record, detail::find_value_bytes) == detail::read_result::torn)
            detail::throw_damaged(in(), slot());
    }
    return codec<V>::decode(present.get());
}
CAIRN_THROWS_UNLOCKED

template <typename K, typename V>
V dict<K, V>::decode_value(const detail::segment& s, const std::byte* record) {
    detail::copied_bytes bytes;
    if (bytes.copy(s, shape, record, detail::find_value_bytes) == detail::read_result::torn)
        throw corrupt_segment("a value of a dict leads outside its segment");
    return codec<V>::decode(bytes.get());
}

template <typename K, typename V>
template <typename Fn>
    requires std::invocable<Fn, V&>
void dict<K, V>::update(key_parameter key, Fn&& fn) const {
    this->require_writable();
    update_encoded({key, seed()}, std::forward<Fn>(fn));
}

template <typename K, typename V>
template <typename Fn>
void dict<K, V>::update_encoded(const encoded_key& wanted, Fn&& fn) const try {
    const detail::segment_ptr keep = this->hold();  // fn may let go of the last handle
    detail::root_transaction tx(in(), slot(), generation());
    detail::dict_change change(tx, node_in(in()));
    std::byte* record = find(change, wanted);
    V value = record == nullptr ? V{} : decode_value(in(), record);
    if constexpr (std::is_convertible_v<std::invoke_result_t<Fn, V&>, V> &&
                  !std::is_void_v<std::invoke_result_t<Fn, V&>>) {
        value = detail::call_with(std::forward<Fn>(fn), value);
    } else {
        detail::call_with(std::forward<Fn>(fn), value);
    }
    const encoded_value bytes(value);
    if (record != nullptr) change.replace(record, bytes.bytes());
    else change.template insert_missing<shape>(wanted.get(), bytes.bytes());
    change.commit();
}
CAIRN_THROWS_UNLOCKED

/// Many pairs, encoded outside the lock.
template <typename K, typename V>
class dict<K, V>::encoded_contents {
public:
    template <std::ranges::input_range Range>
    encoded_contents(Range&& pairs, std::uint64_t seed) {
        if constexpr (std::is_same_v<std::remove_cvref_t<Range>, dict>) {
            for (const auto& [key, value] : pairs.snapshot()) pairs_.emplace_back(key, value, seed);
        } else {
            for (const auto& [key, value] : pairs) pairs_.emplace_back(key, value, seed);
        }
    }

    /// About: of blobs more.
    [[nodiscard]] std::uint64_t size_in_bytes() const noexcept {
        return pairs_.size() * sizeof(encoded_pair);
    }

    /// Under the lock; the caller commits with what it has begun.
    void store(detail::root_transaction& tx, detail::dict_node& node) const {
        detail::dict_change change(tx, node);
        for (const encoded_pair& each : pairs_) {
            if (std::byte* record = find(change, each.key)) change.replace(record, each.value.bytes());
            else change.template insert_missing<shape>(each.key.get(), each.value.bytes());
        }
        change.commit();
    }

private:
    /// A string is referred to by its encoding, and so kept; all else is copied by it.
    template <typename T>
    using kept = std::conditional_t<std::is_same_v<T, std::string>, std::string, std::monostate>;
    template <typename T, typename From>
    static kept<T> keep(const From& from) {
        if constexpr (std::is_same_v<T, std::string>) return std::string(from);
        else return {};
    }
    template <typename T, typename From>
    static decltype(auto) kept_or_given(const kept<T>& own, const From& from) {
        if constexpr (std::is_same_v<T, std::string>) return (own);
        else if constexpr (std::is_same_v<T, From>) return (from);
        else return T(from);
    }

    struct encoded_pair {
        template <typename A, typename B>
        encoded_pair(const A& k, const B& v, std::uint64_t seed)
            : own_key(keep<K>(k)), own_value(keep<V>(v)), key(kept_or_given<K>(own_key, k), seed),
              value(kept_or_given<V>(own_value, v)) {}

        kept<K> own_key;
        kept<V> own_value;
        encoded_key key;
        encoded_value value;
    };
    std::deque<encoded_pair> pairs_;  // which cannot be moved
};

template <typename K, typename V>
template <std::ranges::input_range Range>
void dict<K, V>::update(Range&& pairs) const try {
    this->require_writable();
    const encoded_contents contents(pairs, seed());
    detail::root_transaction tx(in(), slot(), generation());
    contents.store(tx, node_in(in()));
}
CAIRN_THROWS_UNLOCKED

// ---- taking away ---------------------------------------------------------------------------------------------------

template <typename K, typename V>
bool dict<K, V>::take(const encoded_key& wanted, std::optional<V>* value) const try {
    detail::decoding<V> taken;
    for (;; taken.decode_outside()) {
        detail::root_transaction tx(in(), slot(), generation());
        detail::dict_change change(tx, node_in(in()));
        std::byte* record = find(change, wanted);
        if (record == nullptr) return false;
        if (value != nullptr && !detail::prepare_value(tx, shape, record, taken)) continue;
        change.erase(record);
        change.commit();
        break;
    }
    if (value != nullptr) value->emplace(taken.take());
    return true;
}
CAIRN_THROWS_UNLOCKED

template <typename K, typename V>
template <typename Predicate>
typename dict<K, V>::size_type dict<K, V>::erase_where(std::uint64_t end, const Predicate& matches) const {
    this->require_writable();
    detail::record_eraser<K, V> records(this->hold(), slot(), generation(), node());
    return records.erase_before(end, matches);
}

template <typename K, typename V>
V dict<K, V>::pop(key_parameter key) const {
    this->require_writable();
    std::optional<V> value;
    if (!take({key, seed()}, &value)) throw_missing("pop from", key);
    return *std::move(value);
}

template <typename K, typename V>
V dict<K, V>::pop(key_parameter key, V otherwise) const {
    this->require_writable();
    std::optional<V> value;
    return take({key, seed()}, &value) ? *std::move(value) : std::move(otherwise);
}

template <typename K, typename V>
typename dict<K, V>::value_type dict<K, V>::popitem() const try {
    this->require_writable();
    detail::decoding<K> key;
    detail::decoding<V> value;
    for (;; key.decode_outside(), value.decode_outside()) {
        detail::root_transaction tx(in(), slot(), generation());
        detail::dict_change change(tx, node_in(in()));
        bool torn = false;
        std::byte* record = detail::last_record(in(), change.node(), shape, torn);
        if (!torn && record == nullptr) this->throw_key("popitem from", "it is empty");
        if (torn) detail::throw_damaged(in(), slot());
        const bool has_key = detail::prepare_key(tx, shape, record, key);
        if (!detail::prepare_value(tx, shape, record, value) || !has_key) continue;
        change.erase(record);
        change.commit();
        break;
    }
    return {key.take(), value.take()};
}
CAIRN_THROWS_UNLOCKED

template <typename K, typename V>
void dict<K, V>::clear() const try {
    this->require_writable();
    detail::root_transaction tx(in(), slot(), generation());
    detail::clear_dict(tx, node_in(in()));
}
CAIRN_THROWS_UNLOCKED

// ---- all of them ---------------------------------------------------------------------------------------------------

template <typename K, typename V>
template <typename Fn>
    requires std::invocable<Fn, const K&, const V&>
void dict<K, V>::for_each(Fn fn) const try {
    if (!in().is_writable()) {  // no lock to hold: a snapshot is as good
        for (const auto& [key, value] : snapshot()) detail::call_with(fn, key, value);
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
        detail::dict_decoder<K, V>(copy).next(
            [&](K&& key, V&& value) { detail::call_with(fn, std::as_const(key), std::as_const(value)); });
        tx.require_own();
    }
}
CAIRN_THROWS_UNLOCKED

template <typename K, typename V>
void dict<K, V>::iterator::load() {
    detail::dict_copy copy;
    std::uint64_t sequence = 0;
    detail::read_root(dict_.in(), dict_.slot(), dict_.generation(), [&](detail::segment& s) {
        copy = {};
        sequence = next_;
        bool torn = false;
        const std::byte* record = detail::next_record(s, dict_.node_in(s), shape, sequence, torn);
        if (torn) return detail::read_result::torn;
        if (record == nullptr || sequence >= end_) return detail::read_result::done;
        return detail::copy_record(s, shape, record, copy);
    });
    next_ = sequence + 1;
    current_.reset();
    detail::dict_decoder<K, V> decoder(copy);
    if (!decoder.has_next()) return;
    decoder.next([&](K&& key, V&& value) { current_.emplace(std::move(key), std::move(value)); });
}

template <typename K, typename V>
bool dict<K, V>::same_pairs(const std::vector<value_type>& a, const std::vector<value_type>& b) {
    if (a.size() != b.size()) return false;
    // Both by the hash of the key; pairs with one hash are few.
    const auto by_hash = [](const std::vector<value_type>& pairs) {
        std::vector<std::pair<std::uint64_t, const value_type*>> order;
        order.reserve(pairs.size());
        for (const value_type& each : pairs)
            order.emplace_back(detail::key_traits<K>::hash(each.first, 0), &each);
        std::sort(order.begin(), order.end());
        return order;
    };
    const auto left = by_hash(a);
    const auto right = by_hash(b);
    for (const auto& [hash, pair] : left) {
        auto match = std::lower_bound(right.begin(), right.end(), hash,
                                      [](const auto& each, std::uint64_t h) { return each.first < h; });
        for (;; ++match) {
            if (match == right.end() || match->first != hash) return false;
            if (detail::key_traits<K>::equal(match->second->first, pair->first)) break;
        }
        if (!detail::equal_elements(match->second->second, pair->second)) return false;
    }
    return true;
}

template <typename K, typename V>
void dict<K, V>::append_repr_to(std::string& text) const {
    text += '{';
    const std::size_t begin = text.size();
    read_all([&](K&& key, V&& value) {
        if (text.size() != begin) text += ", ";
        detail::append_element(text, key);
        text += ": ";
        detail::append_element(text, value);
    });
    text += '}';
}

}  // namespace cairn::inline CAIRN_ABI

// dict_elements.hpp - keys and values of a dict of given types: what their records look like, and how they are read.
// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

#include <cairn/detail/containers/decoding.hpp>
#include <cairn/detail/containers/dict_key.hpp>

namespace cairn::inline CAIRN_ABI::detail {

/// `V` is void for sets.
template <typename K, typename V>
constexpr dict_shape dict_shape_of() {
    dict_shape shape{};
    shape.key_form = key_form_of<K>();
    if constexpr (key_form_of<K>() == dict_key_form::in_place) shape.key_bytes = sizeof(K);
    if constexpr (std::is_void_v<V>) {
        shape.value_form = dict_value_form::none;
    } else if constexpr (inline_bytes<V>() != 0) {
        shape.value_form = dict_value_form::in_place;
        shape.value_bytes = sizeof(V);
    } else {
        shape.value_form =
            key_form_of<K>() == dict_key_form::blob ? dict_value_form::beside_key : dict_value_form::blob;
    }
    return shape;
}

/// Bytes copied out of a segment, to be decoded once they are known to be whole.
class copied_bytes {
public:
    /// `find` is find_key_bytes or find_value_bytes. Torn where it finds nothing.
    template <typename Find>
    read_result copy(const segment& s, dict_shape shape, const std::byte* record, Find find) {
        blob_slot slot{};
        std::uint64_t count = 0;
        const std::byte* from = find(s, shape, record, slot, count);
        if (from == nullptr) return read_result::torn;
        std::byte* to = small_.data();
        if (count > small_.size()) {
            large_.resize(count);
            to = large_.data();
        }
        if (from == reinterpret_cast<const std::byte*>(&slot)) std::memcpy(to, from, count);
        else copy_out(to, from, count);
        bytes_ = {to, count};
        return read_result::done;
    }
    [[nodiscard]] std::span<const std::byte> get() const noexcept { return bytes_; }

private:
    alignas(8) std::array<std::byte, 256> small_;
    std::vector<std::byte> large_;
    std::span<const std::byte> bytes_;
};

/// decoding::prepare() of a record's value, or of its key: under the lock.
template <typename V>
bool prepare_value(root_transaction& tx, dict_shape shape, const std::byte* record, decoding<V>& value) {
    blob_slot slot{};
    std::uint64_t count = 0;
    const std::byte* from = find_value_bytes(tx.in(), shape, record, slot, count);
    if (from == nullptr) throw_damaged(tx.in(), tx.slot());
    return value.prepare({from, count}, tx.has_joined());
}
template <typename K>
bool prepare_key(root_transaction& tx, dict_shape shape, const std::byte* record, decoding<K>& key) {
    if constexpr (key_form_of<K>() == dict_key_form::word) {
        const std::uint64_t word = word_in(record, shape.key_at());
        return key.prepare(std::as_bytes(std::span(&word, 1)).first(sizeof(K)), tx.has_joined());
    } else {
        blob_slot slot{};
        std::uint64_t count = 0;
        const std::byte* from = find_key_bytes(tx.in(), shape, record, slot, count);
        if (from == nullptr) throw_damaged(tx.in(), tx.slot());
        return key.prepare({from, count}, tx.has_joined());
    }
}

/// Keys and values of a dict_copy, decoded one after the other.
template <typename K, typename V>
class dict_decoder {
    static constexpr dict_shape shape = dict_shape_of<K, V>();

public:
    explicit dict_decoder(const dict_copy& from) : from_(from) {}

    [[nodiscard]] bool has_next() const noexcept { return index_ != from_.count; }
    /// Calls fn(K&&) for a set, fn(K&&, V&&) for a dict.
    template <typename Fn>
    void next(Fn fn) {
        const std::byte* record = from_.records.data() + index_ * shape.record_bytes();
        K key = decode_key(record);
        ++index_;
        if constexpr (std::is_void_v<V>) {
            fn(std::move(key));
        } else {
            V value = decode_value(record);
            fn(std::move(key), std::move(value));
        }
    }

private:
    std::span<const std::byte> next_blob() {
        const std::uint64_t bytes = from_.blob_bytes[blob_++];
        const std::span<const std::byte> all = std::span(from_.blobs).subspan(at_, bytes);
        at_ += bytes;
        return all;
    }
    K decode_key(const std::byte* record) {
        if constexpr (shape.key_form == dict_key_form::word)
            return key_of_word<K>(word_in(record, shape.key_at()));
        else if constexpr (shape.key_form == dict_key_form::in_place)
            return codec<K>::decode({record + shape.key_at(), sizeof(K)});
        else return codec<K>::decode(next_blob());
    }
    V decode_value(const std::byte* record)
        requires(!std::is_void_v<V>)
    {
        if constexpr (shape.value_form == dict_value_form::in_place)
            return codec<V>::decode({record + shape.value_at(), sizeof(V)});
        else return codec<V>::decode(next_blob());
    }

    const dict_copy& from_;
    std::uint64_t index_ = 0;
    std::size_t blob_ = 0;
    std::size_t at_ = 0;
};

/// Calls add(K&&) for all elements of a set, add(K&&, V&&) for all pairs of a dict, in order, copied at one moment; in pieces
/// where read_root_whole() cannot.
template <typename K, typename V, typename Add>
void read_records(segment& in, root_slot& slot, std::uint64_t generation, segment_offset node, Add& add) {
    constexpr dict_shape shape = dict_shape_of<K, V>();
    dict_copy copy;
    const auto decode = [&] {
        for (dict_decoder<K, V> decoder(copy); decoder.has_next();) decoder.next(add);
    };
    if (read_root_whole(in, slot, generation, [&](segment& s) {
            copy = {};
            return copy_dict(s, *s.template at<dict_node>(node), shape, copy);
        }))
        return decode();
    std::uint64_t end = 0;
    read_root(in, slot, generation, [&](segment& s) {
        end = load_word(s.template at<dict_node>(node)->next_sequence);
        return read_result::done;
    });
    for (std::uint64_t sequence = 0; sequence < end;) {
        std::uint64_t next = 0;
        read_root(in, slot, generation, [&](segment& s) {
            copy = {};
            next = sequence;
            return copy_records(s, *s.template at<dict_node>(node), shape, next, end, elements_in_piece,
                                copy);
        });
        decode();
        if (copy.count != elements_in_piece) return;
        sequence = next;
    }
}

/// erase_if() of a dict or a set, one record after the other; `V` is void for sets. `matches` is given the key, and the value.
template <typename K, typename V>
class record_eraser {
    static constexpr dict_shape shape = dict_shape_of<K, V>();
    static constexpr int rounds_without_lock = 3;

public:
    record_eraser(segment_ptr in, root_slot& slot, std::uint64_t generation, segment_offset node)
        : in_(std::move(in)), slot_(slot), generation_(generation), node_(node) {}

    /// Of those that are there, up to the sequence number `end`; returns how many it has erased.
    template <typename Matches>
    std::uint64_t erase_before(std::uint64_t end, const Matches& matches) {
        std::uint64_t erased = 0;
        for (std::uint64_t sequence = 0;; ++sequence) {
            dict_copy judged;
            read_root(*in_, slot_, generation_, [&](segment& s) {
                judged = {};
                std::uint64_t found = sequence;
                const read_result result = copy_next(s, found, judged);
                if (judged.count != 0 && found >= end) judged = {};
                next_ = found;
                return result;
            });
            if (judged.count == 0) return erased;
            sequence = next_;
            if (is_match(judged, matches) && erase(sequence, judged, matches)) ++erased;
        }
    }

private:
    read_result copy_next(const segment& s, std::uint64_t& sequence, dict_copy& to) const {
        bool torn = false;
        const std::byte* record = next_record(s, *s.template at<dict_node>(node_), shape, sequence, torn);
        if (torn) return read_result::torn;
        return record == nullptr ? read_result::done : copy_record(s, shape, record, to);
    }
    template <typename Matches>
    static bool is_match(const dict_copy& judged, const Matches& matches) {
        bool result = false;
        dict_decoder<K, V>(judged).next([&](const auto&... parts) { result = matches(parts...); });
        return result;
    }
    // Whether it was there, and what `judged` says of it, which matches; else it is judged anew.
    template <typename Matches>
    bool erase(std::uint64_t sequence, dict_copy& judged, const Matches& matches) {
        for (int round = 1;; ++round) {
            {
                root_transaction tx(*in_, slot_, generation_);
                dict_change change(tx, *in_->at<dict_node>(node_));
                std::uint64_t found = sequence;
                bool torn = false;
                std::byte* record = next_record(*in_, change.node(), shape, found, torn);
                dict_copy now;
                if (torn || (record != nullptr && copy_record(*in_, shape, record, now) == read_result::torn))
                    throw_damaged(*in_, slot_);
                if (record == nullptr || found != sequence) return false;
                bool is_judged = now.records == judged.records && now.blobs == judged.blobs;
                if (!is_judged && round > rounds_without_lock) {
                    // Beside writers that leave it no time: here, so that it ends.
                    if (!is_match(now, matches)) return false;
                    tx.require_own();
                    is_judged = true;
                }
                if (is_judged) {
                    change.erase(record);
                    change.commit();
                    return true;
                }
                judged = std::move(now);
            }
            if (!is_match(judged, matches)) return false;
        }
    }

    segment_ptr in_;
    root_slot& slot_;
    std::uint64_t generation_;
    segment_offset node_;
    std::uint64_t next_ = 0;
};

}  // namespace cairn::inline CAIRN_ABI::detail

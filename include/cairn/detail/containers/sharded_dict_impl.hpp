// sharded_dict_impl.hpp - bodies of sharded_dict.hpp.
// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <deque>

#include <cairn/sharded_dict.hpp>

namespace cairn::inline CAIRN_ABI {

template <typename K, typename V>
std::shared_ptr<typename sharded_dict<K, V>::state>
sharded_dict<K, V>::make_state(const detail::root_reference& root) {
    auto made = std::make_shared<state>();
    made->seed = root.in->header().hash_seed;
    made->count = static_cast<std::uint32_t>(root.parts.size());
    made->shards.reserve(root.parts.size());
    for (const detail::root_reference& part : root.parts) made->shards.emplace_back(part);
    return made;
}

template <typename K, typename V>
template <typename Range>
std::vector<std::vector<std::pair<K, V>>> sharded_dict<K, V>::by_shard(Range&& pairs, std::uint64_t seed,
                                                                       std::uint32_t count) {
    std::vector<std::vector<value_type>> sorted(count);
    const auto add = [&](auto&& from) {
        for (const auto& [key, value] : from) {
            K own(key);
            std::vector<value_type>& to = sorted[detail::shard_of(encoded_key(own, seed).get().hash, count)];
            to.emplace_back(std::move(own), V(value));
        }
    };
    if constexpr (requires { pairs.snapshot(); }) add(pairs.snapshot());
    else add(pairs);
    return sorted;
}

/// First contents, encoded outside the lock.
template <typename K, typename V>
class sharded_dict<K, V>::encoded_contents {
public:
    template <typename Range>
    encoded_contents(Range&& pairs, std::uint64_t seed, std::uint32_t count) {
        for (const std::vector<value_type>& each : by_shard(pairs, seed, count))
            shards_.emplace_back(each, seed);
    }
    [[nodiscard]] std::uint64_t size_in_bytes() const noexcept {
        std::uint64_t bytes = 0;
        for (const auto& each : shards_) bytes += each.size_in_bytes();
        return bytes;
    }
    [[nodiscard]] const typename shard::encoded_contents& of_shard(std::uint32_t index) const {
        return shards_[index];
    }

private:
    std::deque<typename shard::encoded_contents> shards_;  // which cannot be copied
};

// ---- one key -------------------------------------------------------------------------------------------------------

// Here keys are encoded and hashed once, for the choice of the shard and for the search in it. What only sharded_dict.hpp has
// (operator[], try_emplace, setdefault ...) asks for the shard, and then that one as any dict: twice.

template <typename K, typename V>
CAIRN_INLINE std::optional<V> sharded_dict<K, V>::get(key_parameter key) const {
    if constexpr (shard::is_fast) {
        const detail::dict_key wanted = word_key(key);
        return of(wanted).get_word(key, [&](const detail::dict_node&) { return wanted; });
    } else {
        const encoded_key wanted(key, state_->seed);
        return of(wanted).get_encoded(wanted);
    }
}

template <typename K, typename V>
V sharded_dict<K, V>::at(key_parameter key) const {
    std::optional<V> found = get(key);
    if (!found) this->throw_key("get from", "no key " + repr(K(key)));
    return *std::move(found);
}

template <typename K, typename V>
CAIRN_INLINE bool sharded_dict<K, V>::contains(key_parameter key) const {
    if constexpr (has_words) {
        const detail::dict_key wanted = word_key(key);
        return of(wanted).contains_word(key, [&](const detail::dict_node&) { return wanted; });
    } else {
        const encoded_key wanted(key, state_->seed);
        return of(wanted).contains_encoded(wanted);
    }
}

template <typename K, typename V>
bool sharded_dict<K, V>::insert_or_assign(key_parameter key, value_parameter value) const {
    this->require_writable();
    const encoded_key wanted(key, state_->seed);
    return of(wanted).store(wanted, value);
}

template <typename K, typename V>
template <typename Fn>
    requires std::invocable<Fn, V&>
void sharded_dict<K, V>::update(key_parameter key, Fn&& fn) const {
    this->require_writable();
    const encoded_key wanted(key, state_->seed);
    of(wanted).update_encoded(wanted, std::forward<Fn>(fn));
}

template <typename K, typename V>
bool sharded_dict<K, V>::erase(key_parameter key) const {
    this->require_writable();
    const encoded_key wanted(key, state_->seed);
    return of(wanted).take(wanted, nullptr);
}

template <typename K, typename V>
bool sharded_dict<K, V>::set(key_parameter key, value_parameter value, const exactly_once& how) const {
    this->require_writable();
    return of(encoded_key(key, state_->seed)).set(key, value, how);
}

template <typename K, typename V>
bool sharded_dict<K, V>::erase(key_parameter key, const exactly_once& how) const {
    this->require_writable();
    return of(encoded_key(key, state_->seed)).erase(key, how);
}

// ---- all of them ---------------------------------------------------------------------------------------------------

template <typename K, typename V>
typename sharded_dict<K, V>::size_type sharded_dict<K, V>::size() const {
    size_type sum = 0;
    for (const shard& each : state_->shards) sum += each.size();
    return sum;
}

template <typename K, typename V>
bool sharded_dict<K, V>::empty() const {
    for (const shard& each : state_->shards)
        if (!each.empty()) return false;
    return true;
}

template <typename K, typename V>
std::vector<std::pair<K, V>> sharded_dict<K, V>::snapshot() const {
    std::vector<value_type> all;
    for (const shard& each : state_->shards)
        each.read_all([&](K&& key, V&& value) { all.emplace_back(std::move(key), std::move(value)); });
    return all;
}

template <typename K, typename V>
std::vector<K> sharded_dict<K, V>::keys() const {
    std::vector<K> all;
    for (const shard& each : state_->shards)
        each.read_all([&](K&& key, V&&) { all.push_back(std::move(key)); });
    return all;
}

template <typename K, typename V>
std::vector<V> sharded_dict<K, V>::values() const {
    std::vector<V> all;
    for (const shard& each : state_->shards)
        each.read_all([&](K&&, V&& value) { all.push_back(std::move(value)); });
    return all;
}

template <typename K, typename V>
template <std::ranges::input_range Range>
void sharded_dict<K, V>::update(Range&& pairs) const {
    this->require_writable();
    const std::vector<std::vector<value_type>> sorted = by_shard(pairs, state_->seed, state_->count);
    for (std::size_t i = 0; i < sorted.size(); ++i)
        if (!sorted[i].empty()) state_->shards[i].update(sorted[i]);
}

template <typename K, typename V>
typename sharded_dict<K, V>::value_type sharded_dict<K, V>::popitem() const {
    this->require_writable();
    // Processes begin at shards of their own (odd: neighbouring numbers at different ones, for any count of shards), also a
    // forked child that has its parent's handle. relaxed: only spreads the callers
    const std::size_t first = state_->turn.fetch_add(1, std::memory_order_relaxed) +
                              this->in().participant_number() * std::size_t{21};
    for (std::size_t i = 0; i < state_->count; ++i) {
        const shard& each = state_->shards[(first + i) % state_->count];
        if (each.empty()) continue;
        try {
            return each.popitem();
        } catch (const key_error&) {
            // Somebody else has taken it since.
        }
    }
    this->throw_key("popitem from", "it is empty");
}

template <typename K, typename V>
void sharded_dict<K, V>::clear() const {
    this->require_writable();
    for (const shard& each : state_->shards) each.clear();
}

template <typename K, typename V>
template <typename Fn>
    requires std::invocable<Fn, const K&, const V&>
void sharded_dict<K, V>::for_each(Fn fn) const {
    const std::shared_ptr<state> keep = state_;  // fn may let go of the last handle
    for (const shard& each : keep->shards) each.for_each(std::ref(fn));
}

template <typename K, typename V>
void sharded_dict<K, V>::iterator::enter() {
    in_shard_.reset();
    for (; shard_ < dict_.state_->shards.size(); ++shard_) {
        in_shard_.emplace(dict_.state_->shards[shard_], ends_[shard_]);
        if (*in_shard_ != std::default_sentinel) return;
        in_shard_.reset();
    }
}

template <typename K, typename V>
void sharded_dict<K, V>::append_repr_to(std::string& text) const {
    text += '{';
    const std::size_t begin = text.size();
    for (const shard& each : state_->shards) {
        each.read_all([&](K&& key, V&& value) {
            if (text.size() != begin) text += ", ";
            detail::append_element(text, key);
            text += ": ";
            detail::append_element(text, value);
        });
    }
    text += '}';
}

}  // namespace cairn::inline CAIRN_ABI

// opened_sharded_dict.hpp - a sharded_dict with its inside showing: its shards, and which of them has a key.
// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <string>
#include <utility>
#include <vector>

#include "segment/directory.hpp"
#include "support/opened_dict.hpp"

namespace cairn_test {

template <typename K, typename V>
class opened_sharded : public cairn::sharded_dict<K, V> {
public:
    using base = cairn::sharded_dict<K, V>;
    explicit opened_sharded(base d) : base(std::move(d)) {}

    using base::generation;
    using base::in;
    using base::slot;
    /// The roots of the shards, in their order.
    [[nodiscard]] std::vector<cairn::detail::root_slot*> parts() const {
        return cairn::detail::find_parts(this->in(), this->slot());
    }
    [[nodiscard]] std::vector<cairn::dict<K, V>> shards() const {
        std::vector<cairn::dict<K, V>> all;
        const cairn::detail::segment_ptr mapping = this->hold();
        for (cairn::detail::root_slot* part : parts())
            all.emplace_back(cairn::detail::root_reference{mapping, part, part->generation, part->node});
        return all;
    }
    [[nodiscard]] std::size_t shard_of(const K& key) const {
        const auto hash = cairn::detail::encoded_key<K>(key, this->in().header().hash_seed).get().hash;
        return cairn::detail::shard_of(hash, static_cast<std::uint32_t>(this->shard_count()));
    }
    /// Takes each of its locks, so that what a dead owner left is repaired.
    void touch() const {
        { const cairn::detail::root_transaction tx(this->in(), this->slot(), this->generation()); }
        this->for_each([](const K&, const V&) {});
    }
};

/// Empty, or the first invariant that does not hold: of a shard, or that a key is in the shard it leads to. At rest only.
template <typename K, typename V>
std::string broken_dict(const cairn::sharded_dict<K, V>& d) {
    const opened_sharded<K, V> open(d);
    const auto shards = open.shards();
    for (std::size_t i = 0; i < shards.size(); ++i) {
        if (std::string problem = broken_dict(shards[i]); !problem.empty()) return problem;
        for (const K& key : shards[i].keys())
            if (open.shard_of(key) != i) return "a key is in another shard than its hash leads to";
    }
    return {};
}

}  // namespace cairn_test

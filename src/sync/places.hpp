// places.hpp - an array of records in a root's arena, one for each process or thread that has to do with the object: found by
// looking through all of them, twice as long when it is full.
// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include <cairn/detail/arena/arena.hpp>
#include <cairn/detail/txn/reading.hpp>
#include <cairn/detail/txn/root_transaction.hpp>

namespace cairn::inline CAIRN_ABI::detail {

constexpr std::uint32_t first_place_count = 4;

/// The array; empty where there is none, or the words that lead there are damaged.
template <typename Place>
std::span<Place> find_places(const segment& s, const std::uint64_t& array, const std::uint32_t& array_count,
                             std::uint32_t most) noexcept {
    const std::uint32_t count = load_word(array_count);
    if (count == 0 || count > most) return {};
    auto* places = s.find<Place>(load_word(array), count * sizeof(Place));
    return {places, places == nullptr ? 0 : count};
}

/// Returns the first of as many new places, which are zero. Committed before anything is written there: the object is the same with
/// more places, and the log stays short. Throws segment_full.
template <typename Place>
Place& add_places(root_transaction& tx, std::uint64_t& array, std::uint32_t& array_count,
                  std::span<Place> old, std::uint32_t most) {
    const std::uint64_t old_bytes = old.size_bytes();
    const std::uint32_t count = old.empty() ? first_place_count : static_cast<std::uint32_t>(2 * old.size());
    if (count > most) throw_damaged(tx.in(), tx.slot());
    const segment_offset grown = allocate(tx, count * sizeof(Place));
    auto* to = tx.in().at<Place>(grown);
    zero_shared(to, count * sizeof(Place));
    if (!old.empty())
        copy_across(reinterpret_cast<std::byte*>(to), reinterpret_cast<std::byte*>(old.data()), old_bytes);
    const segment_offset before = array;
    tx.begin_change();
    tx.store(array, grown);
    tx.store(array_count, count);
    if (before != 0) deallocate(tx, before, old_bytes);
    tx.commit();
    return to[old.size()];
}

}  // namespace cairn::inline CAIRN_ABI::detail

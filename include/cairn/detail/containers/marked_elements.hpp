// marked_elements.hpp - which elements of a list are to go, a bit for each, in private memory.
// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <bit>
#include <cstdint>
#include <span>
#include <vector>

#include <cairn/detail/containers/list_core.hpp>

namespace cairn::inline CAIRN_ABI::detail {

class marked_elements {
public:
    /// Of so many elements; further ones are not marked.
    void resize(std::uint64_t count) {
        words_.resize((count + 63) / 64);
        if (count % 64 != 0) words_.back() &= (std::uint64_t{1} << count % 64) - 1;
    }
    void mark(std::uint64_t index, bool is_marked) {
        std::uint64_t& word = words_[index / 64];
        const std::uint64_t bit = std::uint64_t{1} << index % 64;
        word = is_marked ? word | bit : word & ~bit;
    }
    [[nodiscard]] std::uint64_t count() const noexcept {
        std::uint64_t count = 0;
        for (const std::uint64_t word : words_) count += static_cast<std::uint64_t>(std::popcount(word));
        return count;
    }
    /// Under the lock: erases them, as one. Throws segment_full.
    void erase_from(root_transaction& tx, list_node& node) const {
        std::size_t begin = 0;
        std::size_t end = words_.size();
        while (end != 0 && words_[end - 1] == 0) --end;
        if (end == 0) return;
        while (words_[begin] == 0) ++begin;
        const std::uint64_t first = begin * 64 + static_cast<std::uint64_t>(std::countr_zero(words_[begin]));
        const std::uint64_t last = end * 64 - static_cast<std::uint64_t>(std::countl_zero(words_[end - 1]));
        // Neighbours need no memory.
        if (last - first == count()) return erase_elements(tx, node, first, last);
        erase_marked_elements(tx, node, begin * 64, last, std::span(words_).subspan(begin, end - begin));
    }

private:
    std::vector<std::uint64_t> words_;
};

}  // namespace cairn::inline CAIRN_ABI::detail

// queue_items.hpp - items of a given type on their way into the slots of a queue and out of them.
//
// Encoding happens before the lock is taken; decoding.hpp says when they are decoded.
//
// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <cstddef>
#include <cstring>
#include <span>
#include <vector>

#include <cairn/detail/base/standard.hpp>
#include <cairn/detail/containers/element.hpp>
#include <cairn/detail/containers/queue_core.hpp>

namespace cairn::inline CAIRN_ABI::detail {

/// One item to be put. Refers to the value, which outlives it.
template <typename T>
class item_to_put {
    using traits = element_traits<T>;

public:
    explicit item_to_put(typename traits::parameter value) : stored_(value) {}

    /// Under the lock: writes the slot, and a block if it needs one.
    CAIRN_INLINE void write(root_transaction& tx, std::byte* slot) const {
        if constexpr (traits::in_place) {
            write_in_place<T>(slot, stored_);
        } else {
            const std::span<const std::byte> bytes = stored_.bytes();
            if (bytes.size() > largest_slot_bytes)
                tx.begin_change();  // block and tail become the queue's together
            write_blob(tx, *reinterpret_cast<blob_slot*>(slot), bytes);
        }
    }

private:
    std::conditional_t<traits::in_place, const T&, encoded<T>> stored_;
};

/// Many items to be put.
template <typename T>
class items_to_put {
    using traits = element_traits<T>;

public:
    template <typename Range>
    explicit items_to_put(Range& range) {
        if constexpr (std::ranges::sized_range<Range>)
            bytes_.reserve(std::ranges::size(range) * traits::stride);
        for (const auto& each : range) {
            if constexpr (traits::in_place) add(static_cast<const T&>(T(each)));
            else add_bytes(encoded<T>(static_cast<typename traits::parameter>(each)).bytes());
        }
    }

    [[nodiscard]] std::uint64_t count() const noexcept { return count_; }
    void write(root_transaction& tx, std::byte* slot, std::uint64_t index) const {
        if constexpr (traits::in_place) {
            copy_in_fixed<traits::stride>(slot, bytes_.data() + index * traits::stride);
        } else {
            const std::size_t begin = index == 0 ? 0 : ends_[index - 1];
            tx.begin_change();
            write_blob(tx, *reinterpret_cast<blob_slot*>(slot),
                       std::span(bytes_).subspan(begin, ends_[index] - begin));
        }
    }

private:
    void add(const T& value) {
        bytes_.resize(bytes_.size() + traits::stride);
        std::memcpy(bytes_.data() + count_ * traits::stride, &value, sizeof value);
        ++count_;
    }
    void add_bytes(std::span<const std::byte> bytes) {
        bytes_.insert(bytes_.end(), bytes.begin(), bytes.end());
        ends_.push_back(bytes_.size());
        ++count_;
    }

    std::uint64_t count_ = 0;
    std::vector<std::byte> bytes_;   // in place: `stride` apart
    std::vector<std::size_t> ends_;  // of blobs
};

}  // namespace cairn::inline CAIRN_ABI::detail

// early_copy.hpp - the next item of a fifo, copied before the lock is taken.
//
// A large item would keep the lock from everybody for microseconds while it is copied; so it is copied while another process
// puts the next one in, and the lock is held for a moment.
//
// Protected by  nothing while it looks, which stores nothing: every offset is checked, and what it saw is compared under the
//               lock. Then the item is taken as any other: the commit is the root's.
// Death         while it looks: nothing happened.
//
// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <cstdint>
#include <new>

#include <cairn/detail/containers/queue_items.hpp>

namespace cairn::inline CAIRN_ABI::detail {

constexpr std::uint64_t least_early_bytes = 4096;  // below it, two looks take longer than the copy

/// Once the lock is held, the copy counts if head is where it was: what lies there stays as it is until head moves on, and head
/// never comes back, unless it was rolled back (and what it had passed by freed in between), which the root counts.
template <typename T>
class early_copy {
public:
    /// Copies the next item, if there is one and it is large.
    void look(const segment& s, const root_slot& slot, const queue_node& node) {
        was_tried_ = true;
        has_item_ = false;
        // acquire: what was rolled back before is seen as it was
        rolled_back_ = __atomic_load_n(&slot.rolled_back_count, __ATOMIC_ACQUIRE);
        base_ = load_word(node.head_base);
        ticket_ = load_word(node.head);
        // acquire: pairs with the release of a put; a tail beyond the ticket means that its item is there. One below it is an
        // old tail, read before the head.
        if (__atomic_load_n(&node.tail, __ATOMIC_ACQUIRE) <= ticket_) return;
        const std::byte* at = find_queue_slot(s, base_, ticket_, sizeof(blob_slot));
        if (at == nullptr) return;
        blob_slot item;
        copy_out_fixed<sizeof item>(&item, at);
        __atomic_thread_fence(__ATOMIC_ACQUIRE);  // the slot is read before head once more
        if (is_at_head(node) && is_large(item)) copy(s, item);
    }
    /// Under the lock: whether it is worth while to give it back for a look. Once: then somebody else was faster.
    [[nodiscard]] bool is_wanted(const std::byte* slot) const noexcept {
        blob_slot item;
        copy_out_fixed<sizeof item>(&item, slot);
        return !was_tried_ && is_large(item);
    }
    /// Under the lock: whether what was copied is the next item.
    [[nodiscard]] bool is_next(const root_slot& slot, const queue_node& node) const noexcept {
        return has_item_ && is_at_head(node) && load_word(slot.rolled_back_count) == rolled_back_;
    }
    [[nodiscard]] element_copy<T>& item() noexcept { return item_; }

private:
    static bool is_large(const blob_slot& item) noexcept {
        return item.last >> 56 == blob_outside >> 56 && (item.last & blob_length_mask) >= least_early_bytes;
    }
    [[nodiscard]] bool is_at_head(const queue_node& node) const noexcept {
        return load_word(node.head) == ticket_ && load_word(node.head_base) == base_;
    }
    void copy(const segment& s, const blob_slot& item) {
        try {
            has_item_ = item_.copy(s, reinterpret_cast<const std::byte*>(&item)) == read_result::done;
        } catch (const std::bad_alloc&) {  // its length may have been another one's
        }
    }

    element_copy<T> item_;
    std::uint64_t rolled_back_ = 0;
    std::uint64_t base_ = 0;
    std::uint64_t ticket_ = 0;
    bool was_tried_ = false;
    bool has_item_ = false;
};

}  // namespace cairn::inline CAIRN_ABI::detail

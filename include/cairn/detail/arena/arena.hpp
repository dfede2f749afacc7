// arena.hpp - memory of a root, in blocks, inside the root's transactions.
//
// Stored        arena_header in the control block; blocks carry no header: whoever frees one knows its size.
//               Small blocks (up to 8 KiB) come in size classes, from three kinds of extents:
//                 loose   young pages of 4 KiB, cut from front to back for all classes up to 1 KiB: small roots stay
//                         small. What is freed there is chained by class.
//                 span    16 KiB for one class, or 64 in a large root; given back when its last block is freed, but for
//                         one of them
//                 large   whole pages for one block
// Protected by  the root's lock; logged in the root's log.
// Death         rolled back with the transaction. The link word of a free block is logged when the block is taken, since
//               its new owner overwrites it without a record.
// Rule          a block freed in a transaction is not handed out again before the commit: operations allocate first,
//               free last, and those in a transaction of the user's leave freeing to its commit.
//
// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include <cairn/detail/txn/root_transaction.hpp>

namespace cairn::inline CAIRN_ABI::detail {

/// Offset of a block of at least `bytes` (not 0), aligned to 16, contents undefined. Throws segment_full.
CAIRN_API segment_offset allocate(root_transaction& tx, std::uint64_t bytes);

/// `bytes` as it was allocated with. Throws corrupt_segment for an offset that cannot be a block.
CAIRN_API void deallocate(root_transaction& tx, segment_offset block, std::uint64_t bytes);

/// What a block of that size really takes.
std::uint64_t block_bytes(std::uint64_t bytes) noexcept;

/// Stored at the beginning of a span.
struct span_header {
    std::uint64_t state;  // free_index | used << 16 | bump << 32; free_index: 1 + number of a free block
    std::uint32_t next_partial;  // 1 + page of the next span of this class with room
    std::uint32_t previous_partial;
    std::uint32_t size_class;
    std::uint32_t block_count;
    std::uint64_t reserved_[5];
};
static_assert(sizeof(span_header) == 64);

/// Goes through a root's blocks to compare what its containers reach with what its arena has handed out.
class arena_audit {
public:
    arena_audit(const segment& s, const root_slot& slot);
    /// A block that a container reaches.
    void reached(segment_offset block, std::uint64_t bytes);
    /// Empty when every block is either reached exactly once or free; else what is wrong first.
    std::string finish();

private:
    void fail(const std::string& what);

    const segment& segment_;
    const root_slot& slot_;
    std::string problem_;
    std::vector<std::pair<segment_offset, std::uint64_t>> blocks_;
};

}  // namespace cairn::inline CAIRN_ABI::detail

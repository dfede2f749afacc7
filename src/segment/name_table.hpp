// name_table.hpp - from names to roots: a hash table that grows by one bucket at a time, so that no creation waits for all others
// (linear hashing: Litwin, "Linear hashing: a new tool for file and table addressing", VLDB 1980).
//
// Stored        name_bucket_count heads of chains in a place of their own (segment_layout.hpp); after these, levels of extents
//               of the segment's, each with as many heads as there are before it. control.bucket_count says how many of all
//               these are in use. Chains lead through root_slot::next_in_bucket.
// Invariants    a name is in bucket h mod 2m if that is in use, else in bucket h mod m, where m is the largest
//               name_bucket_count * 2^k that is not above the number of buckets.
// Protected by  the segment's lock. Who has none (a read-only process) believes what it finds, and that there is nothing only
//               when no commit has come in between: directory_watch.
// Commit        a level and a split are commits of their own; names come and go with those of directory.cpp.
//
// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <cstdint>

#include "segment/segment_guard.hpp"

namespace cairn::inline CAIRN_ABI::detail {

/// Each level doubles them.
constexpr std::uint32_t most_name_buckets = name_bucket_count << name_level_count;

/// Buckets in use. Throws corrupt_segment where that makes no sense.
std::uint32_t bucket_count(const segment& s);

/// The head of the chain that a name with that hash is in. Throws corrupt_segment where the levels make no sense.
std::uint32_t& bucket_of(const segment& s, std::uint64_t hash);
/// One by its number, below bucket_count().
std::uint32_t& bucket_at(const segment& s, std::uint32_t bucket);
/// Which one a name with that hash is in.
std::uint32_t bucket_number(std::uint64_t hash, std::uint32_t buckets) noexcept;

/// Before an object is made: one bucket more where there are as many objects as buckets. The guard is clean. Where there is no
/// memory for a level, chains grow longer instead.
void grow_name_table(segment_guard& guard);

/// So many objects fewer than buckets do for another one. 0, but for tests.
extern std::uint32_t name_table_haste;

/// For a look without the lock: whether the directory is as it was, and was at rest.
class directory_watch {
public:
    explicit directory_watch(const segment& s) noexcept;
    [[nodiscard]] bool is_unchanged() const noexcept;

private:
    const segment& in_;
    std::uint64_t last_generation_;
    std::uint32_t rolled_back_count_;
    std::uint64_t log_bytes_;
};

/// Under the lock, first of all in a commit that changes chains: directory_watch notices it. Returns the new generation.
std::uint64_t next_generation(segment_guard& guard);

}  // namespace cairn::inline CAIRN_ABI::detail

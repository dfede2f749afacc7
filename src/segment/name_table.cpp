// SPDX-License-Identifier: BSL-1.0
#include "segment/name_table.hpp"

#include <atomic>
#include <bit>

#include "segment/directory.hpp"
#include "segment/extents.hpp"
#include <cairn/error.hpp>

namespace cairn::inline CAIRN_ABI::detail {

namespace {

// The records of a split have to fit the segment's log: two links for each name that moves. One in a longer chain, which takes
// names that were chosen for it, is left undone.
constexpr std::uint32_t longest_split_chain = 64;
static_assert((2 * longest_split_chain + 4) * 24 <= segment_log_bytes / 2);

// The largest name_bucket_count * 2^k that is not above it.
std::uint32_t full_rounds(std::uint32_t buckets) noexcept {
    return std::bit_floor(buckets);
}

// Level 0 is the one after the first buckets.
std::uint32_t level_of(std::uint32_t bucket) noexcept {
    return static_cast<std::uint32_t>(std::bit_width(bucket / name_bucket_count)) - 1;
}

std::uint32_t first_of(std::uint32_t level) noexcept {
    return name_bucket_count << level;
}

std::uint32_t pages_of(std::uint32_t level) noexcept {
    return static_cast<std::uint32_t>(first_of(level) * sizeof(std::uint32_t) / page_bytes);
}
static_assert(name_bucket_count * sizeof(std::uint32_t) % page_bytes == 0 &&
              std::has_single_bit(name_bucket_count));

// False when there is no memory for it.
bool add_level(segment_guard& guard, std::uint32_t level) {
    segment& s = guard.in();
    const std::uint32_t pages = pages_of(level);
    try {
        reserve_run(guard, pages, pages);
    } catch (const segment_full&) {
        return false;
    } catch (const system_failure&) {
        return false;  // the object, too, will say so, if it needs pages
    }
    const std::uint32_t page = take_run(guard, nullptr, pages, extent_purpose::names, pages);
    zero_shared(s.at<std::byte>(s.page_offset(page)), pages * page_bytes);
    guard.store(guard.control().name_levels[level], page + 1);
    guard.commit();
    return true;
}

}  // namespace

std::uint32_t bucket_count(const segment& s) {
    const std::uint32_t count = load_word(s.control().bucket_count);
    if (count < name_bucket_count || count > most_name_buckets)
        throw_corrupt(s, "its table of names has no size that it can have");
    return count;
}

std::uint32_t bucket_number(std::uint64_t hash, std::uint32_t buckets) noexcept {
    const std::uint64_t round = full_rounds(buckets);
    const std::uint64_t wide = hash % (2 * round);
    return static_cast<std::uint32_t>(wide < buckets ? wide : hash % round);
}

std::uint32_t& bucket_at(const segment& s, std::uint32_t bucket) {
    if (bucket < name_bucket_count) return s.at<std::uint32_t>(s.header().buckets_offset)[bucket];
    const std::uint32_t level = level_of(bucket);
    const std::uint32_t link = load_word(s.control().name_levels[level]);
    const std::uint32_t pages = pages_of(level);
    const std::uint32_t committed = s.committed_pages();
    // Not its entry in the page map: who has no lock would find it half written.
    if (link == 0 || link > committed || committed - (link - 1) < pages)
        throw_corrupt(s, "a part of its table of names is not there");
    return s.at<std::uint32_t>(s.page_offset(link - 1))[bucket - first_of(level)];
}

std::uint32_t& bucket_of(const segment& s, std::uint64_t hash) {
    return bucket_at(s, bucket_number(hash, bucket_count(s)));
}

constinit std::uint32_t name_table_haste = 0;

void grow_name_table(segment_guard& guard) {
    segment& s = guard.in();
    const std::uint32_t count = bucket_count(s);
    if (load_word(guard.control().live_root_count) + name_table_haste < count || count == most_name_buckets)
        return;
    const std::uint32_t level = level_of(count);
    if (load_word(guard.control().name_levels[level]) == 0 && !add_level(guard, level)) return;

    std::uint32_t& divided = bucket_at(s, count - full_rounds(count));
    std::uint32_t length = 0;
    for (std::uint32_t link = load_word(divided); link != 0;
         link = load_word(slot_at(s, link).next_in_bucket))
        if (++length > longest_split_chain) return;

    static_cast<void>(next_generation(guard));
    std::uint32_t moved = 0;
    for (std::uint32_t* link = &divided; *link != 0;) {
        root_slot& slot = slot_at(s, *link);
        if (bucket_number(slot.name_hash, count + 1) != count) {
            link = &slot.next_in_bucket;
            continue;
        }
        const std::uint32_t own_link = *link;
        guard.store(*link, slot.next_in_bucket);
        guard.store(slot.next_in_bucket, moved);
        moved = own_link;
    }
    guard.store(bucket_at(s, count), moved);
    guard.store(guard.control().bucket_count, count + 1);
    guard.commit();
}

std::uint64_t next_generation(segment_guard& guard) {
    std::uint64_t& last = guard.control().last_generation;
    guard.log(&last, sizeof last);
    // release: who sees this generation sees that there is something in the log
    __atomic_store_n(&last, load_word(last) + 1, __ATOMIC_RELEASE);
    // release: who looks without the lock and sees a later store sees this one, too
    std::atomic_thread_fence(std::memory_order_release);
    return last;
}

// A look that begins inside a commit finds the generation, and then the log that was begun before it, or the commit, and with that
// all of its stores. (The other way round the whole commit could lie between the two.)
directory_watch::directory_watch(const segment& s) noexcept
    : in_(s),
      // acquire: pairs with the releases of next_generation(), of a rollback and of a commit
      last_generation_(__atomic_load_n(&s.control().last_generation, __ATOMIC_ACQUIRE)),
      rolled_back_count_(__atomic_load_n(&s.control().rolled_back_count, __ATOMIC_ACQUIRE)),
      log_bytes_(__atomic_load_n(&s.control().log_bytes, __ATOMIC_ACQUIRE)) {}

bool directory_watch::is_unchanged() const noexcept {
    std::atomic_thread_fence(std::memory_order_acquire);  // the look comes before
    const segment_control& control = in_.control();
    // acquire: who sees the end of a rollback sees its number
    return log_bytes_ == 0 && __atomic_load_n(&control.log_bytes, __ATOMIC_ACQUIRE) == 0 &&
           load_word(control.last_generation) == last_generation_ &&
           load_word(control.rolled_back_count) == rolled_back_count_;
}

}  // namespace cairn::inline CAIRN_ABI::detail

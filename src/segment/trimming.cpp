// SPDX-License-Identifier: BSL-1.0
#include "segment/trimming.hpp"

#include <algorithm>

#include "os/file.hpp"
#include "segment/backing.hpp"
#include "segment/extents.hpp"
#include "segment/segment_guard.hpp"
#include <cairn/detail/os/thread_state.hpp>
#include <cairn/error.hpp>

namespace cairn::inline CAIRN_ABI::detail {

namespace {

constexpr std::uint32_t most_pages_looked_at = 65536;  // under one hold of the segment's lock: some 50 us

// From `page` on; under each hold of the lock a little, so that others wait for no more than that.
void punch_free_extents(segment& s, int fd, std::uint32_t page) {
    const std::uint32_t from = page + 1;
    for (;;) {
        const segment_guard guard(s);
        std::uint32_t& holes_from = guard.control().holes_from;
        if (holes_from == 0 || holes_from > from) store_word(holes_from, from);
        order_stores();
        const std::uint32_t pages = s.committed_pages();
        std::uint32_t looks_left = most_pages_looked_at;
        std::uint32_t punches_left = most_pages_backed_under_lock;
        while (page < pages && looks_left-- != 0 && punches_left != 0) {
            const page_stretch found = stretch_at(s, page);
            const std::uint32_t count = std::min(found.count, punches_left);
            if (found.are_free) {
                if (os::punch(fd, s.page_offset(page), count * page_bytes)) return;
                punches_left -= count;
            }
            page += count;
        }
        if (page >= pages) return;
    }
}

// What was asked for ahead and then not taken, or backed by a growth that died before its commit.
void punch_behind_limit(segment& s, int fd) {
    const segment_guard guard(s);
    punch_behind_limit(s, fd, s.header().max_bytes);
}

// The same, and free pages at the end that readers were not shown. A hole before the end would be one that they are shown together with
// what is taken behind it.
void drop_and_punch_tail(segment& s, int fd) {
    segment_guard guard(s);
    drop_free_tail(guard);
    punch_behind_limit(s, fd, s.header().max_bytes);
}

bool may_be_trimmed(int fd) noexcept {
    return fd >= 0 && !drops_everywhere && (os::may_have_holes(fd) || trims_everywhere);
}

}  // namespace

constinit bool trims_everywhere = false;
constinit bool drops_everywhere = false;

std::uint64_t trim_segment(segment& s) {
    const backing_file file(s);
    const int fd = file.get();
    if (fd < 0) return 0;
    const std::uint64_t before = allocated_bytes(s).value_or(0);
    if (may_be_trimmed(fd)) {
        punch_behind_limit(s, fd);
        punch_free_extents(s, fd, 0);
    } else {
        drop_and_punch_tail(s, fd);
    }
    const std::uint64_t after = allocated_bytes(s).value_or(before);
    return before - std::min(before, after);
}

void give_back_growth(segment& s, std::uint32_t pages_before) noexcept {
    if (this_thread.limit != nullptr) return;
    // What was a hole before the operation is one again.
    const std::uint32_t holes_from = load_word(s.control().holes_from);
    const bool has_extents = holes_from != 0 || s.committed_pages() > pages_before;
    const std::uint32_t from = holes_from == 0 ? pages_before : std::min(pages_before, holes_from - 1);
    try {
        const backing_file file(s);
        const int fd = file.get();
        if (fd < 0) return;
        if (!may_be_trimmed(fd)) return drop_and_punch_tail(s, fd);
        punch_behind_limit(s, fd);
        if (has_extents) punch_free_extents(s, fd, from);
    } catch (...) {
        // A damaged segment, which the next operation says; no memory; a lock_timeout: the pages stay where they are.
    }
}

}  // namespace cairn::inline CAIRN_ABI::detail

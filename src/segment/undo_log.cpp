// SPDX-License-Identifier: BSL-1.0
#include "cairn/detail/segment/undo_log.hpp"

#include <algorithm>
#include <cstddef>

#include <cairn/detail/segment/segment.hpp>

namespace cairn::inline CAIRN_ABI::detail {

namespace {

struct log_position {
    unsigned char* area = nullptr;
    std::uint64_t first = 0;  // where records begin in the area
    std::uint64_t end = 0;    // ... and end
};

// Where `head` points; false when that is not inside the segment.
bool locate(const segment& s, const undo_log& log, std::uint64_t head, log_position& at) {
    const auto area = static_cast<std::uint32_t>(head >> 32);
    at.end = head & 0xffffffff;
    if (area == 0) {
        at.area = log.area;
        at.first = 0;
        return at.end <= log.area_bytes && at.end % 8 == 0;
    }
    if (area > s.committed_pages()) return false;
    // Readers without a lock are not shown it.
    auto* header = s.at<log_area_header>(s.page_offset(area - 1));
    if (header->bytes > s.committed_bytes() - s.page_offset(area - 1)) return false;
    at.area = reinterpret_cast<unsigned char*>(header);
    at.first = sizeof(log_area_header);
    return at.end >= at.first && at.end <= header->bytes && at.end % 8 == 0;
}

bool is_within(segment_offset offset, std::uint64_t bytes, segment_offset begin,
               segment_offset end) noexcept {
    return offset >= begin && offset <= end && bytes <= end - offset;
}

// The extent that a page lies in: its first page's entry; null when the page map does not say.
const page_entry* extent_around(const segment& s, std::uint32_t page, std::uint32_t& end) noexcept {
    for (std::uint32_t order = 0; order <= max_order; ++order) {
        const std::uint32_t first = page >> order << order;
        const page_entry& entry = s.page(first);
        const std::uint32_t tag = load_word(entry.tag);
        if (tag_state(tag) == extent_state::inside) continue;
        if (tag_state(tag) != extent_state::used || tag_order(tag) < order || tag_order(tag) > max_order)
            return nullptr;
        end = first + (1U << tag_order(tag));
        return &entry;
    }
    return nullptr;
}

// Whether bytes of the data area lie in extents of `owner` (1 + number of its slot) only, or of any root if that is 0.
bool is_owned(const segment& s, segment_offset offset, std::uint64_t bytes, std::uint32_t owner) noexcept {
    const std::uint32_t last = s.page_of(offset + bytes - 1);
    for (std::uint32_t page = s.page_of(offset); page <= last;) {
        const page_entry* extent = extent_around(s, page, page);
        if (extent == nullptr || extent->owner == 0 || (owner != 0 && extent->owner != owner)) return false;
        if (tag_purpose(extent->tag) == extent_purpose::log) return false;
    }
    return true;
}

bool root_may_restore(const segment& s, const root_slot& root, segment_offset offset,
                      std::uint64_t bytes) noexcept {
    const segment_offset own = s.offset_of(&root);
    return is_within(offset, bytes, own + offsetof(root_slot, node), own + offsetof(root_slot, name)) ||
           (offset == own + offsetof(root_slot, cell) && bytes == sizeof(std::uint64_t)) ||
           is_owned(s, offset, bytes, s.slot_number(root) + 1);
}

// `old`: the bytes that would be put back.
bool segment_may_restore(const segment& s, segment_offset offset, std::uint64_t bytes,
                         const unsigned char* old) noexcept {
    const segment_header& header = s.header();
    if (offset < s.data_offset()) {
        const segment_offset control = header.control_offset;
        const segment_offset limit = control + offsetof(segment_control, committed_bytes);
        if (offset == limit && bytes == sizeof(std::uint64_t)) {
            // A segment that would grow again is longer than its file.
            std::uint64_t restored = 0;
            copy_out_fixed<sizeof restored>(&restored, old);
            return restored >= s.data_offset() && restored <= s.committed_bytes() &&
                   restored % page_bytes == 0;
        }
        return is_within(offset, bytes, limit + sizeof(std::uint64_t),
                         control + offsetof(segment_control, recovery_count)) ||
               is_within(offset, bytes, control + offsetof(segment_control, building_slot),
                         control + offsetof(segment_control, rolled_back_count)) ||
               is_within(offset, bytes, header.buckets_offset,
                         header.buckets_offset + header.bucket_count * sizeof(std::uint32_t)) ||
               // Also of pages beyond the end: an earlier recovery may have died after it took that back.
               is_within(offset, bytes, header.map_offset,
                         header.map_offset + header.page_limit * sizeof(page_entry));
    }
    std::uint32_t end = 0;
    const page_entry* extent = extent_around(s, s.page_of(offset), end);
    if (extent != nullptr && tag_purpose(extent->tag) == extent_purpose::names)
        return extent->owner == 0 && bytes == sizeof(std::uint32_t) && offset % bytes == 0;
    if (extent != nullptr && tag_purpose(extent->tag) != extent_purpose::roots)
        return is_owned(s, offset, bytes, 0);
    // A slot, or what was one before an earlier recovery took its extent back, and died.
    const std::uint64_t inside = (offset - s.data_offset()) % root_slot_bytes;
    return is_within(inside, bytes, offsetof(root_slot, generation), offsetof(root_slot, name));
}

}  // namespace

std::int64_t replay_backwards(const segment& s, const undo_log& log, std::uint64_t until) noexcept {
    std::uint64_t head = load_word(*log.head);
    std::int64_t undone = 0;
    // In a private view nothing leads to pages that the transaction has taken, and others may be giving them back.
    const bool is_view = log.root != nullptr && s.participant_number() == 0;
    std::uint64_t bytes_left =
        s.committed_bytes() + log.area_bytes;  // areas do not overlap: their chain has an end
    while (head != until) {
        log_position at;
        if (!locate(s, log, head, at) || at.end > bytes_left) return -1;
        bytes_left -= at.end;
        const bool is_last = head >> 32 == until >> 32;
        if (is_last) at.first = std::max(at.first, until & 0xffffffff);
        std::uint64_t end = at.end;
        if (end < at.first || (head >> 32 == 0 && !is_last)) return -1;
        while (end > at.first) {
            if (end < at.first + 16) return -1;
            const std::uint64_t record = *reinterpret_cast<const std::uint64_t*>(at.area + end - 8);
            const std::uint64_t bytes = record & 0xffff;
            const segment_offset offset = record >> 16;
            const std::uint64_t padded = round_up(bytes, 8);
            if (bytes == 0 || padded + 8 > end - at.first) return -1;
            const unsigned char* old = at.area + end - 8 - padded;
            if (!is_within(offset, bytes, 0, s.committed_bytes())) return -1;
            if (bytes >= 8 && offset % 8 != 0) return -1;
            if (log.root != nullptr
                    ? offset < s.data_offset() || !root_may_restore(s, *log.root, offset, bytes)
                    : !segment_may_restore(s, offset, bytes, old))
                return -1;
            if (!is_view || offset + bytes <= s.shown_bytes()) copy_across(s.base() + offset, old, bytes);
            undone += static_cast<std::int64_t>(bytes);
            end -= padded + 8;
        }
        head = is_last ? until : reinterpret_cast<const log_area_header*>(at.area)->previous_head;
    }
    return undone;
}

}  // namespace cairn::inline CAIRN_ABI::detail

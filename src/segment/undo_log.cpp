#include "cairn/detail/segment/undo_log.hpp"

#include <cairn/detail/segment/segment.hpp>

namespace cairn::inline v0::detail {

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
        return at.end <= log.area_bytes;
    }
    if (area > s.committed_pages()) return false;
    auto* header = s.find<log_area_header>(s.page_offset(area - 1));
    if (header == nullptr || header->bytes > s.committed_bytes() - s.page_offset(area - 1)) return false;
    at.area = reinterpret_cast<unsigned char*>(header);
    at.first = sizeof(log_area_header);
    return at.end >= at.first && at.end <= header->bytes;
}

}  // namespace

std::int64_t replay_backwards(const segment& s, const undo_log& log, segment_offset lowest) noexcept {
    std::uint64_t head = load_word(*log.head);
    std::int64_t undone = 0;
    std::uint64_t areas_left = s.committed_pages() + 1;  // a damaged chain of areas must end
    while (head != 0) {
        log_position at;
        if (areas_left-- == 0 || !locate(s, log, head, at)) return -1;
        std::uint64_t end = at.end;
        while (end > at.first) {
            if (end < at.first + 16) return -1;
            const std::uint64_t record = *reinterpret_cast<const std::uint64_t*>(at.area + end - 8);
            const std::uint64_t bytes = record & 0xffff;
            const segment_offset offset = record >> 16;
            const std::uint64_t padded = round_up(bytes, 8);
            if (bytes == 0 || padded + 8 > end - at.first) return -1;
            const std::uint64_t committed = s.committed_bytes();
            if (offset < lowest || bytes > committed || offset > committed - bytes) return -1;
            copy_across(s.base() + offset, at.area + end - 8 - padded, bytes);
            undone += static_cast<std::int64_t>(bytes);
            end -= padded + 8;
        }
        head = at.first == 0 ? 0 : reinterpret_cast<const log_area_header*>(at.area)->previous_head;
    }
    return undone;
}

}  // namespace cairn::inline v0::detail

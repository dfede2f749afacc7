// SPDX-License-Identifier: BSL-1.0
#include "inspect/image.hpp"

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "os/identity.hpp"
#include "segment/format.hpp"
#include "segment/internals.hpp"
#include <cairn/error.hpp>

namespace cairn::inline CAIRN_ABI::detail::inspecting {

namespace {

[[noreturn]] void throw_system(const std::string& what, std::error_code reason) {
    const std::string text = "open " + what + ": " + reason.message();
    switch (reason.value()) {
        case EACCES:
        case EPERM: throw permission_denied(text, reason);
        case ENOENT: throw no_such_segment(text, reason);
        case ELOOP:
        case ENXIO:
        case EISDIR: throw corrupt_segment("open " + what + ": not a regular file, so no segment", reason);
        default: throw system_failure(text, reason);
    }
}

std::string describe(const segment_location& where) {
    if (where.is_image) return "image '" + where.path + "'";
    return (where.is_anonymous ? "anonymous segment '" : "segment '") + where.target + "'";
}

}  // namespace

source open_source(const segment_location& where) {
    source s;
    s.where = where;
    s.what = describe(where);
    const bool follow = where.is_anonymous || where.is_image;
    if (const auto reason = os::open_for_reading(where.path, follow, s.fd)) throw_system(s.what, reason);
    if (const auto reason = os::describe(s.fd.get(), s.file)) throw_system(s.what, reason);
    if (!s.file.is_regular) throw corrupt_segment("open " + s.what + ": not a regular file, so no segment");
    if (where.inode != 0 && (s.file.inode != where.inode || s.file.device != where.device))
        throw no_such_segment("open " + s.what + ": it was replaced by another one meanwhile; look again");
    std::uint64_t got = 0;
    if (const auto reason = os::read_at(s.fd.get(), 0, &s.header, sizeof s.header, got))
        throw_system(s.what, reason);
    if (got != sizeof s.header) {
        throw corrupt_segment("open " + s.what + ": not a segment: the file has " +
                              std::to_string(s.file.bytes) +
                              " bytes; remove it with `shmctl rm -f` if nobody needs it");
    }
    check_header(s.header, s.what, s.file.bytes, header_use::inspect);
    const std::array<std::uint64_t, 2> boot = require_boot_id("open " + s.what);
    s.is_of_this_boot = s.header.boot_id[0] == boot[0] && s.header.boot_id[1] == boot[1];
    s.is_of_this_pid_namespace = s.header.pid_namespace == os::pid_namespace();
    s.is_of_this_time_namespace = s.header.time_namespace == os::time_namespace();
    return s;
}

image::image(const source& from) : from_(from) {
    os::file_facts now;
    if (const auto reason = os::describe(from.fd.get(), now)) throw_system(from.what, reason);
    const segment_header& header = from.header;
    std::uint64_t committed = 0;
    std::uint64_t got = 0;
    const std::uint64_t at = header.control_offset + offsetof(segment_control, committed_bytes);
    if (const auto reason = os::read_at(from.fd.get(), at, &committed, sizeof committed, got))
        throw_system(from.what, reason);
    const bool sane = got == sizeof committed && committed >= header.data_offset &&
                      committed <= header.max_bytes && committed % page_bytes == 0;
    truncated_ = !sane || committed > now.bytes;
    limit_ = std::min({sane ? committed : header.max_bytes, header.max_bytes, now.bytes});
    limit_ -= limit_ % page_bytes;
    // One page more than can be asked for, so that the last word of a block never ends at the end of the mapping.
    if (const auto reason = os::private_memory::create(limit_ + page_bytes, memory_))
        throw_system(from.what, reason);
    loaded_.resize(static_cast<std::size_t>(limit_ / page_bytes));
}

bool image::load(std::uint64_t offset, std::uint64_t bytes) {
    if (bytes == 0) return true;
    const std::uint64_t last = (offset + bytes - 1) / page_bytes;
    for (std::uint64_t page = offset / page_bytes; page <= last;) {
        if (loaded_[static_cast<std::size_t>(page)]) {
            ++page;
            continue;
        }
        std::uint64_t end = page + 1;
        while (end <= last && !loaded_[static_cast<std::size_t>(end)]) ++end;
        // Holes are zero already, and the file may be larger than the machine's memory.
        for (std::uint64_t at = page * page_bytes; at < end * page_bytes;) {
            at = std::max(at, os::next_data(from_.fd.get(), at) / page_bytes * page_bytes);
            if (at >= end * page_bytes) break;
            constexpr std::uint64_t piece_bytes = 1 << 20;
            const std::uint64_t want = std::min(piece_bytes, end * page_bytes - at);
            std::uint64_t got = 0;
            if (os::read_at(from_.fd.get(), at, memory_.base() + at, want, got) || got != want) {
                // The file is shorter than it was, or cannot be read there: nothing from here on exists.
                limit_ = std::min(limit_, (at + got) / page_bytes * page_bytes);
                truncated_ = true;
                return false;
            }
            at += want;
        }
        for (std::uint64_t p = page; p < end; ++p) loaded_[static_cast<std::size_t>(p)] = true;
        page = end;
    }
    return true;
}

page_entry* image::entry(std::uint32_t link) {
    if (link == 0 || link > page_count()) return nullptr;
    return find<page_entry>(header().map_offset + (std::uint64_t{link} - 1) * sizeof(page_entry));
}

root_slot* image::slot(std::uint32_t link) {
    if (link == 0) return nullptr;
    return find<root_slot>(header().data_offset + (std::uint64_t{link} - 1) * root_slot_bytes);
}

bool image::load_structure() {
    const std::uint64_t map_end = header().map_offset + std::uint64_t{page_count()} * sizeof(page_entry);
    if (map_end > limit_ || !load(0, map_end)) return false;
    for (std::uint32_t page = 0; page < page_count(); ++page) {
        const page_entry* at = entry(page + 1);
        if (at == nullptr) return false;
        const extent_purpose purpose = tag_purpose(at->tag);
        const bool is_segments = purpose == extent_purpose::roots || purpose == extent_purpose::names;
        if (tag_state(at->tag) == extent_state::used && is_segments && !load_extent(page, tag_order(at->tag)))
            return false;
    }
    return true;
}

bool image::load_root(const root_slot& slot) {
    if (control() == nullptr) return false;
    std::uint64_t extents_left = page_count();
    for (std::uint32_t link = slot.extents; link != 0 && extents_left != 0; --extents_left) {
        const page_entry* at = entry(link);
        if (at == nullptr) return !truncated_;  // damaged: whoever checks the chain finds out
        if (!load_extent(link - 1, tag_order(at->tag))) return false;
        link = at->next;
    }
    return true;
}

bool image::load_extent(std::uint32_t page, std::uint32_t order) {
    const std::uint64_t offset = page_offset(page);
    return load(offset, std::min(page_bytes << std::min(order, max_order), limit_ - offset));
}

void show_all(segment& view) noexcept {
    segment_control& control = view.control();
    if (control.shown_bytes <= control.committed_bytes && control.shown_bytes > view.data_offset())
        control.shown_bytes = control.committed_bytes;
}

segment_ptr image::view(bool shows_all) {
    if (limit_ < header().data_offset) return {};
    // The one that was checked; the file's may be another by now.
    std::memcpy(memory_.base(), &header(), sizeof(segment_header));
    segment_ptr seen(segment_access::make());
    segment_access::borrow_memory(*seen, memory_.base());
    segment_access::set_name(*seen, from_.where.target, from_.where.is_anonymous);
    segment_control& control = seen->control();
    if (control.committed_bytes > limit_ || control.committed_bytes < header().data_offset ||
        control.committed_bytes % page_bytes != 0)
        control.committed_bytes = limit_;
    if (shows_all) show_all(*seen);
    return seen;
}

}  // namespace cairn::inline CAIRN_ABI::detail::inspecting

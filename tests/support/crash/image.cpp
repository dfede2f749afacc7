// SPDX-License-Identifier: BSL-1.0
#include "support/crash/image.hpp"

#include <algorithm>
#include <cstring>

#include <linux/futex.h>

#include "base/hash.hpp"

namespace cairn_test {

namespace {

using stored::page_bytes;

// The control block spans pages; it is one unit of identity, since its log's length says which of its bytes count.
constexpr std::size_t first_control_page = 1;
constexpr std::size_t control_pages = (sizeof(stored::segment_control) + page_bytes - 1) / page_bytes;

constexpr std::size_t page_of(std::uint64_t offset) {
    return static_cast<std::size_t>(offset / page_bytes);
}

// What of a lock matters: whether it is held. In an image whoever holds it is dead, or about to be marked so.
void normalize_lock(stored::stored_mutex& lock) {
    const std::uint32_t word = stored::futex_half(lock.word);
    lock = {};
    lock.word = (word & ~static_cast<std::uint32_t>(FUTEX_WAITERS)) != 0 ? 1 : 0;
}

void normalize(stored::segment_control& c) {
    normalize_lock(c.lock);
    c.last_participant = c.last_generated_name = 0;
    c.recovery_count = 0;
    const std::uint64_t used = std::min<std::uint64_t>(c.log_bytes, sizeof c.log);
    std::memset(c.log + used, 0, sizeof c.log - used);
}

void normalize(stored::root_slot& s) {
    normalize_lock(s.lock);
    s.version &= 1;
    s.contended_count = 0;
    s.created_nanoseconds = 0;
    s.recovery_count = s.rolled_back_count = 0;
    s.last_recovery_nanoseconds = 0;
    s.last_dead_thread = s.last_operation = 0;
    s.last_undone_bytes = 0;
    for (auto& event : s.events) event.sequence = 0;
    if (s.operation.kind == 0) std::memset(&s.operation, 0, sizeof s.operation);
    if (s.log_head >> 32 == 0) {
        const std::uint64_t used = std::min<std::uint64_t>(s.log_head, sizeof s.log);
        std::memset(s.log + used, 0, sizeof s.log - used);
    }
}

std::uint64_t end_of_map(const stored::segment_header& header) {
    return stored::round_up(header.map_offset + header.page_limit * sizeof(stored::page_entry), page_bytes);
}

}  // namespace

std::array<byte_range, 2> backed_ranges(const std::byte* base) noexcept {
    const auto& header = *reinterpret_cast<const stored::segment_header*>(base);
    const auto& control = *reinterpret_cast<const stored::segment_control*>(base + header.control_offset);
    // The whole map: in small segments that is a page or two, and what lies beyond the limit must not matter.
    const std::uint64_t committed =
        std::clamp(stored::load_word(control.committed_bytes), header.data_offset, header.max_bytes);
    return {{{0, std::min(end_of_map(header), header.data_offset)}, {header.data_offset, committed}}};
}

segment_image::segment_image(const std::byte* base)
    : bytes_(reinterpret_cast<const stored::segment_header*>(base)->max_bytes) {
    for (const byte_range& range : backed_ranges(base))
        std::memcpy(bytes_.data() + range.begin, base + range.begin, range.end - range.begin);
}

const stored::segment_header& segment_image::header() const noexcept {
    return *reinterpret_cast<const stored::segment_header*>(base());
}

const stored::segment_control& segment_image::control() const noexcept {
    return *reinterpret_cast<const stored::segment_control*>(base() + header().control_offset);
}

std::vector<std::uint64_t> segment_image::slot_offsets() const {
    std::vector<std::uint64_t> offsets;
    const std::uint64_t data = header().data_offset;
    for (std::uint32_t link = control().first_slot; link != 0;) {
        const std::uint64_t offset = data + std::uint64_t{link - 1} * stored::root_slot_bytes;
        if (offset + stored::root_slot_bytes > max_bytes() || offsets.size() > 10000) break;
        offsets.push_back(offset);
        link = reinterpret_cast<const stored::root_slot*>(base() + offset)->next_slot;
    }
    return offsets;
}

int segment_image::mark_dead(std::uint32_t thread) {
    int held = 0;
    auto mark = [&](std::uint64_t offset) {
        std::uint64_t& word = reinterpret_cast<stored::stored_mutex*>(base() + offset)->word;
        if ((word & FUTEX_TID_MASK) != thread) return;
        // The kernel's half: the other one stays.
        word = (word & ~(stored::one_acquisition - 1)) | (word & FUTEX_WAITERS) | FUTEX_OWNER_DIED;
        ++held;
    };
    mark(header().control_offset + offsetof(stored::segment_control, lock));
    for (const std::uint64_t slot : slot_offsets()) mark(slot + offsetof(stored::root_slot, lock));
    return held;
}

std::string describe_offset(const segment_image& image, std::uint64_t offset) {
    const stored::segment_header& header = image.header();
    if (offset < header.control_offset) return "header +" + std::to_string(offset);
    if (offset < header.participants_offset) {
        const std::uint64_t inside = offset - header.control_offset;
        const std::uint64_t log = offsetof(stored::segment_control, log);
        if (inside == offsetof(stored::segment_control, log_bytes)) return "control.log_bytes";
        if (inside == offsetof(stored::segment_control, pending_slot)) return "control.pending_slot";
        if (inside == offsetof(stored::segment_control, building_slot)) return "control.building_slot";
        if (inside >= log) return "control.log +" + std::to_string(inside - log);
        return "control +" + std::to_string(inside);
    }
    if (offset < header.buckets_offset)
        return "participants +" + std::to_string(offset - header.participants_offset);
    if (offset < header.map_offset) return "buckets +" + std::to_string(offset - header.buckets_offset);
    if (offset < header.data_offset) {
        const std::uint64_t inside = offset - header.map_offset;
        return "page map [" + std::to_string(inside / sizeof(stored::page_entry)) + "] +" +
               std::to_string(inside % sizeof(stored::page_entry));
    }
    for (const std::uint64_t slot : image.slot_offsets()) {
        if (offset < slot || offset >= slot + stored::root_slot_bytes) continue;
        const std::uint64_t inside = offset - slot;
        const std::string name =
            "slot " + std::to_string((slot - header.data_offset) / stored::root_slot_bytes);
        if (inside == offsetof(stored::root_slot, version)) return name + ".version";
        if (inside == offsetof(stored::root_slot, log_head)) return name + ".log_head";
        if (inside == offsetof(stored::root_slot, state)) return name + ".state";
        if (inside >= offsetof(stored::root_slot, log))
            return name + ".log +" + std::to_string(inside - offsetof(stored::root_slot, log));
        return name + " +" + std::to_string(inside);
    }
    const std::uint64_t inside = offset - header.data_offset;
    return "page " + std::to_string(inside / page_bytes) + " +" + std::to_string(inside % page_bytes);
}

// ---- identity ------------------------------------------------------------------------------------------------------

image_identity::image_identity(const segment_image& image)
    : hashes_(image.max_bytes() / page_bytes), is_dirty_(image.max_bytes() / page_bytes),
      has_slots_(image.max_bytes() / page_bytes), first_data_page_(page_of(image.header().data_offset)) {
    for (const byte_range& range : image.backed()) changed(range.begin, range.end - range.begin);
}

void image_identity::changed(std::uint64_t offset, std::uint64_t bytes) {
    if (bytes == 0) return;
    for (std::size_t page = page_of(offset); page <= page_of(offset + bytes - 1); ++page) {
        const std::size_t unit = page >= first_control_page && page < first_control_page + control_pages
                                     ? first_control_page
                                     : page;
        if (is_dirty_[unit]) continue;
        is_dirty_[unit] = true;
        dirty_.push_back(unit);
    }
}

void image_identity::look_for_slots(const segment_image& image) {
    const std::uint64_t now = std::uint64_t{image.control().first_slot} << 32 | image.control().slot_count;
    if (now == first_slot_) return;
    first_slot_ = now;
    std::vector<bool> before(has_slots_.size());
    before.swap(has_slots_);
    for (const std::uint64_t slot : image.slot_offsets()) has_slots_[page_of(slot)] = true;
    for (std::size_t page = 0; page < has_slots_.size(); ++page) {
        if (before[page] == has_slots_[page]) continue;
        // From one kind of page to the other.
        if (before[page]) structure_ -= hashes_[page];
        else structure_ += hashes_[page];
        changed(page * page_bytes, 1);
    }
}

std::uint64_t image_identity::of(const segment_image& image) {
    look_for_slots(image);
    for (const std::size_t unit : dirty_) {
        const std::uint64_t difference = hash_unit(image, unit) - hashes_[unit];
        hashes_[unit] += difference;
        sum_ += difference;
        if (unit < first_data_page_ || has_slots_[unit]) structure_ += difference;
        is_dirty_[unit] = false;
    }
    dirty_.clear();
    return sum_;
}

std::uint64_t image_identity::hash_unit(const segment_image& image, std::size_t unit) const {
    const std::byte* at = image.base() + unit * page_bytes;
    if (unit == first_control_page) {
        stored::segment_control copy;
        std::memcpy(static_cast<void*>(&copy), at, sizeof copy);
        normalize(copy);
        return stored::hash_bytes(&copy, sizeof copy, unit);
    }
    const stored::segment_header& header = image.header();
    if (unit * page_bytes >= header.participants_offset && unit * page_bytes < header.buckets_offset)
        return 0;
    if (!has_slots_[unit]) return stored::hash_bytes(at, page_bytes, unit);
    alignas(8) std::array<std::byte, page_bytes> copy;
    std::memcpy(copy.data(), at, page_bytes);
    for (std::size_t slot = 0; slot < page_bytes; slot += stored::root_slot_bytes)
        normalize(*reinterpret_cast<stored::root_slot*>(copy.data() + slot));
    return stored::hash_bytes(copy.data(), copy.size(), unit);
}

}  // namespace cairn_test

// SPDX-License-Identifier: BSL-1.0
#include "segment/backing.hpp"

#include <algorithm>
#include <cerrno>
#include <cstdio>

#include "segment/internals.hpp"
#include "segment/segment_guard.hpp"
#include <cairn/detail/os/lock_limit.hpp>
#include <cairn/error.hpp>

namespace cairn::inline CAIRN_ABI::detail {

namespace {

[[noreturn]] void throw_not_backed(const segment& s, std::uint64_t new_bytes, std::error_code reason) {
    const std::string what = "grow " + describe_segment(s) + " to " + std::to_string(new_bytes) + " bytes";
    const bool no_room = reason.value() == ENOSPC || reason.value() == ENOMEM || reason.value() == EFBIG ||
                         reason.value() == EDQUOT;
    if (!no_room) throw system_failure(what + ": " + reason.message(), reason);
    if (reason.value() == EFBIG) {
        throw segment_full(what + ": " + reason.message() + file_limit_hint, reason);
    }
    if (s.is_anonymous()) throw segment_full(what + ": " + reason.message(), reason);
    throw segment_full(what + ": " + reason.message() + shm_limit_hint(), reason);
}

}  // namespace

std::string shm_limit_hint() {
    return " (" + os::shm_directory() + " has " + std::to_string(os::free_bytes(os::shm_directory())) +
           " bytes free; a container's default is 64 MiB: start it with a larger --shm-size, or use an "
           "anonymous manager, which is not bound by it)";
}

backing_file::backing_file(segment& s) {
    const segment_internals& own = s.internals();
    if (own.descriptor.valid() && is_descriptor_of(own.descriptor.get(), s)) {
        fd_ = own.descriptor.get();
        return;
    }
    if (!own.path.empty() && !os::open_existing(own.path, true, reopened_) &&
        is_descriptor_of(reopened_.get(), s)) {
        fd_ = reopened_.get();
        return;
    }
    char range[64];
    std::snprintf(range, sizeof range, "/proc/self/map_files/%lx-%lx",
                  reinterpret_cast<unsigned long>(s.base()),
                  reinterpret_cast<unsigned long>(s.base() + own.map.bytes()));
    reopened_ = os::open_following(range);
    if (reopened_.valid() && is_descriptor_of(reopened_.get(), s)) fd_ = reopened_.get();
}

bool is_descriptor_of(int fd, const segment& s) noexcept {
    os::file_facts facts;
    return !os::describe(fd, facts) && facts.same_file(s.internals().file);
}

std::optional<std::uint64_t> allocated_bytes(segment& s) {
    const backing_file descriptor(s);
    os::file_facts facts;
    if (descriptor.get() < 0 || os::describe(descriptor.get(), facts)) return std::nullopt;
    return facts.allocated_bytes;
}

void show_up_to(segment& s, std::uint64_t end) noexcept {
    std::uint64_t& shown = s.control().shown_bytes;
    std::uint64_t seen = load_word(shown);
    // release: the commit comes after it; relaxed on failure: another object's pages lie behind these, and it is tried again
    while (seen < end &&
           !__atomic_compare_exchange_n(&shown, &seen, end, true, __ATOMIC_RELEASE, __ATOMIC_RELAXED)) {}
    order_stores();
}

void punch_behind_limit(const segment& s, int fd, std::uint64_t end) noexcept {
    const std::uint64_t from = s.committed_bytes();
    if (from < end) static_cast<void>(os::punch(fd, from, end - from));
}

namespace {

// After an allocation that was refused. The error to report is that one, also where the lock cannot be had in time: then the pages
// are left to the next growth, or trim.
void give_back_ahead(segment& s, int fd, std::uint64_t end) {
    try {
        const segment_guard guard(s);
        // The limit is read now: others may have grown the segment meanwhile. (Model: growth.)
        punch_behind_limit(s, fd, end);
    } catch (const limit_reached&) {
    } catch (const timeout_error&) {}
}

}  // namespace

void back_ahead(segment& s, std::uint32_t from, std::uint32_t to) {
    const backing_file descriptor(s);
    const int fd = descriptor.get();
    if (fd < 0) return;  // by the mapping, then, under the lock
    // In pieces, so that another process's growth does not wait for the whole: the system grows a file under a lock of its own.
    for (std::uint32_t page = from; page < to;) {
        const std::uint32_t count = std::min(to - page, most_pages_backed_under_lock);
        if (const auto reason = os::allocate(fd, s.page_offset(page), count * page_bytes)) {
            give_back_ahead(s, fd, s.page_offset(page));
            throw_not_backed(s, s.page_offset(to), reason);
        }
        page += count;
    }
}

void back_holes(segment& s, std::uint32_t from, std::uint32_t to) {
    const std::uint64_t pages = s.page_offset(from);
    const std::uint64_t bytes = s.page_offset(to) - pages;
    const backing_file descriptor(s);
    std::error_code reason;
    if (const int fd = descriptor.get(); fd < 0) reason = s.internals().map.populate(pages, bytes);
    else if (os::first_hole(fd, pages) < pages + bytes) reason = os::allocate(fd, pages, bytes);
    if (reason) throw_not_backed(s, s.page_offset(to), reason);
}

void back_holes_ahead(segment& s, std::uint32_t from, std::uint32_t to) {
    to = std::min(to, s.committed_pages());
    if (from >= to) return;
    // By the mapping: the bytes stay as they are, and the system then tells that the pages are no holes.
    const std::uint64_t pages = s.page_offset(from);
    const std::error_code reason = s.internals().map.populate(pages, s.page_offset(to) - pages);
    // Linux before 5.14 cannot; then there may be holes under the lock, and the run is not taken.
    if (reason && reason.value() != EINVAL) throw_not_backed(s, s.page_offset(to), reason);
}

bool may_have_hole(segment& s, std::uint32_t from, std::uint32_t to) {
    const backing_file descriptor(s);
    const int fd = descriptor.get();
    return fd < 0 || os::first_hole(fd, s.page_offset(from)) < s.page_offset(to);
}

void back_pages(segment& s, std::uint32_t from, std::uint32_t to) {
    const segment_header& header = s.header();
    const std::uint64_t entries = header.map_offset + from * sizeof(page_entry);
    const std::uint64_t entry_bytes = (to - from) * sizeof(page_entry);
    const std::uint64_t pages = s.page_offset(from);
    const std::uint64_t bytes = s.page_offset(to) - pages;
    const backing_file descriptor(s);
    std::error_code reason;
    if (const int fd = descriptor.get(); fd >= 0) {
        reason = os::allocate(fd, entries, entry_bytes);
        // Many pages were backed ahead; written once more, each would take a microsecond.
        const bool are_many = to - from > most_pages_backed_under_lock;
        if (!reason) reason = are_many ? os::allocate(fd, pages, bytes) : os::write_zeros(fd, pages, bytes);
        if (reason) punch_behind_limit(s, fd, pages + bytes);
    } else {
        reason = s.internals().map.populate(entries, entry_bytes);
        if (!reason) reason = s.internals().map.populate(pages, bytes);
    }
    if (reason) throw_not_backed(s, s.page_offset(to), reason);
}

}  // namespace cairn::inline CAIRN_ABI::detail

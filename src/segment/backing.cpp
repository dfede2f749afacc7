// SPDX-License-Identifier: BSL-1.0
#include "segment/backing.hpp"

#include <algorithm>
#include <cerrno>
#include <cstdio>

#include "segment/internals.hpp"
#include "segment/segment_guard.hpp"
#include <cairn/error.hpp>

namespace cairn::inline CAIRN_ABI::detail {

namespace {

std::error_code write_pages(int fd, std::uint64_t offset, std::uint64_t bytes) {
    const std::uint64_t hole = os::first_hole(fd, offset);
    const std::error_code reason = os::write_zeros(fd, offset, bytes);
    // What was backed just now is nobody's, and others may need it. What was backed before stays: a growth that came to its
    // last step, and died there, has shown it to readers.
    const std::uint64_t end = offset + bytes;
    if (reason && hole < end) static_cast<void>(os::punch(fd, hole, end - hole));
    return reason;
}

[[noreturn]] void throw_not_backed(const segment& s, std::uint64_t new_bytes, std::error_code reason) {
    const std::string what = "grow " + describe_segment(s) + " to " + std::to_string(new_bytes) + " bytes";
    const bool no_room = reason.value() == ENOSPC || reason.value() == ENOMEM || reason.value() == EFBIG ||
                         reason.value() == EDQUOT;
    if (!no_room) throw system_failure(what + ": " + reason.message(), reason);
    if (reason.value() == EFBIG) {
        throw segment_full(what + ": " + reason.message() +
                               " (this process may not make files so large: raise `ulimit -f`)",
                           reason);
    }
    if (s.is_anonymous()) throw segment_full(what + ": " + reason.message(), reason);
    throw segment_full(
        what + ": " + reason.message() + " (" + os::shm_directory() + " has " +
            std::to_string(os::free_bytes(os::shm_directory())) +
            " bytes free; a container's default is 64 MiB: start it with a larger --shm-size, or use an "
            "anonymous manager, which is not bound by it)",
        reason);
}

}  // namespace

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

void back_ahead(segment& s, std::uint32_t from, std::uint32_t to) {
    const backing_file descriptor(s);
    const int fd = descriptor.get();
    if (fd < 0) return;  // by the mapping, then, under the lock
    std::uint64_t hole = 0;
    std::uint64_t rolled_back_count = 0;
    {
        const segment_guard guard(s);
        hole = os::first_hole(fd, s.page_offset(std::max(from, s.committed_pages())));
        rolled_back_count = load_word(guard.control().rolled_back_count);
    }
    // In pieces, so that another process's growth does not wait for the whole: the system grows a file under a lock of its own.
    for (std::uint32_t page = from; page < to;) {
        const std::uint32_t count = std::min(to - page, most_pages_backed_under_lock);
        if (const auto reason = os::allocate(fd, s.page_offset(page), count * page_bytes)) {
            // What others have committed meanwhile is theirs. Pages that ever were below a limit that was taken back, by a death in a
            // growth, were shown to readers: those were backed before, or something was taken back meanwhile. (Model: growth.)
            const segment_guard guard(s);
            const std::uint64_t first = std::max(hole, s.page_offset(std::max(from, s.committed_pages())));
            if (rolled_back_count == load_word(guard.control().rolled_back_count) &&
                first < s.page_offset(page))
                static_cast<void>(os::punch(fd, first, s.page_offset(page) - first));
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
        if (!reason) reason = are_many ? os::allocate(fd, pages, bytes) : write_pages(fd, pages, bytes);
    } else {
        reason = s.internals().map.populate(entries, entry_bytes);
        if (!reason) reason = s.internals().map.populate(pages, bytes);
    }
    if (reason) throw_not_backed(s, s.page_offset(to), reason);
}

}  // namespace cairn::inline CAIRN_ABI::detail

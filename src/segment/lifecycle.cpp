#include "segment/lifecycle.hpp"

#include <cerrno>
#include <cstring>

#include <sys/stat.h>
#include <unistd.h>

#include "segment/directory.hpp"
#include "segment/extents.hpp"
#include "segment/format.hpp"
#include "segment/participants.hpp"
#include "segment/registry.hpp"
#include <cairn/detail/os/thread_state.hpp>
#include <cairn/error.hpp>

namespace cairn::inline v0::detail {

namespace {

// Races over a name are lost to somebody who made progress; more than this many in a row is somebody's bug.
constexpr int most_attempts = 1000;

std::string quoted(std::string_view name) {
    return "segment '" + std::string(name) + "'";
}

[[noreturn]] void throw_system(const std::string& what, std::error_code reason) {
    const std::string text = what + ": " + reason.message();
    switch (reason.value()) {
        case EACCES:
        case EPERM: throw permission_denied(text, reason);
        case ENOSPC:
        case ENOMEM:
        case EDQUOT:
        case EFBIG: throw segment_full(text, reason);
        default: throw system_failure(text, reason);
    }
}

// Writes header, control block and first pages into a nameless file; returns it attached.
segment_ptr format(os::unique_fd fd, const segment_header& header, const std::string& path,
                   const segment_options& options) {
    const std::string what = "create " + quoted(std::string_view(header.name, header.name_bytes));
    const bool anonymous = path.empty();
    // A memfd gets its full size at once, so that a program which closes all descriptors can still grow it.
    if (anonymous) {
        if (const auto reason = os::set_size(fd, header.max_bytes)) throw_system(what, reason);
        if (const auto reason = os::seal_against_shrinking(fd)) throw_system(what, reason);
    }
    if (const auto reason = os::allocate(fd.get(), 0, header.map_offset)) throw_system(what, reason);
    os::mapping map;
    if (const auto reason = os::mapping::create(fd.get(), header.max_bytes, os::map_access::read_write, map))
        throw_system(what, reason);

    segment_ptr made(segment_access::make());
    segment_internals& own = made->internals();
    if (const auto reason = os::describe(fd.get(), own.file)) throw_system(what, reason);
    own.descriptor = std::move(fd);
    own.path = path;
    std::memcpy(map.base(), &header, sizeof header);
    segment_access::set_mapping(*made, std::move(map), true);
    segment_access::set_name(*made, std::string(header.name, header.name_bytes), anonymous);
    segment_control& control = made->control();
    initialize(control.lock);
    control.committed_bytes = header.data_offset;
    segment_guard guard(*made);
    grow(guard, initial_pages(header, options));
    return made;
}

void require_participant(segment& s, bool is_creator) {
    if (register_participant(s, is_creator)) return;
    throw refused("attach to " + describe_segment(s) + ": " + std::to_string(participant_slot_count) +
                  " living processes are attached, which is the most there can be");
}

// Under the segment's lock: the name goes if it is still this very file's.
void retire(segment_guard& guard) {
    segment& s = guard.in();
    segment_internals& own = s.internals();
    // 1. Marked: a death after this leaves a name that leads to a retired segment; whoever finds it finishes step 2.
    store_word(guard.control().retired, 1);
    order_stores();
    // 2. Gone.
    os::file_facts named;
    if (!own.path.empty() && !os::describe(own.path, named) && named.same_file(own.file)) {
        if (const auto reason = os::remove_file(own.path); reason && reason.value() != ENOENT)
            throw_system("remove " + describe_segment(s), reason);
    }
}

// What stands in the way of a new segment: throws segment_exists, or takes away what only the dead have left.
void make_way(std::string_view name) {
    segment_ptr present;
    try {
        present = open_named(name, {});
    } catch (const no_such_segment&) {
        return;
    }
    segment_guard guard(*present);
    // This process is one participant; it may also have had the segment open before.
    const bool in_use = count_live_participants(*present) > 1 || registry::is_shared(*present);
    if (in_use || present->header().persist != 0) {
        throw segment_exists("create " + quoted(name) + ": " +
                             (in_use ? "a living process is attached to one of that name"
                                     : "there is one, and it is persistent") +
                             "; open it, use open_or_create, or remove it with `shmctl rm`");
    }
    retire(guard);
}

}  // namespace

std::string path_of(std::string_view name) {
    return os::shm_directory() + "/cairn." + std::string(name);
}

segment_ptr create_named(std::string_view name, const segment_options& options, removal policy) {
    require_segment_name(name);
    prepare_process();
    const std::string path = path_of(name);
    const std::string what = "create " + quoted(name);
    const segment_header header =
        make_header(name, effective_max_bytes(options), options.persist, policy == removal::when_unused);
    os::unique_fd fd;
    if (const auto reason = os::create_nameless(os::shm_directory(), options.mode, fd))
        throw_system(what, reason);
    if (const auto reason = os::set_mode(fd, options.mode)) throw_system(what, reason);  // whatever the umask
    segment_ptr made = format(std::move(fd), header, path, options);
    const bool is_creator = policy == removal::with_creator;
    require_participant(*made, is_creator);
    for (int attempt = 0; attempt < most_attempts; ++attempt) {
        const auto reason = os::link_file(made->internals().descriptor, path);
        if (!reason) {
            made->internals().is_creator = is_creator;
            registry::add(*made);
            return made;
        }
        if (reason.value() != EEXIST) throw_system(what, reason);
        if (policy == removal::when_unused) {
            throw segment_exists(what + ": there is one already", reason);  // open_or_create tries to open it
        }
        make_way(name);
    }
    throw segment_exists(what + ": other processes keep making one of that name");
}

segment_ptr create_anonymous(std::string_view name, const segment_options& options) {
    require_segment_name(name);
    prepare_process();
    const segment_header header = make_header(name, effective_max_bytes(options), false, true);
    os::unique_fd fd;
    if (const auto reason = os::create_anonymous("cairn." + std::string(name), fd))
        throw_system("create " + quoted(name), reason);
    segment_ptr made = format(std::move(fd), header, {}, options);
    require_participant(*made, true);
    made->internals().is_creator = true;
    registry::add(*made);
    return made;
}

segment_ptr attach(os::unique_fd fd, const std::string& path, const open_options& options) {
    prepare_process();
    const std::string what =
        path.empty() ? "anonymous segment" : quoted(path.substr(path.rfind("/cairn.") + 7));
    os::file_facts facts;
    if (const auto reason = os::describe(fd.get(), facts)) throw_system("open " + what, reason);
    check_file(facts, what, options);
    // Held until the segment is in the list, so that two threads do not map it twice.
    const registry::lock only_one;
    if (segment_ptr known = registry::find(facts, options.mode)) return known;

    if (facts.bytes < sizeof(segment_header)) {
        throw corrupt_segment("open " + what + ": not a segment: the file has " +
                              std::to_string(facts.bytes) +
                              " bytes; remove it with `shmctl rm` if nobody needs it");
    }
    segment_header header;
    if (::pread(fd.get(), &header, sizeof header, 0) != static_cast<ssize_t>(sizeof header))
        throw_system("open " + what, {errno, std::generic_category()});
    const bool writable = options.mode == open_mode::read_write;
    check_header(header, what, facts.bytes, writable ? header_use::attach : header_use::inspect);
    os::mapping map;
    const auto access = writable ? os::map_access::read_write : os::map_access::read_only;
    if (const auto reason = os::mapping::create(fd.get(), header.max_bytes, access, map))
        throw_system("open " + what, reason);

    segment_ptr opened(segment_access::make());
    segment_internals& own = opened->internals();
    own.file = facts;
    own.path = path;
    own.descriptor = std::move(fd);
    segment_access::set_mapping(*opened, std::move(map), writable);
    segment_access::set_name(*opened, std::string(header.name, header.name_bytes), path.empty());
    const std::uint64_t committed = opened->committed_bytes();
    if (committed < header.data_offset || committed > facts.bytes || committed % page_bytes != 0) {
        // The file may have grown between the look at its size and the mapping.
        os::file_facts now;
        if (os::describe(own.descriptor.get(), now) || committed < header.data_offset ||
            committed > now.bytes || committed % page_bytes != 0) {
            throw corrupt_segment("open " + what + ": truncated: the file has " +
                                  std::to_string(facts.bytes) + " bytes, expected at least " +
                                  std::to_string(committed) +
                                  "; remove it with `shmctl rm` if nobody needs it");
        }
    }
    if (writable) {
        segment_guard guard(*opened);
        if (load_word(guard.control().retired) != 0) {
            retire(guard);  // helps a remover that died before the unlink
            return {};
        }
        require_participant(*opened, false);
    }
    registry::add_locked(*opened);
    return opened;
}

segment_ptr open_named(std::string_view name, const open_options& options) {
    require_segment_name(name);
    const std::string path = path_of(name);
    for (int attempt = 0; attempt < most_attempts; ++attempt) {
        os::unique_fd fd;
        const auto reason = os::open_existing(path, options.mode == open_mode::read_write, fd);
        if (reason && reason.value() == ENOENT) {
            throw no_such_segment(
                "open " + quoted(name) + ": no such segment; create it first or use open_or_create", reason);
        }
        if (reason && (reason.value() == ELOOP || reason.value() == ENXIO || reason.value() == EISDIR))
            throw corrupt_segment("open " + quoted(name) + ": not a regular file, so no segment", reason);
        if (reason) throw_system("open " + quoted(name), reason);
        if (segment_ptr opened = attach(std::move(fd), path, options)) return opened;
    }
    throw no_such_segment("open " + quoted(name) + ": it keeps being removed");
}

segment_ptr open_or_create_named(std::string_view name, const segment_options& options) {
    for (int attempt = 0; attempt < most_attempts; ++attempt) {
        try {
            segment_ptr opened = open_named(name, {});
            // What only the dead have left is replaced, as by create.
            segment_guard guard(*opened);
            if (opened->header().persist != 0 || count_live_participants(*opened) > 1 ||
                registry::is_shared(*opened))
                return opened;
            retire(guard);
        } catch (const no_such_segment&) {}
        try {
            return create_named(name, options, removal::when_unused);
        } catch (const segment_exists&) {}
    }
    throw no_such_segment("open or create " + quoted(name) + ": it keeps coming and going");
}

void unlink_segment(segment& s) {
    segment_guard guard(s);
    retire(guard);
}

void remove_if_unused(segment& s) {
    if (s.is_anonymous() || s.header().persist != 0) return;
    segment_guard guard(s);
    if (load_word(guard.control().retired) == 0 && count_live_participants(s) == 0) retire(guard);
}

void add_manager(segment& s) noexcept {
    s.internals().managers.fetch_add(1, std::memory_order_relaxed);
}

void drop_manager(segment& s) noexcept {
    segment_internals& own = s.internals();
    // acq_rel: the last one sees what the others did before they went
    if (own.managers.fetch_sub(1, std::memory_order_acq_rel) != 1) return;
    if (!own.is_creator || own.path.empty() || s.header().persist != 0) return;
    try {
        unlink_segment(s);
    } catch (const error&) {
        // A destructor: the name stays, and the next create or `shmctl gc` removes it.
    }
}

}  // namespace cairn::inline v0::detail

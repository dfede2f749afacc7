// SPDX-License-Identifier: BSL-1.0
#include "segment/lifecycle.hpp"

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <cstring>

#include <sys/stat.h>
#include <unistd.h>

#include "os/child.hpp"
#include "os/fork_count.hpp"
#include "os/probe.hpp"
#include "segment/backing.hpp"
#include "segment/directory.hpp"
#include "segment/extents.hpp"
#include "segment/farewell.hpp"
#include "segment/format.hpp"
#include "segment/left_names.hpp"
#include "segment/participants.hpp"
#include "segment/registry.hpp"
#include <cairn/detail/base/deadline.hpp>
#include <cairn/detail/os/lock_limit.hpp>
#include <cairn/detail/os/thread_state.hpp>
#include <cairn/error.hpp>

namespace cairn::inline CAIRN_ABI::detail {

namespace {

// Races over a name are lost to somebody who made progress; more than this many in a row is somebody's bug.
constexpr int most_attempts = 1000;

// A forked child runs its first instructions within milliseconds, but where the machine is very busy.
constexpr std::chrono::milliseconds longest_arrival{1000};

// How long a destructor waits for a segment's lock. What it cannot remove by then the last one to leave removes, the next
// create() of that name, or `shmctl gc`.
constexpr std::chrono::seconds longest_farewell{1};

// How often open() looks for a segment that is not there yet.
constexpr std::chrono::milliseconds first_look{1};
constexpr std::chrono::milliseconds longest_between_looks{50};

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
        case EDQUOT: throw segment_full(text, reason);
        case EFBIG: throw segment_full(text + file_limit_hint, reason);
        case EMFILE:
            throw system_failure(text + " (each segment of a process takes one: raise `ulimit -n`)", reason);
        default: throw system_failure(text, reason);
    }
}

// Of a segment with a name: the directory is named, and what it is short of.
[[noreturn]] void throw_not_made(const std::string& what, std::error_code reason) {
    if (reason.value() == ENOSPC || reason.value() == EDQUOT)
        throw segment_full(what + ": " + reason.message() + shm_limit_hint(), reason);
    throw_system(what + " in " + os::shm_directory(), reason);
}

// Where the addresses are wanting, which are all reserved at once, the system's words speak of memory.
os::mapping map_whole(int fd, std::uint64_t bytes, os::map_access access, const std::string& what) {
    os::mapping map;
    const std::error_code reason = os::mapping::create(fd, bytes, access, map);
    if (!reason) return map;
    if (reason.value() != ENOMEM) throw_system(what, reason);
    throw_system(
        what + ": no " + std::to_string(bytes) +
            " bytes of addresses in one piece, which its max_size takes (`ulimit -v`), or too many mappings "
            "(vm.max_map_count)",
        reason);
}

void prepare_to_attach() {
    prepare_process();
    prepare_for_exit();
    end_waiting_mappings();
}

void set_lock_timeout(segment& s, const time_limit& timeout) noexcept {
    // relaxed: a number of its own
    if (timeout.is_given())
        s.internals().lock_timeout.store(timeout.nanoseconds().count(), std::memory_order_relaxed);
}

// Writes header, control block and first pages into a nameless file; returns it attached.
segment_ptr format(os::unique_fd fd, const segment_header& header, const std::string& path,
                   const segment_options& options) {
    const std::string what = "create " + quoted(std::string_view(header.name, header.name_bytes));
    const bool anonymous = path.empty();
    if (const auto reason = os::write_zeros(fd.get(), 0, header.map_offset)) {
        if (anonymous) throw_system(what, reason);
        throw_not_made(what, reason);
    }
    os::mapping map = map_whole(fd.get(), header.max_bytes, os::map_access::read_write, what);
    // A memfd has its full size from the start, so that a program which closes all descriptors can still grow it. Only once it is
    // mapped: in a program that has called mlockall(MCL_FUTURE) the system takes memory for all that is there then.
    if (anonymous) {
        if (const auto reason = os::set_size(fd, header.max_bytes)) throw_system(what, reason);
        if (const auto reason = os::seal_against_shrinking(fd)) throw_system(what, reason);
    }

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
    control.committed_bytes = control.shown_bytes = header.data_offset;
    control.bucket_count = name_bucket_count;
    set_lock_timeout(*made, options.lock_timeout);
    segment_guard guard(*made);
    grow(guard, initial_pages(header, options));
    // What it is made with stays.
    show_up_to(*made, made->committed_bytes());
    return made;
}

void require_participant(segment& s, bool is_creator) {
    if (register_participant(s, is_creator)) return;
    if (s.internals().identity == 0) {
        throw refused("attach to " + describe_segment(s) +
                      ": /proc/self/stat cannot be read (no descriptor left: raise `ulimit -n`; or no "
                      "/proc), so nobody could tell "
                      "whether this process lives");
    }
    throw refused("attach to " + describe_segment(s) + ": " + std::to_string(s.header().participant_count) +
                  " living processes are attached, which is the most there can be; create it with a larger "
                  "max_participants");
}

// Under the segment's lock: the name goes if it is still this very file's.
void retire(segment_guard& guard) {
    segment& s = guard.in();
    segment_internals& own = s.internals();
    // 1. Marked: a death after this leaves a name that leads to a retired segment; whoever finds it finishes step 2.
    const std::uint32_t was_retired = load_word(guard.control().retired);
    store_word(guard.control().retired, 1);
    order_stores();
    // 2. Gone.
    if (own.path.empty()) return;
    os::file_facts named;
    std::error_code reason = os::describe(own.path, named);
    if (!reason && named.same_file(own.file)) reason = os::remove_file(own.path);
    if (!reason || reason.value() == ENOENT) {
        // 3. Who has closed its descriptors cannot open it by name any more: like a memfd it has its full size from now on, so
        // that it can grow through the mapping. If not, that is an error of the growth.
        if (own.descriptor.valid() && is_descriptor_of(own.descriptor.get(), s))
            static_cast<void>(os::set_size(own.descriptor, own.map.bytes()));
        return;
    }
    // Still there: nobody can have looked at the mark meanwhile, so it may be taken back.
    store_word(guard.control().retired, was_retired);
    throw_system("remove " + describe_segment(s), reason);
}

// Why a process attaches. Decided under the segment's lock, in the same hold of it in which the process becomes a
// participant: of several that find what the dead have left, each would otherwise take the others for its living users.
enum class purpose {
    use,
    use_if_alive,  // what only the dead have left is taken away instead
    make_way,      // the same, but whatever else there is is segment_exists
    clear_away     // the same, and the process becomes no participant
};

[[noreturn]] void throw_exists(std::string_view name, const char* what) {
    throw segment_exists("create " + quoted(name) + ": " + what +
                         "; open it, use open_or_create, or remove it with `shmctl rm`");
}

// Becomes a participant; false when the name is to be looked up again.
bool join(segment& s, purpose why) {
    if (!is_initialized(s.control().lock)) throw_corrupt(s, "its lock is not a lock");
    // Asked first, and without the lock, which may be that of somebody who is stopped. Who is on the way is asked before who is there.
    if (why == purpose::clear_away && (os::has_forks_on_their_way() || is_anybody_attached(s))) return true;
    segment_guard guard(s);
    if (load_word(guard.control().retired) != 0) {
        retire(guard);  // helps a remover that died before the unlink
        return false;
    }
    const bool is_persistent = s.header().persist != 0;
    if (why != purpose::use && !is_persistent && !is_anybody_attached(s)) {
        retire(guard);
        return false;
    }
    if (why == purpose::make_way) {
        throw_exists(s.name(), is_persistent ? "there is one, and it is persistent"
                                             : "a living process is attached to one of that name");
    }
    if (why != purpose::clear_away) require_participant(s, false);
    return true;
}

// This process has it already. False as above: it has lost its name, but a remover that died has left that behind.
bool is_still_there(segment& s, purpose why) {
    if (why == purpose::make_way) throw_exists(s.name(), "this process is attached to one of that name");
    if (!s.is_writable() || load_word(s.control().retired) == 0) return true;
    segment_guard guard(s);
    retire(guard);
    return false;
}

segment_ptr attach_for(purpose why, os::unique_fd fd, const std::string& path, const open_options& options);

segment_ptr open_for(purpose why, std::string_view name, const open_options& options) {
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
        if (segment_ptr opened = attach_for(why, std::move(fd), path, options)) return opened;
    }
    throw no_such_segment("open " + quoted(name) + ": it keeps being removed");
}

// What stands in the way of a new segment: throws segment_exists, or takes away what only the dead have left.
void make_way(std::string_view name, const segment_options& options) {
    try {
        static_cast<void>(open_for(purpose::make_way, name, {.lock_timeout = options.lock_timeout}));
    } catch (const no_such_segment&) {
        // Gone, by us or by somebody else.
    }
}

}  // namespace

std::string path_of(std::string_view name) {
    return os::shm_directory() + "/cairn." + std::string(name);
}

segment_ptr create_named(std::string_view name, const segment_options& options, removal policy) {
    require_segment_name(name);
    prepare_to_attach();
    settle_left_names();
    const std::string path = path_of(name);
    const std::string what = "create " + quoted(name);
    const segment_header header = make_header(name, options, policy == removal::when_unused);
    // First of all, so that what the dead have left does not take the room that its replacement needs.
    os::file_facts left;
    if (policy == removal::with_creator && !os::describe(path, left)) make_way(name, options);
    os::unique_fd fd;
    if (const auto reason = os::create_nameless(os::shm_directory(), options.mode, fd))
        throw_not_made(what, reason);
    if (const auto reason = os::set_mode(fd, options.mode)) throw_system(what, reason);  // whatever the umask
    segment_ptr made = format(std::move(fd), header, path, options);
    const bool is_creator = policy == removal::with_creator;
    require_participant(*made, is_creator);
    for (int attempt = 0; attempt < most_attempts; ++attempt) {
        std::error_code reason;
        {
            // Held until the segment is in the list, so that no other thread opens the name and maps it a second time.
            const registry::lock only_one;
            reason = os::link_file(made->internals().descriptor, path);
            if (!reason) {
                made->internals().is_creator = is_creator;
                registry::add_locked(*made);
                return made;
            }
        }
        if (reason.value() != EEXIST) throw_not_made(what, reason);
        if (policy == removal::when_unused) {
            throw segment_exists(what + ": there is one already", reason);  // open_or_create tries to open it
        }
        make_way(name, options);
    }
    throw segment_exists(what + ": other processes keep making one of that name");
}

segment_ptr create_anonymous(std::string_view name, const segment_options& options) {
    require_segment_name(name);
    prepare_to_attach();
    settle_left_names();
    segment_options unnamed = options;
    unnamed.persist = false;
    const segment_header header = make_header(name, unnamed, true);
    os::unique_fd fd;
    if (const auto reason = os::create_anonymous("cairn." + std::string(name), fd))
        throw_system("create " + quoted(name), reason);
    segment_ptr made = format(std::move(fd), header, {}, options);
    require_participant(*made, true);
    made->internals().is_creator = true;
    registry::add(*made);
    return made;
}

namespace {

segment_ptr attach_for(purpose why, os::unique_fd fd, const std::string& path, const open_options& options) {
    prepare_to_attach();
    const std::string what =
        path.empty() ? "anonymous segment" : quoted(path.substr(path.rfind("/cairn.") + 7));
    os::file_facts facts;
    if (const auto reason = os::describe(fd.get(), facts)) throw_system("open " + what, reason);
    check_file(facts, what, options);
    if (segment_ptr known = registry::find(facts, options.mode)) {
        set_lock_timeout(*known, options.lock_timeout);
        if (is_still_there(*known, why)) return known;
        return {};
    }

    if (facts.bytes < sizeof(segment_header)) {
        throw corrupt_segment("open " + what + ": not a segment: the file has " +
                              std::to_string(facts.bytes) +
                              " bytes; remove it with `shmctl rm` if nobody needs it");
    }
    segment_header header;
    std::uint64_t header_bytes = 0;
    if (const auto reason = os::read_at(fd.get(), 0, &header, sizeof header, header_bytes))
        throw_system("open " + what, reason);
    if (header_bytes != sizeof header)
        throw corrupt_segment("open " + what + ": it was shortened while it was opened");
    const bool writable = options.mode == open_mode::read_write;
    check_header(header, what, facts.bytes, writable ? header_use::attach : header_use::inspect);
    const auto access = writable ? os::map_access::read_write : os::map_access::read_only;
    os::mapping map = map_whole(fd.get(), header.max_bytes, access, "open " + what);

    segment_ptr opened(segment_access::make());
    segment_internals& own = opened->internals();
    own.file = facts;
    own.path = path;
    own.descriptor = std::move(fd);
    segment_access::set_mapping(*opened, std::move(map), writable);
    segment_access::set_name(*opened, std::string(header.name, header.name_bytes), path.empty());
    set_lock_timeout(*opened, options.lock_timeout);
    // In this order: it only grows, and no further than the limit was then.
    const std::uint64_t shown = opened->shown_bytes();
    const std::uint64_t committed = opened->committed_bytes();
    const bool is_sane = committed >= header.data_offset && committed <= header.max_bytes &&
                         committed % page_bytes == 0 && shown > header.data_offset && shown <= committed &&
                         shown % page_bytes == 0;
    if (!is_sane || committed > facts.bytes) {
        // The file may have grown between the look at its size and the mapping.
        os::file_facts now;
        if (!is_sane || os::describe(own.descriptor.get(), now) || committed > now.bytes) {
            throw corrupt_segment("open " + what + ": truncated: the file has " +
                                  std::to_string(facts.bytes) + " bytes, expected at least " +
                                  std::to_string(committed) +
                                  "; remove it with `shmctl rm` if nobody needs it");
        }
    }
    if (writable && !join(*opened, why)) return {};
    if (why == purpose::clear_away) return opened;  // for the caller alone
    segment_ptr known;
    {
        const registry::lock only_one;
        known = registry::find(facts, options.mode);
        if (!known) {
            registry::add_locked(*opened);
            return opened;
        }
    }
    // Another thread of this process was faster: its mapping is the one of the process. This one goes as any last handle does.
    opened = {};
    set_lock_timeout(*known, options.lock_timeout);
    if (is_still_there(*known, why)) return known;
    return {};
}

}  // namespace

segment_ptr attach(os::unique_fd fd, const std::string& path, const open_options& options) {
    return attach_for(purpose::use, std::move(fd), path, options);
}

segment_ptr open_named(std::string_view name, const open_options& options) {
    settle_left_names();
    const steady_time deadline =
        options.wait.is_given() ? deadline_after(options.wait.nanoseconds()) : no_deadline;
    for (std::chrono::nanoseconds between = first_look;;
         between = std::min<std::chrono::nanoseconds>(2 * between, longest_between_looks)) {
        try {
            return open_for(purpose::use, name, options);
        } catch (const no_such_segment&) {
            if (std::chrono::steady_clock::now() >= deadline) throw;
        }
        os::sleep_for(
            std::min<std::chrono::nanoseconds>(between, deadline - std::chrono::steady_clock::now()));
    }
}

segment_ptr open_or_create_named(std::string_view name, const segment_options& options) {
    settle_left_names();
    for (int attempt = 0; attempt < most_attempts; ++attempt) {
        try {
            // What only the dead have left is replaced, as by create.
            return open_for(purpose::use_if_alive, name, {.lock_timeout = options.lock_timeout});
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

namespace {

// A child of this process that is not a participant yet, and may become one. Of other members of the family nothing is known here.
bool may_child_arrive(const void* context) noexcept {
    const auto& s = *static_cast<const segment*>(context);
    try {
        const auto forks = os::living_forks();
        if (!forks) return true;
        return std::any_of(forks->begin(), forks->end(), [&](pid_t child) {
            const os::process_identity identity = os::identity_of(child);
            return identity != 0 && !is_participant(s, identity);
        });
    } catch (const std::bad_alloc&) {
        return true;
    }
}

}  // namespace

void remove_if_unused(segment& s) {
    if (s.is_anonymous() || s.header().persist != 0) return;
    // Each gives its slot back before it looks, so that the last one sees nobody, and whoever sees another needs no lock.
    if (is_anybody_attached(s)) return;
    const operation_limit limit{.deadline = deadline_after(longest_farewell)};
    const limited_locks in_time(limit);
    // A child that was forked a moment ago is a user as soon as it runs: if there is one on its way, it is waited for
    // without the lock, and then looked for again. Who is on the way is asked before, lest it arrive between the two.
    for (bool has_waited = false;; has_waited = true) {
        const bool is_complete = has_waited || !os::has_forks_on_their_way();
        {
            segment_guard guard(s);
            if (load_word(guard.control().retired) != 0 || is_anybody_attached(s)) return;
            if (is_complete) return retire(guard);
        }
        os::wait_for_arrivals(longest_arrival, may_child_arrive, &s);
    }
}

std::optional<os::process_identity> clear_away(const std::string& path, const os::file_facts& file) {
    // As remove_if_unused().
    for (bool has_waited = false;; has_waited = true) {
        const operation_limit limit{.deadline = deadline_after(longest_farewell)};
        const limited_locks in_time(limit);
        os::unique_fd fd;
        os::file_facts named;
        if (os::open_existing(path, true, fd) || os::describe(fd.get(), named) || !named.same_file(file))
            return 0;
        const segment_ptr used = attach_for(purpose::clear_away, std::move(fd), path, {});
        // Where this process has it again, it will look when it leaves.
        if (!used || used->participant_number() != 0) return 0;
        if (const os::process_identity living = any_living_participant(*used); living != 0) return living;
        // It was kept for somebody who has ended meanwhile, or for a forked child that is on its way.
        if (has_waited) return std::nullopt;
        os::wait_for_arrivals(longest_arrival, may_child_arrive, used.get());
    }
}

collected collect_if_unused(segment& s) {
    segment_guard guard(s);
    collected result;
    result.forgotten_count = forget_dead_participants(s);
    const std::uint32_t alive = count_live_participants(s);
    result.live_count = alive > 0 ? alive - 1 : 0;  // without this process, which came for this only
    const bool in_use = result.live_count > 0 || registry::is_shared(s);
    if (!in_use && s.header().persist == 0 && load_word(guard.control().retired) == 0) {
        retire(guard);
        result.is_removed = true;
    }
    return result;
}

namespace {

void unlink_in_destructor(segment& s) noexcept {
    const operation_limit limit{.deadline = deadline_after(longest_farewell)};
    const limited_locks in_time(limit);
    try {
        unlink_segment(s);
    } catch (const error&) {
        // The name stays, and the last one to leave removes it, the next create(), or `shmctl gc`.
    } catch (const limit_reached&) {
        // So does it here.
    }
}

}  // namespace

void add_manager(segment& s) noexcept {
    s.internals().managers.fetch_add(1, std::memory_order_relaxed);
}

void drop_manager(segment& s) noexcept {
    segment_internals& own = s.internals();
    // acq_rel: the last one sees what the others did before they went
    if (own.managers.fetch_sub(1, std::memory_order_acq_rel) != 1 || is_raw_child()) return;
    if (!own.is_creator || own.path.empty() || s.header().persist != 0) return;
    unlink_in_destructor(s);
}

void take_name_along(segment& s) noexcept {
    segment_internals& own = s.internals();
    if (!s.is_writable() || own.path.empty() || s.header().persist != 0) return;
    const bool is_last = !is_anybody_attached(s, own.participant.load());
    if ((own.is_creator && own.managers.load() != 0) || (is_last && !os::has_forks_on_their_way()))
        unlink_in_destructor(s);
}

}  // namespace cairn::inline CAIRN_ABI::detail

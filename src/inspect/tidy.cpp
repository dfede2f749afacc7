// tidy.cpp - what tidies up after the dead. All else in this folder only looks.
// SPDX-License-Identifier: BSL-1.0
#include <algorithm>

#include <unistd.h>

#include "inspect/image.hpp"
#include "inspect/state.hpp"
#include "os/file.hpp"
#include "segment/internals.hpp"
#include "segment/lifecycle.hpp"
#include <cairn/error.hpp>
#include <cairn/inspect.hpp>

namespace cairn::inline CAIRN_ABI {

using namespace detail;

namespace {

void require_named(const segment_location& where, const char* operation) {
    if (where.is_anonymous) {
        throw invalid_argument(
            std::string(operation) + " segment '" + where.target +
            "': an anonymous segment has no name to take away; it goes with its last process");
    }
    if (where.is_image) {
        throw invalid_argument(std::string(operation) + " image '" + where.path +
                               "': a saved image is a file like any other; remove it with rm");
    }
}

// Attached for writing, and the very segment that was found.
segment_ptr attach_to(const segment_location& where) {
    open_options options;
    // Root may tidy up for others; everybody else has their own.
    if (::geteuid() == 0) options.owner = where.owner;
    segment_ptr s = open_named(where.name, options);
    const os::file_facts& file = s->internals().file;
    if (where.inode != 0 && (static_cast<std::uint64_t>(file.inode) != where.inode ||
                             static_cast<std::uint64_t>(file.device) != where.device)) {
        throw no_such_segment("open segment '" + where.name +
                              "': it was replaced by another one meanwhile; look again");
    }
    return s;
}

collect_result foresee(const segment_location& where) {
    const inspection look(where);
    const segment_facts facts = look.facts();
    if (!facts.is_of_this_boot || !facts.is_of_this_pid_namespace || !facts.is_of_this_time_namespace) {
        throw refused("collect segment '" + where.name + "': made " +
                      (facts.is_of_this_boot
                           ? "in another pid namespace: whether its processes live cannot be seen from here"
                           : "before this system was started") +
                      "; remove it with `shmctl rm -f` if nobody needs it");
    }
    collect_result result;
    for (const participant_facts& p : look.participants()) {
        if (p.state == presence::alive) ++result.live_process_count;
        else ++result.forgotten_count;
    }
    result.is_persistent = facts.is_persistent;
    result.is_removed = !result.is_persistent && result.live_process_count == 0;
    return result;
}

void remove_file_of(const segment_location& where) {
    os::file_facts now;
    const std::string what = "remove segment '" + where.name + "'";
    if (const auto reason = os::describe(where.path, now)) {
        if (reason.value() == ENOENT) throw no_such_segment(what + ": " + reason.message(), reason);
        throw system_failure(what + ": " + reason.message(), reason);
    }
    if (static_cast<std::uint64_t>(now.inode) != where.inode ||
        static_cast<std::uint64_t>(now.device) != where.device)
        throw no_such_segment(what + ": it was replaced by another one meanwhile; look again");
    if (const auto reason = os::remove_file(where.path)) {
        if (reason.value() == EACCES || reason.value() == EPERM)
            throw permission_denied(what + ": " + reason.message(), reason);
        throw system_failure(what + ": " + reason.message(), reason);
    }
}

}  // namespace

collect_result collect_segment(const segment_location& where, bool dry_run) {
    require_named(where, "collect");
    if (dry_run) return foresee(where);
    collect_result result;
    segment_ptr s;
    try {
        s = attach_to(where);
    } catch (const no_such_segment&) {
        os::file_facts now;
        // Whoever was removing it died before the name was gone: attaching has finished that.
        if (os::describe(where.path, now)) {
            result.is_removed = true;
            return result;
        }
        throw;
    }
    const collected done = collect_if_unused(*s);
    result.is_removed = done.is_removed;
    result.forgotten_count = done.forgotten_count;
    result.live_process_count = done.live_count;
    result.is_persistent = s->header().persist != 0;
    return result;
}

void remove_segment(const segment_location& where, bool force) {
    require_named(where, "remove");
    const auto by_file = [&](const error&) {
        if (!force) throw;  // the one that is being handled
        remove_file_of(where);
    };
    try {
        unlink_segment(*attach_to(where));
    } catch (const corrupt_segment& e) {
        by_file(e);
    } catch (const version_mismatch& e) {
        by_file(e);
    } catch (const refused& e) {
        by_file(e);
    } catch (const invalid_name& e) {
        by_file(e);
    }
}

}  // namespace cairn::inline CAIRN_ABI

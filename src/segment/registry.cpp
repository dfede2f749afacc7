// SPDX-License-Identifier: BSL-1.0
#include "segment/registry.hpp"

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <mutex>
#include <new>
#include <vector>

#include <pthread.h>

#include "base/never_destroyed.hpp"
#include "os/fork_count.hpp"
#include "segment/farewell.hpp"
#include "segment/left_names.hpp"
#include "segment/lifecycle.hpp"
#include "segment/participants.hpp"
#include <cairn/detail/base/thread_sanitizer.hpp>
#include <cairn/detail/os/thread_state.hpp>
#include <cairn/error.hpp>

namespace cairn::inline CAIRN_ABI::detail {

namespace {

// Handles in static objects may go after everything else.
constinit never_destroyed<std::recursive_mutex> the_mutex;
constinit never_destroyed<std::vector<segment*>> segments;

std::recursive_mutex& registry_mutex() noexcept {
    return the_mutex.get();
}

std::vector<segment*>& attached() noexcept {
    return segments.get();
}

void before_fork() {
    registry_mutex().lock();
    os::count_fork();
}

void after_fork_in_parent() {
    registry_mutex().unlock();
}

// Async-signal-safe but for the locks taken before the fork: the parent may have had other threads.
void after_fork_in_child() {
    renew_process_mark();
    abandon_open_transactions();
    forget_waiting_mappings();
    forget_left_names();
    const std::uint64_t here = attached().empty() ? 0 : os::pid_namespace();
    const std::uint64_t time_here = attached().empty() ? 0 : os::time_namespace();
    for (segment* s : attached()) {
        if (!s->is_writable()) continue;
        segment_internals& own = s->internals();
        own.is_creator = false;
        if (s->header().pid_namespace != here) {
            segment_access::forbid_writing(*s, "it is in another pid namespace than the segment, and the "
                                               "kernel would take locks away from living "
                                               "owners; run both in one namespace");
            continue;
        }
        if (s->header().time_namespace != time_here) {
            segment_access::forbid_writing(
                *s, "it is in another time namespace than the segment, where the living "
                    "cannot be told from the dead; run both in one namespace");
            continue;
        }
        if (register_participant(*s, false)) continue;
        segment_access::forbid_writing(
            *s,
            own.identity == 0
                ? "/proc/self/stat cannot be read (no descriptor left?), so nobody could tell whether this "
                  "process lives; have one free at the fork"
                : "as many living processes are attached as there can be; create it with a larger "
                  "max_participants");
    }
    os::count_arrival();
    // Anew rather than unlocked: a recursive mutex knows its owner by thread id, which is another one in the child, and
    // nobody else is here who could hold it.
    new (&registry_mutex()) std::recursive_mutex;
}

constinit std::atomic<bool> is_prepared = false;

// An errno, or 0.
int try_prepare() noexcept {
    // A static object of the program may have been made before ours are, where the library is a static one.
    if (is_prepared) return 0;
    if (!renew_process_mark() || !os::begin_fork_count()) return ENOMEM;
    if (const int error = prepare_list_of_threads(); error != 0) return error;
    const int error = pthread_atfork(before_fork, after_fork_in_parent, after_fork_in_child);
    if (error == 0) is_prepared = true;
    return error;
}

// When the library is loaded, as a rule before there are threads: one that forks while another is about this would have a
// child that has half of it.
[[maybe_unused]] const int prepared_at_load = try_prepare();

}  // namespace

void prepare_process() {
    if (is_prepared) return;
    const std::lock_guard held(registry_mutex());
    if (is_prepared) return;
    if (const int error = try_prepare(); error != 0)
        throw system_failure("attach to a segment: no memory for what a process knows of its forks",
                             {error, std::generic_category()});
}

namespace registry {

lock::lock() {
    registry_mutex().lock();
    say_taken(&registry_mutex());
}

lock::~lock() {
    say_given_back(&registry_mutex());
    registry_mutex().unlock();
}

segment_ptr find(const os::file_facts& facts, open_mode mode) {
    const lock held;
    for (segment* s : attached()) {
        if (s->internals().file.same_file(facts) && s->is_writable() == (mode == open_mode::read_write) &&
            s->try_add_reference())
            return segment_ptr(s);
    }
    return {};
}

void add(segment& s) {
    const lock held;
    add_locked(s);
}

void add_locked(segment& s) {
    attached().push_back(&s);
}

void remove(segment& s) noexcept {
    const lock held;
    auto& segments = attached();
    segments.erase(std::remove(segments.begin(), segments.end(), &s), segments.end());
}

void for_each(void (*call)(segment& s)) noexcept {
    std::vector<segment_ptr> all;
    try {
        const lock held;
        for (segment* s : attached())
            if (s->try_add_reference()) all.emplace_back(s);
    } catch (const std::bad_alloc&) {
        // Then for some.
    }
    for (const segment_ptr& s : all) call(*s);
}

const std::vector<segment*>& attached_here() noexcept {
    return attached();
}

bool is_shared(const segment& s) noexcept {
    return segment_access::reference_count(s) > 1;
}

}  // namespace registry

}  // namespace cairn::inline CAIRN_ABI::detail

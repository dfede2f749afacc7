// SPDX-License-Identifier: BSL-1.0
#include "cairn/detail/txn/reading.hpp"

#include <chrono>
#include <exception>

#include "os/child.hpp"
#include "os/identity.hpp"
#include "os/probe.hpp"
#include "segment/internals.hpp"
#include "segment/lock_timeout.hpp"
#include "segment/segment_guard.hpp"
#include <cairn/error.hpp>

namespace cairn::inline CAIRN_ABI::detail {

namespace {

// How long a reader that may not wait on the lock gives a living writer.
constexpr std::chrono::seconds patience{5};
// ... before it reads in pieces what can be read so, if it was disturbed so often, beyond its first two tries.
constexpr std::chrono::milliseconds patience_for_all{2000};
constexpr int least_disturbed = 2;
// A writing process takes the lock earlier than after all its tries when these take so long.
constexpr std::chrono::milliseconds longest_optimism{1};
// Short changes end within these; longer ones are waited for asleep.
constexpr int looks_before_sleep = 64;

std::error_code map_privately(const segment& s, os::mapping& map) {
    segment_internals& own = s.internals();
    return os::mapping::create(own.descriptor.get(), s.header().max_bytes, os::map_access::private_copy, map);
}

// Whoever repairs the object gives the pages of its log back to the system, perhaps right now: so they are read into memory of the
// view's own, and not looked at in the file. (A look at a hole can be SIGBUS.)
void read_log(const segment& from, segment& view, std::uint64_t head) {
    const int fd = from.internals().descriptor.get();
    std::uint64_t left = view.committed_bytes();  // areas do not overlap
    while (head >> 32 != 0) {
        const std::uint64_t page = (head >> 32) - 1;
        if (page >= view.committed_pages()) throw_corrupt(from, "its undo log");
        const segment_offset at = view.page_offset(static_cast<std::uint32_t>(page));
        log_area_header header = {};
        std::uint64_t got = 0;
        if (os::read_at(fd, at, &header, sizeof header, got) || got != sizeof header || header.bytes == 0 ||
            header.bytes % page_bytes != 0 || header.bytes > left ||
            header.bytes > view.committed_bytes() - at)
            throw_corrupt(from, "its undo log");
        const std::error_code reason = view.internals().map.cover(at, header.bytes);
        if (reason || os::read_at(fd, at, view.base() + at, header.bytes, got) || got != header.bytes)
            throw_corrupt(from, "its undo log");
        left -= header.bytes;
        head = header.previous_head;
    }
}

}  // namespace

void pause_reader() noexcept {
#if defined(__x86_64__)
    for (int i = 0; i < 8; ++i) __builtin_ia32_pause();
#else
    for (int i = 0; i < 8; ++i) asm volatile("yield");
#endif
}

void require_joinable(const segment& s, const root_slot& slot, std::uint64_t generation) {
    if (!may_join(slot)) {
        throw would_deadlock(
            "read of " + describe_object(s, slot) +
            ": this thread is inside another operation (a callback or a signal handler); read "
            "before it, or use what the callback was given");
    }
    if (load_word(slot.generation) != generation ||
        load_word(slot.state) != static_cast<std::uint32_t>(root_state::live))
        throw_gone(s, slot);
}

void throw_damaged(const segment& s, const root_slot& slot) {
    throw corrupt_segment("read of " + describe_object(s, slot) +
                          ": damaged: a link leads outside the segment; look at it with `shmctl verify`");
}

segment_ptr private_view(segment& s, const root_slot& slot) {
    os::mapping map;
    if (const auto reason = map_privately(s, map))
        throw system_failure("read of " + describe_object(s, slot) + ": " + reason.message(), reason);
    segment_ptr view(segment_access::make());
    view->internals().file = s.internals().file;
    segment_access::set_mapping(*view, std::move(map), true);
    segment_access::set_name(*view, s.name(), s.is_anonymous());
    // In the copy only: locks of living processes are theirs, but here nobody else can hold one. First the page becomes the
    // copy's own: as long as nothing is written to it, whoever takes the lock of the dead has it here, too.
    auto release = [](stored_mutex& m) {
        store_word(m.told, load_word(m.told));
        if (!inspect(m).owner_died) initialize(m);
    };
    release(view->control().lock);
    auto* const own_slot = view->at<root_slot>(s.offset_of(&slot));
    release(own_slot->lock);
    // From here on the head is the view's own, too: it lies in one page with the lock.
    static_assert(offsetof(root_slot, lock) / page_bytes == offsetof(root_slot, log_head) / page_bytes);
    read_log(s, *view, load_word(own_slot->log_head));
    return view;
}

namespace {

// Whether nobody alive holds the lock. Thread ids say something in the segment's own pid namespace only.
bool is_abandoned(const segment& s, const stored_mutex& lock, bool in_its_namespace) noexcept {
    const lock_word word = inspect(lock);
    return word.owner_died || word.thread_id == 0 ||
           (in_its_namespace && is_held_by_nobody(lock, judge_of(s)));
}

// A view that is made while others allocate, create or remove may see their work half done.
class segment_at_rest {
public:
    segment_at_rest(const segment& s, bool in_its_namespace)
        : segment_(s), in_its_namespace_(in_its_namespace), acquired_(acquired_count(s.control().lock)) {}

    [[nodiscard]] bool was_all_the_time() const noexcept {
        return acquired_count(segment_.control().lock) == acquired_ &&
               is_abandoned(segment_, segment_.control().lock, in_its_namespace_);
    }

private:
    const segment& segment_;
    bool in_its_namespace_;
    std::uint64_t acquired_;
};

// A version that stays odd is one change; any other number of versions are so many.
[[noreturn]] void throw_impatient(const segment& s, const root_slot& slot, std::uint64_t first_version,
                                  std::chrono::steady_clock::duration waited) {
    const std::uint64_t version = load_word(slot.version);
    const std::uint64_t changes = (version - first_version + 1) / 2;
    const std::string seconds =
        std::to_string(std::chrono::duration_cast<std::chrono::seconds>(waited).count()) + " s";
    // Its last one, where nobody holds it right now.
    const std::string holder = "thread " + std::to_string(thread_of(load_word(slot.lock.holder)));
    throw timeout_error("read of " + describe_object(s, slot) + ": " +
                        (version == first_version && version % 2 != 0
                             ? holder + " has been changing it for " + seconds
                             : "changed " + std::to_string(changes) + " times while it was read, for " +
                                   seconds + ", at last by " + holder));
}

// A short change is over before a sleep would be, and the next one may come soon after it.
bool is_even_soon(const root_slot& slot) noexcept {
    for (int i = 0; i < looks_before_sleep; ++i) {
        if (load_word(slot.version) % 2 == 0) return true;
        pause_reader();
    }
    return false;
}

// Without the lock, which a read-only process cannot take. A living writer is waited for: its work in progress is
// nothing that could be undone beside it. A dead one's is undone in a view of our own, which says something only if
// nobody has repaired the segment itself meanwhile.
bool read_as_guest(segment& s, root_slot& slot, std::uint64_t generation, read_function call, void* copy,
                   bool may_give_up) {
    const auto begin = std::chrono::steady_clock::now();
    const std::uint64_t first_version = load_word(slot.version);
    int disturbed = 0;
    const bool in_its_namespace = s.header().pid_namespace == os::pid_namespace();
    for (;;) {
        const std::uint64_t version =
            __atomic_load_n(&slot.version, __ATOMIC_ACQUIRE);  // acquire: as in quick_look
        const bool is_there = load_word(slot.generation) == generation;
        const bool is_dead = is_abandoned(s, slot.lock, in_its_namespace);
        if (version % 2 == 0 && is_there) {
            const read_result result = call(copy, s);
            std::atomic_thread_fence(std::memory_order_acquire);  // the copy comes before the second look
            if (load_word(slot.version) == version) {
                if (result == read_result::done) return true;
                throw_damaged(s, slot);
            }
            ++disturbed;
        } else if (version % 2 == 0 || is_dead) {
            // Gone, poisoned, or to be repaired: the same code as everywhere finds out, in the view.
            std::exception_ptr problem;
            bool says_something = true;
            read_result result = read_result::torn;
            const segment_at_rest others(s, in_its_namespace);
            try {
                const segment_ptr view = private_view(s, slot);
                const root_transaction tx(*view, *view->at<root_slot>(s.offset_of(&slot)), generation);
                result = call(copy, *view);
            } catch (const corrupt_segment&) {
                problem = std::current_exception();
                says_something = others.was_all_the_time();
            } catch (const error&) {
                problem = std::current_exception();
            }
            std::atomic_thread_fence(std::memory_order_acquire);
            if (says_something && load_word(slot.version) == version) {
                if (problem) std::rethrow_exception(problem);
                if (result == read_result::done) return true;
                throw_damaged(s, slot);
            }
        }
        const auto waited = std::chrono::steady_clock::now() - begin;
        if (may_give_up && disturbed >= least_disturbed && waited >= patience_for_all) return false;
        if (waited >= patience) throw_impatient(s, slot, first_version, waited);
        if (version % 2 != 0 && !is_dead && !is_even_soon(slot)) os::sleep_for(std::chrono::microseconds(20));
    }
}

}  // namespace

bool read_root_slowly(segment& s, root_slot& slot, std::uint64_t generation, read_function call, void* copy,
                      bool may_give_up) {
    if (this_thread.open != nullptr) {
        // A transaction of the user's on this root, as quick_look has seen: nobody else changes anything.
        if (call(copy, s) == read_result::torn) throw_damaged(s, slot);
        return true;
    }
    const auto begin = std::chrono::steady_clock::now();
    for (int attempt = 0; attempt < optimistic_attempts; ++attempt) {
        if (attempt != 0 && std::chrono::steady_clock::now() - begin > longest_optimism) break;
        const std::uint64_t version =
            __atomic_load_n(&slot.version, __ATOMIC_ACQUIRE);  // acquire: as in read_root()
        if (version % 2 != 0) {
            pause_reader();
            continue;
        }
        const bool is_there = load_word(slot.generation) == generation;
        const read_result result = is_there ? call(copy, s) : read_result::torn;
        std::atomic_thread_fence(std::memory_order_acquire);
        if (load_word(slot.version) != version) continue;
        if (is_there && result == read_result::done) return true;
        break;  // gone or damaged: the lock tells which
    }
    if (!s.is_writable()) return read_as_guest(s, slot, generation, call, copy, may_give_up);
    const root_transaction tx(s, slot, generation);
    if (call(copy, s) == read_result::torn) throw_damaged(s, slot);
    return true;
}

}  // namespace cairn::inline CAIRN_ABI::detail

// thread_state.hpp - what a thread holds, and whether it may hold anything.
//
// A thread that is inside a Cairn operation (a callback of update, for_each ..., or a signal handler that interrupted one)
// must not start another that could wait: it would wait for itself. The mark below says so. It is set before the lock is
// tried and cleared after it is free. In a transaction of the user's, operations on the same root become part of that.
//
// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <cstdint>

#include <cairn/detail/base/export.hpp>

namespace cairn::inline CAIRN_ABI::detail {

/// What txn/root_transaction.hpp derives from.
struct open_transaction {
    open_transaction* outer = nullptr;
    bool is_inert =
        false;  // made by the parent of a forked child: nothing in it is the child's to undo or unlock
    bool may_be_joined = false;  // a root_transaction of the user's: operations on its root become part of it
};

/// What the kernel reads when a thread dies, in words of our own: struct robust_list_head. A null link does not occur: an
/// empty list leads to itself.
struct robust_list_words {
    std::uint64_t first;        // entry of the lock taken last
    std::int64_t futex_offset;  // from an entry to the lock's word
    std::uint64_t pending;      // entry of the lock that is being taken or given back
};

/// The C library's futex_offset, the same for all locks of a thread.
constexpr std::int64_t robust_futex_offset = -32;

/// Most operations hold one lock or two: an object's, and its segment's inside. Two queues and their segment make three; one
/// to spare. More need a room_for_locks, or only what is stored in them says what follows.
constexpr std::uint32_t few_held_locks = 4;
/// As held_count: one lock of ours, linked to the end of the list. few_held[0] names it, whatever `held` leads to.
constexpr std::uint32_t only_lock = 0xffff'ffff;

/// A thread of a participant of a segment, in one word. Thread ids are given again when a thread has ended, participants'
/// numbers are not. Participant 0: not known.
using thread_token = std::uint64_t;
constexpr unsigned thread_id_bits = 22;  // the kernel's largest is 2^22

constexpr thread_token make_thread_token(std::uint64_t participant, std::uint32_t thread) noexcept {
    return participant << thread_id_bits | thread;
}
constexpr std::uint64_t participant_of(thread_token token) noexcept {
    return token >> thread_id_bits;
}
constexpr std::uint32_t thread_of(thread_token token) noexcept {
    return static_cast<std::uint32_t>(token & ((thread_token{1} << thread_id_bits) - 1));
}

struct operation_limit;  // os/lock_limit.hpp

struct held_lock {
    std::uint64_t entry;  // in the thread's list
    std::uint64_t below;  // what follows it there; 0: not known for sure
};

struct thread_state {
    open_transaction* open = nullptr;  // the innermost transaction this thread is in
    std::uint64_t checked = 1;  // equals *process_mark once this thread's robust list was found in order
    robust_list_words* robust_list = nullptr;  // of this thread; valid once checked
    held_lock* held = nullptr;                 // of locks of ours, oldest first; valid once checked
    std::uint32_t held_room = 0;               // in that
    std::uint32_t held_count = 0;              // locks of ours, also those beyond it; or only_lock
    std::uint32_t thread_id = 0;               // of the kernel; valid once checked
    bool in_segment_lock = false;              // holds or waits for a segment's own lock
    bool is_listed = false;                    // among the threads of this process that use Cairn
    std::uint8_t spin_halvings = 0;            // what containers/waiting.cpp has learnt of spinning
    std::uint8_t spins_skipped = 0;
    held_lock few_held[few_held_locks] = {};  // where `held` leads, mostly
    thread_state* next = nullptr;             // in that list
    const operation_limit* limit = nullptr;   // of the operation on locks that this thread is in; null: none
};
// A library that dlopen loads gets what is left of the 1 664 bytes that the C library reserves for all such.
static_assert(sizeof(thread_state) <= 128);

// initial-exec: one instruction instead of a call. The price is that it has to be small.
extern CAIRN_API constinit thread_local thread_state this_thread __attribute__((tls_model("initial-exec")));

/// Points at a word that differs from process to process, also after fork, and is never 1. In a child made by a raw
/// clone the kernel has wiped it to 0: there the C library's idea of the thread id is wrong, and so would be our locks.
extern CAIRN_API constinit std::uint64_t* process_mark;

/// First use by this thread, or by this process after a fork: checks that the C library's robust list works here.
/// Throws refused.
CAIRN_API void check_thread();

/// Gives this process its mark; again after each fork, in the child. False when the system gives no page for it.
bool renew_process_mark() noexcept;

/// In a forked child: what the forking thread had open stays its parent's. There is no other thread.
void abandon_open_transactions() noexcept;

/// Turns held_count from only_lock into 1, and enters that lock in `held`.
void record_only_lock() noexcept;

/// Before the first thread is checked, by one thread. An errno, or 0.
int prepare_list_of_threads() noexcept;

/// Whether some thread of this process, the calling one too, is inside an operation. One may begin another right after.
bool is_any_thread_in_operation() noexcept;

/// Whether some thread of this process, the calling one too, holds a lock that lies there: a user's, since it is in no operation.
bool is_any_lock_held_in(const void* begin, std::uint64_t bytes) noexcept;

/// Whether this process was made by a raw clone or _Fork, so that its C library and Cairn believe that it is its parent.
bool is_raw_child() noexcept;

CAIRN_INLINE void require_usable_thread() {
    if (this_thread.checked != *process_mark) [[unlikely]]
        check_thread();
}

}  // namespace cairn::inline CAIRN_ABI::detail

// value_cell.hpp - a word that processes change without a lock, and that is part of transactions all the same.
//
// Stored        stored_cell in the control block of its root: the word and a control word, changed together by one compare-and-swap
//               of 16 bytes. value_node, in the arena, says what the object is.
// Protected by  that instruction, while the last bit of `control` is 0. While it is 1 (held) the word is changed under the root's lock
//               only: in a transaction, whose rollback puts the old word back, or while a callable of the user's looks at it. Who
//               finds it held takes the lock, and lets go of it then: a transaction that is over, or its process, has left it so.
// Commit        the compare-and-swap; in a transaction, that.
// Death         before: nothing happened. A held cell is let go of by the next who changes it.
// Reuse         the cell stays in the control block, and `control` only grows, also when the root is another one: who has looked at
//               the one before cannot change the next one.
//
// Readers take the word alone, between two looks at the root's version: it is odd while a transaction has changed the word.
// The model is tests/models/cell_model.py.
//
// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <cstdint>
#include <string>

#include <cairn/detail/base/export.hpp>
#include <cairn/detail/base/words.hpp>
#include <cairn/detail/segment/segment_layout.hpp>

namespace cairn::inline CAIRN_ABI::detail {

class arena_audit;
class root_transaction;
class segment;

enum class value_form : std::uint32_t { cell = 1, element = 2 };

/// Constant while the object is there.
struct value_node {
    value_form form;
    std::uint32_t bytes;    // of the value in a cell: 1, 2, 4 or 8
    std::uint64_t element;  // offset of a list_node with one element, where the value is no such word
};
static_assert(sizeof(value_node) == 16);

constexpr std::uint64_t cell_is_held = 1;

/// What was seen of a cell.
struct cell_look {
    std::uint64_t value;
    std::uint64_t control;
};

CAIRN_INLINE cell_look look_at_cell(const stored_cell& cell) noexcept {
    // acquire: the value, and whatever says that the object is still there, are read after it; who sees a change sees what came before
    const std::uint64_t control = __atomic_load_n(&cell.control, __ATOMIC_ACQUIRE);
    return {load_word(cell.value), control};
}

/// Both words at once, if they are as they were seen. Sequentially consistent where it succeeds.
CAIRN_INLINE bool replace_cell(stored_cell& cell, const cell_look& seen, std::uint64_t value,
                               std::uint64_t control) noexcept {
#if defined(__x86_64__)
    std::uint64_t old_value = seen.value;
    std::uint64_t old_control = seen.control;
    bool is_done = false;
    asm volatile("lock cmpxchg16b %1"
                 : "=@ccz"(is_done), "+m"(cell), "+a"(old_value), "+d"(old_control)
                 : "b"(value), "c"(control)
                 : "memory");
    return is_done;
#elif defined(__aarch64__)
    std::uint64_t old_value = 0;
    std::uint64_t old_control = 0;
    std::uint32_t is_lost = 1;
    asm volatile("1: ldaxp %[old_value], %[old_control], %[cell]\n"
                 "   cmp %[old_value], %[seen_value]\n"
                 "   ccmp %[old_control], %[seen_control], #0, eq\n"
                 "   b.ne 2f\n"
                 "   stlxp %w[is_lost], %[value], %[control], %[cell]\n"
                 "   cbnz %w[is_lost], 1b\n"
                 "2: clrex\n"
                 : [old_value] "=&r"(old_value), [old_control] "=&r"(old_control), [is_lost] "+&r"(is_lost),
                   [cell] "+Q"(cell)
                 : [seen_value] "r"(seen.value), [seen_control] "r"(seen.control), [value] "r"(value),
                   [control] "r"(control)
                 : "cc", "memory");
    return is_lost == 0;
#else
#error "cairn: value<T> needs an instruction that compares and swaps 16 bytes: x86-64 or AArch64"
#endif
}

/// Sets a cell for the first time: nobody knows the object yet, but somebody may know the one before.
CAIRN_API void begin_cell(root_slot& slot, std::uint64_t value) noexcept;

/// In a transaction of the user's on that root, or under its lock: nobody changes the word without it from here on.
CAIRN_API void hold_cell(root_slot& slot) noexcept;

/// Calls next(how, old word) under the lock, and stores what it returns; in a transaction of the user's as part of that. Returns the old
/// word. What next throws comes through, and nothing happened. Throws as root_transaction.
using word_change = std::uint64_t (*)(void* how, std::uint64_t old);
CAIRN_API CAIRN_COLD std::uint64_t
change_cell_under_lock(segment& s, root_slot& slot, std::uint64_t generation, void* how, word_change next);

/// Where one look was not enough, and in transactions. Throws object_gone, would_deadlock, timeout_error as read_root().
CAIRN_API CAIRN_COLD std::uint64_t read_cell_slowly(segment& s, root_slot& slot, std::uint64_t generation);

CAIRN_API segment_offset create_cell_node(root_transaction& tx, std::uint32_t bytes, std::uint64_t value);
CAIRN_API segment_offset create_element_node(root_transaction& tx, segment_offset element);
/// Throws corrupt_segment when the node makes no sense. Needs no lock.
CAIRN_API const value_node& value_at(const segment& s, segment_offset node, value_form form,
                                     std::uint32_t bytes);
/// Reports every block to the audit; empty, or the first thing that does not hold.
CAIRN_API std::string check_value(const segment& s, const value_node& node, arena_audit& audit);
/// Words of the node that make no sense by themselves; empty when all do.
CAIRN_API std::string check_value_node(const segment& s, const value_node& node);

}  // namespace cairn::inline CAIRN_ABI::detail

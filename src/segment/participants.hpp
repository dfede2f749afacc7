// participants.hpp - who is attached to a segment.
//
// A claim is one compare-and-swap of {pid, start time, stack}, so that a forked child can register in its atfork handler
// without any lock; a slot of a process that has died is claimed over. Numbers are never reused.
//
// SPDX-License-Identifier: BSL-1.0
#pragma once

#include "segment/internals.hpp"
#include <cairn/detail/os/thread_state.hpp>

namespace cairn::inline CAIRN_ABI::detail {

/// Takes a slot for this process. False when all are taken by living processes, or /proc does not say who we are.
bool register_participant(segment& s, bool is_creator) noexcept;

/// Gives this process's slot back.
void unregister_participant(segment& s) noexcept;

/// Whether this process sees whether the others live: their start times are what they were at the attach. It may have gone to
/// another time namespace since.
bool can_tell_who_lives(const segment& s) noexcept;

/// Whether a living process is attached, this one or another, in another slot than `except`. Cost: that of asking for one, and once
/// for each that has died, whose slot it frees.
bool is_anybody_attached(segment& s, const participant_slot* except = nullptr) noexcept;

/// How many living processes are attached, this one included. Cost: system calls for each.
std::uint32_t count_live_participants(const segment& s) noexcept;

/// One of those who live, or 0. Not for a process that is one itself.
os::process_identity any_living_participant(const segment& s) noexcept;

/// Whether that process is one.
bool is_participant(const segment& s, os::process_identity identity) noexcept;

/// Whether the slot is nobody's, or that of a process which has died. Cost: system calls.
bool has_left(const segment& s, const participant_slot& slot) noexcept;

/// Frees the slots of processes that have died; returns how many. Only what `shmctl gc` does at once and every newcomer
/// does when it needs a slot.
std::uint32_t forget_dead_participants(segment& s) noexcept;

/// Whether the participant of that number is a living process. Cost: a look at all slots, and system calls.
bool is_participant_alive(const segment& s, std::uint64_t number) noexcept;

/// Whether that thread may still do something. Cost: a look at all participants, and system calls.
bool is_thread_alive(const segment& s, thread_token token) noexcept;

/// Of the participant of that number, as it registered; 0 when there is none. It may be dead.
os::process_identity identity_of_participant(const segment& s, std::uint64_t number) noexcept;

participant_slot& participant_at(const segment& s, std::uint32_t index) noexcept;

}  // namespace cairn::inline CAIRN_ABI::detail

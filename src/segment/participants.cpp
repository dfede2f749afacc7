// SPDX-License-Identifier: BSL-1.0
#include "segment/participants.hpp"

#include <array>

namespace cairn::inline CAIRN_ABI::detail {

namespace {

// seq_cst: claims are rare; pairs with the other claimants' and with count_live_participants()
bool claim(participant_slot& slot, std::uint64_t expected, std::uint64_t identity) noexcept {
    return __atomic_compare_exchange_n(&slot.identity, &expected, identity, false, __ATOMIC_SEQ_CST,
                                       __ATOMIC_SEQ_CST);
}

std::uint64_t identity_in(const participant_slot& slot) noexcept {
    return __atomic_load_n(&slot.identity, __ATOMIC_SEQ_CST);
}

// Rule: who is taken for dead loses what it has, so nobody is whose life cannot be told from here.
bool is_dead(const segment& s, std::uint64_t identity) noexcept {
    return !os::is_alive(identity) && can_tell_who_lives(s);
}

// Before the claim: whoever looks at the slots that are used finds this one from its first word on.
void count_as_used(segment& s, std::uint32_t index) noexcept {
    std::uint32_t& used = s.control().used_participants;
    std::uint32_t seen = load_word(used);
    while (seen <= index &&
           !__atomic_compare_exchange_n(&used, &seen, index + 1, false, __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST)) {
    }
}

participant_slot* claim_any(segment& s, std::uint64_t identity) noexcept {
    const std::uint32_t count = s.header().participant_count;
    for (std::uint32_t i = 0; i < count; ++i) {
        participant_slot& slot = participant_at(s, i);
        if (identity_in(slot) != 0) continue;
        count_as_used(s, i);
        if (claim(slot, 0, identity)) return &slot;
    }
    for (std::uint32_t i = 0; i < count; ++i) {
        participant_slot& slot = participant_at(s, i);
        const std::uint64_t present = identity_in(slot);
        if (is_dead(s, present) && claim(slot, present, identity)) return &slot;
    }
    return nullptr;
}

}  // namespace

participant_slot& participant_at(const segment& s, std::uint32_t index) noexcept {
    return s.at<participant_slot>(s.header().participants_offset)[index];
}

bool can_tell_who_lives(const segment& s) noexcept {
    return s.header().time_namespace == os::time_namespace() &&
           s.header().pid_namespace == os::pid_namespace();
}

bool register_participant(segment& s, bool is_creator) noexcept {
    segment_internals& own = s.internals();
    std::array<char, 32> program;
    own.identity = os::own_identity(program);
    own.participant = nullptr;
    segment_access::set_participant(s, 0);
    if (own.identity == 0) return false;
    participant_slot* slot = claim_any(s, own.identity);
    if (slot == nullptr) return false;
    // Between the claim and the number the slot shows the number of a dead participant: whoever looks for that one sees
    // it alive for an instant, and looks again at the next tick.
    const std::uint64_t number = __atomic_add_fetch(&s.control().last_participant, 1, __ATOMIC_SEQ_CST);
    __atomic_store_n(&slot->number, number, __ATOMIC_SEQ_CST);
    // Of whoever had the slot before. Until then writers wait for these.
    for (std::uint32_t& each : slot->shared_locks) store_word(each, 0);
    store_word(slot->flags, is_creator ? participant_is_creator : 0);
    copy_in_fixed<32>(slot->program, program.data());
    own.participant = slot;
    segment_access::set_participant(s, number);
    return true;
}

void unregister_participant(segment& s) noexcept {
    segment_internals& own = s.internals();
    participant_slot* slot = own.participant.exchange(nullptr);
    if (slot != nullptr) claim(*slot, own.identity, 0);
}

bool is_anybody_attached(segment& s, const participant_slot* except) noexcept {
    const std::uint64_t self = s.internals().identity;
    for (std::uint32_t i = 0; i < s.header().participant_count; ++i) {
        participant_slot& slot = participant_at(s, i);
        const std::uint64_t identity = identity_in(slot);
        if (identity == 0 || &slot == except) continue;
        if (identity == self || !is_dead(s, identity)) return true;
        // It is asked for once only. The claim fails when somebody else has freed it, or a newcomer has it, who lives.
        if (s.is_writable() && !claim(slot, identity, 0) && identity_in(slot) != 0) return true;
    }
    return false;
}

std::uint32_t count_live_participants(const segment& s) noexcept {
    std::uint32_t alive = 0;
    const std::uint64_t self = s.internals().identity;
    for (std::uint32_t i = 0; i < s.header().participant_count; ++i) {
        const std::uint64_t identity = identity_in(participant_at(s, i));
        if (identity != 0 && (identity == self || !is_dead(s, identity))) ++alive;
    }
    return alive;
}

os::process_identity any_living_participant(const segment& s) noexcept {
    for (std::uint32_t i = 0; i < s.header().participant_count; ++i) {
        const std::uint64_t identity = identity_in(participant_at(s, i));
        if (identity != 0 && !is_dead(s, identity)) return identity;
    }
    return 0;
}

bool is_participant(const segment& s, os::process_identity identity) noexcept {
    for (std::uint32_t i = 0; i < s.header().participant_count; ++i)
        if (identity_in(participant_at(s, i)) == identity) return true;
    return false;
}

bool has_left(const segment& s, const participant_slot& slot) noexcept {
    const std::uint64_t identity = identity_in(slot);
    return identity == 0 || (identity != s.internals().identity && is_dead(s, identity));
}

bool is_participant_alive(const segment& s, std::uint64_t number) noexcept {
    if (number == s.participant_number()) return true;
    for (std::uint32_t i = 0; i < s.header().participant_count; ++i) {
        const participant_slot& slot = participant_at(s, i);
        // Claimed before it is numbered: while a newcomer shows a dead one's number, that one seems to live. Once more at the
        // next tick. Nobody else takes over a living one's slot.
        const std::uint64_t identity = identity_in(slot);
        if (__atomic_load_n(&slot.number, __ATOMIC_SEQ_CST) == number)
            return identity != 0 && !is_dead(s, identity);
    }
    return false;
}

os::process_identity identity_of_participant(const segment& s, std::uint64_t number) noexcept {
    if (number == s.participant_number()) return s.internals().identity;
    for (std::uint32_t i = 0; i < s.header().participant_count; ++i) {
        const participant_slot& slot = participant_at(s, i);
        const std::uint64_t identity = identity_in(slot);  // before the number: see is_participant_alive()
        if (__atomic_load_n(&slot.number, __ATOMIC_SEQ_CST) == number) return identity;
    }
    return 0;
}

bool is_thread_alive(const segment& s, thread_token token) noexcept {
    const os::process_identity process = identity_of_participant(s, participant_of(token));
    return process != 0 && !is_dead(s, process) &&
           os::has_thread(os::pid_of(process), static_cast<pid_t>(thread_of(token)));
}

std::uint32_t forget_dead_participants(segment& s) noexcept {
    std::uint32_t forgotten = 0;
    for (std::uint32_t i = 0; i < s.header().participant_count; ++i) {
        participant_slot& slot = participant_at(s, i);
        const std::uint64_t identity = identity_in(slot);
        // The claim fails when a newcomer has taken the slot over meanwhile.
        if (identity != 0 && identity != s.internals().identity && is_dead(s, identity) &&
            claim(slot, identity, 0))
            ++forgotten;
    }
    return forgotten;
}

}  // namespace cairn::inline CAIRN_ABI::detail

// SPDX-License-Identifier: BSL-1.0
#include "inspect/synchronisation.hpp"

#include <cstring>
#include <map>
#include <span>

#include <cairn/detail/os/robust_mutex.hpp>

namespace cairn::inline CAIRN_ABI::detail::inspecting {

namespace {

object_kind kind_of(const root_slot& slot) noexcept {
    return static_cast<object_kind>(slot.kind);
}

template <typename Node>
const Node* sync_node_at(image& in, const root_slot& slot) {
    if (slot.node < in.header().data_offset || slot.node % 8 != 0) return nullptr;
    return in.find<Node>(slot.node);
}

const mutex_node* mutex_in(image& in, const root_slot& slot) {
    const auto* node = sync_node_at<mutex_node>(in, slot);
    return node != nullptr && check_mutex_node(*node, kind_of(slot)).empty() ? node : nullptr;
}

template <typename T>
std::optional<plain_state> state_of(const char* type, T value) {
    plain_state state{type, std::vector<std::byte>(sizeof value)};
    std::memcpy(state.bytes.data(), &value, sizeof value);
    return state;
}

const semaphore_node* semaphore_in(image& in, const root_slot& slot) {
    const auto* node = sync_node_at<semaphore_node>(in, slot);
    return node != nullptr && check_semaphore_node(*node, kind_of(slot)).empty() ? node : nullptr;
}

std::uint8_t as_bool(bool value) noexcept {
    return value ? 1 : 0;
}

constexpr const char* senseless = "damaged: its node makes no sense";

void fill_lock_status(object_facts& facts, image& in, const root_slot& slot) {
    if (const mutex_node* node = mutex_in(in, slot)) facts.status = lock_status_of(*node, slot);
    else facts.notes.emplace_back(senseless);
}

void fill_event(object_facts& facts, image& in, const root_slot& slot) {
    const auto* node = sync_node_at<event_node>(in, slot);
    if (node == nullptr) facts.notes.emplace_back(senseless);
    else facts.status = (node->word & 1) != 0 ? "set" : "not set";
}

// "2 of 3 permits free", and who has the others.
void fill_semaphore(object_facts& facts, image& in, const root_slot& slot) {
    const semaphore_node* node = semaphore_in(in, slot);
    if (node == nullptr) {
        facts.notes.emplace_back(senseless);
        return;
    }
    facts.items = node->available;
    facts.status = std::to_string(node->available);
    if (kind_of(slot) == object_kind::bounded_semaphore)
        facts.status += " of " + std::to_string(node->bound) + " permits free";
    else facts.status += node->available == 1 ? " permit free" : " permits free";
    const segment_ptr s = in.load_root(slot) ? in.view() : segment_ptr();
    if (!s) return;
    for (const permit_holder& each : find_permit_holders(*s, *node))
        if (each.count != 0) facts.holders.push_back({each.participant, each.count});
}

const condition_node* condition_in(image& in, const root_slot& slot) {
    const auto* node = sync_node_at<condition_node>(in, slot);
    return node != nullptr && check_condition_node(*node).empty() ? node : nullptr;
}

// "2 waiting", and who they are.
void fill_condition(object_facts& facts, image& in, const root_slot& slot) {
    const condition_node* node = condition_in(in, slot);
    if (node == nullptr) {
        facts.notes.emplace_back(senseless);
        return;
    }
    const segment_ptr s = in.load_root(slot) ? in.view() : segment_ptr();
    if (!s) return;
    const std::span<const condition_waiter> waiters = find_condition_waiters(*s, *node);
    facts.items = count_waiting(waiters, *node);
    facts.status = std::to_string(*facts.items) + " waiting";
    std::map<std::uint64_t, std::uint64_t> processes;
    for (const condition_waiter& each : waiters)
        if (each.thread != 0 && each.ticket >= node->released) ++processes[participant_of(each.thread)];
    for (const auto& [participant, count] : processes) facts.waiters.push_back({participant, count});
}

const barrier_node* barrier_in(image& in, const root_slot& slot) {
    const auto* node = sync_node_at<barrier_node>(in, slot);
    return node != nullptr && check_barrier_node(*node).empty() ? node : nullptr;
}

const char* words_for(barrier_end end) noexcept {
    switch (end) {
        case barrier_end::died: return "has ended";
        case barrier_end::timed_out: return "has not waited any longer";
        case barrier_end::aborted: return "has aborted it";
        case barrier_end::reset: return "has reset it";
        case barrier_end::none: break;
    }
    return "is known for nothing";
}

// "2 of 4 have come", "broken: 4711 has ended"; and who takes part.
void fill_barrier(object_facts& facts, image& in, const root_slot& slot) {
    const barrier_node* node = barrier_in(in, slot);
    if (node == nullptr) {
        facts.notes.emplace_back(senseless);
        return;
    }
    facts.items = node->arrived;
    if (node->is_broken == 0) {
        facts.status = std::to_string(node->arrived) + " of " + std::to_string(node->parties) + " have come";
    } else {
        const std::string who = node->culprit == 0 ? "somebody" : std::to_string(node->culprit);
        facts.status = "broken: " + who + " " + words_for(static_cast<barrier_end>(node->end));
    }
    const segment_ptr s = in.load_root(slot) ? in.view() : segment_ptr();
    if (!s) return;
    for (const barrier_member& each : find_barrier_members(*s, *node))
        if (each.participant != 0) facts.members.push_back({each.participant, 1});
}

const latch_node* latch_in(image& in, const root_slot& slot) {
    const auto* node = sync_node_at<latch_node>(in, slot);
    return node != nullptr && check_latch_node(*node).empty() ? node : nullptr;
}

const once_node* once_in(image& in, const root_slot& slot) {
    const auto* node = sync_node_at<once_node>(in, slot);
    return node != nullptr && check_once_node(*node).empty() ? node : nullptr;
}

const shared_mutex_node* shared_mutex_in(image& in, const root_slot& slot) {
    const auto* node = sync_node_at<shared_mutex_node>(in, slot);
    return node != nullptr && check_shared_mutex_node(*node).empty() ? node : nullptr;
}

bool has_living_owner(const root_slot& slot) noexcept {
    const lock_word word = inspect(slot.lock);
    return word.thread_id != 0 && !word.owner_died;
}

// "held", "a writer waits", "free", and what its last writer has left. Of readers this root says nothing.
void fill_shared_mutex(object_facts& facts, image& in, const root_slot& slot) {
    const shared_mutex_node* node = shared_mutex_in(in, slot);
    if (node == nullptr) {
        facts.notes.emplace_back(senseless);
        return;
    }
    const auto stage = static_cast<writer_stage>(node->writer);
    const bool is_held = has_living_owner(slot);
    facts.status = is_held && stage == writer_stage::is_in   ? "held"
                   : is_held && stage == writer_stage::comes ? "a writer waits"
                                                             : "free";
    if (node->died != 0 || (!is_held && stage == writer_stage::is_in))
        facts.status += "; its last writer died with it";
}

// "done", "not done", "somebody is at it"
void fill_once(object_facts& facts, image& in, const root_slot& slot) {
    const once_node* node = once_in(in, slot);
    if (node == nullptr) {
        facts.notes.emplace_back(senseless);
        return;
    }
    const lock_word word = inspect(slot.lock);
    const bool is_held = word.thread_id != 0 && !word.owner_died;
    facts.status = node->done != 0 ? "done" : is_held ? "somebody is at it" : "not done";
}

void fill_latch(object_facts& facts, image& in, const root_slot& slot) {
    if (const latch_node* node = latch_in(in, slot)) {
        facts.items = node->remaining;
        facts.status = std::to_string(node->remaining) + " to come";
    } else {
        facts.notes.emplace_back(senseless);
    }
}

}  // namespace

// "held, taken 2 times; its owner before died with it"
std::string lock_status_of(const mutex_node& node, const root_slot& slot) {
    const lock_word word = inspect(slot.lock);
    const bool is_held = word.thread_id != 0 && !word.owner_died;
    const auto state = static_cast<hold_state>(node.state);
    if (!is_held && state == hold_state::free) return "free";
    if (!is_held) return "free; its owner died with it";
    std::string text = "held";
    if (node.depth != 0) text += ", taken " + std::to_string(std::uint64_t{node.depth} + 1) + " times";
    if (state == hold_state::owner_died) text += "; its owner before died with it";
    return text;
}

bool is_synchronisation(object_kind kind) noexcept {
    switch (kind) {
        case object_kind::mutex:
        case object_kind::recursive_mutex:
        case object_kind::event:
        case object_kind::condition:
        case object_kind::barrier:
        case object_kind::latch:
        case object_kind::once:
        case object_kind::shared_mutex:
        case object_kind::semaphore:
        case object_kind::bounded_semaphore: return true;
        default: return false;
    }
}

void fill_synchronisation(object_facts& facts, image& in, const root_slot& slot) {
    switch (kind_of(slot)) {
        case object_kind::event: return fill_event(facts, in, slot);
        case object_kind::condition: return fill_condition(facts, in, slot);
        case object_kind::barrier: return fill_barrier(facts, in, slot);
        case object_kind::latch: return fill_latch(facts, in, slot);
        case object_kind::once: return fill_once(facts, in, slot);
        case object_kind::shared_mutex: return fill_shared_mutex(facts, in, slot);
        case object_kind::semaphore:
        case object_kind::bounded_semaphore: return fill_semaphore(facts, in, slot);
        default: return fill_lock_status(facts, in, slot);
    }
}

void add_readers(object_facts& facts, image& in, std::uint32_t number) {
    const std::uint32_t count = in.header().participant_count;
    const auto* slots =
        in.find<participant_slot>(in.header().participants_offset, count * sizeof(participant_slot));
    if (slots == nullptr) return;
    std::uint64_t all = 0;
    for (std::uint32_t i = 0; i < count; ++i) {
        if (slots[i].identity == 0) continue;
        const std::uint32_t own = count_shared_locks(slots[i], number);
        if (own == 0) continue;
        facts.holders.push_back({slots[i].number, own});
        all += own;
    }
    if (all == 0) return;
    const std::string readers = std::to_string(all) + (all == 1 ? " reader" : " readers");
    if (facts.status.starts_with("free")) facts.status.replace(0, 4, readers);
    else facts.status = readers + ", " + facts.status;
}

std::optional<plain_state> state_in(image& in, const root_slot& slot) {
    switch (kind_of(slot)) {
        case object_kind::event:
            if (const auto* node = sync_node_at<event_node>(in, slot))
                return state_of("bool", as_bool((node->word & 1) != 0));
            return std::nullopt;
        case object_kind::once:
            if (const once_node* node = once_in(in, slot)) return state_of("bool", as_bool(node->done != 0));
            return std::nullopt;
        case object_kind::shared_mutex:
            if (const shared_mutex_node* node = shared_mutex_in(in, slot)) {
                const bool is_in = node->writer == static_cast<std::uint32_t>(writer_stage::is_in);
                return state_of("bool", as_bool(is_in && has_living_owner(slot)));
            }
            return std::nullopt;
        case object_kind::latch:
            if (const latch_node* node = latch_in(in, slot)) return state_of("uint64", node->remaining);
            return std::nullopt;
        case object_kind::barrier:
            if (const barrier_node* node = barrier_in(in, slot)) return state_of("uint32", node->arrived);
            return std::nullopt;
        case object_kind::condition: {
            object_facts facts;
            fill_condition(facts, in, slot);
            if (facts.items) return state_of("uint64", *facts.items);
            return std::nullopt;
        }
        case object_kind::semaphore:
        case object_kind::bounded_semaphore:
            if (const semaphore_node* node = semaphore_in(in, slot))
                return state_of("uint64", node->available);
            return std::nullopt;
        default: break;
    }
    if (mutex_in(in, slot) == nullptr) return std::nullopt;
    const lock_word word = inspect(slot.lock);
    return state_of("bool", as_bool(word.thread_id != 0 && !word.owner_died));
}

}  // namespace cairn::inline CAIRN_ABI::detail::inspecting

// SPDX-License-Identifier: BSL-1.0
#include "cairn/inspect.hpp"

#include <algorithm>

#include "inspect/channels.hpp"
#include "inspect/keyed.hpp"
#include "inspect/parts.hpp"
#include "inspect/queued.hpp"
#include "inspect/roots.hpp"
#include "inspect/state.hpp"
#include "inspect/synchronisation.hpp"
#include "inspect/values.hpp"
#include "os/identity.hpp"
#include "pool/pool_core.hpp"
#include "service/service_set.hpp"
#include <cairn/error.hpp>

namespace cairn::inline CAIRN_ABI {

using namespace detail;
using namespace detail::inspecting;

namespace {

std::string text_in(const char* bytes, std::size_t most) {
    const char* end = std::find(bytes, bytes + most, '\0');
    return {bytes, end};
}

presence presence_of(const source& from, os::process_identity identity) {
    if (from.where.is_image || !from.is_of_this_boot) return presence::dead;
    if (!from.sees_processes()) return presence::unknown;
    return os::is_alive(identity) ? presence::alive : presence::dead;
}

void fill_from_slot(object_facts& facts, const root_slot& slot) {
    facts.name = name_of(slot);
    facts.kind = kind_name(static_cast<object_kind>(slot.kind));
    facts.state = slot.state == static_cast<std::uint32_t>(root_state::poisoned) ? "poisoned" : "live";
    facts.bytes = slot.extent_pages * page_bytes;
    facts.version = slot.version;
    facts.generation = slot.generation;
    facts.fingerprint = slot.fingerprint;
    facts.created_nanoseconds = slot.created_nanoseconds;
    facts.acquired_count = acquired_count(slot.lock) - slot.acquired_before;
    facts.contended_count = slot.contended_count;
    facts.recovery_count = slot.recovery_count;
    facts.rolled_back_count = slot.rolled_back_count;
    facts.last_recovery_nanoseconds = slot.last_recovery_nanoseconds;
    facts.last_dead_thread = slot.last_dead_thread;
    facts.last_operation = slot.last_operation;
    facts.last_undone_bytes = slot.last_undone_bytes;
    facts.poison_reason = slot.poison_reason;
    for (const stored_event_count& event : slot.events)
        facts.has_waiters = facts.has_waiters || event.waiters != 0;
}

// Who has the lock, as it is and not as a repaired copy has it.
void fill_lock(object_facts& facts, const root_slot& slot, const source& from) {
    const lock_holder holder = look_at(slot.lock, from);
    facts.lock = holder.state;
    facts.lock_pid = holder.pid;
    facts.lock_thread = holder.thread != 0                       ? holder.thread
                        : holder.state == lock_state::owner_died ? thread_of(slot.lock.holder)
                                                                 : 0;
    facts.has_waiters = facts.has_waiters || holder.has_waiters;
}

void fill_from_memory(object_facts& facts, image& in, const root_slot& slot) {
    bool is_damaged = false;
    std::string type = type_of(in, slot, is_damaged);
    if (is_damaged) facts.notes.emplace_back("damaged: the name of its type lies outside");
    else facts.type = std::move(type);
    std::uint64_t pages_left = in.page_count();
    for (std::uint32_t link = slot.extents; link != 0 && pages_left != 0;
         --pages_left, ++facts.extent_count) {
        const page_entry* entry = in.entry(link);
        if (entry == nullptr) break;
        link = entry->next;
    }
    if (is_keyed(slot)) {
        if (const dict_node* keyed = dict_node_in(in, slot)) {
            facts.items = keyed->size;
            facts.element_bytes = keyed->size * keyed->shape.record_bytes();
        } else {
            facts.notes.emplace_back("damaged: its node makes no sense");
        }
        return;
    }
    if (has_parts(slot)) return;  // what its parts have is added
    if (is_queue(slot)) {
        if (const queue_node* queue = queue_node_in(in, slot)) {
            facts.items = queued_count(*queue);
            facts.element_bytes = queued_count(*queue) * queue->stride;
        } else {
            facts.notes.emplace_back("damaged: its node makes no sense");
        }
        return;
    }
    if (is_channel(slot)) {
        const segment_ptr s = in.load_root(slot) ? in.view() : segment_ptr();
        const channel_node* channel = s ? channel_node_in(*s, slot) : nullptr;
        if (channel != nullptr) {
            facts.items = count_items(*s, *channel);
            facts.element_bytes = stored_items(*s, *channel).size() * sizeof(std::uint64_t);
        } else {
            facts.notes.emplace_back("damaged: its node makes no sense");
        }
        return;
    }
    if (slot.kind == static_cast<std::uint32_t>(object_kind::pool)) {
        const segment_ptr s = in.load_root(slot) ? in.view() : segment_ptr();
        const auto* pool = s ? s->find<pool_node>(slot.node) : nullptr;
        if (pool != nullptr && check_pool_node(*s, *pool).empty()) {
            facts.items = load_word(pool->waiting_count);
            facts.element_bytes = load_word(pool->waiting_count) * sizeof(task_record);
        } else {
            facts.notes.emplace_back("damaged: its node makes no sense");
        }
        return;
    }
    if (slot.kind == static_cast<std::uint32_t>(object_kind::service_set)) {
        const segment_ptr s = in.load_root(slot) ? in.view() : segment_ptr();
        const auto* set = s ? s->find<service_set_node>(slot.node) : nullptr;
        if (set != nullptr && check_service_set_node(*s, *set).empty()) {
            facts.items = load_word(set->service_count);
            facts.element_bytes = load_word(set->service_count) * sizeof(service_entry);
        } else {
            facts.notes.emplace_back("damaged: its node makes no sense");
        }
        return;
    }
    if (is_synchronisation(static_cast<object_kind>(slot.kind))) return fill_synchronisation(facts, in, slot);
    if (slot.kind == static_cast<std::uint32_t>(object_kind::array)) return fill_array(facts, in, slot);
    if (slot.kind == static_cast<std::uint32_t>(object_kind::value)) return fill_value(facts, in, slot);
    if (slot.kind != static_cast<std::uint32_t>(object_kind::list)) return;
    const list_node* node = node_in(in, slot);
    if (node == nullptr) {
        facts.notes.emplace_back("damaged: its node makes no sense");
        return;
    }
    facts.items = node->size;
    facts.element_bytes = node->size * node->stride;
}

// One control block and what belongs to it; nothing when it is gone, or going.
std::optional<object_facts> facts_of(const source& from, std::uint32_t link, const root_slot& slot,
                                     bool with_items) {
    object_facts facts;
    fill_from_slot(facts, slot);
    fill_lock(facts, slot, from);
    const auto look = [&](image& at, root_slot& seen) {
        facts.notes.clear();
        facts.items.reset();
        facts.holders.clear();
        facts.waiters.clear();
        facts.members.clear();
        facts.extent_count = 0;
        fill_from_memory(facts, at, seen);
        if (seen.kind == static_cast<std::uint32_t>(object_kind::shared_mutex)) add_readers(facts, at, link);
    };
    std::vector<std::string> notes;
    if (with_items && !read_root(from, link, slot.generation, notes, look)) return std::nullopt;
    facts.notes.insert(facts.notes.end(), notes.begin(), notes.end());
    return facts;
}

void add_counts(object_facts& to, const object_facts& part) {
    to.bytes += part.bytes;
    to.extent_count += part.extent_count;
    to.acquired_count += part.acquired_count;
    to.contended_count += part.contended_count;
    to.recovery_count += part.recovery_count;
    to.rolled_back_count += part.rolled_back_count;
    const auto add = [](std::optional<std::uint64_t>& sum, const std::optional<std::uint64_t>& more) {
        if (sum && more) *sum += *more;
        else sum.reset();
    };
    add(to.items, part.items);
    add(to.element_bytes, part.element_bytes);
    // Grows with every change of any of them, and is odd while there is one.
    to.version = (to.version & ~std::uint64_t{1}) + (part.version & ~std::uint64_t{1}) +
                 ((to.version | part.version) & 1);
}

// What is worst, or latest, is said of the whole.
void add_events(object_facts& to, const object_facts& part, std::uint32_t index) {
    to.has_waiters = to.has_waiters || part.has_waiters;
    if (part.lock != lock_state::free && to.lock != lock_state::owner_died) {
        to.lock = part.lock;
        to.lock_pid = part.lock_pid;
        to.lock_thread = part.lock_thread;
    }
    if (part.last_recovery_nanoseconds > to.last_recovery_nanoseconds) {
        to.last_recovery_nanoseconds = part.last_recovery_nanoseconds;
        to.last_dead_thread = part.last_dead_thread;
        to.last_operation = part.last_operation;
        to.last_undone_bytes = part.last_undone_bytes;
    }
    if (part.state == "poisoned") {
        to.state = part.state;
        to.poison_reason = part.poison_reason;
    }
    for (const std::string& note : part.notes)
        to.notes.push_back("shard " + std::to_string(index) + ": " + note);
}

// False when the object has gone.
bool add_parts(object_facts& facts, const source& from, const root_slot& whole, std::uint32_t link,
               bool with_items) {
    const std::optional<std::vector<std::uint32_t>> links = parts_now(from, whole, link);
    if (!links) return false;
    facts.shard_count = static_cast<std::uint32_t>(links->size());
    if (links->empty()) {
        facts.notes.emplace_back("damaged: its node makes no sense");
        return true;
    }
    if (with_items) facts.items = facts.element_bytes = 0;
    for (std::uint32_t i = 0; i < facts.shard_count; ++i) {
        root_slot slot{};
        if (!read_slot(from, (*links)[i], slot) || !is_visible(slot) || slot.generation != whole.generation)
            return false;
        const std::optional<object_facts> part = facts_of(from, (*links)[i], slot, with_items);
        if (!part) return false;
        add_counts(facts, *part);
        add_events(facts, *part, i);
    }
    return true;
}

}  // namespace

inspection::inspection(const segment_location& where) : state_(new state) {
    state_->from = open_source(where);
}

void inspection::drop_state::operator()(state* dropped) const noexcept {
    delete dropped;
}

inspection::inspection(inspection&&) noexcept = default;
inspection& inspection::operator=(inspection&&) noexcept = default;
inspection::~inspection() = default;

const segment_location& inspection::location() const noexcept {
    return state_->from.where;
}

segment_facts inspection::facts() const {
    const source& from = state_->from;
    const segment_header& header = from.header;
    segment_facts facts;
    facts.name = std::string(header.name, header.name_bytes);
    facts.format = header.format;
    facts.max_bytes = header.max_bytes;
    facts.created_nanoseconds = header.created_nanoseconds;
    facts.creator_pid = static_cast<pid_t>(header.creator_pid);
    facts.is_persistent = header.persist != 0;
    facts.is_removed_when_unused = header.remove_when_unused != 0;
    facts.is_of_this_boot = from.is_of_this_boot;
    facts.is_of_this_pid_namespace = from.is_of_this_pid_namespace;
    facts.pid_namespace = header.pid_namespace;
    facts.is_of_this_time_namespace = from.is_of_this_time_namespace;
    facts.time_namespace = header.time_namespace;
    image in(from);
    facts.is_truncated = in.is_truncated();
    const segment_control* control = in.control();
    if (control == nullptr) return facts;
    facts.is_retired = control->retired != 0;
    facts.recovery_count = control->recovery_count;
    facts.acquired_count = acquired_count(control->lock);
    const lock_holder holder = look_at(control->lock, from);
    facts.lock_thread = holder.state == lock_state::held ? holder.thread : 0;
    facts.lock_owner_died = holder.state == lock_state::owner_died;
    if (!in.is_truncated()) {
        const std::uint64_t pages = in.page_count();
        facts.committed_bytes = in.limit();
        facts.page_count = pages;
        facts.size_bytes = header.map_offset + pages * (page_bytes + sizeof(page_entry));
        if (control->free_pages <= pages) {
            facts.free_page_count = control->free_pages;
            facts.used_bytes = *facts.size_bytes - control->free_pages * page_bytes;
        }
    }
    const std::uint64_t most_slots = std::uint64_t{in.page_count()} * (page_bytes / root_slot_bytes);
    if (control->slot_count <= most_slots) facts.slot_count = control->slot_count;
    if (control->live_root_count <= most_slots) facts.object_count = control->live_root_count;
    return facts;
}

std::vector<participant_facts> inspection::participants() const {
    const source& from = state_->from;
    image in(from);
    std::vector<participant_facts> all;
    const std::uint64_t bytes = from.header.participant_count * sizeof(participant_slot);
    const auto* slots = in.find<participant_slot>(from.header.participants_offset, bytes);
    if (slots == nullptr) return all;
    for (std::uint32_t i = 0; i < from.header.participant_count; ++i) {
        const participant_slot& slot = slots[i];
        if (slot.identity == 0) continue;
        participant_facts facts;
        facts.pid = os::pid_of(slot.identity);
        facts.number = slot.number;
        facts.program = text_in(slot.program, sizeof slot.program);
        facts.is_creator = (slot.flags & participant_is_creator) != 0;
        facts.state = presence_of(from, slot.identity);
        all.push_back(std::move(facts));
    }
    std::sort(all.begin(), all.end(), [](const auto& a, const auto& b) { return a.number < b.number; });
    return all;
}

std::vector<object_facts> inspection::objects(bool with_items) const {
    const source& from = state_->from;
    image in(from);
    bool is_whole = false;
    std::vector<object_facts> all;
    for (const std::uint32_t link : all_slots(in, is_whole)) {
        root_slot slot{};
        if (!read_slot(from, link, slot) || !is_visible(slot) || slot.part_of != 0) continue;
        std::optional<object_facts> facts = facts_of(from, link, slot, with_items);
        if (!facts) continue;  // removed meanwhile
        if (has_parts(slot) && !add_parts(*facts, from, slot, link, with_items)) continue;
        all.push_back(*std::move(facts));
    }
    std::sort(all.begin(), all.end(), [](const auto& a, const auto& b) { return a.name < b.name; });
    return all;
}

object_facts inspection::object(std::string_view name) const {
    for (object_facts& facts : objects())
        if (facts.name == name) return std::move(facts);
    throw no_such_object("look at object '" + std::string(name) + "' in " + state_->from.what +
                         ": no such object");
}

}  // namespace cairn::inline CAIRN_ABI

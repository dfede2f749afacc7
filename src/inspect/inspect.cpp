#include "cairn/inspect.hpp"

#include <algorithm>

#include "inspect/channels.hpp"
#include "inspect/keyed.hpp"
#include "inspect/queued.hpp"
#include "inspect/roots.hpp"
#include "inspect/state.hpp"
#include "os/identity.hpp"
#include <cairn/error.hpp>

namespace cairn::inline v0 {

using namespace detail;
using namespace detail::inspecting;

namespace {

std::string text_in(const char* bytes, std::size_t most) {
    const char* end = std::find(bytes, bytes + most, '\0');
    return {bytes, end};
}

presence presence_of(const source& from, os::process_identity identity) {
    if (from.where.is_image || !from.is_of_this_boot) return presence::dead;
    if (!from.is_of_this_pid_namespace) return presence::unknown;
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
    facts.acquired_count = slot.lock.acquired_count;
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
                        : holder.state == lock_state::owner_died ? slot.lock.holder
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
    if (slot.kind != static_cast<std::uint32_t>(object_kind::list)) return;
    const list_node* node = node_in(in, slot);
    if (node == nullptr) {
        facts.notes.emplace_back("damaged: its node makes no sense");
        return;
    }
    facts.items = node->size;
    facts.element_bytes = node->size * node->stride;
}

}  // namespace

inspection::inspection(const segment_location& where) : state_(std::make_unique<state>()) {
    state_->from = open_source(where);
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
    image in(from);
    facts.is_truncated = in.is_truncated();
    const segment_control* control = in.control();
    if (control == nullptr) return facts;
    facts.is_retired = control->retired != 0;
    facts.recovery_count = control->recovery_count;
    facts.acquired_count = control->lock.acquired_count;
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
        if (!read_slot(from, link, slot) || !is_visible(slot)) continue;
        object_facts facts;
        fill_from_slot(facts, slot);
        fill_lock(facts, slot, from);
        const auto look = [&](image& at, root_slot& seen) {
            facts.notes.clear();
            facts.items.reset();
            facts.extent_count = 0;
            fill_from_memory(facts, at, seen);
        };
        std::vector<std::string> notes;
        if (with_items && !read_root(from, link, slot.generation, notes, look))
            continue;  // removed meanwhile
        facts.notes.insert(facts.notes.end(), notes.begin(), notes.end());
        all.push_back(std::move(facts));
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

}  // namespace cairn::inline v0

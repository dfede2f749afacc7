// SPDX-License-Identifier: BSL-1.0
#include "inspect/roots.hpp"

#include <algorithm>
#include <thread>

#include "base/names.hpp"
#include "inspect/recovery.hpp"

namespace cairn::inline CAIRN_ABI::detail::inspecting {

namespace {

// How long a reader that may not wait on the lock gives living writers to pause for as long as a copy takes.
constexpr std::chrono::milliseconds patience{1000};
// A lock that is free, or whose owner is dead, with work left undone looks the same each time we look. A living process
// that was caught between two stores does not.
constexpr int looks_until_dead = 4;

constexpr std::uint64_t most_type_bytes = 65536;

void add_chain(image& in, std::vector<std::uint32_t>& links, bool& is_whole) {
    segment_control* control = in.control();
    is_whole = control != nullptr;
    if (control == nullptr) return;
    const std::uint64_t most = std::uint64_t{in.page_count()} * (page_bytes / root_slot_bytes);
    std::vector<bool> seen(static_cast<std::size_t>(most + 1));
    std::uint32_t link = control->first_slot;
    while (link != 0) {
        const root_slot* slot = in.slot(link);
        if (slot == nullptr || link > most || seen[link]) {
            is_whole = false;
            return;
        }
        seen[link] = true;
        links.push_back(link);
        link = slot->next_slot;
    }
    is_whole = links.size() == control->slot_count;
}

// The chain is broken: control blocks are in extents of the segment's own that say so.
void add_from_map(image& in, std::vector<std::uint32_t>& links) {
    const std::uint32_t pages = in.page_count();
    for (std::uint32_t page = 0; page < pages; ++page) {
        const page_entry* entry = in.entry(page + 1);
        if (entry == nullptr) return;
        if (tag_state(entry->tag) != extent_state::used || tag_purpose(entry->tag) != extent_purpose::roots ||
            tag_order(entry->tag) > 8)
            continue;
        constexpr std::uint32_t slots_in_page = page_bytes / root_slot_bytes;
        const std::uint32_t first = page * slots_in_page;
        for (std::uint32_t i = 0; i < slots_in_page << tag_order(entry->tag); ++i)
            links.push_back(first + i + 1);
    }
    std::sort(links.begin(), links.end());
    links.erase(std::unique(links.begin(), links.end()), links.end());
}

}  // namespace

lock_holder look_at(const stored_mutex& lock, const source& from) {
    const lock_word word = inspect(lock);
    lock_holder holder;
    holder.has_waiters = word.has_waiters;
    holder.thread = word.thread_id;
    if (word.owner_died) {
        holder.state = lock_state::owner_died;
    } else if (word.thread_id != 0) {
        holder.state = lock_state::held;
        if (from.has_living_processes()) {
            holder.pid = os::process_of_thread(static_cast<pid_t>(word.thread_id));
            if (holder.pid == 0) holder.state = lock_state::owner_died;
        } else if (from.where.is_image || !from.is_of_this_boot) {
            holder.state = lock_state::owner_died;
        }
    }
    return holder;
}

std::vector<std::uint32_t> all_slots(image& in, bool& is_whole) {
    std::vector<std::uint32_t> links;
    add_chain(in, links, is_whole);
    if (!is_whole) add_from_map(in, links);
    return links;
}

bool is_visible(const root_slot& slot) noexcept {
    const auto state = static_cast<root_state>(slot.state);
    return state == root_state::live || state == root_state::poisoned;
}

std::string name_of(const root_slot& slot) {
    if (slot.name_bytes == 0 || slot.name_bytes > max_object_name_bytes) return "?";
    return {slot.name, slot.name_bytes};
}

std::string type_of(image& in, const root_slot& slot, bool& is_damaged) {
    is_damaged = true;
    if (slot.type_name_bytes > most_type_bytes) return {};
    const auto* text = in.find<char>(slot.type_name, slot.type_name_bytes);
    if (text == nullptr || slot.type_name < in.header().data_offset) return {};
    is_damaged = false;
    return {text, slot.type_name_bytes};
}

bool read_slot(const source& from, std::uint32_t link, root_slot& slot) {
    std::uint64_t got = 0;
    const std::uint64_t offset = from.header.data_offset + (std::uint64_t{link} - 1) * root_slot_bytes;
    return !os::read_at(from.fd.get(), offset, &slot, sizeof slot, got) && got == sizeof slot;
}

bool is_quiet(const root_slot& slot) noexcept {
    const lock_word word = inspect(slot.lock);
    const bool may_be_held = is_users_lock(static_cast<object_kind>(slot.kind));
    return (word.thread_id == 0 || may_be_held) && !word.owner_died && slot.version % 2 == 0 &&
           slot.log_head == 0 && slot.operation.kind == 0 && slot.rolling_back == 0 &&
           slot.pending_free == 0 && slot.settled == slot.extents && slot.outstanding == 0 &&
           slot.decided_root == 0;
}

bool is_same_moment(const root_slot& before, const root_slot& after) noexcept {
    const lock_word one = inspect(before.lock);
    const lock_word two = inspect(after.lock);
    return one.thread_id == two.thread_id && one.owner_died == two.owner_died &&
           before.version == after.version && before.log_head == after.log_head &&
           before.generation == after.generation && before.state == after.state &&
           acquired_count(before.lock) == acquired_count(after.lock) &&
           before.recovery_count == after.recovery_count &&
           before.operation.progress == after.operation.progress && before.extents == after.extents;
}

bool read_root(const source& from, std::uint32_t link, std::uint64_t generation,
               std::vector<std::string>& notes, const std::function<void(image&, root_slot&)>& look) {
    const auto deadline = std::chrono::steady_clock::now() + patience;
    auto pause = std::chrono::microseconds(50);
    root_slot last{};
    int same_looks = 0;
    for (;;) {
        image copy(from);
        root_slot* slot = copy.slot(link);
        if (slot == nullptr || slot->generation != generation || !is_visible(*slot)) return false;
        if (slot->state == static_cast<std::uint32_t>(root_state::poisoned)) {
            notes.emplace_back("poisoned: damaged beyond repair; what is left of it");
            look(copy, *slot);
            return true;
        }
        const bool is_late = std::chrono::steady_clock::now() >= deadline;
        const lock_holder holder = look_at(slot->lock, from);
        if (slot->version % 2 == 0 || (is_late && holder.state == lock_state::held)) {
            const std::uint64_t version = slot->version;
            look(copy, *slot);
            // Everything above was read before this second look at the version.
            std::atomic_thread_fence(std::memory_order_acquire);
            root_slot now{};
            if (!read_slot(from, link, now) || now.generation != generation) return false;
            if (now.version == version && version % 2 == 0) return true;
            if (is_late) {
                notes.emplace_back("it was changed while it was read: parts may be of different moments");
                return true;
            }
        } else if (holder.state != lock_state::held) {
            same_looks = is_same_moment(last, *slot) ? same_looks + 1 : 0;
            last = *slot;
            if (same_looks >= looks_until_dead || !from.has_living_processes()) {
                image repaired(from);
                const recovery_report report = recover_roots(repaired, link);
                root_slot* found = repaired.slot(link);
                if (found == nullptr) return false;
                if (report.problems.empty()) {
                    const std::string writer = slot->lock.holder == 0
                                                   ? "its last writer had no time to finish"
                                                   : "its last writer died in the middle (thread " +
                                                         std::to_string(thread_of(slot->lock.holder)) + ")";
                    notes.emplace_back(writer + ": shown as the next user will find it");
                } else {
                    notes.emplace_back("its last writer died in the middle, and it cannot be repaired: " +
                                       report.problems.front());
                }
                look(repaired, *found);
                return true;
            }
        }
        std::this_thread::sleep_for(pause);
        pause = std::min(pause * 2, std::chrono::microseconds(5000));
    }
}

}  // namespace cairn::inline CAIRN_ABI::detail::inspecting

// SPDX-License-Identifier: BSL-1.0
#include "inspect/recovery.hpp"

#include <cstring>

#include <linux/futex.h>

#include "inspect/roots.hpp"
#include "inspect/structure.hpp"
#include "segment/segment_guard.hpp"
#include <cairn/detail/txn/root_transaction.hpp>
#include <cairn/error.hpp>

namespace cairn::inline CAIRN_ABI::detail::inspecting {

namespace {

struct built_in_log {
    std::uint64_t head = 0;
    std::uint64_t offset = 0;  // of the area in the control block
    std::uint64_t bytes = 0;
};

// Puts the old bytes back, newest first, as replay_backwards() does; false when a record makes no sense.
bool replay(image& in, const built_in_log& log, std::uint64_t lowest) {
    std::uint64_t head = log.head;
    std::uint64_t bytes_left = in.limit() + log.bytes;  // areas do not overlap, so a chain of them has an end
    while (head != 0) {
        const std::uint64_t area = head >> 32;
        const std::uint64_t end = head & 0xffffffff;
        std::uint64_t offset = log.offset;
        std::uint64_t first = 0;
        std::uint64_t previous = 0;
        if (area == 0) {
            if (end > log.bytes) return false;
        } else {
            if (area > in.page_count()) return false;
            offset = in.page_offset(static_cast<std::uint32_t>(area - 1));
            const auto* header = in.find<log_area_header>(offset);
            if (header == nullptr || header->bytes > in.limit() - offset || end > header->bytes) return false;
            first = sizeof(log_area_header);
            previous = header->previous_head;
        }
        if (end < first || end % 8 != 0 || end > bytes_left) return false;
        bytes_left -= end;
        for (std::uint64_t at = end; at > first;) {
            const auto* record = in.find<std::uint64_t>(offset + at - 8);
            if (at < first + 16 || record == nullptr) return false;
            const std::uint64_t bytes = *record & 0xffff;
            const std::uint64_t to = *record >> 16;
            const std::uint64_t padded = round_up(bytes, 8);
            if (bytes == 0 || padded + 8 > at - first || to < lowest) return false;
            auto* target = in.find<std::byte>(to, bytes);
            const auto* old = in.find<std::byte>(offset + at - 8 - padded, bytes);
            if (target == nullptr || old == nullptr) return false;
            std::memmove(target, old, bytes);
            at -= padded + 8;
        }
        head = previous;
    }
    return true;
}

// A lock as the kernel leaves it when its owner dies: whoever takes it is told so.
void leave_to_next_owner(stored_mutex& lock) {
    const thread_token holder = lock.holder;
    initialize(lock);
    lock.holder = holder;
    lock.word = FUTEX_OWNER_DIED;
}

// What is wrong with the roots that are to be finished off, or nothing. They are those of one object at most; where a damaged
// chain has more, each costs a walk through its extents.
std::string problem_of_pending(const segment& s) {
    std::uint32_t steps = most_parts + 1;
    for (std::uint32_t link = s.control().pending_slot; link != 0;) {
        if (steps-- == 0) return "its chain has no end";
        const root_slot* pending = slot_of(s, link);
        if (pending == nullptr) return "leads outside";
        if (std::string problem = check_extent_chain(s, *pending); !problem.empty()) return problem;
        link = pending->next_free_slot;
    }
    return {};
}

bool recover_segment(image& in, segment& s, recovery_report& report) {
    segment_control& control = s.control();
    if (control.log_bytes != 0) {
        const std::uint64_t at = in.header().control_offset + offsetof(segment_control, log);
        if (!replay(in, {control.log_bytes, at, segment_log_bytes}, in.header().control_offset)) {
            report.problems.emplace_back("segment: its undo log is damaged");
            return false;
        }
        control.log_bytes = 0;
        report.notes.emplace_back("segment: the last holder of its lock died in the middle; taken back");
        if (control.committed_bytes > in.limit() || control.committed_bytes < in.header().data_offset ||
            control.committed_bytes % page_bytes != 0) {
            report.problems.emplace_back("segment: its undo log restores a size that the file does not have");
            control.committed_bytes = in.limit();
            return false;
        }
    }
    leave_to_next_owner(control.lock);
    if (control.pending_slot != 0) {
        if (const std::string problem = problem_of_pending(s); !problem.empty()) {
            report.problems.emplace_back("segment: the object that was being made or removed: " + problem);
            return false;
        }
        report.notes.emplace_back(
            "segment: an object was being made or removed when its process died; finished");
    }
    try {
        const segment_guard guard(s);
    } catch (const error& e) {
        report.problems.emplace_back(std::string("segment: ") + e.what());
        return false;
    }
    return true;
}

void recover_root(image& in, segment& s, root_slot& slot, recovery_report& report) {
    const std::string who = describe_visible(slot) + ": ";
    if (slot.log_head != 0) {
        if (slot.rolling_back == 0 && !is_decided(s, slot)) {
            const std::uint64_t at = s.offset_of(slot.log);
            const std::uint64_t generation = slot.generation;
            if (!replay(in, {slot.log_head, at, root_log_bytes}, in.header().data_offset)) {
                report.problems.push_back(who + "its undo log is damaged");
                return;
            }
            if (slot.generation != generation || !is_visible(slot)) {
                report.problems.push_back(who + "its undo log undoes more than its own work");
                return;
            }
            slot.rolling_back = 1;
        }
        slot.log_head = 0;
    }
    if (const std::string problem = check_extent_chain(s, slot); !problem.empty()) {
        report.problems.push_back(who + problem);
        return;
    }
    if (slot.operation.kind != 0) {
        if (const std::string problem = check_operation(s, slot); !problem.empty()) {
            report.problems.push_back(who + problem);
            return;
        }
    }
    leave_to_next_owner(slot.lock);
    try {
        const root_transaction tx(s, slot, slot.generation);
        report.notes.push_back(who + "its last writer died in the middle (thread " +
                               std::to_string(slot.last_dead_thread) + "); taken back or finished");
    } catch (const error& e) {
        report.problems.push_back(who + e.what());
    }
}

}  // namespace

recovery_report recover_roots(image& in, std::uint32_t link) {
    recovery_report report;
    const bool complete = in.load_all();
    const segment_ptr s = in.view_as_it_is();
    if (!complete || !s) {
        report.problems.emplace_back("segment: the file ends before the segment does");
        return report;
    }
    if (!recover_segment(in, *s, report)) return report;
    show_all(*s);
    bool is_whole = false;
    for (const std::uint32_t each : all_slots(in, is_whole)) {
        if (link != every_root && link != each) continue;
        root_slot* slot = in.slot(each);
        if (slot == nullptr || slot->state != static_cast<std::uint32_t>(root_state::live)) continue;
        const lock_holder holder = look_at(slot->lock, in.origin());
        if (link == every_root && (is_quiet(*slot) || holder.state == lock_state::held)) continue;
        recover_root(in, *s, *slot, report);
    }
    return report;
}

}  // namespace cairn::inline CAIRN_ABI::detail::inspecting

// SPDX-License-Identifier: BSL-1.0
#include "inspect/verify.hpp"

#include <algorithm>
#include <map>
#include <set>
#include <thread>

#include "inspect/parts.hpp"
#include "inspect/recovery.hpp"
#include "inspect/roots.hpp"
#include "inspect/state.hpp"
#include "inspect/structure.hpp"
#include <cairn/error.hpp>

namespace cairn::inline CAIRN_ABI {

namespace detail {

std::vector<std::string> verify_segment(const segment& s, bool deep) {
    using namespace inspecting;
    problem_list problems;
    try {
        check_pages(s, problems);
        if (s.committed_bytes() < s.data_offset()) return std::move(problems.all());
        check_directory(s, problems);
        std::uint64_t steps = (s.committed_bytes() - s.data_offset()) / root_slot_bytes;
        for (std::uint32_t link = s.control().first_slot; link != 0 && steps != 0; --steps) {
            const root_slot* slot = slot_of(s, link);
            if (slot == nullptr) break;
            if (is_visible(*slot)) check_root(s, *slot, deep, problems);
            link = slot->next_slot;
        }
    } catch (const error& e) {
        problems.add(e.what());  // the containers' own checks throw where a link leads nowhere
    }
    return std::move(problems.all());
}

}  // namespace detail

using namespace detail;
using namespace detail::inspecting;

namespace {

// The words that tell whether anybody held the segment's lock between two looks.
struct segment_moment {
    std::uint32_t thread = 0;
    bool owner_died = false;
    std::uint64_t log_bytes = 0;
    std::uint64_t acquired = 0;
    std::uint64_t recovered = 0;
    std::uint64_t committed = 0;
    std::uint32_t pending = 0;
    std::uint32_t first_slot = 0;
    std::uint64_t last_participant = 0;  // given out without the lock

    bool operator==(const segment_moment&) const = default;
    [[nodiscard]] bool is_quiet() const noexcept {
        return thread == 0 && !owner_died && log_bytes == 0 && pending == 0;
    }
};

segment_moment moment_of(const segment_control& control) {
    const lock_word lock = inspect(control.lock);
    return {
        lock.thread_id,          lock.owner_died,         control.log_bytes,    acquired_count(control.lock),
        control.recovery_count,  control.committed_bytes, control.pending_slot, control.first_slot,
        control.last_participant};
}

bool read_moment(const source& from, segment_moment& moment) {
    segment_control control;
    std::uint64_t got = 0;
    constexpr std::uint64_t bytes = offsetof(segment_control, log);
    if (os::read_at(from.fd.get(), from.header.control_offset, &control, bytes, got) || got != bytes)
        return false;
    moment = moment_of(control);
    return true;
}

using slot_words = std::map<std::uint32_t, root_slot>;

slot_words read_slots(const source& from, const std::vector<std::uint32_t>& links) {
    slot_words words;
    for (const std::uint32_t link : links) {
        root_slot slot{};
        if (read_slot(from, link, slot)) words.emplace(link, slot);
    }
    return words;
}

constexpr const char* file_is_short = "segment: the file ends before the segment does";
constexpr int looks_until_dead = 4;

// One verification: copies, checks what stood still, and copies again for the rest.
class verifier {
public:
    verifier(const source& from, const verify_options& options)
        : from_(from), options_(options),
          deadline_(std::chrono::steady_clock::now() + std::chrono::milliseconds(options.patience_ms)) {}

    verification run() {
        auto pause = std::chrono::microseconds(100);
        for (;;) {
            look_once();
            if (is_finished_ || !from_.has_living_processes()) break;
            if (std::chrono::steady_clock::now() >= deadline_) break;
            std::this_thread::sleep_for(pause);
            pause = std::min(pause * 2, std::chrono::microseconds(5000));
        }
        if (!is_finished_) {
            if (!is_segment_checked_)
                result_.busy.emplace_back("segment: its lock was never free for long enough");
            for (const std::string& name : waiting_)
                result_.busy.push_back(name + ": it never stood still for long enough");
        }
        result_.problems = std::move(problems_.all());
        return std::move(result_);
    }

private:
    void look_once() {
        image copy(from_);
        bool is_whole = false;
        if (copy.is_truncated()) return give_up(file_is_short);
        const std::vector<std::uint32_t> links = all_slots(copy, is_whole);
        segment_moment moment;
        if (!read_moment(from_, moment)) return give_up(file_is_short);
        const slot_words words = read_slots(from_, links);
        if (has_dead_writer(*copy.control(), moment, words)) return look_at_repaired_copy(links);

        // One thing at a time, so that a copy takes as little time as can be, and nobody comes in between.
        if (!is_segment_checked_) look_at_segment(moment);
        waiting_.clear();
        for (const auto& [link, slot] : words)
            if (is_visible(slot) && !checked_.contains({link, slot.generation})) look_at_object(link);
        is_finished_ = is_finished_ || (is_segment_checked_ && waiting_.empty());
    }

    void look_at_segment(const segment_moment& before) {
        image copy(from_);
        // acquire: the first look comes before the copy, the copy before the second look
        std::atomic_thread_fence(std::memory_order_acquire);
        if (!copy.load_structure()) return give_up(file_is_short);
        std::atomic_thread_fence(std::memory_order_acquire);
        segment_moment after;
        if (!read_moment(from_, after)) return give_up(file_is_short);
        if (!(before == after) || !before.is_quiet()) return;
        const segment_ptr s = copy.view();
        if (!s) return give_up(file_is_short);
        check_segment(*s);
    }

    void look_at_object(std::uint32_t link) {
        root_slot before{};
        root_slot after{};
        if (!read_slot(from_, link, before) || !is_visible(before)) return;
        image copy(from_);
        std::atomic_thread_fence(std::memory_order_acquire);
        const root_slot* copied = copy.slot(link);
        if (copied == nullptr || !copy.load_root(*copied)) return give_up(file_is_short);
        // Constant while the object lives: who its parts are.
        if (has_parts(*copied) && !copy.load_structure()) return give_up(file_is_short);
        if (copied->part_of != 0) {
            const root_slot* whole = copy.slot(copied->part_of);
            if (whole != nullptr && !copy.load_root(*whole)) return give_up(file_is_short);
        }
        std::atomic_thread_fence(std::memory_order_acquire);
        if (!read_slot(from_, link, after)) return give_up(file_is_short);
        const bool is_poisoned = before.state == static_cast<std::uint32_t>(root_state::poisoned);
        if (!is_same_moment(before, after) || (!is_quiet(before) && !is_poisoned)) {
            waiting_.insert(describe_visible(before));
            return;
        }
        const segment_ptr s = copy.view();
        if (!s) return give_up(file_is_short);
        check_object(*s, link, *slot_of(*s, link));
    }

    // What a dead process has left half-done is checked as the next user will find it, in a copy of everything.
    void look_at_repaired_copy(const std::vector<std::uint32_t>& links) {
        segment_moment before;
        if (!read_moment(from_, before)) return give_up(file_is_short);
        const slot_words words_before = read_slots(from_, links);
        std::atomic_thread_fence(std::memory_order_acquire);
        image whole(from_);
        if (!whole.load_all()) return give_up(file_is_short);
        std::atomic_thread_fence(std::memory_order_acquire);
        const slot_words words_after = read_slots(from_, links);
        segment_moment after;
        if (!read_moment(from_, after)) return give_up(file_is_short);
        if (!(before == after) || is_held(*whole.control())) return;
        // Once more the same: a living process that was caught between two stores would have gone on.
        if (from_.has_living_processes() && ++looks_at_the_dead_ < looks_until_dead) return;
        recovery_report report = recover_roots(whole, every_root);
        result_.notes = std::move(report.notes);
        for (std::string& problem : report.problems) problems_.add(std::move(problem));
        const segment_ptr s = whole.view();
        if (!report.problems.empty() || !s) {
            is_finished_ = true;
            return;
        }
        if (!is_segment_checked_) check_segment(*s);
        waiting_.clear();
        for (const auto& [link, slot] : words_before) {
            if (!is_visible(slot) || checked_.contains({link, slot.generation})) continue;
            const auto now = words_after.find(link);
            const bool stood_still = now != words_after.end() && is_same_moment(slot, now->second) &&
                                     (is_users_lock(static_cast<object_kind>(slot.kind)) ||
                                      look_at(slot.lock, from_).state != lock_state::held);
            const root_slot* copied = slot_of(*s, link);
            if (!stood_still) waiting_.insert(describe_visible(slot));
            // Else it was being removed: it is gone once the next user comes.
            else if (copied != nullptr && copied->generation == slot.generation && is_visible(*copied))
                check_object(*s, link, *copied);
        }
        is_finished_ = is_segment_checked_ && waiting_.empty();
    }

    [[nodiscard]] bool has_dead_writer(const segment_control& control, const segment_moment& moment,
                                       const slot_words& words) const {
        if (!moment.is_quiet() && !is_held(control)) return true;
        return std::any_of(words.begin(), words.end(), [&](const auto& each) {
            const root_slot& slot = each.second;
            return slot.state == static_cast<std::uint32_t>(root_state::live) && !is_quiet(slot) &&
                   look_at(slot.lock, from_).state != lock_state::held &&
                   !checked_.contains({each.first, slot.generation});
        });
    }

    // A living thread has the lock.
    [[nodiscard]] bool is_held(const segment_control& control) const {
        return look_at(control.lock, from_).state == lock_state::held;
    }
    void check_segment(const segment& s) {
        check_pages(s, problems_);
        check_directory(s, problems_);
        result_.page_count = s.committed_pages();
        is_segment_checked_ = true;
    }

    void check_object(const segment& s, std::uint32_t link, const root_slot& slot) {
        checked_.insert({link, slot.generation});
        try {
            result_.item_count += check_root(s, slot, options_.deep, problems_);
            if (slot.part_of == 0) ++result_.object_count;
        } catch (const error& e) {
            problems_.add(describe_visible(slot) + ": " + e.what());
        }
    }

    void give_up(const char* problem) {
        problems_.add(problem);
        is_finished_ = true;
    }

    const source& from_;
    const verify_options& options_;
    std::chrono::steady_clock::time_point deadline_;
    verification result_;
    problem_list problems_;
    std::set<std::pair<std::uint32_t, std::uint64_t>> checked_;  // link, generation
    std::set<std::string> waiting_;
    bool is_segment_checked_ = false;
    bool is_finished_ = false;
    int looks_at_the_dead_ = 0;
};

}  // namespace

verification inspection::verify(const verify_options& options) const {
    return verifier(state_->from, options).run();
}

}  // namespace cairn::inline CAIRN_ABI

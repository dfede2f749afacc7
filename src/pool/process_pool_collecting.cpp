// process_pool_collecting.cpp - how results come back: from the pool's root to the futures of this process.
// SPDX-License-Identifier: BSL-1.0
#include <algorithm>
#include <array>
#include <chrono>
#include <csignal>
#include <cstring>
#include <memory>
#include <new>
#include <string>
#include <utility>

#include "executors/per_process.hpp"
#include "executors/settling.hpp"
#include "executors/timers.hpp"
#include "os/child.hpp"
#include "os/processors.hpp"
#include "os/supervision.hpp"
#include "os/thread.hpp"
#include "pool/exceptions.hpp"
#include "pool/frames.hpp"
#include "pool/process_pool.hpp"
#include "segment/internals.hpp"
#include <cairn/detail/containers/waiting.hpp>
#include <cairn/detail/txn/reading.hpp>
#include <cairn/error.hpp>

namespace cairn::inline CAIRN_ABI::detail {

namespace {

using std::chrono::milliseconds;

// So many are moved under one hold of the lock.
constexpr std::size_t most_at_once = 16;
// How long who waits looks for results before it leaves that to the collector: about what its two wake-ups cost.
constexpr std::chrono::microseconds longest_help{50};
// How often a collector that stands by looks, and how many times before it parks.
constexpr std::chrono::microseconds between_looks{500};
constexpr int looks_before_parking = 40;
constexpr milliseconds between_parked_looks{1000};
constexpr std::uint64_t longest_failure_text = 4096;
// How often it looks whether guardian and nursery are there.
constexpr milliseconds between_family_looks{250};

}  // namespace

// A report, or nothing where the frame is none.
static bool read_report(std::span<const std::byte> payload, death_report& report) noexcept {
    if (payload.size() != sizeof report) return false;
    copy_out(&report, payload.data(), sizeof report);
    return true;
}

// One that is no value, or none at all. Apart, since a map has a million that are.
static std::optional<std::span<const std::byte>>
next_failure(std::span<const std::byte>& frames, const local_state& whose, std::exception_ptr& error) {
    frame_reader reader(frames);
    frame_kind kind{};
    std::span<const std::byte> payload;
    const auto result = [&whose] { return "result of " + task_name(whose) + ": "; };
    remote_part& part = *task_access::remote(whose);
    if (!reader.next(kind, payload)) {
        if (!part.is_cut) throw corrupt_segment(result() + "it makes no sense");
        part.has_died = true;
        error = std::make_exception_ptr(
            worker_died(result() + "its worker was killed, with all it was to do", {.attempts = 0}));
        return std::nullopt;
    }
    frames = frames.last(reader.rest());
    death_report report{};
    switch (kind) {
        case frame_kind::value: return payload;
        case frame_kind::exception: error = decode_exception(payload); return std::nullopt;
        case frame_kind::timed_out: {
            const auto limit = [](std::uint64_t time) {
                return in_milliseconds(std::chrono::nanoseconds(static_cast<std::int64_t>(time)));
            };
            error = std::make_exception_ptr(timeout_error(
                result() + "it ran for longer than its timeout of " + limit(part.timeout) +
                (part.grace == 0 ? "" : " and the " + limit(part.grace) + " of .grace after that") +
                ", and its worker was killed for it"));
            return std::nullopt;
        }
        case frame_kind::died:
            if (!read_report(payload, report)) break;
            part.has_died = true;
            error = std::make_exception_ptr(worker_died(
                result() + "its worker " + std::to_string(report.worker) + " (pid " +
                    std::to_string(report.pid) + ") " + end_in_words(report.code, report.likely_oom != 0) +
                    " in it, at attempt " + std::to_string(report.attempts),
                {.pid = report.pid,
                 .code = report.code,
                 .attempts = report.attempts,
                 .worker_id = report.worker,
                 .likely_oom = report.likely_oom != 0}));
            return std::nullopt;
    }
    throw corrupt_segment(result() + "it makes no sense");
}

std::optional<std::span<const std::byte>> next_result(std::span<const std::byte>& frames,
                                                      const local_state& whose, std::exception_ptr& error) {
    frame_reader reader(frames);
    frame_kind kind{};
    std::span<const std::byte> payload;
    if (!reader.next(kind, payload) || kind != frame_kind::value) [[unlikely]]
        return next_failure(frames, whose, error);
    frames = frames.last(reader.rest());
    return payload;
}

// Takes over what is finished, a few at a time. False when there was nothing.
bool process_pool::collect() {
    std::vector<segment_offset> to_free;
    {
        const lock held(mutex_);
        to_free.reserve(entries_.size());  // for those to come
        to_free.swap(to_free_);
    }
    std::array<segment_offset, most_at_once> records{};
    std::size_t count = 0;
    {
        root_transaction tx = begin_with(to_free);
        if (has_left()) return false;
        free_tasks(tx, node(), lists(), to_free);
        count = collect_tasks(tx, lists(), records);
    }
    if (count == 0) return false;
    std::array<task_ptr, most_at_once> tasks;
    {
        const lock held(mutex_);
        for (std::size_t i = 0; i < count; ++i) tasks[i] = task_of(records[i]);
    }
    std::size_t settled = 0;
    for (std::size_t i = 0; i < count; ++i) {
        const task_ptr task = std::move(tasks[i]);
        if (!task) continue;
        try {
            if (deliver(*task, records[i])) ++settled;
        } catch (...) {
            fail_delivery(*task, records[i], std::current_exception());
        }
    }
    if (settled != 0) some_less(settled);
    return true;
}

// begin(), or they are to be freed later.
root_transaction process_pool::begin_with(std::vector<segment_offset>& to_free) {
    try {
        return begin();
    } catch (...) {
        try {
            const lock held(mutex_);
            if (to_free_.empty()) to_free_.swap(to_free);
            else to_free_.insert(to_free_.end(), to_free.begin(), to_free.end());
        } catch (const std::bad_alloc&) {
            // They go with the pool.
        }
        throw;
    }
}

// Whose record that is; null, and to be freed, where nobody waits for it. Under mutex_.
task_ptr process_pool::task_of(segment_offset at) {
    const std::uint64_t token = load_word(task_at(*family_->in, at).token);  // once: it is input
    if (token < entries_.size() && entries_[token].task &&
        load_word(task_access::remote(*entries_[token].task)->record) == at)
        return entries_[token].task;
    to_free_.push_back(at);
    return {};
}

// What cannot be taken over settles by that, and the others of its batch are none the worse.
void process_pool::fail_delivery(local_state& task, segment_offset at,
                                 const std::exception_ptr& error) noexcept {
    {
        const lock held(mutex_);
        store_word(task_access::remote(task)->record, 0);
        to_free_.push_back(at);
    }
    settle_as(task, error);
}

// Nothing comes back any more: the root is damaged.
void process_pool::give_up(const std::exception_ptr& error) noexcept {
    for (;;) {
        task_ptr task;
        {
            const lock held(mutex_);
            is_closed_ = true;
            for (const entry& each : entries_)
                if (each.task) task = each.task;
            if (!task && !later_.empty()) {
                task = later_.begin()->second;
                later_.erase(later_.begin());
            }
        }
        if (!task) return;
        store_word(task_access::remote(*task)->record, 0);
        settle_as(*task, error);
    }
}

// A task that is taken over at the moment.
struct result_delivery {
    process_pool* pool;
    segment_offset record;
    std::shared_ptr<void> hold = {};  // made for the first result that stays where it is
    bool is_held = false;  // whoever lets go of that has the record freed, also where making it fails
};

void process_pool::let_go_of(segment_offset record) noexcept {
    if (!is_of_this_process()) return;
    try {
        const lock held(mutex_);
        to_free_.push_back(record);
    } catch (const std::bad_alloc&) {
        // It goes with the pool.
    }
}

result_memory new_result_memory(std::size_t bytes, std::size_t alignment) {
    // Frames, and what they hold, stand at multiples of 8.
    const task_context* const task = own_place.task;
    if (task != nullptr && task->remote != nullptr && alignment <= 8 && bytes != 0)
        if (std::byte* const room = task->remote->room_ahead(bytes); room != nullptr)
            return {.data = room, .bytes = bytes};
    const std::align_val_t align{std::max<std::size_t>(alignment, 16)};
    auto* const made = static_cast<std::byte*>(::operator new(std::max<std::size_t>(bytes, 1), align));
    return {.data = made, .bytes = bytes, .hold = std::shared_ptr<void>(made, [align](void* memory) {
                                              ::operator delete(memory, align);
                                          })};
}

result_memory received_result_memory(std::span<const std::byte> bytes, std::size_t alignment,
                                     result_delivery* now) {
    if (now == nullptr || alignment > 8 || bytes.empty()) {
        result_memory copy = new_result_memory(bytes.size(), std::max<std::size_t>(alignment, 16));
        if (!bytes.empty()) std::memcpy(copy.data, bytes.data(), bytes.size());
        return copy;
    }
    if (!now->is_held) {
        now->is_held = true;
        now->hold = std::shared_ptr<void>(
            now->pool, [kept = core_ptr::sharing(now->pool), record = now->record](void* pool) {
                static_cast<process_pool*>(pool)->let_go_of(record);
            });
    }
    return {.data = const_cast<std::byte*>(bytes.data()), .bytes = bytes.size(), .hold = now->hold};
}

// True when it is settled by that.
bool process_pool::deliver(local_state& task, segment_offset at) {
    const task_record& record = task_at(*family_->in, at);
    remote_part& part = *task_access::remote(task);
    const std::byte* const begin =
        record.result == 0 ? record.inline_result : family_->in->at<std::byte>(record.result);
    const std::uint64_t bytes = record.result == 0 ? inline_result_bytes : record.result_bytes;
    if (record.result != 0 && family_->in->find<std::byte>(record.result, bytes) == nullptr)
        throw_damaged(*family_->in, *family_->slot);
    part.is_cut = record.is_cut != 0;
    part.has_died = false;
    part.frames = {begin,
                   part.is_cut ? std::min(bytes, end_of_frames(begin, bytes, record.items_done)) : bytes};
    std::exception_ptr error;
    result_delivery this_one{.pool = this, .record = at};
    part.delivery = &this_one;
    const attempt_end how = task_access::call(task, error);
    part.delivery = nullptr;
    part.frames = {};
    const bool is_failure = how == attempt_end::exception;
    if (is_failure && try_again(task, at, error)) return false;
    // One that was ordered to be killed for a cancel has ended as that.
    const bool is_death = is_failure && part.has_died;
    const bool is_cancelled = is_death && (load_word(record.stop_asked) & stop_by_kill) != 0;
    const bool is_mine = task_access::step(task, word_stage::pending,
                                           is_cancelled ? word_stage::cancelling : word_stage::settling);
    {
        const lock held(mutex_);
        entries_[part.token] = {};
        free_entries_.push_back(static_cast<std::uint32_t>(part.token));
        if (!this_one.is_held) to_free_.push_back(at);
        store_word(part.record, 0);
        if (is_mine && is_cancelled) ++counts_.cancelled;
        if (is_mine && !is_cancelled) {
            if (is_death) ++counts_.died;
            count_end(is_failure, record.ended - std::min(record.ended, record.submitted),
                      record.started - std::min(record.started, record.submitted));
        }
    }
    task_access::stop_timers(task);
    if (!is_mine) return false;
    task_access::drop_call(task);
    if (is_cancelled) task_access::settle(task, word_stage::cancelled);
    else if (is_failure) task_access::settle_with(task, std::move(error));
    else task_access::settle(task, word_stage::value);
    return true;
}

// Whether retry_if accepts what it threw at that attempt, and there is another one.
bool process_pool::may_try_again(const local_state& task, const std::exception_ptr& error,
                                 std::uint32_t attempt) const {
    const task_extras* const extras = task_access::extras_if_any(task);
    if (extras == nullptr || !extras->options.retry_if || task_access::remote(task)->item_count != 1)
        return false;
    if (std::int64_t{attempt} > extras->options.retries.value_or(settings_.retries)) return false;
    try {
        std::rethrow_exception(error);
    } catch (const std::exception& e) {
        try {
            return extras->options.retry_if(e);
        } catch (...) {
            return false;
        }
    } catch (...) {
        return false;
    }
}

// After an exception that retry_if accepts: waits again, now or later.
bool process_pool::try_again(local_state& task, segment_offset at, const std::exception_ptr& error) {
    const task_record& record = task_at(*family_->in, at);
    if (load_word(record.stop_asked) != 0) return false;
    if (task_access::remote(task)->has_died) return false;  // its further starts were those of the pool
    {
        // The task of a worker process is that one's: here it is only what is asked about.
        running_task here(task, own_place.task == nullptr ? nullptr : own_place.task->remote);
        here.context().results_of = this;
        if (!may_try_again(task, error, record.attempts)) return false;
    }
    const task_extras* const extras = task_access::extras_if_any(task);
    const std::chrono::nanoseconds delay = backoff_delay(extras->options.backoff, record.attempts);
    if (delay.count() > 0 && extras->start) {
        {
            const lock held(mutex_);
            later_.emplace(&task, task_ptr::sharing(&task));
            ++counts_.retried;
        }
        try {
            set_timer(*extras->start, deadline_after(delay));
            return true;
        } catch (const std::exception&) {
            const lock held(mutex_);  // then at once, unless it was cancelled meanwhile
            --counts_.retried;
            if (later_.erase(&task) == 0) return true;
        }
    }
    {
        root_transaction tx = begin();
        if (has_left()) return false;
        repeat_task(tx, node(), lists(), at);
    }
    call_for_workers();
    const lock held(mutex_);
    ++counts_.retried;
    return true;
}

void process_pool::settle_as(local_state& task, std::exception_ptr error) noexcept {
    const bool is_mine = task_access::step(task, word_stage::pending, word_stage::settling);
    forget(task, false);  // also where somebody else settles it: it does not come back
    if (!is_mine) return;
    task_access::stop_timers(task);
    end_of(true, 0, 0);
    task_access::drop_call(task);
    task_access::settle_with(task, std::move(error));
    some_less(1);
}

void process_pool::end_of(bool is_failure, std::uint64_t total, std::uint64_t queued) noexcept {
    const lock held(mutex_);
    count_end(is_failure, total, queued);
}

// Under mutex_. Nanoseconds from its submission to its end, and to its start.
void process_pool::count_end(bool is_failure, std::uint64_t total, std::uint64_t queued) noexcept {
    ++counts_.executed;
    if (is_failure) ++counts_.failures;
    runtime_ += total;
    queue_time_ += std::min(total, queued);
}

void process_pool::some_less(std::size_t count) noexcept {
    const lock held(mutex_);
    pending_ -= count;
    if (pending_ != 0) return;
    if (is_closed_) wake_.notify_one();
    all_settled_.notify_all();
}

// Under mutex_.
void process_pool::want_collector() noexcept {
    is_wanted_ = true;
    if (stands_by_) wake_.notify_one();
}

void process_pool::somebody_waits() noexcept {
    const lock held(mutex_);
    want_collector();
}

// Once one was ready it is not asked any more: what workers write they would have to hand over for it.
bool process_pool::has_had_workers() noexcept {
    if (has_had_workers_.load(std::memory_order_relaxed)) return true;
    const auto is_ready = [](const worker_slot& each) {
        return load_word(each.incarnation) != 0 && load_word(each.stage) == worker_stage::ready;
    };
    if (!std::ranges::any_of(family_->all_places(), is_ready)) return false;
    // relaxed: two threads may find it out
    has_had_workers_.store(true, std::memory_order_relaxed);
    return true;
}

bool process_pool::help(local_state& task, steady_time deadline) {
    // Inside an operation no other root can be locked. Workers that are not there yet need the processor themselves.
    if (this_thread.open != nullptr || os::processor_count() == 1 || !has_had_workers()) {
        somebody_waits();
        return false;
    }
    {
        const lock held(mutex_);
        ++helpers_;
    }
    const steady_time until = std::min(deadline, std::chrono::steady_clock::now() + longest_help);
    std::uint64_t seen = load_word(node().results) - 1;
    bool is_settled = task.is_settled();
    // A worker sees the results of others, too.
    const auto has_some = [this] { return is_owner() || load_word(self_->lists.first_finished) != 0; };
    try {
        for (int i = 0; !is_settled; ++i) {
            // acquire: the lock says so again
            if (const std::uint64_t now = __atomic_load_n(&node().results, __ATOMIC_ACQUIRE); now != seen) {
                seen = now;
                while (has_some() && collect()) {}
            } else {
                pause_reader();
                if (i % 16 == 15 && std::chrono::steady_clock::now() >= until) break;
            }
            is_settled = task.is_settled();
        }
    } catch (...) {
        const lock held(mutex_);
        --helpers_;
        throw;
    }
    const lock held(mutex_);
    --helpers_;
    if (!is_settled) want_collector();
    return is_settled;
}

// -- the collector's thread -----------------------------------------------------------------------------------------

void* process_pool::collector_body(void* pool) noexcept {
    os::name_own_thread("cairn-collect");
    const core_ptr own(static_cast<process_pool*>(pool));
    static_cast<process_pool*>(pool)->collect_until_end();
    return nullptr;
}

void process_pool::collect_until_end() {
    auto next_family_look = std::chrono::steady_clock::now() + between_family_looks;
    for (;;) {
        {
            lock held(mutex_);
            if (is_closed_ && pending_ == 0) break;
            stand_by(held);
            if (is_closed_ && pending_ == 0) break;
            if (pending_ == 0) is_wanted_ = false;
        }
        try {
            const std::uint64_t seen = load_word(node().results);
            const auto now = std::chrono::steady_clock::now();
            if (is_owner() && now >= next_family_look) {
                next_family_look = now + between_family_looks;
                look_after_family();
            }
            if (collect()) continue;
            if (has_left()) return;
            if (load_word(node().state) == pool_state::broken) settle_waiting_as_broken();
            wait_for_results(seen);
        } catch (const object_poisoned&) {
            give_up(std::current_exception());
        } catch (const object_gone&) {
            give_up(std::current_exception());
        } catch (const corrupt_segment&) {
            give_up(std::current_exception());
        } catch (const std::exception&) {
            os::sleep_for(milliseconds(10));  // no memory: not at full speed
        }
    }
    if (is_owner()) end_family();
    const lock held(mutex_);
    has_ended_ = true;
    all_settled_.notify_all();
}

// While others collect, or nothing is to come.
void process_pool::stand_by(lock& held) {
    int looks = 0;
    stands_by_ = true;
    while (!(is_closed_ && pending_ == 0) && (pending_ == 0 || (helpers_ != 0 && !is_wanted_))) {
        if (pending_ == 0 && looks == looks_before_parking) {
            is_parked_ = true;
            // Now and then results come back that nobody waits for any more.
            while (pending_ == 0 && !is_closed_ && load_word(lists().first_finished) == 0)
                wake_.wait_for(held, between_parked_looks);
            is_parked_ = false;
            break;
        }
        wake_.wait_for(held, between_looks);
        ++looks;
    }
    stands_by_ = false;
}

void process_pool::wait_for_results(std::uint64_t seen) {
    root_wait wait(*family_->in, *family_->slot, family_->generation,
                   is_owner() ? pool_has_result : pool_has_own_result, deadline_after(between_family_looks),
                   {});
    for (;;) {
        wait.pause(node().results, seen, [] { return false; });
        root_transaction tx = begin();
        const bool is_to_be_told = node().state == pool_state::broken && node().waiting_count != 0;
        if (lists().first_finished != 0 || is_to_be_told || !wait.may_go_on(tx)) return;
        seen = node().results;
    }
}

// Where guardian and nursery were killed, nobody else settles the deaths of workers.
void process_pool::look_after_family() {
    bool is_ended = guardian_ == 0;
    // Not at once: the first result does not wait for it. It is this process's child, so the pid is its own until it is reaped here.
    if (guardian_identity_ == 0 && is_guardian_child_) guardian_identity_ = os::identity_of(guardian_pid_);
    if (!is_ended && has_guardians_pidfd())
        static_cast<void>(os::wait_readable(guardian_pidfd_.get(), std::chrono::nanoseconds(0), is_ended));
    else if (!is_ended) is_ended = !os::is_alive(guardian_identity_);
    if (!is_ended) return;
    notice_end_of_guardian();
    if (guardian_ != 0) return;
    root_transaction tx = begin();
    if (node().nursery != 0 && os::is_alive(node().nursery)) return;  // goes on alone
    for (std::uint32_t i = 0; i < family_->place_count; ++i) {
        const worker_slot& slot = family_->places[i];
        if (slot.incarnation == 0 || os::is_alive(slot.identity)) continue;
        try {
            settle_death(tx, node(), i, slot.incarnation,
                         {.pid = os::pid_of(slot.identity), .code = -SIGKILL, .likely_oom = false},
                         monotonic_nanoseconds());
        } catch (const segment_full&) {
            tx.roll_back();  // at the next look
        }
    }
    break_pool(tx, node(), "its guardian and its nursery were killed, so that nobody replaces workers");
}

std::exception_ptr process_pool::why_broken(const local_state& task) const {
    std::string why;
    bool is_initializer = false;
    if (node().failure != 0) {
        const segment_offset at = load_word(node().failure);
        const std::uint64_t bytes =
            std::min<std::uint64_t>(load_word(node().failure_bytes), longest_failure_text);
        if (const auto* const text = family_->in->find<std::byte>(at, bytes); text != nullptr) {
            why.resize(bytes);
            copy_out(why.data(), text, bytes);
        }
        is_initializer = why.starts_with(initializer_failure) ||
                         (settings_.initializer && why.starts_with(workers_end_early));
    }
    const std::string text =
        "run " + task_name(task) + ": " + settings_.name + " has no workers any more: " + why;
    if (is_initializer) return std::make_exception_ptr(initializer_failed(text));
    return std::make_exception_ptr(worker_died(text, {.attempts = 0}));
}

void process_pool::settle_waiting_as_broken() {
    std::vector<task_ptr> all;
    {
        const lock held(mutex_);
        for (const entry& each : entries_)
            if (each.task) all.push_back(each.task);
        for (const auto& [task, kept] : later_) all.push_back(kept);
    }
    for (const task_ptr& task : all)
        if (withdraw(*task)) settle_as(*task, why_broken(*task));
    if (is_owner()) cancel_waiting_of_workers();
}

void process_pool::notice_end_of_guardian() noexcept {
    if (guardian_ == 0) return;
    if (!is_guardian_child_) {
        if (!os::is_alive(guardian_identity_)) guardian_ = 0;
        return;
    }
    os::child_status status;
    const auto error = os::try_reap_by_pid(guardian_, status);
    // Or somebody else has reaped it.
    if (status.ended || error == std::errc::no_child_process) guardian_ = 0;
}

// All is settled: the workers leave, and then nursery and guardian.
void process_pool::end_family() {
    try {
        root_transaction tx = begin();
        close_pool(tx, node());
    } catch (const error&) {
        // Then by force.
        if (has_guardians_pidfd()) static_cast<void>(os::signal_by_pidfd(guardian_pidfd_.get(), SIGKILL));
    }
    // Where that number is another file by now, the nursery sees it a second later.
    if (has_bell()) os::ring(family_->bell.get());
    while (guardian_ != 0) {
        bool is_ended = false;
        if (!has_guardians_pidfd() ||
            os::wait_readable(guardian_pidfd_.get(), std::chrono::seconds(1), is_ended))
            os::sleep_for(milliseconds(2));
        notice_end_of_guardian();
    }
}

bool process_pool::has_bell() const noexcept {
    return os::number_of_bell(family_->bell.get()) == family_->bell_number;
}

bool process_pool::has_guardians_pidfd() const noexcept {
    return guardian_pidfd_.valid() &&
           os::pid_of_pidfd(guardian_pidfd_.get()) == static_cast<std::uint64_t>(guardian_pid_);
}

// Numbers that the program has closed, and used again, are not this pool's to close.
void process_pool::leave_lost_descriptors() noexcept {
    if (!own_family_) return;
    const auto leave = [](os::unique_fd& fd, const std::optional<std::uint64_t>& number, std::uint64_t own) {
        if (number && *number != own && *number != os::pid_of_the_reaped) static_cast<void>(fd.release());
    };
    os::unique_fd& owner = family_->owner_pidfd;
    leave(owner, os::pid_of_pidfd(owner.get()), static_cast<std::uint64_t>(os::own_pid()));
    leave(family_->bell, os::number_of_bell(family_->bell.get()), family_->bell_number);
    leave(guardian_pidfd_, os::pid_of_pidfd(guardian_pidfd_.get()),
          static_cast<std::uint64_t>(guardian_pid_));
}

}  // namespace cairn::inline CAIRN_ABI::detail

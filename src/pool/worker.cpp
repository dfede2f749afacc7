// worker.cpp - what a worker of a pool does: takes tasks, runs them, hands their results over.
// SPDX-License-Identifier: BSL-1.0
#include <algorithm>
#include <array>
#include <atomic>
#include <cerrno>
#include <charconv>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <limits>
#include <optional>
#include <span>
#include <stop_token>
#include <string>
#include <string_view>
#include <thread>
#include <utility>

#include <cxxabi.h>
#include <fcntl.h>
#include <unistd.h>

#include "executors/task_access.hpp"
#include "os/child.hpp"
#include "os/identity.hpp"
#include "os/probe.hpp"
#include "os/processors.hpp"
#include "os/supervision.hpp"
#include "pool/exceptions.hpp"
#include "pool/family.hpp"
#include "pool/frames.hpp"
#include "pool/process_pool.hpp"
#include "process/describe_exception.hpp"
#include "process/stdio.hpp"
#include "segment/farewell.hpp"
#include "segment/internals.hpp"
#include "segment/segment_guard.hpp"
#include <cairn/detail/containers/waiting.hpp>
#include <cairn/detail/executors/remote_run.hpp>
#include <cairn/detail/txn/reading.hpp>
#include <cairn/error.hpp>

namespace cairn::inline CAIRN_ABI::detail {

void remote_run::begin_item() {
    item_begins(done_);
}

std::byte* remote_run::add_value(std::size_t bytes) {
    return room_for(bytes, false);
}

void remote_run::end_item() noexcept {
    item_has_ended(done_);
    ++done_;
}

void remote_run::add_exception() {
    const encoded_exception encoded;
    const std::span<const std::byte> bytes = encoded.bytes();
    copy_in(room_for(bytes.size(), true), bytes.data(), bytes.size());
    end_item();
}

namespace {

// What of the user's memory grows is looked at this often at most: it costs a file of /proc.
constexpr std::chrono::milliseconds between_memory_looks{100};

// About what two sleeps and wakes cost: of an owner that looks at a result, and comes with the next task.
constexpr std::chrono::microseconds longest_look{40};
constexpr unsigned most_look_halvings = 4;
constexpr unsigned skips_between_looks = 32;

// How long a result that finds no room waits for others to be taken over; where all that are there are being looked at, or kept, since
// the last one went. Chosen freely.
constexpr std::chrono::seconds longest_wait_for_room{10};
constexpr std::chrono::seconds longest_wait_for_kept{1};
constexpr std::chrono::milliseconds between_room_looks{1};

// How often a thread looks for a task that wants a std::stop_token whether it is asked to stop.
constexpr std::chrono::milliseconds between_stop_looks{2};

class worker {
public:
    worker(pool_family& family, std::uint32_t index)
        : family_(family), index_(index), node_(family.pool()), self_(family.places[index]) {}

    [[noreturn]] void run() {
        if (!claim()) os::end_process(worker_not_wanted);
        // Its tasks may submit to their own pool. The handle, and with it this, are there until the process ends.
        const core_ptr pool(new process_pool(family_, index_));
        const auto handle = std::make_shared<process_pool_life>(pool);
        static_cast<process_pool&>(*pool).handles() = handle;
        const worker_place place{.core = pool.get(),
                                 .worker = this,
                                 .id = static_cast<int>(index_),
                                 .made_by = own_process_mark_here()};
        own_place.worker = &place;
        initialize();
        {
            root_transaction tx = begin();
            be_ready(tx, node_, self_);
        }
        while (next()) run_task();
        end(0);
    }

    // Where the process ends: here, or by exit() in a task.
    [[noreturn]] static void end(int code) noexcept {
        flush_before_end();
        say_farewell();
        os::end_process(code);
    }

    pool_family& family_;
    std::uint32_t index_;
    pool_node& node_;
    worker_slot& self_;

    [[nodiscard]] root_transaction begin() const {
        return root_transaction(*family_.in, *family_.slot, family_.generation);
    }

private:
    static std::uint64_t own_process_mark_here() noexcept { return *process_mark; }

    bool claim() {
        root_transaction tx = begin();
        return claim_worker(tx, node_, index_, family_.in->internals().identity);
    }

    void initialize() {
        if (!family_.initializer) return;
        try {
            family_.initializer();
        } catch (const abi::__forced_unwind&) {
            end(worker_start_failed);
        } catch (...) {
            const exception_description thrown;
            try {
                root_transaction tx = begin();
                record_failure(tx, node_, std::string(initializer_failure) + thrown.type_and_text());
            } catch (const error&) {
                // Then without the reason.
            }
            end(worker_start_failed);
        }
    }

    // Hands over what was done, and takes the next task. False: it is to go.
    bool next() {
        const bool may_stay = !is_used_up();
        bool looks = false;
        bool leaves = false;
        std::uint64_t seen = 0;
        {
            const std::uint64_t now = monotonic_nanoseconds();  // others do not wait for the clock
            root_transaction tx = begin();
            if (self_.task != 0) finish_task(tx, node_, self_, now);
            const next_step step = may_stay ? take_task(tx, node_, self_, now) : next_step::leave;
            if (step == next_step::run) return true;
            tx.commit();
            leaves = step == next_step::leave;
            seen = node_.changes;
            looks = !leaves && pays_to_look() && begin_looking(tx, node_, self_);
        }
        if (leaves) return leave();
        std::optional<root_wait> wait;
        for (;;) {
            if (looks) {
                look(seen);
            } else {
                if (!wait) {
                    const steady_time until = family_.idle_timeout.is_given()
                                                  ? deadline_after(family_.idle_timeout.nanoseconds())
                                                  : no_deadline;
                    wait.emplace(*family_.in, *family_.slot, family_.generation, pool_has_task, until,
                                 std::stop_token{});
                    wait->skip_looking();
                }
                wait->pause(node_.changes, seen, [] { return false; });
            }
            {
                const std::uint64_t now = monotonic_nanoseconds();
                root_transaction tx = begin();
                const next_step step = take_task(tx, node_, self_, now);
                if (step == next_step::run) return true;
                seen = node_.changes;
                const bool may_go_on = std::exchange(looks, false) || (wait && wait->may_go_on(tx));
                leaves = step == next_step::leave || !may_go_on;
            }
            if (leaves) return leave();
        }
    }

    // Output first: it may take as long as its reader likes, and the place is this worker's until it has left. False, for next().
    bool leave() {
        flush_before_end();
        // What has come back and was not looked at. What is being looked at, by another thread, is the owner's to free.
        std::array<segment_offset, 16> gone{};
        for (std::size_t count = gone.size(); count == gone.size();) {
            root_transaction tx = begin();
            count = collect_tasks(tx, self_.lists, gone);
            free_tasks(tx, node_, self_.lists, std::span(gone).first(count));
        }
        root_transaction tx = begin();
        leave_pool(tx, node_, self_);
        return false;
    }

    // What was in vain is tried for less time, and then hardly ever (as in executors/spinning.hpp).
    bool pays_to_look() noexcept {
        if (os::processor_count() == 1) return false;
        if (halvings_ < most_look_halvings) return true;
        if (++skipped_ < skips_between_looks) return false;
        skipped_ = 0;
        halvings_ = most_look_halvings - 1;
        return true;
    }

    void look(std::uint64_t seen) noexcept {
        const auto until = std::chrono::steady_clock::now() + longest_look / (1U << halvings_);
        for (int i = 0;; ++i) {
            // acquire: the lock says so again
            if (__atomic_load_n(&node_.changes, __ATOMIC_ACQUIRE) != seen) {
                halvings_ = 0;
                return;
            }
            pause_reader();
            if (i % 16 == 15 && std::chrono::steady_clock::now() >= until) break;
        }
        if (halvings_ < most_look_halvings) ++halvings_;
    }

    // Whether its limits say that another worker is to go on.
    bool is_used_up() {
        if (family_.max_tasks_per_worker != 0 && done_ >= family_.max_tasks_per_worker) return true;
        // One task each at least, whatever the program had before.
        if (family_.max_worker_memory == 0 || done_ == 0) return false;
        const auto now = std::chrono::steady_clock::now();
        if (now < next_memory_look_) return false;
        next_memory_look_ = now + between_memory_looks;
        return os::own_memory_bytes() > family_.max_worker_memory;
    }

    void run_task();

    std::uint64_t done_ = 0;  // items
    unsigned halvings_ = 0;   // of longest_look
    unsigned skipped_ = 0;
    std::chrono::steady_clock::time_point next_memory_look_{};

    friend class worker_run;
};

// The state that this_task refers to. It belongs to the worker; the task's own is its submitter's.
class worker_task final : public local_state {
private:
    void invoke() override {}
    void drop_call() noexcept override {}
};

// Of tasks that are done, and whose submitters have not let go of them.
struct results_there {
    std::uint64_t mix = 0;  // of where they are; 0: there are none
    bool has_finished = false;
};

class wait_for_room {
public:
    [[nodiscard]] bool may_go_on(const results_there& now_there) noexcept {
        const auto now = std::chrono::steady_clock::now();
        if (now_there.mix != mix_) changed_ = now;
        mix_ = now_there.mix;
        if (mix_ == 0 || now - begin_ >= longest_wait_for_room) return false;
        return now_there.has_finished || now - changed_ < longest_wait_for_kept;
    }

private:
    std::chrono::steady_clock::time_point begin_ = std::chrono::steady_clock::now();
    std::chrono::steady_clock::time_point changed_ = begin_;
    std::uint64_t mix_ = 0;
};

class worker_run final : public remote_run {
    static constexpr unsigned item_bits = 24;  // of a number; what is above them is another client's

public:
    worker_run(worker& of, task_record& task, std::uint32_t last)
        : remote_run(input_of(*of.family_.in, task), task.items_done, task.item_count, last), of_(of),
          task_(task) {
        const std::byte* const begin = frames();
        end_ = end_of_frames(begin, capacity(), task.items_done);
        if (end_ > capacity()) throw_corrupt(*of.family_.in, "results of a task make no sense");
    }

    [[nodiscard]] bool is_asked_to_stop() const noexcept override {
        // relaxed: a request, which orders nothing
        return load_word(task_.stop_asked) != 0 || (ask_at_ != 0 && monotonic_nanoseconds() >= ask_at_);
    }
    // Asked by a thread, which is made for who wants to know.
    [[nodiscard]] std::stop_token stop_token() override {
        if (!stop_watch_) {
            stop_watch_.emplace([this](const std::stop_token& is_over) {
                while (!is_over.stop_requested() && !is_asked_to_stop())
                    std::this_thread::sleep_for(between_stop_looks);
                if (!is_over.stop_requested()) stop_.request_stop();
            });
        }
        return stop_.get_token();
    }
    [[nodiscard]] int attempt() const noexcept override { return attempt_; }
    [[nodiscard]] std::uint64_t id() const noexcept override { return task_.id; }
    // A record is one task's after the other, with growing ids, and the items of a task come one after the other.
    [[nodiscard]] once_id once() const noexcept override {
        const segment& s = *of_.family_.in;
        const std::uint64_t client[] = {s.header().checksum, of_.family_.generation, s.offset_of(&task_),
                                        item() >> item_bits};
        const std::uint64_t number = task_.id << item_bits | (item() & ((1U << item_bits) - 1));
        return {hash_bytes(client, sizeof client, 0), number + 1};
    }

private:
    [[nodiscard]] std::byte* frames() noexcept {
        return of_.self_.scratch == 0 ? task_.inline_result
                                      : of_.family_.in->at<std::byte>(of_.self_.scratch);
    }
    [[nodiscard]] std::uint64_t capacity() const noexcept {
        return of_.self_.scratch == 0 ? inline_result_bytes : of_.self_.scratch_bytes;
    }

    // Results come faster than they are taken over: where they fill the segment, that is waited for.
    void grow(std::uint64_t bytes) {
        for (std::optional<wait_for_room> wait;; os::sleep_for(between_room_looks)) {
            try {
                root_transaction tx = of_.begin();
                grow_scratch(tx, of_.self_, bytes);
                return;
            } catch (const segment_full&) {
                if (!wait) wait.emplace();
                if (!wait->may_go_on(others_results())) throw;
            }
        }
    }

    // Without the lock: a hint, looked at again.
    [[nodiscard]] results_there others_results() const noexcept {
        results_there all;
        const auto add = [&all](const result_lists& lists) {
            for (const std::uint64_t first :
                 {load_word(lists.first_finished), load_word(lists.first_collected)})
                all.mix = all.mix * 31 + first;
            all.has_finished = all.has_finished || load_word(lists.first_finished) != 0;
        };
        add(of_.node_.lists);
        for (const worker_slot& each : of_.family_.all_places()) add(each.lists);
        return all;
    }

    [[nodiscard]] std::byte* room_ahead(std::size_t bytes) override {
        // A child that the task has forked makes no result.
        if (std::exchange(has_room_ahead_, true) || *process_mark != mark_) return nullptr;
        return room_for(bytes, false);
    }

    void item_begins(std::uint32_t index) override {
        has_room_ahead_ = false;
        attempt_ = index == first() ? static_cast<int>(task_.attempts) : 1;
        // Behind results of the dead there may be less than whoever settles the next death needs.
        if (end_ + death_frame_bytes > capacity()) {
            try {
                grow(end_ + death_frame_bytes);
            } catch (const segment_full&) {
                // As an attempt, and not as a death before it, which would be repeated for ever.
                __atomic_store_n(&of_.self_.progress, std::uint64_t{2} * index + 1, __ATOMIC_RELEASE);
                throw;
            }
        }
        std::uint64_t end = 0;
        if (task_.timeout != 0) {
            const std::uint64_t now = monotonic_nanoseconds();
            ask_at_ = task_.grace != 0 ? now + task_.timeout : 0;
            end = now + task_.timeout + task_.grace;
            store_word(of_.self_.deadline, end);
        }
        // release: after the deadline; whoever settles this sees both
        __atomic_store_n(&of_.self_.progress, std::uint64_t{2} * index + 1, __ATOMIC_RELEASE);
        if (end == 0) return;
        if (const auto error = os::set_own_end(end))
            throw system_failure("run a task: timer_create for its .timeout: " + error.message(), error);
    }

    std::byte* room_for(std::size_t bytes, bool is_exception) override {
        // A child that the task has forked has come back from it: the result is the worker's to give.
        if (*process_mark != mark_) worker::end(0);
        const std::uint64_t wanted = end_ + frame_bytes(bytes) + death_frame_bytes;
        if (wanted > capacity()) {
            // Of a run, as much as all of it will need if the rest is like this.
            const std::uint64_t items = count() - load_word(of_.self_.progress) / 2;
            const std::uint64_t all = end_ + items * frame_bytes(bytes) + death_frame_bytes;
            grow(std::max(wanted, std::min(all, wanted + largest_foresight)));
        }
        std::byte* const at = frames() + end_;
        const result_frame frame{bytes, is_exception ? frame_kind::exception : frame_kind::value, 0};
        copy_in_fixed<sizeof frame>(at, &frame);
        next_end_ = end_ + frame_bytes(bytes);
        return at + sizeof frame;
    }

    void item_has_ended(std::uint32_t index) noexcept override {
        end_ = next_end_;
        // release: pairs with whoever settles a death; the result is whole
        __atomic_store_n(&of_.self_.progress, std::uint64_t{2} * index + 2, __ATOMIC_RELEASE);
        if (of_.self_.deadline != 0) {
            // The timer first: one that fires between the two is a timeout of an item that has ended, which counts as what it is.
            static_cast<void>(os::set_own_end(0));
            store_word(of_.self_.deadline, 0);
        }
        ++of_.done_;
    }

    // So many bytes may be taken beyond what is needed now. Chosen freely.
    static constexpr std::uint64_t largest_foresight = 1U << 20U;

    worker& of_;
    task_record& task_;
    const std::uint64_t mark_ = *process_mark;
    std::stop_source stop_;
    std::optional<std::jthread> stop_watch_;  // uses it, and ends before it
    std::uint64_t end_ = 0;
    std::uint64_t next_end_ = 0;
    std::uint64_t ask_at_ = 0;
    int attempt_ = 1;
    bool has_room_ahead_ = false;
};

void worker::run_task() {
    task_record& task = task_at(*family_.in, self_.task);
    std::uint32_t last = task.item_count;
    if (family_.max_tasks_per_worker != 0) {
        const std::uint64_t left = family_.max_tasks_per_worker - done_;
        last = static_cast<std::uint32_t>(std::min<std::uint64_t>(last, task.items_done + left));
    }
    worker_task state;
    worker_run run(*this, task, last);
    const running_task here(state, &run);
    reinterpret_cast<task_entry>(task.callee)(run);
}

constinit bool is_worker_process = false;
constinit std::atomic<bool> has_exit_handler = false;

// exit() runs its handlers newest first: what tasks register runs before this, what the program had registered would come after it, but
// the process ends here.
void end_worker_by_exit(int code, void* /*context*/) noexcept {
    if (!is_worker_process) return;
    worker::end(code);
}

}  // namespace

// Here and not in the worker: a fork does not reset the lock of the list of handlers, which another thread of the program may hold.
void prepare_worker_exit() {
    // relaxed: two threads may register it twice, which does no harm
    if (has_exit_handler.load(std::memory_order_relaxed)) return;
    if (::on_exit(&end_worker_by_exit, nullptr) != 0) {
        const std::error_code no_memory(ENOMEM, std::generic_category());
        throw system_failure("make a pool: exit handler: " + no_memory.message(), no_memory);
    }
    has_exit_handler.store(true, std::memory_order_relaxed);
}

// The first result waits for it, so not by snprintf, whose pages each worker would have to touch.
static void name_worker(std::uint32_t index) noexcept {
    constexpr std::string_view begin = "cairn-worker-";
    std::array<char, 16> name{};
    std::copy(begin.begin(), begin.end(), name.begin());
    std::to_chars(name.data() + begin.size(), name.data() + name.size() - 1, index % 100U);
    os::name_own_thread(name.data());
}

void run_worker(pool_family& family, std::uint32_t index) noexcept {
    try {
        forget_inherited_output();
        name_worker(index);
        os::raise_oom_score_adj(family.oom_score_adj);
        is_worker_process = true;
        if (const auto error = os::die_with(family.owner_pidfd.get())) {
            root_transaction tx(*family.in, *family.slot, family.generation);
            record_failure(tx, family.pool(), "a worker cannot start: pthread_create: " + error.message());
            tx.commit();
            os::end_process(worker_start_failed);
        }
        os::set_worker_signals();
        worker(family, index).run();
    } catch (const abi::__forced_unwind&) {
        worker::end(0);
    } catch (...) {
        const exception_description thrown;
        std::fprintf(stderr, "cairn: worker %u of %s (pid %d) ended by %.*s: %.*s\n", index,
                     family.name.c_str(), static_cast<int>(os::own_pid()),
                     static_cast<int>(thrown.type().size()), thrown.type().data(),
                     static_cast<int>(thrown.text().size()), thrown.text().data());
        worker::end(worker_start_failed);
    }
}

}  // namespace cairn::inline CAIRN_ABI::detail

// SPDX-License-Identifier: BSL-1.0
#include "service/service_run.hpp"

#include <algorithm>
#include <array>
#include <chrono>
#include <csignal>
#include <cstdlib>
#include <string>
#include <utility>

#include <cxxabi.h>
#include <unistd.h>

#include "os/child.hpp"
#include "os/identity.hpp"
#include "os/notify_socket.hpp"
#include "os/process_title.hpp"
#include "os/signal_pipe.hpp"
#include "os/thread.hpp"
#include "process/describe_exception.hpp"
#include "process/stdio.hpp"

namespace cairn::inline CAIRN_ABI::detail {

namespace {

using std::chrono::milliseconds;

constexpr std::array<int, 4> manager_signals{SIGTERM, SIGINT, SIGHUP, SIGALRM};
// What a terminal and a parent send, both at once, is one.
constexpr std::uint64_t same_signal = 50'000'000;
// After a second signal a hook that does not return holds up the process no longer than that.
constexpr std::uint64_t last_patience = 2'000'000'000;
constexpr milliseconds longest_manager_sleep{10'000};
// How often guardian and nursery are looked for when the first is gone.
constexpr milliseconds lonely_sleep{100};
// So long the first process of a container leaves to the program to wait for a child of its own.
constexpr std::uint64_t orphan_patience = 5'000'000'000;
// A supervisor that has not looked for so long is not well; it looks each second.
constexpr std::uint64_t longest_unlooked = 5'000'000'000;

std::string environment(const char* name) {
    const char* const value = std::getenv(name);
    return value != nullptr ? value : "";
}
}  // namespace

service_notifier::service_notifier() : path_(environment("NOTIFY_SOCKET")) {
    const std::string pid = environment("WATCHDOG_PID");
    if (pid.empty() || pid == std::to_string(os::own_pid()))
        watchdog_ = std::strtoull(environment("WATCHDOG_USEC").c_str(), nullptr, 10) * 1000;
    if (path_.empty()) watchdog_ = 0;
}

void service_notifier::tell(const std::string& text) const noexcept {
    // Nobody is told of a failure: that is what the socket was for.
    if (!path_.empty()) static_cast<void>(os::send_datagram(path_, text));
}

template <typename Fn>
void service_run::for_each_hook(const char* what, const Fn& fn) {
    for (const service_hooks& each : family_.hooks) {
        try {
            fn(each);
        } catch (const abi::__forced_unwind&) {
            throw;
        } catch (...) {
            const exception_description thrown;
            family_.log(std::string(what) + " hook ended by " + thrown.type_and_text());
        }
    }
}

int service_run::run() {
    const sigset_t before = os::blocked_in_thread();
    family_.blocked = before;
    struct restorer {
        const sigset_t& mask;
        explicit restorer(const sigset_t& of) : mask(of) {}
        restorer(const restorer&) = delete;
        restorer& operator=(const restorer&) = delete;
        ~restorer() {
            os::close_signal_pipe();
            os::block_in_thread(mask);
        }
    } restore(before);
    {
        // A child has none delivered before it is ready, and the manager none before it can act on it.
        const os::blocked_signals until_all_are_there;
        if (const auto error = os::open_signal_pipe(manager_signals))
            throw system_failure("run services: pipe: " + error.message(), error);
        os::count_arrivals(SIGHUP, &table_.hangups);
        for (const int signal : {SIGTERM, SIGINT}) os::count_arrivals(signal, &table_.terminations);
        start_family();
        const auto error = os::start_quiet_joinable(
            signal_thread_,
            [](void* self) -> void* {
                os::name_own_thread("cairn-signals");
                static_cast<service_run*>(self)->read_signals();
                return nullptr;
            },
            this);
        if (error) {
            table_.stop = stop_order::kill;
            os::ring(family_.nursery_bell.get());
            supervise();
            throw system_failure("run services: thread: " + error.message(), error);
        }
    }
    os::unblock_in_thread(manager_signals);
    const std::string arguments = os::own_command_line();
    static_cast<void>(os::set_process_title(family_.program + ": master process [" + arguments + ']'));
    supervise();
    static_cast<void>(os::restore_process_title());
    is_over_ = true;
    os::ring(own_bell_.get());
    os::join_thread(signal_thread_);
    if (is_asked_to_kill_ || is_broken_ || table_.stop == stop_order::kill) return 1;
    return !is_ending_ && table_.has_given_up != 0 ? 1 : 0;
}

void service_run::start_family() {
    prepare_service_exit();
    flush_before_fork();
    if (const auto error = os::fork_process(guardian_))
        throw system_failure("run services: fork: " + error.message(), error);
    if (guardian_ == 0) run_service_guardian(family_);
    static_cast<void>(os::open_pidfd(guardian_, guardian_pidfd_));
}

void service_run::supervise() {
    for (;;) {
        if (table_.deaths != table_.deaths_read) call_of_deaths();
        if (!was_ready_ && !is_ending_ && table_.are_all_ready != 0) {
            was_ready_ = true;
            notify_.tell("READY=1");
            for_each_hook("on_ready", [](const service_hooks& each) {
                if (each.on_ready) each.on_ready();
            });
        }
        if ((is_asked_to_end_ || table_.is_ordered_to_end != 0) && !is_ending_) end_gracefully();
        if (is_asked_to_reload_.exchange(false) && !is_ending_) begin_reload();
        if (reload_number_ != 0 && table_.reload_done >= reload_number_) {
            reload_number_ = 0;
            // Not before the first READY=1, nor after STOPPING=1.
            if (is_told_of_reload_ && !is_ending_)
                notify_.tell(table_.reload_failed == failed_before_
                                 ? "READY=1\nSTATUS=reloaded"
                                 : "READY=1\nSTATUS=reload failed: the workers of before go on");
            is_told_of_reload_ = false;
        }
        feed_watchdog();
        reap_orphans();
        if (are_supervisors_gone()) break;

        milliseconds wait = is_guardian_gone_ ? lonely_sleep : longest_manager_sleep;
        if (os::is_first_process()) wait = std::min(wait, milliseconds(orphan_patience / 1'000'000));
        if (notify_.watchdog() != 0) wait = std::min(wait, milliseconds(notify_.watchdog() / 2'000'000 + 1));
        if (!guardian_pidfd_.valid()) wait = std::min(wait, lonely_sleep);
        const std::array<int, 2> fds{family_.manager_bell.get(),
                                     is_guardian_gone_ ? -1 : guardian_pidfd_.get()};
        std::array<bool, 2> readable{};
        os::wait_for_any(fds, readable, wait);
        if (readable[0]) os::silence(family_.manager_bell.get());
    }
    call_of_deaths();
    // Its workers were faster than it.
    if (table_.is_ordered_to_end != 0 && !is_ending_) end_gracefully();
}

void service_run::call_of_deaths() {
    if (const std::uint64_t lost = table_.deaths_lost; lost != lost_before_) {
        family_.log(std::to_string(lost - lost_before_) +
                    " deaths of workers were not told to hooks, which are late");
        lost_before_ = lost;
    }
    while (table_.deaths_read != table_.deaths) {
        const service_death death = table_.death_ring[table_.deaths_read % death_room];
        ++table_.deaths_read;
        if (death.service >= family_.services.size()) continue;
        for_each_hook("on_dead_worker", [&](const service_hooks& each) {
            if (each.on_dead_worker)
                each.on_dead_worker(family_.id_of(family_.services[death.service]), death.worker_id,
                                    death.code);
        });
    }
}

void service_run::end_gracefully() {
    is_ending_ = true;
    notify_.tell("STOPPING=1");
    for_each_hook("on_terminate", [](const service_hooks& each) {
        if (each.on_terminate) each.on_terminate();
    });
    stop_order none = stop_order::none;
    table_.stop.compare_exchange_strong(none, stop_order::graceful);
    os::ring(family_.nursery_bell.get());
}

void service_run::begin_reload() {
    const std::uint64_t hangups = table_.hangups;
    const auto microseconds = service_clock() / 1000;
    if (was_ready_) {
        notify_.tell("RELOADING=1\nMONOTONIC_USEC=" + std::to_string(microseconds));
        is_told_of_reload_ = true;
    }
    if (reload_number_ == 0) failed_before_ = table_.reload_failed;
    for_each_hook("on_reload", [](const service_hooks& each) {
        if (each.on_reload) each.on_reload();
    });
    reload_number_ = ++table_.reload_asked;
    table_.covered_hangups = hangups;
    os::ring(family_.nursery_bell.get());
}

void service_run::feed_watchdog() {
    const std::uint64_t now = service_clock();
    if (notify_.watchdog() == 0 || now - fed_at_ < notify_.watchdog() / 2) return;
    const std::uint64_t looked = table_.looked_at;
    if (table_.is_somebody_late != 0 || (looked != 0 && now > looked && now - looked > longest_unlooked))
        return;
    fed_at_ = now;
    notify_.tell("WATCHDOG=1");
}

// What workers leave behind comes to the nursery. Others in the container may leave something, too.
void service_run::reap_orphans() noexcept {
    if (!os::is_first_process()) return;
    const std::uint64_t now = service_clock();
    if (now - orphans_looked_for_at_ < orphan_patience) return;
    orphans_looked_for_at_ = now;
    orphans_.look(guardian_);
}

// True when all is over.
bool service_run::are_supervisors_gone() {
    if (!is_guardian_gone_) {
        os::child_status status;
        // Somebody else has reaped it: a program that waits for any child, or ignores SIGCHLD.
        const bool is_lost = os::try_reap_by_pid(guardian_, status) == std::errc::no_child_process;
        if (!status.ended && !is_lost) {
            // It has nothing left to do but to end, unless somebody has stopped it.
            if (table_.is_finished != 0 && !std::exchange(has_continued_guardian_, true) &&
                guardian_pidfd_.valid())
                static_cast<void>(os::signal_by_pidfd(guardian_pidfd_.get(), SIGCONT));
            return false;
        }
        is_guardian_gone_ = true;
        if (table_.is_finished == 0) family_.log("the guardian of the services was killed");
    }
    if (table_.is_finished != 0) return true;
    const std::uint64_t supervisor = table_.supervisor;
    if (supervisor != 0 && os::is_alive(supervisor)) return false;
    family_.log("guardian and nursery of the services were killed; the workers are killed, too");
    is_broken_ = true;
    // A nursery that has not said yet who it is would go on.
    table_.stop = stop_order::kill;
    os::ring(family_.nursery_bell.get());
    kill_workers();
    return true;
}

void service_run::signal_supervisors(int signal) noexcept {
    if (guardian_pidfd_.valid()) static_cast<void>(os::signal_by_pidfd(guardian_pidfd_.get(), signal));
    if (const std::uint64_t supervisor = table_.supervisor; supervisor != 0)
        static_cast<void>(os::signal_process(supervisor, signal));
}

// Nobody's children any more that would look after them.
void service_run::kill_workers() noexcept {
    for (service_family::member& of : family_.services) {
        for (std::size_t i = 0; i < of.record->used_places; ++i) {
            for (const worker_record& each : of.places[i].records) {
                const os::process_identity identity = each.identity;
                if (identity == 0) continue;
                os::unique_fd worker;
                // Opened, then compared: the pid may be somebody else's by now.
                if (os::open_pidfd(os::pid_of(identity), worker) || !os::is_alive(identity)) continue;
                static_cast<void>(os::signal_by_pidfd(worker.get(), SIGKILL));
                bool has_ended = false;
                static_cast<void>(os::wait_readable(worker.get(), milliseconds(1000), has_ended));
            }
        }
    }
}

// In a thread of its own: whatever hooks do, a second signal ends all.
void service_run::read_signals() noexcept {
    std::uint64_t first = 0;    // when
    std::uint64_t give_up = 0;  // when
    const auto kill_all = [&] {
        is_asked_to_kill_ = true;
        is_asked_to_end_ = true;
        table_.stop = stop_order::kill;
        signal_supervisors(SIGCONT);  // somebody may have stopped them
        os::ring(family_.nursery_bell.get());
        os::ring(family_.manager_bell.get());
        if (give_up == 0) give_up = service_clock() + last_patience;
    };
    const std::uint64_t patience =
        family_.options.graceful_shutdown_timeout.is_given()
            ? static_cast<std::uint64_t>(family_.options.graceful_shutdown_timeout.nanoseconds().count())
            : 0;
    while (!is_over_) {
        const std::uint64_t now = service_clock();
        // on_terminate hooks that do not return.
        const bool waits_for_hooks = first != 0 && patience != 0 && table_.stop == stop_order::none;
        if (waits_for_hooks && now - first > patience + last_patience) kill_all();
        if (give_up != 0 && now >= give_up + (table_.is_finished != 0 ? 0 : longest_unlooked)) {
            // Held by a debugger, or frozen: they would be left, and so what they were to kill.
            signal_supervisors(SIGKILL);
            if (table_.is_finished == 0) kill_workers();
            os::end_process(1);
        }
        const std::array<int, 2> fds{os::signal_pipe_descriptor(), own_bell_.get()};
        std::array<bool, 2> readable{};
        os::wait_for_any(fds, readable,
                         waits_for_hooks || give_up != 0 ? lonely_sleep : longest_manager_sleep);
        if (!readable[0]) continue;
        while (const int signal = os::read_signal()) {
            switch (signal) {
                case SIGTERM:
                case SIGINT:
                    if (first == 0) {
                        first = service_clock();
                        ask_to_end();
                    } else if (service_clock() - first >= same_signal) {
                        kill_all();
                    }
                    break;
                case SIGALRM: kill_all(); break;
                case SIGHUP: ask_to_reload(); break;
                default: break;
            }
        }
    }
}
}  // namespace cairn::inline CAIRN_ABI::detail

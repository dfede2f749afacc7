// service_run.hpp - one run() of a manager, in its own process: hooks, signals, systemd. Its workers are the supervisor's.
// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <atomic>
#include <cstdint>
#include <string>

#include <pthread.h>
#include <sys/types.h>

#include "os/orphans.hpp"
#include "os/supervision.hpp"
#include "os/unique_fd.hpp"
#include "service/service_table.hpp"
#include <cairn/error.hpp>

namespace cairn::inline CAIRN_ABI::detail {

// What systemd, or whoever has set NOTIFY_SOCKET, is told.
class service_notifier {
public:
    service_notifier();

    void tell(const std::string& text) const noexcept;
    /// Nanoseconds; 0: none.
    [[nodiscard]] std::uint64_t watchdog() const noexcept { return watchdog_; }

private:
    std::string path_;
    std::uint64_t watchdog_ = 0;
};

// One run(). Its first thread calls hooks; another one reads signals.
class service_run {
public:
    explicit service_run(service_family& family) : family_(family), table_(*family.table) { open(own_bell_); }
    service_run(const service_run&) = delete;
    service_run& operator=(const service_run&) = delete;
    ~service_run() = default;

    int run();

    // From any thread.
    void set_target(std::uint32_t service, int workers) noexcept {
        service_record& record = *family_.services[service].record;
        record.target = static_cast<std::uint64_t>(workers);
        ++record.revived;
        os::ring(family_.nursery_bell.get());
    }
    void ask_to_end() noexcept {
        is_asked_to_end_ = true;
        os::ring(family_.manager_bell.get());
    }
    void ask_to_reload() noexcept {
        is_asked_to_reload_ = true;
        os::ring(family_.manager_bell.get());
    }

private:
    static void open(os::unique_fd& bell) {
        if (const auto error = os::open_bell(bell))
            throw system_failure("run services: eventfd: " + error.message(), error);
    }

    void start_family();
    void supervise();
    void call_of_deaths();
    void end_gracefully();
    void begin_reload();
    void feed_watchdog();
    void reap_orphans() noexcept;
    void kill_workers() noexcept;
    void signal_supervisors(int signal) noexcept;
    [[nodiscard]] bool are_supervisors_gone();
    void read_signals() noexcept;

    template <typename Fn>
    void for_each_hook(const char* what, const Fn& fn);

    service_family& family_;
    service_table& table_;
    service_notifier notify_;
    os::unique_fd own_bell_;  // rung when the thread that reads signals is to end
    os::unique_fd guardian_pidfd_;
    pid_t guardian_ = 0;
    pthread_t signal_thread_{};
    std::atomic<bool> is_asked_to_end_{false};
    std::atomic<bool> is_asked_to_reload_{false};
    std::atomic<bool> is_asked_to_kill_{false};
    std::atomic<bool> is_over_{false};
    bool is_guardian_gone_ = false;
    bool is_ending_ = false;
    bool was_ready_ = false;
    bool is_broken_ = false;
    bool has_continued_guardian_ = false;
    bool is_told_of_reload_ = false;
    std::uint64_t reload_number_ = 0;  // that systemd waits for; 0: none
    std::uint64_t failed_before_ = 0;
    std::uint64_t lost_before_ = 0;
    std::uint64_t fed_at_ = 0;
    os::orphan_reaper orphans_;
    std::uint64_t orphans_looked_for_at_ = 0;
};
}  // namespace cairn::inline CAIRN_ABI::detail

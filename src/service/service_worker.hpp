// service_worker.hpp - the process of one worker of a service.
//
//   first thread     waits for signals, for the manager's end, and for what the other threads report; ends the process
//   service thread   makes the object, calls on_new_worker hooks, run()
//   others           one each for terminate(), and for reload()
//
// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <atomic>
#include <condition_variable>
#include <cstdint>
#include <memory>
#include <mutex>
#include <stop_token>
#include <string>

#include "os/unique_fd.hpp"
#include "service/service_table.hpp"
#include <cairn/service.hpp>

namespace cairn::inline CAIRN_ABI::detail {

class service_worker {
public:
    service_worker(service_family& family, service_family::member& of, int worker_id, worker_record& record);
    service_worker(const service_worker&) = delete;
    service_worker& operator=(const service_worker&) = delete;

    [[noreturn]] void run();
    /// In any thread of it: writes out what is buffered, and ends.
    [[noreturn]] static void end(int code) noexcept;

    // What cairn::service calls.
    void ready() noexcept;
    void beat() noexcept { record_.beats.fetch_add(1, std::memory_order_relaxed); }
    [[nodiscard]] int worker_id() const noexcept { return worker_id_; }
    [[nodiscard]] const std::string& name() const noexcept { return of_.kind.name; }
    [[nodiscard]] std::stop_token stop_token() const noexcept { return stop_.get_token(); }
    void wait_for_run();

    [[nodiscard]] bool is_this_process() const noexcept { return os::own_pid() == pid_; }

    /// Of this process; null where it is none.
    static service_worker* own() noexcept;

private:
    enum class phase { making, make_failed, made, has_run, run_failed };
    enum class step { idle, running, done, failed };

    void start_thread(void* (*body)(void*));
    void look_at_signals();
    void ask_to_end(const char* why);
    void step_on();
    [[noreturn]] void end_late();
    [[nodiscard]] std::string described() const;
    void log(const std::string& text) const noexcept;
    void report() noexcept;

    void run_service();
    void run_terminate();
    void run_reload();
    template <typename Fn>
    bool guarded(const char* what, const Fn& fn);
    template <typename Fn>
    void take_step(std::atomic<step>& to, const char* what, const Fn& fn);

    service_family& family_;
    service_family::member& of_;
    const int worker_id_;
    worker_record& record_;
    const pid_t pid_ = os::own_pid();
    os::unique_fd bell_;  // of this process: its threads ring
    std::stop_source stop_;
    std::unique_ptr<service> object_;
    std::atomic<phase> phase_{phase::making};
    std::atomic<step> terminate_{step::idle};
    std::atomic<step> reload_{step::idle};
    std::atomic<bool> is_told_to_end_{false};
    std::mutex mutex_;
    std::condition_variable has_run_;
    bool is_run_over_ = false;
    // Of the first thread alone.
    std::uint64_t deadline_ = 0;       // to end by; 0: none
    std::uint64_t reload_wanted_ = 0;  // generation
    std::uint64_t reload_running_ = 0;
    std::uint64_t reload_handled_ = 0;
    bool is_manager_dead_ = false;
};

}  // namespace cairn::inline CAIRN_ABI::detail

// SPDX-License-Identifier: BSL-1.0
#include "service/service_worker.hpp"

#include <algorithm>
#include <array>
#include <chrono>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <limits>

#include <cxxabi.h>

#include "base/never_destroyed.hpp"
#include "os/child.hpp"
#include "os/identity.hpp"
#include "os/process_title.hpp"
#include "os/signal_pipe.hpp"
#include "os/supervision.hpp"
#include "os/thread.hpp"
#include "process/describe_exception.hpp"
#include "process/stdio.hpp"
#include "segment/farewell.hpp"
#include "service/worker_output.hpp"
#include <cairn/error.hpp>

namespace cairn::inline CAIRN_ABI::detail {

namespace {

using std::chrono::milliseconds;

constexpr std::array<int, 3> worker_signals{SIGTERM, SIGHUP, SIGALRM};
constexpr std::array<int, 2> terminal_signals{SIGINT, SIGQUIT};

// A look at whether it has to end, for where a wake was missed. Nothing known needs it.
constexpr milliseconds longest_worker_sleep{10'000};
// What output may take that nobody reads, after the timeout.
constexpr std::uint64_t farewell_nanoseconds = 3'000'000'000;
// Where the manager is dead and the service may take for ever.
constexpr std::uint64_t longest_alone = 60'000'000'000;

constinit service_worker* own_worker = nullptr;
constinit std::atomic<bool> has_service_exit_handler = false;

// exit() runs its handlers newest first: what the service registers runs before this, what the program had registered would come after it,
// but the process ends here.
void end_worker_by_exit_handler(int code, void* /*context*/) noexcept {
    // A child that it has forked is none.
    if (own_worker != nullptr && own_worker->is_this_process()) service_worker::end(code);
}

}  // namespace

void prepare_service_exit() {
    // relaxed: two threads may register it twice, which does no harm
    if (has_service_exit_handler.load(std::memory_order_relaxed)) return;
    if (::on_exit(&end_worker_by_exit_handler, nullptr) != 0) {
        const std::error_code no_memory(ENOMEM, std::generic_category());
        throw system_failure("run services: exit handler: " + no_memory.message(), no_memory);
    }
    has_service_exit_handler.store(true, std::memory_order_relaxed);
}

service_worker* service_worker::own() noexcept {
    return own_worker;
}

service_worker::service_worker(service_family& family, service_family::member& of, int worker_id,
                               worker_record& record)
    : family_(family), of_(of), worker_id_(worker_id), record_(record) {}

std::string service_worker::described() const {
    return service_family::describe(of_, worker_id_, static_cast<std::uint64_t>(os::own_pid()));
}

void service_worker::log(const std::string& text) const noexcept {
    family_.log(text);
}

void service_worker::report() noexcept {
    os::ring(bell_.get());
}

void service_worker::end(int code) noexcept {
    flush_before_end();
    say_farewell();
    os::end_process(code);
}

void service_worker::ready() noexcept {
    if (record_.is_ready.exchange(1) == 0) os::ring(family_.nursery_bell.get());
}

void service_worker::wait_for_run() {
    std::unique_lock held(mutex_);
    has_run_.wait(held, [this] { return is_run_over_; });
}

// -- the first thread -----------------------------------------------------------------------------------------------

void service_worker::start_thread(void* (*body)(void*)) {
    pthread_t thread{};
    if (const auto error = os::start_thread(thread, body, this)) {
        log(described() + " cannot start a thread: " + error.message());
        end(worker_threw);
    }
    ::pthread_detach(thread);
}

void service_worker::run() {
    own_worker = this;
    if (const auto error = os::open_bell(bell_)) {
        log(described() + " cannot start: eventfd: " + error.message());
        end(worker_threw);
    }
    if (const auto error = os::open_signal_pipe(worker_signals)) {
        log(described() + " cannot start: pipe: " + error.message());
        end(worker_threw);
    }
    os::disregard_signals(terminal_signals);
    // What came since the fork comes now.
    os::block_in_thread(family_.blocked);
    os::unblock_in_thread(worker_signals);
    start_thread([](void* self) -> void* {
        static_cast<service_worker*>(self)->run_service();
        return nullptr;
    });
    for (;;) {
        step_on();
        milliseconds wait = longest_worker_sleep;
        if (deadline_ != 0) {
            const std::uint64_t now = service_clock();
            if (now >= deadline_) end_late();
            wait = std::min(wait, milliseconds((deadline_ - now) / 1'000'000 + 1));
        }
        const std::array<int, 3> fds{os::signal_pipe_descriptor(), bell_.get(),
                                     is_manager_dead_ ? -1 : family_.manager_pidfd.get()};
        std::array<bool, 3> readable{};
        os::wait_for_any(fds, readable, wait);
        if (readable[0]) look_at_signals();
        if (readable[1]) os::silence(bell_.get());
        if (readable[2]) {
            is_manager_dead_ = true;
            ask_to_end("Parent process has died unexpectedly");
        }
    }
}

void service_worker::look_at_signals() {
    while (const int signal = os::read_signal()) {
        switch (signal) {
            case SIGTERM: ask_to_end("Caught SIGTERM signal"); break;
            case SIGALRM: end_late();
            case SIGHUP:
                if (const std::uint64_t told = record_.told_reload;
                    told > reload_handled_ && told > reload_running_) {
                    reload_wanted_ = told;
                } else {
                    // From somebody else: whether that is one with what the manager is told is seen there.
                    record_.asks_reload = 1;
                    os::ring(family_.nursery_bell.get());
                }
                break;
            default: break;
        }
    }
}

void service_worker::ask_to_end(const char* why) {
    if (is_told_to_end_.exchange(true)) return;
    std::uint64_t longest = family_.graceful_nanoseconds(of_);
    if (longest == 0 && is_manager_dead_) longest = longest_alone;
    if (longest != 0) {
        deadline_ = service_clock() + longest;
        // Also where the end itself takes too long, for output that nobody reads.
        static_cast<void>(os::set_own_end(deadline_ + farewell_nanoseconds));
    }
    if (!is_manager_dead_ && family_.table->stop != stop_order::none) return;  // all are: no news
    log(std::string(why) + ", graceful exiting of service " + described());
}

void service_worker::end_late() {
    const std::uint64_t timeout = family_.graceful_nanoseconds(of_);
    if (deadline_ != 0 && service_clock() >= deadline_ && timeout != 0) {
        std::array<char, 64> seconds{};
        std::snprintf(seconds.data(), seconds.size(), "%g", static_cast<double>(timeout) / 1e9);
        log(std::string("Graceful shutdown timeout (") + seconds.data() + ") exceeded, exiting " +
            described() + " now.");
    }
    os::end_process(worker_timed_out);
}

void service_worker::step_on() {
    const phase now = phase_;
    if (now == phase::make_failed || terminate_ == step::failed) end(worker_threw);
    if (terminate_ == step::done) end(now == phase::run_failed ? worker_threw : 0);
    if (now == phase::run_failed && !is_told_to_end_) end(worker_threw);
    if (reload_ == step::done || reload_ == step::failed) {
        if (reload_ == step::failed) record_.failed_reload = reload_running_;
        record_.has_reloaded = reload_running_;
        reload_handled_ = std::max(reload_handled_, reload_running_);
        reload_ = step::idle;
        os::ring(family_.nursery_bell.get());
    }
    if (now == phase::making) return;
    if (is_told_to_end_) {
        if (terminate_ != step::idle) return;
        terminate_ = step::running;
        start_thread([](void* self) -> void* {
            static_cast<service_worker*>(self)->run_terminate();
            return nullptr;
        });
        return;
    }
    // It would be started again for nothing, with the other policy.
    if (now == phase::has_run && of_.options.restart != restart::permanent) end(0);
    if (reload_wanted_ > reload_handled_ && reload_ == step::idle) {
        reload_running_ = reload_wanted_;
        reload_ = step::running;
        start_thread([](void* self) -> void* {
            static_cast<service_worker*>(self)->run_reload();
            return nullptr;
        });
    }
}

// -- its other threads ----------------------------------------------------------------------------------------------

// False where it threw, which is said on stderr.
template <typename Fn>
bool service_worker::guarded(const char* what, const Fn& fn) {
    try {
        fn();
        return true;
    } catch (const abi::__forced_unwind&) {
        throw;  // pthread_exit: as if it had returned; who calls this sees to that
    } catch (...) {
        const exception_description thrown;
        log(described() + ' ' + what + " ended by " + thrown.type_and_text());
        return false;
    }
}

void service_worker::run_service() {
    // Whatever ends the thread.
    struct ending {
        service_worker& of;
        phase last = phase::make_failed;
        explicit ending(service_worker& worker) : of(worker) {}
        ending(const ending&) = delete;
        ending& operator=(const ending&) = delete;
        ~ending() {
            {
                const std::lock_guard held(of.mutex_);
                of.is_run_over_ = true;
            }
            of.has_run_.notify_all();
            of.phase_ = last;
            of.report();
        }
    } end_of_thread(*this);
    if (!guarded("constructor", [this] { object_ = of_.kind.make(); })) return;
    if (!is_told_to_end_) {
        for (const service_hooks& each : family_.hooks) {
            if (!each.on_new_worker) continue;
            guarded("on_new_worker hook",
                    [&] { each.on_new_worker(family_.id_of(of_), worker_id_, *object_); });
        }
    }
    if (!of_.kind.says_ready) ready();
    end_of_thread.last = phase::has_run;
    phase_ = phase::made;
    report();
    if (is_told_to_end_) return;
    if (!guarded("run()", [this] { object_->run(); })) end_of_thread.last = phase::run_failed;
}

// The calling thread's step: told to the first thread, whatever ends it.
template <typename Fn>
void service_worker::take_step(std::atomic<step>& to, const char* what, const Fn& fn) {
    struct ending {
        service_worker& of;
        std::atomic<step>& to;
        step last = step::done;
        ending(service_worker& worker, std::atomic<step>& told) : of(worker), to(told) {}
        ending(const ending&) = delete;
        ending& operator=(const ending&) = delete;
        ~ending() {
            to = last;
            of.report();
        }
    } end_of_thread(*this, to);
    if (!guarded(what, fn)) end_of_thread.last = step::failed;
}

void service_worker::run_terminate() {
    take_step(terminate_, "terminate()", [this] {
        stop_.request_stop();
        object_->terminate();
    });
}

void service_worker::run_reload() {
    take_step(reload_, "reload()", [this] { object_->reload(); });
}

// -- the process ----------------------------------------------------------------------------------------------------

void run_service_worker(service_family& family, std::size_t service, int worker_id,
                        worker_record& record) noexcept {
    service_family::member& of = family.services[service];
    // The supervisor does the same, unless it was killed in between: then its successor knows this process by that.
    record.identity = os::own_identity();
    record.pid = static_cast<std::uint64_t>(os::own_pid());
    try {
        forget_inherited_output();
        const std::string title = of.kind.name + " worker(" + std::to_string(worker_id) + ')';
        os::name_own_thread((of.kind.name + '(' + std::to_string(worker_id) + ')').c_str());
        static_cast<void>(os::set_process_title(family.program + ": " + title));
        write_whole_lines(family.options.prefix_output
                              ? of.kind.name + '(' + std::to_string(worker_id) + "): "
                              : std::string());
        // As long as the process: its threads are.
        (new service_worker(family, of, worker_id, record))->run();
    } catch (...) {
        const exception_description thrown;
        std::fprintf(stderr, "cairn: %s worker(%d) cannot start: %.*s\n", of.kind.name.c_str(), worker_id,
                     static_cast<int>(thrown.text().size()), thrown.text().data());
        os::end_process(worker_threw);
    }
}

}  // namespace cairn::inline CAIRN_ABI::detail

namespace cairn::inline CAIRN_ABI {

namespace {

// Of a service that is not in a worker.
detail::never_destroyed<std::string> no_name;

}  // namespace

service::service() noexcept : worker_(detail::service_worker::own()), pid_(detail::os::own_pid()) {}
service::~service() = default;

void service::run() {}
void service::terminate() {}
// One that is not overridden is never called: the manager starts another worker instead.
void service::reload() {}

void service::ready() noexcept {
    if (worker_ != nullptr) worker_->ready();
}

void service::beat() noexcept {
    if (worker_ != nullptr) worker_->beat();
}

int service::worker_id() const noexcept {
    return worker_ != nullptr ? worker_->worker_id() : 0;
}

const std::string& service::name() const noexcept {
    return worker_ != nullptr ? worker_->name() : no_name.get();
}

std::stop_token service::stop_token() const noexcept {
    return worker_ != nullptr ? worker_->stop_token() : std::stop_token();
}

void service::wait_for_run() const {
    if (worker_ != nullptr) worker_->wait_for_run();
}

}  // namespace cairn::inline CAIRN_ABI

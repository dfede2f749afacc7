// service_manager.cpp - the manager's own process: options, signals, hooks, systemd.
// SPDX-License-Identifier: BSL-1.0
#include "cairn/service_manager.hpp"

#include <algorithm>
#include <array>
#include <atomic>
#include <chrono>
#include <csignal>
#include <cstdlib>
#include <cstring>
#include <limits>
#include <mutex>
#include <new>
#include <optional>
#include <ostream>
#include <string>
#include <utility>
#include <vector>

#include <cxxabi.h>
#include <unistd.h>

#include "os/child.hpp"
#include "os/identity.hpp"
#include "os/notify_socket.hpp"
#include "os/probe.hpp"
#include "os/process_title.hpp"
#include "os/signal_pipe.hpp"
#include "os/supervision.hpp"
#include "os/thread.hpp"
#include "process/describe_exception.hpp"
#include "process/stdio.hpp"
#include "segment/lock_timeout.hpp"
#include "segment/registry.hpp"
#include "service/service_set.hpp"
#include "service/service_table.hpp"
#include <cairn/detail/os/lock_limit.hpp>
#include <cairn/error.hpp>

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
// A supervisor that has not looked for so long is not well; it looks each second.
constexpr std::uint64_t longest_unlooked = 5'000'000'000;
constexpr std::size_t longest_service_name = 200;
static_assert(longest_service_name == service_name_room);
// For the last word in a segment whose lock somebody holds.
constexpr milliseconds last_lock_patience{1000};
// For the set's lock when run() begins: it is held for microseconds, unless its holder is stopped.
constexpr milliseconds first_lock_patience{2000};

std::atomic<std::uint64_t> managers_made = 0;
std::atomic<pid_t> running_in = 0;  // run() is under way in this process

std::string environment(const char* name) {
    const char* const value = std::getenv(name);
    return value != nullptr ? value : "";
}

// Made by run(), which ends it.
class shared_table {
public:
    explicit shared_table(std::size_t services)
        : places_offset_(sizeof(service_table) + services * sizeof(service_record)),
          bytes_(places_offset_ + services * most_service_workers * sizeof(service_place)) {
        if (const auto error = os::map_shared_with_children(bytes_, memory_))
            throw system_failure("run services: mmap: " + error.message(), error);
        // All words begin as 0, which the memory is.
        table_ = new (memory_) service_table;
    }
    shared_table(const shared_table&) = delete;
    shared_table& operator=(const shared_table&) = delete;
    ~shared_table() { os::unmap_shared(memory_, bytes_); }

    [[nodiscard]] service_table* table() const noexcept { return table_; }
    [[nodiscard]] service_record* service(std::size_t i) const noexcept {
        return reinterpret_cast<service_record*>(static_cast<std::byte*>(memory_) + sizeof(service_table)) +
               i;
    }
    [[nodiscard]] service_place* places(std::size_t i) const noexcept {
        return reinterpret_cast<service_place*>(static_cast<std::byte*>(memory_) + places_offset_) +
               i * most_service_workers;
    }

private:
    std::size_t places_offset_;
    std::size_t bytes_;
    void* memory_ = nullptr;
    service_table* table_ = nullptr;
};

}  // namespace

class service_run;

// What systemd, or whoever has set NOTIFY_SOCKET, is told.
class service_notifier {
public:
    service_notifier() : path_(environment("NOTIFY_SOCKET")) {
        const std::string pid = environment("WATCHDOG_PID");
        if (pid.empty() || pid == std::to_string(os::own_pid()))
            watchdog_ = std::strtoull(environment("WATCHDOG_USEC").c_str(), nullptr, 10) * 1000;
        if (path_.empty()) watchdog_ = 0;
    }

    void tell(const std::string& text) const noexcept {
        // Nobody is told of a failure: that is what the socket was for.
        if (!path_.empty()) static_cast<void>(os::send_datagram(path_, text));
    }
    /// Nanoseconds; 0: none.
    [[nodiscard]] std::uint64_t watchdog() const noexcept { return watchdog_; }

private:
    std::string path_;
    std::uint64_t watchdog_ = 0;
};

std::uint64_t service_clock() noexcept {
    return static_cast<std::uint64_t>(std::chrono::duration_cast<std::chrono::nanoseconds>(
                                          std::chrono::steady_clock::now().time_since_epoch())
                                          .count());
}

void service_family::log(const std::string& text) const noexcept {
    if (options.quiet) return;
    try {
        os::write_without_signal(STDERR_FILENO, "cairn: " + text + '\n');
    } catch (const std::bad_alloc&) {
        // Then without words.
    }
}

std::uint64_t service_family::graceful_nanoseconds(const member& of) const noexcept {
    const time_limit& own = of.options.graceful_shutdown_timeout;
    const time_limit& limit = own.is_given() ? own : options.graceful_shutdown_timeout;
    return limit.is_given() ? static_cast<std::uint64_t>(limit.nanoseconds().count()) : 0;
}

std::string plain_class_name(const std::type_info& type) {
    int status = 0;
    const std::unique_ptr<char, void (*)(void*)> demangled(
        abi::__cxa_demangle(type.name(), nullptr, nullptr, &status), &std::free);
    const std::string name = demangled != nullptr ? demangled.get() : type.name();
    std::size_t begin = 0;
    int depth = 0;  // of template arguments, and of the parameters of a function that a local class is in
    for (std::size_t i = 0; i < name.size(); ++i) {
        if (name[i] == '<' || name[i] == '(') ++depth;
        else if (name[i] == '>' || name[i] == ')') --depth;
        else if (depth == 0 && name[i] == ':' && i + 1 < name.size() && name[i + 1] == ':') begin = i + 2;
    }
    return name.substr(begin);
}

class service_manager_state {
public:
    explicit service_manager_state(const service_manager_options& options) : options_(options) {}

    service_id add(const service_options& options, service_kind kind);
    void reconfigure(service_id id, int workers);
    void add_hooks(service_hooks hooks);
    int run();
    void shutdown();
    void reload();

private:
    struct described_service {
        service_kind kind;
        service_options options;
        int target;
    };

    void require_own_process(const char* operation) const;
    void require_not_running(const char* operation) const;

    const service_manager_options options_;
    const std::uint64_t number_ = ++managers_made;
    const pid_t creator_ = os::own_pid();
    std::mutex mutex_;
    std::vector<described_service> services_;
    std::vector<service_hooks> hooks_;
    bool is_told_to_end_ = false;     // before run()
    service_run* running_ = nullptr;  // under mutex_
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
    void kill_workers() noexcept;
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
    bool is_told_of_reload_ = false;
    std::uint64_t reload_number_ = 0;  // that systemd waits for; 0: none
    std::uint64_t failed_before_ = 0;
    std::uint64_t lost_before_ = 0;
    std::uint64_t fed_at_ = 0;
};

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
        if (are_supervisors_gone()) break;

        milliseconds wait = is_guardian_gone_ ? lonely_sleep : longest_manager_sleep;
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

// True when all is over.
bool service_run::are_supervisors_gone() {
    if (!is_guardian_gone_) {
        os::child_status status;
        // Somebody else has reaped it: a program that waits for any child, or ignores SIGCHLD.
        const bool is_lost = os::try_reap_by_pid(guardian_, status) == std::errc::no_child_process;
        if (!status.ended && !is_lost) return false;
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
        if (give_up != 0 && now >= give_up + (table_.is_finished != 0 ? 0 : longest_unlooked))
            os::end_process(1);
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

namespace {

// Threads of Cairn's own are quiet, and hold no lock of the user's.
void warn_of_other_threads() noexcept {
    try {
        const std::size_t others = os::count_threads_but("cairn-");
        if (others <= 1) return;
        os::write_without_signal(
            STDERR_FILENO,
            "cairn: service_manager::run() is called in a program that has " + std::to_string(others) +
                " threads. Workers are copies of the program as it is now: a lock that another thread holds "
                "stays locked there. Make threads in on_ready, or in the services.\n");
    } catch (const std::exception&) {
        // Then without the warning.
    }
}

// The services in a segment, from the beginning of run() to its end.
class registered_set {
public:
    registered_set(service_family& family, const std::string& name) : family_(family) {
        if (name.empty()) return;
        std::vector<service_description> all;
        std::uint64_t workers = 0;
        for (const service_family::member& each : family.services) {
            all.push_back(
                {each.kind.name, static_cast<std::uint32_t>(each.options.restart), each.record->target});
            workers += each.record->target;
        }
        // Each worker is attached, and in a reload its successor as well.
        const auto participants =
            static_cast<std::uint32_t>(std::min<std::uint64_t>(2 * workers + 1024, 65536));
        segment_ = manager::open_or_create(name, {.max_participants = participants});
        family.set = service_set_access::make(*segment_);
        const lock_watch watch(family.set.slot->lock);
        try {
            const operation_limit limit{.deadline = deadline_after(first_lock_patience)};
            const limited_locks in_time(limit);
            take_set(all);
        } catch (const limit_reached&) {
            watch.throw_timeout("run services '" + name + "'");
        }
    }
    registered_set(const registered_set&) = delete;
    registered_set& operator=(const registered_set&) = delete;
    ~registered_set() {
        if (!family_.set.in || family_.incarnation == 0) return;
        try {
            const operation_limit limit{.deadline = deadline_after(last_lock_patience)};
            const limited_locks in_time(limit);
            root_transaction tx(*family_.set.in, *family_.set.slot, family_.set.generation);
            service_set_node& node = service_set_at(tx.in(), family_.set.node);
            if (node.incarnation == family_.incarnation) end_set(tx, node);
        } catch (const limit_reached&) {
            // Whoever looks finds a manager that does not run any more, once this process has ended.
        } catch (const std::bad_alloc&) {
            // The same.
        } catch (const error&) {
            // The same.
        }
    }

private:
    void take_set(const std::vector<service_description>& all) {
        root_transaction tx(*family_.set.in, *family_.set.slot, family_.set.generation);
        service_set_node& node = service_set_at(tx.in(), family_.set.node);
        if (const os::process_identity other = running_manager(node))
            throw segment_exists(
                "run services '" + segment_->name() + "': a manager runs under that name, process " +
                std::to_string(os::pid_of(other)) + " (" + std::string(program_of_manager(node)) +
                "); end that one first, or give this one another name");
        std::array<char, 32> program{};
        const os::process_identity own = os::own_identity(program);
        begin_set(tx, node, own, {program.data(), ::strnlen(program.data(), program.size())}, all);
        family_.incarnation = node.incarnation;
    }

    service_family& family_;
    std::optional<manager> segment_;
};

[[noreturn]] void refuse_argument(const std::string& operation, const std::string& what) {
    throw invalid_argument(operation + ": " + what);
}

}  // namespace

void service_manager_state::require_own_process(const char* operation) const {
    if (creator_ != os::own_pid())
        throw invalid_state(std::string(operation) +
                            ": this is a forked child of the manager's process (pid " +
                            std::to_string(creator_) + "); only that may do it");
}

void service_manager_state::require_not_running(const char* operation) const {
    if (running_ != nullptr)
        throw invalid_state(std::string(operation) + ": the manager runs; do it before run()");
}

service_id service_manager_state::add(const service_options& options, service_kind kind) {
    require_own_process("add service");
    const std::string operation = "add service '" + kind.name + "'";
    if (kind.name.empty() || kind.name.size() > longest_service_name ||
        kind.name.find_first_of(std::string_view("\0\n", 2)) != std::string::npos)
        refuse_argument(operation, "its name has to have 1 to 200 bytes, on one line");
    if (options.workers < 1 || options.workers > most_service_workers)
        refuse_argument(operation, "workers is " + std::to_string(options.workers) + ", expected 1 to " +
                                       std::to_string(most_service_workers));
    if (options.max_restarts && (*options.max_restarts < 0 || *options.max_restarts > most_counted_restarts))
        refuse_argument(operation, "max_restarts is " + std::to_string(*options.max_restarts) +
                                       ", expected 0 to " + std::to_string(most_counted_restarts));
    if (!options.backoff.first.is_given() || !options.backoff.most.is_given() ||
        options.backoff.first.nanoseconds() > options.backoff.most.nanoseconds())
        refuse_argument(operation, "backoff is to have a first wait and a longest that is not shorter");
    for (const auto& [limit, name] :
         {std::pair(&options.heartbeat, "heartbeat"), std::pair(&options.ready_timeout, "ready_timeout"),
          std::pair(&options.within, "within")})
        if (limit->is_given() && limit->nanoseconds().count() == 0)
            refuse_argument(operation, std::string(name) + " is 0 or less; leave it out for none");
    const std::lock_guard held(mutex_);
    require_not_running("add service");
    services_.push_back({std::move(kind), options, options.workers});
    return {number_, static_cast<std::uint32_t>(services_.size() - 1)};
}

void service_manager_state::reconfigure(service_id id, int workers) {
    require_own_process("reconfigure service");
    const std::lock_guard held(mutex_);
    if (id.manager_ != number_ || id.index_ >= services_.size())
        refuse_argument("reconfigure service", "the id is of another manager");
    described_service& of = services_[id.index_];
    if (workers < 0 || workers > most_service_workers)
        refuse_argument("reconfigure service '" + of.kind.name + "'",
                        "workers is " + std::to_string(workers) + ", expected 0 to " +
                            std::to_string(most_service_workers));
    of.target = workers;
    if (running_ != nullptr) running_->set_target(id.index_, workers);
}

void service_manager_state::add_hooks(service_hooks hooks) {
    require_own_process("register hooks");
    const std::lock_guard held(mutex_);
    require_not_running("register hooks");
    hooks_.push_back(std::move(hooks));
}

void service_manager_state::shutdown() {
    require_own_process("shut services down");
    const std::lock_guard held(mutex_);
    is_told_to_end_ = true;
    if (running_ != nullptr) running_->ask_to_end();
}

void service_manager_state::reload() {
    require_own_process("reload services");
    const std::lock_guard held(mutex_);
    if (running_ != nullptr) running_->ask_to_reload();
}

int service_manager_state::run() {
    require_own_process("run services");
    std::unique_lock held(mutex_);
    if (services_.empty()) throw invalid_state("run services: no service was added");
    if (!options_.name.empty() && services_.size() > most_services)
        refuse_argument("run services '" + options_.name + "'",
                        std::to_string(services_.size()) + " services were added, expected " +
                            std::to_string(most_services) + " at most for a manager with a name");
    // One run() for each process: signals and the title are its own.
    pid_t nobody = running_in.load();
    if (nobody == os::own_pid() || !running_in.compare_exchange_strong(nobody, os::own_pid()))
        throw invalid_state("run services: a manager runs in this process already");
    struct mark {
        mark() = default;
        mark(const mark&) = delete;
        mark& operator=(const mark&) = delete;
        ~mark() { running_in = 0; }
    } const is_running;
    if (std::exchange(is_told_to_end_, false)) return 0;
    prepare_process();
    warn_of_other_threads();

    const shared_table shared(services_.size());
    service_family family;
    family.options = options_;
    family.hooks = hooks_;
    family.manager = number_;
    family.program = os::program_name();
    family.manager_pid = os::own_pid();
    family.table = shared.table();
    for (std::size_t i = 0; i < services_.size(); ++i) {
        family.services.push_back({services_[i].kind, services_[i].options, static_cast<std::uint32_t>(i),
                                   shared.service(i), shared.places(i)});
        shared.service(i)->target = static_cast<std::uint64_t>(services_[i].target);
    }
    for (os::unique_fd* const bell : {&family.nursery_bell, &family.manager_bell})
        if (const auto error = os::open_bell(*bell))
            throw system_failure("run services: eventfd: " + error.message(), error);
    // The owner opens it, so that it is the owner's, whatever becomes of the pid.
    if (const auto error = os::open_pidfd(os::own_pid(), family.manager_pidfd))
        throw system_failure("run services: pidfd_open: " + error.message(), error);

    const registered_set registered(family, options_.name);
    service_run here(family);
    running_ = &here;
    held.unlock();
    struct unset {
        service_manager_state& of;
        explicit unset(service_manager_state& state) : of(state) {}
        unset(const unset&) = delete;
        unset& operator=(const unset&) = delete;
        ~unset() {
            const std::lock_guard locked(of.mutex_);
            of.running_ = nullptr;
            of.is_told_to_end_ = false;
        }
    } const not_running_then(*this);
    return here.run();
}

void drop_service_manager_state::operator()(service_manager_state* state) const noexcept {
    delete state;
}

}  // namespace cairn::inline CAIRN_ABI::detail

namespace cairn::inline CAIRN_ABI {

std::ostream& operator<<(std::ostream& out, const service_id& id) {
    return out << "service-" << id.manager_ << '.' << id.index_;
}

service_manager::service_manager(const service_manager_options& options)
    : state_(new detail::service_manager_state(options)) {}
service_manager::~service_manager() = default;

service_id service_manager::add_service(const service_options& options, detail::service_kind kind) {
    return state_->add(options, std::move(kind));
}

void service_manager::reconfigure(service_id id, int workers) {
    state_->reconfigure(id, workers);
}

void service_manager::register_hooks(service_hooks hooks) {
    state_->add_hooks(std::move(hooks));
}

int service_manager::run() {
    return state_->run();
}

void service_manager::shutdown() {
    state_->shutdown();
}

void service_manager::reload() {
    state_->reload();
}

}  // namespace cairn::inline CAIRN_ABI

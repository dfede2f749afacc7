// service_manager.cpp - what a manager is told, and what there has to be before it runs (service_run.hpp).
// SPDX-License-Identifier: BSL-1.0
#include "cairn/service_manager.hpp"

#include <algorithm>
#include <array>
#include <atomic>
#include <chrono>
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
#include "os/probe.hpp"
#include "os/process_title.hpp"
#include "os/signal_pipe.hpp"
#include "os/supervision.hpp"
#include "os/thread.hpp"
#include "segment/lock_timeout.hpp"
#include "segment/registry.hpp"
#include "service/service_run.hpp"
#include "service/service_set.hpp"
#include "service/service_table.hpp"
#include <cairn/detail/os/lock_limit.hpp>
#include <cairn/error.hpp>

namespace cairn::inline CAIRN_ABI::detail {

namespace {

using std::chrono::milliseconds;

constexpr std::size_t longest_service_name = 200;
static_assert(longest_service_name == service_name_room);
// For the last word in a segment whose lock somebody holds.
constexpr milliseconds last_lock_patience{1000};
// For the set's lock when run() begins: it is held for microseconds, unless its holder is stopped.
constexpr milliseconds first_lock_patience{2000};

std::atomic<std::uint64_t> managers_made = 0;
std::atomic<pid_t> running_in = 0;  // run() is under way in this process

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
            take_set(name, all);
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
    void take_set(const std::string& name, const std::vector<service_description>& all) {
        root_transaction tx(*family_.set.in, *family_.set.slot, family_.set.generation);
        service_set_node& node = service_set_at(tx.in(), family_.set.node);
        if (const os::process_identity other = running_manager(node))
            throw segment_exists("run services '" + name + "': a manager runs under that name, process " +
                                 std::to_string(os::pid_of(other)) + " (" +
                                 std::string(program_of_manager(node)) +
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

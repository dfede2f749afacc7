// service_table.hpp - what the processes of a running service manager have in common.
//
//   manager ── guardian ── nursery ── workers
//
// Stored        in memory that run() shares with the processes it forks, and nobody else. Each word is written by one process: the manager,
//               the supervisor (the nursery, or the guardian when that has been killed), or the worker that a record is of.
// Death         of the nursery: the guardian goes on from the words as they stand. Each order in which they are written leaves at worst a
//               child that no record knows, which is killed as an orphan, or a record without a process, which is empty. What the death
//               of a worker means is one step (worker_death.hpp).
//               Of the manager: guardian, nursery and workers each see it by its pidfd.
//
// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <span>
#include <string>
#include <vector>

#include <signal.h>

#include "os/child.hpp"
#include "os/unique_fd.hpp"
#include <cairn/detail/containers/object_handle.hpp>
#include <cairn/service_manager.hpp>

namespace cairn::inline CAIRN_ABI::detail {

/// For each service; memory for those that are never started is not touched.
constexpr int most_service_workers = 4096;
constexpr int most_counted_restarts = 1000;

using shared_word = std::atomic<std::uint64_t>;
static_assert(shared_word::is_always_lock_free);

enum class service_stage : std::uint64_t {
    none,
    starting,
    ready,
    stopping,  // told to end
    killed,    // as it did not end in time, or was to be killed: planned
    failed,    // killed for what it did: not ready in time, or no heartbeat
};

/// One process.
struct worker_record {
    // By the supervisor.
    std::atomic<service_stage> stage;
    // These two by the worker as well, the same: a nursery may be killed between the fork and this.
    shared_word pid;       // 0: none, or not known yet
    shared_word identity;  // os::process_identity of it, for processes that are not its parent
    std::uint64_t generation;
    std::uint64_t started;   // monotonic nanoseconds, as all times here
    std::uint64_t deadline;  // of what its stage waits for; 0: none
    std::uint64_t seen_beats;
    std::uint64_t seen_at;
    std::uint64_t reload_until;
    std::uint64_t shown_beats;
    std::uint64_t beat_at;    // when they had changed last; 0: never
    shared_word told_reload;  // generation
    // What was sent: written after the signals that these words above are the decision for.
    std::uint64_t was_told_to_end;
    std::uint64_t signalled_reload;
    // By the worker.
    shared_word is_ready;
    shared_word beats;
    shared_word has_reloaded;  // generation
    shared_word failed_reload;
    shared_word asks_reload;  // SIGHUP came from somebody else

    [[nodiscard]] bool is_there() const noexcept { return stage != service_stage::none; }
    [[nodiscard]] bool is_leaving() const noexcept { return stage >= service_stage::stopping; }
};

/// Of one worker id: the worker, and while a reload replaces it, another one. By the supervisor.
struct service_place {
    std::array<worker_record, 2> records;
    std::uint64_t active;      // index
    std::uint64_t is_done;     // ended in a way that its policy does not restart
    std::uint64_t failures;    // one after the other
    std::uint64_t last_wait;   // nanoseconds
    std::uint64_t not_before;  // when it may be started
    std::uint64_t reload_to;   // generation that its worker is to have; 0: as it is
    std::uint64_t reload_at;   // of one that asked: not before
    std::uint64_t is_ousted;   // reload_to is by another process, also where the class reloads in place
    std::uint64_t restarts;    // since run() has begun

    [[nodiscard]] worker_record& current() noexcept { return records[active & 1]; }
    [[nodiscard]] worker_record& other() noexcept { return records[(active & 1) ^ 1]; }
};

struct service_record {
    shared_word target;   // by the manager; by the supervisor where it was ordered to (service_set.hpp)
    shared_word revived;  // by the manager: counts reconfigure()
    // By the supervisor.
    std::uint64_t seen_revived;
    std::uint64_t seen_target_orders;
    std::uint64_t seen_reload_orders;
    std::uint64_t seen_restart_orders;
    std::uint64_t is_to_reload;  // ordered: when no other reload of it is under way
    std::uint64_t is_to_restart;
    std::uint64_t has_given_up;
    std::uint64_t rolling;      // worker id + 1 of the one that is being replaced; 0: none
    std::uint64_t used_places;  // above all that were ever started
    std::uint64_t restart_count;
    std::array<std::uint64_t, most_counted_restarts + 1> restarts;  // when, a ring
};

enum class stop_order : std::uint64_t { none, graceful, kill };

struct service_death {
    std::uint32_t service;
    std::int32_t worker_id;
    std::int32_t code;
};

constexpr std::size_t death_room = 8192;

/// A death, and what the words that it changes are afterwards (worker_death.hpp).
struct decided_death {
    service_death told;
    std::uint64_t record;  // index in its place
    std::uint64_t pid;
    // Of the place.
    std::uint64_t active;
    std::uint64_t is_done;
    std::uint64_t failures;
    std::uint64_t last_wait;
    std::uint64_t not_before;
    std::uint64_t restarts;
    // Of the service.
    std::uint64_t has_given_up;
    std::uint64_t restart_count;
    std::uint64_t restart_at;  // index in its ring of restarts, and what stands there
    std::uint64_t restarted;
    std::uint64_t ends_reload;  // of the service: no further worker of it is replaced
    // Of the table.
    std::uint64_t reload_failed;
    std::uint64_t deaths;
    std::uint64_t deaths_lost;
};

struct service_table {
    // By the manager (the supervisor orders a graceful stop when the manager is dead; orders only grow).
    std::atomic<stop_order> stop;
    shared_word reload_asked;     // counts
    shared_word terminations;     // counts SIGTERM and SIGINT
    shared_word hangups;          // counts SIGHUP
    shared_word covered_hangups;  // by reload_asked
    shared_word deaths_read;
    // By the supervisor.
    shared_word supervisor;  // os::process_identity
    shared_word generation;
    shared_word reload_begun;  // number of reload_asked
    shared_word reload_done;
    shared_word reload_failed;  // counts
    shared_word reload_begun_at;
    shared_word are_all_ready;
    shared_word is_somebody_late;  // with its heartbeat
    shared_word looked_at;         // when
    shared_word has_given_up;      // some service
    shared_word seen_orders;       // of the set of services
    shared_word is_ordered_to_end;
    shared_word is_finished;
    shared_word deaths;       // counts
    shared_word deaths_lost;  // nobody has read them for long
    std::array<service_death, death_room> death_ring;
    shared_word has_decided;  // `decided` holds, and has still to be written where it belongs
    decided_death decided;
};

/// Made by the manager before it forks; each of the family has a copy.
struct service_family {
    struct member {
        service_kind kind;
        service_options options;
        std::uint32_t index = 0;
        service_record* record = nullptr;
        service_place* places = nullptr;  // most_service_workers
    };

    std::vector<member> services;
    std::vector<service_hooks> hooks;
    service_manager_options options;
    std::uint64_t manager = 0;  // its number, for ids
    std::string program;
    service_table* table = nullptr;
    os::unique_fd manager_pidfd;
    pid_t manager_pid = 0;
    os::unique_fd nursery_bell;
    os::unique_fd manager_bell;
    sigset_t blocked{};  // in workers: as it was in the manager
    root_reference set;  // of the services, where the manager has a name; else its `in` is null
    std::uint64_t incarnation = 0;

    /// "printer(0) [4711]"
    [[nodiscard]] static std::string describe(const member& of, int worker_id, std::uint64_t pid) {
        return of.kind.name + '(' + std::to_string(worker_id) + ") [" + std::to_string(pid) + ']';
    }
    [[nodiscard]] service_id id_of(const member& of) const noexcept { return {manager, of.index}; }
    /// One line on stderr, by one write.
    void log(const std::string& text) const noexcept;
    [[nodiscard]] std::uint64_t graceful_nanoseconds(const member& of) const noexcept;  // 0: for ever
};

std::uint64_t service_clock() noexcept;

/// In the child that becomes it; the process ends here.
[[noreturn]] void run_service_guardian(service_family& family) noexcept;

/// In a child of the supervisor.
[[noreturn]] void run_service_worker(service_family& family, std::size_t service, int worker_id,
                                     worker_record& record) noexcept;

/// Before the first fork, in the manager: exit() in a worker is its end, without the program's handlers. @throws system_failure
void prepare_service_exit();

constexpr int worker_threw = 2;
constexpr int worker_timed_out = 1;

}  // namespace cairn::inline CAIRN_ABI::detail

// supervisor.hpp - what guardian and nursery of a service manager do: they look after the workers.
//
// The supervisor makes the world equal to what the table says: it is told nothing, it looks. So it can be killed at any instruction, and
// another one goes on.
//
// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <random>
#include <vector>

#include <sys/types.h>

#include "os/unique_fd.hpp"
#include "service/service_table.hpp"
#include "service/set_reporter.hpp"

namespace cairn::inline CAIRN_ABI::detail {

constexpr std::uint64_t nanoseconds_in_ms = 1'000'000;

class service_supervisor {
public:
    explicit service_supervisor(service_family& family);
    service_supervisor(const service_supervisor&) = delete;
    service_supervisor& operator=(const service_supervisor&) = delete;

    [[noreturn]] void run();

    // After a nursery that was killed: its children are this process's, also those that have ended and that it had not reaped.
    void take_over(pid_t nursery);

private:
    static constexpr std::uint64_t never = std::numeric_limits<std::uint64_t>::max();
    // After a fork that failed, or a kill that has no effect yet.
    static constexpr std::uint64_t soon = 100 * nanoseconds_in_ms;
    // Of workers that may take for ever, when the manager is dead.
    static constexpr std::uint64_t longest_orphaned = 60'000 * nanoseconds_in_ms;
    static constexpr std::uint64_t usual_ready_timeout = 60'000 * nanoseconds_in_ms;

    // -- who is there -----------------------------------------------------------------------------------------------

    template <typename Fn>
    void for_each_record(const Fn& fn) {
        for (service_family::member& of : family_.services)
            for (std::size_t i = 0; i < of.record->used_places; ++i)
                for (worker_record& record : of.places[i].records)
                    fn(of, static_cast<int>(i), of.places[i], record);
    }

    [[nodiscard]] bool has_workers();
    [[nodiscard]] static std::vector<pid_t> own_children();
    void reap();
    // Children that no record knows: what workers have left behind. Their children come when they have gone.
    void kill_orphans();
    [[noreturn]] void finish();

    // -- orders of others -------------------------------------------------------------------------------------------

    void look_at_orders();
    void obey(service_family::member& of, const service_orders::of_one& orders);
    // What it was ordered to, once no other reload of it is under way: a worker may have read its files before the order.
    void begin_ordered_reload(service_family::member& of);
    // Whatever its workers have done before, they are to be there.
    static void revive(service_record& record, service_place* places);

    // -- the manager ------------------------------------------------------------------------------------------------

    void look_after_manager();
    [[nodiscard]] bool is_stopping() const noexcept { return table_.stop != stop_order::none; }

    // -- one worker -------------------------------------------------------------------------------------------------

    void start(service_family::member& of, int id, service_place& place, worker_record& record);
    static void tell_to_end(worker_record& record) noexcept;
    static void tell_to_reload(worker_record& record) noexcept;
    // After a nursery that may have been killed between a decision and its signal. A second SIGTERM does nothing in a worker.
    static void tell_again(worker_record& record) noexcept;
    // SIGTERM, once.
    void stop(service_family::member& of, worker_record& record);
    void kill(worker_record& record, service_stage as);

    // -- one service ------------------------------------------------------------------------------------------------

    void look_after(service_family::member& of);
    // Nobody is wanted there.
    void leave(service_family::member& of, service_place& place);
    void keep_up(service_family::member& of, int id, service_place& place);
    // What has changed with it, and what is due.
    void watch(service_family::member& of, int id, service_place& place, worker_record& record);
    // `kill -TERM` to all processes, as systemd does it: workers end before the manager has said so.
    [[nodiscard]] bool is_manager_told_to_end() const;
    // Then all are going to be reloaded.
    [[nodiscard]] bool has_manager_the_signal() const;
    [[nodiscard]] static std::uint64_t late_after(const service_family::member& of,
                                                  const worker_record& record) noexcept;
    [[nodiscard]] bool is_late(service_family::member& of) const;
    [[nodiscard]] static bool is_up(service_family::member& of);
    // None of its workers runs, and none will be started.
    [[nodiscard]] static bool is_over(service_family::member& of);

    // -- reloads ----------------------------------------------------------------------------------------------------

    void begin_reload();
    void end_reload();
    void reload(service_family::member& of, int id, service_place& place);

    // -- sleep ------------------------------------------------------------------------------------------------------

    void wake_at(std::uint64_t time) noexcept { wake_at_ = std::min(wake_at_, time); }
    void sleep() noexcept;
    // All processes were stopped (^Z), or the machine was: those whose heartbeats it did not see are not late for that.
    void look_at_clock() noexcept;

    service_family& family_;
    service_table& table_;
    set_reporter reporter_;
    os::unique_fd child_signal_;
    std::uint64_t now_ = 0;
    std::uint64_t wake_at_ = never;
    std::uint64_t planned_sleep_ = 0;
    pid_t nursery_before_ = 0;  // that was killed
    bool is_manager_dead_ = false;
    bool may_have_orphans_ = false;
    bool has_said_no_fork_ = false;
    std::vector<pid_t> killed_orphans_;  // and not reaped yet
    std::minstd_rand random_{static_cast<unsigned>(service_clock())};
};

}  // namespace cairn::inline CAIRN_ABI::detail

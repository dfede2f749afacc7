// service_set_layout.hpp - what the services of a manager are in its root: what people look at, and where they leave orders.
//
//   service_set_node ── services    an array of service_entry, one for each add()
//                        └─ places  of each, an array of service_place_entry, one for each worker id
//
// Written by    the manager when run() begins and ends; its supervisor (nursery or guardian), which says here what it does; and whoever
//               gives orders: they only count up, or say what is wanted, and the supervisor acts on them. So an order needs nobody who is
//               awake: it waits here.
// Truth         what the processes of a manager have in common is their own table (service_table.hpp). This is its picture, but for the
//               orders. A supervisor that cannot have the lock goes on without, and says it later.
// Incarnation   of run(). A manager that takes the set over from a dead one moves it on, and the supervisor of that one finds that this is
//               not its own any more.
//
// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <type_traits>

#include <cairn/detail/base/words.hpp>

namespace cairn::inline CAIRN_ABI::detail {

enum class set_stop : std::uint64_t { none = 0, graceful = 1, kill = 2 };

/// A process. Times are of the monotonic clock, in nanoseconds.
struct service_process_entry {
    std::uint64_t identity;    // os::process_identity; 0: none
    std::uint64_t generation;  // of reloads, as it was when this was started
    std::uint64_t started;
    std::uint64_t stage;      // service_stage
    std::uint64_t last_beat;  // when it was seen to have called beat() last; 0: never. Not logged
};
static_assert(std::is_standard_layout_v<service_process_entry> && sizeof(service_process_entry) == 40);

/// A worker id.
struct service_place_entry {
    service_process_entry current;
    service_process_entry next;  // while a reload replaces that
    std::uint64_t restarts;      // since run() has begun
    std::uint64_t failures;      // deaths one after the other
    std::uint64_t not_before;    // no worker is started before; 0: as soon as it is missing
    std::uint64_t reserved_;
};
static_assert(std::is_standard_layout_v<service_place_entry> && sizeof(service_place_entry) == 112);

constexpr std::size_t service_name_room = 200;

struct service_entry {
    std::byte name[service_name_room];  // constant, as the next two
    std::uint32_t name_bytes;
    std::uint32_t restart;        // cairn::restart
    std::uint64_t target;         // so many workers are wanted
    std::uint64_t target_orders;  // counts those orders, as the next two
    std::uint64_t reload_orders;  // as by SIGHUP
    std::uint64_t
        restart_orders;      // other processes instead of these, and another chance for what was given up
    std::uint64_t restarts;  // of all places
    std::uint64_t has_given_up;
    std::uint64_t places;  // offset; 0: none yet
    std::uint32_t place_capacity;
    std::uint32_t reserved_;
};
static_assert(std::is_standard_layout_v<service_entry> && sizeof(service_entry) == 272);

/// Written under the root's lock, and logged, but for `looked_at` and `obeyed`.
struct service_set_node {
    std::uint64_t incarnation;  // of run(); only grows
    std::uint64_t manager;      // process_identity; 0: run() has returned, or was never called
    std::uint64_t supervisor;   // process_identity of who looks after the workers; 0: nobody yet
    std::uint64_t looked_at;    // when it did that last, without the lock; each second, if it is well
    std::uint64_t orders;       // counts all orders: what the supervisor looks at without the lock
    std::uint64_t obeyed;       // of these, by the supervisor, without the lock
    set_stop stop;
    std::uint64_t generation;  // of reloads
    std::uint64_t services;    // offset of the array; 0: none
    std::uint32_t service_count;
    std::uint32_t reserved_;
    char program[32];  // the manager's; not terminated when it fills the field
};
static_assert(std::is_standard_layout_v<service_set_node> && sizeof(service_set_node) == 112);

/// So many add() calls a set can tell of.
constexpr std::uint32_t most_services = 4096;

}  // namespace cairn::inline CAIRN_ABI::detail

// family.hpp - the processes of a pool, and what they have from their owner.
//
//   owner ── guardian ── nursery ── workers
//
// Nursery       forks the workers, and settles what those that end leave behind. Has one thread, no user code, and nothing open that it
//               does not need. It makes the world equal to what the pool's root says: nobody sends it requests, which a kill could tear.
// Guardian      forks the first workers, so that they are there early, and then nurseries, one after the other. It is the reaper of what
//               these leave behind: workers of a nursery that was killed go on, and are settled by the guardian.
// Owner's end   is seen by both by its pidfd, without any lock: they kill the workers and leave. Each worker has a thread that looks, too,
//               for where both were killed. What tasks have started lives on in that case.
//
// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <cstdint>
#include <functional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "os/unique_fd.hpp"
#include "pool/pool_core.hpp"
#include <cairn/detail/base/time_limit.hpp>
#include <cairn/detail/segment/segment.hpp>

namespace cairn::inline CAIRN_ABI::detail {

/// A library, by where it was loaded.
struct loaded_object {
    std::uintptr_t address;
    std::string name;  // the program's own is empty
    friend bool operator==(const loaded_object&, const loaded_object&) = default;
};

/// Which pool, for all processes of its family.
struct pool_id {
    std::uint64_t owner;   // process_identity
    std::uint64_t number;  // among its pools
    friend bool operator==(const pool_id&, const pool_id&) = default;
};

/// Made by the owner before it forks; each of the family has a copy.
struct pool_family {
    segment_ptr in;
    root_slot* slot = nullptr;
    std::uint64_t generation = 0;
    segment_offset node = 0;
    // From the node, once: what a counter reads without the lock goes by these.
    worker_slot* places = nullptr;
    std::uint32_t place_count = 0;
    pool_id id{};
    std::string name;  // "process_pool_executor-1"
    int retries = 0;
    time_limit timeout;
    std::vector<loaded_object> loaded;  // the libraries that the workers have
    os::unique_fd owner_pidfd;
    os::unique_fd bell;  // rung by who wants the nursery to look
    std::uint64_t bell_number = 0;
    std::function<void()> initializer;
    std::uint64_t max_tasks_per_worker = 0;  // 0: no limit
    std::uint64_t max_worker_memory = 0;     // bytes; 0: no limit
    time_limit idle_timeout;                 // workers leave, and others are forked when tasks wait
    bool keeps_orphans = false;
    int oom_score_adj = 0;  // of workers, at least
    std::vector<int> kept_descriptors;

    [[nodiscard]] pool_node& pool() const { return *in->at<pool_node>(node); }
    [[nodiscard]] std::span<worker_slot> all_places() const noexcept { return {places, place_count}; }
    /// Of these that are there, those that would take a task.
    [[nodiscard]] std::uint32_t idle_count() const noexcept;
};

/// In the child that becomes it; the process ends here.
[[noreturn]] void run_guardian(pool_family& family) noexcept;

/// Before the first fork, in the owner. @throws system_failure
void prepare_worker_exit();

/// In a child of nursery or guardian, for that place.
[[noreturn]] void run_worker(pool_family& family, std::uint32_t index) noexcept;

/// How pool_node::failure begins where it was the initializer.
inline constexpr std::string_view initializer_failure = "its initializer failed: ";

/// How it begins where they were killed, say; how they have ended comes after it, where that is known.
inline constexpr std::string_view workers_end_early = "its workers end before they are ready";

/// Exit codes of workers that have not done anything.
constexpr int worker_not_wanted = 0;
constexpr int worker_start_failed = 1;

}  // namespace cairn::inline CAIRN_ABI::detail

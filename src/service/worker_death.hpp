// worker_death.hpp - what the death of a worker means for its place and for its service, written down as one step.
//
// Decided       from the words of the table as they stand. The result is the new words themselves, in `decided` of the table: a redo log
//               of one entry.
// Commit        the store of 1 to `has_decided`. Before it the death has still to be decided. After it the words are written, once more by
//               whoever takes over from a supervisor that was killed meanwhile: writing them twice is the same as once.
// Reaped        when all this is done. Until then a successor finds the dead process, and how it has ended.
//
// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <random>

#include "service/service_table.hpp"

namespace cairn::inline CAIRN_ABI::detail {

/// Decides the death of `record` of that place, with its exit code (negative: the signal), and carries it out.
void settle_death(service_family& family, service_family::member& of, int worker_id,
                  const worker_record& record, int code, std::uint64_t now, std::minstd_rand& random);

/// What a supervisor had decided that was killed before all of it was written. Before anything else is done with the table.
void carry_out_decided_death(service_family& family);

/// There is no such process any more.
void forget_worker(worker_record& record) noexcept;

/// Its worker, and what it is told of the reload, stay as they are.
void forget_reload(service_place& place) noexcept;

/// Of that service: no further worker of it is replaced.
void give_up_reload(service_family& family, service_family::member& of, int worker_id, const char* why);

}  // namespace cairn::inline CAIRN_ABI::detail

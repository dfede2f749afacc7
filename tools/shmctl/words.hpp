// words.hpp - how a segment, an object and their owners are put into words, the same in every verb.
// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "output.hpp"
#include <cairn/inspect.hpp>

namespace shmctl {

/// A segment as far as it can be looked at.
struct segment_summary {
    cairn::segment_location where;
    std::string
        state;  // live, orphan, idle (persistent, nobody attached), image, unknown; damaged, foreign, denied, empty
    std::optional<cairn::segment_facts> facts;
    std::uint64_t live_count = 0;
    std::uint64_t dead_count = 0;
    std::optional<std::uint64_t> recovery_count;  // of the segment and its objects
    std::string note;
    [[nodiscard]] bool is_collectable() const { return state == "orphan"; }
};

/// Never throws for what is in the file.
segment_summary summarize(const cairn::segment_location& where);

std::string user_name(uid_t user);
std::int64_t age_seconds(std::int64_t nanoseconds_since_1970);
/// "1 process", "3 processes"
std::string counted(std::uint64_t count, const std::string& one, const std::string& many = {});
/// "free", "held by 5120", "DEAD owner 5099, recovered by the next locker"
std::string lock_words(const cairn::object_facts& object);
/// "list<int64>"
std::string full_type(const cairn::object_facts& object);

}  // namespace shmctl

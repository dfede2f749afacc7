// targets.hpp - what a TARGET means: SEGMENT, SEGMENT/OBJECT, SEGMENT/OBJECT[INDEX or A:B or KEY], a glob of these, pid:N/SEGMENT
// for anonymous segments, or the path of a saved image.
//
// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include <cairn/inspect.hpp>

namespace shmctl {

/// [3], [-1], [2:5], [2:], [:5]: as in Python, so an end beyond the end is the end.
struct subscript {
    bool is_slice = false;
    std::optional<std::int64_t> first;
    std::optional<std::int64_t> last;
};

/// A target taken apart; nothing was looked up yet.
struct target {
    std::string text;
    std::string segment;
    std::optional<std::string> object;
    std::optional<std::string> key;  // what is between the brackets: a key, if the object has keys
    std::optional<subscript> at;     // the same as an index or a range, if it is one
};

/// What is between the brackets is no index. Throws failure (wrong_usage).
[[noreturn]] void throw_subscript(const std::string& target);

/// Throws failure (wrong_usage).
target parse_target(const std::string& text);

bool is_glob(std::string_view text);

/// The segments that it means. Throws failure (not_found), with what may have been meant.
std::vector<cairn::segment_location> find_targets(const target& wanted);

/// Names of the objects in that segment that it means; all of them for a target without object.
std::vector<std::string> find_objects(const cairn::inspection& segment, const target& wanted);

}  // namespace shmctl

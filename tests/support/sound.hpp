// sound.hpp - whether all that a manager's segment has is as it should be.
// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <string>

#include <unistd.h>

#include <doctest/doctest.h>

#include <cairn/inspect.hpp>
#include <cairn/manager.hpp>

namespace cairn_test {

/// Every invariant of the segment and of each object holds; those that do not are told.
inline bool is_sound(const cairn::manager& m) {
    const std::string target =
        m.is_anonymous() ? "pid:" + std::to_string(::getpid()) + "/" + m.name() : m.name();
    const cairn::verification found = cairn::inspection(target).verify({.deep = true});
    for (const std::string& problem : found.problems) MESSAGE(problem);
    return found.problems.empty();
}

}  // namespace cairn_test

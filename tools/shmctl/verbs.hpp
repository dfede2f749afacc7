// verbs.hpp - what shmctl can do, one function for each verb. Each returns the exit code, or throws failure or a
// cairn::error, which main() turns into one.
//
// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "output.hpp"
#include "targets.hpp"

namespace shmctl {

struct arguments {
    output_options output;
    std::vector<std::string> targets;
    // ls
    bool is_long = false;
    // get
    bool raw = false;
    std::optional<std::uint64_t> limit;
    // rm, gc
    bool dry_run = false;
    bool force = false;
    bool yes = false;
    std::string older_than;
    // verify
    bool deep = false;
    // svc
    bool kills = false;
};

int list(const arguments& given);
int show(const arguments& given);
int get(const arguments& given);
int remove(const arguments& given);
int collect(const arguments& given);
int verify(const arguments& given);
int show_pools(const arguments& given);
int control_services(const arguments& given);

/// The exit code for what the library throws.
exit_code code_of(const std::exception& e) noexcept;

/// Does `action` for each target; the error of one is printed, and the others are done all the same. Returns the highest
/// exit code.
int for_each_target(const std::vector<std::string>& targets,
                    const std::function<int(const std::string&)>& action);

/// The same for each segment that a target means. One that was meant by name alone throws.
int for_each_segment(const target& wanted, const std::function<int(const cairn::segment_location&)>& action);

/// Prints the error as main() would; returns its exit code.
int report(const std::exception& e);

}  // namespace shmctl

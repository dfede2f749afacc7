// scratch_directory.hpp - a directory of a test's own, on the file system that segments live on.
// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <cstdlib>
#include <filesystem>
#include <stdexcept>
#include <string>
#include <system_error>

#include <unistd.h>

#include "support/guardian.hpp"

namespace cairn_test {

/// Gone with all that is in it when this goes, unless a child drops it; by the guardian, when the test is killed.
class scratch_directory {
public:
    scratch_directory() : scratch_directory("/dev/shm") {}
    explicit scratch_directory(const std::string& inside)
        : path_(inside + "/cairntest-" + std::to_string(::getpid()) + "-XXXXXX"), owner_(::getpid()) {
        if (::mkdtemp(path_.data()) == nullptr) throw std::runtime_error("no scratch directory");
        guard_path(path_);
    }
    scratch_directory(const scratch_directory&) = delete;
    scratch_directory& operator=(const scratch_directory&) = delete;
    ~scratch_directory() {
        if (::getpid() != owner_) return;
        std::error_code ignored;
        std::filesystem::remove_all(path_, ignored);
        unguard_path(path_);
    }

    [[nodiscard]] const std::string& path() const noexcept { return path_; }
    [[nodiscard]] std::string operator/(const std::string& name) const { return path_ + "/" + name; }

private:
    std::string path_;
    pid_t owner_;
};

}  // namespace cairn_test

// made_up_groups.hpp - a folder that looks as /sys/fs/cgroup does.
// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <filesystem>
#include <fstream>
#include <string>

#include <stdlib.h>  // mkdtemp

#include <doctest/doctest.h>

namespace cairn_test {

/// Gone with all of its files when this goes.
class made_up_groups {
public:
    made_up_groups() {
        std::string name = (std::filesystem::temp_directory_path() / "cairn-groups.XXXXXX").string();
        REQUIRE(::mkdtemp(name.data()) != nullptr);
        root_ = name;
    }
    made_up_groups(const made_up_groups&) = delete;
    made_up_groups& operator=(const made_up_groups&) = delete;
    ~made_up_groups() { std::filesystem::remove_all(root_); }
    void write(const std::string& file, const std::string& text) const {
        std::filesystem::create_directories(std::filesystem::path(root_ + file).parent_path());
        std::ofstream(root_ + file) << text;
    }
    [[nodiscard]] const std::string& root() const { return root_; }

private:
    std::string root_;
};

}  // namespace cairn_test

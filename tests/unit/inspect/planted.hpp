// planted.hpp - a segment with a bit of everything in it, copies of its bytes, and files made of them.
// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <iterator>
#include <string>
#include <vector>

#include <fcntl.h>
#include <unistd.h>

#include <doctest/doctest.h>

#include "support/early_spans.hpp"
#include "support/guardian.hpp"
#include <cairn/inspect.hpp>
#include <cairn/literals.hpp>
#include <cairn/manager.hpp>

namespace cairn_test {

using bytes_of_file = std::string;

inline bytes_of_file read_file(const std::string& path) {
    std::ifstream file(path, std::ios::binary);
    return {std::istreambuf_iterator<char>(file), {}};
}

/// A file of this process's own, gone with its name.
class scratch_file {
public:
    scratch_file() : path_(std::string("/dev/shm/cairntest-") + std::to_string(::getpid()) + "-XXXXXX") {
        const int fd = ::mkstemp(path_.data());
        REQUIRE(fd >= 0);
        ::close(fd);
        guard_path(path_);
    }
    explicit scratch_file(const bytes_of_file& content) : scratch_file() { write(content); }
    scratch_file(const scratch_file&) = delete;
    scratch_file& operator=(const scratch_file&) = delete;
    ~scratch_file() {
        std::remove(path_.c_str());
        unguard_path(path_);
    }

    [[nodiscard]] const std::string& path() const { return path_; }
    void write(const bytes_of_file& content) const {
        const int fd = ::open(path_.c_str(), O_WRONLY | O_CLOEXEC);
        REQUIRE(::pwrite(fd, content.data(), content.size(), 0) == static_cast<ssize_t>(content.size()));
        REQUIRE(::ftruncate(fd, static_cast<off_t>(content.size())) == 0);
        ::close(fd);
    }

private:
    std::string path_;
};

/// Lists of each form, with spans, large blocks, free blocks and a directory of chunks.
inline void fill(const cairn::manager& m) {
    const early_spans here;
    const auto numbers = m.list<long>("numbers");
    for (long i = 0; i < 3000; ++i) numbers.push_back(i * i);
    const auto texts = m.list<std::string>("texts");
    for (std::size_t i = 0; i < 1200; ++i) texts.push_back(std::string(i % 120, 'a') + std::to_string(i));
    texts.erase(50, 90);
    texts.set(3, std::string(9000, 'L'));
    const auto vectors = m.list<std::vector<int>>("vectors");
    vectors.push_back({1, 2, 3});
    vectors.push_back(std::vector<int>(5000, 9));
    const auto flags = m.list<bool>("flags", {true, false, true});
    static_cast<void>(m.list<double>("empty"));
    static_cast<void>(m.list<int>("removed", {1, 2, 3}));
    m.remove("removed");
}

inline cairn::segment_options small_segment() {
    using namespace cairn::literals;
    return {.max_size = 4_MiB, .initial_size = 256_KiB};
}

}  // namespace cairn_test

// shelf.hpp - a directory of segments of a test's own, and shmctl to look into it.
// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <csignal>
#include <cstdlib>
#include <fstream>
#include <initializer_list>
#include <iterator>
#include <sstream>
#include <string>
#include <utility>
#include <vector>

#include <doctest/doctest.h>
#include <nlohmann/json.hpp>

#include "os/file.hpp"
#include "support/program.hpp"
#include "support/scratch.hpp"
#include "support/scratch_directory.hpp"
#include <cairn/cairn.hpp>

namespace cairn_test {

inline std::string shmctl_path() {
    const char* const path = std::getenv("CAIRN_SHMCTL");
    return path == nullptr ? "" : path;  // meson gives it; `CAIRN_SHMCTL=... cli_tests` by hand
}

/// While it lives, named segments of this process are made in a directory of its own; shmctl is told to look there.
class shelf {
public:
    shelf() : before_(cairn::detail::os::shm_directory()) {
        REQUIRE_FALSE(shmctl_path().empty());
        cairn::use_segment_directory(directory_.path());
    }
    shelf(const shelf&) = delete;
    shelf& operator=(const shelf&) = delete;
    ~shelf() { cairn::use_segment_directory(before_); }

    /// `shmctl --dir ... WORDS...`
    [[nodiscard]] program_result run(std::vector<std::string> words,
                                     const program_options& options = {}) const {
        words.insert(words.begin(), {shmctl_path(), "--dir", directory_.path()});
        return run_program(words, options);
    }
    [[nodiscard]] nlohmann::json json(std::vector<std::string> words) const {
        words.emplace_back("--json");
        const program_result r = run(std::move(words));
        INFO(r);
        REQUIRE(nlohmann::json::accept(r.out));
        return nlohmann::json::parse(r.out);
    }
    [[nodiscard]] std::string path(const std::string& segment) const {
        return directory_ / ("cairn." + segment);
    }
    [[nodiscard]] bool has(const std::string& segment) const {
        return std::ifstream(path(segment)).is_open();
    }
    [[nodiscard]] std::string bytes(const std::string& segment) const {
        std::ifstream file(path(segment), std::ios::binary);
        return {std::istreambuf_iterator<char>(file), {}};
    }
    /// A file beside the segments that is none of them; its path.
    [[nodiscard]] std::string file(const std::string& name, const std::string& content) const {
        const std::string where = directory_ / name;
        std::ofstream(where, std::ios::binary) << content;
        return where;
    }

private:
    scratch_directory directory_;
    std::string before_;
};

constexpr cairn::segment_options small_segment = {.max_size = 4 << 20, .initial_size = 256 << 10};
constexpr cairn::segment_options kept_segment = {
    .max_size = 4 << 20, .initial_size = 256 << 10, .persist = true};

/// "jobs" with a list of numbers, one of texts, and a name with a slash.
inline void fill(const cairn::manager& m) {
    static_cast<void>(m.list<long>("results", {10, 11, 12, 13, 14, 15, 16, 17}));
    static_cast<void>(m.list<std::string>("texts", {"plain", "it's", "a\nb", "gr\xc3\xb6\xc3\x9f"}));
    static_cast<void>(m.list<double>("a/b", {0.5, 2}));
}

/// Makes the segment in a process that is killed then, so that only the dead have it.
inline void leave_behind(const std::string& name, const cairn::segment_options& options = small_segment) {
    REQUIRE(in_child([&] {
                const auto m = cairn::manager::create(name, options);
                fill(m);
                ::kill(::getpid(), SIGKILL);
            }) == -SIGKILL);
}

inline std::vector<std::string> lines_of(const std::string& text) {
    std::vector<std::string> lines;
    std::istringstream stream(text);
    for (std::string line; std::getline(stream, line);) lines.push_back(line);
    return lines;
}

/// The words of a line of a table.
inline std::vector<std::string> words_of(const std::string& line) {
    std::istringstream stream(line);
    return {std::istream_iterator<std::string>(stream), {}};
}

/// An error is one line, "shmctl: ...", and then a hint.
inline void check_error(const program_result& r, int code, const std::string& message,
                        const std::string& hint) {
    INFO(r);
    CHECK(r.code == code);
    CHECK(r.out.empty());
    const std::vector<std::string> lines = lines_of(r.err);
    REQUIRE(lines.size() == (hint.empty() ? 1 : 2));
    CHECK(lines[0] == "shmctl: " + message);
    if (!hint.empty()) CHECK(lines[1].starts_with("hint: "));
    if (!hint.empty()) CHECK(contains(lines[1], hint));
}

}  // namespace cairn_test

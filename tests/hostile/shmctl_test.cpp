// shmctl_test.cpp - damaged segments under every verb of shmctl, run as a user runs it: it prints something and leaves with
// one of its own exit codes, soon.
//
// SPDX-License-Identifier: BSL-1.0
#include <chrono>
#include <csignal>
#include <cstdlib>
#include <filesystem>
#include <string>
#include <thread>
#include <vector>

#include <fcntl.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <doctest/doctest.h>

#include "ground.hpp"
#include "support/guardian.hpp"
#include "support/patience.hpp"
#include "support/report.hpp"
#include "support/scratch.hpp"
#include "unit/inspect/planted.hpp"

namespace shmctl_test {

using namespace cairn_test;

namespace {

constexpr std::chrono::seconds longest_run{20};
constexpr int largest_exit_code = 6;  // `shmctl help`

// A directory of segments that only these runs see.
class segment_directory {
public:
    segment_directory() : path_("/dev/shm/cairntest-" + std::to_string(::getpid()) + "-XXXXXX") {
        REQUIRE(::mkdtemp(path_.data()) != nullptr);
        guard_path(path_);
    }
    segment_directory(const segment_directory&) = delete;
    segment_directory& operator=(const segment_directory&) = delete;
    ~segment_directory() {
        std::error_code ignored;
        std::filesystem::remove_all(path_, ignored);
        unguard_path(path_);
    }
    [[nodiscard]] const std::string& path() const { return path_; }
    void place(const std::string& name, const std::string& bytes) const {
        const std::string path = path_ + "/cairn." + name;
        std::filesystem::remove(path);
        const int fd = ::open(path.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
        REQUIRE(fd >= 0);
        REQUIRE(::write(fd, bytes.data(), bytes.size()) == static_cast<ssize_t>(bytes.size()));
        ::close(fd);
    }

private:
    std::string path_;
};

// Runs it with its output thrown away. Empty when it left with a code of its own, else how it ended.
std::string run(const char* program, std::vector<std::string> words) {
    std::vector<char*> argv;
    words.insert(words.begin(), program);
    for (std::string& word : words) argv.push_back(word.data());
    argv.push_back(nullptr);
    posix_spawn_file_actions_t actions;
    posix_spawn_file_actions_init(&actions);
    for (const int fd : {0, 1, 2})
        posix_spawn_file_actions_addopen(&actions, fd, "/dev/null", fd == 0 ? O_RDONLY : O_WRONLY, 0);
    pid_t pid = -1;
    const int reason = ::posix_spawn(&pid, program, &actions, nullptr, argv.data(), environ);
    posix_spawn_file_actions_destroy(&actions);
    if (reason != 0) return "could not be run";
    const auto deadline = std::chrono::steady_clock::now() + patiently(longest_run);
    int status = 0;
    while (::waitpid(pid, &status, WNOHANG) == 0) {
        if (std::chrono::steady_clock::now() > deadline) {
            ::kill(pid, SIGKILL);
            ::waitpid(pid, &status, 0);
            return "hung";
        }
        std::this_thread::sleep_for(std::chrono::microseconds(200));
    }
    if (WIFSIGNALED(status)) return "was killed by signal " + std::to_string(WTERMSIG(status));
    if (WEXITSTATUS(status) > largest_exit_code) return "left with " + std::to_string(WEXITSTATUS(status));
    return {};
}

std::uint64_t from_environment(const char* variable, std::uint64_t otherwise) {
    const char* given = std::getenv(variable);
    return given != nullptr ? std::strtoull(given, nullptr, 10) : otherwise;
}

}  // namespace

TEST_CASE("shmctl survives any bytes: each verb ends with one of its exit codes") {
    const char* shmctl = std::getenv("CAIRN_SHMCTL");
    if (shmctl == nullptr) {
        MESSAGE("skipped: shmctl is not built");
        return;
    }
    const std::uint64_t first = from_environment("CAIRN_SEED", 20240611);
    const std::uint64_t count = from_environment("CAIRN_HOSTILE_SHMCTL_COUNT",
                                                 std::getenv("CAIRN_FULL") != nullptr ? 500 : scaled(250));
    const std::vector<sound_segment> sound = make_sound_segments();
    const segment_directory directory;
    // Readers first; each of the last ones may take the segment away.
    const std::vector<std::vector<std::string>> looks = {
        {"ls", "--json"},
        {"ls", "-l", "s"},
        {"show", "s"},
        {"show", "s/texts", "--json"},
        {"get", "s/numbers"},
        {"get", "s/*[0:30]", "--json"},
        {"get", "s/vectors[-1]"},
        {"get", "s/number of number"},
        {"get", "s/text of text['7:efghijk']", "--json"},
        {"get", "s/set of texts"},
        {"verify", "s"},
        {"verify", "--deep", "--json", "s"},
        {"pool", "s", "--json"},
        {"svc", "status", "s"},
        {"svc", "status", "s", "--json"},
        {"svc", "reload", "s"},
        {"svc", "scale", "s", "service-1=2"},
        {"gc", "--dry-run"},
        {"rm", "--dry-run", "s/*"},
    };
    const std::vector<std::vector<std::string>> removals = {
        {"rm", "-y", "s/texts"}, {"rm", "-y", "s/*"}, {"gc"}, {"rm", "-y", "s"}, {"rm", "-f", "s"}};
    std::uint64_t runs = 0;
    for (std::uint64_t seed = first; seed < first + count; ++seed) {
        mutator with(seed);
        const sound_segment& chosen = sound[with.below(sound.size())];
        directory.place("s", with.spoil(chosen.bytes, chosen.map));
        std::vector<std::vector<std::string>> chosen_verbs = {looks[with.below(looks.size())],
                                                              looks[with.below(looks.size())],
                                                              removals[with.below(removals.size())]};
        for (std::vector<std::string>& words : chosen_verbs) {
            const std::string verb = words[0] + " " + words.back();
            words.insert(words.begin(), {"--dir", directory.path()});
            const std::string how = run(shmctl, words);
            INFO("CAIRN_SEED=", seed, " CAIRN_HOSTILE_SHMCTL_COUNT=1: shmctl ", verb, ": ", how);
            CHECK(how.empty());
            ++runs;
        }
    }
    MESSAGE(count, " damaged segments from seed ", first, ": ", runs, " runs of shmctl");
    report_figures("hostile", {{"shmctl_mutations", static_cast<double>(count)}});
}

}  // namespace shmctl_test

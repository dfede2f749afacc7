// SPDX-License-Identifier: BSL-1.0
#include "support/storm/storm.hpp"

#include <algorithm>
#include <cerrno>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <iostream>
#include <new>
#include <random>
#include <stdexcept>
#include <thread>

#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "segment/lifecycle.hpp"
#include "support/crash/victim.hpp"
#include "support/crash/watched_child.hpp"
#include "support/guardian.hpp"
#include "support/patience.hpp"
#include "support/scratch.hpp"
#include "support/storm/aftermath.hpp"
#include "support/storm/crew.hpp"

namespace cairn_test {

namespace {

using clock = std::chrono::steady_clock;
using std::chrono::milliseconds;

constexpr std::chrono::seconds
    longest_standstill(20);  // DESIGN.md promises 250 ms; a busy machine may be slow
constexpr std::chrono::seconds longest_look(120);
constexpr std::chrono::seconds longest_end(60);
// A handler that interrupts malloc() and calls exit() may wait for itself; that is the program's own affair.
constexpr std::chrono::seconds longest_handler(1);

// A directory of this storm's own, for cores to fall into; gone with all of them.
class core_directory {
public:
    core_directory() {
        std::string pattern = (std::filesystem::temp_directory_path() / "cairn-storm-XXXXXX").string();
        if (::mkdtemp(pattern.data()) == nullptr) throw std::runtime_error("no directory for core dumps");
        path_ = pattern;
        guard_path(pattern);
    }
    core_directory(const core_directory&) = delete;
    core_directory& operator=(const core_directory&) = delete;
    ~core_directory() {
        std::error_code ignored;
        std::filesystem::remove_all(path_, ignored);
        unguard_path(path_.string());
    }
    [[nodiscard]] std::string path() const { return path_.string(); }
    void empty() const {
        for (const auto& entry : std::filesystem::directory_iterator(path_))
            std::filesystem::remove(entry.path());
    }

private:
    std::filesystem::path path_;
};

struct seat {
    pid_t pid = -1;
    bool is_hit = false;      // by a signal that it does not survive
    bool is_aborted = false;  // by SIGABRT
    bool is_stopped = false;
    clock::time_point continued_at;
    clock::time_point told_at;  // to end; and not killed yet
};

// Runs in a process of its own, which gets the orphans of the storm and reaps them.
class supervisor {
public:
    supervisor(const crew_plan& plan, const core_directory& cores)
        : plan_(plan), weather_(*plan.weather), tally_(weather_.tally), cores_(cores), random_(plan.seed),
          seats_(plan.options.processes) {}

    void run(milliseconds duration, journal_book& book) {
        const auto end = clock::now() + duration;
        do {
            ++tally_.rounds;
            book.clear();
            weather_.over = false;
            one_round(std::min(end, clock::now() + plan_.options.round));
            if (!weather_.has_problem) look_afterwards();
        } while (clock::now() < end && !weather_.has_problem);
    }

private:
    void one_round(clock::time_point end) {
        for (seat& s : seats_) start(s);
        std::uint64_t moves = weather_.moves;
        auto moved_at = clock::now();
        while (!weather_.over && clock::now() < end) {
            std::this_thread::sleep_for(std::chrono::microseconds(500 + random_() % 6000));
            wake_sleepers(false);
            kill_late();
            hit(seats_[random_() % seats_.size()]);
            reap();
            for (seat& s : seats_)
                if (s.pid < 0) start(s);
            if (const std::uint64_t now = weather_.moves; now != moves) {
                moves = now;
                moved_at = clock::now();
            } else if (clock::now() - moved_at > patiently(longest_standstill)) {
                weather_.report("nobody gets anything done any more");
            }
        }
        wake_sleepers(true);
        // Every other round all die at once, so that nobody is left who could have repaired anything.
        if (tally_.rounds % 2 == 0 || weather_.has_problem) {
            for (const seat& s : seats_)
                if (s.pid > 0 && ::kill(s.pid, SIGKILL) == 0) ++tally_.kills;
        }
        weather_.over = true;
        wait_for_all();
        if (plan_.options.aborts) cores_.empty();
    }

    void start(seat& s) {
        const pid_t pid = ::fork();
        if (pid == 0) live_in_storm(plan_);
        if (pid < 0) return;  // there may be none to be had right now
        ++tally_.processes;
        s = seat{};
        s.pid = pid;
    }

    void hit(seat& s) {
        if (s.pid < 0 || s.is_stopped || s.is_hit) return;
        const std::uint64_t dice = random_() % 10;
        if (plan_.options.stops && dice < 4) {
            ::kill(s.pid, SIGSTOP);
            s.is_stopped = true;
            s.continued_at = clock::now() + milliseconds(random_() % 30);
            ++tally_.stops;
        } else if (plan_.options.aborts && dice < 7) {
            s.is_hit = s.is_aborted = true;
            ::kill(s.pid, SIGABRT);
            ++tally_.aborts;
        } else if (plan_.options.exits) {
            s.is_hit = true;
            s.told_at = clock::now();
            ::kill(s.pid, dice < 7 ? SIGTERM : SIGUSR1);
            ++tally_.exits;
        } else {
            s.is_hit = true;
            ::kill(s.pid, SIGKILL);
            ++tally_.kills;
        }
    }

    void kill_late() {
        for (seat& s : seats_) {
            if (s.told_at == clock::time_point() || clock::now() < s.told_at + patiently(longest_handler))
                continue;
            if (s.pid > 0 && ::kill(s.pid, SIGKILL) == 0) ++tally_.kills;
            s.told_at = {};
        }
    }

    void wake_sleepers(bool all) {
        for (seat& s : seats_) {
            if (!s.is_stopped || !(all || clock::now() >= s.continued_at)) continue;
            if (s.pid > 0) ::kill(s.pid, SIGCONT);
            s.is_stopped = false;
        }
    }

    // False when there is no child left.
    bool reap() {
        for (;;) {
            int status = 0;
            const pid_t pid = ::waitpid(-1, &status, WNOHANG);
            if (pid < 0) return errno != ECHILD;
            if (pid == 0) return true;
            const auto found =
                std::find_if(seats_.begin(), seats_.end(), [&](const seat& s) { return s.pid == pid; });
            bool is_fine = WIFEXITED(status) && WEXITSTATUS(status) == 0;
            if (WIFSIGNALED(status)) {
                const int signal = WTERMSIG(status);
                if (WCOREDUMP(status)) ++tally_.cores;
                // Told to end before it had its handlers: as by any signal.
                const bool is_early = plan_.options.exits && (signal == SIGTERM || signal == SIGUSR1);
                is_fine = signal == SIGKILL || is_early ||
                          (signal == SIGABRT && found != seats_.end() && found->is_aborted);
            }
            if (!is_fine) {
                weather_.report("a process of the storm ended with " +
                                (WIFSIGNALED(status) ? "signal " + std::to_string(WTERMSIG(status))
                                                     : "code " + std::to_string(WEXITSTATUS(status))));
            }
            if (found != seats_.end()) *found = seat{};
        }
    }

    void wait_for_all() {
        const auto deadline = clock::now() + patiently(longest_end);
        while (reap()) {
            kill_late();
            if (clock::now() > deadline) {
                weather_.report("a process does not come to its end: it hangs in an operation");
                for (const seat& s : seats_)
                    if (s.pid > 0) ::kill(s.pid, SIGKILL);
                // Forked ones end by their alarm.
            }
            std::this_thread::sleep_for(milliseconds(1));
        }
    }

    void look_afterwards() {
        const pid_t pid = ::fork();
        if (pid == 0) {
            prepare_child();
            try {
                look_after_storm(plan_);
            } catch (const std::exception& e) {
                weather_.report("round " + std::to_string(tally_.rounds) + ": " + e.what());
            }
            ::_exit(0);
        }
        const auto deadline = clock::now() + patiently(longest_look);
        int status = 0;
        while (pid > 0 && ::waitpid(pid, &status, WNOHANG) == 0) {
            if (clock::now() > deadline) {
                ::kill(pid, SIGKILL);
                weather_.report("whoever looks at what the storm has left hangs");
            }
            std::this_thread::sleep_for(milliseconds(1));
        }
        if (pid < 0 || status != 0) weather_.report("whoever looks at what the storm has left dies of it");
    }

    const crew_plan& plan_;
    storm_weather& weather_;
    storm_tally& tally_;
    const core_directory& cores_;
    std::mt19937_64 random_;
    std::vector<seat> seats_;
};

void supervise(crew_plan& plan, milliseconds duration, journal_book& book, const core_directory& cores) {
    ::prctl(PR_SET_CHILD_SUBREAPER, 1);
    const cairn::segment_options options{.max_size = plan.options.max_bytes, .persist = true};
    if (plan.options.attach == storm_options::attachment::inherited)
        plan.inherited = cairn::detail::create_anonymous(plan.segment_name, options);
    else if (in_child([&] { cairn::manager::create(plan.segment_name, options); }) != 0)
        throw std::runtime_error("the segment of a storm cannot be made");
    supervisor(plan, cores).run(duration, book);
    plan.weather->tally.mishaps = plan.weather->mishaps;
    plan.weather->tally.forks = plan.weather->forks;
}

void print(const std::string& title, const storm_tally& t, double seconds) {
    std::printf("storm: %s: %.1f s, %llu rounds, %llu processes, %llu killed", title.c_str(), seconds,
                static_cast<unsigned long long>(t.rounds), static_cast<unsigned long long>(t.processes),
                static_cast<unsigned long long>(t.kills));
    const auto also = [](std::uint64_t count, const char* what) {
        if (count != 0) std::printf(", %llu %s", static_cast<unsigned long long>(count), what);
    };
    also(t.aborts, "aborted");
    also(t.cores, "core dumps");
    also(t.stops, "stopped for a while");
    also(t.exits, "told to end");
    also(t.mishaps, "mishaps under a lock");
    also(t.forks, "forks");
    std::printf("; %llu operations, %llu refused, %llu in flight at a death; %llu recoveries, %llu with "
                "something to undo, "
                "%llu of the segment's lock\n",
                static_cast<unsigned long long>(t.operations), static_cast<unsigned long long>(t.refusals),
                static_cast<unsigned long long>(t.in_flight), static_cast<unsigned long long>(t.recoveries),
                static_cast<unsigned long long>(t.rollbacks),
                static_cast<unsigned long long>(t.segment_recoveries));
    std::fflush(stdout);
}

}  // namespace

storm_tally run_storm(const std::string& title, const std::vector<storm_row>& rows,
                      const storm_options& options, milliseconds duration) {
    const scratch_name name("storm");
    const core_directory cores;
    journal_book book;
    const shared_object<storm_weather> weather;
    crew_plan plan;
    plan.rows = &rows;
    plan.options = options;
    plan.segment_name = name.get();
    plan.directory = cores.path();
    plan.seed = storm_seed();
    plan.book = &book;
    plan.weather = &*weather;

    const auto began = clock::now();
    std::fflush(nullptr);
    const pid_t pid = ::fork();
    if (pid == 0) {
        prepare_child();
        try {
            supervise(plan, duration, book, cores);
        } catch (const std::exception& e) {
            weather->report(e.what());
        }
        ::_exit(0);
    }
    if (pid < 0) throw std::runtime_error("no process for a storm");
    int status = 0;
    ::waitpid(pid, &status, 0);
    if (status != 0) weather->report("the storm's supervisor died");
    storm_tally tally = weather->tally;
    std::copy(std::begin(weather->problem), std::end(weather->problem), tally.problem);
    print(title, tally, std::chrono::duration<double>(clock::now() - began).count());
    return tally;
}

std::uint64_t storm_seed() {
    static const std::uint64_t seed = [] {
        const char* given = std::getenv("CAIRN_STORM_SEED");
        const std::uint64_t chosen =
            given != nullptr ? std::strtoull(given, nullptr, 10) : std::random_device{}();
        std::printf("storm: CAIRN_STORM_SEED=%llu\n", static_cast<unsigned long long>(chosen));
        return chosen;
    }();
    return seed;
}

milliseconds storm_time(double share) {
    double seconds = 25;
    if (const char* given = std::getenv("CAIRN_STRESS_MINUTES")) seconds = 60 * std::strtod(given, nullptr);
    if (const char* given = std::getenv("CAIRN_STORM_SECONDS")) seconds = std::strtod(given, nullptr);
    return milliseconds(static_cast<std::int64_t>(1000 * seconds * share));
}

}  // namespace cairn_test

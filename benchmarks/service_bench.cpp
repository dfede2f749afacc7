// service_bench.cpp - how soon is a killed worker replaced, and what do services cost that do nothing?
//
// Workload      replace: a manager with 32 workers, of which each is killed once, one after the other; from the kill to run() of the one
//               that takes its place.
//               idle: a manager with eight workers that wait; for two seconds, how often its own three processes are woken, and what
//               processor time they and the workers use.
// Processes     manager, guardian, nursery, workers. The peer of replace is the loop that everybody has written: waitpid, fork.
// Good          replace: POOLS.md's goal is 5 ms in the middle and 50 at worst; cotyledon takes 13. idle: nothing worth measuring.
//
// SPDX-License-Identifier: BSL-1.0
#include <array>
#include <atomic>
#include <cerrno>
#include <chrono>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <functional>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "support/crew.hpp"
#include "support/report.hpp"
#include <cairn/service_manager.hpp>

namespace cairn_bench {
namespace {

using namespace std::chrono_literals;
using steady = std::chrono::steady_clock;

constexpr int replaced_workers = 32;
constexpr int idle_workers = 8;
constexpr std::chrono::seconds idle_time{2};
constexpr std::chrono::seconds watchdog{20};

struct place {
    std::atomic<pid_t> pid{0};
    std::atomic<std::int64_t> started{0};  // steady nanoseconds
};
using places = std::array<place, replaced_workers>;

std::int64_t now_in_nanoseconds() {
    return std::chrono::nanoseconds(steady::now().time_since_epoch()).count();
}

void write_down(place& to) {
    to.started = now_in_nanoseconds();
    to.pid = ::getpid();
}

void wait_until(const std::function<bool()>& holds) {
    const auto limit = steady::now() + watchdog;
    while (!holds()) {
        if (steady::now() > limit) throw std::runtime_error("a worker has not come up");
        std::this_thread::sleep_for(50us);
    }
}

class waiting_worker : public cairn::service {
public:
    explicit waiting_worker(places* all) : all_(all) {}
    void run() override { write_down((*all_)[static_cast<std::size_t>(worker_id())]); }

private:
    places* all_;
};

// A manager in a child, with its workers up.
class managed_child {
public:
    managed_child(places& all, int workers) {
        pid_ = ::fork();
        if (pid_ < 0) throw std::runtime_error("fork");
        if (pid_ == 0) {
            ::prctl(PR_SET_PDEATHSIG, SIGKILL);
            cairn::service_manager sm{{.quiet = true}};
            sm.add<waiting_worker>(workers, &all);
            ::_exit(sm.run());
        }
        wait_until([&] {
            for (int i = 0; i < workers; ++i)
                if (all[static_cast<std::size_t>(i)].pid == 0) return false;
            return true;
        });
    }
    managed_child(const managed_child&) = delete;
    managed_child& operator=(const managed_child&) = delete;
    ~managed_child() {
        ::kill(pid_, SIGTERM);
        while (::waitpid(pid_, nullptr, 0) < 0 && errno == EINTR) {}
    }
    [[nodiscard]] pid_t pid() const { return pid_; }

private:
    pid_t pid_ = 0;
};

double replaced_after(place& which, const std::function<void(pid_t)>& meanwhile) {
    const pid_t before = which.pid;
    const std::int64_t from = now_in_nanoseconds();
    ::kill(before, SIGKILL);
    meanwhile(before);
    wait_until([&] { return which.pid != before; });
    return static_cast<double>(which.started - from);
}

void replace_by_manager(benchmark::State& state) {
    for (auto _ : state) {
        const shared_pages pages(sizeof(places));
        places& all = *pages.as<places>();
        const managed_child manager(all, replaced_workers);
        std::vector<double> samples;
        for (place& each : all) samples.push_back(replaced_after(each, [](pid_t) {}));
        add_samples("replace/manager", samples);
    }
}

void replace_by_loop(benchmark::State& state) {
    for (auto _ : state) {
        const shared_pages pages(sizeof(places));
        place& only = pages.as<places>()->front();
        const auto start = [&] {
            if (::fork() != 0) return;
            ::prctl(PR_SET_PDEATHSIG, SIGKILL);
            write_down(only);
            for (;;) ::pause();
        };
        start();
        wait_until([&] { return only.pid != 0; });
        std::vector<double> samples;
        for (int i = 0; i < replaced_workers; ++i)
            samples.push_back(replaced_after(only, [&](pid_t dead) {
                ::waitpid(dead, nullptr, 0);
                start();
            }));
        ::kill(only.pid, SIGKILL);
        ::waitpid(only.pid, nullptr, 0);
        add_samples("replace/loop", samples);
    }
}

// -- idle -----------------------------------------------------------------------------------------------------------

struct use {
    long switches = 0;
    double seconds = 0;
};

// All its threads.
use used_by(pid_t process) {
    use all;
    for (const auto& thread :
         std::filesystem::directory_iterator("/proc/" + std::to_string(process) + "/task")) {
        std::ifstream status(thread.path() / "status");
        for (std::string line; std::getline(status, line);)
            for (const std::string key : {"voluntary_ctxt_switches:", "nonvoluntary_ctxt_switches:"})
                if (line.starts_with(key)) all.switches += std::atol(line.c_str() + key.size());
        // The first number: nanoseconds on a processor.
        std::ifstream statistics(thread.path() / "schedstat");
        long nanoseconds = 0;
        if (!(statistics >> nanoseconds)) throw not_here("the kernel has no schedstat");
        all.seconds += static_cast<double>(nanoseconds) / 1e9;
    }
    return all;
}

pid_t only_child_of(pid_t parent) {
    std::ifstream children("/proc/" + std::to_string(parent) + "/task/" + std::to_string(parent) +
                           "/children");
    pid_t child = 0;
    if (!(children >> child)) throw not_here("the kernel does not list children");
    return child;
}

void idle(benchmark::State& state) {
    for (auto _ : state) {
        const shared_pages pages(sizeof(places));
        places& all = *pages.as<places>();
        const managed_child manager(all, idle_workers);
        const pid_t guardian = only_child_of(manager.pid());
        std::vector<pid_t> processes{manager.pid(), guardian, only_child_of(guardian)};
        for (int i = 0; i < idle_workers; ++i) processes.push_back(all[static_cast<std::size_t>(i)].pid);
        const auto sum = [&] {
            use total;
            for (std::size_t i = 0; i < processes.size(); ++i) {
                const use each = used_by(processes[i]);
                if (i < 3) total.switches += each.switches;
                total.seconds += each.seconds;
            }
            return total;
        };
        std::this_thread::sleep_for(200ms);  // until what belongs to the start is over
        const use before = sum();
        std::this_thread::sleep_for(idle_time);
        const use after = sum();
        const double seconds = std::chrono::duration<double>(idle_time).count();
        state.counters["wakes"] = static_cast<double>(after.switches - before.switches) / seconds;
        state.counters["processor"] = (after.seconds - before.seconds) / seconds;
    }
}

}  // namespace
}  // namespace cairn_bench

int main(int argc, char** argv) {
    using namespace cairn_bench;
    add("replace/manager", replace_by_manager)->Iterations(1);
    add("replace/loop", replace_by_loop)->Iterations(1);
    compare("SIGKILL of a worker to its replacement", {"replace/manager"}, "loop", {"replace/loop"},
            nanoseconds(5e6));
    add("idle/eight", idle)->Iterations(1);
    return run(argc, argv);
}

// process_bench.cpp - what do cairn::process and the shared list add to a bare fork?
//
// Workload      start and join of a child that does nothing, as a process and as a daemon; the first program of the
//               README: 8 workers, each sums N random integers from 1 to 100 and appends its sum; then all sums are read.
//               N is 1 000 (what is left is the overhead) and 1 000 000 (what the user sees).
// Processes     1 + 1, and 1 + 8 at once. The peer is fork, waitpid and an array in shared pages with an atomic counter.
// Good          DESIGN.md section 9: the program at most 1 ms longer than over bare fork and array (then 0.3 ms).
//               Python's takes 26 ms longer.
//
// SPDX-License-Identifier: BSL-1.0
#include <array>
#include <atomic>
#include <cerrno>
#include <functional>
#include <random>
#include <stdexcept>
#include <string>
#include <system_error>
#include <vector>

#include <sys/wait.h>
#include <unistd.h>

#include "support/crew.hpp"
#include "support/report.hpp"
#include <cairn/list.hpp>
#include <cairn/manager.hpp>
#include <cairn/process.hpp>

namespace cairn_bench {
namespace {

constexpr int worker_count = 8;

long sum_of_random(int count) {
    std::minstd_rand generator{std::random_device{}()};
    std::uniform_int_distribution<int> roll{1, 100};
    long sum = 0;
    for (int i = 0; i < count; ++i) sum += roll(generator);
    return sum;
}

template <typename Body>
pid_t fork_to(Body body) {
    const pid_t pid = ::fork();
    if (pid < 0) throw std::system_error(errno, std::generic_category(), "fork");
    if (pid == 0) {
        body();
        ::_exit(0);
    }
    return pid;
}

void wait_for(pid_t pid) {
    while (::waitpid(pid, nullptr, 0) < 0 && errno == EINTR) {}
}

void require_all(const std::vector<long>& sums) {
    if (sums.size() != worker_count) throw std::runtime_error("a worker's sum is missing");
}

void start_and_join(benchmark::State& state) {
    for (auto _ : state) {
        cairn::process p([] {});
        p.join();
    }
}

void start_and_join_daemon(benchmark::State& state) {
    for (auto _ : state) {
        cairn::process p({.name = {}, .daemon = true}, [] {});
        p.join();
    }
}

void fork_and_wait(benchmark::State& state) {
    for (auto _ : state) wait_for(fork_to([] {}));
}

void program(benchmark::State& state, int count) {
    for (auto _ : state) {
        const cairn::manager manager;
        const auto results = manager.list<long>("results");
        std::vector<cairn::process> workers;
        for (int i = 0; i < worker_count; ++i)
            workers.emplace_back([&] { results.append(sum_of_random(count)); });
        for (cairn::process& worker : workers) worker.join();
        require_all(results.snapshot());
    }
}

void bare_program(benchmark::State& state, int count) {
    struct shared {
        std::atomic<int> size;
        std::array<long, worker_count> sums;
    };
    for (auto _ : state) {
        const shared_pages pages(sizeof(shared));
        auto& results = *pages.as<shared>();
        std::vector<pid_t> workers;
        for (int i = 0; i < worker_count; ++i)
            workers.push_back(fork_to([&] {
                const long sum = sum_of_random(count);
                results.sums[static_cast<std::size_t>(results.size.fetch_add(1))] = sum;
            }));
        for (const pid_t worker : workers) wait_for(worker);
        require_all({results.sums.begin(), results.sums.begin() + results.size});
    }
}

void add_timed(const std::string& name, std::function<void(benchmark::State&)> body) {
    add(name, std::move(body))->UseRealTime()->Unit(benchmark::kMicrosecond);
}

}  // namespace
}  // namespace cairn_bench

int main(int argc, char** argv) {
    using namespace cairn_bench;
    add_timed("start_join/process", start_and_join);
    add_timed("start_join/daemon", start_and_join_daemon);
    add_timed("start_join/fork", fork_and_wait);
    compare("start and join", {"start_join/process"}, "fork and waitpid", {"start_join/fork"});
    compare("start and join a daemon", {"start_join/daemon"}, "fork and waitpid", {"start_join/fork"});
    compare("a daemon, not a process", {"start_join/daemon"}, "process", {"start_join/process"});
    for (const int count : {1'000, 1'000'000}) {
        const std::string name = "eight_sums/" + std::to_string(count);
        add_timed(name + "/cairn", [=](benchmark::State& state) { program(state, count); });
        add_timed(name + "/fork", [=](benchmark::State& state) { bare_program(state, count); });
        compare("8 sums of " + std::to_string(count), {name + "/cairn"}, "fork and array", {name + "/fork"},
                more_than_the_peer(1e6, 0.3e6));
    }
    return run(argc, argv);
}

// process_pool_bench.cpp - what does a task cost that another process does, and a death?
//
// Workload      round trip: submit one task and wait for its result, again and again. task: 10 000 submits, then all results. map: a
//               million items that do nothing. start: make a pool of two, get its first result, end it. death: a task kills
//               its worker, until its future is settled. under fire: tasks of 100 us while a worker is killed every 5 ms, all
//               results right. beside many: a round trip of one thread while another submits 20 000 tasks at a time. idle: processor
//               time of a pool of eight that has nothing to do, for each second.
// Peers         "pipe and fork", the twenty lines that everybody has written: two forked workers, a pipe to them and one back, eight
//               bytes a task; Python's ProcessPoolExecutor and Pool of two, where there is a python3; a bare fork and wait; the same
//               tasks with nobody killed; eight processes that sleep 150 ms at a time.
// Good          POOLS' goals: a round trip of 1 us, 400 ns a task, 20 ns an item, a start of 350 us, a death settled in 1 ms. Of these
//               ratios are shown here: against the pipe, and against a bare fork.
//
// SPDX-License-Identifier: BSL-1.0
#include <array>
#include <atomic>
#include <chrono>
#include <csignal>
#include <cstdint>
#include <cstdlib>
#include <ctime>
#include <set>
#include <string>
#include <thread>
#include <vector>

#include <sys/wait.h>
#include <unistd.h>

#include "support/crew.hpp"
#include "support/piped_workers.hpp"
#include "support/python.hpp"
#include "support/report.hpp"
#include <cairn/pool.hpp>
#include <cairn/thread_pool_executor.hpp>

namespace cairn_bench {
namespace {

constexpr int tasks_each_round = 10'000;
constexpr int items_each_map = 1'000'000;
constexpr int workers = 2;

long same(long x) {
    return x;
}

void round_trip_of_pool(benchmark::State& state) {
    cairn::process_pool_executor ex(workers);
    for (auto _ : state) keep(ex.submit(same, 1L).result());
}

void round_trip_of_pipe(benchmark::State& state) {
    const piped_workers pipe(same);
    for (auto _ : state) {
        pipe.send(1);
        keep(pipe.receive());
    }
}

void tasks_of_pool(benchmark::State& state) {
    cairn::process_pool_executor ex(workers);
    std::vector<cairn::future<long>> futures;
    futures.reserve(tasks_each_round);
    while (state.KeepRunningBatch(tasks_each_round)) {
        for (long i = 0; i < tasks_each_round; ++i) futures.push_back(ex.submit(same, i));
        long sum = 0;
        for (const auto& each : futures) sum += each.result();
        keep(sum);
        futures.clear();
    }
}

// As many on the way as fit into a pipe: more would wait for each other.
void tasks_of_pipe(benchmark::State& state) {
    constexpr int most_on_the_way = 1000;
    const piped_workers pipe(same);
    while (state.KeepRunningBatch(tasks_each_round)) {
        long sum = 0;
        for (int sent = 0; sent < tasks_each_round; sent += most_on_the_way) {
            for (long i = 0; i < most_on_the_way; ++i) pipe.send(i);
            for (int i = 0; i < most_on_the_way; ++i) sum += pipe.receive();
        }
        keep(sum);
    }
}

void map_of_pool(benchmark::State& state) {
    cairn::pool pool(workers);
    const std::vector<long> items(items_each_map, 7);
    while (state.KeepRunningBatch(items_each_map)) keep(pool.map(same, items).back());
}

void start_of_pool(benchmark::State& state) {
    for (auto _ : state) {
        cairn::process_pool_executor ex(workers);
        keep(ex.submit(same, 1L).result());
    }
}

void bare_fork(benchmark::State& state) {
    for (auto _ : state) {
        const pid_t child = ::fork();
        if (child == 0) ::_exit(0);
        ::waitpid(child, nullptr, 0);
    }
}

void death_in_pool(benchmark::State& state) {
    cairn::process_pool_executor ex(workers);
    for (auto _ : state) {
        const auto dead = ex.submit([] { ::kill(::getpid(), SIGKILL); });
        keep(dead.exception() != nullptr);
    }
}

// Returns who it was.
long short_work() {
    const auto until = std::chrono::steady_clock::now() + std::chrono::microseconds(100);
    while (std::chrono::steady_clock::now() < until) {}
    return ::getpid();
}

void under_fire(benchmark::State& state, bool has_killer) {
    constexpr int tasks = 200;
    cairn::process_pool_executor ex({.max_workers = workers, .retries = 1000});
    std::atomic<pid_t> victim{0};
    std::jthread killer([&](const std::stop_token& is_over) {
        while (has_killer && !is_over.stop_requested()) {
            std::this_thread::sleep_for(std::chrono::milliseconds(5));
            if (const pid_t pid = victim.exchange(0); pid != 0) ::kill(pid, SIGKILL);
        }
    });
    std::vector<cairn::future<long>> futures;
    while (state.KeepRunningBatch(tasks)) {
        for (int i = 0; i < tasks; ++i) futures.push_back(ex.submit(short_work));
        for (const auto& each : futures) victim = static_cast<pid_t>(each.result());
        futures.clear();
    }
}

void beside_many(benchmark::State& state) {
    constexpr std::size_t many = 20'000;
    cairn::process_pool_executor ex(workers);
    std::jthread others([&](const std::stop_token& is_over) {
        std::vector<cairn::future<long>> futures;
        while (!is_over.stop_requested()) {
            for (std::size_t i = 0; i < many; ++i) futures.push_back(ex.submit(same, 1L));
            for (const auto& each : futures) keep(each.result());
            futures.clear();
        }
    });
    for (auto _ : state) keep(ex.submit(same, 1L).result());
    others.request_stop();
}

double processor_seconds(const std::set<pid_t>& of) {
    double sum = 0;
    for (const pid_t pid : of) {
        clockid_t clock{};
        timespec time{};
        if (::clock_getcpuclockid(pid, &clock) != 0 || ::clock_gettime(clock, &time) != 0) std::abort();
        sum += static_cast<double>(time.tv_sec) + 1e-9 * static_cast<double>(time.tv_nsec);
    }
    return sum;
}

void measure_idle(benchmark::State& state, const std::set<pid_t>& all) {
    for (auto _ : state) {
        const double before = processor_seconds(all);
        std::this_thread::sleep_for(std::chrono::seconds(1));
        state.SetIterationTime(processor_seconds(all) - before);
    }
}

constexpr std::size_t idle_workers = 8;

void idle_pool(benchmark::State& state) {
    cairn::process_pool_executor ex(static_cast<int>(idle_workers));
    std::set<pid_t> all;
    while (all.size() != idle_workers) {
        std::vector<cairn::future<long>> futures;
        for (std::size_t i = 0; i < idle_workers; ++i) {
            futures.push_back(ex.submit([]() -> long {
                std::this_thread::sleep_for(std::chrono::milliseconds(20));
                return ::getpid();
            }));
        }
        for (const auto& each : futures) all.insert(static_cast<pid_t>(each.result()));
    }
    measure_idle(state, all);
}

void idle_sleepers(benchmark::State& state) {
    std::set<pid_t> all;
    for (std::size_t i = 0; i < idle_workers; ++i) {
        const pid_t child = ::fork();
        if (child == 0)
            for (;;) std::this_thread::sleep_for(std::chrono::milliseconds(150));
        all.insert(child);
    }
    measure_idle(state, all);
    for (const pid_t each : all) {
        ::kill(each, SIGKILL);
        ::waitpid(each, nullptr, 0);
    }
}

}  // namespace
}  // namespace cairn_bench

int main(int argc, char** argv) {
    using namespace cairn_bench;
    set_smoke_run(is_smoke_run(argc, argv));
    add("round_trip/cairn", round_trip_of_pool)->UseRealTime();
    add("round_trip/pipe", round_trip_of_pipe)->UseRealTime();
    add("task/cairn", tasks_of_pool)->UseRealTime();
    add("task/pipe", tasks_of_pipe)->UseRealTime();
    add("map/cairn", map_of_pool)->UseRealTime();
    add("start/cairn", start_of_pool)->UseRealTime();
    add("start/fork", bare_fork)->UseRealTime();
    add("death/cairn", death_in_pool)->UseRealTime();
    add("work/under_fire", [](benchmark::State& state) { under_fire(state, true); })->UseRealTime();
    add("work/in_peace", [](benchmark::State& state) { under_fire(state, false); })->UseRealTime();
    add("round_trip/beside_many", beside_many)->UseRealTime();
    add("idle/cairn", idle_pool)->UseManualTime()->Iterations(1);
    add("idle/sleepers", idle_sleepers)->UseManualTime()->Iterations(1);
    add_python("round_trip/executor", "round_trip_executor", 500, 5);
    add_python("round_trip/pool", "round_trip_pool", 500, 5);
    add_python("task/executor", "task_executor", 1000, 5);
    add_python("task/pool", "task_pool", 1000, 5);
    add_python("map/pool", "map_pool", 100'000, 100);
    add_python("start/executor", "start_executor", 5, 1);
    add_python("start/pool", "start_pool", 3, 1);
    compare("round trip", {"round_trip/cairn"}, "ProcessPoolExecutor", {"round_trip/executor"});
    compare("round trip", {"round_trip/cairn"}, "Python's Pool", {"round_trip/pool"});
    compare("a task", {"task/cairn"}, "ProcessPoolExecutor", {"task/executor"});
    compare("a task", {"task/cairn"}, "Python's Pool", {"task/pool"});
    compare("an item of map", {"map/cairn"}, "Python's Pool", {"map/pool"});
    compare("start, first result, end", {"start/cairn"}, "ProcessPoolExecutor", {"start/executor"});
    compare("start, first result, end", {"start/cairn"}, "Python's Pool", {"start/pool"});
    compare("round trip", {"round_trip/cairn"}, "pipe and fork", {"round_trip/pipe"}, times_the_peer(0.1));
    compare("a task", {"task/cairn"}, "pipe and fork", {"task/pipe"}, times_the_peer(0.5));
    compare("an item of map", {"map/cairn"}, "a task of pipe and fork", {"task/pipe"}, times_the_peer(0.05));
    compare("start, first result, end", {"start/cairn"}, "a bare fork", {"start/fork"}, times_the_peer(4.0));
    compare("a death, until it is settled", {"death/cairn"}, "a bare fork", {"start/fork"},
            times_the_peer(4.0));
    compare("a task of 100 us, a kill every 5 ms", {"work/under_fire"}, "nobody killed", {"work/in_peace"},
            times_the_peer(2.0));
    compare("a round trip beside 20 000 tasks", {"round_trip/beside_many"}, "alone", {"round_trip/cairn"});
    compare("eight idle workers, a second", {"idle/cairn"}, "eight that sleep 150 ms at a time",
            {"idle/sleepers"}, times_the_peer(2.0));
    return run(argc, argv);
}

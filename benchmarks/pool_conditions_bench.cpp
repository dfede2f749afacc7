// pool_conditions_bench.cpp - how short may tasks be, and what do idleness, size, memory and crowding do to a pool?
//
// Workload      grain: the length of tasks from which on half of the time is work, METG(50 %) of Task Bench: for lengths that double, the
//               time of two plain threads which need nobody to hand the same work out, divided by that of the system. idle: single round
//               trips, one after the other and after 1 and 100 ms of idleness, with the processor time of the submitter. bytes: 64 MiB of
//               doubles, by map in default chunks, and as a result that is made where it is read. memory: bytes of a task that waits, and
//               of a result that nobody has read. start: a pool of two to its first result, in a program that has touched 10 MiB and
//               1 GiB, with start_nursery() before that and without. crowded: tasks of 100 us for 16 workers, and for 2.
// Peers         "pipe and fork" (piped_workers.hpp), std::async, Python's ProcessPoolExecutor and Pool, oneTBB where libtbb-dev is
//               installed; Cairn's own thread pool; memcpy, and two threads that do the same; a bare fork.
// Good          POOLS: a grain of at most three times oneTBB's, and a fiftieth of ProcessPoolExecutor's; a result of any size in the same
//               time; a start of 350 us; what 16 workers do on two processors is what two do.
//
// SPDX-License-Identifier: BSL-1.0
#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstdint>
#include <cstring>
#include <ctime>
#include <deque>
#include <fstream>
#include <functional>
#include <future>
#include <memory>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include <malloc.h>
#include <sys/wait.h>
#include <unistd.h>

#include "support/crew.hpp"
#include "support/piped_workers.hpp"
#include "support/python.hpp"
#include "support/report.hpp"
#include <cairn/nursery.hpp>
#include <cairn/pool.hpp>
#include <cairn/thread_pool_executor.hpp>

#if defined(CAIRN_BENCH_TBB)
#include <tbb/task_arena.h>
#endif

namespace cairn_bench {
namespace {

constexpr int workers = 2;

double now_in_seconds() {
    return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count();
}

double processor_seconds() {
    timespec time{};
    ::clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &time);
    return static_cast<double>(time.tv_sec) + 1e-9 * static_cast<double>(time.tv_nsec);
}

// -- grain ----------------------------------------------------------------------------------------------------------

// So many steps, each of which waits for the one before.
long steps(long count) {
    std::uint64_t x = 1;
    for (long i = 0; i < count; ++i) {
        x = x * 6364136223846793005U + 1442695040888963407U;
        asm volatile("" : "+r"(x));
    }
    return count;
}

// The fastest of some: others use the machine, too.
double nanoseconds_of_step() {
    static const double of_step = [] {
        constexpr long count = 200'000;
        double least = 1;
        for (int i = 0; i < 20; ++i) {
            const double begin = now_in_seconds();
            keep(steps(count));
            least = std::min(least, now_in_seconds() - begin);
        }
        return 1e9 * least / count;
    }();
    return of_step;
}

using run_tasks = std::function<void(long tasks, long steps_each)>;

double seconds_of(const run_tasks& run, long tasks, long steps_each) {
    const double begin = now_in_seconds();
    run(tasks, steps_each);
    return now_in_seconds() - begin;
}

void by_plain_threads(long tasks, long steps_each) {
    std::vector<std::thread> threads;
    for (int i = 0; i < workers; ++i) {
        threads.emplace_back([=] {
            for (long n = 0; n < tasks / workers; ++n) keep(steps(steps_each));
        });
    }
    for (std::thread& each : threads) each.join();
}

double least_grain(const run_tasks& run) {
    const double each_time = is_smoke_run() ? 1e-3 : 20e-3;
    constexpr double first = 100;
    constexpr double last = 10e6;
    double before = 0;
    run(8, 1);  // all that is made at the first task
    for (double length = first; length < last; length *= 2) {
        const auto steps_each = std::lround(length / nanoseconds_of_step());
        const auto tasks = std::clamp(2 * std::lround(each_time * 1e9 / length), 8L, 40'000L);
        // One after the other, so that what else the machine does meets both; the best of each.
        double ideal = 1e9;
        double real = 1e9;
        for (int i = 0; i < 3; ++i) {
            ideal = std::min(ideal, seconds_of(by_plain_threads, tasks, steps_each));
            real = std::min(real, seconds_of(run, tasks, steps_each));
        }
        const double efficiency = ideal / real;
        if (efficiency >= 0.5) {
            if (length == first) return first;
            return length / 2 * std::exp2((0.5 - before) / (efficiency - before));
        }
        before = efficiency;
    }
    return last;
}

void add_grain(const std::string& name, std::function<double()> measure) {
    add("grain/" + name,
        [measure = std::move(measure)](benchmark::State& state) {
            for (auto _ : state) state.SetIterationTime(1e-9 * measure());
        })
        ->UseManualTime()
        ->Iterations(1);
}

template <typename Executor>
double grain_of_executor() {
    Executor ex(workers);
    std::vector<cairn::future<long>> futures;
    return least_grain([&](long tasks, long steps_each) {
        for (long i = 0; i < tasks; ++i) futures.push_back(ex.submit(steps, steps_each));
        for (const auto& each : futures) keep(each.result());
        futures.clear();
    });
}

double grain_of_map() {
    cairn::pool pool(workers);
    return least_grain([&](long tasks, long steps_each) {
        keep(pool.map(steps, std::vector<long>(static_cast<std::size_t>(tasks), steps_each)).back());
    });
}

double grain_of_pipe() {
    const piped_workers pipe(steps);
    return least_grain([&](long tasks, long steps_each) {
        constexpr long most_on_the_way = 1000;
        for (long sent = 0; sent < tasks; sent += most_on_the_way) {
            const long some = std::min(most_on_the_way, tasks - sent);
            for (long i = 0; i < some; ++i) pipe.send(steps_each);
            for (long i = 0; i < some; ++i) keep(pipe.receive());
        }
    });
}

double grain_of_async() {
    return least_grain([](long tasks, long steps_each) {
        constexpr long most_threads = 64;
        std::deque<std::future<long>> futures;
        for (long i = 0; i < tasks; ++i) {
            if (static_cast<long>(futures.size()) == most_threads) {
                keep(futures.front().get());
                futures.pop_front();
            }
            futures.push_back(std::async(std::launch::async, steps, steps_each));
        }
        for (auto& each : futures) keep(each.get());
    });
}

#if defined(CAIRN_BENCH_TBB)
double grain_of_tbb() {
    tbb::task_arena arena(workers, 0);
    return least_grain([&](long tasks, long steps_each) {
        std::vector<std::future<long>> futures;
        for (long i = 0; i < tasks; ++i) {
            auto task = std::make_shared<std::packaged_task<long()>>([=] { return steps(steps_each); });
            futures.push_back(task->get_future());
            arena.enqueue([task] { (*task)(); });
        }
        for (auto& each : futures) keep(each.get());
    });
}
#endif

// -- after idleness -------------------------------------------------------------------------------------------------

void measure_trips(const std::string& name, benchmark::State& state, std::chrono::microseconds idle,
                   const std::function<void()>& trip) {
    const int count = is_smoke_run()                         ? 3
                      : idle.count() == 0                    ? 2000
                      : idle < std::chrono::milliseconds(10) ? 100
                                                             : 5;
    for (int i = 0; i < 100; ++i) trip();
    std::vector<double> samples;
    double processor = 0;
    for (auto _ : state) {
        for (int i = 0; i < count; ++i) {
            if (idle.count() != 0) std::this_thread::sleep_for(idle);
            const double processor_before = processor_seconds();
            const double before = now_in_seconds();
            trip();
            samples.push_back(1e9 * (now_in_seconds() - before));
            processor += processor_seconds() - processor_before;
        }
    }
    state.counters["processor_ns"] = 1e9 * processor / static_cast<double>(samples.size());
    add_samples(name, samples);
}

void add_trips(const std::string& idle_name, std::chrono::microseconds idle) {
    const std::string of_cairn = "trip/" + idle_name + "/cairn";
    const std::string of_pipe = "trip/" + idle_name + "/pipe";
    add(of_cairn,
        [=](benchmark::State& state) {
            cairn::process_pool_executor ex(workers);
            measure_trips(of_cairn, state, idle, [&] { keep(ex.submit(steps, 1L).result()); });
        })
        ->UseRealTime()
        ->Iterations(1);
    add(of_pipe,
        [=](benchmark::State& state) {
            const piped_workers pipe(steps);
            measure_trips(of_pipe, state, idle, [&] {
                pipe.send(1);
                keep(pipe.receive());
            });
        })
        ->UseRealTime()
        ->Iterations(1);
    compare("round trip, " + idle_name, {of_cairn}, "pipe and fork", {of_pipe});
    compare("its processor time, ns, " + idle_name, {of_cairn, "processor_ns"}, "pipe and fork",
            {of_pipe, "processor_ns"});
}

// -- bytes ----------------------------------------------------------------------------------------------------------

long count_of_doubles() {
    return is_smoke_run() ? 1L << 12U : 8L << 20U;
}

double doubled(double x) {
    return 2 * x;
}

cairn::result<double> made_in_place(long count) {
    cairn::result<double> all(static_cast<std::size_t>(count));
    for (long i = 0; i < count; ++i) all[static_cast<std::size_t>(i)] = static_cast<double>(i);
    return all;
}

std::vector<double> made_and_sent(long count) {
    std::vector<double> all(static_cast<std::size_t>(count));
    for (long i = 0; i < count; ++i) all[static_cast<std::size_t>(i)] = static_cast<double>(i);
    return all;
}

void map_by_pool(benchmark::State& state) {
    cairn::pool pool(workers);
    const std::vector<double> items(static_cast<std::size_t>(count_of_doubles()), 7);
    keep(static_cast<std::int64_t>(pool.map(doubled, items).back()));  // its workers are there
    for (auto _ : state) keep(static_cast<std::int64_t>(pool.map(doubled, items).back()));
}

void map_by_threads(benchmark::State& state) {
    const std::vector<double> items(static_cast<std::size_t>(count_of_doubles()), 7);
    for (auto _ : state) {
        std::vector<double> results(items.size());
        std::vector<std::thread> threads;
        for (std::size_t i = 0; i < workers; ++i) {
            threads.emplace_back([&, i] {
                const std::size_t half = items.size() / workers;
                for (std::size_t n = i * half; n < (i + 1) * half; ++n) results[n] = doubled(items[n]);
            });
        }
        for (std::thread& each : threads) each.join();
        keep(static_cast<std::int64_t>(results.back()));
    }
}

void one_memcpy(benchmark::State& state) {
    const std::vector<double> items(static_cast<std::size_t>(count_of_doubles()), 7);
    for (auto _ : state) {
        const std::unique_ptr<double[]> copy(new double[items.size()]);
        std::memcpy(copy.get(), items.data(), items.size() * sizeof(double));
        keep(static_cast<std::int64_t>(copy[items.size() - 1]));
    }
}

template <auto Make>
void result_by_pool(benchmark::State& state) {
    cairn::process_pool_executor ex(workers);
    keep(ex.submit(steps, 1L).result());
    for (auto _ : state) {
        const auto result = ex.submit(Make, count_of_doubles()).result();
        keep(static_cast<std::int64_t>(result[result.size() - 1]));
    }
}

void result_by_call(benchmark::State& state) {
    for (auto _ : state) keep(static_cast<std::int64_t>(made_and_sent(count_of_doubles()).back()));
}

// -- memory ---------------------------------------------------------------------------------------------------------

// Resident, of this process: of its own, and of shared memory that it has touched. What was freed does not count.
double resident_bytes() {
    ::malloc_trim(0);
    std::ifstream file("/proc/self/status");
    double sum = 0;
    for (std::string line; std::getline(file, line);)
        if (line.starts_with("RssAnon:") || line.starts_with("RssShmem:"))
            sum += 1024 * std::stod(line.substr(9));
    return sum;
}

// In a child, whose memory is its own.
void measure_bytes(benchmark::State& state, const std::function<double()>& bytes_each) {
    const shared_pages pages(4096);
    for (auto _ : state) {
        child apart([&] { *pages.as<double>() = bytes_each(); });
        apart.join();
    }
    state.counters["bytes"] = *pages.as<double>();
}

long count_of_tasks() {
    return is_smoke_run() ? 1000 : 100'000;
}

// `is_done`: of results that were not read; else of tasks that wait.
double bytes_in_pool(bool is_done) {
    const shared_pages pages(4096);
    auto* const may_go = pages.as<std::atomic<bool>>();
    static std::atomic<bool>* gate = nullptr;
    gate = may_go;
    cairn::process_pool_executor ex(1);
    const auto first = ex.submit([] {
        while (!*gate) std::this_thread::sleep_for(std::chrono::milliseconds(1));
    });
    std::vector<cairn::future<long>> futures;
    futures.reserve(static_cast<std::size_t>(count_of_tasks()));
    const double before = resident_bytes();
    for (long i = 0; i < count_of_tasks(); ++i) futures.push_back(ex.submit(steps, 1L));
    double bytes = resident_bytes() - before;
    *may_go = true;
    first.result();
    if (is_done) {
        // The first waits for all others: what it has is one result.
        static_cast<void>(cairn::wait(futures));
        bytes = resident_bytes() - before;
    }
    for (const auto& each : futures) keep(each.result());
    return bytes / static_cast<double>(count_of_tasks());
}

// What std::packaged_task and std::future take, in a deque.
double bytes_of_packaged_tasks() {
    std::deque<std::packaged_task<long()>> tasks;
    std::vector<std::future<long>> futures;
    futures.reserve(static_cast<std::size_t>(count_of_tasks()));
    const double before = resident_bytes();
    for (long i = 0; i < count_of_tasks(); ++i) {
        tasks.emplace_back([] { return steps(1); });
        futures.push_back(tasks.back().get_future());
    }
    return (resident_bytes() - before) / static_cast<double>(count_of_tasks());
}

// -- start in a large program ---------------------------------------------------------------------------------------

double median_of(std::vector<double> values) {
    std::sort(values.begin(), values.end());
    return values[values.size() / 2];
}

template <typename Once>
void measure_starts(benchmark::State& state, std::size_t megabytes, bool has_nursery, const Once& once) {
    const shared_pages pages(4096);
    const std::size_t bytes = (is_smoke_run() ? 1 : megabytes) << 20U;
    for (auto _ : state) {
        child apart([&] {
            if (has_nursery) cairn::start_nursery();
            const std::unique_ptr<char[]> memory(new char[bytes]);
            std::memset(memory.get(), 1, bytes);
            std::vector<double> times;
            for (int i = 0; i < (is_smoke_run() ? 1 : 5); ++i) times.push_back(once());
            *pages.as<double>() = median_of(times);
        });
        if (apart.join() != 0) throw not_here("no memory");
        state.SetIterationTime(*pages.as<double>());
    }
}

double start_of_pool() {
    const double begin = now_in_seconds();
    cairn::process_pool_executor ex(workers);
    keep(ex.submit(steps, 1L).result());
    return now_in_seconds() - begin;  // and not its end
}

double bare_fork() {
    const double begin = now_in_seconds();
    const pid_t child = ::fork();
    if (child == 0) ::_exit(0);
    ::waitpid(child, nullptr, 0);
    return now_in_seconds() - begin;
}

void add_starts(const std::string& size, std::size_t megabytes) {
    for (const bool has_nursery : {true, false}) {
        const std::string name = "start/" + size + (has_nursery ? "/nursery" : "/late");
        add(name,
            [=](benchmark::State& state) { measure_starts(state, megabytes, has_nursery, start_of_pool); })
            ->UseManualTime()
            ->Iterations(1);
        compare("first result, " + size + (has_nursery ? ", start_nursery() first" : ""), {name},
                "a bare fork", {"start/" + size + "/fork"});
    }
    add("start/" + size + "/fork",
        [=](benchmark::State& state) { measure_starts(state, megabytes, false, bare_fork); })
        ->UseManualTime()
        ->Iterations(1);
}

// -- crowded --------------------------------------------------------------------------------------------------------

void crowd(benchmark::State& state, int of_workers) {
    constexpr int tasks = 200;
    cairn::process_pool_executor ex(of_workers);
    const auto steps_each = std::lround(100e3 / nanoseconds_of_step());
    std::vector<cairn::future<long>> futures;
    while (state.KeepRunningBatch(tasks)) {
        for (int i = 0; i < tasks; ++i) futures.push_back(ex.submit(steps, steps_each));
        for (const auto& each : futures) keep(each.result());
        futures.clear();
    }
}

void add_all() {
    add_grain("cairn", grain_of_executor<cairn::process_pool_executor>);
    add_grain("map", grain_of_map);
    add_grain("threads", grain_of_executor<cairn::thread_pool_executor>);
    add_grain("pipe", grain_of_pipe);
    add_grain("async", grain_of_async);
    add_python("grain/executor", "grain_executor", 20, 1);
    add_python("grain/pool", "grain_pool", 20, 1);
    const std::string half = "half of the time is work";
    compare(half, {"grain/cairn"}, "ProcessPoolExecutor", {"grain/executor"}, times_the_peer(0.02));
    compare(half, {"grain/cairn"}, "Python's Pool", {"grain/pool"});
    compare(half, {"grain/cairn"}, "pipe and fork", {"grain/pipe"});
    compare(half, {"grain/cairn"}, "std::async", {"grain/async"});
    compare(half, {"grain/cairn"}, "thread_pool_executor", {"grain/threads"});
    compare(half + ", pool.map", {"grain/map"}, "Python's Pool", {"grain/pool"});
#if defined(CAIRN_BENCH_TBB)
    add_grain("tbb", grain_of_tbb);
    compare(half, {"grain/cairn"}, "oneTBB enqueue", {"grain/tbb"}, times_the_peer(3));
#endif
    add_trips("hot", std::chrono::microseconds(0));
    add_trips("after 1 ms", std::chrono::milliseconds(1));
    add_trips("after 100 ms", std::chrono::milliseconds(100));
    add("bytes/map/cairn", map_by_pool)->UseRealTime();
    add("bytes/map/threads", map_by_threads)->UseRealTime();
    add("bytes/memcpy", one_memcpy)->UseRealTime();
    add("bytes/result/in_place", result_by_pool<made_in_place>)->UseRealTime();
    add("bytes/result/vector", result_by_pool<made_and_sent>)->UseRealTime();
    add("bytes/result/call", result_by_call)->UseRealTime();
    compare("map of 64 MiB of doubles", {"bytes/map/cairn"}, "two threads", {"bytes/map/threads"});
    compare("map of 64 MiB of doubles", {"bytes/map/cairn"}, "one memcpy", {"bytes/memcpy"});
    compare("a cairn::result of 64 MiB", {"bytes/result/in_place"}, "made by a call", {"bytes/result/call"},
            times_the_peer(1.5));
    compare("a vector of 64 MiB", {"bytes/result/vector"}, "made by a call", {"bytes/result/call"});
    add("memory/waits/cairn", [](benchmark::State& state) {
        measure_bytes(state, [] { return bytes_in_pool(false); });
    })->Iterations(1);
    add("memory/unread/cairn", [](benchmark::State& state) {
        measure_bytes(state, [] { return bytes_in_pool(true); });
    })->Iterations(1);
    add("memory/packaged_task", [](benchmark::State& state) {
        measure_bytes(state, bytes_of_packaged_tasks);
    })->Iterations(1);
    compare("bytes of a task that waits", {"memory/waits/cairn", "bytes"}, "packaged_task and future",
            {"memory/packaged_task", "bytes"});
    compare("bytes of a result not read", {"memory/unread/cairn", "bytes"}, "packaged_task and future",
            {"memory/packaged_task", "bytes"});
    add_starts("10 MiB", 10);
    add_starts("1 GiB", 1024);
    add("crowded/16", [](benchmark::State& state) { crowd(state, 16); })->UseRealTime();
    add("crowded/2", [](benchmark::State& state) { crowd(state, 2); })->UseRealTime();
    add_python("crowded/executor", "oversubscribed_executor", 400, 4);
    compare("a task of 100 us, 16 workers", {"crowded/16"}, "2 workers", {"crowded/2"}, times_the_peer(1.1));
    compare("a task of 100 us, 16 workers", {"crowded/16"}, "ProcessPoolExecutor of 16",
            {"crowded/executor"});
}

}  // namespace
}  // namespace cairn_bench

int main(int argc, char** argv) {
    cairn_bench::set_smoke_run(cairn_bench::is_smoke_run(argc, argv));
    cairn_bench::add_all();
    return cairn_bench::run(argc, argv);
}

// periodic_bench.cpp - what does a periodic run cost, and how late is it?
//
// Workload      run: 1 000 runs of a function that counts, with a spacing of 1 ns, so that the next one is always due: the time for each
//               run is the worker's own. In the worker's thread, and by a thread_pool_executor.
//               late: 200 runs with a spacing of 200 us, by fixed_rate; how much later than due they start, on average.
//               jitter: 500 runs with a spacing of 2 ms, by fixed_rate, in a process that does nothing else; how late each of them starts.
//               drift: the same, by last_started; how much later than due the last one starts.
//               take over: two processes have an exclusive callable; the one that runs it is killed, again and again; from the kill to
//               the other one's having the lock.
// Peers         the loop of twenty lines that everybody has written: std::this_thread::sleep_until the next instant, call a
//               std::function, catch what it throws, count. For drift, the shorter one that sleeps for the spacing.
// Good          a run costs at most 2 us, a thousandth of what is worth to be periodic; it is no later than in the loop, which
//               pays for the same wake-up. The drift is that of the wake-ups: it says more of the machine than of the loop.
//
// SPDX-License-Identifier: BSL-1.0
#include <algorithm>
#include <chrono>
#include <exception>
#include <functional>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "support/report.hpp"
#include <cairn/manager.hpp>
#include <cairn/periodic.hpp>
#include <cairn/queue.hpp>
#include <cairn/thread_pool_executor.hpp>

namespace cairn_bench {
namespace {

using namespace std::chrono_literals;
using steady = std::chrono::steady_clock;

constexpr int cheap_runs = 1'000;
constexpr int timed_runs = 200;
constexpr std::chrono::nanoseconds timed_spacing = 200us;
constexpr int jitter_runs = 500;
constexpr std::chrono::nanoseconds jitter_spacing = 2ms;
constexpr int take_overs = 20;

struct counts {
    long runs = 0;
    long failures = 0;
};

// The peer: absolute instants, so it does not drift. Sleeps also for what has passed.
void plain_loop(std::chrono::nanoseconds spacing, int most, const std::function<void()>& fn,
                counts& counted) {
    steady::time_point due = steady::now() + spacing;
    while (counted.runs < most) {
        std::this_thread::sleep_until(due);
        try {
            fn();
        } catch (const std::exception&) {
            ++counted.failures;
        }
        ++counted.runs;
        due += spacing;
    }
}

void plain_runs(benchmark::State& state) {
    while (state.KeepRunningBatch(cheap_runs)) {
        counts counted;
        long sum = 0;
        plain_loop(
            1ns, cheap_runs, [&] { ++sum; }, counted);
        benchmark::DoNotOptimize(sum);
    }
}

void periodic_runs(benchmark::State& state, bool in_place) {
    cairn::thread_pool_executor pool{1};
    cairn::periodic_worker_options options;
    if (!in_place) options.executor = pool;
    cairn::periodic_worker w(options);
    long left = 0;
    w.add(cairn::periodic{1ns}, [&] {
        if (--left == 0) w.stop();
    });
    while (state.KeepRunningBatch(cheap_runs)) {
        left = cheap_runs;
        w.start();
        w.reset();
    }
}

// How late runs start, against due instants from the first one on; `last` alone, or all on average.
class lateness {
public:
    void note() {
        const steady::time_point now = steady::now();
        if (count_ == 0) begin_ = now;
        last_ = now - (begin_ + count_ * timed_spacing);
        sum_ += last_;
        ++count_;
    }
    [[nodiscard]] int count() const { return count_; }
    void report(benchmark::State& state) const {
        const auto in_nanoseconds = [](std::chrono::nanoseconds time) {
            return static_cast<double>(time.count());
        };
        state.counters["late"] = in_nanoseconds(sum_) / std::max(1, count_);
        state.counters["drift"] = in_nanoseconds(last_);
    }

private:
    steady::time_point begin_{};
    std::chrono::nanoseconds last_{0};
    std::chrono::nanoseconds sum_{0};
    int count_ = 0;
};

void periodic_lateness(benchmark::State& state, cairn::strategy by) {
    for (auto _ : state) {
        lateness late;
        cairn::periodic_worker w{{.strategy = by}};
        const auto watcher = w.add(cairn::periodic{timed_spacing}, [&] {
            late.note();
            if (late.count() == timed_runs) w.stop();
        });
        w.start();
        late.report(state);
        if (by == cairn::strategy::fixed_rate)
            state.counters["late"] = 1e9 * watcher.late().count() / static_cast<double>(watcher.runs());
    }
}

void plain_lateness(benchmark::State& state) {
    for (auto _ : state) {
        counts counted;
        std::chrono::nanoseconds sum{0};
        steady::time_point due = steady::now() + timed_spacing;
        plain_loop(
            timed_spacing, timed_runs,
            [&] {
                sum += steady::now() - due;
                due += timed_spacing;
            },
            counted);
        state.counters["late"] = static_cast<double>(sum.count()) / timed_runs;
    }
}

// How late each of them started, by a clock that began with them.
class late_samples {
public:
    explicit late_samples(int most) : most_(static_cast<std::size_t>(most)) { samples_.reserve(most_); }
    // True when that was the last.
    bool note() {
        const std::chrono::nanoseconds since = steady::now() - begin_;
        samples_.push_back(static_cast<double>((since % jitter_spacing).count()));
        return samples_.size() == most_;
    }
    [[nodiscard]] const std::vector<double>& all() const { return samples_; }

private:
    std::size_t most_;
    std::vector<double> samples_;
    const steady::time_point begin_ = steady::now();
};

void periodic_jitter(benchmark::State& state) {
    for (auto _ : state) {
        cairn::periodic_worker w{{.strategy = cairn::strategy::fixed_rate}};
        late_samples late(jitter_runs);
        w.add(cairn::periodic{jitter_spacing}, [&] {
            if (late.note()) w.stop();
        });
        w.start();
        add_samples("jitter/fixed_rate", late.all());
    }
}

void plain_jitter(benchmark::State& state) {
    for (auto _ : state) {
        counts counted;
        late_samples late(jitter_runs);
        plain_loop(
            jitter_spacing, jitter_runs, [&] { static_cast<void>(late.note()); }, counted);
        add_samples("jitter/loop", late.all());
    }
}

void take_over(benchmark::State& state) {
    const cairn::manager shared;
    const cairn::mutex lock = shared.lock("leader");
    const auto leaders = shared.queue<long>("leaders");
    const auto begin = [&] {
        const pid_t child = ::fork();
        if (child != 0) return child;
        ::prctl(PR_SET_PDEATHSIG, SIGKILL);
        {
            cairn::periodic_worker w;
            bool is_first = true;
            w.add(cairn::periodic{1ms, {.run_immediately = true, .exclusive = lock}}, [&] {
                if (std::exchange(is_first, false)) leaders.put(::getpid());
            });
            w.start();
        }
        ::_exit(0);
    };
    const auto end = [](pid_t which) {
        ::kill(which, SIGKILL);
        ::waitpid(which, nullptr, 0);
    };
    for (auto _ : state) {
        std::vector<double> samples;
        auto leader = begin();
        static_cast<void>(leaders.get());
        for (int i = 0; i < take_overs; ++i) {
            const pid_t next = begin();
            std::this_thread::sleep_for(20ms);  // by then it waits for the lock
            const steady::time_point from = steady::now();
            ::kill(leader, SIGKILL);
            static_cast<void>(leaders.get());
            const std::chrono::nanoseconds taken = steady::now() - from;
            samples.push_back(static_cast<double>(taken.count()));
            ::waitpid(leader, nullptr, 0);
            leader = next;
        }
        end(leader);
        add_samples("take over/exclusive", samples);
    }
}

void plain_drift(benchmark::State& state) {
    for (auto _ : state) {
        lateness late;
        while (late.count() < timed_runs) {
            std::this_thread::sleep_for(timed_spacing);
            late.note();
        }
        late.report(state);
    }
}

}  // namespace
}  // namespace cairn_bench

int main(int argc, char** argv) {
    using namespace cairn_bench;
    add("run/in_place", [](benchmark::State& state) { periodic_runs(state, true); });
    add("run/thread_pool", [](benchmark::State& state) { periodic_runs(state, false); })->UseRealTime();
    add("run/loop", plain_runs);
    compare("run, in place", {"run/in_place"}, "loop", {"run/loop"}, nanoseconds(2000));
    compare("run, by a thread pool", {"run/thread_pool"}, "loop", {"run/loop"});

    add("late/fixed_rate",
        [](benchmark::State& state) { periodic_lateness(state, cairn::strategy::fixed_rate); });
    add("late/loop", plain_lateness);
    compare("late, fixed_rate", {"late/fixed_rate", "late"}, "loop", {"late/loop", "late"},
            times_the_peer(1.2));

    add("jitter/fixed_rate", periodic_jitter)->Iterations(1);
    add("jitter/loop", plain_jitter)->Iterations(1);
    compare("jitter, fixed_rate", {"jitter/fixed_rate"}, "loop", {"jitter/loop"}, times_the_peer(1.2));

    add("take over/exclusive", take_over)->Iterations(1);

    add("drift/last_started",
        [](benchmark::State& state) { periodic_lateness(state, cairn::strategy::last_started); });
    add("drift/sleep_for", plain_drift);
    compare("drift in 200 runs, last_started", {"drift/last_started", "drift"}, "sleep_for",
            {"drift/sleep_for", "drift"});
    return run(argc, argv);
}

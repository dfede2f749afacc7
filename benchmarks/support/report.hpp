// report.hpp - runs the registered benchmarks and sets ours beside the peer's: operation, ours, peer, ratio, goal.
//
// Every benchmark runs several times, in random order, so that what else the machine does meanwhile meets all of them
// alike. A figure is the median of these runs, with the quartiles; the ratio is that of the medians. Goals in
// nanoseconds (DESIGN.md section 9) were measured on a virtual machine with two cores; ratios travel better.
//
// The flags of Google Benchmark work as usual, and come after our own: --benchmark_repetitions=9,
// --benchmark_min_time=0.1, --benchmark_enable_random_interleaving=true. --benchmark_out has every single run.
//
// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <exception>
#include <functional>
#include <string>
#include <utility>
#include <vector>

#include <benchmark/benchmark.h>

namespace cairn_bench {

/// One side of a comparison: the time per iteration of a benchmark, or one of its counters.
struct figure {
    std::string benchmark;
    std::string counter = {};
};

/// What would be good. `first` is expected, `then` hoped for; 0: nothing is said.
struct goal {
    enum class kind { none, ratio, nanoseconds, difference };
    kind of = kind::none;
    double first = 0;
    double then = 0;
};
/// At most so many times the peer.
goal times_the_peer(double first, double then = 0);
/// At most so many nanoseconds.
goal nanoseconds(double first, double then = 0);
/// At most so many nanoseconds more than the peer.
goal more_than_the_peer(double first, double then = 0);

/// In the test suite, which only wants to see that a benchmark runs.
bool is_smoke_run(int argc, char** argv);

/// A line of the table after the run; left out when one of its sides did not run (--benchmark_filter).
void compare(std::string operation, figure ours, std::string peer_name, figure peer, goal wanted = {});

/// Registers `body` under `name`; what it throws ends this one benchmark and makes run() return 1.
benchmark::internal::Benchmark* add(const std::string& name, std::function<void(benchmark::State&)> body);

/// Thrown by a body that cannot run on this machine (no room in /dev/shm): skipped, which is not a failure.
class not_here : public std::exception {
public:
    explicit not_here(std::string why) : why_(std::move(why)) {}
    [[nodiscard]] const char* what() const noexcept override { return why_.c_str(); }

private:
    std::string why_;
};

/// For things whose single durations matter: these, in nanoseconds, are then the figures instead of one mean for each
/// run, and the report shows their p99 and their maximum, too.
void add_samples(const std::string& name, const std::vector<double>& samples);

/// The rest of main().
int run(int argc, char** argv);

}  // namespace cairn_bench

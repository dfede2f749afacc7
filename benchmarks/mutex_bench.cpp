// mutex_bench.cpp - what do lock and unlock of a cairn::mutex cost, beside a bare robust mutex of the C library?
//
// Workload      lock and unlock, again and again, with nothing in between. Times are per pair, of both processes together where
//               there are two.
// Processes     one; two, each bound to a core of its own.
// Good          at most what the bare one takes alone, and half of it with two processes.
//
// SPDX-License-Identifier: BSL-1.0
#include <cstdint>
#include <new>
#include <string>

#include "support/crew.hpp"
#include "support/locks.hpp"
#include "support/report.hpp"
#include <cairn/manager.hpp>

namespace cairn_bench {
namespace {

constexpr std::int64_t measured = 200'000;  // pairs of each member in a round
constexpr std::int64_t smoke = 2'000;       // in the test suite, which only wants to see it run

template <typename Lock>
void measure_lock(benchmark::State& state, const Lock& lock, int members, std::int64_t pairs) {
    crew workers(members, crew::as::processes, [&](int) {
        for (std::int64_t i = 0; i < pairs; ++i) {
            lock.lock();
            lock.unlock();
        }
    });
    measure(state, workers, pairs * members);
}

/// The bare one in shared memory, as const as a handle.
struct bare_handle {
    bare_robust_lock& of;
    void lock() const { static_cast<void>(of.lock()); }
    void unlock() const { of.unlock(); }
};

void add_all(std::int64_t pairs) {
    for (const int members : {1, 2}) {
        const std::string with = "/" + std::to_string(members);
        add("mutex" + with, [=](benchmark::State& state) {
            const cairn::manager m;
            measure_lock(state, m.lock(), members, pairs);
        });
        add("bare" + with, [=](benchmark::State& state) {
            const shared_pages pages(sizeof(bare_robust_lock));
            auto& bare = *new (pages.as<bare_robust_lock>()) bare_robust_lock;
            measure_lock(state, bare_handle{bare}, members, pairs);
        });
        compare("lock and unlock, " + std::to_string(members) + (members == 1 ? " process" : " processes"),
                {"mutex" + with}, "bare robust mutex", {"bare" + with},
                times_the_peer(members == 1 ? 1.0 : 0.5));
    }
}

}  // namespace
}  // namespace cairn_bench

int main(int argc, char** argv) {
    cairn_bench::add_all(cairn_bench::is_smoke_run(argc, argv) ? cairn_bench::smoke : cairn_bench::measured);
    return cairn_bench::run(argc, argv);
}

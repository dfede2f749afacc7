// shared_mutex_bench.cpp - what does reading under a cairn::shared_mutex cost, beside Boost's interprocess_sharable_mutex?
//
// Workload      a shared lock and its end, again and again, with nothing in between; a writer's lock beside a mutex's. Times are per
//               pair, of both processes together where there are two.
// Processes     one; two, each bound to a core of its own.
// Good          with two readers a fifth of the peer's.
//
// SPDX-License-Identifier: BSL-1.0
#include <cstdint>
#include <new>
#include <string>

#include <boost/interprocess/sync/interprocess_sharable_mutex.hpp>

#include "support/crew.hpp"
#include "support/report.hpp"
#include <cairn/manager.hpp>

namespace cairn_bench {
namespace {

constexpr std::int64_t measured = 200'000;  // pairs of each member in a round
constexpr std::int64_t smoke = 2'000;       // in the test suite, which only wants to see it run

template <typename Pair>
void measure_pairs(benchmark::State& state, int members, std::int64_t pairs, const Pair& pair) {
    crew workers(members, crew::as::processes, [&](int) {
        for (std::int64_t i = 0; i < pairs; ++i) pair();
    });
    measure(state, workers, pairs * members);
}

void add_all(std::int64_t pairs) {
    using sharable = boost::interprocess::interprocess_sharable_mutex;
    for (const int members : {1, 2}) {
        const std::string with = "/" + std::to_string(members);
        add("shared" + with, [=](benchmark::State& state) {
            const cairn::manager m;
            const auto rw = m.shared_mutex();
            measure_pairs(state, members, pairs, [&] {
                rw.lock_shared();
                rw.unlock_shared();
            });
        });
        add("sharable" + with, [=](benchmark::State& state) {
            const shared_pages pages(sizeof(sharable));
            auto& peer = *new (pages.as<sharable>()) sharable;
            measure_pairs(state, members, pairs, [&] {
                peer.lock_sharable();
                peer.unlock_sharable();
            });
        });
        compare("a reader in and out, " + std::to_string(members) +
                    (members == 1 ? " process" : " processes"),
                {"shared" + with}, "interprocess_sharable_mutex", {"sharable" + with},
                times_the_peer(members == 1 ? 1.0 : 0.2));
    }
    add("exclusive", [=](benchmark::State& state) {
        const cairn::manager m;
        const auto rw = m.shared_mutex();
        measure_pairs(state, 1, pairs, [&] {
            rw.lock();
            rw.unlock();
        });
    });
    add("mutex", [=](benchmark::State& state) {
        const cairn::manager m;
        const auto l = m.lock();
        measure_pairs(state, 1, pairs, [&] {
            l.lock();
            l.unlock();
        });
    });
    compare("a writer in and out, 1 process", {"exclusive"}, "cairn::mutex", {"mutex"});
}

}  // namespace
}  // namespace cairn_bench

int main(int argc, char** argv) {
    cairn_bench::add_all(cairn_bench::is_smoke_run(argc, argv) ? cairn_bench::smoke : cairn_bench::measured);
    return cairn_bench::run(argc, argv);
}

// event_bench.cpp - what does it cost to wake another process by an event, and to be woken?
//
// Workload      round trip: each of two processes sets the other's event, waits for its own and clears it, in turn;
//               look: wait() of an event that is set.
// Processes     two, each bound to a core of its own; one.
// Peer          two futex words, with a store and FUTEX_WAKE, and FUTEX_WAIT, and nothing else: what nobody can do without who sleeps at
//               once. An event looks for a while before it sleeps, and the peer does not.
//
// SPDX-License-Identifier: BSL-1.0
#include <atomic>
#include <cstdint>
#include <new>
#include <string>

#include <linux/futex.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "support/crew.hpp"
#include "support/report.hpp"
#include <cairn/manager.hpp>

namespace cairn_bench {
namespace {

constexpr std::int64_t measured = 20'000;  // round trips in a round
constexpr std::int64_t smoke = 200;        // in the test suite, which only wants to see it run

/// A word that somebody sleeps on.
class futex_flag {
public:
    void set() {
        word_.store(1);
        ::syscall(SYS_futex, &word_, FUTEX_WAKE, 1, nullptr, nullptr, 0);
    }
    void wait() {
        while (word_.load() == 0) ::syscall(SYS_futex, &word_, FUTEX_WAIT, 0, nullptr, nullptr, 0);
    }
    void clear() { word_.store(0); }

private:
    std::atomic<std::uint32_t> word_{0};
};

template <typename Flag>
void go_back_and_forth(benchmark::State& state, Flag& first, Flag& second, std::int64_t trips) {
    crew workers(2, crew::as::processes, [&](int member) {
        for (std::int64_t i = 0; i < trips; ++i) {
            if (member == 0) second.set();
            Flag& own = member == 0 ? first : second;
            own.wait();
            own.clear();
            if (member != 0) first.set();
        }
    });
    measure(state, workers, trips);
}

void add_all(std::int64_t trips) {
    add("round_trip/event", [=](benchmark::State& state) {
        const cairn::manager m;
        const auto first = m.event();
        const auto second = m.event();
        go_back_and_forth(state, first, second, trips);
    });
    add("round_trip/futex", [=](benchmark::State& state) {
        const shared_pages pages(2 * 4096);
        auto& first = *new (pages.as<std::byte>()) futex_flag;
        auto& second = *new (pages.as<std::byte>() + 4096) futex_flag;
        go_back_and_forth(state, first, second, trips);
    });
    compare("round trip, two processes", {"round_trip/event"}, "futex", {"round_trip/futex"},
            times_the_peer(1));
    add("look/event", [=](benchmark::State& state) {
        const cairn::manager m;
        const auto e = m.event();
        e.set();
        crew alone(1, crew::as::processes, [&](int) {
            for (std::int64_t i = 0; i < 10 * trips; ++i) e.wait();
        });
        measure(state, alone, 10 * trips);
    });
    add("look/atomic", [=](benchmark::State& state) {
        const shared_pages pages(4096);
        auto& flag = *new (pages.as<std::byte>()) futex_flag;
        flag.set();
        crew alone(1, crew::as::processes, [&](int) {
            for (std::int64_t i = 0; i < 10 * trips; ++i) flag.wait();
        });
        measure(state, alone, 10 * trips);
    });
    compare("wait for what is set", {"look/event"}, "a load", {"look/atomic"});
}

}  // namespace
}  // namespace cairn_bench

int main(int argc, char** argv) {
    cairn_bench::add_all(cairn_bench::is_smoke_run(argc, argv) ? cairn_bench::smoke : cairn_bench::measured);
    return cairn_bench::run(argc, argv);
}

// value_bench.cpp - what does it cost to count in a shared value, and to give an operation a number?
//
// Workload      fetch_add and load of a value<long>, again and again, with nothing in between; beside a std::atomic in shared memory. An append
//               to a list and a fetch_add with `.once`, by one client, beside the same without. Times are per operation.
// Processes     one; two that count in the same one, each bound to a core of its own (per operation, of both together).
// Good          fetch_add at most one and a half times a std::atomic's; a number at most 30 ns.
//
// SPDX-License-Identifier: BSL-1.0
#include <atomic>
#include <cstdint>
#include <new>
#include <string>

#include "support/crew.hpp"
#include "support/report.hpp"
#include <cairn/manager.hpp>

namespace cairn_bench {
namespace {

constexpr std::int64_t measured = 200'000;  // operations of each member in a round
constexpr std::int64_t smoke = 1'000;       // in the test suite, which only wants to see it run

template <typename Operation>
void measure_each(benchmark::State& state, int members, std::int64_t count, const Operation& operation) {
    crew workers(members, crew::as::processes, [&](int) {
        for (std::int64_t i = 0; i < count; ++i) operation();
    });
    measure(state, workers, count * members);
}

void add_counting(std::int64_t count) {
    for (const int members : {1, 2}) {
        const std::string with = "/" + std::to_string(members);
        const std::string by = members == 1 ? ", 1 process" : ", 2 processes";
        add("fetch_add/value" + with, [=](benchmark::State& state) {
            const cairn::manager m;
            const auto v = m.value<long>();
            measure_each(state, members, count, [&] { v.fetch_add(1); });
        });
        add("fetch_add/atomic" + with, [=](benchmark::State& state) {
            const shared_pages pages(sizeof(std::atomic<long>));
            auto& v = *new (pages.as<std::atomic<long>>()) std::atomic<long>;
            measure_each(state, members, count, [&] { v.fetch_add(1); });
        });
        compare("fetch_add" + by, {"fetch_add/value" + with}, "std::atomic", {"fetch_add/atomic" + with},
                times_the_peer(1.5));
    }
    add("load/value/1", [=](benchmark::State& state) {
        const cairn::manager m;
        const auto v = m.value<long>();
        measure_each(state, 1, count, [&] { keep(v.load()); });
    });
    add("load/atomic/1", [=](benchmark::State& state) {
        const shared_pages pages(sizeof(std::atomic<long>));
        auto& v = *new (pages.as<std::atomic<long>>()) std::atomic<long>;
        measure_each(state, 1, count, [&] { keep(v.load()); });
    });
    compare("load", {"load/value/1"}, "std::atomic", {"load/atomic/1"});
}

void add_numbers(std::int64_t count) {
    for (const bool is_numbered : {false, true}) {
        const std::string how = is_numbered ? "once" : "plain";
        add("append/" + how, [=](benchmark::State& state) {
            const cairn::manager m;
            const auto l = m.list<long>();
            std::uint64_t sequence = 0;
            crew workers(1, crew::as::processes, [&](int) {
                for (std::int64_t i = 0; i < count; ++i) {
                    if (is_numbered) l.push_back(i, {.once = {1, ++sequence}});
                    else l.push_back(i);
                }
            });
            measure(state, workers, count, [&] { l.clear(); });
        });
        add("count/" + how, [=](benchmark::State& state) {
            const cairn::manager m;
            const auto v = m.value<long>();
            std::uint64_t sequence = 0;
            measure_each(state, 1, count, [&] {
                if (is_numbered) static_cast<void>(v.fetch_add(1, {.once = {1, ++sequence}}));
                else v.fetch_add(1);
            });
        });
    }
    compare("append with a number", {"append/once"}, "without", {"append/plain"}, more_than_the_peer(30));
    compare("fetch_add with a number", {"count/once"}, "without", {"count/plain"}, more_than_the_peer(30));
}

}  // namespace
}  // namespace cairn_bench

int main(int argc, char** argv) {
    const std::int64_t count =
        cairn_bench::is_smoke_run(argc, argv) ? cairn_bench::smoke : cairn_bench::measured;
    cairn_bench::add_counting(count);
    cairn_bench::add_numbers(count);
    return cairn_bench::run(argc, argv);
}

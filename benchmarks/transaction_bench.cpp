// transaction_bench.cpp - what does it cost to make two operations on two objects one change?
//
// Workload      an append to a list and a set of what is there in a dict of 1 000, both int64; an item that goes from a queue into a
//               dict. As one cairn::transaction, and as two operations. Times are for both together.
// Processes     one; two, each bound to a core of its own, on the same objects.
// Good          at most one and a half times the two operations.
//
// SPDX-License-Identifier: BSL-1.0
#include <cstdint>
#include <functional>
#include <string>

#include "support/crew.hpp"
#include "support/report.hpp"
#include <cairn/manager.hpp>
#include <cairn/transaction.hpp>

namespace cairn_bench {
namespace {

constexpr std::int64_t measured = 100'000;  // changes of each member in a round
constexpr std::int64_t smoke = 500;         // in the test suite, which only wants to see it run
constexpr long keys = 1'000;

using list = cairn::list<long>;
using dict = cairn::dict<long, long>;
using queue = cairn::queue<long>;

template <typename Change>
void append_and_set(benchmark::State& state, int members, std::int64_t count, Change change) {
    const cairn::manager m;
    const list l = m.list<long>();
    const dict d = m.dict<long, long>();
    for (long i = 0; i < keys; ++i) d.set(i, 0);
    crew workers(members, crew::as::processes, [&](int) {
        for (std::int64_t i = 0; i < count; ++i) change(l, d, i);
    });
    measure(state, workers, count * members, [&] { l.clear(); });
}

template <typename Change>
void move(benchmark::State& state, int members, std::int64_t count, Change change) {
    const cairn::manager m;
    const queue q = m.queue<long>();
    const dict d = m.dict<long, long>();
    for (long i = 0; i < keys; ++i) d.set(i, 0);
    crew workers(members, crew::as::processes, [&](int) {
        for (std::int64_t i = 0; i < count; ++i) change(q, d, i);
    });
    measure(state, workers, count * members, [&] {
        for (std::int64_t i = static_cast<std::int64_t>(q.size()); i < count * members; ++i) q.put(i % keys);
    });
}

void add_all(std::int64_t count) {
    for (const int members : {1, 2}) {
        const std::string with = "/" + std::to_string(members);
        const std::string by = members == 1 ? ", 1 process" : ", 2 processes";
        add("append_and_set/as_one" + with, [=](benchmark::State& state) {
            append_and_set(state, members, count, [](const list& l, const dict& d, long i) {
                cairn::transaction(l, d, [i](auto& of_l, auto& of_d) {
                    of_l.push_back(i);
                    of_d.set(i % keys, i);
                });
            });
        });
        add("append_and_set/alone" + with, [=](benchmark::State& state) {
            append_and_set(state, members, count, [](const list& l, const dict& d, long i) {
                l.push_back(i);
                d.set(i % keys, i);
            });
        });
        compare("append and set as one change" + by, {"append_and_set/as_one" + with}, "two operations",
                {"append_and_set/alone" + with}, times_the_peer(1.5));
        add("move/as_one" + with, [=](benchmark::State& state) {
            move(state, members, count, [](const queue& q, const dict& d, long i) {
                cairn::transaction(q, d, [i](auto& of_q, auto& of_d) { of_d.set(of_q.get(), i); });
            });
        });
        add("move/alone" + with, [=](benchmark::State& state) {
            move(state, members, count, [](const queue& q, const dict& d, long i) { d.set(q.get(), i); });
        });
        compare("an item from a queue to a dict" + by, {"move/as_one" + with}, "two operations",
                {"move/alone" + with}, times_the_peer(1.5));
    }
}

}  // namespace
}  // namespace cairn_bench

int main(int argc, char** argv) {
    cairn_bench::add_all(cairn_bench::is_smoke_run(argc, argv) ? cairn_bench::smoke : cairn_bench::measured);
    return cairn_bench::run(argc, argv);
}

// list_append_bench.cpp - what does it cost to append to a shared list?
//
// Workload      warm: 100 000 int64 a process into an emptied list with room for them, pages mapped before;
//               growing: 1 000 000 int64, or 100 000 strings of 64 bytes, in all, into a new list in a new segment;
//               extend: the warm one in batches of 64 and 1024.
// Processes     one, and two at once on the same list (threads, where the peer is for threads only). Time is per
//               element, of both together.
// Good          DESIGN.md section 9: an append of int64 at most 1.15 times the bare lock with a store (then 13 ns / 15 ns),
//               a string 60 ns (then 35), extend 7 / 2 ns an element at 64 / 1024 (then 4 / 1).
//
// SPDX-License-Identifier: BSL-1.0
#include <array>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "support/crew.hpp"
#include "support/peers.hpp"
#include "support/report.hpp"

namespace cairn_bench {
namespace {

constexpr std::int64_t warm_elements =
    100'000;  // of each member; 800 KB, so they stay in a cache of the second level
constexpr std::int64_t growing_elements = 1'000'000;
constexpr std::int64_t growing_strings = 100'000;

using text_64 = std::array<char, 64>;  // a string for the floor, which knows no allocation

template <typename T>
T value_of(std::int64_t i) {
    if constexpr (std::is_same_v<T, std::string>) return std::string(64, static_cast<char>('a' + i % 26));
    else if constexpr (std::is_same_v<T, text_64>) return {};
    else return i;
}

template <typename T, typename List>
[[gnu::noinline]] void append(List& list, std::int64_t count) {
    if constexpr (std::is_same_v<T, std::int64_t>) {
        for (std::int64_t i = 0; i < count; ++i) list.push(i);
    } else {
        const T value = value_of<T>(count);
        for (std::int64_t i = 0; i < count; ++i) list.push(value);
    }
}

template <typename List>
[[gnu::noinline]] void extend(List& list, std::int64_t count, std::span<const std::int64_t> batch) {
    const auto step = static_cast<std::int64_t>(batch.size());
    for (std::int64_t i = 0; i < count; i += step) list.extend(batch);
}

template <typename List>
void append_warm(benchmark::State& state, int members) {
    const std::int64_t all = warm_elements * members;
    List list(static_cast<std::size_t>(all));
    crew workers(members, List::company, [&](int) { append<std::int64_t>(list, warm_elements); });
    measure(state, workers, all, [&] { list.reset(static_cast<std::size_t>(all)); });
}

template <typename List>
void extend_warm(benchmark::State& state, int members, std::int64_t batch_size) {
    const std::vector<std::int64_t> batch(static_cast<std::size_t>(batch_size), 1);
    const std::int64_t each = warm_elements / batch_size * batch_size;
    const std::int64_t all = each * members;
    List list(static_cast<std::size_t>(all));
    crew workers(members, List::company, [&](int) { extend(list, each, batch); });
    measure(state, workers, all, [&] { list.reset(static_cast<std::size_t>(all)); });
}

/// A new list and a new second process each time, so that no page is there before.
template <typename T, typename List>
void append_growing(benchmark::State& state, int members, std::int64_t all) {
    double overlap = 0;
    double rounds = 0;
    while (state.KeepRunningBatch(all)) {
        List list(static_cast<std::size_t>(all));
        crew workers(members, List::company, [&](int) { append<T>(list, all / members); });
        const round took = workers.run();
        state.SetIterationTime(took.seconds);
        overlap += took.overlap;
        rounds += 1;
    }
    if (members > 1) state.counters["overlap"] = overlap / rounds;
}

std::string label(const std::string& what, const std::string& who, int members) {
    return "append/" + what + "/" + who + "/" + std::to_string(members);
}

template <typename List>
void add_int64(int members) {
    add(label("int64_warm", List::name, members), [=](benchmark::State& state) {
        append_warm<List>(state, members);
    })->UseManualTime();
    add(label("int64_growing", List::name, members), [=](benchmark::State& state) {
        append_growing<std::int64_t, List>(state, members, growing_elements);
    })->UseManualTime();
    for (const int batch : {64, 1024}) {
        add(label("extend_" + std::to_string(batch), List::name, members), [=](benchmark::State& state) {
            extend_warm<List>(state, members, batch);
        })->UseManualTime();
    }
}

template <typename T, typename List>
void add_string(int members) {
    add(label("string64_growing", List::name, members), [=](benchmark::State& state) {
        append_growing<T, List>(state, members, growing_strings);
    })->UseManualTime();
}

void add_all() {
    add_int64<plain_vector<std::int64_t>>(1);
    add_string<std::string, plain_vector<std::string>>(1);
    for (const int members : {1, 2}) {
        add_int64<locked_array<std::int64_t>>(members);
        add_int64<locked_array<std::int64_t, cairn_lock>>(members);
        add_int64<cairn_list<std::int64_t>>(members);
        add_int64<guarded_vector<std::int64_t>>(members);
        add_int64<boost_vector<std::int64_t>>(members);
        add_string<text_64, locked_array<text_64>>(members);
        add_string<std::string, cairn_list<std::string>>(members);
        add_string<std::string, guarded_vector<std::string>>(members);
        add_string<std::string, boost_vector<std::string>>(members);
    }
}

void compare_with(const std::string& operation, const std::string& what, int members, const std::string& peer,
                  goal wanted = {}) {
    compare(operation + (members == 1 ? ", alone" : ", two processes"), {label(what, "cairn", members)}, peer,
            {label(what, peer, members)}, wanted);
}

void compare_all() {
    for (const int members : {1, 2}) {
        compare_with("append int64, warm", "int64_warm", members, "floor", times_the_peer(1.15));
        compare_with("append int64, warm", "int64_warm", members, "boost",
                     nanoseconds(0, members == 1 ? 13 : 15));
        for (const char* peer : {"lock", "vector+mutex", "vector"})
            compare_with("append int64, warm", "int64_warm", members, peer);
        for (const char* peer : {"floor", "boost", "vector+mutex", "vector"})
            compare_with("append int64, growing", "int64_growing", members, peer);
        compare_with("append string of 64, growing", "string64_growing", members, "boost",
                     nanoseconds(60, 35));
        for (const char* peer : {"floor", "vector+mutex", "vector"})
            compare_with("append string of 64, growing", "string64_growing", members, peer);
        compare_with("extend by 64, an int64", "extend_64", members, "boost", nanoseconds(7, 4));
        compare_with("extend by 1024, an int64", "extend_1024", members, "boost", nanoseconds(2, 1));
        for (const char* peer : {"floor", "vector+mutex", "vector"}) {
            compare_with("extend by 64, an int64", "extend_64", members, peer);
            compare_with("extend by 1024, an int64", "extend_1024", members, peer);
        }
    }
}

}  // namespace
}  // namespace cairn_bench

int main(int argc, char** argv) {
    cairn_bench::add_all();
    cairn_bench::compare_all();
    return cairn_bench::run(argc, argv);
}

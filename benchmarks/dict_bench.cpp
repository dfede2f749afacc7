// dict_bench.cpp - what does it cost to find, replace and add in a shared dict, alone and while others use it?
//
// Workload      int64 to int64, and strings of 16 to strings of 64 bytes; 100 000 and 1 000 000 entries, looked for at
//               random. get, set of what is there, and inserts into a new dict until it has 1 000 000. Times are per
//               operation. The slowest of 10 000 000 inserts one by one: what growth costs whoever meets it.
// Processes     one; two that read (per operation, of both together); one reader beside a writer on another core that never
//               rests. Threads, where the peer is for threads only.
// Good          DESIGN.md section 9: get of 100 000 int64 12 ns alone, 7 by two, 33 beside a writer (then 8 / 4.5 / 20), of
//               1 000 000 29 / 15 (20 / 10); strings 60 and 180 ns (35, 90); set 55 ns (30); insert 90 ns and 400 for strings
//               (60, 200). No insert as slow as a rehash.
//
// SPDX-License-Identifier: BSL-1.0
#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstdint>
#include <string>
#include <vector>

#include "support/crew.hpp"
#include "support/dict_peers.hpp"
#include "support/report.hpp"

namespace cairn_bench {
namespace {

struct sizes {
    std::int64_t small;
    std::int64_t large;
    std::int64_t operations;  // of each member in a round
    std::int64_t inserts;     // of which the slowest is looked for
};
constexpr sizes measured = {100'000, 1'000'000, 100'000, 10'000'000};
constexpr sizes smoke = {1'000, 2'000, 1'000, 20'000};  // in the test suite, which only wants to see it run

template <typename T>
T make(std::uint64_t i, std::size_t bytes) {
    if constexpr (std::is_same_v<T, std::string>) {
        std::string text = std::to_string(i * 0x9e3779b97f4a7c15U);
        text.resize(bytes, '.');
        return text;
    } else {
        return static_cast<T>(i * 7919);
    }
}

template <typename T>
T key(std::uint64_t i) {
    return make<T>(i, 16);
}
template <typename T>
T value(std::uint64_t i) {
    return make<T>(i, 64);
}

template <typename T>
std::int64_t taste(const T& v) {
    if constexpr (std::is_same_v<T, std::string>) return v.back();
    else return v;
}

// Filling a dict of a million takes longer than what is then measured, so that nothing is gained by finding out how many
// rounds take half a second.
constexpr std::int64_t rounds = 5;

// Made before: making a string costs as much as finding it.
template <typename K>
std::vector<K> random_keys(std::int64_t count, int seed, std::int64_t operations) {
    random_indices indices(static_cast<std::uint64_t>(seed), static_cast<std::uint64_t>(count));
    std::vector<K> keys;
    keys.reserve(static_cast<std::size_t>(operations));
    for (std::int64_t i = 0; i < operations; ++i) keys.push_back(key<K>(indices.next()));
    return keys;
}

enum class company { alone, two_readers, writer };

const char* name_of(company c) {
    switch (c) {
        case company::alone: return "1";
        case company::two_readers: return "2";
        case company::writer: return "writer";
    }
    return "";
}

template <typename Dict, typename K>
[[gnu::noinline]] void get_all(Dict& dict, const std::vector<K>& keys) {
    for (const K& each : keys) {
        // NOLINTNEXTLINE(bugprone-unchecked-optional-access): it is there, and asking would be measured, too
        keep(taste(*dict.get(each)));
    }
}

template <typename Dict, typename K, typename V>
[[gnu::noinline]] void set_all(Dict& dict, const std::vector<K>& keys, const V& to) {
    for (const K& each : keys) dict.set(each, to);
}

template <template <typename, typename> class Dict, typename K, typename V>
void get(benchmark::State& state, std::int64_t size, std::int64_t operations, company with) {
    Dict<K, V> dict(static_cast<std::size_t>(size));
    for (std::int64_t i = 0; i < size; ++i) dict.set(key<K>(static_cast<std::uint64_t>(i)), value<V>(1));
    const std::vector<std::vector<K>> keys = {random_keys<K>(size, 1, operations),
                                              random_keys<K>(size, 2, operations)};
    const shared_pages pages(sizeof(std::atomic<bool>));
    auto& is_over = *pages.as<std::atomic<bool>>();
    crew workers(with == company::alone ? 1 : 2, Dict<K, V>::company, [&](int member) {
        const std::vector<K>& mine = keys[static_cast<std::size_t>(member)];
        if (with == company::writer && member == 1) {
            while (!is_over.load(std::memory_order_relaxed))
                for (std::size_t i = 0; i < 64; ++i) dict.set(mine[i], value<V>(i));
            return;
        }
        get_all(dict, mine);
        is_over = true;
    });
    if (with == company::writer) measure_first(state, workers, operations, [&] { is_over = false; });
    else measure(state, workers, operations * workers.members());
}

template <template <typename, typename> class Dict, typename K, typename V>
void set(benchmark::State& state, std::int64_t size, std::int64_t operations) {
    Dict<K, V> dict(static_cast<std::size_t>(size));
    for (std::int64_t i = 0; i < size; ++i) dict.set(key<K>(static_cast<std::uint64_t>(i)), value<V>(1));
    const std::vector<K> keys = random_keys<K>(size, 1, operations);
    crew workers(1, Dict<K, V>::company, [&](int) { set_all(dict, keys, value<V>(2)); });
    measure(state, workers, operations);
}

// A new dict each time: pages are new to the process, too, as they are for whoever fills one.
template <template <typename, typename> class Dict, typename K, typename V>
void insert(benchmark::State& state, std::int64_t count) {
    std::vector<K> keys;
    for (std::int64_t i = 0; i < count; ++i) keys.push_back(key<K>(static_cast<std::uint64_t>(i)));
    const V each = value<V>(1);
    for (auto _ : state) {
        Dict<K, V> dict(static_cast<std::size_t>(count));
        const std::int64_t begin = now_ns();
        set_all(dict, keys, each);
        state.SetIterationTime(static_cast<double>(now_ns() - begin) * 1e-9 / static_cast<double>(count));
    }
}

template <template <typename, typename> class Dict>
void slowest(benchmark::State& state, std::int64_t count) {
    for (auto _ : state) {
        Dict<std::int64_t, std::int64_t> dict(static_cast<std::size_t>(count));
        std::vector<double> samples;
        samples.reserve(static_cast<std::size_t>(count));
        for (std::int64_t i = 0; i < count; ++i) {
            const std::int64_t begin = now_ns();
            dict.set(key<std::int64_t>(static_cast<std::uint64_t>(i)), i);
            samples.push_back(static_cast<double>(now_ns() - begin));
        }
        std::sort(samples.begin(), samples.end());
        state.counters["p50_ns"] = samples[samples.size() / 2];
        state.counters["p99_99_ns"] = samples[samples.size() / 10000 * 9999];
        state.counters["max_ns"] = samples.back();
    }
}

std::string label(const std::string& what, const std::string& who, const std::string& how) {
    return what + "/" + who + "/" + how;
}

template <template <typename, typename> class Dict, typename K, typename V>
void add_all(const std::string& type, const sizes& of) {
    const std::string who = Dict<K, V>::name;
    const bool is_shared = Dict<K, V>::company == processes;
    for (const std::int64_t size : {of.small, of.large}) {
        const std::string what = "get_" + type + "_" + std::to_string(size);
        for (const company with : {company::alone, company::two_readers, company::writer}) {
            if (with == company::writer && (!is_shared || size != of.small)) continue;
            add(label(what, who, name_of(with)),
                [=](benchmark::State& state) { get<Dict, K, V>(state, size, of.operations, with); })
                ->UseManualTime()
                ->Iterations(rounds * of.operations * (with == company::two_readers ? 2 : 1));
        }
    }
    add(label("set_" + type, who, "1"),
        [=](benchmark::State& state) { set<Dict, K, V>(state, of.small, of.operations); })
        ->UseManualTime()
        ->Iterations(rounds * of.operations);
    add(label("insert_" + type, who, "1"),
        [=](benchmark::State& state) { insert<Dict, K, V>(state, of.large); })
        ->UseManualTime()
        ->Iterations(1);
}

template <template <typename, typename> class Dict>
void add_slowest(const std::string& who, std::int64_t count) {
    add(label("slowest_insert", who, "1"), [=](benchmark::State& state) {
        slowest<Dict>(state, count);
    })->Iterations(1);
}

void compare_with(const std::string& operation, const std::string& what, company with,
                  const std::string& peer, goal wanted) {
    compare(operation, {label(what, "cairn", name_of(with))}, peer, {label(what, peer, name_of(with))},
            wanted);
}

void compare_all(const std::string& flat, const sizes& of) {
    const auto sized = [](const std::string& what, std::int64_t size) { return what + std::to_string(size); };
    for (const std::string& peer : {std::string("boost"), flat}) {
        compare_with("get int64 of 100000", sized("get_int64_", of.small), company::alone, peer,
                     nanoseconds(12, 8));
        compare_with("get int64 of 100000, two readers", sized("get_int64_", of.small), company::two_readers,
                     peer, nanoseconds(7, 4.5));
        compare_with("get int64 of 100000, beside a writer", sized("get_int64_", of.small), company::writer,
                     peer, nanoseconds(33, 20));
        compare_with("get int64 of 1000000", sized("get_int64_", of.large), company::alone, peer,
                     nanoseconds(29, 20));
        compare_with("get int64 of 1000000, two readers", sized("get_int64_", of.large), company::two_readers,
                     peer, nanoseconds(15, 10));
        compare_with("get 16 -> 64 bytes of 100000", sized("get_str_", of.small), company::alone, peer,
                     nanoseconds(60, 35));
        compare_with("get 16 -> 64 bytes of 1000000", sized("get_str_", of.large), company::alone, peer,
                     nanoseconds(180, 90));
        compare_with("set int64 that is there, of 100000", "set_int64", company::alone, peer,
                     nanoseconds(55, 30));
        compare_with("insert int64, to 1000000", "insert_int64", company::alone, peer, nanoseconds(90, 60));
        compare_with("insert 16 -> 64 bytes, to 1000000", "insert_str", company::alone, peer,
                     nanoseconds(400, 200));
    }
    for (const char* counter : {"p99_99_ns", "max_ns"}) {
        compare(std::string("slowest of many inserts, ") + counter,
                {label("slowest_insert", "cairn", "1"), counter}, flat,
                {label("slowest_insert", flat, "1"), counter});
    }
}

}  // namespace
}  // namespace cairn_bench

int main(int argc, char** argv) {
    using namespace cairn_bench;
    const sizes of = is_smoke_run(argc, argv) ? smoke : measured;
    add_all<cairn_dict, std::int64_t, std::int64_t>("int64", of);
    add_all<plain_map, std::int64_t, std::int64_t>("int64", of);
    add_all<boost_map, std::int64_t, std::int64_t>("int64", of);
    add_all<cairn_dict, std::string, std::string>("str", of);
    add_all<plain_map, std::string, std::string>("str", of);
    add_all<boost_map, std::string, std::string>("str", of);
    add_slowest<cairn_dict>("cairn", of.inserts);
    const std::string flat = plain_map<std::int64_t, std::int64_t>::name;
    add_slowest<plain_map>(flat, of.inserts);
    compare_all(flat, of);
    return run(argc, argv);
}

// sharded_dict_bench.cpp - what do two writers at once pay, and what does spreading keys over locks cost one alone?
//
// Workload      100 000 entries, int64 to int64, and strings of 16 to int64; set of what is there, d[k] += 1, and get, of
//               keys at random. Times are per operation, of both members together where there are two.
// Processes     one; two, each bound to a core of its own. Threads for the peer of the standard library.
// Peers         cairn::dict, with its one lock; std::unordered_map in 16 pieces with a std::mutex each, for threads; boost's
//               unordered_map in shared memory with one interprocess_mutex.
// Good          two writers on a sharded_dict at most 0.7 times what they pay on a dict; one alone at most 5 ns more, which
//               is the hash; two at most 1.5 times what threads pay for the pieces of the standard library.
//
// SPDX-License-Identifier: BSL-1.0
#include <array>
#include <cstdint>
#include <mutex>
#include <optional>
#include <string>
#include <unordered_map>
#include <vector>

#include "support/crew.hpp"
#include "support/dict_peers.hpp"
#include "support/report.hpp"
#include <cairn/sharded_dict.hpp>

namespace cairn_bench {
namespace {

struct sizes {
    std::int64_t entries;
    std::int64_t operations;  // of each member in a round
};
constexpr sizes measured = {100'000, 100'000};
constexpr sizes smoke = {1'000, 1'000};  // in the test suite, which only wants to see it run

template <typename K>
class sharded {
public:
    static constexpr const char* name = "sharded";
    static constexpr crew::as company = processes;

    void set(const K& key, std::int64_t value) const { dict_.set(key, value); }
    void add(const K& key) const { dict_[key] += 1; }
    [[nodiscard]] std::optional<std::int64_t> get(const K& key) const { return dict_.get(key); }

private:
    cairn::manager manager_;
    cairn::sharded_dict<K, std::int64_t> dict_ = manager_.sharded_dict<K, std::int64_t>("dict");
};

template <typename K>
class plain {
public:
    static constexpr const char* name = "dict";
    static constexpr crew::as company = processes;

    void set(const K& key, std::int64_t value) const { dict_.set(key, value); }
    void add(const K& key) const { dict_[key] += 1; }
    [[nodiscard]] std::optional<std::int64_t> get(const K& key) const { return dict_.get(key); }

private:
    cairn::manager manager_;
    cairn::dict<K, std::int64_t> dict_ = manager_.dict<K, std::int64_t>("dict");
};

template <typename K>
class striped {
    struct alignas(64) stripe {
        std::mutex mutex;
        std::unordered_map<K, std::int64_t> map;
    };

public:
    static constexpr const char* name = "striped";
    static constexpr crew::as company = threads;

    void set(const K& key, std::int64_t value) {
        stripe& own = of(key);
        const std::scoped_lock lock(own.mutex);
        own.map.insert_or_assign(key, value);
    }
    void add(const K& key) {
        stripe& own = of(key);
        const std::scoped_lock lock(own.mutex);
        own.map[key] += 1;
    }
    [[nodiscard]] std::optional<std::int64_t> get(const K& key) {
        stripe& own = of(key);
        const std::scoped_lock lock(own.mutex);
        const auto found = own.map.find(key);
        return found == own.map.end() ? std::nullopt : std::optional(found->second);
    }

private:
    // The hash of an integer is the integer: its last bits choose the bucket, so others choose the stripe.
    stripe& of(const K& key) { return stripes_[(std::hash<K>()(key) * 0x9e3779b97f4a7c15U) >> 60]; }
    std::array<stripe, 16> stripes_;
};

template <typename K>
class boost_one {
public:
    static constexpr const char* name = "boost";
    static constexpr crew::as company = processes;

    void set(const K& key, std::int64_t value) { map_.set(key, value); }
    [[nodiscard]] std::optional<std::int64_t> get(const K& key) { return map_.get(key); }

private:
    boost_map<K, std::int64_t> map_;
};

template <typename K>
K key(std::uint64_t i) {
    if constexpr (std::is_same_v<K, std::string>) {
        std::string text = std::to_string(i * 0x9e3779b97f4a7c15U);
        text.resize(16, '.');
        return text;
    } else {
        return static_cast<K>(i * 7919);
    }
}

// Made before: making a string costs as much as finding it.
template <typename K>
std::vector<K> random_keys(const sizes& of, std::uint64_t seed) {
    random_indices indices(seed, static_cast<std::uint64_t>(of.entries));
    std::vector<K> keys;
    keys.reserve(static_cast<std::size_t>(of.operations));
    for (std::int64_t i = 0; i < of.operations; ++i) keys.push_back(key<K>(indices.next()));
    return keys;
}

enum class operation { set, add, get };

template <template <typename> class Dict, typename K>
void run_operation(benchmark::State& state, operation what, int members, const sizes& of) {
    Dict<K> dict;
    for (std::int64_t i = 0; i < of.entries; ++i) dict.set(key<K>(static_cast<std::uint64_t>(i)), 1);
    const std::vector<std::vector<K>> keys = {random_keys<K>(of, 1), random_keys<K>(of, 2)};
    crew workers(members, Dict<K>::company, [&](int member) {
        const std::vector<K>& mine = keys[static_cast<std::size_t>(member)];
        if (what == operation::set)
            for (const K& each : mine) dict.set(each, member);
        if constexpr (requires { dict.add(mine[0]); })
            if (what == operation::add)
                for (const K& each : mine) dict.add(each);
        if (what == operation::get)
            for (const K& each : mine) keep(*dict.get(each));
    });
    measure(state, workers, of.operations * members);
}

std::string label(const std::string& what, const std::string& type, const std::string& who, int members) {
    return what + "_" + type + "/" + who + "/" + std::to_string(members);
}

template <template <typename> class Dict, typename K>
void add_all(const std::string& type, const sizes& of) {
    for (const int members : {1, 2}) {
        const auto one = [&](const char* name, operation what) {
            add(label(name, type, Dict<K>::name, members), [=](benchmark::State& state) {
                run_operation<Dict, K>(state, what, members, of);
            })->UseManualTime();
        };
        one("set", operation::set);
        if constexpr (requires(Dict<K>& d, const K& k) { d.add(k); }) one("add", operation::add);
        one("get", operation::get);
    }
}

void compare_all() {
    for (const std::string& type : {std::string("int64"), std::string("str")}) {
        for (const std::string& what : {std::string("set"), std::string("add"), std::string("get")}) {
            for (const int members : {1, 2}) {
                const figure ours = {label(what, type, "sharded", members)};
                std::string title = what;
                title.append(" ").append(type).append(members == 1 ? ", one" : ", two");
                const bool writes = what != "get";
                compare(title, ours, "dict", {label(what, type, "dict", members)},
                        members == 1 ? more_than_the_peer(5)
                        : writes     ? times_the_peer(0.7)
                                     : goal{});
                compare(title, ours, "striped", {label(what, type, "striped", members)},
                        members == 2 ? times_the_peer(1.5) : goal{});
                if (what != "add") compare(title, ours, "boost", {label(what, type, "boost", members)});
            }
        }
    }
}

}  // namespace
}  // namespace cairn_bench

int main(int argc, char** argv) {
    using namespace cairn_bench;
    bool is_smoke = false;
    for (int i = 1; i < argc; ++i)
        is_smoke = is_smoke || std::string(argv[i]) == "--benchmark_min_time=0.001";
    const sizes of = is_smoke ? smoke : measured;
    add_all<sharded, std::int64_t>("int64", of);
    add_all<plain, std::int64_t>("int64", of);
    add_all<striped, std::int64_t>("int64", of);
    add_all<boost_one, std::int64_t>("int64", of);
    add_all<sharded, std::string>("str", of);
    add_all<plain, std::string>("str", of);
    add_all<striped, std::string>("str", of);
    add_all<boost_one, std::string>("str", of);
    compare_all();
    return run(argc, argv);
}

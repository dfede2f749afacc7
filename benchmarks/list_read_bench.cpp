// list_read_bench.cpp - what does it cost to read a shared list, alone and while others use it?
//
// Workload      get: int64 at random places of 1 000, 100 000 and 1 000 000; iterate: the sum of 100 000, by a range-for;
//               snapshot: a copy of 100 000 in a std::vector. Times are per element.
// Processes     one reader; two readers (per element, of both together); one reader beside a writer on another core that
//               never rests: it appends (and takes 1 000 000 off again when there are so many), or sets random elements.
//               Threads, where the peer is for threads only. A peer with a lock holds it for a whole iteration or copy.
// Good          DESIGN.md section 9: get 9 ns alone, 4.5 ns by two readers (then 7 / 3.5), and not much more beside a writer;
//               for iterate and snapshot no goal was set.
//
// SPDX-License-Identifier: BSL-1.0
#include <atomic>
#include <cstdint>
#include <string>
#include <vector>

#include "support/crew.hpp"
#include "support/peers.hpp"
#include "support/report.hpp"

namespace cairn_bench {
namespace {

constexpr std::int64_t middle_size = 100'000;
constexpr std::int64_t gets = 100'000;  // of each reader in a round
constexpr std::size_t appended_at_most = 1'000'000;

enum class company { one_reader, two_readers, appender, setter };

const char* name_of(company c) {
    switch (c) {
        case company::one_reader: return "1";
        case company::two_readers: return "2";
        case company::appender: return "appender";
        case company::setter: return "setter";
    }
    return "";
}

template <typename List>
[[gnu::noinline]] void get_at_random(List& list, std::int64_t size, int seed) {
    random_indices indices(static_cast<std::uint64_t>(seed), static_cast<std::uint64_t>(size));
    for (std::int64_t i = 0; i < gets; ++i) keep(list.get(indices.next()));
}

template <typename List>
[[gnu::noinline]] void iterate(List& list) {
    keep(list.sum());
}

template <typename List>
[[gnu::noinline]] void take_snapshot(List& list) {
    const std::vector<std::int64_t> copy = list.copy();
    keep(copy.back());
}

/// Until the reader has done; looks at that every 64 operations.
template <typename List>
void write_on(List& list, std::int64_t size, company writer, const std::atomic<bool>& is_over) {
    const auto first = static_cast<std::size_t>(size);
    random_indices indices(7, first);
    std::size_t appended = list.size() - first;
    while (!is_over.load(std::memory_order_relaxed)) {
        for (int i = 0; i < 64; ++i) {
            if (writer == company::setter) list.set(indices.next(), i);
            else list.push(i);
        }
        if (writer == company::setter) continue;
        appended += 64;
        if (appended < appended_at_most) continue;
        list.truncate(first);
        appended = 0;
    }
}

template <typename List, typename Read>
void read(benchmark::State& state, std::int64_t size, company with, std::int64_t elements, Read work) {
    List list;
    const bool writes = with == company::appender || with == company::setter;
    // Room for what the writer appends: peers would otherwise copy all they have now and then.
    list.reset(static_cast<std::size_t>(size) + (with == company::appender ? appended_at_most + 64 : 0));
    for (std::int64_t i = 0; i < size; ++i) list.push(i);

    const shared_pages pages(sizeof(std::atomic<bool>));
    auto& is_over = *pages.as<std::atomic<bool>>();
    crew workers(with == company::one_reader ? 1 : 2, List::company, [&](int member) {
        if constexpr (requires { list.truncate(0); }) {
            if (writes && member == 1) {
                write_on(list, size, with, is_over);
                return;
            }
        }
        work(list, member);
        if (writes) is_over = true;
    });
    if (writes) measure_first(state, workers, elements, [&] { is_over = false; });
    else measure(state, workers, elements * workers.members());
}

std::string label(const std::string& what, const std::string& who, company with) {
    return what + "/" + who + "/" + name_of(with);
}

std::string get_label(std::int64_t size) {
    return "get_" + std::to_string(size);
}

template <typename List>
void add_get(std::int64_t size, company with) {
    add(label(get_label(size), List::name, with), [=](benchmark::State& state) {
        read<List>(state, size, with, gets,
                   [=](List& list, int member) { get_at_random(list, size, member + 1); });
    })->UseManualTime();
}

template <typename List>
void add_whole(company with) {
    add(label("iterate", List::name, with), [=](benchmark::State& state) {
        read<List>(state, middle_size, with, middle_size, [](List& list, int) { iterate(list); });
    })->UseManualTime();
    add(label("snapshot", List::name, with), [=](benchmark::State& state) {
        read<List>(state, middle_size, with, middle_size, [](List& list, int) { take_snapshot(list); });
    })->UseManualTime();
}

template <typename List>
void add_readers() {
    for (const company with : {company::one_reader, company::two_readers}) {
        for (const std::int64_t size : {std::int64_t{1'000}, middle_size, std::int64_t{1'000'000}})
            add_get<List>(size, with);
        add_whole<List>(with);
    }
}

template <typename List>
void add_beside_writers() {
    for (const company with : {company::appender, company::setter}) {
        add_get<List>(middle_size, with);
        add_whole<List>(with);
    }
}

void compare_with(const std::string& operation, const std::string& what, company with,
                  const std::string& peer, goal wanted = {}) {
    const char* how = "";
    switch (with) {
        case company::one_reader: how = ", alone"; break;
        case company::two_readers: how = ", two readers"; break;
        case company::appender: how = ", beside an appender"; break;
        case company::setter: how = ", beside a setter"; break;
    }
    compare(operation + how, {label(what, "cairn", with)}, peer, {label(what, peer, with)}, wanted);
}

void compare_all() {
    using cairn_bench::nanoseconds;
    for (const company with :
         {company::one_reader, company::two_readers, company::appender, company::setter}) {
        const bool writes = with == company::appender || with == company::setter;
        const goal wanted = with == company::one_reader    ? nanoseconds(9, 7)
                            : with == company::two_readers ? nanoseconds(4.5, 3.5)
                                                           : goal{};
        for (const std::int64_t size : {std::int64_t{1'000}, middle_size, std::int64_t{1'000'000}}) {
            const std::string operation = "get int64 of " + std::to_string(size);
            compare_with(operation, get_label(size), with, "boost", wanted);
            compare_with(operation, get_label(size), with, "vector+mutex");
            compare_with(operation, get_label(size), with, "vector");
        }
        if (writes) {
            // What the writer costs the reader.
            for (const char* what : {"get_100000", "iterate", "snapshot"})
                compare(
                    std::string(what) + " beside a" + (with == company::setter ? " setter" : "n appender"),
                    {label(what, "cairn", with)}, "cairn alone", {label(what, "cairn", company::one_reader)});
        }
        for (const char* peer : {"boost", "vector+mutex", "vector"}) {
            compare_with("iterate 100000", "iterate", with, peer);
            compare_with("snapshot of 100000", "snapshot", with, peer);
        }
    }
}

}  // namespace
}  // namespace cairn_bench

int main(int argc, char** argv) {
    using namespace cairn_bench;
    add_readers<cairn_list<std::int64_t>>();
    add_readers<plain_vector<std::int64_t>>();
    add_readers<guarded_vector<std::int64_t>>();
    add_readers<boost_vector<std::int64_t>>();
    add_beside_writers<cairn_list<std::int64_t>>();
    add_beside_writers<guarded_vector<std::int64_t>>();
    add_beside_writers<boost_vector<std::int64_t>>();
    compare_all();
    return run(argc, argv);
}

// filling_test.cpp - how much of a segment a container takes that is filled until there is no memory.
// SPDX-License-Identifier: BSL-1.0
#include <cstddef>
#include <cstdint>
#include <functional>
#include <string>
#include <utility>
#include <vector>

#include <doctest/doctest.h>

#include <cairn/cairn.hpp>

namespace filling_test {

namespace {

constexpr std::uint64_t mebibyte = 1 << 20;

// Puts in elements until the segment is full; how many went in.
long fill(const std::function<void(long)>& put) {
    for (long count = 0;; ++count) {
        try {
            put(count);
        } catch (const cairn::segment_full&) {
            return count;
        }
    }
}

std::uint64_t used_percent(const cairn::manager& m) {
    const cairn::segment_stats stats = m.stats();
    return stats.used_bytes * 100 / stats.max_bytes;
}

}  // namespace

TEST_CASE("a list of numbers fills half of a segment of 2 MiB, and all but a chunk of 1 MiB of a large one") {
    const std::vector<std::pair<std::uint64_t, std::uint64_t>> percent_of_size = {
        {1, 49}, {2, 49}, {4, 74}, {8, 87}, {16, 87}, {64, 96}};
    for (const auto& [size, percent] : percent_of_size) {
        CAPTURE(size);
        const cairn::manager m({.max_size = size * mebibyte});
        const auto l = m.list<long>("l");
        const long count = fill([&](long i) { l.push_back(i); });
        CHECK(static_cast<std::uint64_t>(count) * sizeof(long) >= size * mebibyte / 100 * percent);
        CHECK(l.size() == static_cast<std::size_t>(count));
        CHECK(l.at(l.size() - 1) == count - 1);
        // What is left serves what needs smaller pieces.
        const auto other = m.queue<std::string>("q");
        const std::string text(100, 'x');
        CHECK(fill([&](long) { other.put(text); }) > 0);
        CHECK(used_percent(m) >= 85);
    }
}

TEST_CASE("containers of other kinds fill a segment, whatever its size") {
    const std::string text(100, 'x');
    for (const std::uint64_t size : std::vector<std::uint64_t>{1, 2, 4, 16}) {
        CAPTURE(size);
        const auto check = [&, size = size](const std::function<void(const cairn::manager&)>& fill_in) {
            const cairn::manager m({.max_size = size * mebibyte});
            fill_in(m);
            CHECK(used_percent(m) >= (size == 1 ? 85 : 95));
        };
        check([&](const cairn::manager& m) {
            const auto l = m.list<std::string>("l");
            fill([&](long) { l.push_back(text); });
        });
        check([&](const cairn::manager& m) {
            const auto q = m.queue<long>("q");
            fill([&](long i) { q.put(i); });
        });
        check([&](const cairn::manager& m) {
            const auto d = m.dict<long, long>("d");
            fill([&](long i) { d.set(i, i); });
        });
        check([&](const cairn::manager& m) {
            const auto s = m.set<long>("s");
            fill([&](long i) { s.add(i); });
        });
        check([&](const cairn::manager& m) {
            const auto d = m.sharded_dict<long, long>("d");
            fill([&](long i) { d.set(i, i); });
        });
    }
}

}  // namespace filling_test

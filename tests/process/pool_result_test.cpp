// pool_result_test.cpp - results that are made where the program reads them.
// SPDX-License-Identifier: BSL-1.0
#include <chrono>
#include <csignal>
#include <cstdint>
#include <numeric>
#include <optional>
#include <stdexcept>
#include <vector>

#include <unistd.h>

#include <doctest/doctest.h>

#include "support/patience.hpp"
#include <cairn/cairn.hpp>

namespace pool_result_test {

using namespace cairn_test;
using namespace std::chrono_literals;

namespace {

const auto watchdog = patiently(20s);

cairn::result<long> numbers(long count) {
    cairn::result<long> r(static_cast<std::size_t>(count));
    std::iota(r.begin(), r.end(), 0L);
    return r;
}
bool is_right(const cairn::result<long>& r, long count) {
    if (r.size() != static_cast<std::size_t>(count)) return false;
    for (long i = 0; i < count; ++i)
        if (r[static_cast<std::size_t>(i)] != i) return false;
    return true;
}

struct alignas(64) wide {
    int value;
};

}  // namespace

TEST_CASE("a result has the elements that its task has written, of any number") {
    cairn::process_pool_executor ex(2);
    for (const long count : {0L, 1L, 3L, 100L, 100'000L, 1'000'000L}) {
        CAPTURE(count);
        const auto f = ex.submit(numbers, count);
        CHECK(is_right(f.result(watchdog), count));
        // Copies are the same elements.
        const cairn::result<long> one = f.result();
        CHECK(one.data() == f.result().data());
    }
    CHECK_THROWS_AS(static_cast<void>(numbers(3).at(3)), std::out_of_range);
}

TEST_CASE("a result is not copied: neither by the worker nor by the program") {
    cairn::process_pool_executor ex(1);
    // Where it was for its task, seen from the beginning of the segment, which both have mapped somewhere.
    const auto where = [](long count) {
        cairn::result<std::uintptr_t> r(static_cast<std::size_t>(count));
        r[0] = reinterpret_cast<std::uintptr_t>(r.data());
        return r;
    };
    // Workers are forked from the program, and have the segment at the same place.
    const cairn::result<std::uintptr_t> r = ex.submit(where, 10'000L).result(watchdog);
    CHECK(r[0] == reinterpret_cast<std::uintptr_t>(r.data()));
}

TEST_CASE("results outlive the future, the executor, and what comes after them") {
    std::vector<cairn::result<long>> kept;
    {
        cairn::process_pool_executor ex(2);
        for (long i = 0; i < 50; ++i) kept.push_back(ex.submit(numbers, 1000 * (i % 5 + 1)).result(watchdog));
        for (long i = 0; i < 500; ++i) CHECK(ex.submit([](long x) { return x; }, i).result(watchdog) == i);
        for (long i = 0; i < 50; i += 2) kept[static_cast<std::size_t>(i)] = {};
        for (long i = 0; i < 50; ++i) kept.push_back(ex.submit(numbers, 700L).result(watchdog));
    }
    for (long i = 1; i < 50; i += 2) CHECK(is_right(kept[static_cast<std::size_t>(i)], 1000 * (i % 5 + 1)));
    for (std::size_t i = 50; i < 100; ++i) CHECK(is_right(kept[i], 700));
}

TEST_CASE("map gives a result of its own for each item") {
    cairn::pool pool(2);
    const std::vector<long> counts{5, 0, 1000, 20'000, 7};
    const auto all = pool.map(numbers, counts, {.chunk_size = 5});
    REQUIRE(all.size() == counts.size());
    for (std::size_t i = 0; i < counts.size(); ++i) CHECK(is_right(all[i], counts[i]));
    std::size_t at = 0;
    for (const cairn::result<long>& each : pool.imap(numbers, counts, {.chunk_size = 2}))
        CHECK(is_right(each, counts[at++]));
    CHECK(at == counts.size());
    long sum = 0;
    for (const cairn::result<long>& each : pool.imap_unordered(numbers, counts)) {
        CHECK(is_right(each, static_cast<long>(each.size())));
        sum += static_cast<long>(each.size());
    }
    CHECK(sum == 21'012);
    cairn::process_pool_executor ex(1);
    at = 0;
    for (const cairn::result<long>& each : ex.map({.chunk_size = 3}, numbers, counts))
        CHECK(is_right(each, counts[at++]));
    CHECK(at == counts.size());
}

TEST_CASE("the second result of a task, one that is thrown away, and one of a task that throws do no harm") {
    cairn::process_pool_executor ex(1);
    const auto second = [](long count) {
        const cairn::result<long> first = numbers(2 * count);
        cairn::result<long> other = numbers(count);
        return first.size() == other.size() ? first : other;
    };
    CHECK(is_right(ex.submit(second, 1000L).result(watchdog), 1000));
    const auto none = [](long count) { return static_cast<long>(numbers(count).size()) + 1; };
    CHECK(ex.submit(none, 1000L).result(watchdog) == 1001);
    const auto throws = [](long count) -> cairn::result<long> {
        const auto r = numbers(count);
        throw std::runtime_error("after " + std::to_string(r.size()));
    };
    CHECK_THROWS_AS(ex.submit(throws, 1000L).result(watchdog), std::runtime_error);
    CHECK(is_right(ex.submit(numbers, 10L).result(watchdog), 10));
}

TEST_CASE("a worker dies while it writes its result: another attempt writes it anew") {
    cairn::process_pool_executor ex({.max_workers = 1, .retries = 1});
    const auto dies_once = [](long count) {
        cairn::result<long> r(static_cast<std::size_t>(count));
        r[0] = 77;
        if (cairn::this_task::attempt() == 1) ::kill(::getpid(), SIGKILL);
        std::iota(r.begin(), r.end(), 0L);
        return r;
    };
    for (const long count : {10L, 10'000L})
        CHECK(is_right(ex.submit(dies_once, count).result(watchdog), count));
}

TEST_CASE("elements of larger alignment, and results outside of a pool, have memory of their own") {
    CHECK(is_right(numbers(1000), 1000));
    cairn::process_pool_executor ex(1);
    const auto f = ex.submit(
        [](int count) {
            cairn::result<wide> r(static_cast<std::size_t>(count));
            for (int i = 0; i < count; ++i) r[static_cast<std::size_t>(i)].value = i;
            return r;
        },
        50);
    const cairn::result<wide> r = f.result(watchdog);
    CHECK(reinterpret_cast<std::uintptr_t>(r.data()) % 64 == 0);
    for (int i = 0; i < 50; ++i) CHECK(r[static_cast<std::size_t>(i)].value == i);
}

TEST_CASE("a task in a worker gets results of its own pool, also such as it runs itself") {
    cairn::process_pool_executor ex(1);
    const auto outer = [](cairn::process_pool_executor own, long count) {
        const cairn::result<long> inner = own.submit(numbers, count).result();
        return std::accumulate(inner.begin(), inner.end(), 0L);
    };
    CHECK(ex.submit(outer, ex, 1000L).result(watchdog) == 499'500);
    cairn::process_pool_executor two(2);
    CHECK(two.submit(outer, two, 1000L).result(watchdog) == 499'500);
}

}  // namespace pool_result_test

// pool_once_test.cpp - this_task::once(): what a task does to an object is there once, however often it was begun.
// SPDX-License-Identifier: BSL-1.0
#include <chrono>
#include <csignal>
#include <cstdint>
#include <ranges>
#include <set>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include <unistd.h>

#include <doctest/doctest.h>

#include "support/patience.hpp"
#include "support/scratch.hpp"
#include <cairn/cairn.hpp>

namespace pool_once_test {

using namespace cairn_test;
using namespace std::chrono_literals;

namespace {

const auto watchdog = patiently(20s);

// Dies after its work is done, the first time.
long work_and_die(const cairn::value<long>& total, const cairn::list<long>& results, long number) {
    const cairn::exactly_once once = {.once = cairn::this_task::once()};
    static_cast<void>(total.fetch_add(number, once));
    results.push_back(number, once);
    if (cairn::this_task::attempt() == 1 && number % 3 == 0) ::kill(::getpid(), SIGKILL);
    return number;
}

}  // namespace

TEST_CASE("a task that is begun again after the death of its worker has its effect once") {
    const scratch_name name;
    const auto m = cairn::manager::create(name);
    const auto total = m.value<long>("total");
    const auto results = m.list<long>("results");
    cairn::process_pool_executor ex(2);
    std::vector<cairn::future<long>> futures;
    long expected = 0;
    for (long i = 1; i <= 30; ++i) {
        futures.push_back(ex.submit({.retries = 2}, work_and_die, total, results, i));
        expected += i;
    }
    for (const auto& each : futures) CHECK(each.result(watchdog) > 0);
    CHECK(total.load() == expected);
    const std::vector<long> all = results.snapshot();
    CHECK(all.size() == 30);
    CHECK(std::set<long>(all.begin(), all.end()).size() == 30);
}

TEST_CASE("each item of a map is a task of its own, also where a chunk goes on in another worker") {
    const scratch_name name;
    const auto m = cairn::manager::create(name);
    const auto total = m.value<long>("total");
    const auto results = m.list<long>("results");
    cairn::process_pool_executor ex{{.max_workers = 2, .retries = 3}};
    std::vector<std::pair<long, long>> items;
    for (long i = 1; i <= 24; ++i) items.emplace_back(i, i);
    std::vector<long> returned;
    for (const long each : ex.map({.chunk_size = 6}, work_and_die, std::vector(24, total),
                                  std::vector(24, results), std::views::iota(1L, 25L)))
        returned.push_back(each);
    CHECK(returned.size() == 24);
    CHECK(total.load() == 24 * 25 / 2);
    CHECK(results.size() == 24);
}

TEST_CASE("a task that is tried again after an exception has its effect once, in processes and in threads") {
    const scratch_name name;
    const auto m = cairn::manager::create(name);
    const auto total = m.value<long>("total");
    const auto add_and_throw = [](const cairn::value<long>& of) {
        static_cast<void>(of.fetch_add(1, {.once = cairn::this_task::once()}));
        if (cairn::this_task::attempt() < 3) throw std::runtime_error("again");
    };
    const cairn::task_options again = {.retries = 5, .retry_if = [](const std::exception&) { return true; }};
    cairn::process_pool_executor processes(1);
    processes.submit(again, add_and_throw, total).result(watchdog);
    CHECK(total.load() == 1);
    cairn::thread_pool_executor threads(2);
    threads.submit(again, add_and_throw, total).result(watchdog);
    threads.submit(again, add_and_throw, total).result(watchdog);
    CHECK(total.load() == 3);
}

TEST_CASE("tasks at the same time have different ids, and outside of tasks there is none") {
    cairn::thread_pool_executor threads(2);
    const auto id = [] { return cairn::this_task::once(); };
    const cairn::once_id one = threads.submit(id).result(watchdog);
    const cairn::once_id other = threads.submit(id).result(watchdog);
    CHECK_FALSE(one == other);
    CHECK_THROWS_AS(static_cast<void>(cairn::this_task::once()), cairn::invalid_state);
}

}  // namespace pool_once_test

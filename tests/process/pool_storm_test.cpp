// pool_storm_test.cpp - a pool whose processes are killed and stopped all the time.
// SPDX-License-Identifier: BSL-1.0
#include <atomic>
#include <chrono>
#include <csignal>
#include <cstdlib>
#include <random>
#include <string>
#include <thread>
#include <vector>

#include <sys/prctl.h>
#include <unistd.h>

#include <doctest/doctest.h>

#include "support/patience.hpp"
#include "support/process_tree.hpp"
#include "support/sanitizers.hpp"
#include "support/scratch.hpp"
#include <cairn/pool.hpp>

namespace pool_storm_test {

using namespace cairn_test;
using namespace std::chrono_literals;

namespace {

const auto watchdog = patiently(60s);
constexpr bool is_sanitized = has_address_sanitizer || has_thread_sanitizer;

long work(long x) {
    long sum = 0;
    for (long i = 0; i < 20000; ++i) sum += (x * i) % 7;
    return sum >= 0 ? x : 0;
}

enum class victims { workers_and_nurseries, workers_and_the_guardian };

// Kills and stops processes below this one until it goes.
class storm {
public:
    explicit storm(unsigned seed, victims whom = victims::workers_and_nurseries)
        : whom_(whom), thread_([this, seed] { rage(seed); }) {}
    storm(const storm&) = delete;
    storm& operator=(const storm&) = delete;
    ~storm() {
        is_over_ = true;
        thread_.join();
    }
    [[nodiscard]] int kills() const { return kills_; }
    [[nodiscard]] bool has_killed_guardian() const { return has_killed_guardian_; }

private:
    void rage(unsigned seed) {
        std::mt19937 random(seed);
        while (!is_over_) {
            std::this_thread::sleep_for(std::chrono::milliseconds(1 + random() % 8));
            const std::vector<pid_t> all = descendants_of(::getpid());
            if (all.empty()) continue;
            const pid_t victim = all[random() % all.size()];
            const std::string name = name_of_process(victim);
            if (name.starts_with("cairn-worker")) {
                if (random() % 4 == 0) {
                    ::kill(victim, SIGSTOP);
                    std::this_thread::sleep_for(std::chrono::milliseconds(random() % 20));
                    ::kill(victim, SIGCONT);
                    continue;
                }
            } else if (whom_ == victims::workers_and_the_guardian) {
                // Once, and when there is a nursery that goes on alone: it has replaced workers by then. Others have its name for a
                // moment after their fork.
                const std::vector<pid_t> own = children_of(::getpid());
                const bool is_guardian = name == "cairn-guardian" && !own.empty() && own.front() == victim;
                if (!is_guardian || kills_ < 20 || has_killed_guardian_) continue;
                has_killed_guardian_ = true;
            } else if (name != "cairn-nursery" || random() % 4 != 0) {
                continue;
            }
            ::kill(victim, SIGKILL);
            ++kills_;
        }
    }

    const victims whom_;
    std::atomic<bool> is_over_{false};
    std::atomic<int> kills_{0};
    std::atomic<bool> has_killed_guardian_{false};
    std::thread thread_;
};

// Splits itself in the pool that it runs in.
long sum_of_work(cairn::process_pool_executor ex, long first, long last) {
    if (last - first <= 4) {
        long sum = 0;
        for (long i = first; i < last; ++i) sum += work(i);
        return sum;
    }
    const long middle = (first + last) / 2;
    const auto left = ex.submit(sum_of_work, ex, first, middle);
    const auto right = ex.submit(sum_of_work, ex, middle, last);
    return left.result() + right.result();
}

}  // namespace

TEST_CASE("under kills and stops, tasks that submit to their own pool have the right results, and end") {
    std::vector<pid_t> family;
    {
        cairn::process_pool_executor ex({.max_workers = 3, .retries = 1000});
        const long count = is_sanitized ? 5 : std::getenv("CAIRN_FULL") != nullptr ? 5000 : 300;
        const storm weather(99);
        std::vector<cairn::future<long>> all;
        for (long i = 0; i < count; ++i) all.push_back(ex.submit(sum_of_work, ex, 0L, 60L + i % 20));
        for (long i = 0; i < count; ++i)
            CHECK(all[static_cast<std::size_t>(i)].result(watchdog) == (60 + i % 20) * (59 + i % 20) / 2);
        MESSAGE(weather.kills() << " kills");
        family = pool_processes();
    }
    CHECK(have_ended(family, watchdog));
}

TEST_CASE("under kills and stops of workers and nurseries every task is settled, and with retries every "
          "result is right") {
    const long count = std::getenv("CAIRN_FULL") != nullptr ? 100'000 : is_sanitized ? 500 : 5'000;
    std::vector<pid_t> family;
    int kills = 0;
    {
        cairn::process_pool_executor retried({.max_workers = 3, .retries = 1000});
        cairn::process_pool_executor once({.max_workers = 2});
        std::vector<cairn::future<long>> all;
        std::vector<cairn::future<long>> once_each;
        long wrong = 0;
        long died = 0;
        {
            const storm weather(4711);
            for (long i = 0; i < count; ++i) {
                all.push_back(retried.submit(work, i));
                once_each.push_back(once.submit(work, i));
            }
            for (long i = 0; i < count; ++i) {
                const auto at = static_cast<std::size_t>(i);
                if (all[at].result(watchdog) != i) ++wrong;
                try {
                    if (once_each[at].result(watchdog) != i) ++wrong;
                } catch (const cairn::worker_died& e) {
                    CHECK(e.attempts() == 1);
                    ++died;
                }
            }
            kills = weather.kills();
        }
        CHECK(wrong == 0);
        CHECK(died <= kills);
        MESSAGE(count << " tasks twice, " << kills << " kills, " << retried.statistics().retried
                      << " tried again, " << died << " died");
        CHECK(once.statistics().died == static_cast<std::uint64_t>(died));
        family = pool_processes();
    }
    CHECK(have_ended(family, watchdog));
}

TEST_CASE(
    "under kills of workers, and of the guardian once, every result is right with retries, and all end") {
    CHECK(in_child([] {
              // What loses its parent is seen below this process.
              CHILD_CHECK(::prctl(PR_SET_CHILD_SUBREAPER, 1) == 0);
              std::vector<pid_t> family;
              {
                  cairn::process_pool_executor ex({.max_workers = 3, .retries = 1000});
                  const storm weather(7, victims::workers_and_the_guardian);
                  const auto until = std::chrono::steady_clock::now() + watchdog;
                  for (int after = 0; after < 2; after += weather.has_killed_guardian() ? 1 : 0) {
                      CHILD_CHECK(std::chrono::steady_clock::now() < until);
                      std::vector<cairn::future<long>> all;
                      for (long i = 0; i < 300; ++i) all.push_back(ex.submit(work, i));
                      for (long i = 0; i < 300; ++i)
                          CHILD_CHECK(all[static_cast<std::size_t>(i)].result(watchdog) == i);
                  }
                  family = pool_processes();
              }
              CHILD_CHECK(have_ended(family, watchdog));
          }) == 0);
}

TEST_CASE("under kills a map has all its results") {
    cairn::pool pool({.workers = 3, .retries = 1000});
    const storm weather(42);
    std::vector<long> items(is_sanitized ? 300 : 3000);
    for (std::size_t i = 0; i < items.size(); ++i) items[i] = static_cast<long>(i);
    for (const std::ptrdiff_t chunk : {std::ptrdiff_t{1}, std::ptrdiff_t{7}, std::ptrdiff_t{500}})
        CHECK(pool.map(work, items, {.chunk_size = chunk}) == items);
}

}  // namespace pool_storm_test

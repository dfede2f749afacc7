// footprint_test.cpp - values of random sizes come and go for a long time, in several processes: what a segment takes stays
// bounded, and goes back to the system. The short form of one process is process/memory_test.cpp. How long: support/storm/storm.hpp.
//
// SPDX-License-Identifier: BSL-1.0
#include <algorithm>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <random>
#include <string>
#include <thread>
#include <vector>

#include <sys/wait.h>
#include <unistd.h>

#include <doctest/doctest.h>

#include "support/scratch.hpp"
#include "support/storm/storm.hpp"
#include <cairn/cairn.hpp>

namespace footprint_test {

using namespace cairn_test;
using namespace std::chrono_literals;

namespace {

constexpr int process_count = 3;
// A process has as much as it will have after the first rounds; what it takes in the next ones is compared with what it takes later.
constexpr long rounds_to_fill = 20;
constexpr long rounds_to_compare = 40;
constexpr long least_rounds = 60;
constexpr std::size_t most_items = 400;  // of each object

/// The work of one process: on objects of its own, on one of all, and on some that come and go.
class worker {
public:
    worker(const cairn::manager& m, int number)
        : m_(m), own_(std::to_string(number)), list_(m.list<std::string>("list " + own_)),
          queue_(m.queue<std::string>("queue " + own_)), set_(m.set<std::string>("set " + own_)),
          random_(storm_seed() + static_cast<std::uint64_t>(number)) {}

    void round() {
        for (int i = 0; i < 200; ++i) {
            if (list_.size() < most_items && random_() % 2 == 0)
                list_.insert(random_() % (list_.size() + 1), text());
            else if (!list_.empty() && random_() % 2 == 0) list_.erase(random_() % list_.size());
            else if (!list_.empty()) list_.set(random_() % list_.size(), text());
            all_.set(key(), text());
            all_.erase(key());
            queue_.put(text());
            if (queue_.size() > most_items) static_cast<void>(queue_.get());
            set_.add(text());
            if (set_.size() > most_items) static_cast<void>(set_.pop());
        }
        const std::string name = "for a while " + own_;
        const auto passing = m_.sharded_dict<long, std::string>(name);
        for (int i = 0; i < 50; ++i) passing.set(key(), text());
        CHILD_CHECK(m_.remove(name));
    }

    void drain() {
        list_.clear();
        while (queue_.try_get()) {}
        set_.clear();
    }

private:
    // Mostly short, some of a page or two, a few of many pages.
    std::string text() {
        const std::uint64_t kind = random_() % 100;
        const std::uint64_t most = kind < 80 ? 400 : kind < 98 ? 8000 : 100'000;
        return std::string(random_() % most, 'x') + std::to_string(random_() % 100'000);
    }
    long key() { return static_cast<long>(random_() % (process_count * most_items)); }

    cairn::manager m_;
    std::string own_;
    cairn::list<std::string> list_;
    cairn::queue<std::string> queue_;
    cairn::set<std::string> set_;
    cairn::dict<long, std::string> all_ = m_.dict<long, std::string>("all");
    std::mt19937_64 random_;
};

}  // namespace

TEST_CASE("churn of random sizes: what a segment takes stays bounded, and goes back to the system") {
    const cairn::manager m({.max_size = std::uint64_t{1} << 30});
    const auto rounds = m.list<long>("rounds", std::vector<long>(process_count, 0));
    const auto is_over = m.list<bool>("is over", {false});
    m.trim();
    const cairn::segment_stats before = m.stats();
    std::vector<child> workers;
    for (int i = 0; i < process_count; ++i) {
        workers.emplace_back([&m, &rounds, &is_over, i] {
            worker works(m, i);
            const auto at = static_cast<std::size_t>(i);
            for (long round = 1; !is_over.get(0); ++round) {
                works.round();
                rounds.set(at, round);
            }
            works.drain();
        });
    }
    const auto end = std::chrono::steady_clock::now() + storm_time(0.1);
    std::uint64_t early = 0;
    std::uint64_t late = 0;
    for (bool goes_on = true; goes_on; std::this_thread::sleep_for(2ms)) {
        const auto each = rounds.snapshot();
        const long slowest = *std::min_element(each.begin(), each.end());
        const std::uint64_t used = m.stats().used_bytes - before.used_bytes;
        if (slowest >= rounds_to_compare) late = std::max(late, used);
        else if (slowest >= rounds_to_fill) early = std::max(early, used);
        goes_on = slowest < least_rounds || std::chrono::steady_clock::now() < end;
        // A worker that has died makes no rounds.
        for (const child& one : workers) {
            siginfo_t info = {};
            const auto id = static_cast<id_t>(one.pid());
            REQUIRE(::waitid(P_PID, id, &info, WEXITED | WNOHANG | WNOWAIT) == 0);
            REQUIRE(info.si_pid == 0);
        }
    }
    is_over.set(0, true);
    for (child& each : workers) CHECK(each.join() == 0);
    const auto each = rounds.snapshot();
    MESSAGE(each[0] << " rounds, " << early << " bytes early, " << late << " at most later");
    CHECK(early > 1'000'000);
    CHECK(late < early * 3 / 2);

    const auto all = m.dict<long, std::string>("all");
    const std::string target = "pid:" + std::to_string(::getpid()) + "/" + m.name();
    CHECK(cairn::inspection(target).verify().problems.empty());
    all.clear();
    m.trim();
    const cairn::segment_stats drained = m.stats();
    MESSAGE("drained: " << drained.used_bytes - before.used_bytes << " bytes used, "
                        << drained.real_bytes - before.real_bytes << " of the system's");
    // What empty objects keep: some young pages and one span of each class.
    CHECK(drained.used_bytes < before.used_bytes + 8'000'000);
    CHECK(drained.real_bytes < before.real_bytes + 8'000'000);
    for (const cairn::object_info& object : m.objects())
        if (object.name != "rounds" && object.name != "is over") CHECK(m.remove(object.name));
    m.trim();
    // Control blocks, which are used again.
    const cairn::segment_stats after = m.stats();
    CHECK(after.used_bytes < before.used_bytes + 400'000);
    CHECK(after.real_bytes < before.real_bytes + 600'000);
}

}  // namespace footprint_test

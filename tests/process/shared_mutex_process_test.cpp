// shared_mutex_process_test.cpp - readers and writers of several processes, which are killed, stopped, and forked.
// SPDX-License-Identifier: BSL-1.0
#include <atomic>
#include <chrono>
#include <csignal>
#include <cstdint>
#include <deque>
#include <mutex>
#include <shared_mutex>
#include <string>
#include <thread>
#include <vector>

#include <unistd.h>

#include <doctest/doctest.h>

#include "shared_round.hpp"
#include "support/patience.hpp"
#include "support/scratch.hpp"
#include <cairn/cairn.hpp>

namespace shared_mutex_process_test {

using namespace cairn_test;
using namespace std::chrono_literals;
using steady = std::chrono::steady_clock;

namespace {

constexpr auto watchdog = 20s;

struct shared_counts {
    std::atomic<std::uint64_t> first{0};
    std::atomic<std::uint64_t> second{0};
    std::atomic<std::uint64_t> looks{0};
    std::atomic<std::uint64_t> deaths{0};
    std::atomic<std::uint64_t> torn{0};  // seen by one whom nobody has told of a death
    std::atomic<bool> stop{false};
};

void add_to(const cairn::shared_mutex& rw, shared_counts& counts) {
    rw.lock(cairn::recover, [&] {
        ++counts.deaths;
        counts.second = counts.first.load();
    });
    if (counts.first != counts.second) ++counts.torn;
    ++counts.first;
    ++counts.second;
    rw.unlock();
}

void look_at(const cairn::shared_mutex& rw, shared_counts& counts) {
    const std::shared_lock reading(rw);
    const std::uint64_t first = counts.first;
    std::this_thread::yield();
    if ((counts.second != first || counts.first != first) && !rw.owner_died()) ++counts.torn;
    ++counts.looks;
}

/// A child that comes in, says so, and waits for its end.
child that_reads(const cairn::shared_mutex& rw, const gate& in) {
    return child([&] {
        rw.lock_shared();
        in.open();
        for (;;) ::pause();
    });
}

}  // namespace

TEST_CASE("a reader is killed: the writer that waits for it gets in, and so does one that comes") {
    const cairn::manager m;
    const auto rw = m.shared_mutex("rw");
    const gate in;
    const child reader = that_reads(rw, in);
    REQUIRE(in.wait());
    CHECK(rw.readers() == 1);
    CHECK_FALSE(rw.try_lock());
    CHECK_FALSE(rw.try_lock_for(20ms));
    std::atomic<bool> is_in = false;
    std::thread writer([&] {
        rw.lock();
        is_in = true;
        rw.unlock();
    });
    std::this_thread::sleep_for(30ms);
    CHECK_FALSE(is_in);
    const auto begin = steady::now();
    reader.kill();
    writer.join();
    CHECK(steady::now() - begin < patiently(watchdog));
    MESSAGE("a writer has got in "
            << std::chrono::duration_cast<std::chrono::microseconds>(steady::now() - begin).count()
            << " us after the reader was killed");
    CHECK_FALSE(rw.owner_died());
    CHECK(rw.readers() == 0);
    CHECK(rw.try_lock());
    rw.unlock();
}

TEST_CASE("a writer is killed: who sleeps gets in, reader or writer, and is told") {
    const cairn::manager m;
    const auto rw = m.shared_mutex("rw");
    const gate in;
    const child writer([&] {
        rw.lock();
        in.open();
        for (;;) ::pause();
    });
    REQUIRE(in.wait());
    const gate about_to_sleep;
    child reader([&] {
        about_to_sleep.open();
        rw.lock_shared();
        CHILD_CHECK(rw.owner_died());
        ::kill(::getpid(), SIGKILL);
    });
    REQUIRE(about_to_sleep.wait());
    std::this_thread::sleep_for(30ms);
    writer.kill();
    CHECK(reader.join() == -SIGKILL);
    CHECK(rw.try_lock_shared_for(patiently(watchdog)));
    CHECK(rw.owner_died());
    rw.unlock_shared();
    CHECK(rw.try_lock_for(patiently(watchdog)));
    CHECK(rw.owner_died());
    rw.unlock();
    rw.lock_shared();
    CHECK_FALSE(rw.owner_died());
    rw.unlock_shared();
}

TEST_CASE("a writer that is killed while it waits for readers was never in") {
    const cairn::manager m;
    const auto rw = m.shared_mutex("rw");
    rw.lock_shared();
    const child writer([&] { rw.lock(); });
    const auto until = steady::now() + patiently(watchdog);
    bool has_come = false;
    while (!has_come && steady::now() < until) {
        has_come = !rw.try_lock_shared();
        if (!has_come) rw.unlock_shared();
    }
    CHECK(has_come);
    writer.kill();
    CHECK(rw.try_lock_shared_for(patiently(watchdog)));
    CHECK_FALSE(rw.owner_died());
    rw.unlock_shared();
    rw.unlock_shared();
    CHECK(rw.try_lock());
    CHECK_FALSE(rw.owner_died());
    rw.unlock();
}

TEST_CASE("a reader is stopped: timed forms keep their limit, lock_timeout names it, and others read on") {
    const scratch_name name;
    const cairn::manager m(name.get());
    const auto rw = m.shared_mutex("rw");
    const gate in;
    const child reader = that_reads(rw, in);
    REQUIRE(in.wait());
    ::kill(reader.pid(), SIGSTOP);
    reader.wait_until_stopped();
    const auto begin = steady::now();
    CHECK_FALSE(rw.try_lock_for(100ms));
    CHECK(steady::now() - begin >= 100ms);
    CHECK_FALSE(rw.try_lock());
    CHECK(rw.try_lock_shared());
    rw.unlock_shared();
    CHECK(in_child([&] {
              const auto impatient = cairn::manager::open(name.get(), {.lock_timeout = 50ms});
              const auto same = impatient.shared_mutex("rw");
              const std::string text = thrown_by<cairn::timeout_error>([&] { same.lock(); });
              CHILD_CHECK(contains(text, "lock of shared_mutex 'rw'"));
              CHILD_CHECK(contains(text, "pid " + std::to_string(reader.pid())));
              CHILD_CHECK(contains(text, "stopped"));
          }) == 0);
    CHECK(steady::now() - begin < patiently(watchdog));
    ::kill(reader.pid(), SIGCONT);
    reader.kill();
    CHECK(rw.try_lock_for(patiently(watchdog)));
    rw.unlock();
}

TEST_CASE("a forked child has none of its parent's locks, and one that has ended has none either") {
    const cairn::manager m;
    const auto rw = m.shared_mutex("rw");
    rw.lock_shared();
    CHECK(in_child([&] {
              CHILD_CHECK(rw.readers() == 1);
              CHILD_CHECK(!rw.try_lock());
              CHILD_CHECK(contains(thrown_by<cairn::invalid_state>([&] { rw.unlock_shared(); }),
                                   "this process has none"));
              rw.lock_shared();
              CHILD_CHECK(rw.readers() == 2);
          }) == 0);
    CHECK(rw.readers() == 1);
    rw.unlock_shared();
    CHECK(rw.try_lock());
    CHECK(in_child([&] {
              CHILD_CHECK(!rw.is_owned());
              CHILD_CHECK(!rw.try_lock_shared());
              CHILD_CHECK(!rw.try_lock_shared_for(5ms));
          }) == 0);
    rw.unlock();
}

TEST_CASE("readers and writers are killed at random: nobody sees half of a change without being told") {
    const cairn::manager m;
    const auto rw = m.shared_mutex("rw");
    const shared_with_children<shared_counts> counts;
    constexpr int rounds = 60;
    const auto start = [&](bool writes) {
        return child([&, writes] {
            while (!counts->stop) {
                if (writes) add_to(rw, *counts);
                else look_at(rw, *counts);
            }
        });
    };
    std::deque<child> writers;
    std::deque<child> readers;
    for (int i = 0; i < 2; ++i) {
        writers.push_back(start(true));
        readers.push_back(start(false));
    }
    for (int i = 0; i < rounds; ++i) {
        const std::uint64_t changes = counts->first;
        const std::uint64_t looks = counts->looks;
        const auto until = steady::now() + patiently(watchdog);
        // Somebody goes on after each death, in both.
        while ((counts->first < changes + 20 || counts->looks < looks + 20) && steady::now() < until)
            std::this_thread::sleep_for(100us);
        CHECK(counts->first >= changes + 20);
        CHECK(counts->looks >= looks + 20);
        std::deque<child>& some = i % 2 == 0 ? writers : readers;
        some.front().kill();
        CHECK(some.front().join() == -SIGKILL);
        some.pop_front();
        some.push_back(start(i % 2 == 0));
    }
    counts->stop = true;
    for (child& each : writers) CHECK(each.join() == 0);
    for (child& each : readers) CHECK(each.join() == 0);
    add_to(rw, *counts);
    CHECK(counts->torn == 0);
    CHECK(counts->first == counts->second);
    CHECK(rw.readers() == 0);
    MESSAGE(counts->first.load() << " changes, " << counts->looks.load() << " looks, "
                                 << counts->deaths.load() << " deaths inside");
}

TEST_CASE("a slot of a participant that has died reading is taken over, and its locks are not") {
    const cairn::manager m;
    const auto rw = m.shared_mutex("rw");
    const gate in;
    for (int i = 0; i < 3; ++i) {
        child reader = that_reads(rw, in);
        REQUIRE(in.wait());
        reader.kill();
        CHECK(reader.join() == -SIGKILL);
        CHECK(in_child([&] {
                  CHILD_CHECK(rw.readers() == 0);
                  CHILD_CHECK(rw.try_lock());
                  rw.unlock();
                  rw.lock_shared();
                  CHILD_CHECK(rw.readers() == 1);
                  rw.unlock_shared();
              }) == 0);
    }
    CHECK(rw.try_lock());
    rw.unlock();
}

}  // namespace shared_mutex_process_test

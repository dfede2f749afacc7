// limits_test.cpp - limits are kept while the holder of a lock is stopped, and what was given up is finished by the next one.
// SPDX-License-Identifier: BSL-1.0
#include <algorithm>
#include <atomic>
#include <chrono>
#include <cmath>
#include <csignal>
#include <cstdlib>
#include <ctime>
#include <fstream>
#include <functional>
#include <limits>
#include <optional>
#include <stdexcept>
#include <stop_token>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

#include <pthread.h>
#include <sched.h>

#include <doctest/doctest.h>

#include "segment/segment_guard.hpp"
#include "support/opened.hpp"
#include "support/opened_channel.hpp"
#include "support/opened_queue.hpp"
#include "support/patience.hpp"
#include "support/scratch.hpp"
#include <cairn/cairn.hpp>
#include <cairn/inspect.hpp>

namespace limits_test {

using namespace cairn_test;
using namespace std::chrono_literals;
using steady = std::chrono::steady_clock;

namespace {

constexpr auto limit = 100ms;
// Ten times the limit, and two seconds at least: a watchdog, not a measurement.
constexpr auto watchdog = 2s;
// Longer than anything that keeps its limit takes, so that whatever waits for the holder is found out.
constexpr auto far_longer = 15s;

/// The time that `action` takes, and that it takes at least `least` and no longer than the watchdog (after `patience`).
std::chrono::nanoseconds timed(const char* what, std::chrono::nanoseconds least,
                               std::chrono::nanoseconds most, const std::function<void()>& action) {
    const auto begin = steady::now();
    action();
    const auto took = steady::now() - begin;
    INFO(std::string(what));
    CHECK(took >= least);
    CHECK(took < most);
    MESSAGE(std::string(what) << " took " << std::chrono::duration<double, std::milli>(took).count()
                              << " ms");
    return took;
}

/// A child that stops itself inside a transaction of `object`, holding its lock.
template <typename Object>
child stopped_inside(const Object& object) {
    child holder([&] { object.transaction([](auto&) { std::raise(SIGSTOP); }); });
    holder.wait_until_stopped();
    return holder;
}

/// A child that stops itself with the segment's own lock.
child stopped_with_segment(cairn::detail::segment& s) {
    child holder([&] {
        const cairn::detail::segment_guard guard(s);
        std::raise(SIGSTOP);
    });
    holder.wait_until_stopped();
    return holder;
}

/// Lets the holder go on at last, so that a test that fails does not hang.
class release_later {
public:
    explicit release_later(const child& holder)
        : thread_([&holder](const std::stop_token& stop) {
              const auto end = steady::now() + far_longer;
              while (!stop.stop_requested() && steady::now() < end) std::this_thread::sleep_for(5ms);
              holder.resume();
          }) {}

private:
    std::jthread thread_;
};

bool names(const std::string& text, const child& holder) {
    return contains(text, "pid " + std::to_string(holder.pid()) + " (") && contains(text, "stopped");
}

}  // namespace

TEST_CASE("operations of a queue with a limit keep it while the lock's holder is stopped") {
    const cairn::manager m;
    const auto q = m.queue<long>("q", 10);
    q.put(1);
    const child holder = stopped_inside(q);
    const release_later at_last(holder);

    timed("get_for", limit, watchdog, [&] { CHECK(!q.get_for(limit)); });
    timed("get_until", limit, watchdog, [&] { CHECK(!q.get_until(steady::now() + limit)); });
    timed("get_until of the system's clock", limit / 2, watchdog,
          [&] { CHECK(!q.get_until(std::chrono::system_clock::now() + limit)); });
    timed("put_for", limit, watchdog, [&] { CHECK_FALSE(q.put_for(2, limit)); });
    timed("lease_for", limit, watchdog, [&] { CHECK(!q.lease_for(limit)); });
    timed("join_for", limit, watchdog, [&] { CHECK_FALSE(q.join_for(limit)); });
    timed("get_for(0)", 0ms, watchdog, [&] { CHECK(!q.get_for(0s)); });
    timed("get_until a time that is past", 0ms, watchdog,
          [&] { CHECK(!q.get_until(steady::time_point::min())); });
    timed("get(stop)", limit, watchdog, [&] {
        std::stop_source source;
        const std::jthread stopper([&] {
            std::this_thread::sleep_for(limit);
            source.request_stop();
        });
        CHECK(!q.get(source.get_token()));
    });
    for (int i = 0; i < 3; ++i) {
        std::string text;
        timed("a try_ form", 1s, 10s, [&] {
            text = thrown_by<cairn::timeout_error>([&] {
                if (i == 0) static_cast<void>(q.try_get());
                if (i == 1) static_cast<void>(q.try_put(1));
                if (i == 2) static_cast<void>(q.try_lease());
            });
        });
        CHECK(names(text, holder));
        CHECK(contains(text, "queue 'q'"));
    }

    holder.resume();
    CHECK(q.get() == 1);
}

TEST_CASE("with a lock_timeout every plain operation throws, names the holder and changes nothing") {
    const scratch_name name;
    auto m = cairn::manager::create(name.get(), {.lock_timeout = 0.1s});
    const auto l = m.list<long>("l", {1, 2, 3});
    const auto d = m.dict<long, long>("d", {{1, 1}});
    const auto q = m.queue<long>("q");
    const auto check = [&](const child& holder, const char* object, const char* what,
                           const std::function<void()>& action) {
        std::string text;
        timed(what, limit, watchdog, [&] { text = thrown_by<cairn::timeout_error>(action); });
        INFO(text);
        CHECK(names(text, holder));
        CHECK(contains(text, object));
    };
    {
        const child holder = stopped_inside(l);
        const release_later at_last(holder);
        check(holder, "list 'l'", "append", [&] { l.append(4); });
        check(holder, "list 'l'", "set", [&] { l.set(0, 7); });
        check(holder, "list 'l'", "sort", [&] { l.sort(); });
        check(holder, "list 'l'", "transaction", [&] { l.transaction([](auto&) {}); });
        check(holder, "list 'l'", "remove of the object", [&] { m.remove("l"); });
        holder.resume();
    }
    CHECK(l.snapshot() == std::vector<long>{1, 2, 3});
    {
        const child holder([&] {
            try {
                l.transaction([](auto& tx) {
                    tx.append(9);
                    tx.set(0, 8);  // the version is odd: readers need the lock
                    std::raise(SIGSTOP);
                    throw std::runtime_error("taken back");
                });
            } catch (const std::runtime_error&) {}
        });
        holder.wait_until_stopped();
        const release_later at_last(holder);
        check(holder, "list 'l'", "snapshot of a list that is being changed",
              [&] { static_cast<void>(l.snapshot()); });
        check(holder, "list 'l'", "an element", [&] { static_cast<void>(l.at(0)); });
    }
    {
        const child holder = stopped_inside(d);
        const release_later at_last(holder);
        check(holder, "dict 'd'", "set of a dict", [&] { d.set(1, 2); });
        check(holder, "dict 'd'", "erase of a dict", [&] { d.erase(1); });
    }
    {
        const child holder = stopped_inside(q);
        const release_later at_last(holder);
        check(holder, "queue 'q'", "get", [&] { static_cast<void>(q.get()); });
        check(holder, "queue 'q'", "put", [&] { q.put(1); });
        check(holder, "queue 'q'", "close", [&] { q.close(); });
        check(holder, "queue 'q'", "join", [&] { q.task_done(); });
        // A limit of its own comes first.
        timed("get_for with a longer limit than the lock_timeout", 3 * limit, watchdog,
              [&] { CHECK(!q.get_for(3 * limit)); });
    }
    CHECK(d.at(1) == 1);
    CHECK(q.empty());
}

TEST_CASE("the segment's lock, too, is not waited for beyond a limit") {
    const scratch_name name;
    auto m = cairn::manager::create(name.get(), {.max_size = 64UL << 20U});
    const auto q = m.queue<std::string>("q");
    const std::string large(3UL << 20U, 'x');
    q.put(large);
    q.put("small");
    cairn::detail::segment& s = opened_queue(q).in();
    {
        const child holder = stopped_with_segment(s);
        const release_later at_last(holder);

        timed("put_for of what needs pages", limit, watchdog, [&] { CHECK_FALSE(q.put_for(large, limit)); });
        CHECK(q.size() == 2);
        // Its pages cannot be given back now; the item is there all the same.
        std::optional<std::string> got;
        timed("get_for of what frees pages", 0ms, watchdog, [&] { got = q.get_for(limit); });
        CHECK(got == large);
        // The queue waits for whoever finishes that, which nobody can now; but it is whole for readers.
        CHECK(q.size() == 1);
        CHECK(q.snapshot() == std::vector<std::string>{"small"});
        timed("get_for of the next", limit, watchdog, [&] { CHECK(!q.get_for(limit)); });
        holder.resume();
    }
    CHECK(q.get_for(patiently(watchdog)) == "small");
    CHECK(cairn::inspection(name.get()).verify().problems.empty());
}

TEST_CASE("a sleeper whose limit comes while the lock is held passes on the wake that it was given") {
    const cairn::manager m;
    const auto q = m.queue<long>("q");
    for (int round = 0; round < 5; ++round) {
        const child plain([&] { CHILD_CHECK(q.get() == 7); });
        const child timed_one([&] { static_cast<void>(q.get_for(300ms)); });
        std::this_thread::sleep_for(100ms);
        // Wakes one of them before its commit, and stays there with the lock.
        child putter([&] {
            q.transaction([](auto& tx) {
                tx.put(7);
                std::this_thread::sleep_for(500ms);
            });
        });
        CHECK(putter.join() == 0);
        child& waits = const_cast<child&>(plain);
        CHECK(waits.join() == 0);
        CHECK(const_cast<child&>(timed_one).join() == 0);
        CHECK(q.empty());
    }
}

TEST_CASE("a process that is stopped at random does not make others miss their limits") {
    const cairn::manager m;
    const auto q = m.queue<long>("q", 4);
    const auto empty = m.queue<long>("empty");
    const child busy([&] {
        for (;;) {
            static_cast<void>(q.try_put(1));
            static_cast<void>(q.try_get());
            static_cast<void>(empty.try_get());
        }
    });
    std::vector<double> late;
    const int rounds = static_cast<int>(scaled(100));
    for (int i = 0; i < rounds; ++i) {
        std::this_thread::sleep_for(std::chrono::microseconds(500 + 37 * i % 1000));
        ::kill(busy.pid(), SIGSTOP);
        busy.wait_until_stopped();
        const auto begin = steady::now();
        CHECK(!empty.get_for(5ms));
        static_cast<void>(q.put_for(1, 5ms));
        static_cast<void>(q.get_for(5ms));
        late.push_back(std::chrono::duration<double, std::milli>(steady::now() - begin).count());
        busy.resume();
    }
    std::sort(late.begin(), late.end());
    MESSAGE("three operations of 5 ms beside a process that is stopped at random, in ms: median "
            << late[late.size() / 2] << ", 90 % " << late[late.size() * 9 / 10] << ", longest "
            << late.back());
    CHECK(late.back() < 2000);
}

TEST_CASE("processes that are stopped, continued and killed at random do not make others miss their limits") {
    const cairn::manager m;
    const auto q = m.queue<std::string>("q", 4);
    const auto l = m.list<std::string>("l", {"one"});
    const auto d = m.dict<long, std::string>("d");
    const auto begin_another = [&] {
        return child([&] {
            for (long i = 0;; ++i) {
                // Small and large: locks of objects, and the segment's.
                const std::string text(i % 3 == 0 ? 40'000 : 10, 'x');
                static_cast<void>(q.try_put(text));
                l.push_back(text);
                d.set(i % 50, text);
                try {
                    l.transaction([&](auto& tx) {
                        tx.push_back(text);
                        if (i % 7 == 0) throw std::domain_error("undone");
                    });
                } catch (const std::domain_error&) {}
                if (l.size() > 100) l.clear();
                static_cast<void>(q.try_get());
            }
        });
    };
    std::optional<child> busy(begin_another());
    int kills = 0;
    const int rounds = static_cast<int>(scaled(60));
    for (int i = 0; i < rounds; ++i) {
        std::this_thread::sleep_for(std::chrono::microseconds(1000 + 137 * i % 3000));
        ::kill(busy->pid(), SIGSTOP);
        busy->wait_until_stopped();
        const auto begin = steady::now();
        std::stop_source stop;
        stop.request_stop();
        static_cast<void>(q.put_for("y", 5ms));
        static_cast<void>(q.get_for(5ms));
        static_cast<void>(q.join_for(5ms));
        static_cast<void>(q.get(stop.get_token()));
        CHECK(steady::now() - begin < watchdog);
        if (i % 3 != 0) {
            busy->resume();
            continue;
        }
        // Whoever comes next repairs what it has left, and is in time as well.
        busy->kill();
        busy->join();
        ++kills;
        const auto killed = steady::now();
        static_cast<void>(q.put_for("y", 5ms));
        static_cast<void>(q.get_for(5ms));
        CHECK(steady::now() - killed < watchdog);
        l.push_back("two");
        d.set(1, "two");
        busy.emplace(begin_another());
    }
    busy->kill();
    busy->join();
    CHECK(kills >= rounds / 3);
    l.push_back("three");
    CHECK(l.back() == "three");
    CHECK(broken_invariant(l).empty());
}

TEST_CASE("no process-local lock is held while a segment's lock is waited for") {
    const scratch_name name;
    // Another process's segment, which this one is about to open.
    const child holder([&] {
        const auto m = cairn::manager::create(name.get(), {.persist = true});
        const auto l = m.list<long>("l");
        const cairn::detail::segment_guard guard(opened_list<long>(l).in());
        std::raise(SIGSTOP);
    });
    holder.wait_until_stopped();
    {
        const release_later at_last(holder);
        std::atomic<bool> is_open = false;
        const std::jthread opener([&] {
            const auto m = cairn::manager::open(name.get());
            is_open = true;
        });
        std::this_thread::sleep_for(limit);
        CHECK_FALSE(is_open);
        timed("a manager in another thread", 0ms, watchdog, [] {
            const cairn::manager m;
            m.list<long>("l").push_back(1);
        });
        timed("a fork in another thread", 0ms, watchdog, [] { CHECK(in_child([] {}) == 0); });
        timed("open() with a lock_timeout", limit, watchdog, [&] {
            const std::string text = thrown_by<cairn::timeout_error>(
                [&] { static_cast<void>(cairn::manager::open(name.get(), {.lock_timeout = limit})); });
            INFO(text);
            CHECK(names(text, holder));
        });
        timed("open_or_create() with a lock_timeout", limit, watchdog, [&] {
            CHECK(names(thrown_by<cairn::timeout_error>([&] {
                            static_cast<void>(
                                cairn::manager::open_or_create(name.get(), {.lock_timeout = limit}));
                        }),
                        holder));
        });
        CHECK_FALSE(is_open);
        holder.resume();
    }
    cairn::manager::open(name.get()).unlink();
}

TEST_CASE("a manager that goes waits a second for the segment's lock, and then leaves the name behind") {
    const scratch_name name;
    std::optional<cairn::manager> m(cairn::manager::create(name.get()));
    child holder = stopped_with_segment(opened_list<long>(m->list<long>("l")).in());
    {
        const release_later at_last(holder);
        timed("the end of the last manager", 1s, watchdog, [&] { m.reset(); });
        CHECK(name.exists());
        holder.resume();
    }
    CHECK(holder.join() == 0);
    CHECK(name.exists());
    static_cast<void>(cairn::find_segments(false));  // looks again: the child was the last one that had it
    CHECK_FALSE(name.exists());
    // What is left so is no obstacle for whoever comes next.
    child killed([&] {
        const auto again = cairn::manager::create(name.get());
        ::kill(::getpid(), SIGKILL);
    });
    CHECK(killed.join() == -SIGKILL);
    CHECK(name.exists());
    m = cairn::manager::create(name.get());
    m.reset();
    CHECK_FALSE(name.exists());
}

TEST_CASE("open waits for a segment that is not there yet") {
    const scratch_name name;
    timed("open of what never comes", limit, watchdog, [&] {
        CHECK(contains(thrown_by<cairn::no_such_segment>(
                           [&] { static_cast<void>(cairn::manager::open(name.get(), {.wait = limit})); }),
                       "no such segment"));
    });
    std::jthread maker([&] {
        std::this_thread::sleep_for(limit);
        const auto made = cairn::manager::create(name.get(), {.persist = true});
    });
    timed("open of what comes", limit / 2, watchdog, [&] {
        const auto m = cairn::manager::open(name.get(), {.wait = std::chrono::duration<double>(60)});
        CHECK(m.name() == name.get());
    });
    maker.join();
    cairn::manager::open(name.get()).unlink();
}

TEST_CASE("deadlines far ahead wait, and past ones return at once, on every clock") {
    const cairn::manager m;
    const auto q = m.queue<long>("q", 1);
    const auto c = m.channel<long>("c", 1);
    const auto far = m.channel<long>("far", 1);  // the last of the waits takes from it
    using namespace std::chrono;
    const auto returns = [&](const char* what, const std::function<void()>& wait) {
        timed(what, 0ms, watchdog, wait);
    };
    returns("the steady clock's first", [&] { CHECK(!q.get_until(steady::time_point::min())); });
    returns("the system clock's first", [&] { CHECK(!q.get_until(system_clock::time_point::min())); });
    returns("a second ago, in seconds",
            [&] { CHECK(!q.get_until(floor<seconds>(system_clock::now()) - 1s)); });
    returns("steady, all but its first",
            [&] { CHECK(!q.lease_until(steady::time_point(nanoseconds(-9223372036854775807LL)))); });
    returns("no time at all", [&] { CHECK(!q.get_for(seconds::min())); });
    returns("NaN", [&] { CHECK(!q.get_for(duration<double>(std::nan("")))); });
    returns("a channel", [&] { CHECK(!c.get_until(system_clock::time_point::min())); });
    q.put(1);
    returns("a full queue", [&] { CHECK_FALSE(q.put_until(1, steady::time_point::min())); });
    q.get();

    const std::vector<std::pair<const char*, std::function<std::optional<long>()>>> waits = {
        {"the year 2500", [&] { return q.get_until(sys_days(year(2500) / 1 / 1)); }},
        {"the steady clock's last", [&] { return q.get_until(steady::time_point::max()); }},
        {"the system clock's last second", [&] { return q.get_until(sys_seconds::max()); }},
        {"the longest time in seconds", [&] { return q.get_for(seconds::max()); }},
        {"the longest time in hours", [&] { return q.get_for(hours::max()); }},
        {"infinity", [&] { return q.get_for(duration<double>(std::numeric_limits<double>::infinity())); }},
        {"a channel, the year 2500", [&] { return far.get_until(sys_days(year(2500) / 1 / 1)); }},
    };
    for (const auto& [what, wait] : waits) {
        INFO(std::string(what));
        std::atomic<bool> has_returned = false;
        std::optional<long> got;
        std::jthread waiter([&, &wait = wait] {
            got = wait();
            has_returned = true;
        });
        std::this_thread::sleep_for(50ms);
        CHECK_FALSE(has_returned);
        q.put(5);
        if (std::string_view(what).starts_with("a channel")) far.put(5);
        waiter.join();
        CHECK(got == 5);
        while (q.try_get()) {}
    }
}

TEST_CASE("a thread that is cancelled while it waits goes on to the end of the operation") {
    const cairn::manager m;
    const auto q = m.queue<long>("q");
    const auto leased = m.queue<long>("leased");
    leased.put(1);
    const child holder([&] {
        const auto lease = leased.lease();
        std::raise(SIGSTOP);
    });
    holder.wait_until_stopped();
    cairn::process sleeper([] { std::this_thread::sleep_for(200ms); });
    struct given {
        const cairn::queue<long>& q;
        const cairn::queue<long>& leased;
        cairn::process& sleeper;
        std::atomic<int> done = 0;
    } all{q, leased, sleeper};
    const auto run = [&](void* (*body)(void*)) {
        pthread_t thread{};
        REQUIRE(pthread_create(&thread, nullptr, body, &all) == 0);
        return thread;
    };
    const pthread_t threads[] = {
        run([](void* p) -> void* {
            auto& g = *static_cast<given*>(p);
            static_cast<void>(g.q.get_for(400ms));
            ++g.done;
            return nullptr;
        }),
        run([](void* p) -> void* {
            auto& g = *static_cast<given*>(p);
            // Looks at each tick whether the holder of the lease lives, which is done with files.
            static_cast<void>(g.leased.get_for(400ms));
            ++g.done;
            return nullptr;
        }),
        run([](void* p) -> void* {
            auto& g = *static_cast<given*>(p);
            g.sleeper.join();
            ++g.done;
            return nullptr;
        }),
    };
    std::this_thread::sleep_for(50ms);
    for (const pthread_t thread : threads) pthread_cancel(thread);
    for (const pthread_t thread : threads) pthread_join(thread, nullptr);
    CHECK(all.done == 3);
}

TEST_CASE("whoever waits for a producer that is stopped in the middle of a put uses hardly any processor") {
    const scratch_name name;
    const auto m = cairn::manager::create(name.get(), {.lock_timeout = 1500ms});
    const auto c = m.channel<long>("c", 4);
    auto& pin = opened_channel(c).pin(cairn::detail::producer_end);
    // As a producer leaves it that is stopped at its pin.
    const child producer([&] {
        c.put(1);
        __atomic_store_n(&pin.holder, cairn::detail::load_word(pin.owner), __ATOMIC_SEQ_CST);
        std::raise(SIGSTOP);
        __atomic_store_n(&pin.holder, 0, __ATOMIC_SEQ_CST);
    });
    producer.wait_until_stopped();
    {
        const release_later at_last(producer);
        const auto processor_time = [] {
            timespec now = {};
            ::clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
            return std::chrono::seconds(now.tv_sec) + std::chrono::nanoseconds(now.tv_nsec);
        };
        const auto before = processor_time();
        std::string text;
        timed("snapshot", 1500ms, far_longer,
              [&] { text = thrown_by<cairn::timeout_error>([&] { static_cast<void>(c.snapshot()); }); });
        CHECK(contains(text, "pid " + std::to_string(producer.pid())));
        const double share = std::chrono::duration<double>(processor_time() - before) / 1500ms;
        MESSAGE("it used " << 100 * share << " % of a processor");
        CHECK(share < (is_sanitized ? 0.5 : 0.2));
        CHECK(contains(thrown_by<cairn::timeout_error>([&] { c.close(); }), "channel 'c'"));
        timed("get_for", 0ms, watchdog, [&] { CHECK(c.get_for(limit) == 1); });
    }
    CHECK_FALSE(c.is_closed());
    c.close();
}

namespace {

std::chrono::nanoseconds thread_time() {
    timespec now = {};
    ::clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
    return std::chrono::seconds(now.tv_sec) + std::chrono::nanoseconds(now.tv_nsec);
}

// To the first of the processors that this process may use.
void stay_on_one_processor() {
    cpu_set_t all;
    CPU_ZERO(&all);
    CHILD_CHECK(::sched_getaffinity(0, sizeof all, &all) == 0);
    for (std::size_t i = 0; i < CPU_SETSIZE; ++i) {
        if (!CPU_ISSET(i, &all)) continue;
        cpu_set_t one;
        CPU_ZERO(&one);
        CPU_SET(i, &one);
        CHILD_CHECK(::sched_setaffinity(0, sizeof one, &one) == 0);
        return;
    }
}

constexpr int not_allowed = 77;

// `hold` begins something, calls what it is given, which takes 30 ms of a processor, and ends it; `wait`, in a process of real-time priority
// on the same processor, waits for that end. Whether the system allows that.
bool real_time_waits(const std::function<void(const std::function<void()>&)>& hold,
                     const std::function<void()>& wait) {
    const gate is_held;
    child holder([&] {
        stay_on_one_processor();
        hold([&] {
            is_held.open();
            for (const auto begin = thread_time(); thread_time() - begin < 30ms;) {}
        });
    });
    child waiter([&] {
        stay_on_one_processor();
        CHILD_CHECK(is_held.wait());
        sched_param priority = {};
        priority.sched_priority = 1;
        if (::sched_setscheduler(0, SCHED_FIFO, &priority) != 0) ::_exit(not_allowed);
        const auto before = thread_time();
        wait();
        // The system keeps 5 % of a second for others. If it were not for that, a waiter that does not sleep would wait for ever.
        CHILD_CHECK(thread_time() - before < 400ms);
    });
    const int result = waiter.join();
    CHECK(holder.join() == 0);
    if (result != not_allowed) CHECK(result == 0);
    return result != not_allowed;
}

}  // namespace

TEST_CASE("a waiter of real-time priority leaves its processor to whoever it waits for") {
    const cairn::manager m;
    const auto l = m.list<long>("l", {1, 2, 3});
    const auto c = m.channel<long>("c", 4);
    auto& pin = opened_channel(c).pin(cairn::detail::producer_end);
    const auto in_transaction = [&](const std::function<void()>& work) {
        l.transaction([&](auto& inside) {
            inside.push_back(4);
            work();
            inside.pop();
        });
    };
    const auto in_put = [&](const std::function<void()>& work) {
        c.put(1);
        __atomic_store_n(&pin.holder, cairn::detail::load_word(pin.owner), __ATOMIC_SEQ_CST);
        work();
        __atomic_store_n(&pin.holder, 0, __ATOMIC_SEQ_CST);
    };
    bool is_allowed = real_time_waits(in_transaction, [&] { l.push_back(5); });
    is_allowed &= real_time_waits(in_transaction, [&] { CHILD_CHECK(l.snapshot().size() == 4); });
    is_allowed &= real_time_waits(in_put, [&] { static_cast<void>(c.snapshot()); });
    is_allowed &= real_time_waits(in_put, [&] { c.close(); });
    if (!is_allowed) {
        MESSAGE("skipped: this user may have no real-time priority");
        return;
    }
    CHECK(l == std::vector<long>{1, 2, 3, 5});
    CHECK(c.is_closed());
}

TEST_CASE("others get pages while somebody puts in what is very large") {
    const cairn::manager m({.max_size = 2UL << 30U});
    const auto large = m.queue<std::string>("large");
    const auto is_in = m.queue<long>("is in");  // looking at the other one would wait for its put
    const std::string item(scaled(512UL << 20U), 'x');
    const gate begun;
    child putter([&] {
        begun.open();
        large.put(item);
        is_in.put(1);
    });
    CHECK(begun.wait());
    std::vector<double> took;
    const auto begin = steady::now();
    do {
        const auto start = steady::now();
        m.list<long>("l" + std::to_string(took.size()));
        took.push_back(std::chrono::duration<double, std::milli>(steady::now() - start).count());
        std::this_thread::sleep_for(200us);
    } while (is_in.empty() && steady::now() - begin < far_longer);
    const double share = std::chrono::duration<double, std::milli>(steady::now() - begin).count();
    CHECK(putter.join() == 0);
    CHECK(large.size() == 1);
    std::sort(took.begin(), took.end());
    MESSAGE("an object made beside a put of " << item.size() << " bytes that took " << share << " ms: median "
                                              << took[took.size() / 2] << ", longest " << took.back()
                                              << " ms, " << took.size() << " objects");
    CHECK(took.back() < 2000);
}

}  // namespace limits_test

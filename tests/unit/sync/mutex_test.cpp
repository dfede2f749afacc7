// mutex_test.cpp - cairn::mutex and cairn::recursive_mutex in one process. With several: tests/process/mutex_process_test.cpp.
// SPDX-License-Identifier: BSL-1.0
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <mutex>
#include <optional>
#include <random>
#include <sstream>
#include <stdexcept>
#include <stop_token>
#include <string>
#include <thread>
#include <vector>

#include <doctest/doctest.h>

#include "support/scratch.hpp"
#include <cairn/cairn.hpp>
#include <cairn/detail/os/robust_mutex.hpp>

namespace mutex_test {

using namespace cairn_test;
using namespace std::chrono_literals;
using steady = std::chrono::steady_clock;

namespace {

/// What a thread of its own sees.
template <typename Fn>
auto elsewhere(Fn fn) {
    decltype(fn()) result{};
    std::thread([&] { result = fn(); }).join();
    return result;
}

}  // namespace

// ---- as Python's Lock --------------------------------------------------------------------------------------------------

TEST_CASE("Lock.acquire, Lock.release: a lock is taken once, and given back") {
    const cairn::manager m;
    const auto l = m.lock("l");
    CHECK_FALSE(l.is_locked());
    l.lock();
    CHECK(l.is_locked());
    CHECK(l.is_owned());
    CHECK_FALSE(l.try_lock());
    CHECK_FALSE(elsewhere([&] { return l.try_lock(); }));
    l.unlock();
    CHECK_FALSE(l.is_locked());
    CHECK(l.try_lock());
    l.unlock();
}

TEST_CASE("Lock.acquire(timeout): false when the time was up first, and not before") {
    const cairn::manager m;
    const auto l = m.lock("l");
    const std::lock_guard held(l);
    const auto begin = steady::now();
    CHECK_FALSE(elsewhere([&] { return l.try_lock_for(50ms); }));
    CHECK(steady::now() - begin >= 50ms);
    CHECK_FALSE(elsewhere([&] { return l.try_lock_for(-1s); }));
    CHECK_FALSE(elsewhere([&] { return l.try_lock_until(steady::now() + 30ms); }));
    CHECK_FALSE(elsewhere([&] { return l.try_lock_until(std::chrono::system_clock::now() + 30ms); }));
    // Nobody else could give it back to its owner.
    const auto again = steady::now();
    CHECK_FALSE(l.try_lock_for(50ms));
    CHECK(steady::now() - again >= 50ms);
}

TEST_CASE("Lock.release of a lock that is free, or another's, is invalid_state and changes nothing") {
    const cairn::manager m;
    const auto l = m.lock("l");
    CHECK(contains(thrown_by<cairn::invalid_state>([&] { l.unlock(); }), "unlock lock 'l'"));
    CHECK(contains(thrown_by<cairn::invalid_state>([&] { l.unlock(); }), "nobody holds it"));
    l.lock();
    const std::string text = elsewhere([&] { return thrown_by<cairn::invalid_state>([&] { l.unlock(); }); });
    CHECK(contains(text, "held by pid " + std::to_string(::getpid())));
    CHECK(l.is_owned());
    CHECK(contains(elsewhere([&] { return thrown_by<cairn::invalid_state>([&] { l.mark_consistent(); }); }),
                   "mark_consistent of lock 'l'"));
    l.unlock();
}

TEST_CASE("Lock.acquire by its owner would wait for itself") {
    const cairn::manager m;
    const auto l = m.lock("l");
    const std::lock_guard held(l);
    CHECK(contains(thrown_by<cairn::would_deadlock>([&] { l.lock(); }), "this thread holds it"));
    CHECK_FALSE(l.lock([] {
        std::stop_source source;
        source.request_stop();
        return source.get_token();
    }()));
    CHECK(l.is_owned());
}

TEST_CASE("with lock: std::lock_guard, std::unique_lock, and std::scoped_lock of two in any order") {
    const cairn::manager m;
    const auto a = m.lock("a");
    const auto b = m.lock("b");
    {
        std::unique_lock held(a);
        CHECK(a.is_owned());
        held.unlock();
        CHECK_FALSE(a.is_locked());
        CHECK(held.try_lock_for(1s));
    }
    CHECK_FALSE(a.is_locked());
    long sum = 0;
    const auto work = [&](const cairn::mutex& first, const cairn::mutex& second) {
        for (int i = 0; i < 2000; ++i) {
            const std::scoped_lock both(first, second);
            ++sum;
        }
    };
    std::thread one([&] { work(a, b); });
    std::thread other([&] { work(b, a); });
    one.join();
    other.join();
    CHECK(sum == 4000);
    CHECK_FALSE(a.is_locked());
    CHECK_FALSE(b.is_locked());
}

TEST_CASE("a lock excludes threads: no increment is lost") {
    const cairn::manager m;
    const auto l = m.lock();
    constexpr int rounds = 5000;
    long total = 0;
    std::vector<std::thread> threads;
    for (int t = 0; t < 4; ++t) {
        threads.emplace_back([&] {
            for (int i = 0; i < rounds; ++i) {
                const std::lock_guard held(l);
                ++total;
            }
        });
    }
    for (std::thread& each : threads) each.join();
    CHECK(total == 4 * rounds);
}

// ---- as Python's RLock -------------------------------------------------------------------------------------------------

TEST_CASE("RLock.acquire: its owner takes it as often as it likes, and gives it back as often") {
    const cairn::manager m;
    const auto r = m.rlock("r");
    r.lock();
    r.lock();
    CHECK(r.try_lock());
    CHECK(r.try_lock_for(1s));
    for (int i = 0; i < 3; ++i) {
        r.unlock();
        CHECK(r.is_owned());
        CHECK_FALSE(elsewhere([&] { return r.try_lock(); }));
    }
    r.unlock();
    CHECK_FALSE(r.is_locked());
    CHECK(elsewhere([&] {
        const bool taken = r.try_lock();
        r.unlock();
        return taken;
    }));
}

TEST_CASE("RLock.release by another thread is invalid_state") {
    const cairn::manager m;
    const auto r = m.rlock("r");
    const std::lock_guard held(r);
    CHECK(contains(elsewhere([&] { return thrown_by<cairn::invalid_state>([&] { r.unlock(); }); }),
                   "unlock rlock 'r'"));
}

// ---- what Python's have not --------------------------------------------------------------------------------------------

TEST_CASE("the fence of a lock grows with each acquisition") {
    const cairn::manager m;
    const auto l = m.lock("l");
    std::uint64_t last = l.fence();
    for (int i = 0; i < 10; ++i) {
        const std::lock_guard held(l);
        CHECK(l.fence() > last);
        last = l.fence();
        CHECK(l.fence() == last);
    }
}

TEST_CASE("a stop token ends the wait for a lock") {
    const cairn::manager m;
    const auto l = m.lock("l");
    const std::lock_guard held(l);
    std::stop_source source;
    std::optional<bool> taken;
    std::thread waiter([&] { taken = l.lock(source.get_token()); });
    std::this_thread::sleep_for(20ms);
    source.request_stop();
    waiter.join();
    CHECK(taken == false);
}

TEST_CASE(
    "a thread that ends with a lock is a dead owner, until its lock is marked consistent or given back") {
    const cairn::manager m;
    const auto l = m.lock("l");
    const auto die_with_it = [&] { std::thread([&] { l.lock(); }).join(); };
    die_with_it();
    CHECK_FALSE(l.owner_died());  // of a lock that this thread does not hold
    l.lock();
    CHECK(l.owner_died());
    l.mark_consistent();
    CHECK_FALSE(l.owner_died());
    l.unlock();
    l.lock();
    CHECK_FALSE(l.owner_died());
    l.unlock();
    die_with_it();
    CHECK(l.try_lock());
    CHECK(l.owner_died());
    l.unlock();
    CHECK(l.try_lock());
    CHECK_FALSE(l.owner_died());
    l.unlock();
}

TEST_CASE("lock(recover, fn) calls fn when the owner died, and what fn throws leaves it to the next") {
    const cairn::manager m;
    const auto l = m.lock("l");
    int repairs = 0;
    l.lock(cairn::recover, [&] { ++repairs; });
    CHECK(repairs == 0);
    l.unlock();
    std::thread([&] { l.lock(); }).join();
    CHECK_THROWS_AS(l.lock(cairn::recover, [] { throw std::runtime_error("no"); }), std::runtime_error);
    CHECK_FALSE(l.is_locked());
    l.lock(cairn::recover, [&] {
        CHECK(l.is_owned());
        CHECK(l.owner_died());
        ++repairs;
    });
    CHECK(repairs == 1);
    CHECK_FALSE(l.owner_died());
    l.unlock();
    // As often as it was taken.
    const auto r = m.rlock("r");
    std::thread([&] { r.lock(), r.lock(); }).join();
    r.lock();
    CHECK(r.owner_died());
    CHECK_THROWS_AS(r.lock(cairn::recover, [] { throw std::runtime_error("no"); }), std::runtime_error);
    CHECK(r.is_owned());
    CHECK(r.owner_died());
    r.unlock();
    CHECK_FALSE(r.is_locked());
}

TEST_CASE("a lock is found by its name and kind, and removed when it is free") {
    const cairn::manager m;
    const auto l = m.lock("l");
    CHECK(m.lock("l") == l);
    CHECK(l.name() == "l");
    CHECK(m.find<cairn::mutex>("l") == l);
    CHECK_THROWS_AS(static_cast<void>(m.rlock("l")), cairn::type_mismatch);
    CHECK_THROWS_AS(static_cast<void>(m.list<long>("l")), cairn::type_mismatch);
    CHECK(m.lock() != m.lock());
    CHECK(contains(m.rlock().name(), "rlock"));
    {
        const std::lock_guard held(l);
        CHECK(contains(thrown_by<cairn::would_deadlock>([&] { m.remove("l"); }), "this thread holds it"));
    }
    CHECK(m.remove("l"));
    CHECK_THROWS_AS(l.lock(), cairn::object_gone);
    CHECK_THROWS_AS(static_cast<void>(l.try_lock()), cairn::object_gone);
    CHECK_THROWS_AS(l.unlock(), cairn::object_gone);
    CHECK_THROWS_AS(static_cast<void>(l.fence()), cairn::object_gone);
    CHECK_THROWS_AS(static_cast<void>(l.is_locked()), cairn::object_gone);
    const auto anew = m.lock("l");
    const std::lock_guard held(anew);
    CHECK_THROWS_AS(l.lock(), cairn::object_gone);
    CHECK_THROWS_AS(l.unlock(), cairn::object_gone);
    CHECK(anew.is_owned());
}

TEST_CASE("whoever sleeps on a lock that is removed wakes with object_gone") {
    const cairn::manager m;
    const auto l = m.lock("l");
    l.lock();
    std::string text;
    std::thread waiter([&] { text = thrown_by<cairn::object_gone>([&] { l.lock(); }); });
    std::thread remover;
    // Both wait by now; whichever comes first, the waiter finds the lock gone, or has it and gives it back.
    std::this_thread::sleep_for(20ms);
    remover = std::thread([&] { m.remove("l"); });
    std::this_thread::sleep_for(20ms);
    l.unlock();
    const auto until = steady::now() + 20s;
    while (m.contains("l") && steady::now() < until) {
        // The waiter was first, and holds it: it has ended, and so is a dead owner.
        std::this_thread::sleep_for(1ms);
    }
    waiter.join();
    remover.join();
    CHECK((text.empty() || contains(text, "removed")));
    CHECK_THROWS_AS(l.lock(), cairn::object_gone);
}

TEST_CASE("a lock is not for callbacks of other operations; what is held goes through them") {
    const cairn::manager m;
    const auto l = m.lock("l");
    const auto list = m.list<long>("list", {1});
    list.update(0, [&](long&) { CHECK_THROWS_AS(l.lock(), cairn::would_deadlock); });
    list.update(0, [&](long&) { CHECK_THROWS_AS(static_cast<void>(l.try_lock()), cairn::would_deadlock); });
    l.lock();
    list.push_back(2);
    const auto other = m.list<long>("other");  // made while it is held
    other.push_back(1);
    list.update(0, [&](long& value) {
        value = 5;
        l.unlock();
    });
    CHECK(list.snapshot() == std::vector<long>{5, 2});
    CHECK_FALSE(l.is_locked());
}

TEST_CASE("many locks are held at once, and given back in any order") {
    const cairn::manager m;
    std::vector<cairn::mutex> all;
    for (int i = 0; i < 40; ++i) all.push_back(m.lock());
    const auto list = m.list<long>("list");
    for (const auto& each : all) each.lock();
    list.push_back(1);
    for (std::size_t i = 0; i < all.size(); i += 2) all[i].unlock();
    list.push_back(2);
    for (std::size_t i = all.size(); i-- > 0;)
        if (i % 2 == 1) all[i].unlock();
    for (const auto& each : all) CHECK_FALSE(each.is_locked());
    CHECK(list.size() == 2);
}

TEST_CASE("the kernel's list of what a thread holds is right after each lock and unlock, in any order") {
    using cairn::detail::this_thread;
    const cairn::manager m;
    std::vector<cairn::mutex> all;
    for (int i = 0; i < 9; ++i) all.push_back(m.lock());
    const auto list = m.list<long>("list");
    const auto held_in_list = [] {
        const auto end = reinterpret_cast<std::uint64_t>(&this_thread.robust_list->first);
        std::size_t count = 0;
        std::uint64_t before = end;
        for (std::uint64_t at = this_thread.robust_list->first; at != end && count < 100; ++count) {
            if (cairn::detail::link_before(at) != before) return std::size_t{1000};
            before = at;
            at = *reinterpret_cast<const std::uint64_t*>(at);
        }
        return count;
    };
    all.front().lock();
    all.front().unlock();
    const std::size_t others = held_in_list();
    // What this thread itself knows, which is right where what is stored in a lock was overwritten.
    const auto known = [] {
        return this_thread.held_count == cairn::detail::only_lock ? 1 : std::size_t{this_thread.held_count};
    };
    std::vector<bool> is_held(all.size());
    std::size_t count = 0;
    std::size_t wrong = 0;
    std::mt19937 random(20240611);  // NOLINT(cert-msc32-c,cert-msc51-cpp): the same each time
    for (int step = 0; step < 20000; ++step) {
        const std::size_t i = random() % all.size();
        if (is_held[i]) all[i].unlock();
        else all[i].lock();
        count = is_held[i] ? count - 1 : count + 1;
        is_held[i] = !is_held[i];
        if (held_in_list() != others + count || known() != count) ++wrong;
        if (step % 97 == 0) list.push_back(1);
        if (step % 999 == 0) {
            static_cast<void>(m.list<long>("short", {1}));
            CHECK(m.remove("short"));  // which makes room for locks
        }
    }
    CHECK(wrong == 0);
    for (std::size_t i = 0; i < all.size(); ++i)
        if (is_held[i]) all[i].unlock();
    CHECK(held_in_list() == others);
    for (const auto& each : all) CHECK_FALSE(each.is_locked());
}

TEST_CASE("a lock that is held keeps its mapping until it is given back, or its thread has ended") {
    const scratch_name name;
    std::thread([&] {
        {
            const auto m = cairn::manager::open_or_create(name.get());
            m.lock("l").lock();
        }
        CHECK(name.exists());  // this process is still attached
        const cairn::manager other;
        other.lock("x").lock();
        other.lock("x").unlock();
    }).join();
    // Others that come and go end what had to wait.
    const auto until = steady::now() + 20s;
    while (name.exists() && steady::now() < until) {
        {
            const cairn::manager other;
        }
        std::this_thread::sleep_for(1ms);
    }
    CHECK_FALSE(name.exists());
}

TEST_CASE("locks print their state") {
    const cairn::manager m;
    const auto l = m.lock("l");
    std::ostringstream text;
    text << l;
    CHECK(text.str() == "lock(free)");
    const std::lock_guard held(l);
    CHECK(contains(cairn::repr(l), "lock(held by pid " + std::to_string(::getpid())));
}

TEST_CASE("a process that may only read sees a lock, and may not take it") {
    const scratch_name name;
    const cairn::manager m(name.get());
    const auto l = m.lock("l");
    const auto reader = cairn::manager::open(name.get(), cairn::open_mode::read_only);
    const auto seen = reader.find<cairn::mutex>("l").value();
    CHECK_FALSE(seen.is_locked());
    l.lock();
    CHECK(seen.is_locked());
    CHECK_THROWS_AS(seen.lock(), cairn::permission_denied);
    CHECK_THROWS_AS(static_cast<void>(seen.try_lock()), cairn::permission_denied);
    CHECK_THROWS_AS(seen.unlock(), cairn::permission_denied);
    l.unlock();
}

}  // namespace mutex_test

// sync_subjects.cpp - locks and the like in damaged segments: every operation, with a limit where one could wait for ever.
// SPDX-License-Identifier: BSL-1.0
#include <chrono>
#include <csignal>
#include <mutex>
#include <span>
#include <sstream>
#include <thread>
#include <type_traits>

#include <unistd.h>

#include "subjects.hpp"
#include "support/scratch.hpp"
#include <cairn/cairn.hpp>

namespace cairn_test {

namespace {

constexpr auto soon = std::chrono::milliseconds(1);

// Its owner has died: what is stored says so.
template <typename Lock>
void build_lock(const cairn::manager& in, const char* name) {
    const Lock l = [&] {
        if constexpr (std::is_same_v<Lock, cairn::mutex>) return in.lock(name);
        else if constexpr (std::is_same_v<Lock, cairn::shared_mutex>) return in.shared_mutex(name);
        else return in.rlock(name);
    }();
    std::thread([&] { l.lock(); }).join();
}

template <typename Lock>
void read_lock(const Lock& l, attempts& attempt) {
    attempt("name", [&] { static_cast<void>(l.name()); });
    attempt("is_locked", [&] { static_cast<void>(l.is_locked()); });
    attempt("is_owned", [&] { static_cast<void>(l.is_owned()); });
    attempt("owner_died", [&] { static_cast<void>(l.owner_died()); });
    attempt("fence", [&] { static_cast<void>(l.fence()); });
    if constexpr (std::is_same_v<Lock, cairn::shared_mutex>)
        attempt("readers", [&] { static_cast<void>(l.readers()); });
    attempt("operator<<", [&] { std::ostringstream() << l; });
}

template <typename Lock>
void write_lock(const Lock& l, attempts& attempt) {
    attempt("unlock", [&] { l.unlock(); });
    attempt("mark_consistent", [&] { l.mark_consistent(); });
    if constexpr (std::is_same_v<Lock, cairn::shared_mutex>) {
        attempt("unlock_shared", [&] { l.unlock_shared(); });
        attempt("try_lock_shared_for", [&] {
            if (l.try_lock_shared_for(soon)) l.unlock_shared();
        });
        attempt("try_lock_shared", [&] {
            if (l.try_lock_shared()) l.unlock_shared();
        });
    }
    for (int i = 0; i < 2; ++i) {
        bool has_it = false;
        attempt("try_lock", [&] { has_it = l.try_lock(); });
        if (!has_it) attempt("try_lock_for", [&] { has_it = l.try_lock_for(soon); });
        if (!has_it) continue;
        attempt("try_lock", [&] {
            if (l.try_lock()) l.unlock();
        });
        attempt("mark_consistent", [&] { l.mark_consistent(); });
        attempt("fence", [&] { static_cast<void>(l.fence()); });
        // What it takes to have it no more, however often the damage says that it was taken.
        attempt("unlock", [&] {
            for (int left = 8; left != 0 && l.is_owned(); --left) l.unlock();
        });
    }
}

template <typename Lock>
constexpr subject lock_of(const char* name) {
    return {name, &build_lock<Lock>, &open_as<Lock, &read_lock<Lock>, &write_lock<Lock>>};
}

void build_event(const cairn::manager& in, const char* name) {
    const auto e = in.event(name);
    e.set();
    e.clear();
}

void read_event(const cairn::event& e, attempts& attempt) {
    attempt("name", [&] { static_cast<void>(e.name()); });
    attempt("is_set", [&] { static_cast<void>(e.is_set()); });
    attempt("operator<<", [&] { std::ostringstream() << e; });
}

void write_event(const cairn::event& e, attempts& attempt) {
    attempt("wait_for", [&] { static_cast<void>(e.wait_for(soon)); });
    attempt("set", [&] { e.set(); });
    attempt("wait_for", [&] { static_cast<void>(e.wait_for(soon)); });
    attempt("clear", [&] { e.clear(); });
}

// Permits of living and of dead processes.
template <typename Semaphore>
void build_semaphore(const cairn::manager& in, const char* name) {
    const Semaphore s = [&] {
        if constexpr (std::is_same_v<Semaphore, cairn::semaphore>) return in.semaphore(name, 8);
        else return in.bounded_semaphore(name, 8);
    }();
    s.acquire();
    for (int i = 0; i < 2; ++i) {
        child holder([&] {
            s.acquire();
            ::_exit(0);
        });
        static_cast<void>(holder.join());
    }
}

template <typename Semaphore>
void read_semaphore(const Semaphore& s, attempts& attempt) {
    attempt("name", [&] { static_cast<void>(s.name()); });
    attempt("value", [&] { static_cast<void>(s.value()); });
    attempt("operator<<", [&] { std::ostringstream() << s; });
}

template <typename Semaphore>
void write_semaphore(const Semaphore& s, attempts& attempt) {
    for (int i = 0; i < 12; ++i) attempt("try_acquire", [&] { static_cast<void>(s.try_acquire()); });
    attempt("try_acquire_for", [&] { static_cast<void>(s.try_acquire_for(soon)); });
    for (int i = 0; i < 4; ++i) attempt("release", [&] { s.release(); });
    attempt("release", [&] { s.release(3); });
    if constexpr (std::is_same_v<Semaphore, cairn::semaphore>) {
        attempt("permit", [&] {
            if (auto permit = s.permit_for(soon)) permit->release();
        });
        attempt("the end of a permit", [&] { const auto permit = s.try_permit(); });
    }
}

template <typename Semaphore>
constexpr subject semaphore_of(const char* name) {
    return {name, &build_semaphore<Semaphore>,
            &open_as<Semaphore, &read_semaphore<Semaphore>, &write_semaphore<Semaphore>>};
}

// Waiters, notified and not, of a living and of a dead process.
void build_condition(const cairn::manager& in, const char* name) {
    const auto l = in.lock(std::string(name) + " lock");
    const auto c = in.condition(name);
    for (int i = 0; i < 2; ++i) {
        const child waiter([&] {
            std::unique_lock lock(l);
            c.wait(lock);
        });
        while (c.waiting() == 0) std::this_thread::yield();
        if (i == 0) {
            ::kill(waiter.pid(), SIGSTOP);
            c.notify_one();
        }
    }
}

void read_condition(const cairn::condition& c, attempts& attempt) {
    attempt("name", [&] { static_cast<void>(c.name()); });
    attempt("waiting", [&] { static_cast<void>(c.waiting()); });
    attempt("operator<<", [&] { std::ostringstream() << c; });
}

void write_condition(const cairn::condition& c, attempts& attempt) {
    const cairn::manager others;
    const auto l = others.lock();
    for (int i = 0; i < 2; ++i) {
        attempt("wait_for", [&] {
            std::unique_lock lock(l);
            static_cast<void>(c.wait_for(lock, soon));
        });
        attempt("notify_one", [&] { c.notify_one(); });
        attempt("notify", [&] { c.notify(2); });
        attempt("notify_all", [&] { c.notify_all(); });
    }
}

// One of another process has come, and has died since.
void build_barrier(const cairn::manager& in, const char* name) {
    const auto b = in.barrier(name, 3);
    b.enroll();
    const child other([&] { static_cast<void>(b.arrive_and_wait()); });
    while (b.waiting() == 0) std::this_thread::yield();
}

void read_barrier(const cairn::barrier& b, attempts& attempt) {
    attempt("name", [&] { static_cast<void>(b.name()); });
    attempt("parties", [&] { static_cast<void>(b.parties()); });
    attempt("waiting", [&] { static_cast<void>(b.waiting()); });
    attempt("broken", [&] { static_cast<void>(b.broken()); });
    attempt("operator<<", [&] { std::ostringstream() << b; });
}

void write_barrier(const cairn::barrier& b, attempts& attempt) {
    for (int i = 0; i < 2; ++i) {
        attempt("enroll", [&] { b.enroll(); });
        attempt("wait_for", [&] { static_cast<void>(b.wait_for(soon)); });
        attempt("abort", [&] { b.abort(); });
        attempt("reset", [&] { b.reset(); });
    }
}

void build_latch(const cairn::manager& in, const char* name) {
    in.latch(name, 5).count_down(2);
}

void read_latch(const cairn::latch& l, attempts& attempt) {
    attempt("name", [&] { static_cast<void>(l.name()); });
    attempt("remaining", [&] { static_cast<void>(l.remaining()); });
    attempt("try_wait", [&] { static_cast<void>(l.try_wait()); });
    attempt("operator<<", [&] { std::ostringstream() << l; });
}

void write_latch(const cairn::latch& l, attempts& attempt) {
    attempt("wait_for", [&] { static_cast<void>(l.wait_for(soon)); });
    for (int i = 0; i < 4; ++i) attempt("count_down", [&] { l.count_down(); });
    attempt("wait_for", [&] { static_cast<void>(l.wait_for(soon)); });
}

constexpr subject all[] = {
    {"latch", &build_latch, &open_as<cairn::latch, &read_latch, &write_latch>},
    {"barrier", &build_barrier, &open_as<cairn::barrier, &read_barrier, &write_barrier>},
    {"condition", &build_condition, &open_as<cairn::condition, &read_condition, &write_condition>},
    {"event", &build_event, &open_as<cairn::event, &read_event, &write_event>},
    semaphore_of<cairn::semaphore>("semaphore"),
    semaphore_of<cairn::bounded_semaphore>("bounded semaphore"),
    lock_of<cairn::mutex>("lock"),
    lock_of<cairn::recursive_mutex>("rlock"),
    lock_of<cairn::shared_mutex>("shared_mutex"),
};

}  // namespace

std::span<const subject> sync_subjects() {
    return all;
}

}  // namespace cairn_test

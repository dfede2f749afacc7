// robust_mutex_test.cpp - the lock that every root has: who holds it, who waits, and what becomes of it when its holder dies.
// SPDX-License-Identifier: BSL-1.0
#include <algorithm>
#include <atomic>
#include <cerrno>
#include <chrono>
#include <csignal>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <thread>
#include <utility>
#include <vector>

#include <linux/futex.h>
#include <pthread.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <doctest/doctest.h>

#include "os/child.hpp"
#include "os/room_for_locks.hpp"
#include "os/unique_fd.hpp"
#include "support/scratch.hpp"
#include <cairn/detail/os/lock_limit.hpp>
#include <cairn/detail/os/robust_mutex.hpp>
#include <cairn/manager.hpp>

namespace robust_mutex_test {

using namespace cairn_test;
using namespace cairn::detail;
using namespace std::chrono_literals;
using steady = std::chrono::steady_clock;

namespace {

constexpr auto watchdog = 30s;

// A lock, and numbers that it protects, in memory that children share.
struct shared_state {
    stored_mutex mutex;
    std::uint64_t protected_count;
    std::atomic<int> entered;
};

struct shared_lock {
    cairn::manager
        any;  // as for every lock there is: from the first on, forked children are told from their parents
    shared_state* state = nullptr;
    shared_lock() {
        void* memory = nullptr;
        REQUIRE_FALSE(os::map_shared_with_children(sizeof(shared_state), memory));
        state = static_cast<shared_state*>(memory);
        initialize(state->mutex);
    }
    shared_lock(const shared_lock&) = delete;
    shared_lock& operator=(const shared_lock&) = delete;
    ~shared_lock() { os::unmap_shared(state, sizeof(shared_state)); }
    [[nodiscard]] stored_mutex& mutex() const { return state->mutex; }
};

// As every operation does first; in a forked child again.
int try_it(stored_mutex& m) {
    require_usable_thread();
    return try_lock(m, this_thread.thread_id);
}

int wait_for(stored_mutex& m) {
    require_usable_thread();
    return lock_contended(m, this_thread.thread_id, {}, {});
}

int lock(stored_mutex& m) {
    const int result = try_it(m);
    return result == EBUSY ? lock_contended(m, this_thread.thread_id, {}, {}) : result;
}

std::uint32_t own_thread() {
    return static_cast<std::uint32_t>(::syscall(SYS_gettid));
}

// The kernel's half of the word.
std::uint32_t* word_of(stored_mutex& m) {
    return reinterpret_cast<std::uint32_t*>(&m);
}

template <typename Condition>
bool comes_true(Condition condition) {
    const auto deadline = steady::now() + watchdog;
    while (!condition()) {
        if (steady::now() > deadline) return false;
        std::this_thread::sleep_for(1ms);
    }
    return true;
}

[[noreturn]] void wait_for_a_signal() {
    for (;;) ::pause();
}

}  // namespace

TEST_CASE("a lock is initialized by initialize, and neither zeros nor noise look like it") {
    stored_mutex m = {};
    CHECK_FALSE(is_initialized(m));
    initialize(m);
    CHECK(is_initialized(m));
    CHECK(try_it(m) == 0);
    CHECK(is_initialized(m));  // whatever its state
    unlock(m);

    stored_mutex noise = {};
    std::memset(&noise, 0x5a, sizeof noise);
    CHECK_FALSE(is_initialized(noise));
}

TEST_CASE("one holder at a time, and the word says which") {
    const shared_lock shared;
    CHECK(inspect(shared.mutex()).thread_id == 0);
    CHECK(try_it(shared.mutex()) == 0);
    CHECK(inspect(shared.mutex()).thread_id == own_thread());
    CHECK_FALSE(inspect(shared.mutex()).owner_died);
    CHECK(try_it(shared.mutex()) == EBUSY);
    std::thread other([&] { CHECK(try_it(shared.mutex()) == EBUSY); });
    other.join();
    CHECK(in_child([&] {
              CHILD_CHECK(try_it(shared.mutex()) == EBUSY);
              CHILD_CHECK(inspect(shared.mutex()).thread_id == static_cast<std::uint32_t>(::getppid()));
          }) == 0);
    unlock(shared.mutex());
    CHECK(inspect(shared.mutex()).thread_id == 0);
    CHECK(in_child([&] {
              CHILD_CHECK(try_it(shared.mutex()) == 0);
              unlock(shared.mutex());
          }) == 0);
}

TEST_CASE("threads and processes that fight for a lock exclude each other") {
    const shared_lock shared;
    constexpr std::uint64_t rounds = scaled(4000);
    const auto work = [&] {
        for (std::uint64_t i = 0; i < rounds; ++i) {
            const int result = lock(shared.mutex());
            if (result != 0) std::abort();
            // Not one instruction: two at once would lose some.
            const std::uint64_t seen = __atomic_load_n(&shared.state->protected_count, __ATOMIC_RELAXED);
            if (i % 64 == 0) std::this_thread::yield();
            __atomic_store_n(&shared.state->protected_count, seen + 1, __ATOMIC_RELAXED);
            unlock(shared.mutex());
        }
    };
    child first(work);
    child second(work);
    std::thread third(work);
    third.join();
    CHECK(first.join() == 0);
    CHECK(second.join() == 0);
    CHECK(shared.state->protected_count == 3 * rounds);
    CHECK(*word_of(shared.mutex()) == 0);
}

TEST_CASE("who waits for a lock gets it after its holder has given it back, not before") {
    const shared_lock shared;
    REQUIRE(try_it(shared.mutex()) == 0);
    std::atomic<bool> is_free{false};
    std::atomic<bool> was_free{false};
    std::atomic<int> result{-1};
    std::thread waiter([&] {
        result = wait_for(shared.mutex());
        was_free = is_free.load();
        unlock(shared.mutex());
    });
    // Longer than a tick: it sleeps more than once.
    CHECK(comes_true([&] { return inspect(shared.mutex()).has_waiters; }));
    std::this_thread::sleep_for(250ms);
    CHECK(result == -1);
    is_free = true;
    unlock(shared.mutex());
    waiter.join();
    CHECK(result == 0);
    CHECK(was_free);
}

TEST_CASE("a lock whose holder sleeps on shows its waiters, and one that nobody waits for shows none") {
    const shared_lock shared;
    REQUIRE(try_it(shared.mutex()) == 0);
    CHECK_FALSE(inspect(shared.mutex()).has_waiters);
    child waiter([&] {
        CHILD_CHECK(wait_for(shared.mutex()) == 0);
        unlock(shared.mutex());
    });
    CHECK(comes_true([&] { return inspect(shared.mutex()).has_waiters; }));
    CHECK(inspect(shared.mutex()).thread_id == own_thread());
    unlock(shared.mutex());
    CHECK(waiter.join() == 0);
    CHECK(try_it(shared.mutex()) == 0);
    unlock(shared.mutex());
    CHECK_FALSE(inspect(shared.mutex()).has_waiters);
}

TEST_CASE("a thread that ends with the lock hands it to the next one as EOWNERDEAD, once") {
    const shared_lock shared;
    std::uint32_t dead = 0;
    std::thread owner([&] {
        dead = own_thread();
        CHECK(try_it(shared.mutex()) == 0);
    });
    owner.join();
    // The kernel marks it when the thread has really gone, which join() does not promise.
    CHECK(comes_true([&] { return inspect(shared.mutex()).owner_died; }));
    CHECK(inspect(shared.mutex()).thread_id == 0);
    CHECK(lock(shared.mutex()) == EOWNERDEAD);
    CHECK(inspect(shared.mutex()).thread_id == own_thread());
    CHECK(try_it(shared.mutex()) == EBUSY);
    unlock(shared.mutex());
    CHECK(lock(shared.mutex()) == 0);
    unlock(shared.mutex());
}

TEST_CASE("a process that is killed with the lock hands it to who tries next as EOWNERDEAD") {
    const shared_lock shared;
    child owner([&] {
        CHILD_CHECK(try_it(shared.mutex()) == 0);
        ::kill(::getpid(), SIGKILL);
    });
    CHECK(owner.join() == -SIGKILL);
    CHECK(try_it(shared.mutex()) == EOWNERDEAD);
    unlock(shared.mutex());
    CHECK(try_it(shared.mutex()) == 0);
    unlock(shared.mutex());
}

TEST_CASE("a sleeper is woken by the death of the holder, in this and in another process") {
    const shared_lock shared;
    child owner([&] {
        CHILD_CHECK(try_it(shared.mutex()) == 0);
        wait_for_a_signal();
    });
    CHECK(comes_true([&] { return inspect(shared.mutex()).thread_id != 0; }));
    const auto take_over = [&] {
        const int result = wait_for(shared.mutex());
        if (result == EOWNERDEAD) {
            ++shared.state->entered;
        }
        unlock(shared.mutex());
        return result;
    };
    child sleeper([&] {
        const int result = take_over();
        CHILD_CHECK(result == 0 || result == EOWNERDEAD);
    });
    std::atomic<int> here{-1};
    std::thread thread([&] { here = take_over(); });
    CHECK(comes_true([&] { return inspect(shared.mutex()).has_waiters; }));
    CHECK(shared.state->entered == 0);
    owner.kill();
    thread.join();
    CHECK(sleeper.join() == 0);
    CHECK((here == 0 || here == EOWNERDEAD));
    CHECK(shared.state->entered == 1);  // exactly one of them found it dead
    CHECK(owner.join() == -SIGKILL);
}

TEST_CASE("a death in the repair is another EOWNERDEAD") {
    const shared_lock shared;
    for (int i = 0; i < 3; ++i) {
        child owner([&] {
            const int result = lock(shared.mutex());
            CHILD_CHECK(result == (i == 0 ? 0 : EOWNERDEAD));
            ::kill(::getpid(), SIGKILL);  // in the repair
        });
        CHECK(owner.join() == -SIGKILL);
        CHECK(inspect(shared.mutex()).owner_died);
    }
    CHECK(lock(shared.mutex()) == EOWNERDEAD);
    unlock(shared.mutex());
}

TEST_CASE(
    "the holder is known by its number also when it has died, until the next one has repaired what it left") {
    const shared_lock shared;
    child owner([&] {
        CHILD_CHECK(try_it(shared.mutex()) == 0);
        ::kill(::getpid(), SIGKILL);
    });
    const auto dead = static_cast<std::uint32_t>(owner.pid());
    CHECK(owner.join() == -SIGKILL);
    CHECK(inspect(shared.mutex()).thread_id == 0);
    CHECK(shared.mutex().holder == dead);
    CHECK(lock(shared.mutex()) == EOWNERDEAD);
    CHECK(shared.mutex().holder == dead);
    unlock(shared.mutex());
    CHECK(lock(shared.mutex()) == 0);
    CHECK(shared.mutex().holder == own_thread());
    unlock(shared.mutex());
}

TEST_CASE("a thread's locks and those of the C library are in one list, in whatever order they are taken and "
          "given back") {
    require_usable_thread();
    pthread_mutexattr_t attributes;
    REQUIRE(pthread_mutexattr_init(&attributes) == 0);
    REQUIRE(pthread_mutexattr_setrobust(&attributes, PTHREAD_MUTEX_ROBUST) == 0);
    pthread_mutexattr_t inheriting = attributes;  // their links have a bit of their own
    REQUIRE(pthread_mutexattr_setprotocol(&inheriting, PTHREAD_PRIO_INHERIT) == 0);
    pthread_mutex_t theirs[2];
    REQUIRE(pthread_mutex_init(&theirs[0], &attributes) == 0);
    REQUIRE(pthread_mutex_init(&theirs[1], &inheriting) == 0);
    stored_mutex ours[2];
    for (stored_mutex& m : ours) initialize(m);
    const auto take = [&](int which) {
        if (which < 2) REQUIRE(try_it(ours[which]) == 0);
        else REQUIRE(pthread_mutex_trylock(&theirs[which - 2]) == 0);
    };
    const auto give_back = [&](int which) {
        if (which < 2) unlock(ours[which]);
        else REQUIRE(pthread_mutex_unlock(&theirs[which - 2]) == 0);
    };
    const auto entry_of = [&](int which) {
        return which < 2 ? reinterpret_cast<std::uint64_t>(&ours[which].next)
                         : reinterpret_cast<std::uint64_t>(&theirs[which - 2].__data.__list.__next);
    };
    // What the kernel would walk: the one taken last comes first.
    const auto walk = [&] {
        std::vector<std::uint64_t> entries;
        const std::uint64_t end = reinterpret_cast<std::uint64_t>(&this_thread.robust_list->first);
        for (std::uint64_t at = this_thread.robust_list->first & ~std::uint64_t{1};
             at != end && entries.size() < 8; at = *reinterpret_cast<std::uint64_t*>(at) & ~std::uint64_t{1})
            entries.push_back(at);
        return entries;
    };
    REQUIRE(walk().empty());
    std::vector<int> order = {0, 1, 2, 3};
    do {
        std::vector<int> back = {0, 1, 2, 3};
        do {
            std::vector<std::uint64_t> expected;
            for (const int which : order) {
                take(which);
                expected.insert(expected.begin(), entry_of(which));
            }
            REQUIRE(walk() == expected);
            for (const int which : back) {
                give_back(which);
                expected.erase(std::find(expected.begin(), expected.end(), entry_of(which)));
                REQUIRE(walk() == expected);
            }
        } while (std::next_permutation(back.begin(), back.end()));
    } while (std::next_permutation(order.begin(), order.end()));
    for (pthread_mutex_t& m : theirs) pthread_mutex_destroy(&m);
    pthread_mutexattr_destroy(&attributes);
}

TEST_CASE("what is stored in locks does not matter while they are held, as many as a removal holds") {
    const room_for_locks room;
    const auto end = reinterpret_cast<std::uint64_t>(&this_thread.robust_list->first);
    for (const std::size_t count : {std::size_t{1}, std::size_t{5}, std::size_t{66}}) {
        std::vector<stored_mutex> locks(count);
        for (stored_mutex& m : locks) initialize(m);
        for (stored_mutex& m : locks) REQUIRE(try_it(m) == 0);
        // As damage does: they lead nowhere, or back.
        std::vector<std::pair<std::uint64_t, std::uint64_t>> links;
        for (stored_mutex& m : locks) {
            links.emplace_back(m.previous, m.next);
            m.previous = m.next = 0x6666'6666'6666'6660;
        }
        for (std::size_t i = count; i-- > 0;) {
            // The list without a link of a lock that is still held: each has been given back by what the thread knows.
            unlock(locks[i]);
            const std::uint64_t below = i == 0 ? end : reinterpret_cast<std::uint64_t>(&locks[i - 1].next);
            REQUIRE(this_thread.robust_list->first == below);
            REQUIRE(links[i].second == below);
            REQUIRE(this_thread.held_count == i);
        }
        for (stored_mutex& m : locks) CHECK(*word_of(m) == 0);
    }
    // And they can be given back in another order, by what is stored, with those above and below still known.
    std::vector<stored_mutex> locks(66);
    for (stored_mutex& m : locks) initialize(m);
    for (stored_mutex& m : locks) REQUIRE(try_it(m) == 0);
    for (std::size_t i = 0; i < locks.size(); i += 2) unlock(locks[i]);
    for (std::size_t i = 1; i < locks.size(); i += 2) unlock(locks[i]);
    CHECK(this_thread.robust_list->first == end);
    CHECK(this_thread.held_count == 0);
}

TEST_CASE("what is stored in a lock does not matter either when room for more is made while it is held") {
    require_usable_thread();
    const auto end = reinterpret_cast<std::uint64_t>(&this_thread.robust_list->first);
    stored_mutex locks[2];
    for (stored_mutex& m : locks) initialize(m);
    REQUIRE(try_it(locks[0]) == 0);
    {
        const room_for_locks room;
        CHECK(this_thread.held_count == 1);
        REQUIRE(try_it(locks[1]) == 0);
        for (stored_mutex& m : locks) m.previous = m.next = 0x6666'6666'6666'6660;
        unlock(locks[1]);
        CHECK(this_thread.robust_list->first == reinterpret_cast<std::uint64_t>(&locks[0].next));
    }
    CHECK(this_thread.held_count == 1);
    unlock(locks[0]);
    CHECK(this_thread.robust_list->first == end);
    CHECK(this_thread.held_count == 0);
    // And of one that is alone all the time.
    REQUIRE(try_it(locks[0]) == 0);
    locks[0].previous = locks[0].next = 0x6666'6666'6666'6660;
    unlock(locks[0]);
    CHECK(this_thread.robust_list->first == end);
    CHECK(this_thread.held_count == 0);
}

TEST_CASE("a lock that this thread holds at another address is not taken from it") {
    // As two copies of the library do, each with a mapping of its own.
    const os::unique_fd fd(::memfd_create("lock", MFD_CLOEXEC));
    REQUIRE(::ftruncate(fd.get(), 4096) == 0);
    void* places[2];
    for (void*& each : places) {
        each = ::mmap(nullptr, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, fd.get(), 0);
        REQUIRE(each != MAP_FAILED);
    }
    stored_mutex& here = *static_cast<stored_mutex*>(places[0]);
    stored_mutex& there = *static_cast<stored_mutex*>(places[1]);
    stored_mutex around;
    initialize(around);
    initialize(here);
    REQUIRE(try_it(here) == 0);
    REQUIRE(try_it(around) == 0);
    CHECK(try_it(there) == EBUSY);
    CHECK(lock_contended(there, this_thread.thread_id, {}, {}) == EDEADLK);
    CHECK_FALSE(is_held_by_nobody(there, {}));
    unlock(around);
    unlock(here);
    // What has this thread's number, and is in no list of its, is what exec has left; also where the list leads nowhere.
    CHECK(try_it(around) == 0);
    there.word = own_thread();
    const std::uint64_t next = around.next;
    around.next = 0x6666'6666'6666'6660;
    CHECK(is_held_by_nobody(there, {}));
    around.next = next;
    CHECK(is_held_by_nobody(there, {}));
    CHECK(lock_contended(there, this_thread.thread_id, {}, {}) == EOWNERDEAD);
    unlock(there);
    unlock(around);
    for (void* each : places) ::munmap(each, 4096);
}

TEST_CASE("a process that dies with several locks leaves all of them to others") {
    const shared_lock first;
    const shared_lock second;
    const shared_lock third;
    child owner([&] {
        CHILD_CHECK(try_it(first.mutex()) == 0);
        CHILD_CHECK(try_it(second.mutex()) == 0);
        CHILD_CHECK(try_it(third.mutex()) == 0);
        unlock(second.mutex());
        ::kill(::getpid(), SIGKILL);
    });
    CHECK(owner.join() == -SIGKILL);
    CHECK(lock(third.mutex()) == EOWNERDEAD);
    CHECK(lock(second.mutex()) == 0);
    CHECK(lock(first.mutex()) == EOWNERDEAD);
    for (const shared_lock* each : {&first, &second, &third}) unlock(each->mutex());
}

TEST_CASE("a sleeper whose wake-up got lost finds the free lock at its next tick") {
    const shared_lock shared;
    // Holds it without being in our way: the word can be changed behind its back.
    child owner([&] {
        CHILD_CHECK(try_it(shared.mutex()) == 0);
        wait_for_a_signal();
    });
    CHECK(comes_true([&] { return inspect(shared.mutex()).thread_id != 0; }));
    std::atomic<int> result{-1};
    std::thread sleeper([&] {
        result = wait_for(shared.mutex());
        unlock(shared.mutex());
    });
    CHECK(comes_true([&] { return inspect(shared.mutex()).has_waiters; }));
    // What a waker leaves that is killed between its store and its wake: free, and nobody told.
    __atomic_store_n(word_of(shared.mutex()), 0U, __ATOMIC_SEQ_CST);
    CHECK(comes_true([&] { return result != -1; }));
    sleeper.join();
    CHECK(result == 0);
    owner.kill();
    CHECK(owner.join() == -SIGKILL);
    CHECK(*word_of(shared.mutex()) == 0);  // its death found nothing of its own
}

TEST_CASE("sleepers are not lost when wakers barge in and are killed") {
    const shared_lock shared;
    std::atomic<bool> stop{false};
    std::atomic<int> through{0};
    const auto sleep_and_pass = [&] {
        while (!stop) {
            if (const int result = wait_for(shared.mutex()); result != 0 && result != EOWNERDEAD)
                std::abort();
            unlock(shared.mutex());
            ++through;
        }
    };
    std::vector<std::thread> sleepers;
    for (int i = 0; i < 3; ++i) sleepers.emplace_back(sleep_and_pass);
    for (int i = 0; i < 30; ++i) {
        child barging([&] {
            for (;;) {
                const int result = lock(shared.mutex());
                CHILD_CHECK(result == 0 || result == EOWNERDEAD);
                unlock(shared.mutex());
            }
        });
        std::this_thread::sleep_for(1ms * (i % 4));
        barging.kill();
        CHECK(barging.join() == -SIGKILL);
        // Everybody gets through again.
        const int before = through;
        CHECK(comes_true([&] { return through >= before + 3; }));
    }
    stop = true;
    for (std::thread& each : sleepers) each.join();
}

TEST_CASE("a dead owner's lock can be taken whatever thread its word names besides") {
    const shared_lock shared;
    for (const std::uint32_t thread : {std::uint32_t{0}, std::uint32_t{1}, std::uint32_t{FUTEX_TID_MASK}}) {
        for (const std::uint32_t waiters : {std::uint32_t{0}, std::uint32_t{FUTEX_WAITERS}}) {
            __atomic_store_n(word_of(shared.mutex()), thread | waiters | FUTEX_OWNER_DIED, __ATOMIC_SEQ_CST);
            CHECK(wait_for(shared.mutex()) == EOWNERDEAD);
            CHECK(inspect(shared.mutex()).has_waiters == (waiters != 0));  // who sleeps is this one's to wake
            unlock(shared.mutex());
            CHECK(*word_of(shared.mutex()) == 0);
        }
    }
}

TEST_CASE("a lock that says it is held by a thread that there is not, or by the one that wants it, has lost "
          "its owner, and nobody waits for ever") {
    const shared_lock shared;
    // No system has so many threads as the mask has numbers.
    for (const auto thread : {own_thread(), std::uint32_t{FUTEX_TID_MASK}}) {
        __atomic_store_n(word_of(shared.mutex()), thread, __ATOMIC_SEQ_CST);
        CHECK(is_held_by_nobody(shared.mutex(), {}));
        CHECK(wait_for(shared.mutex()) == EOWNERDEAD);
        CHECK_FALSE(inspect(shared.mutex()).owner_died);
        unlock(shared.mutex());
        CHECK_FALSE(is_held_by_nobody(shared.mutex(), {}));
        CHECK(lock(shared.mutex()) == 0);
        unlock(shared.mutex());
    }
}

TEST_CASE("a holder of whom the participants know nothing any more is nobody, unless the lock has been taken "
          "anew") {
    const shared_lock shared;
    stored_mutex& m = shared.mutex();
    static constexpr std::uint64_t participant = 5;
    // Held by this thread's id as far as tkill can tell of it, from another process.
    const child holder([&] {
        require_usable_thread();
        CHILD_CHECK(try_lock(m, make_thread_token(participant, own_thread())) == 0);
        shared.state->entered = 1;
        for (;;) ::pause();
    });
    while (shared.state->entered == 0) std::this_thread::sleep_for(1ms);
    require_usable_thread();
    static std::atomic<int> asked;
    asked = 0;
    const thread_token self = make_thread_token(6, own_thread());
    const holder_judge alive = {[](const void*, thread_token token) noexcept {
                                    CHECK(participant_of(token) == participant);
                                    ++asked;
                                    return false;
                                },
                                nullptr};
    const lock_limit soon = {.deadline = std::chrono::steady_clock::now() + 350ms};
    CHECK(lock_contended(m, self, soon, alive) == ECANCELED);
    CHECK(asked > 0);

    // Given back and taken again by the same id while it is asked about: what was asked about is not what is there.
    const holder_judge late = {[](const void* context, thread_token) noexcept {
                                   auto& word = static_cast<stored_mutex*>(const_cast<void*>(context))->word;
                                   __atomic_fetch_add(&word, one_acquisition, __ATOMIC_SEQ_CST);
                                   ++asked;
                                   return true;
                               },
                               &m};
    asked = 0;
    const lock_limit later = {.deadline = std::chrono::steady_clock::now() + 350ms};
    CHECK(lock_contended(m, self, later, late) == ECANCELED);
    CHECK(asked == 1);  // of that acquisition nobody has said anything
    CHECK_FALSE(inspect(m).owner_died);

    // Nothing of the kind: then it is a dead one's.
    const holder_judge dead = {[](const void*, thread_token) noexcept { return true; }, nullptr};
    say_holder(m, make_thread_token(participant, static_cast<std::uint32_t>(holder.pid())));
    CHECK(is_held_by_nobody(m, dead));
    CHECK(lock_contended(m, self, {}, dead) == EOWNERDEAD);
    unlock(m);
}

TEST_CASE(
    "while somebody starves, a newcomer takes a free lock after a sleep, and a count that is too high goes") {
    const shared_lock shared;
    stored_mutex& m = shared.mutex();
    require_usable_thread();
    const auto self = this_thread.thread_id;
    std::uint32_t starving = 0;
    CHECK(lock_contended(m, self, {}, {}, &starving) == 0);
    unlock(m);
    // Nobody comes to take it: the thread that was counted has been killed.
    starving = 1;
    const auto begin = std::chrono::steady_clock::now();
    CHECK(lock_contended(m, self, {}, {}, &starving) == 0);
    CHECK(std::chrono::steady_clock::now() - begin >= 3ms);
    CHECK(starving == 0);
    unlock(m);
    // A limit is kept meanwhile.
    starving = 1;
    const lock_limit soon = {.deadline = std::chrono::steady_clock::now() + 1ms};
    CHECK(lock_contended(m, self, soon, {}, &starving) != EBUSY);
    if (inspect(m).thread_id != 0) unlock(m);
}

TEST_CASE(
    "a thread that waits for long is counted as starving, and no more when it has the lock or gives up") {
    const shared_lock shared;
    stored_mutex& m = shared.mutex();
    std::atomic<std::uint32_t> count{0};
    auto* const starving = reinterpret_cast<std::uint32_t*>(&count);
    CHECK(lock(m) == 0);
    std::thread waiter([&] {
        require_usable_thread();
        const lock_limit later = {.deadline = std::chrono::steady_clock::now() + 300ms};
        CHECK(lock_contended(m, this_thread.thread_id, later, {}, starving) == ECANCELED);
        CHECK(lock_contended(m, this_thread.thread_id, {}, {}, starving) == 0);
        unlock(m);
    });
    // After a tick it has waited for longer than the threshold.
    const auto until = std::chrono::steady_clock::now() + watchdog;
    while (count == 0 && std::chrono::steady_clock::now() < until) std::this_thread::sleep_for(1ms);
    CHECK(count == 1);
    while (count == 1 && std::chrono::steady_clock::now() < until) std::this_thread::sleep_for(1ms);
    CHECK(count == 0);  // at its limit
    unlock(m);
    waiter.join();
    CHECK(count == 0);
}

TEST_CASE("a lock that is given back unfinished is a dead owner's") {
    const shared_lock shared;
    CHECK(lock(shared.mutex()) == 0);
    unlock_unfinished(shared.mutex());
    CHECK(inspect(shared.mutex()).owner_died);
    CHECK(try_it(shared.mutex()) == EOWNERDEAD);
    unlock(shared.mutex());
    CHECK(lock(shared.mutex()) == 0);
    unlock(shared.mutex());
}

TEST_CASE("the number of acquisitions goes on beyond what the word can count") {
    const shared_lock shared;
    stored_mutex& m = shared.mutex();
    m.word = std::uint64_t{0xffff'fffe} << 32;
    for (int i = 0; i < 4; ++i) {
        CHECK(lock(m) == 0);
        unlock(m);
    }
    CHECK(acquired_count(m) == 0x1'0000'0002);
}

}  // namespace robust_mutex_test

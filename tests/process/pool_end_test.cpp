// pool_end_test.cpp - the end of a pool, by whatever call, and of its owner; and what its workers have of that.
//
// SPDX-License-Identifier: BSL-1.0
#include <atomic>
#include <chrono>
#include <csignal>
#include <cstdlib>
#include <memory>
#include <optional>
#include <ranges>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <doctest/doctest.h>

#include "support/instruction_steps.hpp"
#include "support/patience.hpp"
#include "support/pool_tasks.hpp"
#include "support/process_tree.hpp"
#include "support/sanitizers.hpp"
#include "support/scratch.hpp"
#include <cairn/list.hpp>
#include <cairn/manager.hpp>
#include <cairn/pool.hpp>

namespace pool_end_test {

using namespace cairn_test;
using namespace std::chrono_literals;

namespace {

const auto watchdog = patiently(20s);

}  // namespace

TEST_CASE("terminate and kill end the workers now; the executor stays usable") {
    for (const bool kills : {false, true}) {
        CAPTURE(kills);
        cairn::process_pool_executor ex(1);
        const auto runs = ex.submit([] { std::this_thread::sleep_for(100s); });
        const auto waits = ex.submit(same, 1);
        REQUIRE(eventually([&] { return runs.running(); }));
        if (kills) ex.kill();
        else ex.terminate();
        CHECK(waits.cancelled());
        CHECK(death_of(runs).signal() == (kills ? SIGKILL : SIGTERM));
        CHECK(ex.submit(same, 2).result(watchdog) == 2);
    }
    cairn::pool pool(1);
    const auto runs = pool.apply_async([] { std::this_thread::sleep_for(100s); });
    REQUIRE(eventually([&] { return runs.running(); }));
    pool.terminate();
    pool.join();
    CHECK_THROWS_AS(runs.result(watchdog), cairn::worker_died);
}

namespace {

enum class ending { kill, terminate, cancel };

// In memory that the workers share.
std::atomic<bool>* may_stop = nullptr;

int stops_after(int n) {
    while (!*may_stop) std::this_thread::yield();
    instruction_steps::begin(static_cast<std::size_t>(n), [] { ::raise(SIGSTOP); });
    return n;
}

// The worker is stopped n instructions behind its task. True where the call found the pool's lock taken.
bool ends_in_time(cairn::process_pool_executor& ex, int n, ending how) {
    const pid_t worker = ex.submit(own_pid).result(watchdog);
    *may_stop = false;
    static_cast<void>(ex.submit(stops_after, n));
    const auto next = ex.submit(same, 7);
    *may_stop = true;
    static_cast<void>(eventually([&] { return is_stopped(worker) || next.done(); }));
    std::atomic<bool> has_returned{false};
    const auto begin = std::chrono::steady_clock::now();
    std::thread ends([&] {
        switch (how) {
            case ending::kill: ex.kill(); break;
            case ending::terminate: ex.terminate(); break;
            case ending::cancel: static_cast<void>(next.cancel(cairn::kill)); break;
        }
        has_returned = true;
    });
    const bool is_in_time = eventually([&] { return has_returned.load(); });
    const bool has_waited = std::chrono::steady_clock::now() - begin > 400ms;
    CHECK(is_in_time);
    ::kill(worker, SIGCONT);  // where it was not killed
    ends.join();
    CHECK(eventually([&] { return next.done(); }));
    return has_waited;
}

}  // namespace

TEST_CASE(
    "a worker is stopped at any instruction, also where it has the pool's lock: kill(), terminate() and "
    "cancel(kill) end") {
    if (!can_step) return;
    void* const shared =
        ::mmap(nullptr, sizeof(std::atomic<bool>), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    REQUIRE(shared != MAP_FAILED);
    may_stop = new (shared) std::atomic<bool>(false);
    {
        cairn::process_pool_executor ex(1);
        for (const ending how : {ending::kill, ending::terminate, ending::cancel}) {
            // Until it has handed over its result, and sleeps.
            int locked = 0;
            for (int n = 0; n < 2600; n += 150) {
                CAPTURE(static_cast<int>(how));
                CAPTURE(n);
                locked += ends_in_time(ex, n, how) ? 1 : 0;
            }
            MESSAGE(locked << " times with the lock");
            CHECK(locked > 0);
        }
        CHECK(ex.submit(same, 3).result(watchdog) == 3);
    }
    ::munmap(shared, sizeof(std::atomic<bool>));
}

TEST_CASE("shutdown without waiting, and then a worker is killed: its future settles, nothing is left "
          "(cpython PR 133222)") {
    std::vector<pid_t> family;
    cairn::future<void> runs;
    {
        auto ex = std::make_unique<cairn::process_pool_executor>(1);
        const pid_t worker = ex->submit(own_pid).result(watchdog);
        runs = ex->submit([] { std::this_thread::sleep_for(100s); });
        REQUIRE(eventually([&] { return runs.running(); }));
        family = pool_processes();
        ex->shutdown({.wait = false});
        CHECK_FALSE(runs.done());
        ::kill(worker, SIGKILL);
    }
    CHECK_THROWS_AS(runs.result(watchdog), cairn::worker_died);
    CHECK(have_ended(family, watchdog));
}

TEST_CASE("when the last handle goes, what was accepted is done, and no process is left") {
    std::vector<pid_t> family;
    std::vector<cairn::future<int>> all;
    {
        const cairn::process_pool_executor ex(2);
        cairn::process_pool_executor copy = ex;
        for (int i = 0; i < 30; ++i) all.push_back(copy.submit(same, i));
        family = pool_processes();
    }
    for (int i = 0; i < 30; ++i) CHECK(all[static_cast<std::size_t>(i)].result() == i);
    CHECK(have_ended(family, watchdog));
    CHECK(find_descendant(::getpid(), "cairn-guardian") == 0);
}

TEST_CASE("during unwinding the workers are killed first") {
    const auto begin = std::chrono::steady_clock::now();
    cairn::future<void> runs;
    try {
        cairn::process_pool_executor ex(1);
        runs = ex.submit([] { std::this_thread::sleep_for(100s); });
        REQUIRE(eventually([&] { return runs.running(); }));
        throw std::runtime_error("out of here");
    } catch (const std::runtime_error&) {}
    CHECK(std::chrono::steady_clock::now() - begin < 50s);
    CHECK_THROWS_AS(runs.result(), cairn::worker_died);
}

// UBSan reads /proc for each call of a virtual function, here of an error category, and dies without a descriptor.
TEST_CASE("workers are killed also where the program has no descriptor left" *
          doctest::skip(has_address_sanitizer)) {
    // While it lives.
    class no_descriptors {
    public:
        no_descriptors() {
            ::getrlimit(RLIMIT_NOFILE, &before_);
            rlimit few = before_;
            few.rlim_cur = 40;
            ::setrlimit(RLIMIT_NOFILE, &few);
            for (int fd = ::dup(2); fd >= 0; fd = ::dup(2)) taken_.push_back(fd);
        }
        no_descriptors(const no_descriptors&) = delete;
        no_descriptors& operator=(const no_descriptors&) = delete;
        ~no_descriptors() {
            for (const int fd : taken_) ::close(fd);
            ::setrlimit(RLIMIT_NOFILE, &before_);
        }

    private:
        rlimit before_{};
        std::vector<int> taken_;
    };
    std::optional<no_descriptors> here;
    cairn::future<void> unwound;
    try {
        cairn::process_pool_executor ex(1);
        const auto start = [&] {
            const auto f = ex.submit([] { std::this_thread::sleep_for(100s); });
            REQUIRE(eventually([&] { return f.running(); }));
            return f;
        };
        const auto cancelled = start();
        here.emplace();
        CHECK(::dup(2) < 0);
        CHECK(cancelled.cancel(cairn::kill));
        const auto killed = start();
        ex.kill();
        CHECK_THROWS_AS(killed.result(watchdog), cairn::worker_died);
        const auto terminated = start();
        ex.terminate();
        CHECK_THROWS_AS(terminated.result(watchdog), cairn::worker_died);
        unwound = start();
        throw std::runtime_error("too many open files");
    } catch (const std::runtime_error&) {}
    here.reset();
    CHECK_THROWS_AS(unwound.result(watchdog), cairn::worker_died);
    CHECK(children_of(::getpid()).empty());
}

TEST_CASE("the owner is killed at any moment: all are gone, also what tasks have started") {
    for (int round = 0; round < 8; ++round) {
        CAPTURE(round);
        const pid_t owner = ::fork();
        REQUIRE(owner >= 0);
        if (owner == 0) {
            cairn::process_pool_executor ex(3);
            std::vector<cairn::future<void>> all;
            for (int i = 0; i < 20; ++i) {
                all.push_back(ex.submit([] {
                    sigset_t everything;
                    ::sigfillset(&everything);
                    ::sigprocmask(SIG_SETMASK, &everything, nullptr);
                    if (::fork() == 0) {
                        ::setsid();
                        for (;;) ::pause();
                    }
                    for (;;) ::pause();
                }));
            }
            for (const auto& each : all) each.result();
            ::_exit(0);
        }
        std::this_thread::sleep_for(std::chrono::milliseconds(1 + 5 * round));
        const std::vector<pid_t> family = descendants_of(owner);
        ::kill(owner, SIGKILL);
        const auto begin = std::chrono::steady_clock::now();
        CHECK(have_ended(family, watchdog));
        const auto took = std::chrono::steady_clock::now() - begin;
        MESSAGE(family.size() << " processes gone "
                              << std::chrono::duration_cast<std::chrono::microseconds>(took).count()
                              << " us after their owner");
        CHECK(took < patiently(2s));
        ::waitpid(owner, nullptr, 0);
    }
}

TEST_CASE("a program may end while its pool works: nothing is left") {
    std::vector<pid_t> family;
    int ends[2];
    REQUIRE(::pipe(ends) == 0);
    const pid_t owner = ::fork();
    if (owner == 0) {
        static cairn::process_pool_executor* const leaked = new cairn::process_pool_executor(2);
        static cairn::process_pool_executor of_static_life(2);
        for (int i = 0; i < 10; ++i) {
            static_cast<void>(leaked->submit([] { std::this_thread::sleep_for(100s); }));
            static_cast<void>(of_static_life.submit([] { std::this_thread::sleep_for(100s); }));
        }
        for (int n = 0; n < 10'000 && descendants_of(::getpid()).size() < 8; ++n)
            std::this_thread::sleep_for(1ms);
        for (const pid_t each : descendants_of(::getpid()))
            if (::write(ends[1], &each, sizeof each) != sizeof each) ::_exit(1);
        std::exit(0);
    }
    ::close(ends[1]);
    for (pid_t each = 0; ::read(ends[0], &each, sizeof each) == sizeof each;) family.push_back(each);
    ::close(ends[0]);
    int status = 0;
    REQUIRE(::waitpid(owner, &status, 0) == owner);
    CHECK(WIFEXITED(status));
    CHECK(family.size() >= 8);
    CHECK(have_ended(family, watchdog));
}

TEST_CASE("in a forked child a pool refuses tasks, and its end does nothing") {
    auto ex = std::make_unique<cairn::process_pool_executor>(1);
    const auto settled = ex->submit(same, 3);
    CHECK(settled.result() == 3);
    const int status = in_child([&] {
        CHILD_CHECK(settled.result() == 3);
        bool is_refused = false;
        try {
            ex->submit(same, 1);
        } catch (const cairn::invalid_state&) {
            is_refused = true;
        }
        CHILD_CHECK(is_refused);
        CHILD_CHECK(!ex->alive());
        ex.reset();
        // A pool of its own.
        cairn::process_pool_executor own(1);
        CHILD_CHECK(own.submit(same, 4).result() == 4);
    });
    CHECK(status == 0);
    CHECK(ex->submit(same, 5).result(watchdog) == 5);
}

TEST_CASE("workers have nothing open but the standard streams and Cairn's segments") {
    int ends[2];
    REQUIRE(::pipe(ends) == 0);
    cairn::process_pool_executor ex(1);
    CHECK(ex.submit(same, 1).result(watchdog) == 1);
    ::close(ends[1]);
    // A worker that had the other end would keep this from its end.
    char byte = 0;
    CHECK(::read(ends[0], &byte, 1) == 0);
    ::close(ends[0]);
    const int open_there = ex.submit([] {
                                 int count = 0;
                                 for (int fd = 3; fd < 200; ++fd)
                                     if (::fcntl(fd, F_GETFD) != -1) ++count;
                                 return count;
                             }).result(watchdog);
    CHECK(open_there <= 8);
}

TEST_CASE("objects that the program had before the pool are there in its workers") {
    const cairn::manager m;
    static std::optional<cairn::list<long>> results;
    results = m.list<long>("results");
    {
        cairn::pool pool(2);
        pool.map([](long x) { results->push_back(x); }, std::views::iota(0L, 100L));
    }
    CHECK(results->size() == 100);
    long sum = 0;
    for (const long each : results->snapshot()) sum += each;
    CHECK(sum == 4950);
    CHECK(m.stats().process_count == 1);
    results.reset();
}

}  // namespace pool_end_test

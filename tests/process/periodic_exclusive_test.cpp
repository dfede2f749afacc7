// periodic_exclusive_test.cpp - exclusive periodics of several processes, of which the one that runs it is killed.
// SPDX-License-Identifier: BSL-1.0
#include <algorithm>
#include <atomic>
#include <chrono>
#include <csignal>
#include <new>
#include <set>
#include <vector>

#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <doctest/doctest.h>

#include "support/executors.hpp"
#include "support/process_tree.hpp"
#include <cairn/list.hpp>
#include <cairn/manager.hpp>
#include <cairn/periodic.hpp>
#include <cairn/thread_pool_executor.hpp>

namespace periodic_exclusive_test {

using namespace cairn_test;
using namespace std::chrono_literals;
using cairn::periodic;

namespace {

// In memory that children share.
struct common_words {
    std::atomic<pid_t> inside{0};  // who is in the callable
    std::atomic<pid_t> killed{0};  // last
    std::atomic<int> overlaps{0};
    std::atomic<pid_t> child{0};
};

class shared_words {
public:
    shared_words() {
        void* const memory =
            ::mmap(nullptr, sizeof(common_words), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
        REQUIRE(memory != MAP_FAILED);
        words_ = new (memory) common_words;
    }
    shared_words(const shared_words&) = delete;
    shared_words& operator=(const shared_words&) = delete;
    ~shared_words() { ::munmap(words_, sizeof(common_words)); }
    common_words* operator->() const noexcept { return words_; }

private:
    common_words* words_ = nullptr;
};

// Processes that all have one exclusive callable, which writes down each of its runs: who, and which instant it was due at.
class family {
public:
    ~family() {
        for (const pid_t each : members_) end(each);
    }
    explicit family(int size) {
        for (int i = 0; i < size; ++i) add();
    }
    family(const family&) = delete;
    family& operator=(const family&) = delete;

    void add() {
        const pid_t child = ::fork();
        if (child == 0) live();
        members_.insert(child);
    }
    void end(pid_t member) const {
        ::kill(member, SIGKILL);
        ::waitpid(member, nullptr, 0);
    }
    // Waits for a run by somebody else than the dead; 0: none comes.
    [[nodiscard]] pid_t next_leader() {
        pid_t leader = 0;
        static_cast<void>(eventually([&] {
            const std::vector<long> all = pids.snapshot();
            if (all.size() <= seen_) return false;
            leader = static_cast<pid_t>(all.back());
            return members_.contains(leader);
        }));
        return leader;
    }
    void kill_leader(pid_t leader) {
        words->killed = leader;
        end(leader);
        members_.erase(leader);
        seen_ = pids.size();
    }
    [[nodiscard]] int overlaps() const { return words->overlaps; }

    const cairn::manager shared;
    const cairn::mutex lock = shared.lock("leader");
    const cairn::list<long> pids = shared.list<long>("pids");
    const cairn::list<long> instants = shared.list<long>("instants");
    const shared_words words;

private:
    [[noreturn]] void live() const {
        try {
            cairn::thread_pool_executor threads{{.max_workers = 2}};
            cairn::periodic_worker w{{.executor = threads, .strategy = cairn::strategy::fixed_rate}};
            w.add(periodic{2ms, {.exclusive = lock}}, [this] {
                const pid_t before = words->inside.exchange(::getpid());
                // What somebody was in when he was killed is none.
                if (before != 0 && before != words->killed) ++words->overlaps;
                instants.append(static_cast<long>(cairn::detail::mutex_word::load(lock)));
                pids.append(::getpid());
                words->inside = 0;
            });
            w.start();
        } catch (...) {
            // The parent sees that it is gone.
        }
        ::_exit(1);
    }

    std::set<pid_t> members_;
    std::size_t seen_ = 0;
};

}  // namespace

TEST_CASE(
    "the process that runs it is killed: the next one takes over, again and again; never two, no instant "
    "twice") {
    constexpr int rounds = 12;
    family all(3);
    std::vector<pid_t> leaders;
    for (int i = 0; i < rounds; ++i) {
        const pid_t leader = all.next_leader();
        REQUIRE(leader != 0);
        leaders.push_back(leader);
        all.add();
        all.kill_leader(leader);
    }
    REQUIRE(all.next_leader() != 0);
    CHECK(all.overlaps() == 0);
    // Each has it until its death.
    std::vector<long> in_turn = all.pids.snapshot();
    in_turn.erase(std::unique(in_turn.begin(), in_turn.end()), in_turn.end());
    CHECK(std::set<long>(in_turn.begin(), in_turn.end()).size() == in_turn.size());
    CHECK(in_turn.size() >= static_cast<std::size_t>(rounds));
    // They are said one after the other, so none is run again by a successor.
    const std::vector<long> due = all.instants.snapshot();
    CHECK(std::is_sorted(due.begin(), due.end()));
    CHECK(std::adjacent_find(due.begin(), due.end()) == due.end());
}

TEST_CASE(
    "the owner of the lock is stopped: nobody takes over, and it goes on; after its end somebody does") {
    family all(2);
    const pid_t first = all.next_leader();
    REQUIRE(first != 0);
    ::kill(first, SIGSTOP);
    CHECK(eventually([&] { return is_stopped(first); }));
    CHECK(all.lock.is_locked());
    const std::size_t before = all.pids.size();
    ::kill(first, SIGCONT);
    CHECK(eventually([&] { return all.pids.size() > before + 1; }));
    CHECK(all.pids.snapshot().back() == first);
    all.kill_leader(first);
    const pid_t second = all.next_leader();
    CHECK(second != 0);
    CHECK(second != first);
    CHECK(all.overlaps() == 0);
}

TEST_CASE("a child that a leader forks does not have the lock: it ends with its parent") {
    const cairn::manager shared;
    const cairn::mutex lock = shared.lock("leader");
    const shared_words words;
    const pid_t leader = ::fork();
    if (leader == 0) {
        cairn::periodic_worker w;
        w.add(periodic{1ms, {.exclusive = lock}}, [&] {
            if (words->child != 0) return;
            const pid_t child = ::fork();
            if (child == 0)
                for (;;) ::pause();
            words->child = child;
        });
        w.start();
        ::_exit(1);
    }
    CHECK(eventually([&] { return words->child != 0; }));
    ::kill(leader, SIGKILL);
    ::waitpid(leader, nullptr, 0);
    {
        cairn::periodic_worker w;
        const auto mine = w.add(periodic{1ms, {.exclusive = lock}}, [] {});
        w.start_async();
        CHECK(eventually([&] { return mine.runs() > 1; }));
    }
    if (words->child > 0) ::kill(words->child, SIGKILL);
}

}  // namespace periodic_exclusive_test

// futex_test.cpp - sleeping until a word changes: by threads and by processes, woken one by one.
// SPDX-License-Identifier: BSL-1.0
#include "os/futex.hpp"

#include <atomic>
#include <chrono>
#include <climits>
#include <cstdint>
#include <fstream>
#include <string>
#include <thread>

#include <sys/syscall.h>
#include <unistd.h>

#include <doctest/doctest.h>

#include "os/child.hpp"
#include "support/scratch.hpp"

namespace futex_test {

using namespace cairn_test;
using namespace cairn::detail;
using namespace std::chrono_literals;
using steady = std::chrono::steady_clock;

namespace {

// A word that children have, too.
struct shared_words {
    std::uint32_t* word = nullptr;
    std::atomic<int>* count = nullptr;
    shared_words() {
        void* memory = nullptr;
        REQUIRE_FALSE(os::map_shared_with_children(4096, memory));
        word = static_cast<std::uint32_t*>(memory);
        count = reinterpret_cast<std::atomic<int>*>(static_cast<char*>(memory) + 64);
    }
    shared_words(const shared_words&) = delete;
    shared_words& operator=(const shared_words&) = delete;
    ~shared_words() { os::unmap_shared(word, 4096); }
};

void store(std::uint32_t* word, std::uint32_t value) {
    __atomic_store_n(word, value, __ATOMIC_RELEASE);
}

// Sleeps until the word is no longer `expected`, as the library does: whatever wakes it, it looks again.
void wait_for_change(std::uint32_t* word, std::uint32_t expected) {
    while (__atomic_load_n(word, __ATOMIC_ACQUIRE) == expected)
        os::futex_wait(word, expected, steady::now() + 30s);
}

char state_of(pid_t process, pid_t thread) {
    std::ifstream stat("/proc/" + std::to_string(process) + "/task/" + std::to_string(thread) + "/stat");
    std::string text;
    std::getline(stat, text);
    const std::size_t end = text.rfind(')');
    return end == std::string::npos ? '?' : text[end + 2];
}

// A thread that sleeps once, and says when it is up.
class sleeper {
public:
    explicit sleeper(std::uint32_t* word, std::uint32_t bits = os::any_sleeper)
        : thread_([this, word, bits] {
              id_ = static_cast<pid_t>(::syscall(SYS_gettid));
              os::futex_wait(word, 0, steady::now() + 60s, bits);
              is_up_ = true;
          }) {
        // Once it has told its id there is nothing but the futex that it could sleep on.
        const auto deadline = steady::now() + 20s;
        while (id_ == 0 || state_of(::getpid(), id_) != 'S') {
            REQUIRE(steady::now() < deadline);
            std::this_thread::sleep_for(1ms);
        }
    }
    void join() { thread_.join(); }
    [[nodiscard]] bool is_up() const { return is_up_; }

private:
    std::atomic<pid_t> id_{0};
    std::atomic<bool> is_up_{false};
    std::thread thread_;
};

}  // namespace

TEST_CASE("who waits for a word that has another value already does not sleep") {
    std::uint32_t word = 1;
    const auto start = steady::now();
    os::futex_wait(&word, 0, start + 60s);
    CHECK(steady::now() < start + 60s);
}

TEST_CASE("a wait ends at its deadline, and not before") {
    std::uint32_t word = 0;
    os::futex_wait(&word, 0, steady::now() - 5ms);  // one that has passed does not sleep
    // One call, with nothing that could end it earlier but a signal.
    int early = 0;
    for (int i = 0; i < 5; ++i) {
        const auto until = steady::now() + 10ms;
        os::futex_wait(&word, 0, until);
        if (steady::now() < until) ++early;
    }
    CHECK(early < 5);
}

TEST_CASE("nobody to wake is nobody woken") {
    std::uint32_t word = 0;
    CHECK(os::futex_wake(&word, 1) == 0);
    CHECK(os::futex_wake(&word, INT_MAX) == 0);
}

TEST_CASE("a wake by bits takes those who have one of them, and nobody else") {
    std::uint32_t word = 0;
    sleeper a(&word, 1);
    sleeper b(&word, 2);
    sleeper c(&word, 2);
    sleeper d(&word);
    CHECK(os::futex_wake_some(&word, 4) == 1);
    d.join();
    CHECK(os::futex_wake_some(&word, 2) == 2);
    b.join();
    c.join();
    CHECK_FALSE(a.is_up());
    CHECK(os::futex_wake_some(&word, 0) == 0);
    CHECK(os::futex_wake(&word, INT_MAX) == 1);
    a.join();
}

TEST_CASE("a wake takes as many as it says, and the others sleep on") {
    std::uint32_t word = 0;
    sleeper a(&word);
    sleeper b(&word);
    sleeper c(&word);
    CHECK(os::futex_wake(&word, 2) == 2);
    const auto deadline = steady::now() + 20s;
    while (static_cast<int>(a.is_up()) + static_cast<int>(b.is_up()) + static_cast<int>(c.is_up()) != 2) {
        REQUIRE(steady::now() < deadline);
        std::this_thread::sleep_for(1ms);
    }
    CHECK(os::futex_wake(&word, INT_MAX) == 1);
    a.join();
    b.join();
    c.join();
}

TEST_CASE("a wake by another word's address wakes nobody") {
    std::uint32_t words[2] = {0, 0};
    sleeper a(&words[0]);
    CHECK(os::futex_wake(&words[1], INT_MAX) == 0);
    CHECK_FALSE(a.is_up());
    CHECK(os::futex_wake(&words[0], 1) == 1);
    a.join();
}

TEST_CASE("a change is seen and a sleeper woken across processes") {
    const shared_words shared;
    constexpr std::uint32_t rounds = 200;
    child other([&] {
        for (std::uint32_t i = 0; i < rounds; ++i) {
            wait_for_change(shared.word, 2 * i);
            shared.count->fetch_add(1);
            store(shared.word, 2 * i + 2);
            os::futex_wake(shared.word, 1);
        }
    });
    for (std::uint32_t i = 0; i < rounds; ++i) {
        store(shared.word, 2 * i + 1);
        os::futex_wake(shared.word, 1);
        wait_for_change(shared.word, 2 * i + 1);
        CHECK(shared.count->load() == static_cast<int>(i) + 1);
    }
    CHECK(other.join() == 0);
}

TEST_CASE("a sleeper of another process counts among those woken") {
    const shared_words shared;
    child other([&] { os::futex_wait(shared.word, 0, steady::now() + 60s); });
    const auto deadline = steady::now() + 20s;
    int woken = 0;
    while ((woken = os::futex_wake(shared.word, 1)) == 0) {
        REQUIRE(steady::now() < deadline);
        std::this_thread::sleep_for(1ms);
    }
    CHECK(woken == 1);
    CHECK(other.join() == 0);
}

}  // namespace futex_test

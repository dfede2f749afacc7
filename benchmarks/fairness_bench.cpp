// fairness_bench.cpp - how long does the unluckiest of sixteen processes wait, where all of them want the same?
//
// Workload      lock: a lock, some 200 ns of work and the unlock, again and again; queue: a put and a get of one word through a queue that
//               holds 64. For half a second each. Time is per operation of all together; `longest_us` is the longest single one,
//               `least_share` what the process with the fewest had, of an even share.
// Processes     sixteen, wherever the system puts them.
// Peers         the C library's mutex in shared memory, not robust; a ring with that and two of its condition variables.
// Good          the longest within 1.5 times the mutex's, and 3 times the ring's.
//
// SPDX-License-Identifier: BSL-1.0
#include <algorithm>
#include <array>
#include <atomic>
#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <new>
#include <thread>
#include <vector>

#include <pthread.h>

#include "support/crew.hpp"
#include "support/report.hpp"
#include <cairn/manager.hpp>

namespace cairn_bench {
namespace {

constexpr int processes = 16;
constexpr std::uint64_t capacity = 64;
constexpr std::chrono::milliseconds measured{500};
constexpr std::chrono::milliseconds smoke{20};

struct alignas(64) member_result {
    std::uint64_t operations;
    std::int64_t longest;
};

struct contest_board {
    std::atomic<int> ready{0};
    std::atomic<bool> go{false};
    std::atomic<bool> stop{false};
    std::array<member_result, processes> results{};
};

void hold_contest(benchmark::State& state, std::chrono::milliseconds time,
                  const std::function<void()>& operation) {
    std::uint64_t all = 0;
    double longest = 0;
    double least_share = 1;
    for (auto _ : state) {
        const shared_pages pages(sizeof(contest_board));
        auto& board = *new (pages.as<contest_board>()) contest_board;
        std::vector<std::unique_ptr<child>> members;
        for (int i = 0; i < processes; ++i) {
            members.push_back(std::make_unique<child>([&, i] {
                member_result own{};
                ++board.ready;
                while (!board.go) std::this_thread::yield();
                while (!board.stop) {
                    const std::int64_t begin = now_ns();
                    operation();
                    own.longest = std::max(own.longest, now_ns() - begin);
                    ++own.operations;
                }
                board.results[static_cast<std::size_t>(i)] = own;
            }));
        }
        while (board.ready != processes) std::this_thread::yield();
        const std::int64_t begin = now_ns();
        board.go = true;
        std::this_thread::sleep_for(time);
        board.stop = true;
        const std::int64_t end = now_ns();
        for (const auto& each : members) each->join();
        std::uint64_t sum = 0;
        std::uint64_t least = ~std::uint64_t{0};
        for (const member_result& each : board.results) {
            sum += each.operations;
            least = std::min(least, each.operations);
            longest = std::max(longest, static_cast<double>(each.longest) / 1000);
        }
        all += sum;
        least_share =
            static_cast<double>(least) * processes / static_cast<double>(std::max<std::uint64_t>(sum, 1));
        state.SetIterationTime(static_cast<double>(end - begin) / 1e9 /
                               static_cast<double>(std::max<std::uint64_t>(sum, 1)));
    }
    state.counters["longest_us"] = longest;
    state.counters["least_share"] = least_share;
    state.counters["operations"] = static_cast<double>(all);
}

void work_for_a_moment() {
    for (int i = 0; i < 100; ++i) keep(i);
}

/// As anybody would use it in shared memory.
class plain_mutex {
public:
    plain_mutex() {
        pthread_mutexattr_t attributes;
        pthread_mutexattr_init(&attributes);
        pthread_mutexattr_setpshared(&attributes, PTHREAD_PROCESS_SHARED);
        pthread_mutex_init(&mutex_, &attributes);
        pthread_mutexattr_destroy(&attributes);
    }
    void lock() { pthread_mutex_lock(&mutex_); }
    void unlock() { pthread_mutex_unlock(&mutex_); }
    pthread_mutex_t& native() { return mutex_; }

private:
    pthread_mutex_t mutex_{};
};

class plain_ring {
public:
    plain_ring() {
        pthread_condattr_t attributes;
        pthread_condattr_init(&attributes);
        pthread_condattr_setpshared(&attributes, PTHREAD_PROCESS_SHARED);
        pthread_cond_init(&has_item_, &attributes);
        pthread_cond_init(&has_room_, &attributes);
        pthread_condattr_destroy(&attributes);
    }
    void put(std::int64_t value) {
        mutex_.lock();
        while (tail_ - head_ == capacity) pthread_cond_wait(&has_room_, &mutex_.native());
        slots_[tail_++ % capacity] = value;
        pthread_cond_signal(&has_item_);
        mutex_.unlock();
    }
    std::int64_t get() {
        mutex_.lock();
        while (tail_ == head_) pthread_cond_wait(&has_item_, &mutex_.native());
        const std::int64_t value = slots_[head_++ % capacity];
        pthread_cond_signal(&has_room_);
        mutex_.unlock();
        return value;
    }

private:
    plain_mutex mutex_;
    pthread_cond_t has_item_{};
    pthread_cond_t has_room_{};
    std::uint64_t head_ = 0;
    std::uint64_t tail_ = 0;
    std::array<std::int64_t, capacity> slots_{};
};

void add_contest(const std::string& name, std::function<void(benchmark::State&)> body) {
    add(name, std::move(body))->UseManualTime()->Iterations(1);
}

void add_all(std::chrono::milliseconds time) {
    add_contest("lock/cairn", [=](benchmark::State& state) {
        const cairn::manager m;
        const auto l = m.lock();
        hold_contest(state, time, [&] {
            l.lock();
            work_for_a_moment();
            l.unlock();
        });
    });
    add_contest("lock/pthread", [=](benchmark::State& state) {
        const shared_pages pages(sizeof(plain_mutex));
        auto& l = *new (pages.as<plain_mutex>()) plain_mutex;
        hold_contest(state, time, [&] {
            l.lock();
            work_for_a_moment();
            l.unlock();
        });
    });
    add_contest("queue/cairn", [=](benchmark::State& state) {
        const cairn::manager m;
        const auto q = m.queue<std::int64_t>(static_cast<std::int64_t>(capacity));
        hold_contest(state, time, [&] {
            q.put(1);
            keep(q.get());
        });
    });
    add_contest("queue/ring", [=](benchmark::State& state) {
        const shared_pages pages(sizeof(plain_ring));
        auto& q = *new (pages.as<plain_ring>()) plain_ring;
        hold_contest(state, time, [&] {
            q.put(1);
            keep(q.get());
        });
    });
    compare("lock and unlock, 16 processes", {"lock/cairn"}, "pthread mutex", {"lock/pthread"});
    compare("longest wait for a lock", {"lock/cairn", "longest_us"}, "pthread mutex",
            {"lock/pthread", "longest_us"}, times_the_peer(1.5));
    compare("least share of a lock", {"lock/cairn", "least_share"}, "pthread mutex",
            {"lock/pthread", "least_share"});
    compare("put and get, 16 processes", {"queue/cairn"}, "ring", {"queue/ring"});
    compare("longest put and get", {"queue/cairn", "longest_us"}, "ring", {"queue/ring", "longest_us"},
            times_the_peer(3));
    compare("least share of a queue", {"queue/cairn", "least_share"}, "ring", {"queue/ring", "least_share"});
}

}  // namespace
}  // namespace cairn_bench

int main(int argc, char** argv) {
    cairn_bench::add_all(cairn_bench::is_smoke_run(argc, argv) ? cairn_bench::smoke : cairn_bench::measured);
    return cairn_bench::run(argc, argv);
}

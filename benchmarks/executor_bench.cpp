// executor_bench.cpp - what does a task cost that does nothing?
//
// Workload      one thread submits 10 000 tasks and then reads all results (time for each task); and one task after the other,
//               submit and result (round trip). With 2 threads, and with 8.
// Peers         std::async, which starts a thread for each task; "mutex and condition variable", the pool of thirty lines that
//               everybody has written: a deque of std::packaged_task under a lock; oneTBB's task_arena::enqueue of one,
//               where libtbb-dev is installed.
// Good          POOLS' goal: no more than BS::thread_pool, which is such a pool of thirty lines; and 1.5 times oneTBB.
//               Cairn's figures include statistics, cancellation and callbacks, which the peers do not have.
//
// SPDX-License-Identifier: BSL-1.0
#include <condition_variable>
#include <deque>
#include <functional>
#include <future>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "support/crew.hpp"
#include "support/report.hpp"
#include <cairn/thread_pool_executor.hpp>

#if defined(CAIRN_BENCH_TBB)
#include <tbb/task_arena.h>
#endif

namespace cairn_bench {
namespace {

constexpr int tasks_each_round = 10'000;

class plain_pool {
public:
    explicit plain_pool(int threads) {
        for (int i = 0; i < threads; ++i) threads_.emplace_back([this] { work(); });
    }
    plain_pool(const plain_pool&) = delete;
    plain_pool& operator=(const plain_pool&) = delete;
    ~plain_pool() {
        {
            const std::lock_guard held(mutex_);
            is_over_ = true;
        }
        change_.notify_all();
        for (std::thread& each : threads_) each.join();
    }
    template <typename Fn>
    std::future<long> submit(Fn fn) {
        std::packaged_task<long()> task(std::move(fn));
        std::future<long> result = task.get_future();
        {
            const std::lock_guard held(mutex_);
            tasks_.push_back(std::move(task));
        }
        change_.notify_one();
        return result;
    }

private:
    void work() {
        for (;;) {
            std::packaged_task<long()> task;
            {
                std::unique_lock held(mutex_);
                change_.wait(held, [this] { return is_over_ || !tasks_.empty(); });
                if (tasks_.empty()) return;
                task = std::move(tasks_.front());
                tasks_.pop_front();
            }
            task();
        }
    }
    std::mutex mutex_;
    std::condition_variable change_;
    std::deque<std::packaged_task<long()>> tasks_;
    bool is_over_ = false;
    std::vector<std::thread> threads_;
};

struct cairn_pool {
    explicit cairn_pool(int threads) : ex(threads) {}
    template <typename Fn>
    auto submit(Fn fn) {
        return ex.submit(std::move(fn));
    }
    cairn::thread_pool_executor ex;
};

struct thread_each {
    explicit thread_each(int /*threads*/) {}
    template <typename Fn>
    auto submit(Fn fn) {
        return std::async(std::launch::async, std::move(fn));
    }
};

#if defined(CAIRN_BENCH_TBB)
struct tbb_arena {
    explicit tbb_arena(int threads) : arena(threads, 0) {}
    template <typename Fn>
    auto submit(Fn fn) {
        auto task = std::make_shared<std::packaged_task<long()>>(std::move(fn));
        std::future<long> result = task->get_future();
        arena.enqueue([task] { (*task)(); });
        return result;
    }
    tbb::task_arena arena;
};
#endif

long value_of(const cairn::future<long>& f) {
    return f.result();
}
long value_of(std::future<long>& f) {
    return f.get();
}

template <typename Pool>
void throughput(benchmark::State& state, int threads, int tasks) {
    Pool pool(threads);
    using future = decltype(pool.submit([] { return 0L; }));
    std::vector<future> futures;
    futures.reserve(static_cast<std::size_t>(tasks));
    while (state.KeepRunningBatch(tasks)) {
        for (long i = 0; i < tasks; ++i) futures.push_back(pool.submit([i] { return i; }));
        long sum = 0;
        for (future& each : futures) sum += value_of(each);
        keep(sum);
        futures.clear();
    }
}

template <typename Pool>
void round_trip(benchmark::State& state, int threads) {
    Pool pool(threads);
    for (auto _ : state) {
        auto f = pool.submit([] { return 1L; });
        keep(value_of(f));
    }
}

template <typename Pool>
void add_pool(const std::string& name, int threads, int tasks = tasks_each_round) {
    const std::string suffix = "/" + name + "/" + std::to_string(threads);
    add("task" + suffix, [=](benchmark::State& state) {
        throughput<Pool>(state, threads, tasks);
    })->UseRealTime();
    add("round_trip" + suffix, [=](benchmark::State& state) {
        round_trip<Pool>(state, threads);
    })->UseRealTime();
}

void compare_with(const std::string& ours, const std::string& peer, const std::string& called, goal wanted) {
    for (const char* const what : {"task/", "round_trip/"})
        compare(what + ours, {what + ours}, called, {what + peer}, wanted);
}

}  // namespace
}  // namespace cairn_bench

int main(int argc, char** argv) {
    using namespace cairn_bench;
    for (const int threads : {2, 8}) {
        const std::string each = "/" + std::to_string(threads);
        add_pool<cairn_pool>("cairn", threads);
        add_pool<plain_pool>("plain", threads);
        compare_with("cairn" + each, "plain" + each, "mutex and condition variable", times_the_peer(1.0));
#if defined(CAIRN_BENCH_TBB)
        add_pool<tbb_arena>("tbb", threads);
        compare_with("cairn" + each, "tbb" + each, "oneTBB enqueue", times_the_peer(1.5));
#endif
    }
    add_pool<thread_each>("async", 0, 200);
    compare_with("cairn/2", "async/0", "std::async", times_the_peer(0.1));
    return run(argc, argv);
}

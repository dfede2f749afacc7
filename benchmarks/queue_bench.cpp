// queue_bench.cpp - what does it cost to hand a message of 64 bytes to another process?
//
// Workload      pair: one process puts and gets, nobody else is there;
//               flow: producers put 100 000 messages in all, consumers get them, through a queue that holds 1024;
//               round trip: a message there and one back, through two queues that are empty most of the time.
// Processes     one; one and one, two and two; one and one. Time is per message, or per round trip.
// Peers         boost ring: interprocess_mutex, two interprocess_conditions and a ring in shared memory, which hangs for ever
//               when a process that holds the mutex is killed, or one that waits; deque: std::mutex and std::deque, alone.
// Good          two and two no slower than the boost ring; DESIGN.md section 9: 100 ns a message one to one (then 60), a round
//               trip 670 ns across cores (then 450).
#include <array>
#include <atomic>
#include <cstdint>
#include <deque>
#include <list>
#include <mutex>
#include <new>
#include <string>

#include <boost/interprocess/sync/interprocess_condition.hpp>
#include <boost/interprocess/sync/interprocess_mutex.hpp>
#include <boost/interprocess/sync/scoped_lock.hpp>

#include "support/crew.hpp"
#include "support/report.hpp"
#include <cairn/manager.hpp>

namespace cairn_bench {
namespace {

constexpr std::int64_t flow_messages = 100'000;
constexpr std::int64_t pair_messages = 100'000;
constexpr std::int64_t round_trips = 20'000;
constexpr std::uint64_t capacity = 1024;

struct message {
    std::array<std::int64_t, 8> words;
};

class cairn_queue {
public:
    static constexpr const char* name = "cairn";
    void put(const message& m) const { queue_.put(m); }
    [[nodiscard]] message get() const { return queue_.get(); }

private:
    cairn::manager manager_;
    cairn::queue<message> queue_ = manager_.queue<message>("queue", capacity);
};

class boost_ring {
public:
    static constexpr const char* name = "boost_ring";
    boost_ring() : pages_(sizeof(ring)), ring_(*new(pages_.as<void>()) ring) {}

    void put(const message& m) const {
        boost::interprocess::scoped_lock lock(ring_.mutex);
        while (ring_.tail - ring_.head == capacity) ring_.has_room.wait(lock);
        ring_.slots[ring_.tail++ % capacity] = m;
        ring_.has_item.notify_one();
    }
    [[nodiscard]] message get() const {
        boost::interprocess::scoped_lock lock(ring_.mutex);
        while (ring_.tail == ring_.head) ring_.has_item.wait(lock);
        const message m = ring_.slots[ring_.head++ % capacity];
        ring_.has_room.notify_one();
        return m;
    }

private:
    struct ring {
        boost::interprocess::interprocess_mutex mutex;
        boost::interprocess::interprocess_condition has_item;
        boost::interprocess::interprocess_condition has_room;
        std::uint64_t head = 0;
        std::uint64_t tail = 0;
        std::array<message, capacity> slots;
    };
    shared_pages pages_;
    ring& ring_;
};

class guarded_deque {
public:
    static constexpr const char* name = "deque+mutex";
    void put(const message& m) {
        const std::scoped_lock lock(mutex_);
        items_.push_back(m);
    }
    [[nodiscard]] message get() {
        const std::scoped_lock lock(mutex_);
        const message m = items_.front();
        items_.pop_front();
        return m;
    }

private:
    std::mutex mutex_;
    std::deque<message> items_;
};

template <typename Queue>
[[gnu::noinline]] void put_and_get(Queue& queue, std::int64_t count) {
    for (std::int64_t i = 0; i < count; ++i) {
        queue.put({{i}});
        keep(queue.get().words[0]);
    }
}

template <typename Queue>
void pair(benchmark::State& state) {
    Queue queue;
    crew alone(1, crew::as::processes, [&](int) { put_and_get(queue, pair_messages); });
    measure(state, alone, pair_messages);
}

/// Processes that start at once; the time until the last has ended. None is bound to a core: there are more than cores.
template <typename Queue>
void flow(benchmark::State& state, int each) {
    while (state.KeepRunningBatch(flow_messages)) {
        const Queue queue;
        const shared_pages pages(sizeof(std::atomic<int>));
        auto& is_open = *new (pages.as<void>()) std::atomic<int>(0);
        std::list<child> all;
        const std::int64_t own = flow_messages / each;
        for (int i = 0; i < each; ++i) {
            const auto take_part = [&](const auto& step) {
                all.emplace_back([&, step] {
                    while (is_open == 0) ::sched_yield();
                    for (std::int64_t k = 0; k < own; ++k) step(k);
                });
            };
            take_part([&](std::int64_t k) { queue.put({{k}}); });
            take_part([&](std::int64_t) { keep(queue.get().words[0]); });
        }
        const std::int64_t begin = now_ns();
        is_open = 1;
        for (child& one : all)
            if (one.join() != 0) state.SkipWithError("a process did not end well");
        state.SetIterationTime(static_cast<double>(now_ns() - begin) / 1e9);
    }
}

template <typename Queue>
void round_trip(benchmark::State& state) {
    const Queue there;
    const Queue back;
    crew both(2, crew::as::processes, [&](int member) {
        for (std::int64_t i = 0; i < round_trips; ++i) {
            if (member == 0) {
                there.put({{i}});
                keep(back.get().words[0]);
            } else {
                back.put(there.get());
            }
        }
    });
    measure(state, both, round_trips);
}

std::string label(const std::string& what, const std::string& who) {
    return "queue/" + what + "/" + who;
}

template <typename Queue>
void add_shared() {
    add(label("flow_1_1", Queue::name), [](benchmark::State& state) {
        flow<Queue>(state, 1);
    })->UseManualTime();
    add(label("flow_2_2", Queue::name), [](benchmark::State& state) {
        flow<Queue>(state, 2);
    })->UseManualTime();
    add(label("round_trip", Queue::name), [](benchmark::State& state) {
        round_trip<Queue>(state);
    })->UseManualTime();
}

template <typename Queue>
void add_pair() {
    add(label("pair", Queue::name), [](benchmark::State& state) { pair<Queue>(state); })->UseManualTime();
}

void compare_with(const std::string& operation, const std::string& what, const std::string& peer,
                  goal wanted = {}) {
    compare(operation, {label(what, "cairn")}, peer, {label(what, peer)}, wanted);
}

}  // namespace
}  // namespace cairn_bench

int main(int argc, char** argv) {
    using namespace cairn_bench;
    add_pair<cairn_queue>();
    add_pair<boost_ring>();
    add_pair<guarded_deque>();
    add_shared<cairn_queue>();
    add_shared<boost_ring>();
    compare_with("put and get, alone", "pair", "boost_ring");
    compare_with("put and get, alone", "pair", "deque+mutex");
    compare_with("a message, one to one", "flow_1_1", "boost_ring", nanoseconds(100, 60));
    compare_with("a message, two to two", "flow_2_2", "boost_ring", times_the_peer(1));
    compare_with("round trip", "round_trip", "boost_ring", nanoseconds(670, 450));
    return cairn_bench::run(argc, argv);
}

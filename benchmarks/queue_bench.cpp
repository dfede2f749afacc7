// queue_bench.cpp - what does it cost to hand a message of 64 bytes to another process, or one of 64 KiB?
//
// Workload      pair: one process puts and gets, nobody else is there;
//               flow: producers put 100 000 messages in all, consumers get them, through a queue that holds 1024;
//               large: the same with 2 000 strings of 64 KiB, made and looked at, through a queue that holds 64;
//               round trip: a message there and one back, through two queues that are empty most of the time.
// Processes     one; one and one, two and one, two and two; one and one, one and two; one and one. Time is per message, or
//               per round trip.
// Peers         boost ring: interprocess_mutex, two interprocess_conditions and a ring in shared memory, which hangs for ever
//               when a process that holds the mutex is killed, or one that waits; boost messages: interprocess::message_queue,
//               which hangs as well; deque: std::mutex and std::deque, alone.
// Good          two and two no slower than the boost ring; DESIGN.md section 9: 100 ns a message one to one and 91 two to one
//               (then 60), 4 us one of 64 KiB (then 3.5), a round trip 670 ns across cores (then 450).
//
// SPDX-License-Identifier: BSL-1.0
#include <array>
#include <atomic>
#include <cstdint>
#include <deque>
#include <list>
#include <mutex>
#include <new>
#include <string>
#include <utility>

#include <unistd.h>

#include <boost/interprocess/ipc/message_queue.hpp>
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
constexpr std::int64_t large_messages = 2'000;
constexpr std::uint64_t large_capacity = 64;
constexpr std::size_t large_bytes = 65536;

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

// What both sides of a large message have to do: to write all of it, and to look at all of it.
std::string make_large(std::int64_t i) {
    return std::string(large_bytes, static_cast<char>(i));
}
std::int64_t look_at_large(const char* text) {
    std::int64_t sum = 0;
    for (std::size_t at = 0; at < large_bytes; at += 64) sum += text[at];
    return sum;
}

class boost_messages {
public:
    static constexpr const char* name = "boost_messages";
    explicit boost_messages(std::uint64_t count = capacity, std::size_t bytes = sizeof(message))
        : name_("cairn-bench-" + std::to_string(::getpid())),
          queue_(boost::interprocess::create_only, name_.c_str(), count, bytes) {
        boost::interprocess::message_queue::remove(name_.c_str());  // children inherit the mapping
    }
    void put(const message& m) const { queue_.send(&m, sizeof m, 0); }
    [[nodiscard]] message get() const {
        message m;
        receive(&m, sizeof m);
        return m;
    }
    void receive(void* to, std::size_t bytes) const {
        boost::interprocess::message_queue::size_type received = 0;
        unsigned priority = 0;
        queue_.receive(to, bytes, received, priority);
    }
    void send(const void* from, std::size_t bytes) const { queue_.send(from, bytes, 0); }

private:
    std::string name_;
    mutable boost::interprocess::message_queue queue_;
};

class large_cairn_queue {
public:
    static constexpr const char* name = "cairn";
    void put(std::int64_t i) const { queue_.put(make_large(i)); }
    [[nodiscard]] std::int64_t get() const { return look_at_large(queue_.get().data()); }

private:
    cairn::manager manager_;
    cairn::queue<std::string> queue_ = manager_.queue<std::string>("queue", large_capacity);
};

class large_boost_messages {
public:
    static constexpr const char* name = boost_messages::name;
    void put(std::int64_t i) const {
        const std::string text = make_large(i);
        queue_.send(text.data(), text.size());
    }
    [[nodiscard]] std::int64_t get() const {
        std::string text(large_bytes, '\0');
        queue_.receive(text.data(), text.size());
        return look_at_large(text.data());
    }

private:
    boost_messages queue_{large_capacity, large_bytes};
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
template <typename Queue, typename Put, typename Get>
void flow(benchmark::State& state, std::int64_t messages, int producers, int consumers, Put put, Get get) {
    while (state.KeepRunningBatch(messages)) {
        const Queue queue;
        const shared_pages pages(sizeof(std::atomic<int>));
        auto& is_open = *new (pages.as<void>()) std::atomic<int>(0);
        std::list<child> all;
        const auto take_part = [&](int members, const auto& step) {
            for (int i = 0; i < members; ++i) {
                all.emplace_back([&, step, own = messages / members] {
                    while (is_open == 0) ::sched_yield();
                    for (std::int64_t k = 0; k < own; ++k) step(k);
                });
            }
        };
        take_part(producers, [&](std::int64_t k) { put(queue, k); });
        take_part(consumers, [&](std::int64_t) { keep(get(queue)); });
        const std::int64_t begin = now_ns();
        is_open = 1;
        for (child& one : all)
            if (one.join() != 0) state.SkipWithError("a process did not end well");
        state.SetIterationTime(static_cast<double>(now_ns() - begin) / 1e9);
    }
}

template <typename Queue>
void flow_small(benchmark::State& state, int producers, int consumers) {
    flow<Queue>(
        state, flow_messages, producers, consumers, [](const Queue& q, std::int64_t k) { q.put({{k}}); },
        [](const Queue& q) { return q.get().words[0]; });
}

template <typename Queue>
void flow_large(benchmark::State& state, int consumers) {
    flow<Queue>(
        state, large_messages, 1, consumers, [](const Queue& q, std::int64_t k) { q.put(k); },
        [](const Queue& q) { return q.get(); });
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
    for (const auto& [producers, consumers] : {std::pair(1, 1), std::pair(2, 1), std::pair(2, 2)}) {
        const std::string what = "flow_" + std::to_string(producers) + "_" + std::to_string(consumers);
        add(label(what, Queue::name), [producers = producers,
                                       consumers = consumers](benchmark::State& state) {
            flow_small<Queue>(state, producers, consumers);
        })->UseManualTime();
    }
    add(label("round_trip", Queue::name), [](benchmark::State& state) {
        round_trip<Queue>(state);
    })->UseManualTime();
}

template <typename Queue>
void add_large() {
    for (const int consumers : {1, 2}) {
        add(label("large_1_" + std::to_string(consumers), Queue::name), [consumers](benchmark::State& state) {
            flow_large<Queue>(state, consumers);
        })->UseManualTime();
    }
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
    add_shared<boost_messages>();
    add_large<large_cairn_queue>();
    add_large<large_boost_messages>();
    compare_with("put and get, alone", "pair", "boost_ring");
    compare_with("put and get, alone", "pair", "deque+mutex");
    compare_with("a message, one to one", "flow_1_1", "boost_ring", nanoseconds(100, 60));
    compare_with("a message, one to one", "flow_1_1", "boost_messages");
    compare_with("a message, two to one", "flow_2_1", "boost_ring", nanoseconds(91, 60));
    compare_with("a message, two to one", "flow_2_1", "boost_messages");
    compare_with("a message, two to two", "flow_2_2", "boost_ring", times_the_peer(1));
    compare_with("a message, two to two", "flow_2_2", "boost_messages");
    compare_with("a message of 64 KiB, one to one", "large_1_1", "boost_messages", nanoseconds(4000, 3500));
    compare_with("a message of 64 KiB, one to two", "large_1_2", "boost_messages");
    compare_with("round trip", "round_trip", "boost_ring", nanoseconds(670, 450));
    compare_with("round trip", "round_trip", "boost_messages");
    return cairn_bench::run(argc, argv);
}

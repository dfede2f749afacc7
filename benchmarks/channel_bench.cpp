// channel_bench.cpp - what do crash-safety and blocking ends cost a ring from one process to another?
//
// Workload      pair: one process puts and gets a message of 64 bytes, nobody else is there;
//               flow: one process puts 100 000 of them, another one gets them, through a channel that holds 1024;
//               round trip: a message there and one back, through two channels that are empty most of the time.
// Peers         spsc: boost::lockfree::spsc_queue<message> in shared memory, bare: who finds it full or empty spins, then yields.
//               It knows neither who is at its ends nor how to sleep, and hangs with the other end. queue: cairn::queue.
// Good          a round trip within 1.5 of the bare ring's, a flow within 2 of it (the two fences of each end cannot overlap with
//               the way of the cache lines, as the bare ring's stores do), and less than half of a queue's.
//
// SPDX-License-Identifier: BSL-1.0
#include <array>
#include <cstdint>
#include <new>
#include <string>

#include <boost/lockfree/policies.hpp>
#include <boost/lockfree/spsc_queue.hpp>

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

class cairn_channel {
public:
    static constexpr const char* name = "cairn";
    void put(const message& m) const { channel_.put(m); }
    [[nodiscard]] message get() const { return channel_.get(); }

private:
    cairn::manager manager_;
    cairn::channel<message> channel_ = manager_.channel<message>("channel", capacity);
};

class cairn_queue {
public:
    static constexpr const char* name = "queue";
    void put(const message& m) const { queue_.put(m); }
    [[nodiscard]] message get() const { return queue_.get(); }

private:
    cairn::manager manager_;
    cairn::queue<message> queue_ = manager_.queue<message>("queue", capacity);
};

class bare_spsc {
public:
    static constexpr const char* name = "spsc";
    bare_spsc() : pages_(sizeof(ring)), ring_(*new(pages_.as<void>()) ring) {}

    void put(const message& m) const {
        wait_until([&] { return ring_.push(m); });
    }
    [[nodiscard]] message get() const {
        message m;
        wait_until([&] { return ring_.pop(m); });
        return m;
    }

private:
    using ring = boost::lockfree::spsc_queue<message, boost::lockfree::capacity<capacity>>;

    template <typename Attempt>
    static void wait_until(Attempt attempt) {
        constexpr int pauses_before_yielding = 64;  // as cairn's
        for (int i = 0; !attempt(); ++i) {
            if (i < pauses_before_yielding) __builtin_ia32_pause();
            else ::sched_yield();
        }
    }

    shared_pages pages_;
    ring& ring_;
};

template <typename Channel>
[[gnu::noinline]] void put_and_get(Channel& channel, std::int64_t count) {
    for (std::int64_t i = 0; i < count; ++i) {
        channel.put({{i}});
        keep(channel.get().words[0]);
    }
}

template <typename Channel>
void pair(benchmark::State& state) {
    Channel channel;
    crew alone(1, crew::as::processes, [&](int) { put_and_get(channel, pair_messages); });
    measure(state, alone, pair_messages);
}

template <typename Channel>
void flow(benchmark::State& state) {
    const Channel channel;
    crew both(2, crew::as::processes, [&](int member) {
        for (std::int64_t i = 0; i < flow_messages; ++i) {
            if (member == 0) channel.put({{i}});
            else keep(channel.get().words[0]);
        }
    });
    measure(state, both, flow_messages);
}

template <typename Channel>
void round_trip(benchmark::State& state) {
    const Channel there;
    const Channel back;
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
    return "channel/" + what + "/" + who;
}

template <typename Channel>
void add_all() {
    add(label("pair", Channel::name), [](benchmark::State& state) { pair<Channel>(state); })->UseManualTime();
    add(label("flow", Channel::name), [](benchmark::State& state) { flow<Channel>(state); })->UseManualTime();
    add(label("round_trip", Channel::name), [](benchmark::State& state) {
        round_trip<Channel>(state);
    })->UseManualTime();
}

void compare_with(const std::string& operation, const std::string& what, const std::string& peer,
                  goal wanted = {}) {
    compare(operation, {label(what, "cairn")}, peer, {label(what, peer)}, wanted);
}

}  // namespace
}  // namespace cairn_bench

int main(int argc, char** argv) {
    using namespace cairn_bench;
    add_all<cairn_channel>();
    add_all<bare_spsc>();
    add_all<cairn_queue>();
    compare_with("put and get, alone", "pair", "spsc");
    compare_with("put and get, alone", "pair", "queue");
    compare_with("a message", "flow", "spsc", times_the_peer(2));
    compare_with("a message", "flow", "queue", times_the_peer(0.5));
    compare_with("round trip", "round_trip", "spsc", times_the_peer(1.5));
    compare_with("round trip", "round_trip", "queue");
    return cairn_bench::run(argc, argv);
}

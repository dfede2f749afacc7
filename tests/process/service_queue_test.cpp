// service_queue_test.cpp - services that share a queue, and what comes of it when they are killed; what services write.
// SPDX-License-Identifier: BSL-1.0
#include <chrono>
#include <csignal>
#include <cstdio>
#include <iostream>
#include <map>
#include <random>
#include <sstream>
#include <string>
#include <thread>
#include <vector>

#include <unistd.h>

#include <doctest/doctest.h>

#include "support/managed.hpp"
#include "support/scratch.hpp"
#include <cairn/cairn.hpp>

namespace service_queue_test {

using namespace cairn_test;
using namespace std::chrono_literals;

namespace {

struct producer : cairn::service {
    static constexpr auto name = "producer";
    producer(cairn::queue<int> to, cairn::list<int> put) : to_(to), put_(put) {}
    void run() override {
        // From where its predecessor was killed; the item that one may have put without saying so is put again, once, not lost.
        for (int i = static_cast<int>(put_.size()); !stop_requested(); ++i) {
            if (!to_.put(i, stop_token())) return;
            put_.push_back(i);
            std::this_thread::sleep_for(200us);
        }
    }
    void terminate() override { wait_for_run(); }
    cairn::queue<int> to_;
    cairn::list<int> put_;
};

struct printer : cairn::service {
    static constexpr auto name = "printer";
    printer(cairn::queue<int> from, cairn::list<std::tuple<int, int, int>> printed)
        : from_(from), printed_(printed) {}
    void run() override {
        for (;;) {
            auto job = from_.lease_for(100ms);
            if (job) {
                printed_.push_back({**job, static_cast<int>(job->deliveries()), static_cast<int>(pid())});
                std::this_thread::sleep_for(100us);
                job->ack();
            } else if (stop_requested()) {
                return;
            }
            beat();
        }
    }
    void terminate() override { wait_for_run(); }
    cairn::queue<int> from_;
    cairn::list<std::tuple<int, int, int>> printed_;
};

struct chatty : cairn::service {
    static constexpr auto name = "chatty";
    void run() override {
        for (int i = 0; i < 200; ++i) {
            std::cout << "a line of " << pid() << " in " << 7 << " parts, " << i << '\n';
            std::cerr << "an error of " << pid() << " in " << 7 << " parts, " << i << '\n';
            std::printf("a printed %s, %d\n", "line", i);
        }
        std::cout << "the end" << std::endl;
        std::cout << "no end of line";
    }
};

}  // namespace

TEST_CASE("printers are killed at random: no item is lost, and what is printed twice was leased twice") {
    const cairn::manager shared;
    const auto queue = shared.queue<int>("queue", 100);
    const auto put = shared.list<int>("put");
    const auto printed = shared.list<std::tuple<int, int, int>>("printed");
    managed m([&]() -> int {
        cairn::service_manager sm({.quiet = true});
        sm.add<printer>({.workers = 3, .backoff = {1ms, 5ms}, .heartbeat = patiently(20s)}, queue, printed);
        sm.add<producer>({.backoff = {1ms, 5ms}}, queue, put);
        return sm.run();
    });
    std::minstd_rand random(17);
    const int kills = static_cast<int>(scaled(60));
    for (int i = 0; i < kills; ++i) {
        const std::vector<pid_t> all = m.titled("printer worker(" + std::to_string(random() % 3) + ")");
        if (!all.empty()) send(all.front(), SIGKILL);
        std::this_thread::sleep_for(std::chrono::microseconds(random() % 5000));
    }
    CHECK(m.comes_true([&] { return put.size() > 200; }));
    CHECK(m.end() == 0);
    // All that was put by the end was taken, or is there still: the printers end when the queue is empty, as a rule.
    const std::vector<int> of_queue = queue.snapshot();
    std::map<int, std::vector<int>> deliveries;
    for (const auto& [item, delivery, pid] : printed.snapshot()) deliveries[item].push_back(delivery);
    for (const int item : of_queue) deliveries[item];
    for (const int item : put.snapshot()) {
        CAPTURE(item);
        CHECK(deliveries.contains(item));
    }
    int twice = 0;
    for (const auto& [item, each] : deliveries)
        for (std::size_t i = 1; i < each.size(); ++i) {
            ++twice;
            CAPTURE(item);
            CHECK(each[i] > 1);
        }
    MESSAGE(put.size() << " items, " << kills << " kills, " << twice << " printed again");
}

TEST_CASE("a storm over all that services do: nothing is left over, nothing is lost, the end is short") {
    const cairn::manager shared;
    const auto queue = shared.queue<int>("queue", 1000);
    const auto put = shared.list<int>("put");
    const auto printed = shared.list<std::tuple<int, int, int>>("printed");
    int orders[2];
    REQUIRE(::pipe(orders) == 0);
    managed m([&]() -> int {
        ::close(orders[1]);
        static cairn::service_manager sm({.quiet = true});
        static const cairn::service_id printers =
            sm.add<printer>({.workers = 3, .backoff = {1ms, 5ms}}, queue, printed);
        sm.add<producer>({.backoff = {1ms, 5ms}}, queue, put);
        sm.add<chatty>({.workers = 2, .backoff = {1ms, 5ms}});
        const int from = orders[0];
        static std::thread thread;
        sm.register_hooks({.on_ready = [from] {
            thread = std::thread([from] {
                char digit = 0;
                while (::read(from, &digit, 1) == 1) sm.reconfigure(printers, digit - '0');
            });
        }});
        const int code = sm.run();
        thread.join();
        return code;
    });
    ::close(orders[0]);
    std::minstd_rand random(23);
    REQUIRE(m.comes_true([&] { return put.size() > 10; }));
    const int rounds = static_cast<int>(scaled(150));
    for (int i = 0; i < rounds; ++i) {
        std::vector<pid_t> all = m.titled(")");
        const pid_t one = all.empty() ? 0 : all[random() % all.size()];
        switch (random() % 6) {
            case 0:
            case 1: send(one, SIGKILL); break;
            case 2: send(one, SIGHUP); break;
            case 3: m.signal(SIGHUP); break;
            case 4: {
                const char digit = static_cast<char>('1' + random() % 4);
                REQUIRE(::write(orders[1], &digit, 1) == 1);
                break;
            }
            default:
                send(one, SIGSTOP);
                std::this_thread::sleep_for(1ms);
                send(one, SIGCONT);
                break;
        }
        if (i == rounds / 2) send(find_descendant(m.pid(), "cairn-nursery"), SIGKILL);
        m.output();
        std::this_thread::sleep_for(std::chrono::microseconds(random() % 10000));
    }
    ::close(orders[1]);
    const std::size_t before = put.size();
    CHECK(m.comes_true([&] { return put.size() > before; }));
    std::vector<pid_t> all = m.everybody();
    CHECK(m.end() == 0);
    CHECK(have_ended(all, patiently(20s)));
    std::map<int, int> seen;
    for (const auto& [item, delivery, pid] : printed.snapshot()) ++seen[item];
    for (const int item : queue.snapshot()) ++seen[item];
    for (const int item : put.snapshot()) {
        CAPTURE(item);
        CHECK(seen.contains(item));
    }
}

TEST_CASE("each line of a worker is one write: those of several do not mix") {
    managed m([]() -> int {
        std::fputs("stderr was used before\n", stderr);
        cairn::service_manager sm;
        sm.add<chatty>(4);
        return sm.run();
    });
    CHECK(m.says("the end", 4));
    CHECK(m.end() == 0);
    std::istringstream lines(m.output());
    int whole = 0;
    for (std::string line; std::getline(lines, line);) {
        for (const std::string text : {"a line of ", "an error of ", "a printed line, "}) {
            bool is_alone = line.starts_with(text);
            for (const std::string other : {"a line of ", "an error of ", "a printed line, "})
                is_alone = is_alone && line.find(other, 1) == std::string::npos;
            whole += is_alone ? 1 : 0;
        }
    }
    CHECK(whole == 4 * 600);
    // Written at the end, though nobody had flushed it.
    CHECK(m.count("no end of line") == 4);
}

TEST_CASE("with prefix_output each line begins with the service and the worker") {
    managed m([](cairn::service_manager& sm) { sm.add<chatty>(2); }, {.prefix_output = true});
    CHECK(m.says("the end", 2));
    CHECK(m.end() == 0);
    std::istringstream lines(m.output());
    int whole = 0;
    for (std::string line; std::getline(lines, line);) {
        for (const std::string prefix : {"chatty(0): ", "chatty(1): "})
            for (const std::string text : {"a line of ", "an error of ", "a printed line, ", "the end"})
                if (line.starts_with(prefix + text) && line.find("chatty", 1) == std::string::npos) ++whole;
    }
    CHECK(whole == 2 * 601);
}

}  // namespace service_queue_test

// root_pin_test.cpp - work beside a root's lock: who gets in, who waits, what the dead leave.
// SPDX-License-Identifier: BSL-1.0
#include "txn/root_pin.hpp"

#include <atomic>
#include <chrono>
#include <string>
#include <thread>

#include <unistd.h>

#include <doctest/doctest.h>

#include "segment/participants.hpp"
#include "support/opened.hpp"
#include "support/scratch.hpp"
#include <cairn/error.hpp>
#include <cairn/manager.hpp>

namespace root_pin_test {

using namespace cairn_test;
using namespace cairn::detail;
using namespace std::chrono_literals;

namespace {

// A list does not use its pins.
struct pinned_root {
    cairn::manager m;
    opened_list<long> inside;
    stored_pin& pin;
    pinned_root() : inside(m.list<long>("l", {1})), pin(inside.slot().pins[1]) {
        require_usable_thread();
        store_word(pin.owner, own());
    }
    [[nodiscard]] thread_token own() const { return inside.in().own_token(); }
    [[nodiscard]] bool gets_in() const {
        const root_pin stay(inside.in(), inside.slot(), inside.generation(), pin);
        return stay.is_in();
    }
};

}  // namespace

TEST_CASE("the owner of a pin gets in and out, and its holder mark says so meanwhile") {
    const pinned_root root;
    {
        const root_pin stay(root.inside.in(), root.inside.slot(), root.inside.generation(), root.pin);
        CHECK(stay.is_in());
        CHECK(root.pin.holder == root.own());
    }
    CHECK(root.pin.holder == 0);
    CHECK(root.gets_in());
    CHECK(this_thread.open == nullptr);
}

TEST_CASE("nobody else gets in, and nobody where the root is being changed, or has become another") {
    const pinned_root root;
    std::thread([&] {
        require_usable_thread();
        CHECK_FALSE(root.gets_in());
    }).join();
    {
        root_transaction tx(root.inside.in(), root.inside.slot(), root.inside.generation());
        tx.begin_change();
        std::thread([&] {
            require_usable_thread();
            store_word(root.pin.owner, root.own());
            CHECK_FALSE(root.gets_in());
        }).join();
        store_word(root.pin.owner, root.own());
    }
    CHECK(root.gets_in());
    const root_pin stay(root.inside.in(), root.inside.slot(), root.inside.generation() + 1, root.pin);
    CHECK_FALSE(stay.is_in());
    CHECK(root.pin.holder == 0);
}

TEST_CASE(
    "a thread at a pin is inside an operation: another one would be would_deadlock, and so is a second pin") {
    const pinned_root root;
    const root_pin stay(root.inside.in(), root.inside.slot(), root.inside.generation(), root.pin);
    CHECK(stay.is_in());
    CHECK(contains(thrown_by<cairn::would_deadlock>([&] { root.inside.push_back(2); }), "list 'l'"));
    CHECK(contains(thrown_by<cairn::would_deadlock>([&] { static_cast<void>(root.gets_in()); }), "list 'l'"));
    CHECK(root.pin.holder == root.own());
}

TEST_CASE("a pin that somebody else holds stays so, and who needs it waits") {
    const pinned_root root;
    std::atomic<bool> leaves = false;
    std::atomic<bool> is_in = false;
    std::thread other([&] {
        require_usable_thread();
        store_word(root.pin.owner, root.own());
        const root_pin stay(root.inside.in(), root.inside.slot(), root.inside.generation(), root.pin);
        CHECK(stay.is_in());
        is_in = true;
        while (!leaves) std::this_thread::yield();
    });
    while (!is_in) std::this_thread::yield();
    const thread_token holder = load_word(root.pin.holder);
    CHECK_FALSE(root.gets_in());
    CHECK(load_word(root.pin.holder) == holder);  // not cleared by who did not set it
    std::atomic<bool> is_clear = false;
    std::thread waiter([&] {
        require_usable_thread();
        wait_for_pins(root.inside.in(), root.inside.slot());
        is_clear = true;
    });
    std::this_thread::sleep_for(20ms);
    CHECK_FALSE(is_clear);
    leaves = true;
    other.join();
    waiter.join();
    CHECK(root.pin.holder == 0);
}

TEST_CASE("what a thread or a process leaves that dies at a pin is found out, and cleared") {
    const pinned_root root;
    thread_token ended = 0;
    std::thread([&] {
        require_usable_thread();
        ended = root.own();
        CHECK(is_thread_alive(root.inside.in(), ended));
    }).join();
    // The kernel may show it for a moment after join().
    const auto deadline = std::chrono::steady_clock::now() + 20s;
    while (is_thread_alive(root.inside.in(), ended)) REQUIRE(std::chrono::steady_clock::now() < deadline);
    store_word(root.pin.holder, ended);
    wait_for_pins(root.inside.in(), root.inside.slot());
    CHECK(root.pin.holder == 0);

    CHECK(in_child([&] {
              require_usable_thread();
              store_word(root.pin.owner, root.own());
              const root_pin stay(root.inside.in(), root.inside.slot(), root.inside.generation(), root.pin);
              CHILD_CHECK(stay.is_in());
              ::_exit(0);  // in it
          }) == 0);
    CHECK(root.pin.holder != 0);
    CHECK(root.pin.holder == root.pin.owner);
    CHECK_FALSE(is_thread_alive(root.inside.in(), root.pin.owner));
    wait_for_pins(root.inside.in(), root.inside.slot());
    CHECK(root.pin.holder == 0);
    CHECK(is_thread_alive(root.inside.in(), root.own()));
    CHECK_FALSE(is_thread_alive(root.inside.in(), 0));
    CHECK(describe_thread(root.inside.in(), root.own()) == "pid " + std::to_string(::getpid()));
    std::thread([&] {
        require_usable_thread();
        CHECK(describe_thread(root.inside.in(), root.own()) ==
              "pid " + std::to_string(::getpid()) + " (thread " + std::to_string(::gettid()) + ")");
    }).join();
}

}  // namespace root_pin_test

// linearizable_rounds.hpp - threads, or processes, at one object for many short rounds, whose histories are checked.
//
// Beside what linearizable.hpp asks of it, a specification has
//
//   using object                                    // the handle
//   static state initial()                          // ... and what prepare() makes of the object before each round
//   static void prepare(const object&)
//   static operation random(std::mt19937&, long value)
//   static void perform(const object&, operation&)  // calls it, and notes what came of it
//   operator<<(std::ostream&, const operation&)
//
// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <array>
#include <atomic>
#include <cstddef>
#include <random>
#include <span>
#include <sstream>
#include <thread>
#include <vector>

#include <doctest/doctest.h>

#include "shared_round.hpp"
#include "support/linearizable.hpp"
#include "support/scratch.hpp"

namespace cairn_test {

template <typename Specification>
class linearizable_rounds {
    using object = typename Specification::object;
    using event = timed<typename Specification::operation>;

    static constexpr unsigned callers = 3;
    static constexpr unsigned calls_each = 4;
    static constexpr std::size_t rounds = 400;

    // What the callers of all rounds have seen, in memory that they share.
    struct histories {
        meeting crew;
        std::atomic<std::uint64_t> clock{1};
        std::array<std::array<event, std::size_t{callers} * calls_each>, rounds> seen;
    };

public:
    explicit linearizable_rounds(object of) : object_(std::move(of)) {}

    void run_threads() {
        std::vector<std::thread> all;
        all.reserve(callers);
        for (unsigned caller = 0; caller < callers; ++caller)
            all.emplace_back([&, caller] { take_part(caller); });
        for (std::thread& t : all) t.join();
        check();
    }
    void run_processes() {
        std::vector<child> all;
        all.reserve(callers);
        for (unsigned caller = 0; caller < callers; ++caller)
            all.emplace_back([&, caller] { take_part(caller); });
        for (child& c : all) CHECK(c.join() == 0);
        check();
    }

private:
    // What each of the callers does; all begin each round together.
    void take_part(unsigned caller) {
        std::mt19937 random(seed_ * callers + caller);
        for (std::size_t round = 0; round < rounds; ++round) {
            histories_->crew.arrive_and_wait(callers);
            if (caller == 0) Specification::prepare(object_);
            histories_->crew.arrive_and_wait(callers);
            for (unsigned i = 0; i < calls_each; ++i) {
                event& e = histories_->seen[round][caller * calls_each + i];
                e.what = Specification::random(random, long{caller} * 10 + i);
                e.returned = never_returned;
                e.called = histories_->clock.fetch_add(1);
                Specification::perform(object_, e.what);
                e.returned = histories_->clock.fetch_add(1);
            }
        }
        // Who has ended is dead to the others, who are not through yet: a queue would write off what it had taken.
        histories_->crew.arrive_and_wait(callers);
    }

    void check() const {
        std::size_t overlapping = 0;
        for (const auto& history : histories_->seen) {
            overlapping += overlaps(std::span<const event>(history));
            if (linearizability<Specification>::holds(history, Specification::initial())) continue;
            std::ostringstream text;
            for (const event& e : history) text << e.called << ".." << e.returned << ": " << e.what << '\n';
            FAIL_CHECK("seed " << seed_ << ", no order explains this:\n" << text.str());
        }
        CHECK(overlapping > rounds / 10);  // else nothing has been tested
    }

    object object_;
    shared_with_children<histories> histories_;
    unsigned seed_ = std::random_device{}();
};

}  // namespace cairn_test

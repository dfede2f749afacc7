// list_model_kill_test.cpp - random operations on a list, most of them by a process that is killed at a random instruction.
// After each, the list is what a std::vector is before the operation, or what it is after it; and on it goes from there.
// The seed is printed when something does not hold; RC_PARAMS=seed=... repeats the operations and the instructions.
#include <cstdint>
#include <cstdio>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include <doctest/doctest.h>
#include <rapidcheck.h>

#include "support/crash/victim.hpp"
#include "support/list_model.hpp"
#include "support/opened.hpp"
#include "support/random_steps.hpp"
#include "support/scratch.hpp"
#include "support/values.hpp"
#include <cairn/manager.hpp>

using namespace cairn_test;

namespace {

constexpr int sequences = 12;  // for each type; a killed step takes some milliseconds
// Of the instructions that a victim may make, the first hundred on the way into the operation: 64 to 16383.
constexpr unsigned least_log2 = 6;
constexpr unsigned most_log2 = 13;

struct tally {
    int before = 0;        // killed, and nothing had happened
    int after = 0;         // killed, and it had happened
    int acknowledged = 0;  // was through before its turn came
};

// A list that victims work on, and another one, which lives quietly through the same, beside its model.
template <typename T>
class list_among_victims {
public:
    explicit list_among_victims(tally& t)
        : list_(m_.list<T>("l")), quiet_(std::in_place, quiet_m_.list<T>("l"), std::vector<T>{}), tally_(t) {}

    void run(const step& s) {
        pair_of_lists<T>(list_, quiet_->model()).run(s);
        quiet_->run(s);
        compare();
    }

    /// The same, by a process that makes so many instructions.
    void run_and_kill(const step& s, std::uint64_t instructions) {
        const std::vector<T> before = quiet_->model();
        victim v([&](stage& shared) {
            pair_of_lists<T> both(list_, before);
            shared.mark();
            both.run(s);
            shared.acknowledge();
            shared.mark();
        });
        bool runs = true;
        for (std::uint64_t i = 0; i < instructions && runs; ++i) runs = v.step();
        const bool acknowledged = v.is_acknowledged();
        v.kill();
        v.reap();

        quiet_->run(s);
        // A reader takes no lock where it need not; only then is the lock taken, and what is left repaired.
        const std::vector<T> seen = list_.snapshot();
        list_.for_each([](const T&) {});
        RC_ASSERT(list_.snapshot() == seen);
        if (acknowledged) {
            ++tally_.acknowledged;
        } else if (seen == before) {
            ++tally_.before;
            // The quiet list goes back, too.
            quiet_->list().clear();
            quiet_->list().extend(before);
            quiet_.emplace(quiet_->list(), before);
        } else {
            ++tally_.after;
        }
        compare();
    }

private:
    void compare() const {
        RC_ASSERT(list_.snapshot() == quiet_->model());
        RC_ASSERT(broken_invariant(list_) == "");
    }

    cairn::manager m_;
    cairn::manager quiet_m_;
    cairn::list<T> list_;
    std::optional<pair_of_lists<T>> quiet_;
    tally& tally_;
};

}  // namespace

TEST_CASE_TEMPLATE("a list whose writers are killed again and again does what a vector does, or nothing", T,
                   long, large_struct, std::string) {
    tally t;
    CHECK(holds_for_random_steps("list as vector, with kills", sequences, [&] {
        list_among_victims<T> l(t);
        for (const step& s : *steps()) {
            const std::uint64_t power = *rc::gen::inRange<std::uint64_t>(least_log2, most_log2 + 1);
            const std::uint64_t more = *rc::gen::inRange<std::uint64_t>(0, 1U << power);
            if (s.kind >= first_reading_kind || s.a % 4 == 0) l.run(s);
            else l.run_and_kill(s, (std::uint64_t{1} << power) + more);
        }
    }));
    std::printf("list model with kills: %d before, %d after, %d acknowledged\n", t.before, t.after,
                t.acknowledged);
    CHECK(t.before > 0);
    CHECK(t.acknowledged > 0);
}

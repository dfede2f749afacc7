// among_victims.hpp - random operations on an object, most of them by a process that is killed at a random instruction.
// After each, the object is what its model is before the operation, or what it is after it; and on it goes from there.
//
// A pair of an object and its model has
//
//   using handle, contents                                   // contents: copyable, ==
//   Pair(handle, contents)
//   void run(const step&)                                    // on both; asserts that results agree
//   void compare() const                                     // asserts that all else does
//   const handle& object(); const contents& model()
//   static handle open(const cairn::manager&)
//   static contents look(const handle&)
//   static contents settle(const handle&)   // after a death: what a reader sees, who takes no lock where he need not; then
//                                           // the lock is taken, what is left repaired, and nothing may have changed
//   static void make(const handle&, const contents&)         // makes the object what the contents say
//   static std::string broken(const handle&)                 // empty, or the first invariant that does not hold
//   static bool may_be_between(before, const step&, seen)    // if a step is more than one operation, somewhere in it
//
// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <cstdint>
#include <cstdio>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include <doctest/doctest.h>
#include <rapidcheck.h>

#include "support/crash/victim.hpp"
#include "support/random_steps.hpp"
#include <cairn/manager.hpp>

namespace cairn_test {

struct kill_tally {
    int before = 0;        // killed, and nothing had happened
    int between = 0;       // killed, and a part of a step had
    int after = 0;         // killed, and it had happened
    int acknowledged = 0;  // was through before its turn came
};

/// An object that victims work on, and another one, which lives quietly through the same, beside its model.
template <typename Pair>
class among_victims {
    using handle = typename Pair::handle;
    using contents = typename Pair::contents;

public:
    explicit among_victims(kill_tally& t)
        : object_(Pair::open(m_)), quiet_(std::in_place, Pair::open(quiet_m_), contents{}), tally_(t) {}

    void run(const step& s) {
        Pair both(object_, quiet_->model());
        both.run(s);
        both.compare();
        quiet_->run(s);
        compare();
    }

    /// The same, by a process that makes so many instructions.
    void run_and_kill(const step& s, std::uint64_t instructions) {
        const contents before = quiet_->model();
        victim v([&](stage& shared) {
            Pair both(object_, before);
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
        const contents seen = Pair::settle(object_);
        if (acknowledged) {
            ++tally_.acknowledged;
        } else if (seen == before) {
            ++tally_.before;
            set_quiet_back(before);
        } else if (seen != quiet_->model() && is_between(before, s, seen)) {
            ++tally_.between;
            set_quiet_back(seen);
        } else {
            ++tally_.after;
        }
        compare();
    }

private:
    static bool is_between(const contents& before, const step& s, const contents& seen) {
        if constexpr (requires { Pair::may_be_between(before, s, seen); })
            return Pair::may_be_between(before, s, seen);
        else return false;
    }
    void set_quiet_back(const contents& to) {
        const handle quiet = quiet_->object();
        Pair::make(quiet, to);
        quiet_.emplace(quiet, to);
    }
    void compare() const {
        quiet_->compare();
        RC_ASSERT(Pair::look(object_) == quiet_->model());
        RC_ASSERT(Pair::broken(object_) == "");
    }

    cairn::manager m_;
    cairn::manager quiet_m_;
    handle object_;
    std::optional<Pair> quiet_;
    kill_tally& tally_;
};

/// `is_one_operation`: whether a victim may run the step. Every fourth one lives.
template <typename Pair>
void check_model_with_kills(const std::string& what, const std::function<rc::Gen<std::vector<step>>()>& steps,
                            const std::function<bool(const step&)>& is_one_operation) {
    constexpr int sequences = 12;  // a killed step takes some milliseconds
    // Of the instructions that a victim may make, the first hundred on the way into the operation: 64 to 16383.
    constexpr unsigned least_log2 = 6;
    constexpr unsigned most_log2 = 13;
    kill_tally t;
    CHECK(holds_for_random_steps(what + ", with kills", sequences, [&] {
        among_victims<Pair> object(t);
        for (const step& s : *steps()) {
            const std::uint64_t power = *rc::gen::inRange<std::uint64_t>(least_log2, most_log2 + 1);
            const std::uint64_t more = *rc::gen::inRange<std::uint64_t>(0, 1U << power);
            if (!is_one_operation(s) || s.a % 4 == 0) object.run(s);
            else object.run_and_kill(s, (std::uint64_t{1} << power) + more);
        }
    }));
    std::printf("%s, with kills: %d before, %d in between, %d after, %d acknowledged\n", what.c_str(),
                t.before, t.between, t.after, t.acknowledged);
    CHECK(t.before > 0);
    CHECK(t.acknowledged > 0);
}

}  // namespace cairn_test

// dict_model_kill_test.cpp - random operations on a dict, most of them by a process that is killed at a random instruction.
// After each, the dict is what its model is before the operation, or what it is after it; and on it goes from there. The
// seed is printed when something does not hold; RC_PARAMS=seed=... repeats the operations and the instructions.
#include <cstdint>
#include <cstdio>
#include <optional>
#include <string>
#include <utility>

#include <doctest/doctest.h>
#include <rapidcheck.h>

#include "support/crash/victim.hpp"
#include "support/dict_model.hpp"
#include "support/random_steps.hpp"
#include <cairn/manager.hpp>

using namespace cairn_test;

namespace {

constexpr int sequences = 12;  // for each type; a killed step takes some milliseconds
// Of the instructions that a victim may make: 64 to 16383.
constexpr unsigned least_log2 = 6;
constexpr unsigned most_log2 = 13;

struct tally {
    int before = 0;        // killed, and nothing had happened
    int after = 0;         // killed, and it had happened
    int acknowledged = 0;  // was through before its turn came
};

// A dict that victims work on, and another one, which lives quietly through the same, beside its model.
template <typename K, typename V>
class dict_among_victims {
    using pair_of_both = dict_and_model<K, V>;

public:
    explicit dict_among_victims(tally& t) : quiet_(std::in_place, quiet_m_.dict<K, V>("d")), tally_(t) {}

    void run(const dict_step& s) {
        pair_of_both(dict_, quiet_->model()).run(s);
        quiet_->run(s);
    }

    /// The same, by a process that makes so many instructions.
    void run_and_kill(const dict_step& s, std::uint64_t instructions) {
        const auto before = quiet_->model();
        victim v([&](stage& shared) {
            pair_of_both both(dict_, before);
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
        const auto seen = dict_.snapshot();
        dict_.for_each([](const K&, const V&) {});
        RC_ASSERT(dict_.snapshot() == seen);
        if (acknowledged) {
            ++tally_.acknowledged;
        } else if (seen == before) {
            ++tally_.before;
            // The quiet dict goes back, too.
            const cairn::dict<K, V> quiet = quiet_->dict();
            quiet.clear();
            quiet.update(before);
            quiet_.emplace(quiet, before);
        } else {
            ++tally_.after;
        }
        RC_ASSERT(dict_.snapshot() == quiet_->model());
        RC_ASSERT(broken_dict(dict_) == "");
    }

private:
    cairn::manager m_;
    cairn::manager quiet_m_;
    cairn::dict<K, V> dict_ = m_.dict<K, V>("d");
    std::optional<pair_of_both> quiet_;
    tally& tally_;
};

template <typename K, typename V>
void check_with_kills() {
    tally t;
    CHECK(holds_for_random_steps("dict as vector of pairs, with kills", sequences, [&] {
        dict_among_victims<K, V> d(t);
        for (const dict_step& s : *dict_steps()) {
            const std::uint64_t power = *rc::gen::inRange<std::uint64_t>(least_log2, most_log2 + 1);
            const std::uint64_t more = *rc::gen::inRange<std::uint64_t>(0, 1U << power);
            if (s.kind == several_operations || s.a % 4 == 0) d.run(s);
            else d.run_and_kill(s, (std::uint64_t{1} << power) + more);
        }
    }));
    std::printf("dict model with kills: %d before, %d after, %d acknowledged\n", t.before, t.after,
                t.acknowledged);
    CHECK(t.before > 0);
    CHECK(t.acknowledged > 0);
}

}  // namespace

TEST_CASE("a dict of words whose writers are killed again and again does what its model does, or nothing") {
    check_with_kills<long, long>();
}
TEST_CASE("a dict of strings whose writers are killed again and again does what its model does, or nothing") {
    check_with_kills<std::string, std::string>();
}

// transaction_model_test.cpp - random operations in transactions, of which some are nested, and some throw, against the model of
// each container, which is put back as they are. After each transaction contents, invariants and blocks are compared.
// The seed is printed; RC_PARAMS=seed=... repeats a run.
//
// SPDX-License-Identifier: BSL-1.0
#include <cstdint>
#include <functional>
#include <optional>
#include <ostream>
#include <string>
#include <utility>
#include <vector>

#include <doctest/doctest.h>
#include <rapidcheck.h>

#include "support/scratch.hpp"
#include "support/shared_models.hpp"
#include <cairn/error.hpp>

namespace transaction_model_test {

using namespace cairn_test;

namespace {

constexpr int rc_steps = 25;  // sequences for each type; tools/dev stress runs more by RC_PARAMS

struct undone {};

// One transaction: some steps, others in a transaction inside it, and some after that.
struct group {
    std::vector<step> first;
    std::vector<step> inner;
    std::vector<step> last;
    bool inner_throws = false;
    bool throws = false;
};

void showValue(const group& g, std::ostream& to) {
    const auto show = [&](const std::vector<step>& steps) {
        for (const step& s : steps) showValue(s, to);
    };
    to << "\n  {";
    show(g.first);
    to << " [";
    show(g.inner);
    to << (g.inner_throws ? " throws] " : "] ");
    show(g.last);
    to << (g.throws ? " throws}" : "}");
}

rc::Gen<std::vector<group>> groups_of(int kinds, std::uint64_t a_end) {
    // Many transactions of few steps: what one step forgets to log another one, of many, would have logged before. The steps
    // are of full size however few they are: a small inRange() has its first kinds only.
    const auto one = rc::gen::resize(
        rc::kNominalSize,
        rc::gen::build<step>(rc::gen::set(&step::kind, rc::gen::inRange(0, kinds)),
                             rc::gen::set(&step::a, rc::gen::inRange<std::uint64_t>(0, a_end)),
                             rc::gen::set(&step::b, rc::gen::inRange<std::uint64_t>(0, 100'000))));
    const auto some = rc::gen::resize(6, rc::gen::container<std::vector<step>>(one));
    return rc::gen::scale(0.3, rc::gen::container<std::vector<group>>(rc::gen::build<group>(
                                   rc::gen::set(&group::first, some), rc::gen::set(&group::inner, some),
                                   rc::gen::set(&group::last, some), rc::gen::set(&group::inner_throws),
                                   rc::gen::set(&group::throws))));
}

// Steps that no transaction can have inside it become others.
template <typename T>
step inside(const pair_of_lists<T>& /*both*/, step s) {
    if (s.kind > first_reading_kind) s.kind = first_reading_kind;
    return s;
}
template <typename K, typename V>
step inside(const dict_and_model<K, V>& /*both*/, step s) {
    if (s.kind == several_operations) s.kind = 3;  // one of them alone may find no room for its log
    return s;
}
template <typename Q>
step inside(const queue_and_model<Q>& /*both*/, step s) {
    const bool leases =
        s.kind == lease_and_ack || s.kind == lease_and_release || s.kind == first_of_several_operations;
    if (leases) s.kind -= lease_and_ack;
    return s;
}

template <typename Pair>
class transaction_runner {
public:
    explicit transaction_runner(Pair both) : both_(std::move(both)) {}

    void run(const group& g) {
        const Pair before = both_;
        try {
            const auto size = both_.object().transaction([&](auto& tx) {
                static_cast<void>(tx);
                run(g.first);
                run_inner(g);
                run(g.last);
                if (g.throws) throw undone();
                return tx.size();
            });
            RC_ASSERT(size == both_.object().size());
        } catch (const undone&) {
            both_ = before;
        } catch (const cairn::segment_full&) {
            ++refusals_;
            both_ = before;
        }
        both_.compare();
    }
    void run_alone(const step& s) {
        try_step(s);
        both_.compare();
    }
    /// Until there is no room for more, and then takes a few away.
    void fill(const step& more, const step& fewer) {
        for (step s = more; refusals_ == 0; s.a += 100) run_alone(s);
        for (int i = 0; i < 40; ++i) run_alone(fewer);
    }

private:
    void run_inner(const group& g) {
        const Pair before = both_;
        try {
            both_.object().transaction([&](auto&) {
                run(g.inner);
                if (g.inner_throws) throw undone();
            });
        } catch (const undone&) {
            both_ = before;
        }
        require_same();
    }
    void run(const std::vector<step>& steps) {
        for (const step& s : steps) {
            try_step(inside(both_, s));
            require_same();
        }
    }
    void try_step(const step& s) {
        try {
            both_.run(s);
        } catch (const cairn::segment_full&) {
            ++refusals_;
        }
    }
    void require_same() const { RC_ASSERT(Pair::look(both_.object()) == both_.model()); }

    Pair both_;
    std::size_t refusals_ = 0;
};

struct few_pages {
    step more;
    step fewer;
};

// Every third transaction is followed by an operation of its own. With few_pages the segment is nearly full at the beginning.
template <typename Pair>
void check_transactions(int kinds, std::uint64_t a_end, const std::optional<few_pages>& full = std::nullopt) {
    CHECK(
        holds_for_random_steps("transactions", static_cast<int>(scaled(full ? rc_steps / 5 : rc_steps)), [&] {
            const cairn::manager m(full ? cairn::segment_options{.max_size = 256'000}
                                        : cairn::segment_options{});
            transaction_runner<Pair> runner(Pair(Pair::open(m), {}));
            if (full) runner.fill(full->more, full->fewer);
            for (const group& g : *groups_of(kinds, a_end)) {
                runner.run(g);
                if (!g.first.empty() && g.first.front().a % 3 == 0) runner.run_alone(g.first.front());
            }
        }));
}

constexpr int list_step_kinds = 24;

}  // namespace

TEST_CASE_TEMPLATE("transactions of a list are all or nothing, whatever is done inside", T, char, long,
                   large_struct, std::string, std::vector<int>) {
    check_transactions<pair_of_lists<T>>(list_step_kinds, 100'000);
}
TEST_CASE_TEMPLATE("transactions of a list in a segment that is too small are all or nothing", T, long,
                   std::string) {
    check_transactions<pair_of_lists<T>>(list_step_kinds, 100'000, few_pages{{3, 1, 39}, {7, 0, 0}});
}
TEST_CASE("transactions of a dict are all or nothing, whatever is done inside") {
    check_transactions<dict_and_model<long, long>>(dict_step_kinds, 400);
    check_transactions<dict_and_model<std::string, std::string>>(dict_step_kinds, 400);
    check_transactions<dict_and_model<long, std::string>>(dict_step_kinds, 400);
}
TEST_CASE("transactions of a dict in a segment that is too small are all or nothing") {
    check_transactions<dict_and_model<std::string, std::string>>(dict_step_kinds, 4000,
                                                                 few_pages{{6, 0, 89}, {5, 0, 0}});
}
TEST_CASE_TEMPLATE("transactions of a queue are all or nothing, whatever is done inside", Q,
                   cairn::queue<long>, cairn::queue<std::string>, cairn::queue<large_struct>,
                   cairn::lifo_queue<long>, cairn::lifo_queue<std::string>, cairn::priority_queue<long>,
                   cairn::priority_queue<std::string>) {
    check_transactions<queue_and_model<Q>>(queue_step_kinds, 100'000);
}

}  // namespace transaction_model_test

// linearizable_test.cpp - threads and processes at one list see what one caller after the other could have seen.
#include "support/linearizable.hpp"

#include <array>
#include <atomic>
#include <functional>
#include <random>
#include <span>
#include <sstream>
#include <string>
#include <thread>
#include <vector>

#include <sched.h>

#include <doctest/doctest.h>

#include "list_specification.hpp"
#include "shared_round.hpp"
#include "support/scratch.hpp"
#include <cairn/error.hpp>
#include <cairn/manager.hpp>

using namespace cairn_test;

namespace {

using call = list_specification::call;
using operation = list_specification::operation;
using event = timed<operation>;
using lists = linearizability<list_specification>;

constexpr unsigned callers = 3;
constexpr unsigned calls_each = 4;
constexpr std::size_t rounds = 400;

event returned(std::uint64_t from, std::uint64_t to, call what, std::size_t index, long value, long result) {
    return {from, to, {.what = what, .index = index, .value = value, .is_known = true, .result = result}};
}

bool explains(const std::vector<event>& history, const std::vector<long>& initial = {}) {
    return lists::holds(history, initial);
}

// What the callers of all rounds have seen, in memory that they share.
struct histories {
    meeting crew;
    std::atomic<std::uint64_t> clock{1};
    std::array<std::array<event, std::size_t{callers} * calls_each>, rounds> seen;
};

operation random_call(std::mt19937& random, long value) {
    operation o;
    o.what = static_cast<call>(random() % 9);
    o.index = random() % 3;
    o.value = value;
    return o;
}

void perform(const cairn::list<long>& l, operation& o) {
    try {
        switch (o.what) {
            case call::push_back: l.push_back(o.value); break;
            case call::pop: o.result = l.pop(); break;
            case call::pop_at: o.result = l.pop(o.index); break;
            case call::insert: l.insert(o.index, o.value); break;
            case call::erase: l.erase(o.index); break;
            case call::set: l.set(o.index, o.value); break;
            case call::get: o.result = l.at(o.index); break;
            case call::add:
                l.update(o.index, [&](long& v) {
                    o.result = v;
                    ::sched_yield();  // on one processor, too, others come meanwhile
                    v += o.value;
                });
                break;
            case call::size: o.result = static_cast<long>(l.size()); break;
        }
    } catch (const cairn::index_error&) {
        o.is_refused = true;
    }
    o.is_known = true;
}

// What each of the callers does; all begin each round together, with a list of {100, 200}.
void take_part(const cairn::list<long>& l, histories& h, unsigned caller, unsigned seed) {
    std::mt19937 random(seed * callers + caller);
    for (std::size_t round = 0; round < rounds; ++round) {
        h.crew.arrive_and_wait(callers);
        if (caller == 0) {
            l.clear();
            l.extend({100, 200});
        }
        h.crew.arrive_and_wait(callers);
        for (unsigned i = 0; i < calls_each; ++i) {
            event& e = h.seen[round][caller * calls_each + i];
            e.what = random_call(random, long{caller} * 10 + i);
            e.returned = never_returned;
            e.called = h.clock.fetch_add(1);
            perform(l, e.what);
            e.returned = h.clock.fetch_add(1);
        }
    }
}

void check(const histories& h, unsigned seed) {
    std::size_t overlapping = 0;
    for (const auto& history : h.seen) {
        overlapping += overlaps(std::span<const event>(history));
        if (lists::holds(history, {100, 200})) continue;
        std::ostringstream text;
        for (const event& e : history) text << e.called << ".." << e.returned << ": " << e.what << '\n';
        FAIL_CHECK("seed " << seed << ", no order explains this:\n" << text.str());
    }
    CHECK(overlapping > rounds / 10);  // else nothing has been tested
}

}  // namespace

TEST_CASE("a history is linearizable when some order of its operations explains every result") {
    CHECK(explains({}));
    CHECK(explains({returned(1, 4, call::push_back, 0, 7, 0), returned(2, 3, call::size, 0, 0, 0)}));
    CHECK(explains({returned(1, 4, call::push_back, 0, 7, 0), returned(2, 3, call::size, 0, 0, 1)}));
    // Two appends at once, in either order, but in the same one for all who look.
    const event a = returned(1, 10, call::push_back, 0, 1, 0);
    const event b = returned(2, 11, call::push_back, 0, 2, 0);
    CHECK(explains({a, b, returned(12, 13, call::get, 0, 0, 1), returned(14, 15, call::get, 1, 0, 2)}));
    CHECK(explains({a, b, returned(12, 13, call::get, 0, 0, 2), returned(14, 15, call::get, 1, 0, 1)}));
    CHECK_FALSE(explains({a, b, returned(12, 13, call::get, 0, 0, 1), returned(14, 15, call::get, 0, 0, 2)}));
}

TEST_CASE("a history that no order explains is rejected") {
    // A reader that misses what was acknowledged before it came.
    CHECK_FALSE(explains({returned(1, 2, call::push_back, 0, 7, 0), returned(3, 4, call::size, 0, 0, 0)}));
    // An element that two have got.
    CHECK_FALSE(explains({returned(1, 4, call::pop, 0, 0, 7), returned(2, 3, call::pop, 0, 0, 7)}, {5, 7}));
    // An update that is lost.
    CHECK_FALSE(explains({returned(1, 4, call::add, 0, 1, 5), returned(2, 3, call::add, 0, 1, 5)}, {5}));
    CHECK(explains({returned(1, 4, call::add, 0, 1, 5), returned(2, 3, call::add, 0, 1, 6)}, {5}));
    // A change that one has seen and another, later, has not.
    CHECK_FALSE(explains({returned(1, 9, call::set, 0, 8, 0), returned(2, 3, call::get, 0, 0, 8),
                          returned(4, 5, call::get, 0, 0, 5)},
                         {5}));
    // A refusal in a list that was never that short.
    event refused = returned(1, 2, call::pop, 0, 0, 0);
    refused.what.is_refused = true;
    CHECK_FALSE(explains({refused}, {5}));
    CHECK(explains({refused}));
}

TEST_CASE("an operation whose process was killed has happened at some time, or never") {
    const event killed = {1, never_returned, {.what = call::push_back, .value = 7}};
    CHECK(explains({killed, returned(2, 3, call::size, 0, 0, 0)}));
    CHECK(explains({killed, returned(2, 3, call::size, 0, 0, 1)}));
    CHECK(explains({killed, returned(2, 3, call::size, 0, 0, 0), returned(4, 5, call::size, 0, 0, 1)}));
    CHECK_FALSE(explains({killed, returned(2, 3, call::size, 0, 0, 1), returned(4, 5, call::size, 0, 0, 0)}));
    CHECK_FALSE(explains({killed, returned(2, 3, call::size, 0, 0, 2)}));
}

TEST_CASE("what threads see of a list is linearizable") {
    const cairn::manager m;
    const auto l = m.list<long>("l");
    const shared_with_children<histories> h;
    const unsigned seed = std::random_device{}();
    std::vector<std::thread> all;
    all.reserve(callers);
    for (unsigned caller = 0; caller < callers; ++caller)
        all.emplace_back([&, caller] { take_part(l, *h, caller, seed); });
    for (std::thread& t : all) t.join();
    check(*h, seed);
}

TEST_CASE("what processes see of a list is linearizable") {
    const cairn::manager m;
    const auto l = m.list<long>("l");
    const shared_with_children<histories> h;
    const unsigned seed = std::random_device{}();
    std::vector<child> all;
    all.reserve(callers);
    for (unsigned caller = 0; caller < callers; ++caller)
        all.emplace_back([&, caller] { take_part(l, *h, caller, seed); });
    for (child& c : all) CHECK(c.join() == 0);
    check(*h, seed);
}

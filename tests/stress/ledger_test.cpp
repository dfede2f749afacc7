// ledger_test.cpp - that the book-keeping of a storm notices what it is there to notice.
// SPDX-License-Identifier: BSL-1.0
#include "support/storm/ledger.hpp"

#include <string>
#include <vector>

#include <doctest/doctest.h>

#include "support/storm/journal.hpp"

namespace ledger_test {

using namespace cairn_test;

namespace {

using tokens = std::vector<token>;

struct death {};

// Two actors who write down what they are told to.
class desk {
public:
    tokens add(std::uint16_t count = 1, bool dies = false) { return add_by(first_, count, dies); }
    tokens add_by_another() { return add_by(second_, 1, false); }
    void take(token t, bool dies = false) {
        note(deed::take, 0, 1, dies, [&](cairn_test::note& n) { n.result = t; });
    }
    void discard(std::uint16_t count, bool dies = false) {
        note(deed::discard, 0, count, dies, [](auto&) {});
    }
    // Up to `most` at once.
    void take_several(std::uint16_t most, const tokens& all, bool dies = false) {
        note(deed::take, 0, most, dies, [&](cairn_test::note& n) { first_.got(n, all); });
    }
    void acknowledge(token t, bool dies = false) {
        note(deed::acknowledge, 0, 1, dies, [&](cairn_test::note& n) { n.result = t; });
    }
    void finish(bool dies = false) {
        note(deed::finish, 0, 1, dies, [](auto&) {});
    }
    [[nodiscard]] ledger::finished_count finished() const { return ledger(book_).finished(7); }
    token replace(token old, bool dies = false) {
        const token fresh = first_.new_tokens();
        note(deed::replace, fresh, 1, dies, [&](cairn_test::note& n) { n.result = old; });
        return fresh;
    }
    [[nodiscard]] std::string problem(const tokens& present, token_order order = token_order::none) const {
        return ledger(book_).problem(7, present, order);
    }
    [[nodiscard]] ledger balance() const { return ledger(book_); }

private:
    tokens add_by(actor& by, std::uint16_t count, bool dies) {
        const token first = by.new_tokens(count);
        try {
            by.perform(7, deed::add, first, count, [&](cairn_test::note&) {
                if (dies) throw death{};
            });
        } catch (const death&) {}
        tokens all;
        for (token t = first; t < first + count; ++t) all.push_back(t);
        return all;
    }
    template <typename Fn>
    void note(deed what, token first, std::uint16_t count, bool dies, Fn fn) {
        try {
            first_.perform(7, what, first, count, [&](cairn_test::note& n) {
                if (dies) throw death{};
                fn(n);
            });
        } catch (const death&) {}
    }

    journal_book book_{1 << 20};
    actor first_{book_, 1};
    actor second_{book_, 1};
};

}  // namespace

TEST_CASE("a ledger: what was acknowledged must be there, once, or be accounted for") {
    desk d;
    const tokens a = d.add(5);
    CHECK(d.problem(a) == "");
    CHECK(d.problem({a[0], a[1], a[2], a[4]}) != "");
    CHECK(d.problem({a[0], a[1], a[2], a[3], a[4], a[4]}) != "");
    d.take(a[1]);
    CHECK(d.problem({a[0], a[2], a[3], a[4]}) == "");
    CHECK(d.problem(a) != "");  // still there although somebody has it
    d.discard(2);
    CHECK(d.problem({a[0], a[4]}) == "");
    CHECK(d.problem({a[0], a[3], a[4]}) != "");  // one too few
    CHECK(d.problem({a[4]}) != "");              // one too many
    const token fresh = d.replace(a[4]);
    CHECK(d.problem({a[0], fresh}) == "");
    CHECK(d.problem({a[0], a[4]}) != "");
    CHECK(d.problem({a[0], fresh, fresh + 1}) != "");  // by nobody
    CHECK(d.balance().operations() == 4);
}

TEST_CASE("a ledger: what was in flight has happened or not, but not in part") {
    desk d;
    const tokens kept = d.add(3);
    const tokens perhaps = d.add(4, true);
    CHECK(d.problem(kept) == "");
    tokens all = kept;
    all.insert(all.end(), perhaps.begin(), perhaps.end());
    CHECK(d.problem(all) == "");
    CHECK(d.problem({kept[0], kept[1], kept[2], perhaps[1]}) != "");
    d.take(0, true);
    CHECK(d.problem({kept[0], kept[2]}) == "");
    CHECK(d.problem({kept[0]}) != "");
    const token fresh = d.replace(0, true);
    CHECK(d.problem({kept[0], kept[1], kept[2], fresh}) == "");  // the take has taken what was replaced
    CHECK(d.problem({kept[0], fresh}) == "");
    CHECK(d.problem({fresh}) != "");
    CHECK(d.balance().in_flight() == 3);
}

TEST_CASE("a ledger: of a line, what is there is in order and without gaps, and so is what each taker got") {
    const auto in_order = token_order::first_in_first_out;
    desk d;
    const token a = d.add()[0];
    const token b = d.add_by_another()[0];
    const token c = d.add()[0];
    const token e = d.add()[0];
    CHECK(d.problem({a, b, c, e}, in_order) == "");
    CHECK(d.problem({b, a, c, e}, in_order) == "");
    CHECK(d.problem({a, b, e, c}, in_order) != "");
    d.discard(1);
    CHECK(d.problem({b, c, e}, in_order) == "");
    CHECK(d.problem({a, b, e}, in_order) != "");
    d.take(c);
    CHECK(d.problem({b, e}, in_order) == "");
    d.take(e);
    CHECK(d.problem({b}, in_order) == "");
    desk other;
    const tokens two = other.add(2);
    other.take(two[1]);
    other.take(two[0]);
    CHECK(other.problem({}, in_order) != "");
    CHECK(other.problem({}) == "");
}

TEST_CASE(
    "a ledger: of several that were taken as one each is out, and of a taker that died as many at most") {
    desk d;
    const tokens a = d.add(9);
    d.take_several(4, {a[0], a[1], a[2]});
    const tokens rest(a.begin() + 3, a.end());
    CHECK(d.problem(rest, token_order::first_in_first_out) == "");
    CHECK(d.problem({a[1], a[3], a[4], a[5], a[6], a[7], a[8]}) != "");
    CHECK(d.problem({a[4], a[5], a[6], a[7], a[8]}) != "");
    d.take_several(4, {});
    CHECK(d.problem(rest) == "");
    d.take_several(3, {}, true);
    CHECK(d.problem(rest) == "");
    CHECK(d.problem({a[6], a[7], a[8]}) == "");
    CHECK(d.problem({a[7], a[8]}) != "");
    desk other;
    const tokens b = other.add(3);
    other.take_several(3, {b[0], b[2], b[1]});
    CHECK(other.problem({}, token_order::first_in_first_out) != "");
    CHECK(other.problem({}) == "");
}

TEST_CASE("a ledger: what was dealt with is counted, and what was under way when its actor died perhaps") {
    desk d;
    const tokens a = d.add(6);
    CHECK(d.finished().most == 0);
    d.take(a[0]);
    d.finish();
    d.acknowledge(a[1]);
    CHECK(d.finished().least == 2);
    CHECK(d.finished().most == 2);
    CHECK(d.problem({a[2], a[3], a[4], a[5]}) == "");
    CHECK(d.problem({a[1], a[2], a[3], a[4], a[5]}) != "");
    d.finish(true);
    d.acknowledge(a[2], true);
    CHECK(d.finished().least == 2);
    CHECK(d.finished().most == 4);
    CHECK(d.problem({a[2], a[3], a[4], a[5]}) == "");
    CHECK(d.problem({a[3], a[4], a[5]}) == "");
    CHECK(d.problem({a[4], a[5]}) != "");
}

}  // namespace ledger_test

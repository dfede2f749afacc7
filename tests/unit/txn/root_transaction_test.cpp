// root_transaction_test.cpp - the undo log and its replay: what is not committed is taken back, by the thread itself or,
// when its process died, by the next one.
//
// SPDX-License-Identifier: BSL-1.0
#include <atomic>
#include <chrono>
#include <cstring>
#include <functional>
#include <string>
#include <thread>
#include <vector>

#include <unistd.h>

#include <doctest/doctest.h>

#include "support/opened.hpp"
#include "support/scratch.hpp"
#include <cairn/manager.hpp>

namespace root_transaction_test {

using namespace cairn_test;
using namespace cairn::detail;

namespace {

using longs = std::vector<long>;

// A list of 0, 1, ... with its inside showing.
struct opened {
    cairn::manager m;
    cairn::list<long> l;
    opened_list<long> inside;

    explicit opened(long count = 10) : l(m.list<long>("l")), inside(l) {
        longs values(static_cast<std::size_t>(count));
        for (long i = 0; i < count; ++i) values[static_cast<std::size_t>(i)] = i;
        l.extend(values);
    }
    [[nodiscard]] longs expected(long count) const {
        longs values(static_cast<std::size_t>(count));
        for (long i = 0; i < count; ++i) values[static_cast<std::size_t>(i)] = i;
        return values;
    }
    [[nodiscard]] std::uint64_t used_pages() const {
        return inside.in().committed_pages() - inside.in().control().free_pages;
    }
    [[nodiscard]] root_slot& slot() const { return inside.slot(); }
    void in_transaction(const std::function<void(root_transaction&)>& body) const {
        root_transaction tx(inside.in(), inside.slot(), inside.generation());
        tx.begin_change();
        body(tx);
    }
    [[nodiscard]] std::uint64_t* element(root_transaction& tx, std::uint64_t index) const {
        return reinterpret_cast<std::uint64_t*>(element_at(tx, inside.node_ref(), index));
    }
    // The same in a child that dies inside it.
    void die_in_transaction(const std::function<void(root_transaction&)>& body) const {
        REQUIRE(in_child([&] {
                    in_transaction([&](root_transaction& tx) {
                        body(tx);
                        ::_exit(0);
                    });
                }) == 0);
    }
};

void overwrite(const opened& o, root_transaction& tx, std::uint64_t first, std::uint64_t last) {
    for (std::uint64_t i = first; i < last; ++i) tx.store(*o.element(tx, i), 1'000'000 + i);
}

}  // namespace

TEST_CASE("a transaction that goes out of scope without a commit leaves nothing") {
    const opened o;
    o.in_transaction([&](root_transaction& tx) {
        overwrite(o, tx, 0, 10);
        CHECK(tx.has_uncommitted());
    });
    CHECK(o.l == o.expected(10));
    CHECK(broken_invariant(o.l) == "");
}

TEST_CASE("a transaction that was committed stays, what came after the commit does not") {
    const opened o;
    o.in_transaction([&](root_transaction& tx) {
        tx.store(*o.element(tx, 0), 77);
        tx.commit();
        tx.store(*o.element(tx, 1), 88);
    });
    CHECK(o.l.at(0) == 77);
    CHECK(o.l.at(1) == 1);
    CHECK(broken_invariant(o.l) == "");
}

TEST_CASE("records of 1, 2, 4 and 8 bytes and of ranges are put back exactly") {
    const opened o;
    o.in_transaction([&](root_transaction& tx) {
        auto* bytes = reinterpret_cast<std::uint8_t*>(o.element(tx, 0));
        tx.store(bytes[3], 0xff);
        tx.store(*reinterpret_cast<std::uint16_t*>(bytes + 10), 0xffff);
        tx.store(*reinterpret_cast<std::uint32_t*>(bytes + 20), 0xffffffff);
        tx.store(*o.element(tx, 3), ~std::uint64_t{0});
        tx.log(o.element(tx, 4), 40);
        std::memset(o.element(tx, 4), 0xee, 40);
        // the same word twice: the oldest bytes win
        tx.store(*o.element(tx, 3), 5);
    });
    CHECK(o.l == o.expected(10));
}

TEST_CASE("a log that spills over many areas is rolled back whole, and its areas are given back") {
    const opened o(200'000);
    const std::uint64_t used = o.used_pages();
    o.in_transaction([&](root_transaction& tx) { overwrite(o, tx, 0, 200'000); });
    CHECK(o.l == o.expected(200'000));
    CHECK(broken_invariant(o.l) == "");
    CHECK(o.used_pages() == used);
    o.in_transaction([&](root_transaction& tx) {
        overwrite(o, tx, 0, 200'000);
        tx.commit();
    });
    CHECK(o.l.at(199'999) == 1'199'999);
    CHECK(broken_invariant(o.l) == "");
    CHECK(o.used_pages() == used);
}

TEST_CASE("one record may be larger than 64 KiB") {
    const opened o(100'000);
    o.in_transaction([&](root_transaction& tx) {
        // Elements 65 520 and on lie side by side.
        auto* first = o.element(tx, 65'520);
        tx.log(first, 30'000 * 8);
        std::memset(first, 0xee, 30'000 * 8);
    });
    CHECK(o.l == o.expected(100'000));
}

TEST_CASE("the last bytes of a long record go where they fit in a piece of the log") {
    const opened o(100'000);
    o.in_transaction([&](root_transaction& tx) {
        auto* first = o.element(tx, 65'520);
        // The log in the control block, one of 64 KiB, and a record of one of 256 KiB. What is left there is three of the longest records,
        // and one of 200 bytes.
        tx.log(first, 1016 + 65'512 + 65'304);
        const std::uint64_t pages = o.slot().extent_pages;
        tx.log(first, 3 * log_record_max_bytes + 200);
        CHECK(o.slot().extent_pages == pages);
        std::memset(first, 0xee, 3 * log_record_max_bytes + 200);
    });
    CHECK(o.l == o.expected(100'000));
}

TEST_CASE("a sort in a transaction needs no more pages where its log has room") {
    const cairn::manager m(cairn::segment_options{.max_size = 4 << 20, .initial_size = 4 << 20});
    const auto l = m.list<long>("l");
    const opened_list<long> others(m.list<long>("others"));
    longs values(1100);
    for (std::size_t i = 0; i < values.size(); ++i) values[i] = static_cast<long>(i);
    l.extend(values);
    l.transaction([&](auto& tx) {
        tx.sort(std::greater<>());
        std::jthread([&] {
            root_transaction all(others.in(), others.slot(), others.generation());
            all.begin_change();
            while (others.in().control().free_pages != 0)
                static_cast<void>(all.take_pages(1, extent_purpose::large));
            all.commit();
        }).join();
        tx.sort();
    });
    CHECK(l == values);
    CHECK(broken_invariant(l) == "");
}

TEST_CASE("a transaction that has no room for its log throws segment_full and leaves nothing") {
    const cairn::manager m(cairn::segment_options{.max_size = 700'000});
    const auto l = m.list<long>("l");
    longs values(20'000, 3);
    l.extend(values);
    const opened_list<long> inside(l);
    const auto fill_log = [&] {
        root_transaction tx(inside.in(), inside.slot(), inside.generation());
        tx.begin_change();
        for (int round = 0; round < 100; ++round)
            for (std::uint64_t i = 0; i < values.size(); ++i)
                tx.store(*reinterpret_cast<std::uint64_t*>(element_at(tx, inside.node_ref(), i)), i);
    };
    CHECK_THROWS_AS(fill_log(), cairn::segment_full);
    CHECK(l == values);
    CHECK(broken_invariant(l) == "");
    l.push_back(4);
    CHECK(l.size() == 20'001);
}

TEST_CASE("what a process had begun when it died is taken back by the next one, and counted") {
    const opened o(100'000);
    for (const std::uint64_t touched :
         {std::uint64_t{0}, std::uint64_t{1}, std::uint64_t{50}, std::uint64_t{100'000}}) {
        CAPTURE(touched);
        const std::uint64_t recoveries = o.slot().recovery_count;
        o.die_in_transaction([&](root_transaction& tx) { overwrite(o, tx, 0, touched); });
        CHECK(o.slot().version % 2 == 1);
        o.l.push_back(100'000);  // an operation that only stores the size: it must repair first, too
        CHECK(o.slot().recovery_count == recoveries + 1);
        CHECK(o.slot().last_undone_bytes == (touched == 0 ? o.slot().last_undone_bytes : 8 * touched));
        CHECK(o.l.pop() == 100'000);
        CHECK(o.l == o.expected(100'000));
        CHECK(broken_invariant(o.l) == "");
    }
}

TEST_CASE("a reader that finds a dead writer repairs and sees the state before") {
    const opened o;
    o.die_in_transaction([&](root_transaction& tx) { overwrite(o, tx, 0, 10); });
    CHECK(o.l.at(3) == 3);
    CHECK(broken_invariant(o.l) == "");
    o.die_in_transaction([&](root_transaction& tx) { overwrite(o, tx, 0, 10); });
    CHECK(o.l.snapshot() == o.expected(10));
    o.die_in_transaction([&](root_transaction& tx) { overwrite(o, tx, 0, 10); });
    CHECK(o.l.size() == 10);
    CHECK(broken_invariant(o.l) == "");
}

TEST_CASE("a log that is not empty is replayed although nobody died") {
    const opened o;
    auto& slot = o.slot();
    const std::uint64_t old = 3;
    std::uint64_t word = 0;
    o.in_transaction(
        [&](root_transaction& tx) { word = log_record_word(o.inside.in().offset_of(o.element(tx, 3)), 8); });
    std::memcpy(slot.log, &old, 8);
    std::memcpy(slot.log + 8, &word, 8);
    o.l.set(3, 999);
    slot.log_head = 16;
    CHECK(o.l.size() == 10);  // the version was even: no reader had a reason to look at the log
    o.l.push_back(10);
    CHECK(o.l == o.expected(11));
    CHECK(broken_invariant(o.l) == "");
}

TEST_CASE("extents that a dead process had taken go back to the segment") {
    const opened o;
    const std::uint64_t used = o.used_pages();
    o.die_in_transaction([&](root_transaction& tx) {
        static_cast<void>(allocate(tx, 3 << 20));
        static_cast<void>(allocate(tx, 100));
        static_cast<void>(allocate(tx, 5000));
    });
    CHECK(o.used_pages() > used);
    o.l.push_back(10);
    CHECK(o.used_pages() == used);
    CHECK(broken_invariant(o.l) == "");
}

TEST_CASE("a damaged log poisons its object with a reason, and nothing else") {
    const opened o;
    const auto other = o.m.list<long>("other", {1});
    const auto damage = [&](const std::function<void(root_slot&)>& how) {
        const auto l = o.m.list<long>("victim", {1, 2, 3});
        const opened_list<long> inside(l);
        REQUIRE(in_child([&] {
                    root_transaction tx(inside.in(), inside.slot(), inside.generation());
                    tx.begin_change();
                    how(inside.slot());
                    ::_exit(0);
                }) == 0);
        CHECK_THROWS_AS(l.push_back(4), cairn::object_poisoned);
        CHECK_THROWS_AS(static_cast<void>(l.size()), cairn::object_poisoned);
        CHECK_THROWS_AS(static_cast<void>(l.at(0)), cairn::object_poisoned);
        CHECK_THROWS_AS(l.clear(), cairn::object_poisoned);
        const std::string text = thrown_by<cairn::object_poisoned>([&] { l.sort(); });
        CHECK(contains(text, "list 'victim' in anonymous segment"));
        CHECK(contains(text, "damaged beyond repair"));
        CHECK(contains(text, "shmctl rm"));
        CHECK_THROWS_AS(o.m.list<long>("victim"), cairn::object_poisoned);
        other.push_back(1);
        CHECK(o.m.remove("victim"));
        const auto next = o.m.list<long>("victim");
        CHECK(next.empty());
        CHECK(broken_invariant(next) == "");  // in the same control block, whose version is even again
        CHECK_THROWS_AS(static_cast<void>(l.size()), cairn::object_gone);
        CHECK(o.m.remove("victim"));
    };
    damage([](root_slot& slot) { slot.log_head = 8; });  // less than a record
    damage([](root_slot& slot) {
        std::memset(slot.log, 0, 16);  // a record of no bytes
        slot.log_head = 16;
    });
    damage([](root_slot& slot) {
        const std::uint64_t record = log_record_word(100, 8);  // into the header of the segment
        std::memcpy(slot.log + 8, &record, 8);
        slot.log_head = 16;
    });
    damage([](root_slot& slot) {
        const std::uint64_t record = log_record_word(std::uint64_t{1} << 46, 8);  // behind its end
        std::memcpy(slot.log + 8, &record, 8);
        slot.log_head = 16;
    });
    damage([](root_slot& slot) { slot.log_head = root_log_bytes + 16; });
    damage([](root_slot& slot) {
        slot.log_head = std::uint64_t{0xffffff} << 32 | 64;
    });  // an area that is not there
    damage([](root_slot& slot) { slot.log_head = std::uint64_t{1} << 32 | 64; });  // an area that is none
    CHECK(broken_invariant(o.l) == "");
    CHECK(other.size() == 8);
}

TEST_CASE(
    "a stored operation that a dead process left is finished by the next one, and readers may look again") {
    struct unfinished {
        operation_kind kind;
        std::vector<std::uint64_t> arguments;
        longs result;
    };
    const std::vector<unfinished> all = {
        {operation_kind::list_erase, {2, 5, 10}, {0, 1, 5, 6, 7, 8, 9}},
        {operation_kind::list_reverse, {10}, {9, 8, 7, 6, 5, 4, 3, 2, 1, 0}},
    };
    for (const unfinished& u : all) {
        const opened o;
        o.die_in_transaction([&](root_transaction& tx) {
            stored_operation& op = tx.slot().operation;
            tx.store(op.phase, 0);
            tx.store(op.node, tx.in().offset_of(&o.inside.node_ref()));
            tx.store(op.progress, 0);
            for (std::size_t i = 0; i < u.arguments.size(); ++i) tx.store(op.arguments[i], u.arguments[i]);
            tx.store(op.kind, static_cast<std::uint32_t>(u.kind));
            tx.commit();
        });
        {
            // A transaction that changes something: from here on the version must be odd, and even afterwards.
            root_transaction tx(o.inside.in(), o.slot(), o.inside.generation());
            CHECK(o.slot().version % 2 == 0);
            tx.begin_change();
            CHECK(o.slot().version % 2 == 1);
        }
        CHECK(o.slot().version % 2 == 0);
        CHECK(o.l == u.result);
        CHECK(broken_invariant(o.l) == "");
        CHECK(o.slot().last_operation == static_cast<std::uint32_t>(u.kind));
    }
}

TEST_CASE("an unfinished operation that makes no sense poisons its object") {
    const opened o;
    o.die_in_transaction([&](root_transaction& tx) {
        tx.store(tx.slot().operation.node, 8);
        tx.store(tx.slot().operation.kind, 99);
        tx.commit();
    });
    CHECK_THROWS_AS(o.l.push_back(1), cairn::error);
    CHECK_THROWS_AS(o.l.push_back(1), cairn::object_poisoned);
    CHECK(o.m.remove("l"));
}

TEST_CASE("generation and version of a control block only grow when it is used again") {
    const cairn::manager m;
    std::uint64_t generation = 0;
    std::uint64_t version = 0;
    root_slot* slot = nullptr;
    for (int i = 0; i < 20; ++i) {
        const auto l = m.list<long>("l", {1, 2});
        const opened_list<long> inside(l);
        if (slot != nullptr) REQUIRE(&inside.slot() == slot);
        slot = &inside.slot();
        CHECK(inside.generation() > generation);
        CHECK(slot->version >= version);
        CHECK(slot->version % 2 == 0);
        l.erase(0);
        generation = inside.generation();
        version = slot->version;
        REQUIRE(m.remove("l"));
        CHECK(slot->version > version);
    }
}

TEST_CASE("a private view of what a dead writer has left is nobody's, also when somebody repairs the object "
          "meanwhile") {
    const opened o;
    o.die_in_transaction([&](root_transaction& tx) { overwrite(o, tx, 0, 5); });
    const segment_ptr view = private_view(o.inside.in(), o.slot());
    auto& seen = *view->at<root_slot>(o.inside.in().offset_of(&o.slot()));
    std::atomic<bool> has_looked = false;
    std::thread reader;
    {
        const root_transaction repaired(o.inside.in(), o.slot(), o.inside.generation());
        reader = std::thread([&] {
            const root_transaction tx(*view, seen, o.inside.generation());
            has_looked = true;
        });
        // As long as the lock is held here.
        for (int i = 0; i < 5000 && !has_looked; ++i)
            std::this_thread::sleep_for(std::chrono::milliseconds(1));
        CHECK(has_looked);
    }
    reader.join();
    CHECK(o.l == o.expected(10));
}

TEST_CASE("what the segment has grown by for an undone try goes back, also if another one was committed") {
    const cairn::manager m({.max_size = 32 << 20});
    const opened_list<char> l(m.list<char>("l"));
    const std::uint64_t before = m.stats().real_bytes;
    {
        root_transaction tx(l.in(), l.slot(), l.generation());
        tx.begin_change();
        tx.take_pages(4096, extent_purpose::large);
        tx.roll_back();
        const std::uint32_t page = tx.take_pages(1, extent_purpose::large);
        tx.commit();
        tx.free_pages(page, 1);
        tx.commit();
    }
    CHECK(m.stats().real_bytes < before + (1 << 20));
    CHECK(broken_invariant(m.list<char>("l")) == "");
}

}  // namespace root_transaction_test

// transaction_test.cpp - what transaction(fn) promises: several operations as one, and what may be done inside.
// SPDX-License-Identifier: BSL-1.0
#include <atomic>
#include <cerrno>
#include <chrono>
#include <functional>
#include <memory>
#include <optional>
#include <stdexcept>
#include <string>
#include <thread>
#include <type_traits>
#include <utility>
#include <vector>

#include <pthread.h>
#include <sys/wait.h>
#include <unistd.h>

#include <doctest/doctest.h>

#include "support/crowding.hpp"
#include "support/opened.hpp"
#include "support/opened_queue.hpp"
#include "support/scratch.hpp"
#include <cairn/cairn.hpp>

namespace transaction_test {

using namespace cairn_test;
using namespace std::chrono_literals;

namespace {

using action = std::function<void()>;
using longs = std::vector<long>;

struct undone {};

// Every operation on `l`, and more, is refused.
void check_refused(const std::vector<std::pair<const char*, action>>& all) {
    for (const auto& [what, run] : all) {
        INFO(what);
        CHECK_THROWS_AS(run(), cairn::would_deadlock);
    }
}

}  // namespace

TEST_CASE("a transaction returns what its callable returns") {
    const cairn::manager m;
    const auto l = m.list<long>("l", {1, 2});
    CHECK(l.transaction([](auto& tx) {
        tx.push_back(3);
        return tx.size();
    }) == 3);
    static_assert(std::is_void_v<decltype(l.transaction([](auto&) {}))>);
    long outside = 7;
    long& same = l.transaction([&](auto&) -> long& { return outside; });
    CHECK(&same == &outside);
    CHECK(*l.transaction([](auto&) { return std::make_unique<int>(5); }) == 5);
}

TEST_CASE("an exception out of a transaction takes everything back, and comes through") {
    const cairn::manager m;
    const auto l = m.list<std::string>("l", {"a", "b"});
    CHECK_THROWS_AS(l.transaction([](auto& tx) {
        tx.push_back("c");
        tx.pop(0);
        tx.set(0, std::string(300, 'x'));
        throw std::domain_error("mine");
    }),
                    std::domain_error);
    CHECK(l == std::vector<std::string>{"a", "b"});
    CHECK(broken_invariant(l) == "");
}

TEST_CASE("an operation that fails inside a transaction can be caught, and the rest goes on") {
    const cairn::manager m;
    const auto l = m.list<long>("l", {1, 2, 3});
    l.transaction([](auto& tx) {
        tx.push_back(4);
        CHECK_THROWS_AS(tx.pop(9), cairn::index_error);
        CHECK_THROWS_AS(tx.update(0,
                                  [](long& value) {
                                      value = 99;
                                      throw undone();
                                  }),
                        undone);
        tx.pop(0);
    });
    CHECK(l == longs{2, 3, 4});
    CHECK(broken_invariant(l) == "");
}

TEST_CASE("a transaction inside another one takes back its own part only") {
    const cairn::manager m;
    const auto d = m.dict<std::string, long>("d", {{"a", 1}});
    d.transaction([](auto& tx) {
        tx["b"] = 2;
        CHECK_THROWS_AS(tx.transaction([](auto& inner) {
            inner.erase("a");
            inner["b"] += 40;
            inner["c"] = 3;
            throw undone();
        }),
                        undone);
        CHECK(tx.snapshot() == std::vector<std::pair<std::string, long>>{{"a", 1}, {"b", 2}});
        tx.transaction([](auto& inner) { inner["d"] = 4; });
    });
    CHECK(cairn::repr(d) == "{'a': 1, 'b': 2, 'd': 4}");
    CHECK_THROWS_AS(d.transaction([](auto& tx) {
        tx.transaction([](auto& inner) { inner.clear(); });
        throw undone();
    }),
                    undone);
    CHECK(cairn::repr(d) == "{'a': 1, 'b': 2, 'd': 4}");
}

TEST_CASE("every handle of the object joins, also one of another manager of the segment") {
    const scratch_name name;
    const auto m = cairn::manager::create(name);
    const auto other = cairn::manager::open(name);
    const auto l = m.list<long>("l");
    const auto same = other.list<long>("l");
    CHECK_THROWS_AS(l.transaction([&](auto& tx) {
        tx.push_back(1);
        same.push_back(2);
        CHECK(l == longs{1, 2});
        CHECK(same.size() == 2);
        throw undone();
    }),
                    undone);
    CHECK(same.empty());
}

TEST_CASE("other threads see all of a transaction or nothing") {
    const cairn::manager m;
    const auto l = m.list<long>("l");
    std::atomic<bool> is_done = false;
    std::atomic<long> looks = 0;
    std::thread reader([&] {
        while (!is_done) {
            const longs seen = l.snapshot();
            CHECK(seen.size() % 3 == 0);
            CHECK(l.size() % 3 == 0);
            ++looks;
        }
    });
    for (long i = 0; i < 300 || looks < 3; ++i) {
        l.transaction([&](auto& tx) {
            tx.push_back(i);
            tx.push_back(i);
            tx.push_back(i);
            if (tx.size() > 600) tx.clear();
        });
        try {
            l.transaction([&](auto& tx) {
                tx.push_back(-1);
                throw undone();
            });
        } catch (const undone&) {}
    }
    is_done = true;
    reader.join();
}

TEST_CASE(
    "inside a transaction other objects, the manager and waiting are would_deadlock, and the rest goes on") {
    const cairn::manager m;
    const auto l = m.list<long>("l", {1});
    const auto other = m.list<long>("other", {1});
    const auto q = m.queue<long>("q", 1);
    l.transaction([&](auto& tx) {
        tx.push_back(2);
        check_refused({
            {"push_back", [&] { other.push_back(2); }},
            {"set", [&] { other.set(0, 2); }},
            {"read", [&] { static_cast<void>(other.at(0)); }},
            {"size", [&] { static_cast<void>(other.size()); }},
            {"put", [&] { q.put(1); }},
            {"transaction", [&] { other.transaction([](auto&) {}); }},
            {"create", [&] { m.list<long>("new"); }},
            {"remove", [&] { m.remove("l"); }},
        });
        tx.push_back(3);
    });
    CHECK(l == longs{1, 2, 3});
    CHECK(other == longs{1});
}

TEST_CASE("inside the callbacks of a transaction's operations everything is would_deadlock") {
    const cairn::manager m;
    const auto l = m.list<long>("l", {1, 2});
    l.transaction([&](auto& tx) {
        const auto check = [&] {
            check_refused({{"push_back", [&] { tx.push_back(2); }},
                           {"set", [&] { l.set(0, 2); }},
                           {"at", [&] { static_cast<void>(tx.at(0)); }},
                           {"transaction", [&] { tx.transaction([](auto&) {}); }}});
        };
        tx.update(0, [&](long&) { check(); });
        tx.for_each([&](const long&) { check(); });
        tx.sort([&](long a, long b) {
            check();
            return a < b;
        });
    });
    CHECK(l == longs{1, 2});
}

TEST_CASE("a predicate that changes the list inside a transaction is noticed as it is outside") {
    const cairn::manager m;
    const auto l = m.list<long>("l", {1, 2, 3, 4, 5, 6, 7, 8});
    l.transaction([&](auto& tx) {
        tx.push_back(9);
        bool is_first = true;
        CHECK(erase_if(tx, [&](long value) {
                  if (std::exchange(is_first, false)) tx.pop(0);
                  return value == 8;
              }) == 1);
        CHECK(tx == longs{2, 3, 4, 5, 6, 7, 9});
        tx.remove(9);
    });
    CHECK(l == longs{2, 3, 4, 5, 6, 7});
}

TEST_CASE("erase_if in a transaction with no room for its log removes nothing, wherever the log ends") {
    const cairn::manager m(cairn::segment_options{.max_size = 512 << 10});
    const auto l = m.list<long>("l");
    longs expected;
    for (long i = 0; i < 9000; ++i) expected.push_back(i);
    l.extend(expected);
    use_up_pages(m.list<char>("filler"));
    cairn::detail::os::fault.store([](const char* /*call*/) noexcept { return ENOSPC; });
    // The log is as full as that when it begins: with some of these the room ends between two of its steps.
    for (std::size_t before = 0; before < 60; ++before) {
        INFO("after ", before, " others");
        std::size_t failures = 0;
        l.transaction([&](auto& tx) {
            for (std::size_t i = 0; i < before; ++i) tx.set(i, expected[i]);
            try {
                erase_if(tx, [](long value) { return value >= 8700 && value % 3 == 0; });
            } catch (const cairn::segment_full&) {
                ++failures;
            }
            CHECK(tx == expected);
        });
        CHECK(failures == 1);
    }
    cairn::detail::os::fault.store(nullptr);
    CHECK(l == expected);
    CHECK(broken_invariant(l) == "");
}

TEST_CASE("operations in destructors that run because of an exception are part of the transaction") {
    const cairn::manager m;
    const auto l = m.list<long>("l", {1});
    struct at_end {
        const cairn::list<long>& l;
        ~at_end() { l.push_back(2); }
    };
    l.transaction([](auto& tx) {
        try {
            const at_end pushes{tx};
            throw undone();
        } catch (const undone&) {}
    });
    CHECK(l == longs{1, 2});
}

TEST_CASE("a transaction holds its object, whatever becomes of the handles") {
    const cairn::manager other;
    const auto elsewhere = other.list<long>("l");
    const scratch_name name;
    std::optional<cairn::manager> m(std::in_place, std::string_view(name),
                                    cairn::segment_options{.persist = true});
    std::optional<cairn::list<long>> l(m->list<long>("l", {1}));
    l->transaction([&](auto& tx) {
        tx.push_back(2);
        l.reset();
        m.reset();
        tx = elsewhere;
    });
    const auto again = cairn::manager::open(name);
    CHECK(again.list<long>("l") == longs{1, 2});
    again.unlink();
}

TEST_CASE("a queue's transaction takes and puts as one, and refuses to wait") {
    const cairn::manager m;
    const auto q = m.queue<std::string>("q", 2);
    q.put("a");
    q.put("b");
    q.transaction([](auto& tx) {
        CHECK(tx.get() == "a");
        tx.put("c");
        CHECK_FALSE(tx.try_put("d"));
        CHECK(thrown_by<cairn::would_deadlock>([&] { tx.put("d"); }).find("in a transaction of it") !=
              std::string::npos);
        CHECK_THROWS_AS(tx.put_for("d", 1h), cairn::would_deadlock);
        CHECK(tx.get() == "b");
        CHECK(tx.try_get() == "c");
        CHECK_FALSE(tx.try_get().has_value());
        CHECK_THROWS_AS(tx.get(), cairn::would_deadlock);
        CHECK_THROWS_AS(tx.get_for(1h), cairn::would_deadlock);
        CHECK_THROWS_AS(tx.get_many(3), cairn::would_deadlock);
        CHECK_THROWS_AS(tx.join(), cairn::would_deadlock);
        tx.put("e");
    });
    CHECK(q.snapshot() == std::vector<std::string>{"e"});
    CHECK(broken_queue(q) == "");
}

TEST_CASE("a chunk of a queue that is begun anew in a transaction is as it was after a rollback") {
    // With some of these all of a chunk has been used when the last item is taken.
    for (std::size_t count = 1; count < 400; ++count) {
        const cairn::manager m;
        const auto q = m.queue<long>("q");
        longs items;
        for (std::size_t i = 0; i < count; ++i) items.push_back(static_cast<long>(i));
        q.put_many(items);
        CHECK_THROWS_AS(q.transaction([](auto& tx) {
            while (tx.try_get()) {}
            tx.put(-1);
            tx.put(-2);
            throw undone();
        }),
                        undone);
        REQUIRE(q.snapshot() == items);
        REQUIRE(broken_queue(q) == "");
    }
}

TEST_CASE("leases begin and end outside transactions") {
    const cairn::manager m;
    const auto q = m.queue<long>("q");
    q.put(1);
    q.put(2);
    auto held = q.lease();
    q.transaction([&](auto& tx) {
        CHECK_THROWS_AS(tx.lease(), cairn::would_deadlock);
        CHECK_THROWS_AS(tx.try_lease(), cairn::would_deadlock);
        CHECK(thrown_by<cairn::would_deadlock>([&] { held.ack(); }).find("outside transactions") !=
              std::string::npos);
        CHECK_THROWS_AS(held.release(), cairn::would_deadlock);
    });
    held.ack();
    CHECK(q.leased() == 0);
    CHECK(q.snapshot() == longs{2});
    // A guard that ends inside ends its lease.
    std::optional<cairn::item_lease<long>> another(q.lease());
    q.transaction([&](auto& tx) {
        tx.put(4);
        another.reset();
    });
    CHECK(q.leased() == 0);
    CHECK(q.snapshot() == longs{2, 4});
}

TEST_CASE("who waits gets what a transaction has put, and not what it has taken back") {
    const cairn::manager m;
    const auto q = m.queue<long>("q");
    const opened_queue<cairn::queue<long>> inside(q);
    std::thread getter([&] { CHECK(q.get() == 2); });
    inside.await_sleepers(cairn::detail::queue_has_item);
    CHECK_THROWS_AS(q.transaction([](auto& tx) {
        tx.put(1);
        throw undone();
    }),
                    undone);
    q.transaction([](auto& tx) { tx.put(2); });
    getter.join();
    CHECK(q.empty());
}

TEST_CASE("a thread that exits inside a transaction, and a process that dies there, leave nothing") {
    const cairn::manager m;
    const auto s = m.set<long>("s", {1, 2});
    pthread_t thread{};
    const auto exits = [](void* of) -> void* {
        static_cast<const cairn::set<long>*>(of)->transaction([](auto& tx) {
            tx.add(3);
            tx.discard(1);
            ::pthread_exit(nullptr);
        });
        return nullptr;
    };
    REQUIRE(::pthread_create(&thread, nullptr, exits, const_cast<cairn::set<long>*>(&s)) == 0);
    ::pthread_join(thread, nullptr);
    CHECK(s == longs{1, 2});
    CHECK(in_child([&] {
              s.transaction([](auto& tx) {
                  tx.clear();
                  tx.add(9);
                  ::_exit(0);
              });
          }) == 0);
    CHECK(s == longs{1, 2});
    s.add(3);
    CHECK(s == longs{1, 2, 3});
}

TEST_CASE("a child forked inside a transaction cannot commit it, and may use the object when it is over") {
    const cairn::manager m;
    const auto l = m.list<long>("l", {1});
    pid_t child = 0;
    const auto in_both = [&] {
        l.transaction([&](auto& tx) {
            tx.push_back(2);
            child = ::fork();
        });
    };
    bool is_refused = false;
    try {
        in_both();
    } catch (const cairn::invalid_state&) {
        is_refused = true;
    }
    if (child == 0) {
        l.push_back(3);  // waits for the parent's to be over
        ::_exit(is_refused && l.size() == 3 ? 0 : 1);
    }
    CHECK_FALSE(is_refused);
    int status = -1;
    REQUIRE(::waitpid(child, &status, 0) == child);
    CHECK(status == 0);
    CHECK(l == longs{1, 2, 3});
    CHECK(broken_invariant(l) == "");
}

TEST_CASE("a transaction needs a segment that is open for writing, and an object that is there") {
    const scratch_name name;
    const auto m = cairn::manager::create(name);
    const auto l = m.list<long>("l", {1});
    const auto reading = cairn::manager::open(name, cairn::open_mode::read_only);
    const auto seen = reading.list<long>("l");
    CHECK_THROWS_AS(seen.transaction([](auto&) {}), cairn::permission_denied);
    m.remove("l");
    bool was_called = false;
    CHECK_THROWS_AS(l.transaction([&](auto&) { was_called = true; }), cairn::object_gone);
    CHECK_FALSE(was_called);
    // Another object may live in the same place: an old handle does not join its transaction.
    const auto next = m.list<long>("next");
    next.transaction([&](auto& tx) {
        tx.push_back(5);
        CHECK_THROWS_AS(l.push_back(6), cairn::error);
        CHECK_THROWS_AS(static_cast<void>(l.size()), cairn::error);
    });
    CHECK(next == longs{5});
}

TEST_CASE("what a transaction frees is used again after it, and not inside it") {
    const cairn::manager m;
    const auto l = m.list<std::string>("l");
    std::uint64_t size = 0;
    for (int round = 0; round < 30; ++round) {
        l.transaction([](auto& tx) {
            tx.clear();
            for (int i = 0; i < 2000; ++i) tx.push_back(std::string(100, 'x'));
        });
        REQUIRE(broken_invariant(l) == "");
        if (round == 5) size = m.stats().size_bytes;
    }
    CHECK(m.stats().size_bytes == size);
}

}  // namespace transaction_test

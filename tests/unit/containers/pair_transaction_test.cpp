// pair_transaction_test.cpp - cairn::transaction: operations on two objects as one, and what may be done inside.
// SPDX-License-Identifier: BSL-1.0
#include <atomic>
#include <chrono>
#include <memory>
#include <optional>
#include <random>
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

#include "support/opened.hpp"
#include "support/opened_queue.hpp"
#include "support/opened_sync.hpp"
#include "support/scratch.hpp"
#include <cairn/cairn.hpp>

namespace pair_transaction_test {

using namespace cairn_test;
using namespace std::chrono_literals;

namespace {

using longs = std::vector<long>;

struct undone {};

// Nothing of a transaction over two is left in the control block of `object`.
template <typename Object>
std::string left_in(const Object& object) {
    const opened_sync open(object);
    const cairn::detail::root_slot& slot = open.slot();
    if (slot.outstanding != 0) return "a mark";
    if (slot.decided_root != 0) return "a decision";
    return slot.log_head == 0 ? "" : "a log";
}

}  // namespace

TEST_CASE("an item goes from a queue to a dict, and both say so") {
    const cairn::manager m;
    const auto q = m.queue<std::string>("q");
    const auto d = m.dict<std::string, long>("d");
    q.put("a");
    q.put("b");
    const std::string moved = cairn::transaction(q, d, [](auto& from, auto& to) {
        const std::string item = from.get();
        to.set(item, 1);
        return item;
    });
    CHECK(moved == "a");
    CHECK(cairn::repr(q) == "queue(['b'])");
    CHECK(cairn::repr(d) == "{'a': 1}");
    CHECK(left_in(q) + left_in(d) == "");
    static_assert(std::is_void_v<decltype(cairn::transaction(q, d, [](auto&, auto&) {}))>);
    CHECK(*cairn::transaction(d, q, [](auto&, auto&) { return std::make_unique<int>(5); }) == 5);
    long outside = 7;
    CHECK(&cairn::transaction(d, q, [&](auto&, auto&) -> long& { return outside; }) == &outside);
}

TEST_CASE("an exception out of a transaction over two takes both back, in whatever order they are named") {
    const cairn::manager m;
    const auto l = m.list<std::string>("l", {"a", "b"});
    const auto s = m.set<long>("s", {1, 2});
    const auto change = [](const auto& of_l, const auto& of_s) {
        of_l.pop();
        of_l.push_back(std::string(9000, 'x'));
        of_s.clear();
        of_s.add(9);
        throw std::domain_error("mine");
    };
    CHECK_THROWS_AS(cairn::transaction(l, s, change), std::domain_error);
    CHECK_THROWS_AS(cairn::transaction(s, l, [&](auto& of_s, auto& of_l) { change(of_l, of_s); }),
                    std::domain_error);
    CHECK(l == std::vector<std::string>{"a", "b"});
    CHECK(s == longs{1, 2});
    CHECK(left_in(l) + left_in(s) == "");
    CHECK(broken_invariant(l) == "");
}

TEST_CASE("what fails inside alone is caught, and a part of one object is thrown away alone") {
    const cairn::manager m;
    const auto l = m.list<long>("l", {1});
    const auto d = m.dict<long, long>("d");
    cairn::transaction(l, d, [](auto& of_l, auto& of_d) {
        of_l.push_back(2);
        CHECK_THROWS_AS(of_l.pop(7), cairn::index_error);
        CHECK_THROWS_AS(of_d.transaction([&](auto& inner) {
            inner.set(1, 1);
            CHECK_THROWS_AS(of_l.push_back(3), cairn::would_deadlock);
            throw undone();
        }),
                        undone);
        of_l.transaction([](auto& inner) { inner.push_back(4); });
        of_d.set(of_l.back(), 5);
    });
    CHECK(l == longs{1, 2, 4});
    CHECK(cairn::repr(d) == "{4: 5}");
}

TEST_CASE("every handle of the two joins, others are would_deadlock") {
    const scratch_name name;
    const auto m = cairn::manager::create(name);
    const auto same = cairn::manager::open(name);
    const auto l = m.list<long>("l");
    const auto q = m.queue<long>("q");
    const auto third = m.list<long>("third", {1});
    const auto same_list = same.list<long>("l");
    CHECK_THROWS_AS(cairn::transaction(q, l,
                                       [&](auto& of_q, auto& of_l) {
                                           same_list.push_back(1);
                                           l.push_back(2);
                                           of_l.push_back(3);
                                           CHECK(same_list == longs{1, 2, 3});
                                           q.put(of_l.pop());
                                           CHECK(of_q.size() == 1);
                                           CHECK_THROWS_AS(third.push_back(2), cairn::would_deadlock);
                                           CHECK_THROWS_AS(static_cast<void>(third.at(0)),
                                                           cairn::would_deadlock);
                                           CHECK_THROWS_AS(m.list<long>("new"), cairn::would_deadlock);
                                           throw undone();
                                       }),
                    undone);
    CHECK(l.empty());
    CHECK(q.empty());
    CHECK(third == longs{1});
}

TEST_CASE("two handles of one object are a transaction of that") {
    const cairn::manager m;
    const auto l = m.list<long>("l", {1});
    const auto same = l;
    cairn::transaction(l, same, [](auto& one, auto& two) {
        one.push_back(2);
        two.push_back(3);
    });
    CHECK_THROWS_AS(cairn::transaction(l, same,
                                       [](auto& one, auto& two) {
                                           one.pop();
                                           two.pop();
                                           throw undone();
                                       }),
                    undone);
    CHECK(l == longs{1, 2, 3});
    CHECK(left_in(l) == "");
}

TEST_CASE("it is nested in nothing, takes one segment's objects, and says which ones") {
    const cairn::manager m;
    const cairn::manager other;
    const auto l = m.list<long>("mine", {1});
    const auto d = m.dict<long, long>("d");
    const auto foreign = other.list<long>("foreign");
    const auto nothing = [](auto&, auto&) {};
    l.transaction([&](auto& tx) {
        tx.push_back(2);
        CHECK(thrown_by<cairn::would_deadlock>([&] {
                  cairn::transaction(l, d, nothing);
              }).find("list 'mine'") != std::string::npos);
        CHECK_THROWS_AS(cairn::transaction(d, l, nothing), cairn::would_deadlock);
    });
    cairn::transaction(l, d, [&](auto&, auto&) {
        CHECK_THROWS_AS(cairn::transaction(l, d, nothing), cairn::would_deadlock);
        CHECK_THROWS_AS(cairn::transaction(l, l, nothing), cairn::would_deadlock);
    });
    l.for_each([&](long) { CHECK_THROWS_AS(cairn::transaction(l, d, nothing), cairn::would_deadlock); });
    const std::string said =
        thrown_by<cairn::invalid_argument>([&] { cairn::transaction(l, foreign, nothing); });
    CHECK(said.find("list 'mine'") != std::string::npos);
    CHECK(said.find("list 'foreign'") != std::string::npos);
    CHECK(said.find("one segment") != std::string::npos);
    CHECK(l == longs{1, 2});
}

TEST_CASE("an object that was removed is object_gone, and the other one is as it was") {
    const cairn::manager m;
    const auto l = m.list<long>("l", {1});
    const auto d = m.dict<long, long>("d");
    bool was_called = false;
    const auto change = [&](auto& of_l, auto&) {
        was_called = true;
        of_l.push_back(2);
    };
    REQUIRE(m.remove("d"));
    CHECK_THROWS_AS(cairn::transaction(l, d, change), cairn::object_gone);
    CHECK(l == longs{1});
    REQUIRE(m.remove("l"));
    const auto e = m.dict<long, long>("e");
    CHECK_THROWS_AS(cairn::transaction(l, e, change), cairn::object_gone);
    CHECK_FALSE(was_called);
    CHECK(left_in(e) == "");
}

TEST_CASE("a segment that is open for reading only refuses a transaction over two") {
    const scratch_name name;
    const auto m = cairn::manager::create(name);
    static_cast<void>(m.list<long>("l"));
    static_cast<void>(m.list<long>("k"));
    const auto reading = cairn::manager::open(name, cairn::open_mode::read_only);
    CHECK_THROWS_AS(cairn::transaction(reading.list<long>("l"), reading.list<long>("k"), [](auto&, auto&) {}),
                    cairn::permission_denied);
}

TEST_CASE("readers of one object that see a change find it in the other") {
    const cairn::manager m;
    const auto l = m.list<long>("l");
    const auto d = m.dict<long, long>("d");
    l.push_back(0);
    d.set(0, 0);
    std::atomic<bool> is_done = false;
    std::atomic<long> looks = 0;
    const auto read = [&](bool list_first) {
        while (!is_done) {
            long of_list = 0;
            long of_dict = 0;
            if (list_first) {
                of_list = l.at(0);
                of_dict = d.at(0);
                CHECK(of_dict >= of_list);
            } else {
                of_dict = d.at(0);
                of_list = l.at(0);
                CHECK(of_list >= of_dict);
            }
            ++looks;
        }
    };
    std::thread one(read, true);
    std::thread two(read, false);
    for (long i = 1; i < 3000 || looks < 100; ++i) {
        cairn::transaction(d, l, [&](auto& of_d, auto& of_l) {
            of_d.set(0, i);
            of_l.set(0, i);
        });
    }
    is_done = true;
    one.join();
    two.join();
}

TEST_CASE("threads that name two objects in either order do not wait for each other") {
    const cairn::manager m;
    const auto a = m.list<long>("a", {0});
    const auto b = m.list<long>("b", {0});
    const auto c = m.list<long>("c", {0});
    const auto move = [](const cairn::list<long>& from, const cairn::list<long>& to) {
        for (int i = 0; i < 2000; ++i) {
            cairn::transaction(from, to, [](auto& of_from, auto& of_to) {
                of_from[0] -= 1;
                of_to[0] += 1;
            });
        }
    };
    std::thread first([&] { move(a, b); });
    std::thread second([&] { move(b, c); });
    std::thread third([&] { move(c, a); });
    first.join();
    second.join();
    third.join();
    CHECK(a.at(0) == 0);
    CHECK(b.at(0) == 0);
    CHECK(c.at(0) == 0);
}

TEST_CASE("who waits for an item gets what a transaction over two has put, and not what it has taken back") {
    const cairn::manager m;
    const auto q = m.queue<long>("q");
    const auto l = m.list<long>("l", {2});
    const opened_queue<cairn::queue<long>> inside(q);
    std::thread getter([&] { CHECK(q.get() == 2); });
    inside.await_sleepers(cairn::detail::queue_has_item);
    CHECK_THROWS_AS(cairn::transaction(q, l,
                                       [](auto& of_q, auto&) {
                                           of_q.put(1);
                                           throw undone();
                                       }),
                    undone);
    cairn::transaction(l, q, [](auto& of_l, auto& of_q) { of_q.put(of_l.pop()); });
    getter.join();
    CHECK(q.empty());
    CHECK(l.empty());
}

TEST_CASE("inside, waiting is would_deadlock, and a lease of the queue ends with the transaction") {
    const cairn::manager m;
    const auto q = m.queue<long>("q", 1);
    const auto d = m.dict<long, long>("d");
    q.put(1);
    std::optional<cairn::item_lease<long>> held(q.lease());
    cairn::transaction(d, q, [&](auto& of_d, auto& of_q) {
        CHECK_THROWS_AS(of_q.get(), cairn::would_deadlock);
        of_d.set(1, held->get());
        held.reset();
        CHECK(of_q.size() == 1);
        CHECK_THROWS_AS(of_q.put(2), cairn::would_deadlock);
    });
    CHECK(q.snapshot() == longs{1});
    CHECK(q.leased() == 0);
}

TEST_CASE("no room for what it frees at its commit: nothing has happened to either") {
    const cairn::manager m(cairn::segment_options{.max_size = 1 << 20});
    const auto l = m.list<std::string>("l");
    const auto d = m.dict<long, std::string>("d");
    for (int i = 0; i < 20; ++i) l.push_back(std::string(4000, 'a'));
    const std::string before = cairn::repr(l);
    CHECK_THROWS_AS(cairn::transaction(l, d,
                                       [](auto& from, auto& to) {
                                           for (long i = 0;; ++i) {
                                               to.set(i, from.at(0));
                                               from.set(0, std::string(4000, 'b'));
                                           }
                                       }),
                    cairn::segment_full);
    CHECK(cairn::repr(l) == before);
    CHECK(d.empty());
    CHECK(broken_invariant(l) == "");
}

TEST_CASE(
    "a thread that exits inside a transaction over two leaves nothing, nor does a process that dies there") {
    const cairn::manager m;
    const auto s = m.set<long>("s", {1, 2});
    const auto l = m.list<long>("l", {5});
    using both = std::pair<cairn::set<long>, cairn::list<long>>;
    both objects(s, l);
    const auto exits = [](void* of) -> void* {
        const auto& [of_s, of_l] = *static_cast<const both*>(of);
        cairn::transaction(of_s, of_l, [](auto& one, auto& two) {
            one.add(3);
            two.clear();
            ::pthread_exit(nullptr);
        });
        return nullptr;
    };
    pthread_t thread{};
    REQUIRE(::pthread_create(&thread, nullptr, exits, &objects) == 0);
    ::pthread_join(thread, nullptr);
    CHECK(s == longs{1, 2});
    CHECK(l == longs{5});
    CHECK(in_child([&] {
              cairn::transaction(s, l, [](auto& one, auto& two) {
                  one.clear();
                  two.push_back(6);
                  ::_exit(0);
              });
          }) == 0);
    // The second one's lock is not needed for the first one's next transaction, and the other way round.
    cairn::transaction(l, m.list<long>("other"), [](auto& of_l, auto&) { of_l.push_back(7); });
    s.add(3);
    CHECK(s == longs{1, 2, 3});
    CHECK(l == longs{5, 7});
    CHECK(left_in(s) + left_in(l) == "");
}

TEST_CASE("a child forked inside a transaction over two cannot commit it, and may use both when it is over") {
    const cairn::manager m;
    const auto l = m.list<long>("l", {1});
    const auto d = m.dict<long, long>("d");
    pid_t child = 0;
    bool is_refused = false;
    try {
        cairn::transaction(d, l, [&](auto& of_d, auto& of_l) {
            of_d.set(1, 1);
            of_l.push_back(2);
            child = ::fork();
        });
    } catch (const cairn::invalid_state&) {
        is_refused = true;
    }
    if (child == 0) {
        int code = is_refused ? 0 : 1;
        try {
            cairn::transaction(l, d, [](auto& of_l, auto& of_d) { of_d.set(2, of_l.at(1)); });
        } catch (...) {
            code = 2;
        }
        ::_exit(code);
    }
    CHECK_FALSE(is_refused);
    int status = -1;
    REQUIRE(::waitpid(child, &status, 0) == child);
    CHECK(status == 0);
    CHECK(l == longs{1, 2});
    CHECK(cairn::repr(d) == "{1: 1, 2: 2}");
}

TEST_CASE("a control block that names no other one is damage that the object is poisoned for") {
    const cairn::manager m;
    const auto first = m.list<long>("first", {1});
    const auto second = m.list<long>("second", {2});
    for (const std::uint64_t link : {std::uint64_t{1}, std::uint64_t{77'777}, ~std::uint64_t{0}}) {
        const auto l = m.list<long>({1});
        // As a death would leave it, but for the link.
        std::thread([&] {
            const opened_sync inside(l);
            cairn::detail::require_usable_thread();
            REQUIRE(cairn::detail::try_lock(inside.slot().lock, inside.in().own_token()) == 0);
            cairn::detail::store_word(inside.slot().outstanding, link);
        }).join();
        CHECK_THROWS_AS(l.push_back(2), cairn::object_poisoned);
        CHECK_THROWS_AS(l.push_back(2), cairn::object_poisoned);
    }
    CHECK(first == longs{1});
    CHECK(second == longs{2});
}

TEST_CASE("transactions over two that are thrown or not, as two vectors would have it") {
    std::minstd_rand random(std::random_device{}());
    for (int round = 0; round < 20; ++round) {
        const cairn::manager m;
        const auto l = m.list<std::string>("l");
        const auto q = m.queue<std::string>("q");
        std::vector<std::string> in_list;
        std::vector<std::string> in_queue;
        for (int step = 0; step < 60; ++step) {
            auto new_list = in_list;
            auto new_queue = in_queue;
            const bool throws = random() % 3 == 0;
            const auto change = [&](const auto& of_l, const auto& of_q) {
                for (std::uint64_t count = random() % 5; count != 0; --count) {
                    const std::string value(random() % 3 == 0 ? 3000 : random() % 40,
                                            static_cast<char>('a' + count));
                    switch (random() % 4) {
                        case 0:
                            of_l.push_back(value);
                            new_list.push_back(value);
                            break;
                        case 1:
                            of_q.put(value);
                            new_queue.push_back(value);
                            break;
                        case 2:
                            if (new_list.empty()) break;
                            of_q.put(of_l.pop());
                            new_queue.push_back(new_list.back());
                            new_list.pop_back();
                            break;
                        default:
                            if (new_queue.empty()) break;
                            of_l.push_back(of_q.get());
                            new_list.push_back(new_queue.front());
                            new_queue.erase(new_queue.begin());
                    }
                }
                if (throws) throw undone();
            };
            try {
                if (step % 2 == 0) cairn::transaction(l, q, change);
                else cairn::transaction(q, l, [&](auto& of_q, auto& of_l) { change(of_l, of_q); });
                in_list = new_list;
                in_queue = new_queue;
            } catch (const undone&) {}
            REQUIRE(l == in_list);
            REQUIRE(q.snapshot() == in_queue);
        }
        CHECK(broken_invariant(l) == "");
        CHECK(broken_queue(q) == "");
    }
}

}  // namespace pair_transaction_test

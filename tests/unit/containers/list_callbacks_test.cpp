// list_callbacks_test.cpp - what user code may do while it runs under a list's lock, and how it may leave.
// SPDX-License-Identifier: BSL-1.0
#include <atomic>
#include <csignal>
#include <functional>
#include <memory>
#include <optional>
#include <stdexcept>
#include <string>
#include <string_view>
#include <thread>
#include <utility>
#include <vector>

#include <pthread.h>
#include <sys/wait.h>
#include <unistd.h>

#include <doctest/doctest.h>

#include "os/fault.hpp"
#include "support/opened.hpp"
#include "support/scratch.hpp"
#include "support/values.hpp"
#include <cairn/manager.hpp>

namespace list_callbacks_test {

using namespace cairn_test;

namespace {

using action = std::function<void()>;
using longs = std::vector<long>;
using texts = std::vector<std::string>;

// Every way in which user code runs under the lock of `l`, which has two elements.
template <typename T, typename Fn>
void for_every_callback(const cairn::list<T>& l, Fn fn) {
    fn("update by reference", [&](const action& inside) { l.update(0, [&](T&) { inside(); }); });
    fn("update by value", [&](const action& inside) {
        l.update(0, [&](const T& value) {
            inside();
            return value;
        });
    });
    fn("for_each", [&](const action& inside) { l.for_each([&](const T&) { inside(); }); });
    fn("sort", [&](const action& inside) {
        l.sort([&](const T& a, const T& b) {
            inside();
            return a < b;
        });
    });
}

// Everything that a list and its manager offer.
std::vector<std::pair<const char*, action>> all_operations(const cairn::list<long>& l,
                                                           const cairn::manager& m) {
    return {
        {"push_back", [=] { l.push_back(1); }},
        {"emplace_back", [=] { l.emplace_back(1); }},
        {"extend",
         [=] {
             l.extend({1, 2});
         }},
        {"insert", [=] { l.insert(0, 1); }},
        {"pop", [=] { l.pop(); }},
        {"pop at", [=] { l.pop(0); }},
        {"erase", [=] { l.erase(0); }},
        {"erase range", [=] { l.erase(0, 1); }},
        {"remove", [=] { l.remove(7); }},
        {"clear", [=] { l.clear(); }},
        {"at", [=] { static_cast<void>(l.at(0)); }},
        {"back", [=] { static_cast<void>(l.back()); }},
        {"size", [=] { static_cast<void>(l.size()); }},
        {"empty", [=] { static_cast<void>(l.empty()); }},
        {"snapshot", [=] { static_cast<void>(l.snapshot()); }},
        {"slice", [=] { static_cast<void>(l.slice(0, 1)); }},
        {"index", [=] { static_cast<void>(l.index(7)); }},
        {"count", [=] { static_cast<void>(l.count(7)); }},
        {"contains", [=] { static_cast<void>(l.contains(7)); }},
        {"set", [=] { l.set(0, 1); }},
        {"assignment", [=] { l[0] = 1; }},
        {"increment", [=] { ++l[0]; }},
        {"update", [=] { l.update(0, [](long&) {}); }},
        {"reverse", [=] { l.reverse(); }},
        {"sort", [=] { l.sort(); }},
        {"reserve", [=] { l.reserve(10); }},
        {"for_each", [=] { l.for_each([](long) {}); }},
        {"begin", [=] { static_cast<void>(l.begin()); }},
        {"repr", [=] { static_cast<void>(cairn::repr(l)); }},
        {"name", [=] { static_cast<void>(l.name()); }},
        {"manager::list", [=] { static_cast<void>(m.list<long>("another")); }},
        {"manager::find", [=] { static_cast<void>(m.find<cairn::list<long>>("l")); }},
        {"manager::contains", [=] { static_cast<void>(m.contains("l")); }},
        {"manager::remove", [=] { static_cast<void>(m.remove("l")); }},
        {"manager::objects", [=] { static_cast<void>(m.objects()); }},
        {"manager::unlink", [=] { m.unlink(); }},
    };
}

}  // namespace

TEST_CASE("in a callback every use of the same list is would_deadlock, every time") {
    const cairn::manager m;
    const auto l = m.list<long>("l", {7, 8});
    const auto operations = all_operations(l, m);
    for_every_callback(l, [&](const char* where, const auto& run) {
        for (const auto& [name, operation] : operations) {
            CAPTURE(where);
            CAPTURE(name);
            bool checked = false;
            run([&, &name = name, &operation = operation] {
                CAPTURE(name);
                CHECK_THROWS_AS(operation(), cairn::would_deadlock);
                checked = true;
            });
            CHECK(checked);
        }
    });
    CHECK(l == longs{7, 8});
    CHECK(broken_invariant(l) == "");
}

TEST_CASE("in a callback every use of another list is would_deadlock, in the same and in another segment") {
    const cairn::manager m;
    const cairn::manager elsewhere;
    const auto l = m.list<long>("l", {7, 8});
    for (const cairn::manager& where : {m, elsewhere}) {
        const auto other = where.list<long>("other", {7, 8});
        const auto operations = all_operations(other, where);
        for (const auto& [name, operation] : operations) {
            CAPTURE(name);
            l.update(0, [&, &operation = operation](long&) {
                CHECK_THROWS_AS(operation(), cairn::would_deadlock);
            });
        }
        CHECK(other == longs{7, 8});
    }
}

TEST_CASE("the text of would_deadlock names the object and says what to do") {
    const cairn::manager m;
    const auto l = m.list<long>("results", {1});
    std::string text;
    l.update(0, [&](long&) { text = thrown_by<cairn::would_deadlock>([&] { l.push_back(2); }); });
    CHECK(contains(text, "list 'results' in anonymous segment"));
    CHECK(contains(text, "inside another operation"));
}

TEST_CASE("a callback that throws leaves everything as it was and the lock free") {
    const cairn::manager m;
    const auto l = m.list<std::string>("l", {"one", "a string that needs a block of its own"});
    for_every_callback(l, [&](const char* where, const auto& run) {
        CAPTURE(where);
        CHECK_THROWS_AS(run([] { throw std::runtime_error("no"); }), std::runtime_error);
        CHECK(l == texts{"one", "a string that needs a block of its own"});
        CHECK(broken_invariant(l) == "");
        CHECK_THROWS_AS(run([] { throw 7; }), int);
    });
    CHECK_THROWS_AS(l.update(0,
                             [](std::string& s) {
                                 s += "changed";
                                 throw std::runtime_error("after the change");
                             }),
                    std::runtime_error);
    l.push_back("still works");
    CHECK(l.snapshot() ==
          std::vector<std::string>{"one", "a string that needs a block of its own", "still works"});
}

TEST_CASE("a callback that lets go of the last handle and manager leaves the mapping until it returns") {
    for (int kind = 0; kind < 4; ++kind) {
        CAPTURE(kind);
        auto m = std::make_unique<cairn::manager>();
        auto l = std::make_unique<cairn::list<std::string>>(m->list<std::string>("l", {"b", "a", "c"}));
        const auto let_go = [&] {
            l.reset();
            m.reset();
        };
        // The handle itself is gone inside, too: the operation may not look at it any more.
        cairn::list<std::string>& handle = *l;
        if (kind == 0)
            handle.update(0, [&](std::string& s) {
                let_go();
                s = "a new string that needs a block of its own";
            });
        if (kind == 1)
            handle.update(0, [&](const std::string& s) {
                let_go();
                return s + s;
            });
        if (kind == 2) handle.for_each([&](const std::string&) { let_go(); });
        if (kind == 3)
            handle.sort([&](const std::string& a, const std::string& b) {
                let_go();
                return a < b;
            });
        CHECK(l == nullptr);
    }
}

TEST_CASE("a fork inside a callback: the operation is the parent's, the child's use of it is invalid_state") {
    const cairn::manager m;
    const auto l = m.list<long>("l", {3, 1, 2});
    const auto blocks = m.list<std::string>("s", {"c", "a string that needs a block of its own", "b"});
    const auto fork_in = [&](const char* where, const auto& operation) {
        CAPTURE(where);
        pid_t parent = ::getpid();
        pid_t pid = -1;
        const auto inside = [&] {
            if (pid < 0) pid = ::fork();
        };
        try {
            operation(inside);
        } catch (const cairn::invalid_state& e) {
            if (::getpid() != parent) ::_exit(contains(e.what(), "begun by the parent") ? 0 : 3);
            FAIL(std::string(e.what()));
        } catch (...) {
            if (::getpid() != parent) ::_exit(4);
            throw;
        }
        if (::getpid() != parent) ::_exit(5);
        int status = 0;
        REQUIRE(::waitpid(pid, &status, 0) == pid);
        CHECK(WIFEXITED(status));
        CHECK(WEXITSTATUS(status) == 0);
        CHECK(broken_invariant(l) == "");
        CHECK(broken_invariant(blocks) == "");
    };
    fork_in("update", [&](const auto& inside) {
        l.update(0, [&](long& v) {
            inside();
            v = 4;
        });
    });
    CHECK(l == longs{4, 1, 2});
    fork_in("update of a block", [&](const auto& inside) {
        blocks.update(1, [&](std::string& v) {
            inside();
            v = "another string that needs a block of its own";
        });
    });
    fork_in("for_each", [&](const auto& inside) { l.for_each([&](long) { inside(); }); });
    fork_in("sort", [&](const auto& inside) {
        l.sort([&](long a, long b) {
            inside();
            return a < b;
        });
    });
    CHECK(l == longs{1, 2, 4});
}

TEST_CASE("a child forked inside a callback uses the list itself once the parent is done") {
    const cairn::manager m;
    const auto l = m.list<long>("l", {1});
    std::optional<child> c;
    l.update(0, [&](long& v) {
        c.emplace([&] {
            l.push_back(2);  // waits for the parent's lock
            CHILD_CHECK(l.at(0) == 5);
        });
        ::usleep(20'000);
        v = 5;
    });
    CHECK(c->join() == 0);
    CHECK(l == longs{5, 2});
    CHECK(broken_invariant(l) == "");
}

TEST_CASE("a thread that ends inside a callback, by pthread_exit or cancellation, rolls back and unlocks") {
    const cairn::manager m;
    const auto l = m.list<std::string>("l", {"b", "a string that needs a block of its own"});
    struct call {
        const cairn::list<std::string>* l;
        int kind;
        bool cancel;
        static void leave(bool cancelled) {
            if (!cancelled) ::pthread_exit(nullptr);
            ::pthread_cancel(::pthread_self());
            ::pthread_testcancel();
        }
        static void* run(void* raw) {
            const call c = *static_cast<call*>(raw);
            if (c.kind == 0)
                c.l->update(0, [&](std::string& s) {
                    s = "changed";
                    leave(c.cancel);
                });
            if (c.kind == 1) c.l->for_each([&](const std::string&) { leave(c.cancel); });
            if (c.kind == 2)
                c.l->sort([&](const std::string&, const std::string&) {
                    leave(c.cancel);
                    return false;
                });
            return raw;  // not null: it came back
        }
    };
    for (int kind = 0; kind < 3; ++kind) {
        for (const bool cancel : {false, true}) {
            call c{&l, kind, cancel};
            pthread_t thread = {};
            REQUIRE(::pthread_create(&thread, nullptr, &call::run, &c) == 0);
            void* result = nullptr;
            REQUIRE(::pthread_join(thread, &result) == 0);
            CHECK(result == (cancel ? PTHREAD_CANCELED : nullptr));
            CHECK(l == texts{"b", "a string that needs a block of its own"});
            CHECK(broken_invariant(l) == "");
        }
    }
    l.push_back("free");
    CHECK(l.size() == 3);
}

TEST_CASE("a signal handler that interrupts an operation gets would_deadlock instead of waiting for its own "
          "thread") {
    static const cairn::list<long>* target = nullptr;
    static std::atomic<int> refused{0};
    const cairn::manager m;
    const auto l = m.list<long>("l", {1});
    target = &l;
    refused = 0;
    struct sigaction handler = {};
    handler.sa_handler = [](int) {
        try {
            target->push_back(2);
        } catch (const cairn::would_deadlock&) {
            ++refused;
        }
    };
    struct sigaction before = {};
    REQUIRE(::sigaction(SIGUSR1, &handler, &before) == 0);
    l.update(0, [](long&) { ::raise(SIGUSR1); });
    ::sigaction(SIGUSR1, &before, nullptr);
    CHECK(refused == 1);
    CHECK(l == longs{1});
}

namespace {

// Raises SIGUSR1 when the next segment is about to lose its name, which happens under the segment's lock.
std::atomic<bool> interrupts{false};
int interrupt_unlink(const char* call) noexcept {
    if (std::string_view(call) == "unlink" && interrupts.exchange(false)) ::raise(SIGUSR1);
    return 0;
}

}  // namespace

TEST_CASE(
    "a signal handler that interrupts work on the segment itself gets would_deadlock, and damages nothing") {
    static const cairn::list<std::string>* target = nullptr;
    static std::atomic<int> refused{0};
    static std::atomic<int> otherwise{0};
    const scratch_name name;
    const cairn::manager m(name);
    const auto l = m.list<std::string>("l", {"a"});
    target = &l;
    refused = 0;
    otherwise = 0;
    struct sigaction handler = {};
    handler.sa_handler = [](int) {
        try {
            target->push_back(std::string(100'000, 'x'));  // needs the segment's lock, too
        } catch (const cairn::would_deadlock&) {
            ++refused;
        } catch (...) {
            ++otherwise;
        }
    };
    struct sigaction before = {};
    REQUIRE(::sigaction(SIGUSR1, &handler, &before) == 0);
    interrupts = true;
    cairn::detail::os::fault.store(&interrupt_unlink);
    m.unlink();
    cairn::detail::os::fault.store(nullptr);
    ::sigaction(SIGUSR1, &before, nullptr);
    CHECK_FALSE(interrupts);
    CHECK(refused == 1);
    CHECK(otherwise == 0);
    CHECK(l == texts{"a"});
    CHECK(broken_invariant(l) == "");
    l.push_back("b");
    CHECK(l.size() == 2);
}

}  // namespace list_callbacks_test

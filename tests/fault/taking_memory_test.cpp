// taking_memory_test.cpp - each operation that takes an element, or erases some, when there is no memory for each of its
// allocations in turn: it has happened, or it has thrown and nothing has happened.
//
// SPDX-License-Identifier: BSL-1.0
#include <cstdint>
#include <functional>
#include <map>
#include <new>
#include <source_location>
#include <string>
#include <vector>

#include <doctest/doctest.h>

#include "fault/failing_memory.hpp"
#include "support/brittle.hpp"
#include "support/opened.hpp"
#include "support/opened_queue.hpp"
#include "support/scratch.hpp"
#include <cairn/cairn.hpp>

#if !defined(CAIRN_TEST_OTHER_ALLOCATOR)

namespace taking_memory_test {

using namespace cairn_test;

namespace {

using text_map = std::map<int, std::string>;

template <typename T>
T numbered(int n);
template <>
std::string numbered(int n) {
    return std::string(100, 'x') + std::to_string(n);
}
template <>
std::vector<long> numbered(int n) {
    return std::vector<long>(50, n);
}
template <>
std::vector<std::string> numbered(int n) {
    return {numbered<std::string>(n), "short", numbered<std::string>(n + 1)};
}
template <>
text_map numbered(int n) {
    return {{n, numbered<std::string>(n)}, {n + 1, "short"}};
}
template <>
brittle numbered(int n) {
    return {numbered<std::string>(n)};
}

// `fill` puts three in; `take` takes at least one of them out.
template <typename C>
void fail_each_allocation(const C& c, const std::function<void(const C&)>& fill,
                          const std::function<void(const C&)>& take,
                          const std::source_location& where = std::source_location::current()) {
    CAPTURE(where.line());
    fill(c);
    const auto before = c.snapshot();
    int thrown = 0;
    for (int n = 0;; ++n) {
        CAPTURE(n);
        bool is_done = false;
        allocations_left = n;
        try {
            take(c);
            is_done = true;
        } catch (const std::bad_alloc&) {}
        allocations_left = -1;
        if (is_done) break;
        ++thrown;
        REQUIRE((c.snapshot() == before));
    }
    CHECK(thrown > 0);
    CHECK(c.snapshot().size() < before.size());
}

template <typename T>
std::vector<T> three() {
    return {numbered<T>(1), numbered<T>(2), numbered<T>(3)};
}

template <typename Q>
void fail_in_queue(const Q& q) {
    using T = typename Q::value_type;
    const std::function<void(const Q&)> fill = [](const Q& of) {
        while (of.try_get()) {}
        of.put_many(three<T>());
    };
    fail_each_allocation<Q>(q, fill, [](const Q& of) { of.get(); });
    fail_each_allocation<Q>(q, fill, [](const Q& of) { of.get_many(2); });
    fail_each_allocation<Q>(q, fill, [](const Q& of) { of.lease().ack(); });
    const std::function<void(const Q&)> fill_and_return = [&](const Q& of) {
        fill(of);
        of.lease().release();
    };
    fail_each_allocation<Q>(q, fill_and_return, [](const Q& of) { of.get(); });
    fail_each_allocation<Q>(q, fill_and_return, [](const Q& of) { of.get_many(2); });
    CHECK(broken_queue(q) == "");
}

}  // namespace

TEST_CASE_TEMPLATE("no memory to take an element: it stays where it was", T, std::string, std::vector<long>,
                   std::vector<std::string>, text_map, brittle) {
    const cairn::manager m(cairn::segment_options{.max_size = 64 << 20});
    using list = cairn::list<T>;
    const std::function<void(const list&)> fill_list = [](const list& l) {
        l.clear();
        l.extend(three<T>());
    };
    fail_each_allocation<list>(m.list<T>("l"), fill_list, [](const list& l) { l.pop(); });
    fail_each_allocation<list>(m.list<T>("l"), fill_list, [](const list& l) { l.pop(1); });
    fail_each_allocation<list>(m.list<T>("l"), fill_list, [](const list& l) { l.remove(numbered<T>(2)); });
    fail_each_allocation<list>(m.list<T>("l"), fill_list, [](const list& l) {
        int at = 0;
        erase_if(l, [&](const T&) { return at++ != 1; });
    });
    CHECK(broken_invariant(m.list<T>("l")) == "");

    using dict = cairn::dict<int, T>;
    const std::function<void(const dict&)> fill_dict = [](const dict& d) {
        d.clear();
        for (int i = 0; i < 3; ++i) d.set(i, numbered<T>(i));
    };
    fail_each_allocation<dict>(m.dict<int, T>("d"), fill_dict, [](const dict& d) { d.pop(1); });
    fail_each_allocation<dict>(m.dict<int, T>("d"), fill_dict, [](const dict& d) { d.popitem(); });
    fail_each_allocation<dict>(m.dict<int, T>("d"), fill_dict, [](const dict& d) {
        erase_if(d, [](int key, const T&) { return key == 2; });
    });
    using sharded = cairn::sharded_dict<int, T>;
    const std::function<void(const sharded&)> fill_sharded = [](const sharded& d) {
        for (int i = 0; i < 3; ++i) d.set(i, numbered<T>(i));
    };
    const auto s = m.sharded_dict<int, T>("s");
    fail_each_allocation<sharded>(s, fill_sharded, [](const sharded& d) { d.pop(1); });
    fail_each_allocation<sharded>(s, fill_sharded, [](const sharded& d) { d.popitem(); });

    fail_in_queue(m.queue<T>("q"));
    fail_in_queue(m.lifo_queue<T>("lifo"));
    if constexpr (requires(const T& a) { a < a; }) fail_in_queue(m.priority_queue<T>("priority"));

    using channel = cairn::channel<T>;
    const std::function<void(const channel&)> fill_channel = [](const channel& c) {
        while (c.try_get()) {}
        for (const T& each : three<T>()) c.put(each);
    };
    fail_each_allocation<channel>(m.channel<T>("c", {.capacity = 8, .bytes = 1 << 16}), fill_channel,
                                  [](const channel& c) { c.get(); });
}

TEST_CASE("no memory to take an element of a set: it stays") {
    const cairn::manager m;
    using set = cairn::set<std::string>;
    const std::function<void(const set&)> fill = [](const set& s) {
        s.clear();
        s.update(three<std::string>());
    };
    fail_each_allocation<set>(m.set<std::string>("s"), fill, [](const set& s) { s.pop(); });
    fail_each_allocation<set>(m.set<std::string>("s"), fill, [](const set& s) {
        erase_if(s, [](const std::string& each) { return each.back() == '3'; });
    });
}

TEST_CASE("no memory of the process to extend a list of strings: /dev/shm keeps what it had") {
    const scratch_name name;
    const cairn::manager m(name, {.max_size = 64 << 20});
    const auto l = m.list<std::string>("l", {"one"});
    const std::vector<std::string> many(60, std::string(100'000, 'x'));
    const std::uint64_t real = m.stats().real_bytes;
    int thrown = 0;
    for (int n = 0;; ++n) {
        CAPTURE(n);
        bool is_done = false;
        allocations_left = n;
        try {
            l.extend(many);
            is_done = true;
        } catch (const std::bad_alloc&) {}
        allocations_left = -1;
        if (is_done) break;
        ++thrown;
        REQUIRE(m.stats().real_bytes == real);
    }
    CHECK(thrown > 0);
    CHECK(l.size() == 61);
}

TEST_CASE("a full segment is what an operation says, also where there is no memory to move blocks with") {
    const cairn::manager m({.max_size = 2 << 20});
    const auto l = m.list<std::string>("l");
    try {
        for (;;) l.push_back(std::string(3 * 4096, 'x'));
    } catch (const cairn::segment_full&) {}
    for (std::size_t i = 0; i < l.size(); i += 2) l.set(i, "");
    const std::vector<std::string> before = l.snapshot();
    const std::string large(12 * 4096, 'y');
    int full = 0;
    for (int n = 0;; ++n) {
        CAPTURE(n);
        bool is_done = false;
        allocations_left = n;
        try {
            l.push_back(large);
            is_done = true;
        } catch (const cairn::segment_full&) {
            ++full;
        } catch (const std::bad_alloc&) {
            CHECK(full == 0);  // no memory for the exception's words
        }
        allocations_left = -1;
        if (is_done) break;
        REQUIRE(l.snapshot() == before);
    }
    CHECK(full > 0);
    CHECK(broken_invariant(l) == "");
}

}  // namespace taking_memory_test

#endif

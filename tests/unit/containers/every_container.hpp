// every_container.hpp - an element type in all containers that take it: what goes in comes out, by every way out.
// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <concepts>
#include <cstddef>
#include <optional>
#include <utility>
#include <vector>

#include <doctest/doctest.h>

#include <cairn/cairn.hpp>
#include <cairn/detail/codec/equal.hpp>

namespace cairn_test {

enum class usable_as { element, key };

template <typename T>
bool same(const T& a, const T& b) {
    return cairn::detail::equal_elements(a, b);
}
template <typename T>
bool same_all(const std::vector<T>& found, const std::vector<T>& expected) {
    return cairn::detail::equal_elements(found, expected);
}

template <typename T>
void use_in_list(const cairn::manager& m, const T& a, const T& b) {
    const auto l = m.list<T>("list", {a, b});
    CHECK(same_all<T>(l.snapshot(), {a, b}));
    l.push_back(a);
    l.extend(std::vector<T>{b, a});
    l.insert(1, b);
    l.set(0, b);
    l[0] = a;
    l.update(0, [&](T& value) { value = b; });
    CHECK(same_all<T>(l.snapshot(), {b, b, b, a, b, a}));
    CHECK(same_all<T>(l.slice(1, 6, 2), {b, a, a}));
    CHECK(same<T>(l.at(3), a));
    CHECK(same<T>(l[3].get(), a));
    CHECK(same<T>(l.back(), a));
    CHECK(l.index(b) == 0);
    CHECK(l.contains(a));
    CHECK(l.count(a) == (same(a, b) ? 6 : 2));
    std::size_t seen = 0;
    for (const T& each : l) seen += same(each, b) ? 1 : 0;
    l.for_each([&](const T& each) { seen += same(each, b) ? 1 : 0; });
    CHECK(seen == (same(a, b) ? 12 : 8));
    CHECK(cairn::repr(l) == cairn::repr(l.snapshot()));
    l.reverse();
    if constexpr (std::totally_ordered<T>) l.sort();
    l.remove(b);
    CHECK(same_all<T>(l.snapshot(), l.snapshot()));
    CHECK(l == l.snapshot());
    const T last = l.back();
    CHECK(same<T>(l.pop(), last));
    const T first = l.front();
    CHECK(same<T>(l.pop(0), first));
    const std::size_t left = l.count(b);
    CHECK(erase_if(l, [&](const T& each) { return same(each, b); }) == left);
    l.clear();
}

template <typename T, typename Q>
void use_in_queue(const Q& q, const T& a, const T& b) {
    q.put(a);
    q.put_many(std::vector<T>{a, b});
    CHECK(q.try_put(b));
    CHECK(q.snapshot().size() == 4);
    CHECK(!cairn::repr(q).empty());
    std::vector<T> all = q.get_many(2);
    auto lease = q.lease();
    all.push_back(*lease);
    lease.ack();
    all.push_back(q.get());
    CHECK(!q.try_get().has_value());
    std::size_t count = 0;
    for (const T& each : all) count += same<T>(each, a) ? 1 : 0;
    CHECK(count == (same(a, b) ? 4 : 2));
}

template <typename T>
void use_in_channel(const cairn::manager& m, const T& a, const T& b) {
    const auto c = m.channel<T>("channel", {.capacity = 8, .bytes = 1 << 16});
    c.put(a);
    c.put(b);
    CHECK(same_all<T>(c.snapshot(), {a, b}));
    CHECK(same<T>(c.get(), a));
    CHECK(same<T>(*c.try_get(), b));
}

template <typename D, typename T>
void use_as_value(const D& d, const T& a, const T& b) {
    d.set(1, a);
    d.update({{2, b}, {3, a}});
    CHECK(same<T>(d.at(1), a));
    CHECK(same<T>(*d.get(2), b));
    CHECK(same<T>(d.setdefault(3, b), a));
    d.update(1, [&](T& value) { value = b; });
    std::size_t count = 0;
    for (const auto& [key, value] : d) count += same<T>(value, b) ? 1 : 0;
    d.for_each([&](long, const T& value) { count += same<T>(value, b) ? 1 : 0; });
    const std::vector<T> values = d.values();
    for (const T& value : values) count += same<T>(value, b) ? 1 : 0;
    CHECK(count == (same(a, b) ? 9 : 6));
    CHECK(d == d.snapshot());
    CHECK(!cairn::repr(d).empty());
    CHECK(same<T>(d.pop(1), b));
    CHECK(erase_if(d, [&](long, const T& value) { return same<T>(value, b); }) == (same(a, b) ? 2 : 1));
    if (!d.empty()) CHECK(same<T>(d.popitem().second, a));
    CHECK(d.empty());
}

template <typename D, typename T>
void use_as_key(const D& d, const T& a, const T& b) {
    d.set(a, 1);
    d.update({{b, 2}});
    CHECK(d.at(b) == 2);
    CHECK(d.contains(a));
    CHECK(d.keys().size() == d.size());
    CHECK(d == d.snapshot());
    CHECK(erase_if(d, [&](const T& key, long) { return same(key, b); }) == 1);
    if (!d.empty()) CHECK(d.pop(a) == 1);
    d.set(a, 3);
    CHECK(same<T>(d.popitem().first, a));
}

template <typename T>
void use_in_set(const cairn::manager& m, const T& a, const T& b) {
    const bool is_one = same(a, b);
    const auto s = m.set<T>("set", {a, b});
    CHECK(s.size() == (is_one ? 1 : 2));
    CHECK(s == std::vector<T>{b, a});
    CHECK(s == m.set<T>("other set", {b, a}));
    CHECK(s.contains(a));
    CHECK(!s.add(b));
    CHECK(s.union_with({b, a}).size() == s.size());
    CHECK(s.intersection({b}).size() == 1);
    CHECK(s.difference({a}).size() == s.size() - 1);
    CHECK(s.symmetric_difference({a, a}).size() == s.size() - 1);
    CHECK(s.issubset({a, b}));
    CHECK(s.issuperset({a}));
    CHECK(!s.isdisjoint({b}));
    s.symmetric_difference_update({a, a});
    CHECK(s.size() == (is_one ? 0 : 1));
    s.update({a, b});
    s.intersection_update({a});
    CHECK(s == std::vector<T>{a});
    for (const T& each : s) CHECK(same<T>(each, a));
    CHECK(!cairn::repr(s).empty());
    CHECK(same<T>(s.pop(), a));
    s.update({a, b});
    CHECK(erase_if(s, [&](const T& each) { return same<T>(each, b); }) == 1);
    s.difference_update({a});
    CHECK(s.empty());
}

/// Two values, which may be equal where a type has but one.
template <typename T, usable_as As = usable_as::element>
void use_in_every_container(const T& a, const T& b) {
    CAPTURE(cairn::codec<T>::type_name());
    const cairn::manager m;
    use_in_list<T>(m, a, b);
    use_in_queue<T>(m.queue<T>("queue"), a, b);
    use_in_queue<T>(m.lifo_queue<T>("lifo_queue"), a, b);
    if constexpr (std::totally_ordered<T>) use_in_queue<T>(m.priority_queue<T>("priority_queue"), a, b);
    use_in_channel<T>(m, a, b);
    use_as_value(m.dict<long, T>("dict"), a, b);
    use_as_value(m.sharded_dict<long, T>("sharded_dict"), a, b);
    if constexpr (As == usable_as::key) {
        use_as_key(m.dict<T, long>("keys"), a, b);
        use_in_set<T>(m, a, b);
    }
}

}  // namespace cairn_test

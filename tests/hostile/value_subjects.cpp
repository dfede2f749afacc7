// value_subjects.cpp - values, arrays, namespaces, onces, and what has happened, in damaged segments.
// SPDX-License-Identifier: BSL-1.0
#include <chrono>
#include <cstdint>
#include <span>
#include <sstream>
#include <string>
#include <vector>

#include "subjects.hpp"
#include <cairn/cairn.hpp>

namespace cairn_test {

namespace {

constexpr auto soon = std::chrono::milliseconds(1);

template <typename T>
T some_value(int number) {
    if constexpr (std::is_same_v<T, std::string>)
        return std::string(static_cast<std::size_t>(number) * 40, 'v');
    else return static_cast<T>(number);
}

template <typename T>
void build_value(const cairn::manager& in, const char* name) {
    const auto v = in.value<T>(name, some_value<T>(3));
    // Held, as a transaction leaves it.
    v.transaction([](auto& tx) { tx.store(some_value<T>(5)); });
    v.store(some_value<T>(7), {.once = {1, 1}});
}

template <typename T>
void read_value(const cairn::value<T>& v, attempts& attempt) {
    attempt("name", [&] { static_cast<void>(v.name()); });
    attempt("load", [&] { static_cast<void>(v.load()); });
    attempt("operator<<", [&] { std::ostringstream() << v; });
}

template <typename T>
void write_value(const cairn::value<T>& v, attempts& attempt) {
    attempt("store", [&] { v.store(some_value<T>(2)); });
    attempt("store", [&] { v.store(some_value<T>(4), {.once = {2, 9}}); });
    attempt("exchange", [&] { static_cast<void>(v.exchange(some_value<T>(9))); });
    attempt("update", [&] { static_cast<void>(v.update([](T& each) { each = some_value<T>(1); })); });
    attempt("transaction", [&] { v.transaction([](auto& tx) { tx.store(tx.load()); }); });
    if constexpr (std::is_arithmetic_v<T>) {
        attempt("fetch_add", [&] { v.fetch_add(1); });
        attempt("fetch_add", [&] { static_cast<void>(v.fetch_add(1, {.once = {1, 2}})); });
    }
    attempt("happened", [&] { static_cast<void>(v.manager().happened({1, 2})); });
    attempt("forget", [&] { v.manager().forget(1); });
}

template <typename T>
constexpr subject value_of_type(const char* name) {
    return {name, &build_value<T>, &open_as<cairn::value<T>, &read_value<T>, &write_value<T>>};
}

using longs = cairn::array<long>;

void build_array(const cairn::manager& in, const char* name) {
    const auto a = in.array<long>(name, 700);
    a.set(5, 5);
}

void read_array(const longs& a, attempts& attempt) {
    attempt("size", [&] { static_cast<void>(a.size()); });
    attempt("at", [&] { static_cast<void>(a.at(5)); });
    attempt("snapshot", [&] { static_cast<void>(a.snapshot()); });
    attempt("slice", [&] { static_cast<void>(a.slice(1, 600, 7)); });
    attempt("is_locked", [&] { static_cast<void>(a.is_locked()); });
    attempt("operator<<", [&] { std::ostringstream() << a; });
}

void write_array(const longs& a, attempts& attempt) {
    attempt("set", [&] { a.set(699, 1); });
    attempt("update", [&] { a.update(3, [](long& each) { ++each; }); });
    attempt("assign", [&] { a.assign(2, {1, 2, 3}); });
    attempt("transaction", [&] { a.transaction([](auto& tx) { tx.set(1, 2); }); });
    bool has_it = false;
    attempt("try_lock_for", [&] { has_it = a.try_lock_for(soon); });
    if (!has_it) return;
    attempt("data", [&] {
        if (const std::span<long> all = a.data(); !all.empty()) all.back() = 7;
    });
    attempt("set", [&] { a.set(0, 1); });
    attempt("unlock", [&] {
        for (int left = 8; left != 0 && a.is_owned(); --left) a.unlock();
    });
}

void build_namespace(const cairn::manager& in, const char* name) {
    const auto n = in.ns(name);
    n.set("x", 1);
    n.set("y", std::string(100, 'y'));
    n.set("z", std::vector<long>{1, 2});
    n.erase("x");
    n.set("w", 2.5);
}

void read_namespace(const cairn::ns& n, attempts& attempt) {
    attempt("names", [&] { static_cast<void>(n.names()); });
    attempt("size", [&] { static_cast<void>(n.size()); });
    attempt("find", [&] { static_cast<void>(n.find<double>("w")); });
    attempt("find", [&] { static_cast<void>(n.find<std::string>("y")); });
    attempt("find", [&] { static_cast<void>(n.find<std::vector<long>>("z")); });
    attempt("type_of", [&] { static_cast<void>(n.type_of("z")); });
    attempt("operator<<", [&] { std::ostringstream() << n; });
}

void write_namespace(const cairn::ns& n, attempts& attempt) {
    attempt("set", [&] { n.set("v", 5); });
    attempt("set", [&] { n.set("y", "short"); });
    attempt("update", [&] { n.update<double>("w", [](double& each) { each *= 2; }); });
    attempt("erase", [&] { n.erase("z"); });
    attempt("transaction", [&] { n.transaction([](auto& tx) { tx.set("u", 1); }); });
    attempt("clear", [&] { n.clear(); });
}

void build_once(const cairn::manager& in, const char* name) {
    try {
        in.once(name).call([] { throw 1; });
    } catch (int) {
        return;
    }
}

void read_once(const cairn::once& o, attempts& attempt) {
    attempt("done", [&] { static_cast<void>(o.done()); });
    attempt("operator<<", [&] { std::ostringstream() << o; });
}

void write_once(const cairn::once& o, attempts& attempt) {
    attempt("call_for", [&] { static_cast<void>(o.call_for(soon, [] {})); });
    attempt("call_for", [&] { static_cast<void>(o.call_for(soon, [] {})); });
}

constexpr subject all[] = {
    value_of_type<long>("value of a word"),
    value_of_type<std::string>("value of a string"),
    {"array", &build_array, &open_as<longs, &read_array, &write_array>},
    {"namespace", &build_namespace, &open_as<cairn::ns, &read_namespace, &write_namespace>},
    {"once", &build_once, &open_as<cairn::once, &read_once, &write_once>},
};

}  // namespace

std::span<const subject> value_subjects() {
    return all;
}

}  // namespace cairn_test

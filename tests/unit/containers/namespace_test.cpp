// namespace_test.cpp - cairn::ns: values of any types under names, as Python's Namespace has them.
// SPDX-License-Identifier: BSL-1.0
#include <map>
#include <stdexcept>
#include <string>
#include <vector>

#include <unistd.h>

#include <doctest/doctest.h>

#include "support/scratch.hpp"
#include "support/sound.hpp"
#include <cairn/cairn.hpp>

namespace namespace_test {

using namespace cairn_test;

namespace {

struct undone {};
struct settings {
    int limit = 0;
    std::string title;
    friend bool operator==(const settings&, const settings&) = default;
};
CAIRN_FIELDS(settings, limit, title)

}  // namespace

TEST_CASE("a namespace has values of any types, and prints as Python's") {
    const cairn::manager m;
    const auto n = m.ns("n");
    CHECK(cairn::repr(n) == "Namespace()");
    n.set("x", 10);
    n.set("y", "hello");
    n.set("z", std::vector<double>{0.5});
    n.set("s", settings{1, "t"});
    CHECK(cairn::repr(n) == "Namespace(x=10, y='hello', z=[0.5], s={'limit': 1, 'title': 't'})");
    CHECK(n.get<int>("x") == 10);
    CHECK(n.get<std::string>("y") == "hello");
    CHECK(n.get<std::vector<double>>("z") == std::vector<double>{0.5});
    CHECK(n.get<settings>("s") == settings{1, "t"});
    CHECK(n.names() == std::vector<std::string>{"x", "y", "z", "s"});
    CHECK(n.size() == 4);
    CHECK(n.type_of("x") == "int32");
    // Another type under the same name.
    n.set("x", std::map<std::string, long>{{"a", 1}});
    CHECK(n.get<std::map<std::string, long>>("x").at("a") == 1);
    CHECK(n.erase("y"));
    CHECK_FALSE(n.erase("y"));
    CHECK_FALSE(n.contains("y"));
    n.clear();
    CHECK(n.empty());
}

TEST_CASE("a name that is not there, or of another type, is an error that says so") {
    const cairn::manager m;
    const auto n = m.ns("n");
    n.set("x", 1);
    CHECK(thrown_by<cairn::key_error>([&] { static_cast<void>(n.get<int>("nobody")); }).find("'nobody'") !=
          std::string::npos);
    CHECK_THROWS_AS(static_cast<void>(n.type_of("nobody")), cairn::key_error);
    CHECK(n.get<int>("nobody", 7) == 7);
    CHECK_FALSE(n.find<int>("nobody").has_value());
    const std::string said = thrown_by<cairn::type_mismatch>([&] { static_cast<void>(n.get<double>("x")); });
    CHECK(said.find("ns 'n'") != std::string::npos);
    CHECK(said.find("'x' is int32") != std::string::npos);
    CHECK(said.find("float64") != std::string::npos);
    CHECK_THROWS_AS(static_cast<void>(n.find<std::string>("x")), cairn::type_mismatch);
    CHECK_THROWS_AS((n.update<double>("x", [](double&) {})), cairn::type_mismatch);
    CHECK(n.get<int>("x") == 1);
}

TEST_CASE("a value is changed as one, and in transactions with others") {
    const cairn::manager m;
    const auto n = m.ns("n");
    n.update<int>("x", [](int& v) { v += 5; });
    n.update<int>("x", [](int v) { return v * 2; });
    CHECK(n.get<int>("x") == 10);
    CHECK_THROWS_AS((n.update<int>("x",
                                   [](int& v) {
                                       v = 0;
                                       throw undone();
                                   })),
                    undone);
    CHECK_THROWS_AS(n.transaction([](auto& tx) {
        tx.set("x", 1);
        tx.set("y", 2);
        throw undone();
    }),
                    undone);
    CHECK(cairn::repr(n) == "Namespace(x=10)");
    const auto l = m.list<int>("l", {4});
    cairn::transaction(n, l, [](auto& of_n, auto& of_l) { of_n.set("x", of_l.pop()); });
    CHECK(n.get<int>("x") == 4);
    CHECK(n.set("x", 5, {.once = {1, 1}}));
    CHECK_FALSE(n.set("x", 6, {.once = {1, 1}}));
    CHECK(n.erase("x", {.once = {1, 2}}));
}

TEST_CASE("other processes find it by name, a killed one leaves it whole") {
    const scratch_name name;
    const auto m = cairn::manager::create(name);
    const auto n = m.ns("n");
    n.set("x", 1);
    CHECK(in_child([&] {
              const auto same = cairn::manager::open(name.get()).ns("n");
              same.set("y", same.get<int>("x") + 1);
              same.transaction([](auto& tx) {
                  tx.clear();
                  ::_exit(0);
              });
          }) == 0);
    CHECK(cairn::repr(n) == "Namespace(x=1, y=2)");
    CHECK(is_sound(m));
    const auto reading = cairn::manager::open(name.get(), cairn::open_mode::read_only).ns("n");
    CHECK(reading.get<int>("y") == 2);
    CHECK_THROWS_AS(reading.set("y", 3), cairn::permission_denied);
    CHECK_THROWS_AS(static_cast<void>(m.dict<std::string, int>("n")), cairn::type_mismatch);
    REQUIRE(m.remove("n"));
    CHECK_THROWS_AS(static_cast<void>(n.get<int>("x")), cairn::object_gone);
}

}  // namespace namespace_test

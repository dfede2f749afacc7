// fields_test.cpp - CAIRN_FIELDS: what a struct with it is called, how it is stored, compared and printed.
// SPDX-License-Identifier: BSL-1.0
#include "cairn/fields.hpp"

#include <cstddef>
#include <cstdint>
#include <limits>
#include <map>
#include <optional>
#include <sstream>
#include <string>
#include <type_traits>
#include <vector>

#include <doctest/doctest.h>

#include "codec_case.hpp"
#include "support/scratch.hpp"
#include "support/structs.hpp"
#include <cairn/detail/codec/equal.hpp>
#include <cairn/detail/codec/key.hpp>
#include <cairn/manager.hpp>
#include <cairn/repr.hpp>

namespace fields_test {

using namespace cairn_test;

namespace app::inner {

struct many {
    int a0 = 0, a1 = 1, a2 = 2, a3 = 3, a4 = 4, a5 = 5, a6 = 6, a7 = 7, a8 = 8, a9 = 9;
    int b0 = 0, b1 = 1, b2 = 2, b3 = 3, b4 = 4, b5 = 5, b6 = 6, b7 = 7, b8 = 8, b9 = 9;
    int c0 = 0, c1 = 1, c2 = 2, c3 = 3, c4 = 4, c5 = 5, c6 = 6, c7 = 7, c8 = 8, c9 = 9;
    std::string last = "last";
};
CAIRN_FIELDS(many, a0, a1, a2, a3, a4, a5, a6, a7, a8, a9, b0, b1, b2, b3, b4, b5, b6, b7, b8, b9, c0, c1, c2,
             c3, c4, c5, c6, c7, c8, c9, last)

struct derived : many {};

struct outer {
    struct nested {
        int x;
    };
    nested n;
};
CAIRN_FIELDS(outer::nested, x)
CAIRN_FIELDS(outer, n);

template <typename T>
struct pair_of {
    T first;
    T second;
};
using pair_of_texts = pair_of<std::string>;
CAIRN_FIELDS(pair_of_texts, first, second)

}  // namespace app::inner

namespace {

namespace one {
struct job {
    int id = 0;
    double weight = 0;
};
CAIRN_FIELDS(job, id, weight)
}  // namespace one
namespace other {
struct job {
    int id = 0;
    double mass = 0;
};
CAIRN_FIELDS(job, id, mass)
}  // namespace other

// Its == is not that of its fields.
struct nearly {
    int value;
    friend bool operator==(const nearly& a, const nearly& b) { return a.value / 10 == b.value / 10; }
};
CAIRN_FIELDS(nearly, value)

template <typename T>
std::string name_of() {
    return cairn::codec<T>::type_name();
}

}  // namespace

TEST_CASE("the name of a struct says its fields, and where they lie if that cannot be told") {
    CHECK(name_of<plain_job>() == "plain_job {id: int32, weight: float64, tag: char[8]}");
    CHECK(name_of<tagged_job>() ==
          "tagged_job {id: int32, weight: float64, tags: vector<str>, plain: optional<" +
              name_of<plain_job>() + ">, names: str[2]}");
    CHECK(name_of<careful>() == "careful packed {x_: int32, y_: float64}");
    CHECK(name_of<gappy>() == "gappy[64,16] {job: " + name_of<plain_job>() +
                                  " @24, a: int8 @8, b: int16[3] @16, floats: array<float32, 2> @48}");
    CHECK(name_of<app::inner::outer>() == "outer {n: outer::nested {x: int32}}");
    CHECK(name_of<app::inner::pair_of_texts>() == "pair_of_texts {first: str, second: str}");
}

TEST_CASE("structs come back field by field, and bytes that are none are said to be damaged") {
    check_codecs({
        case_of(plain_job{1, 2.5, "first"}),
        case_of(plain_job{2, -1, {'w', 'h', 'o', 'l', 'e', 'e', 'n', 'd'}}),
        case_of(gappy{1, 2, {3, 4, 5}, {6, 7.5, "x"}, {8.5F, 9}}),
        case_of(untagged()),
        case_of(tagged()),
        case_of(careful(1, 2.5)),
        case_of(app::inner::pair_of_texts{"a", std::string(300, 'b')}),
        case_of(std::vector<tagged_job>(2)),
        case_of(std::map<std::string, std::optional<tagged_job>>{{"a", {}}, {"b", untagged()}}),
    });
}

TEST_CASE("a trivially copyable struct is stored in place, any other field by field") {
    CHECK(cairn::detail::inline_bytes<plain_job>() == sizeof(plain_job));
    CHECK(cairn::detail::inline_bytes<gappy>() == sizeof(gappy));
    CHECK(cairn::detail::inline_bytes<careful>() == 0);
    CHECK(cairn::codec<careful>::size({1, 2}) == 12);
    CHECK(cairn::detail::inline_bytes<tagged_job>() == 0);
}

TEST_CASE("thirty-one fields, fields of nested types and of templates come back") {
    const cairn::manager m;
    const auto l = m.list<app::inner::many>("many");
    app::inner::many value;
    value.c9 = 77;
    value.last = "x";
    l.push_back(value);
    CHECK(l.at(0).c9 == 77);
    CHECK(l.at(0).last == "x");
    CHECK(l.index(value) == 0);
    CHECK(contains(cairn::repr(l), "'b9': 9, 'c0': 0"));
    CHECK(m.list<app::inner::outer>({{{5}}}).at(0).n.x == 5);
    CHECK(m.list<app::inner::pair_of_texts>({{"a", "b"}}).at(0).second == "b");
    CHECK_FALSE(cairn::detail::has_fields<app::inner::derived>);
    CHECK_FALSE(cairn::detail::has_fields<int>);
}

TEST_CASE("another list of fields is another type") {
    const cairn::manager m;
    const auto jobs = m.list<one::job>("jobs", {{1, 2.5}});
    CHECK(m.list<one::job>("jobs").size() == 1);
    const std::string what =
        thrown_by<cairn::type_mismatch>([&] { static_cast<void>(m.list<other::job>("jobs")); });
    CHECK(contains(what, "list<job {id: int32, weight: float64}>"));
    CHECK(contains(what, "list<job {id: int32, mass: float64}>"));
}

TEST_CASE("structs without == are found by their fields") {
    const cairn::manager m;
    const auto l = m.list<plain_job>("l", {{1, 2.5, "a"}, {2, 0.0, "b"}, {1, 2.5, "a"}});
    CHECK(l.index({2, -0.0, "b"}) == 1);
    CHECK(l.count({1, 2.5, "a"}) == 2);
    CHECK_FALSE(l.contains({1, 2.5, "x"}));
    CHECK(l[0] == l[2]);
    CHECK(l[1] == plain_job{2, 0, "b"});
    CHECK_FALSE(l[0] == l[1]);
    l.remove({1, 2.5, "a"});
    CHECK(l.size() == 2);
    CHECK(l == m.list<plain_job>({{2, 0, "b"}, {1, 2.5, "a"}}));
    CHECK(l == std::vector<plain_job>{{2, 0, "b"}, {1, 2.5, "a"}});
    CHECK_FALSE(m.list<plain_job>({{1, std::numeric_limits<double>::quiet_NaN(), ""}})
                    .contains({1, std::numeric_limits<double>::quiet_NaN(), ""}));
    CHECK(m.list<std::vector<plain_job>>({{{1, 2, "a"}}}).contains({{1, 2, "a"}}));
}

TEST_CASE("a struct's own == is what searches use, and its fields are what makes a key") {
    const cairn::manager m;
    CHECK(m.list<nearly>({{17}}).contains({12}));
    CHECK_FALSE(cairn::detail::key_traits<nearly>::equal({17}, {12}));
}

TEST_CASE("a struct prints as Python prints a dict") {
    CHECK(cairn::repr(one::job{1, 2.5}) == "{'id': 1, 'weight': 2.5}");
    CHECK(cairn::repr(plain_job{1, 2, "it's"}) == "{'id': 1, 'weight': 2.0, 'tag': \"it's\"}");
    CHECK(cairn::repr(tagged_job{1, 0.5, {"a"}, {}, {"b", ""}}) ==
          "{'id': 1, 'weight': 0.5, 'tags': ['a'], 'plain': None, 'names': ['b', '']}");
    const cairn::manager m;
    std::ostringstream text;
    const auto l = m.list<one::job>({{1, 2.5}});
    text << l << l[0];
    CHECK(text.str() == "[{'id': 1, 'weight': 2.5}]{'id': 1, 'weight': 2.5}");
}

}  // namespace fields_test

// msgpack_test.cpp - types that msgpack-c packs as elements.
// SPDX-License-Identifier: BSL-1.0
#include "cairn/msgpack.hpp"

#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include <doctest/doctest.h>

#include "codec_case.hpp"
#include "support/opened.hpp"
#include "support/scratch.hpp"
#include <cairn/manager.hpp>

using namespace cairn_test;

namespace {

namespace app {

struct job {
    int id = 0;
    double weight = 0;
    std::vector<std::string> tags;
    bool operator==(const job&) const = default;
    MSGPACK_DEFINE_MAP(id, weight, tags)
};

struct line {
    std::uint64_t number = 0;
    std::map<std::string, std::vector<int>> counts;
    MSGPACK_DEFINE(number, counts)
};

// As deep as one likes.
struct chain {
    std::vector<chain> next;
    MSGPACK_DEFINE(next)
};

chain chain_of(int links) {
    chain first;
    for (int i = 1; i < links; ++i) {
        chain before;
        before.next.push_back(std::move(first));
        first = std::move(before);
    }
    return first;
}

}  // namespace app

}  // namespace

template <>
struct cairn::codec<app::job> : cairn::msgpack_codec<app::job, "job"> {};
template <>
struct cairn::codec<app::line> : cairn::msgpack_codec<app::line, "line"> {};
template <>
struct cairn::codec<app::chain> : cairn::msgpack_codec<app::chain, "chain"> {};

TEST_CASE("what msgpack-c packs comes back, and bytes that are none of it are said to be damaged") {
    check_codecs({
        case_of(app::job{}),
        case_of(app::job{7, 2.5, {"a", std::string(300, 'b')}}),
        case_of(app::line{1U << 30U, {{"x", {1, -2}}, {"y", {}}}}),
        case_of(app::chain_of(100)),
        case_of(std::vector<app::job>{{1, 2, {"x"}}, {}}),
    });
}

TEST_CASE("what msgpack-c packs is an element, and is called by the name that it was given") {
    const cairn::manager m;
    const auto l = m.list<app::job>("jobs", {{7, 2.5, {"a"}}});
    l.push_back({8, 0.5, {}});
    CHECK(l.index({8, 0.5, {}}) == 1);
    CHECK(cairn::repr(l) ==
          "[{'id': 7, 'weight': 2.5, 'tags': ['a']}, {'id': 8, 'weight': 0.5, 'tags': []}]");
    CHECK(broken_invariant(l) == "");
    CHECK(contains(thrown_by<cairn::type_mismatch>([&] { static_cast<void>(m.list<app::line>("jobs")); }),
                   "list<msgpack:job>"));
}

TEST_CASE("what is packed deeper than it could be read is refused") {
    const cairn::manager m;
    const auto l = m.list<app::chain>("l");
    l.push_back(app::chain_of(250));  // two levels each
    CHECK_THROWS_AS(l.push_back(app::chain_of(257)), cairn::invalid_argument);
    CHECK(l.size() == 1);
}

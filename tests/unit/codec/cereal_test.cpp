// cereal_test.cpp - types that cereal can serialize as elements.
// SPDX-License-Identifier: BSL-1.0
#include "cairn/cereal.hpp"

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <limits>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include <cereal/types/map.hpp>
#include <cereal/types/memory.hpp>
#include <cereal/types/optional.hpp>
#include <cereal/types/polymorphic.hpp>
#include <cereal/types/string.hpp>
#include <cereal/types/utility.hpp>
#include <cereal/types/variant.hpp>
#include <cereal/types/vector.hpp>
#include <doctest/doctest.h>

#include "codec_case.hpp"
#include "support/opened.hpp"
#include "support/scratch.hpp"
#include <cairn/manager.hpp>

using namespace cairn_test;

namespace app {

struct job {
    int id = 0;
    bool urgent = false;
    std::vector<std::string> tags;
    std::map<std::string, double> weights;
    bool operator==(const job&) const = default;
    template <typename Archive>
    void serialize(Archive& archive) {
        archive(CEREAL_NVP(id), urgent, tags, weights);
    }
};

struct numbers {
    std::vector<std::uint64_t> all;
    std::optional<std::pair<int, int>> two;
    std::variant<int, std::string> either;
    template <typename Archive>
    void serialize(Archive& archive) {
        archive(all, two, either);
    }
};

// As deep as one likes.
struct chain {
    std::vector<chain> next;
    template <typename Archive>
    void serialize(Archive& archive) {
        archive(next);
    }
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

struct shape {
    virtual ~shape() = default;
    [[nodiscard]] virtual int corners() const = 0;
};
struct polygon : shape {
    int n = 0;
    [[nodiscard]] int corners() const override { return n; }
    template <typename Archive>
    void serialize(Archive& archive) {
        archive(n);
    }
};
struct drawing {
    std::vector<std::unique_ptr<shape>> shapes;
    template <typename Archive>
    void serialize(Archive& archive) {
        archive(shapes);
    }
};

}  // namespace app

CEREAL_REGISTER_TYPE(app::polygon)
CEREAL_REGISTER_POLYMORPHIC_RELATION(app::shape, app::polygon)

template <>
struct cairn::codec<app::job> : cairn::cereal_codec<app::job, "job"> {};
template <>
struct cairn::codec<app::numbers> : cairn::cereal_codec<app::numbers, "numbers"> {};
template <>
struct cairn::codec<app::chain> : cairn::cereal_codec<app::chain, "chain"> {};
template <>
struct cairn::codec<app::drawing> : cairn::cereal_codec<app::drawing, "drawing"> {};

TEST_CASE("what cereal serializes comes back, and bytes that are none of it are said to be damaged") {
    check_codecs({
        case_of(app::job{}),
        case_of(app::job{7, true, {"a", "", std::string(300, 'b')}, {{"x", 0.5}, {"y", -1}}}),
        case_of(app::numbers{{1, 2, 3}, {{4, 5}}, "text"}),
        case_of(std::vector<app::job>{{1, false, {"x"}, {}}, {}}),
    });
}

TEST_CASE("what cereal serializes is an element, and is called by the name that it was given") {
    const cairn::manager m;
    const auto l = m.list<app::job>("jobs", {{7, true, {"a"}, {}}});
    l.push_back({8, false, {}, {}});
    CHECK(l.index({8, false, {}, {}}) == 1);
    CHECK(l.at(0).tags == std::vector<std::string>{"a"});
    CHECK(broken_invariant(l) == "");
    CHECK(contains(cairn::repr(l), "[<cereal:job 0700000001"));
    CHECK(contains(thrown_by<cairn::type_mismatch>([&] { static_cast<void>(m.list<app::numbers>("jobs")); }),
                   "list<cereal:job>"));
}

TEST_CASE("pointers to polymorphic types come back as what they pointed to, as cereal has them") {
    app::drawing value;
    auto triangle = std::make_unique<app::polygon>();
    triangle->n = 3;
    value.shapes.push_back(std::move(triangle));
    value.shapes.emplace_back();
    const auto back = decode<app::drawing>(encode(value));
    REQUIRE(back.shapes.size() == 2);
    CHECK(back.shapes[0]->corners() == 3);
    CHECK(back.shapes[1] == nullptr);
    check_codec(case_of(value));
}

TEST_CASE("bytes behind the value are refused") {
    std::vector<std::byte> bytes = encode(app::job{7, true, {"a"}, {}});
    bytes.push_back(std::byte{0});
    CHECK_THROWS_AS(decode<app::job>(bytes), cairn::corrupt_segment);
}

TEST_CASE("sizes of more items than there are bytes are refused before there is room for them") {
    // 2^64 - 1 numbers; 2^61 + 1, of which eight bytes each are eight; and one more than there are.
    for (const std::uint64_t size :
         {std::numeric_limits<std::uint64_t>::max(), (std::uint64_t{1} << 61U) + 1, std::uint64_t{3}}) {
        std::vector<std::byte> bytes = encode(app::numbers{{1, 2}, {}, 0});
        std::memcpy(bytes.data(), &size, sizeof size);
        CHECK_THROWS_AS(decode<app::numbers>(bytes), cairn::corrupt_segment);
    }
}

TEST_CASE("what is nested deeper than could be read is refused, in a value and in bytes") {
    // Two levels each, and one for the size of the last.
    CHECK(encode(decode<app::chain>(encode(app::chain_of(999)))) == encode(app::chain_of(999)));
    CHECK(contains(thrown_by<cairn::invalid_argument>([] { encode(app::chain_of(1001)); }), "2000 levels"));
    std::vector<std::byte> bytes(std::size_t{8} << 20U);  // a million times "a vector of one"
    for (std::size_t i = 0; i < bytes.size(); i += 8) bytes[i] = std::byte{1};
    CHECK_THROWS_AS(decode<app::chain>(bytes), cairn::corrupt_segment);
}

// json_test.cpp - nlohmann::json as an element: the list of anything.
// SPDX-License-Identifier: BSL-1.0
#include "cairn/json.hpp"

#include <cstddef>
#include <cstdint>
#include <limits>
#include <map>
#include <optional>
#include <sstream>
#include <string>
#include <tuple>
#include <utility>
#include <vector>

#include <doctest/doctest.h>

#include "codec_case.hpp"
#include "inspect/decode.hpp"
#include "support/opened.hpp"
#include "support/scratch.hpp"
#include <cairn/manager.hpp>

using namespace cairn_test;
using nlohmann::json;
using nlohmann::ordered_json;

namespace {

json nested(int depth) {
    json value = 1;
    for (int i = 0; i < depth; ++i) value = json::array({std::move(value)});
    return value;
}

json everything() {
    return {{"none", nullptr},
            {"truth", {true, false}},
            {"small", {0, -1, 127, -32, 128, -33, 65'536}},
            {"large", {std::numeric_limits<std::int64_t>::min(), std::numeric_limits<std::uint64_t>::max()}},
            {"real", {0.5, -0.0, 1e300, 0.1}},
            {"text", {"", "it's", "gr\xc3\xb6\xc3\x9f", std::string(300, 'x'), std::string("\0\xff", 2)}},
            {"bytes", json::binary({1, 2, 255})},
            {"typed bytes", json::binary({1, 2}, 7)},
            {"empty", {json::array(), json::object()}}};
}

}  // namespace

TEST_CASE("any JSON value comes back, and bytes that are none are said to be damaged") {
    check_codecs({
        case_of(json()),
        case_of(json(true)),
        case_of(json("text")),
        case_of(everything()),
        case_of(nested(100)),
        case_of(std::vector<json>(3)),
        case_of(std::optional<json>{}),
        case_of(std::optional<json>{std::in_place, nullptr}),
        case_of(std::map<std::string, json>{{"a", {1, 2}}, {"b", {{"c", "d"}}}}),
        case_of(std::pair<int, json>{1, {1, "x"}}),
    });
    CHECK(decode<json>(encode(everything())) == everything());
    CHECK(decode<std::tuple<json>>(encode(std::make_tuple(everything()))) == std::make_tuple(everything()));
}

TEST_CASE("a list of JSON is the list of anything") {
    const cairn::manager m;
    const auto l = m.list<json>("log");
    l.push_back({{"id", 1}, {"tags", {"a", "b"}}});
    l.push_back("text");
    l.push_back(2.5);
    l.append(nullptr);
    l.insert(0, {1, 2});
    CHECK(broken_invariant(l) == "");
    std::ostringstream text;
    text << l;
    CHECK(text.str() == "[[1, 2], {'id': 1, 'tags': ['a', 'b']}, 'text', 2.5, None]");
    CHECK(l.at(1)["tags"][1] == "b");
    CHECK(l.index("text") == 2);
    CHECK(l.contains(2.5));
    CHECK_FALSE(l.contains("2.5"));
    l.update(1, [](json& value) { value["id"] = 2; });
    CHECK(l[1] == json{{"id", 2}, {"tags", {"a", "b"}}});
    l[2] = 7;
    CHECK(l[2] == 7);
    const json seventh = l[2].get();
    CHECK(seventh == 7);
    CHECK(m.list<ordered_json>("log").at(1)["id"] == 2);  // stored alike
}

TEST_CASE("a dict of JSON holds anything under its keys") {
    const cairn::manager m;
    const auto d = m.dict<std::string, json>("d");
    d["a"] = {{"x", {1, 2.5, nullptr}}};
    d.set("b", "text");
    CHECK(cairn::repr(d) == "{'a': {'x': [1, 2.5, None]}, 'b': 'text'}");
    CHECK(d.at("a")["x"][0] == 1);
    CHECK_FALSE(cairn::detail::key_type<json>);  // 1 equals 1.0, and is stored otherwise
}

TEST_CASE("ordered JSON keeps the order of its keys") {
    const ordered_json value{{"b", 1}, {"a", {{"z", 1}, {"y", 2}}}};
    CHECK(decode<ordered_json>(encode(value)).dump() == value.dump());
    CHECK(cairn::repr(value) == "{'b': 1, 'a': {'z': 1, 'y': 2}}");
}

TEST_CASE("JSON is stored as MessagePack") {
    CHECK(case_of(json()).type == "json");
    CHECK(encode(json{{"a", {1, nullptr}}}) == bytes_of({0x81, 0xa1, 'a', 0x92, 0x01, 0xc0}));
}

TEST_CASE("JSON that is nested deeper than it could be read is refused, and the list is as it was") {
    const cairn::manager m;
    const auto l = m.list<json>("l");
    l.push_back(nested(511));
    CHECK(l.at(0) == nested(511));
    CHECK(contains(thrown_by<cairn::invalid_argument>([&] { l.push_back(nested(512)); }), "512 levels"));
    CHECK_THROWS_AS(l.push_back(nested(300'000)), cairn::invalid_argument);  // deeper than the stack
    CHECK_THROWS_AS(l.push_back(json(json::value_t::discarded)), cairn::invalid_argument);
    CHECK(l.size() == 1);
    CHECK(broken_invariant(l) == "");
}

TEST_CASE("MessagePack that is no JSON is damaged") {
    CHECK_THROWS_AS(decode<json>(bytes_of({0x81, 0x01, 0x01})),
                    cairn::corrupt_segment);                                        // a key that is no text
    CHECK_THROWS_AS(decode<json>(bytes_of({0x01, 0x01})), cairn::corrupt_segment);  // two values
    CHECK_THROWS_AS(decode<json>(bytes_of({})), cairn::corrupt_segment);
    CHECK_THROWS_AS(decode<json>(bytes_of({0xc1})), cairn::corrupt_segment);  // nothing begins like that
    // Arrays, texts and maps of four thousand million, and no byte of them.
    for (const int mark : {0xdd, 0xdb, 0xdf, 0xc6, 0xc9})
        CHECK_THROWS_AS(decode<json>(bytes_of({mark, 0xff, 0xff, 0xff, 0xff})), cairn::corrupt_segment);
    // Deeper than the stack: a megabyte of "an array of one".
    CHECK_THROWS_AS(decode<json>(std::vector<std::byte>(1 << 20, std::byte{0x91})), cairn::corrupt_segment);
}

// Inspection of damaged dicts and sets: whatever the bytes are, there is an answer or a cairn::error.
// SPDX-License-Identifier: BSL-1.0
#include <optional>
#include <string>
#include <tuple>
#include <utility>
#include <vector>

#include <doctest/doctest.h>

#include "planted.hpp"
#include "support/mutations.hpp"
#include "support/scratch.hpp"
#include "support/structs.hpp"
#include <cairn/error.hpp>
#include <cairn/inspect.hpp>
#include <cairn/manager.hpp>

namespace damaged_dict_test {

using namespace cairn_test;

namespace {

std::string text_of(const cairn::object_contents& contents) {
    std::string text;
    for (std::uint64_t i = 0; i < contents.count(); ++i) {
        if (i != 0) text += ", ";
        if (const cairn::object_contents* keys = contents.keys()) {
            keys->append_text(text, i);
            text += ": ";
        }
        contents.append_text(text, i);
    }
    return text;
}

bytes_of_file dicts_and_sets() {
    const scratch_name name;
    const cairn::manager m(name.get(), {.max_size = 1 << 20, .initial_size = 1});
    const auto words = m.dict<long, long>("words");
    for (long i = 0; i < 1300; ++i) words.set(i, -i);
    for (long i = 2; i < 1200; ++i) words.erase(i);
    const auto texts = m.dict<std::string, std::string>("texts");
    for (std::size_t i = 0; i < 60; ++i) texts.set(std::to_string(i), std::string(i * 9, 't'));
    static_cast<void>(m.set<std::string>("set", {std::string("x"), std::string(300, 'y')}));
    return read_file(name.path());
}

}  // namespace

TEST_CASE("keys and values of a dict are read in order, also from the middle") {
    const scratch_file file(dicts_and_sets());
    const cairn::inspection look(file.path());
    CHECK(text_of(look.contents("words", 0, 4)) == "0: 0, 1: -1, 1200: -1200, 1201: -1201");
    CHECK(text_of(look.contents("words", 100, 2)) == "1298: -1298, 1299: -1299");
    CHECK(text_of(look.contents("texts", 0, 2)) == "'0': '', '1': 'ttttttttt'");
    CHECK(text_of(look.contents("set", 0, 1)) == "'x'");
    CHECK(look.contents("set").keys() == nullptr);
    CHECK(look.object("words").items == 102);
    const cairn::verification found = look.verify({.deep = true});
    CHECK(found.is_clean());
    CHECK(found.item_count == 164);
}

TEST_CASE("what is made of others is shown by its parts, as an element, a key and a value") {
    const scratch_name name;
    const cairn::manager m(name.get(), {.max_size = 1 << 20, .initial_size = 1});
    m.dict<plain_job, std::pair<int, std::string>>("jobs").set({1, 2.5, "x"}, {7, "seven"});
    m.dict<std::tuple<int, std::string>, std::vector<std::string>>("words").set({1, "a"}, {"b", "c"});
    static_cast<void>(m.set<std::optional<std::string>>("set", {std::string("x"), std::nullopt}));
    static_cast<void>(m.list<tagged_job>("tagged", {{1, 0.5, {"t"}, {}, {"a", "b"}}}));
    const cairn::inspection look(name.path());
    CHECK(text_of(look.contents("jobs")) == "{'id': 1, 'weight': 2.5, 'tag': 'x'}: (7, 'seven')");
    CHECK(text_of(look.contents("words")) == "(1, 'a'): ['b', 'c']");
    CHECK(text_of(look.contents("set")) == "'x', None");
    CHECK(text_of(look.contents("tagged")) ==
          "{'id': 1, 'weight': 0.5, 'tags': ['t'], 'plain': None, 'names': ['a', 'b']}");
    CHECK(look.verify({.deep = true}).is_clean());
}

TEST_CASE("a segment of dicts and sets that is spoilt in any way is an answer or an error, never a crash") {
    const bytes_of_file sound = dicts_and_sets();
    const scratch_file file;
    int problems = 0;
    for (std::uint64_t seed = 1; seed <= 300; ++seed) {
        INFO("seed ", seed);
        mutator with(seed);
        file.write(with.spoil(sound));
        try {
            const cairn::inspection look(file.path());
            for (const cairn::object_facts& each : look.objects()) {
                try {
                    static_cast<void>(text_of(look.contents(each.name)));
                    static_cast<void>(text_of(look.contents(each.name, 7, 2)));
                } catch (const cairn::error&) {}
            }
            if (!look.verify({.deep = true, .patience_ms = 50}).is_clean()) ++problems;
        } catch (const cairn::error&) {
            ++problems;
        }
    }
    CHECK(problems > 75);
}

}  // namespace damaged_dict_test

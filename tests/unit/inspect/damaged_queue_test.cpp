// Inspection of queues, sound ones and damaged ones: whatever the bytes are, there is an answer or a cairn::error.
// SPDX-License-Identifier: BSL-1.0
#include <string>

#include <doctest/doctest.h>

#include "planted.hpp"
#include "support/mutations.hpp"
#include "support/scratch.hpp"
#include <cairn/error.hpp>
#include <cairn/inspect.hpp>
#include <cairn/manager.hpp>

namespace damaged_queue_test {

using namespace cairn_test;

namespace {

std::string text_of(const cairn::object_contents& contents) {
    std::string text;
    for (std::uint64_t i = 0; i < contents.count(); ++i) {
        if (i != 0) text += ", ";
        contents.append_text(text, i);
    }
    return text;
}

bytes_of_file queues() {
    const scratch_name name;
    const cairn::manager m(name.get(), {.max_size = 1 << 20, .initial_size = 1});
    const auto words = m.queue<long>("words");
    for (long i = 0; i < 3000; ++i) words.put(i);
    for (long i = 0; i < 1000; ++i) static_cast<void>(words.get());
    const auto texts = m.queue<std::string>("texts", 100);
    for (std::size_t i = 0; i < 100; ++i) texts.put(std::string(i * 9, 't'));
    static_cast<void>(m.queue<short>("empty"));
    return read_file(name.path());
}

}  // namespace

TEST_CASE("items of a queue are read in the order in which they would be taken, also from the middle") {
    const scratch_file file(queues());
    const cairn::inspection look(file.path());
    CHECK(text_of(look.contents("words", 0, 3)) == "1000, 1001, 1002");
    CHECK(text_of(look.contents("words", 1998, 9)) == "2998, 2999");
    CHECK(text_of(look.contents("texts", 0, 3)) == "'', 'ttttttttt', 'tttttttttttttttttt'");
    CHECK(look.contents("texts", 99).bytes(0).size() == 99 * 9);
    CHECK(look.contents("empty").count() == 0);
    CHECK(look.contents("words").kind == "queue");
    CHECK(look.contents("words").type == "int64");
    CHECK(look.object("words").items == 2000);
    CHECK(look.object("words").element_bytes == 16000);
    const cairn::verification found = look.verify({.deep = true});
    CHECK(found.is_clean());
    CHECK(found.item_count == 2100);
}

TEST_CASE("a segment of queues that is spoilt in any way is an answer or an error, never a crash") {
    const bytes_of_file sound = queues();
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

}  // namespace damaged_queue_test

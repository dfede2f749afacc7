// Inspection of damaged segments, in process: whatever the bytes are, there is an answer or a cairn::error, soon.
// SPDX-License-Identifier: BSL-1.0
#include <chrono>
#include <cstdlib>
#include <string>

#include <doctest/doctest.h>

#include "dead_writers.hpp"
#include "inspect/structure.hpp"
#include "planted.hpp"
#include "support/mutations.hpp"
#include "support/scratch.hpp"
#include <cairn/error.hpp>
#include <cairn/inspect.hpp>
#include <cairn/manager.hpp>

namespace damaged_test {

using namespace cairn_test;

namespace {

// Everything that can be asked of it. The number of things that had no answer.
int ask_everything(const std::string& path) {
    int errors = 0;
    const auto attempt = [&](auto&& question) {
        try {
            question();
        } catch (const cairn::error&) {
            ++errors;
        }
    };
    attempt([&] {
        const cairn::inspection look(path);
        attempt([&] { static_cast<void>(look.facts()); });
        attempt([&] { static_cast<void>(look.participants()); });
        attempt([&] {
            for (const cairn::object_facts& each : look.objects()) {
                attempt([&] {
                    const cairn::object_contents contents = look.contents(each.name);
                    std::string text;
                    for (std::uint64_t i = 0; i < contents.count(); ++i) {
                        contents.append_text(text, i);
                        if (i % 64 == 0) static_cast<void>(contents.value(i));
                    }
                });
                attempt([&] { static_cast<void>(look.contents(each.name, 7, 2)); });
            }
        });
        attempt([&] { static_cast<void>(look.verify({.deep = true, .patience_ms = 50})); });
    });
    return errors;
}

std::uint64_t seed_of_this_run() {
    const char* given = std::getenv("CAIRN_SEED");
    return given != nullptr ? std::strtoull(given, nullptr, 10) : 20240611;
}

void survive(const std::string& sound, std::size_t count) {
    const scratch_file file;
    const std::uint64_t seed = seed_of_this_run();
    std::string longest;
    std::chrono::steady_clock::duration most{};
    for (std::uint64_t i = 0; i < count; ++i) {
        // A crash has no time to say more: the seed of the last line is the one.
        INFO("seed ", seed + i);
        mutator with(seed + i);
        file.write(with.spoil(sound));
        const auto start = std::chrono::steady_clock::now();
        static_cast<void>(ask_everything(file.path()));
        const auto took = std::chrono::steady_clock::now() - start;
        if (took > most) {
            most = took;
            longest = std::to_string(seed + i);
        }
    }
    MESSAGE(count, " spoilt segments from seed ", seed, "; the slowest took ",
            std::chrono::duration_cast<std::chrono::milliseconds>(most).count(), " ms: seed ", longest);
    CHECK(most < std::chrono::seconds(20));
}

}  // namespace

TEST_CASE("inspection survives any bytes in a segment at rest") {
    const scratch_name name("damaged");
    const cairn::manager m = cairn::manager::create(name, small_segment());
    fill(m);
    survive(read_file(name.path()), scaled(1500));
}

TEST_CASE("inspection survives any bytes in a segment whose processes died in the middle") {
    const scratch_name name("damaged");
    const cairn::manager m = cairn::manager::create(name, small_segment());
    fill(m);
    die_in_a_change(m);
    die_in_an_erase(m);
    die_with_the_segment_lock(m);
    survive(read_file(name.path()), scaled(1500));
}

TEST_CASE("a file that ends anywhere is damaged, and not more") {
    const scratch_name name("damaged");
    const cairn::manager m = cairn::manager::create(name, small_segment());
    fill(m);
    const std::string sound = read_file(name.path());
    const scratch_file file;
    for (std::size_t bytes = 0; bytes < sound.size(); bytes += bytes < 1024 ? 40 : 4096 * 3 + 8) {
        CAPTURE(bytes);
        file.write(sound.substr(0, bytes));
        bool is_found_out = false;
        try {
            const cairn::inspection look(file.path());
            is_found_out = look.facts().is_truncated && !look.verify().problems.empty();
        } catch (const cairn::corrupt_segment&) {
            is_found_out = true;
        }
        CHECK(is_found_out);
        static_cast<void>(ask_everything(file.path()));
    }
}

TEST_CASE("a file that shrinks while it is looked at is damaged, and not more") {
    const scratch_name name("damaged");
    const cairn::manager m = cairn::manager::create(name, small_segment());
    fill(m);
    const std::string sound = read_file(name.path());
    const scratch_file file(sound);
    const cairn::inspection look(file.path());
    REQUIRE(look.verify().is_clean());
    for (const std::size_t bytes :
         {sound.size() - 4096, sound.size() / 2, std::size_t{4096}, std::size_t{0}}) {
        REQUIRE(::truncate(file.path().c_str(), static_cast<off_t>(bytes)) == 0);
        CHECK_FALSE(look.verify().problems.empty());
        CHECK(look.facts().is_truncated);
        static_cast<void>(look.objects());
    }
}

TEST_CASE("of a thousand problems a hundred are listed, and all are counted") {
    cairn::detail::inspecting::problem_list problems;
    for (int i = 0; i < 1000; ++i) {
        const std::size_t before = problems.count();
        problems.add("it is broken");
        CHECK(problems.count() != before);  // else a check would go on into what it found damaged
    }
    CHECK(problems.is_full());
    CHECK(problems.all().size() == cairn::detail::inspecting::problem_list::most + 1);
    CHECK(problems.all().back() == "and more");
}

}  // namespace damaged_test

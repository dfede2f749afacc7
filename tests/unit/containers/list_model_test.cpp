// list_model_test.cpp - every method of list<T> against std::vector<T>, by random operations. After each one contents,
// invariants and blocks of the arena are compared. The seed is printed; RC_PARAMS=seed=... repeats a run.
//
// SPDX-License-Identifier: BSL-1.0
#include "support/list_model.hpp"

#include <algorithm>
#include <functional>
#include <string>
#include <vector>

#include <doctest/doctest.h>
#include <rapidcheck.h>

#include "support/opened.hpp"
#include "support/random_steps.hpp"
#include "support/scratch.hpp"
#include "support/shared_models.hpp"
#include "support/values.hpp"
#include <cairn/manager.hpp>

namespace list_model_test {

using namespace cairn_test;

namespace {

constexpr int rc_steps = 150;  // sequences for each type; tools/dev stress runs more by RC_PARAMS

bool check(const std::string& what, const std::function<void()>& property) {
    return holds_for_random_steps(what, static_cast<int>(scaled(rc_steps)), property);
}

}  // namespace

TEST_CASE_TEMPLATE("a list does what a vector does, whatever the operations", T, char, bool, std::int16_t,
                   float, long, small_struct, large_struct, blob_struct, std::string, std::vector<int>) {
    if constexpr (!std::is_same_v<T, bool>) {
        CHECK(check("list as vector", [] {
            const cairn::manager m;
            pair_of_lists<T> both(m.list<T>("l"), {});
            for (const step& s : *steps()) {
                both.run(s);
                both.compare();
            }
        }));
    }
}

TEST_CASE_TEMPLATE("a list in a segment that is too small refuses what does not fit and stays as it was", T,
                   long, large_struct, std::string, std::vector<int>) {
    std::size_t refusals = 0;
    CHECK(check("small segment", [&] {
        const cairn::manager m(cairn::segment_options{.max_size = 256'000});
        pair_of_lists<T> both(m.list<T>("l"), {});
        for (const step& s : *steps()) {
            try {
                both.run(s);
            } catch (const cairn::segment_full&) {
                ++refusals;
            }
            both.compare();
        }
        // However short the steps were: now it is full.
        for (std::size_t before = refusals; refusals == before;) {
            try {
                both.run(step{3, 1, 39});
            } catch (const cairn::segment_full&) {
                ++refusals;
            }
        }
        both.compare();
    }));
    CHECK(refusals > 0);
}

TEST_CASE("a list with a first superblock of one chunk and later ones of many does what a vector does") {
    const cairn::manager m;
    const auto l = m.list<long>("l");
    std::vector<long> model;
    for (long i = 0; i < 400'000; ++i) model.push_back(i * 3);
    l.extend(model);
    REQUIRE(l.snapshot() == model);
    for (const std::size_t at : {131'071UL - 16, 131'072UL - 16, 262'143UL - 16, 399'999UL, 0UL, 5UL}) {
        l.insert(at, -1);
        model.insert(model.begin() + static_cast<std::ptrdiff_t>(at), -1);
        CHECK(l.pop(at + 1) == model[at + 1]);
        model.erase(model.begin() + static_cast<std::ptrdiff_t>(at) + 1);
    }
    CHECK(l.snapshot() == model);
    CHECK(broken_invariant(l) == "");
    l.erase(1000, 300'000);
    model.erase(model.begin() + 1000, model.begin() + 300'000);
    CHECK(l.snapshot() == model);
    CHECK(broken_invariant(l) == "");
    l.reverse();
    std::reverse(model.begin(), model.end());
    l.sort();
    std::sort(model.begin(), model.end());
    CHECK(l.snapshot() == model);
    while (model.size() > 10) {
        REQUIRE(l.pop() == model.back());
        model.pop_back();
    }
    CHECK(broken_invariant(l) == "");
    l.clear();
    CHECK(l.empty());
    CHECK(broken_invariant(l) == "");
}

TEST_CASE(
    "memory of what was erased is used again: a list that is filled and cleared over and over stays small") {
    const cairn::manager m;
    const auto l = m.list<std::string>("l");
    std::uint64_t after_first = 0;
    for (int round = 0; round < 20; ++round) {
        for (std::uint64_t i = 0; i < 3000; ++i) l.push_back(value_of<std::string>::make(i));
        if (round % 2 == 0) l.clear();
        else
            while (!l.empty()) l.pop();
        REQUIRE(broken_invariant(l) == "");
        if (round == 1) after_first = m.stats().size_bytes;
    }
    CHECK(m.stats().size_bytes == after_first);
}

}  // namespace list_model_test

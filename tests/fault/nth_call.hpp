// nth_call.hpp - each operation of an object once, in a segment without a free page, with each call that it makes to the
// system failing in turn: it has happened, or it has thrown and nothing has happened.
//
// A bed is an object in such a segment, with
//
//   using handle
//   explicit bed(const std::string& segment_name)
//   static std::vector<operation<handle>> operations()
//   static void change(const handle&)     // that the object can still be used
//   [[nodiscard]] auto picture() const    // what can be seen of it
//   [[nodiscard]] std::string broken() const  // empty, or the first invariant that does not hold
//   handle object
//
// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <type_traits>

#include <doctest/doctest.h>

#include "support/crowding.hpp"
#include "support/faults.hpp"
#include "support/scratch.hpp"
#include <cairn/literals.hpp>
#include <cairn/segment.hpp>

namespace cairn_test {

/// Of beds: there is more to be had from the system, if it gives it.
constexpr cairn::segment_options roomy = {.max_size = std::uint64_t{256} << 20, .initial_size = 200'000};

enum class appetite {
    nothing,  // reads or takes away: makes no call that can fail
    memory,   // does not fit what is there, whatever the type
    either,   // depends on the type
};

template <typename Handle>
struct operation {
    std::string name;
    appetite needs;
    std::function<void(const Handle&)> run;
};

/// Element number n, which is small, and one that needs a block of its own, if there are such of this type.
template <typename T>
T small_value(std::uint64_t n) {
    if constexpr (std::is_same_v<T, std::string>) return std::string(n % 5 * 40, 'x') + std::to_string(n);
    else return static_cast<T>(n);
}
template <typename T>
T large_value(std::uint64_t n) {
    if constexpr (std::is_same_v<T, std::string>) return std::string(6000, 'y') + std::to_string(n);
    else return static_cast<T>(n);
}

template <typename Bed>
void fail_each_call_of_each_operation() {
    for (const auto& each : Bed::operations()) {
        CAPTURE(each.name);
        const scratch_name name;
        auto bed = std::make_unique<Bed>(name.get());
        const auto before = bed->picture();
        each.run(bed->object);
        const auto after = bed->picture();
        const auto afresh = [&] {
            bed.reset();
            bed = std::make_unique<Bed>(name.get());
        };
        afresh();
        const footprint usual = take_footprint();
        const int thrown = fail_every_call(
            name.get(), [&] { each.run(bed->object); },
            [&](bool threw) {
                CHECK((bed->picture() == (threw ? before : after)));
                CHECK(bed->broken() == "");
                CHECK(take_footprint() == usual);
                // And on it goes.
                Bed::change(bed->object);
                afresh();  // since now there are pages
            });
        if (each.needs == appetite::memory) CHECK(thrown > 0);
        if (each.needs == appetite::nothing) CHECK(thrown == 0);
    }
}

}  // namespace cairn_test

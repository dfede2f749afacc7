// random_steps.hpp - random operations for tests against models, and a property of rapidcheck with a name and a number of
// tries of its own.
//
// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <cstdint>
#include <functional>
#include <iostream>
#include <ostream>
#include <string>
#include <vector>

#include <rapidcheck.h>

namespace cairn_test {

/// One operation; what `a` and `b` mean depends on its kind.
struct step {
    int kind;
    std::uint64_t a;
    std::uint64_t b;
};

inline void showValue(const step& s, std::ostream& to) {
    to << '{' << s.kind << ", " << s.a << ", " << s.b << '}';
}

/// Of that many kinds, with `a` and `b` below these.
inline rc::Gen<std::vector<step>> steps_of(int kinds, std::uint64_t a_end, std::uint64_t b_end = 100'000) {
    return rc::gen::container<std::vector<step>>(
        rc::gen::build<step>(rc::gen::set(&step::kind, rc::gen::inRange(0, kinds)),
                             rc::gen::set(&step::a, rc::gen::inRange<std::uint64_t>(0, a_end)),
                             rc::gen::set(&step::b, rc::gen::inRange<std::uint64_t>(0, b_end))));
}

/// Whether the property holds for `sequences` random ones; prints seed and counter-example if it does not.
inline bool holds_for_random_steps(const std::string& what, int sequences,
                                   const std::function<void()>& property) {
    rc::detail::TestMetadata about;
    about.id = what;
    rc::detail::TestParams params = rc::detail::configuration().testParams;
    params.maxSuccess = sequences;
    const rc::detail::TestResult result = rc::detail::checkTestable(property, about, params);
    if (result.is<rc::detail::SuccessResult>()) return true;
    std::cerr << what << ", RC_PARAMS=seed=" << params.seed << ":\n";
    rc::detail::printResultMessage(result, std::cerr);
    std::cerr << '\n';
    return false;
}

}  // namespace cairn_test

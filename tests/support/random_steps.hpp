// random_steps.hpp - a property of rapidcheck with a name, and a number of tries of its own.
#pragma once

#include <functional>
#include <iostream>
#include <string>

#include <rapidcheck.h>

namespace cairn_test {

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

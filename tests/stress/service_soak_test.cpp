// service_soak_test.cpp - services under all that may come, for a share of the time that storms have (support/storm/storm.hpp).
// SPDX-License-Identifier: BSL-1.0
#include "support/service_soak.hpp"

#include <algorithm>
#include <chrono>

#include <doctest/doctest.h>

#include "support/storm/storm.hpp"

namespace service_soak_test {

TEST_CASE("services under kills, stops, reloads, restarts and scaling for a long time") {
    cairn_test::soak_services(
        std::max<std::chrono::milliseconds>(cairn_test::storm_time(0.2), std::chrono::seconds(3)),
        cairn_test::storm_seed());
}

}  // namespace service_soak_test

// service_soak_test.cpp - services under all that may come, for some seconds; for minutes: stress/service_soak_test.cpp.
// SPDX-License-Identifier: BSL-1.0
#include "support/service_soak.hpp"

#include <chrono>
#include <cstdlib>

#include <doctest/doctest.h>

namespace service_soak_test {

TEST_CASE("eight workers of three services under kills, stops, reloads, restarts and scaling: nobody is "
          "left, no item is lost, no "
          "connection is refused, nothing leaks, the end is short") {
    const char* const given = std::getenv("CAIRN_SEED");
    cairn_test::soak_services(std::chrono::seconds(5),
                              given != nullptr ? std::strtoull(given, nullptr, 10) : 20'261'130);
}

}  // namespace service_soak_test

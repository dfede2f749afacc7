// random_sum.hpp - the work of the seed's programs: the sum of a million random integers from 1 to 100.
// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <random>

inline long compute(int count = 1'000'000) {
    std::minstd_rand generator{std::random_device{}()};
    std::uniform_int_distribution<int> roll{1, 100};
    long sum = 0;
    for (int i = 0; i < count; ++i) sum += roll(generator);
    return sum;
}

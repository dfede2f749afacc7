// pool.cpp - eight sums by the worker processes of a pool; one call gives them all, in order.
//
// In Python:
//
//   def compute(n):
//       return sum([random.randint(1, 100) for i in range(1000000)])
//
//   pool = multiprocessing.Pool(processes=8)
//   print("Results: %s" % pool.map(compute, range(8)))
//
// With an argument n the items themselves come back, 0 to n - 1: map keeps their order, whichever worker has them.
//
// SPDX-License-Identifier: BSL-1.0
#include <cstdlib>
#include <iostream>
#include <ranges>

#include "random_sum.hpp"
#include <cairn/pool.hpp>
#include <cairn/repr.hpp>

int main(int argc, char** argv) {
    cairn::pool pool{8};
    if (argc > 1) {
        const auto same = [](int n) { return n; };
        std::cout << "Results: " << cairn::repr(pool.map(same, std::views::iota(0, std::atoi(argv[1]))))
                  << '\n';
        return 0;
    }
    const auto sum = [](int /*n*/) { return compute(); };
    std::cout << "Results: " << cairn::repr(pool.map(sum, std::views::iota(0, 8))) << '\n';
}

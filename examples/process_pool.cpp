// process_pool.cpp - eight sums by the worker processes of an executor; the results come out of futures.
//
// In Python:
//
//   def compute():
//       return sum([random.randint(1, 100) for i in range(1000000)])
//
//   with futures.ProcessPoolExecutor() as executor:
//       futures = [executor.submit(compute) for _ in range(8)]
//
//   results = [f.result() for f in futures]
//
//   print("Results: %s" % results)
//
// SPDX-License-Identifier: BSL-1.0
#include <iostream>
#include <vector>

#include "random_sum.hpp"
#include <cairn/process_pool_executor.hpp>
#include <cairn/repr.hpp>

int main() {
    std::vector<cairn::future<long>> futures;
    {
        cairn::process_pool_executor executor;  // as many workers as there are processors for this process
        for (int i = 0; i < 8; ++i) futures.push_back(executor.submit(compute, 1'000'000));
    }

    std::vector<long> results;
    for (const auto& f : futures) results.push_back(f.result());

    std::cout << "Results: " << cairn::repr(results) << '\n';
}

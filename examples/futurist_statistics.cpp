// futurist_statistics.cpp - what an executor has done so far, and when all is done.
//
// In Python:
//
//   def compute():
//       return sum([random.randint(1, 100) for i in range(10000)])
//
//   with futurist.ThreadPoolExecutor(max_workers=8) as executor:
//       futures = [executor.submit(compute) for _ in range(8)]
//       print(executor.statistics)
//
//   results = waiters.wait_for_all(futures)
//   print(executor.statistics)
//
//   print("Results: %s" % [r.result() for r in results.done])
//
// SPDX-License-Identifier: BSL-1.0
#include <iostream>
#include <vector>

#include "random_sum.hpp"
#include <cairn/repr.hpp>
#include <cairn/thread_pool_executor.hpp>

int main() {
    std::vector<cairn::future<long>> futures;
    cairn::thread_pool_executor executor{{.max_workers = 8}};
    for (int i = 0; i < 8; ++i) futures.push_back(executor.submit(compute, 10'000));
    std::cout << executor.statistics() << '\n';
    executor.shutdown();  // what leaving `with` does; the object is needed below

    const auto results = cairn::wait_for_all(futures);
    std::cout << executor.statistics() << '\n';

    std::vector<long> sums;
    for (const auto& r : results.done) sums.push_back(r.result());
    std::cout << "Results: " << cairn::repr(sums) << '\n';
}

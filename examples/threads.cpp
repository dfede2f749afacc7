// threads.cpp - the same work by eight threads of one process, for comparison: no interpreter lock holds them back here.
//
// In Python:
//
//   results = []
//   def compute():
//       results.append(sum([random.randint(1, 100) for i in range(1000000)]))
//   workers = [threading.Thread(target=compute) for i in range(8)]
//   for worker in workers: worker.start()
//   for worker in workers: worker.join()
//   print("Results: %s" % results)
//
// SPDX-License-Identifier: BSL-1.0
#include <iostream>
#include <mutex>
#include <thread>
#include <vector>

#include "random_sum.hpp"
#include <cairn/repr.hpp>

int main() {
    std::vector<long> results;
    std::mutex mutex;
    {
        std::vector<std::jthread> workers;
        for (int i = 0; i < 8; ++i) {
            workers.emplace_back([&] {
                const long sum = compute();
                const std::scoped_lock lock(mutex);
                results.push_back(sum);
            });
        }
    }
    std::cout << "Results: " << cairn::repr(results) << '\n';
}

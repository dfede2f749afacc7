// producer_printer.cpp - one service puts numbers into a queue, two workers of another print them.
//
// In Python:
//
//   class Manager(cotyledon.ServiceManager):
//       def __init__(self):
//           super(Manager, self).__init__()
//           queue = multiprocessing.Manager().Queue()
//           self.add(ProducerService, args=(queue,))
//           self.add(PrinterService, args=(queue,), workers=2)
//
//   class ProducerService(cotyledon.Service):
//       def run(self):
//           i = 0
//           while True:
//               self.queue.put(i)
//               i += 1
//               time.sleep(1)
//
//   class PrinterService(cotyledon.Service):
//       name = "printer"
//
//       def run(self):
//           while True:
//               job = self.queue.get(block=True)
//               print("I am Worker: %d PID: %d and I print %s" % (self.worker_id, self.pid, job))
//
//   Manager().run()
//
// There, an item is lost with a printer that is killed; here it is leased, and comes back. So it is printed twice if the kill comes
// between printing and ack(), and that says so.
//
// SPDX-License-Identifier: BSL-1.0
#include <chrono>
#include <iostream>
#include <thread>

#include <cairn/cairn.hpp>

using namespace std::chrono_literals;

class producer_service : public cairn::service {
public:
    explicit producer_service(const cairn::queue<int>& queue) : queue_(queue) {}

    void run() override {
        for (int i = 0;; ++i) {
            queue_.put(i);
            std::this_thread::sleep_for(1s);
        }
    }

private:
    cairn::queue<int> queue_;
};

class printer_service : public cairn::service {
public:
    static constexpr auto name = "printer";

    explicit printer_service(const cairn::queue<int>& queue) : queue_(queue) {}

    void run() override {
        for (;;) {
            auto job = queue_.lease();
            std::cout << "I am Worker: " << worker_id() << " PID: " << pid() << " and I print " << *job
                      << (job.deliveries() > 1 ? " again\n" : "\n");
            job.ack();
        }
    }

private:
    cairn::queue<int> queue_;
};

class manager : public cairn::service_manager {
public:
    manager() {
        const auto queue = cairn::manager().queue<int>("queue");
        add<producer_service>(1, queue);
        add<printer_service>(2, queue);
    }
};

int main() {
    return manager().run();
}

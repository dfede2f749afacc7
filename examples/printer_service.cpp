// printer_service.cpp - two workers that print, are started again when they die, and end with the manager.
//
// In Python:
//
//   class PrinterService(cotyledon.Service):
//       name = "printer"
//
//       def __init__(self, worker_id):
//           super(PrinterService, self).__init__(worker_id)
//           self._shutdown = threading.Event()
//
//       def run(self):
//           while not self._shutdown.is_set():
//               print("Doing stuff")
//               time.sleep(1)
//
//       def terminate(self):
//           self._shutdown.set()
//
//   manager = cotyledon.ServiceManager()
//   manager.add(PrinterService, 2)
//   manager.run()
//
// SPDX-License-Identifier: BSL-1.0
#include <atomic>
#include <chrono>
#include <iostream>
#include <thread>

#include <cairn/service_manager.hpp>

using namespace std::chrono_literals;

class printer_service : public cairn::service {
public:
    static constexpr auto name = "printer";

    void run() override {
        while (!shutdown_) {
            std::cout << "Doing stuff\n";
            std::this_thread::sleep_for(1s);
        }
    }

    void terminate() override { shutdown_ = true; }

private:
    std::atomic<bool> shutdown_{false};
};

int main() {
    // manager
    cairn::service_manager manager;
    // two printer_services
    manager.add<printer_service>(2);
    // all that was added
    return manager.run();
}

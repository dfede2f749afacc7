// sample_services.hpp - services that several tests of managers run.
// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <atomic>
#include <chrono>
#include <string>
#include <thread>

#include <sys/types.h>

#include "support/managed.hpp"
#include <cairn/service.hpp>

namespace cairn_test::sample_services {

using namespace std::chrono_literals;

// Says what happens to it, and waits until it is told to end.
struct printer : cairn::service {
    static constexpr auto name = "printer";
    printer() { say("made " + who()); }
    void run() override {
        say("run " + who());
        while (!shutdown_) std::this_thread::sleep_for(1ms);
    }
    void terminate() override {
        say("terminate " + who());
        shutdown_ = true;
        wait_for_run();
    }
    [[nodiscard]] std::string who() const {
        return service::name() + std::to_string(worker_id()) + " " + std::to_string(pid());
    }

protected:
    std::atomic<bool> shutdown_{false};
};

// It does nothing, and ends at once.
struct idle : cairn::service {};

struct heavy : cairn::service {
    static constexpr auto name = "heavy";
    void terminate() override { std::this_thread::sleep_for(300s); }
};

inline std::string number(pid_t pid) {
    return std::to_string(pid);
}

}  // namespace cairn_test::sample_services

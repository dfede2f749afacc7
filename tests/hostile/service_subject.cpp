// service_subject.cpp - the services of a manager, without processes: each step of their life on damaged bytes.
// SPDX-License-Identifier: BSL-1.0
#include <cstdint>
#include <functional>
#include <span>
#include <string>

#include "subjects.hpp"
#include "support/service_sets.hpp"

namespace cairn_test {

namespace {

constexpr const char* subject_name = "services";

// Three services with workers, one in the middle of a reload, one that waits; orders.
void build_services(const cairn::manager& in, const char* /*name*/) {
    const bare_set set(in, subject_name);
    set.run(4711, 3);
    set.supervise(4712);
    for (std::uint32_t i = 0; i < 6; ++i) set.start(2, i, 100 + i);
    set.start(1, 0, 90);
    set.start_next(2, 1, 200);
    set.die(2, 3);
    set.order_target(1, 5);
    set.order_reload();
}

void step_through(const bare_set& set, attempts& attempt) {
    const auto step = [&](const char* name, const auto& body) { attempt(name, body); };
    step("check", [&] { static_cast<void>(set.problem()); });
    step("read", [&] {
        auto tx = set.begin();
        const auto& node = stored::service_set_at(tx.in(), tx.in().offset_of(&set.node()));
        for (std::uint32_t i = 0; i < node.service_count && i < 8; ++i) {
            const auto& of = stored::service_at(tx.in(), node, i);
            static_cast<void>(stored::name_of_service(of));
            for (std::uint32_t k = 0; k < of.place_capacity && k < 8; ++k)
                static_cast<void>(stored::place_at(tx.in(), of, k).current.identity);
        }
    });
    step("order_target", [&] { set.order_target(1, 4); });
    step("order_reload", [&] { set.order_reload(); });
    step("order_restart", [&] { set.order_restart(); });
    step("order_stop", [&] { set.order_stop(stored::set_stop::graceful); });
    step("start", [&] { set.start(2, 7, 77); });
    step("grow", [&] { set.start(2, 70, 77); });
    step("die", [&] { set.die(2, 0); });
    step("store", [&] { set.store(0, {.target = 2, .has_given_up = 1}); });
    step("running", [&] { static_cast<void>(stored::running_manager(set.node())); });
    step("begin", [&] { set.run(815, 2); });
    step("end", [&] { set.end(); });
}

std::function<void(attempts&, bool)> open_services(const cairn::manager& in, const char* /*name*/) {
    const bare_set set(in, subject_name);
    return [set](attempts& attempt, bool writes) {
        // Nobody reads a set but under its lock, and by inspection.
        if (writes) step_through(set, attempt);
    };
}

constexpr subject services_of_manager = {subject_name, &build_services, &open_services};

}  // namespace

std::span<const subject> service_subjects() {
    return {&services_of_manager, 1};
}

}  // namespace cairn_test

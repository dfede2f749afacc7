// services_test.cpp - shmctl svc: of a manager that works, that is stopped, and that is dead.
// SPDX-License-Identifier: BSL-1.0
#include <algorithm>
#include <csignal>
#include <string>
#include <vector>

#include <unistd.h>

#include <doctest/doctest.h>

#include "shelf.hpp"
#include "support/managed.hpp"

namespace shmctl_services_test {

using namespace cairn_test;

namespace {

struct printer : cairn::service {
    static constexpr auto name = "printer";
    void run() override { beat(); }
};
struct logger : cairn::service {
    static constexpr auto name = "logger";
    void reload() override { say("logger reloads"); }
};

struct stubborn : cairn::service {
    static constexpr auto name = "stubborn";
    void terminate() override { ::pause(); }
};

void add_both(cairn::service_manager& sm) {
    sm.add<printer>(2);
    sm.add<logger>(1);
}

// Of the manager of that name; null when there is none.
nlohmann::json status_of(const shelf& of_own, const std::string& name) {
    const nlohmann::json all = of_own.json({"svc", "status"});
    for (const auto& each : all.at("service_sets"))
        if (each.at("segment") == name) return each;
    return nullptr;
}

std::vector<pid_t> ready_of(const nlohmann::json& status, const std::string& service) {
    std::vector<pid_t> all;
    if (status.is_null()) return all;
    for (const auto& each : status.at("workers"))
        if (each.at("service") == service && each.at("state") == "ready" &&
            each.at("note").get<std::string>().empty())
            all.push_back(each.at("pid").get<pid_t>());
    return all;
}

bool is_up(const shelf& of_own, managed& m, std::size_t printers, const std::vector<pid_t>& not_these = {}) {
    return m.comes_true([&] {
        const nlohmann::json now = status_of(of_own, "web");
        const std::vector<pid_t> there = ready_of(now, "printer");
        for (const pid_t each : not_these)
            if (std::find(there.begin(), there.end(), each) != there.end()) return false;
        return there.size() == printers && ready_of(now, "logger").size() == 1 &&
               now.contains("nursery_pid") && now.at("is_nursery_alive") == true &&
               !now.contains("waiting_order_count");
    });
}

}  // namespace

TEST_CASE(
    "shmctl svc shows services and their workers, and gives them orders, also while the manager is stopped") {
    const shelf of_own;
    managed m(add_both, {.quiet = true, .name = "web"});
    REQUIRE(is_up(of_own, m, 2));
    const nlohmann::json first = status_of(of_own, "web");
    CHECK(first.at("state") == "running");
    CHECK(first.at("manager_pid") == m.pid());
    CHECK(first.at("is_manager_alive") == true);
    CHECK(first.at("services").at(0).at("name") == "printer");
    CHECK(first.at("services").at(0).at("wanted_worker_count") == 2);
    const program_result text = of_own.run({"svc", "status", "web"});
    INFO(text);
    CHECK(contains(text.out, "web: services, running"));
    CHECK(contains(text.out, "printer 2 of 2, logger 1 of 1"));
    CHECK(of_own.run({"svc", "-q"}).out == "web\n");

    // Not this time.
    for (const std::vector<std::string>& words :
         {std::vector<std::string>{"svc", "scale", "web", "printer=7", "--dry-run"},
          {"svc", "stop", "web", "--dry-run"}}) {
        const program_result r = of_own.run(words);
        CHECK(r.code == 0);
        CHECK(contains(r.out, "would order: "));
    }
    CHECK(status_of(of_own, "web").at("services").at(0).at("wanted_worker_count") == 2);

    send(m.pid(), SIGSTOP);
    const program_result scaled = of_own.run({"svc", "scale", "web", "printer=3", "logger=1"});
    CHECK(scaled.code == 0);
    CHECK(contains(scaled.out, "ordered: 3 workers"));
    CHECK(is_up(of_own, m, 3));
    const std::vector<pid_t> before = ready_of(status_of(of_own, "web"), "printer");
    CHECK(of_own.run({"svc", "restart", "web", "printer"}).code == 0);
    CHECK(is_up(of_own, m, 3, before));
    CHECK(of_own.run({"svc", "reload", "web"}).code == 0);
    CHECK(m.says("logger reloads"));
    CHECK(of_own.run({"svc", "stop", "web", "printer"}).code == 0);
    CHECK(is_up(of_own, m, 0));
    send(m.pid(), SIGCONT);

    check_error(of_own.run({"svc", "stop", "web"}), 5, "'web' is in use", "-f stops it all the same");
    CHECK(of_own.run({"svc", "stop", "-f", "web"}).code == 0);
    CHECK(m.join() == 0);
    CHECK_FALSE(of_own.has("web"));
}

TEST_CASE("shmctl svc stop --kill is for those that do not want to end") {
    const shelf of_own;
    managed m([](cairn::service_manager& sm) { sm.add<stubborn>(2); }, {.quiet = true, .name = "web"});
    REQUIRE(m.comes_true([&] { return ready_of(status_of(of_own, "web"), "stubborn").size() == 2; }));
    CHECK(of_own.run({"svc", "stop", "-f", "web", "--kill"}).code == 0);
    CHECK(m.join() == 1);
}

TEST_CASE("shmctl svc says what is wrong with an order, and what was dead already") {
    const shelf of_own;
    const program_result nobody = of_own.run({"svc", "scale", "web", "printer=1"});
    CHECK(nobody.code == 3);
    CHECK(contains(nobody.err, "no segment 'web'"));
    managed m(add_both, {.quiet = true, .name = "web"});
    REQUIRE(is_up(of_own, m, 2));
    check_error(of_own.run({"svc", "restat", "web"}), 2, "svc 'restat' (did you mean 'restart'?)",
                "expected status, scale, reload, restart or stop");
    check_error(of_own.run({"svc", "restart"}), 2, "restart what?", "shmctl svc restart web");
    check_error(of_own.run({"svc", "scale", "web"}), 2, "scale which service?", "printer=4");
    check_error(of_own.run({"svc", "scale", "web", "printer"}), 2, "scale what: 'printer'",
                "expected SERVICE=N");
    check_error(of_own.run({"svc", "scale", "web", "printer=many"}), 2, "scale what: 'printer=many'",
                "expected SERVICE=N");
    check_error(of_own.run({"svc", "restart", "web", "prnter"}), 3,
                "no service 'prnter' in 'web' (did you mean 'printer'?)", "");
    check_error(of_own.run({"svc", "stop", "web", "printer", "--kill"}), 2,
                "--kill is for `svc stop NAME` alone", "");
    // Nothing of it is ordered.
    const program_result too_many = of_own.run({"svc", "scale", "web", "logger=3", "printer=5000"});
    CHECK(too_many.code == 2);
    CHECK(contains(too_many.err, "workers is 5000, expected 0 to 4096"));
    CHECK(of_own.json({"svc", "status"})
              .at("service_sets")
              .at(0)
              .at("services")
              .at(1)
              .at("wanted_worker_count") == 1);
    // A segment of its own keeps what the dead have left.
    const cairn::manager kept = cairn::manager::open("web");
    const std::vector<pid_t> all = m.everybody();
    send(m.pid(), SIGKILL);
    CHECK(m.join() == -SIGKILL);
    CHECK(have_ended(all, patiently(std::chrono::seconds(20))));
    const program_result text = of_own.run({"svc"});
    INFO(text);
    CHECK(contains(text.out, "DEAD"));
    const program_result order = of_own.run({"svc", "reload", "web"});
    CHECK(order.code == 1);
    CHECK(contains(order.err, "their manager, process " + std::to_string(m.pid()) + ", is dead"));
    // What would not be obeyed would not be ordered either.
    for (const std::vector<std::string>& words : {std::vector<std::string>{"svc", "reload", "web"},
                                                  {"svc", "scale", "web", "printer=1"},
                                                  {"svc", "stop", "web"}}) {
        std::vector<std::string> dry = words;
        dry.emplace_back("--dry-run");
        const program_result r = of_own.run(dry);
        CHECK(r.code == 1);
        CHECK(contains(r.err, "their manager, process " + std::to_string(m.pid()) + ", is dead"));
        CHECK_FALSE(contains(r.out, "would order"));
    }
}

TEST_CASE("shmctl svc: where one order of several makes no sense, none is given") {
    const shelf of_own;
    managed m(
        [](cairn::service_manager& sm) {
            sm.add<logger>(1);
            sm.add<printer>(1);
            sm.add<printer>(1);
        },
        {.quiet = true, .name = "web"});
    REQUIRE(m.comes_true([&] { return ready_of(status_of(of_own, "web"), "printer").size() == 2; }));
    check_error(of_own.run({"svc", "scale", "web", "logger=3", "printer=2"}), 2,
                "scale 'printer': 2 services of 'web' have that name", "");
    check_error(of_own.run({"svc", "stop", "web", "logger", "printer"}), 2,
                "stop 'printer': 2 services of 'web' have that name", "");
    const nlohmann::json services = status_of(of_own, "web").at("services");
    CHECK(services.at(0).at("name") == "logger");
    CHECK(services.at(0).at("wanted_worker_count") == 1);
    // Those of both are reloaded.
    CHECK(of_own.run({"svc", "reload", "web", "printer"}).code == 0);
}

}  // namespace shmctl_services_test

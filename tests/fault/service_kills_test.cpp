// service_kills_test.cpp - manager, guardian, nursery and workers are killed at their n-th call to the system while services start, are
// scaled, are reloaded and end: for each n until a phase is over before the n-th call.
//
// Under a sanitizer every few n, beginning with another one each time (CAIRN_SEED). CAIRN_KILL_ROW=24 is one row alone: role 2, phase 4.
//
// SPDX-License-Identifier: BSL-1.0
#include <algorithm>
#include <atomic>
#include <chrono>
#include <csignal>
#include <cstdlib>
#include <cstring>
#include <functional>
#include <new>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

#include <fcntl.h>
#include <poll.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <unistd.h>

#include <doctest/doctest.h>

#include "os/fault.hpp"
#include "os/fork_count.hpp"
#include "support/executors.hpp"
#include "support/managed.hpp"
#include "support/sanitizers.hpp"
#include "support/scratch.hpp"
#include <cairn/inspect.hpp>
#include <cairn/service_control.hpp>
#include <cairn/service_manager.hpp>

namespace service_kills_test {

using namespace cairn_test;

namespace {

struct printer : cairn::service {
    static constexpr auto name = "printer";
};
struct reloader : cairn::service {
    static constexpr auto name = "reloader";
    void reload() override { ++reloads; }
    std::atomic<int> reloads{0};
};

enum class role { manager, guardian, nursery, worker, newborn };
enum class phase { start, scale_up, scale_down, reload, restart, stop, death };

constexpr role roles[] = {role::manager, role::guardian, role::nursery, role::worker, role::newborn};
constexpr phase phases[] = {phase::start,   phase::scale_up, phase::scale_down, phase::reload,
                            phase::restart, phase::stop,     phase::death};

// Shared by the test and all processes of the manager.
struct kill_plan {
    std::atomic<role> victim;
    std::atomic<int> left;  // calls until the kill
    std::atomic<bool> is_armed;
    std::atomic<pid_t> manager;
    std::atomic<pid_t> killed;
};
kill_plan* plan = nullptr;

// Of the calling process. A newborn is called as its parent is: it has not yet said what it is.
role own_role() noexcept {
    static pid_t self = 0;
    static char parents_name[17] = {};
    if (::getpid() == plan->manager) return role::manager;
    char name[17] = {};
    ::prctl(PR_GET_NAME, name);
    if (self != ::getpid()) {
        self = ::getpid();
        std::memcpy(parents_name, name, sizeof name);
    }
    const std::string_view called(name);
    if (called == parents_name) return role::newborn;
    if (called == "cairn-guardian") return role::guardian;
    if (called == "cairn-nursery") return role::nursery;
    if (called.starts_with("printer(") || called.starts_with("reloader(")) return role::worker;
    return role::newborn;
}

int kill_at_call(const char* /*call*/) noexcept {
    // Asked at each call: the first one of a process tells whose child it is.
    const role own = own_role();
    if (!plan->is_armed || own != plan->victim) return 0;
    if (plan->left.fetch_sub(1) == 1) {
        plan->killed = ::getpid();
        ::kill(::getpid(), SIGKILL);
        for (;;) ::pause();
    }
    return 0;
}

// The nursery's second fork is counted as one whose child does not live to say that it is there.
int lose_a_fork(const char* call) noexcept {
    if (own_role() == role::nursery && std::string_view(call) == "fork" && plan->left.fetch_sub(1) == 1) {
        cairn::detail::os::count_fork();
        plan->killed = ::getpid();
    }
    return 0;
}

bool is_ready(const cairn::service_worker_facts& of) {
    return of.process && of.process->state == "ready" && of.process->alive == cairn::presence::alive &&
           !of.successor;
}

std::vector<pid_t> ready_workers(const cairn::service_facts& of) {
    std::vector<pid_t> all;
    for (const cairn::service_worker_facts& each : of.workers)
        if (is_ready(each)) all.push_back(each.process->pid);
    return all;
}

// One manager, which is brought to the phase, and has one of its processes killed in it.
class experiment_of_kill {
public:
    experiment_of_kill(role victim, phase when, int n) : victim_(victim), when_(when) {
        plan->victim = victim;
        plan->left = n;
        plan->killed = 0;
        plan->is_armed = when == phase::start;
        if (::pipe2(all_, 0) != 0) std::abort();
    }
    experiment_of_kill(const experiment_of_kill&) = delete;
    experiment_of_kill& operator=(const experiment_of_kill&) = delete;
    ~experiment_of_kill() { ::close(all_[0]); }

    // True when somebody was killed.
    bool run() {
        managed m([&]() -> int {
            ::close(all_[0]);
            plan->manager = ::getpid();
            cairn::detail::os::fault.store(&kill_at_call);
            cairn::service_manager sm({.quiet = true, .name = name_});
            sm.add<printer>(
                {.workers = 2, .backoff = {std::chrono::milliseconds(1), std::chrono::milliseconds(5)}});
            sm.add<reloader>({.backoff = {std::chrono::milliseconds(1), std::chrono::milliseconds(5)}});
            return sm.run();
        });
        ::close(all_[1]);
        if (when_ != phase::start) {
            REQUIRE(comes_to(m, [this](const auto& set) {
                if (!is_up(set, 2)) return false;
                before_ = ready_workers(set.services[0]);
                return true;
            }));
            plan->is_armed = true;
        }
        REQUIRE(pass(m));
        plan->is_armed = false;
        finish(m);
        return plan->killed != 0;
    }

private:
    static bool is_up(const cairn::service_set_facts& set, std::size_t printers) {
        return set.services.size() == 2 && set.supervisor_alive == cairn::presence::alive &&
               set.services[0].wanted_worker_count == printers &&
               set.services[0].workers.size() == printers &&
               ready_workers(set.services[0]).size() == printers &&
               ready_workers(set.services[1]).size() == 1;
    }
    [[nodiscard]] bool are_others(const cairn::service_set_facts& set) const {
        const std::vector<pid_t> now = ready_workers(set.services[0]);
        return std::find_first_of(now.begin(), now.end(), before_.begin(), before_.end()) == now.end();
    }

    [[nodiscard]] cairn::service_set_facts looked_at() const {
        try {
            auto all = cairn::inspection(name_.get()).service_sets();
            if (!all.empty()) return std::move(all.front());
        } catch (const cairn::error&) {
            // Not there yet, or any more.
        }
        return {};
    }

    // Also true when the manager's process has ended: what that may mean is asked afterwards.
    bool comes_to(managed& m, const std::function<bool(const cairn::service_set_facts&)>& condition) {
        return m.comes_true([&] { return !is_running(m.pid()) || condition(looked_at()); });
    }

    void order(const std::function<void(const cairn::service_control&)>& what) const {
        try {
            what(cairn::service_control(name_.get()));
        } catch (const cairn::error&) {
            // Nobody is there any more who could be told.
        }
    }

    // What the phase is, to its end, whoever was killed in it.
    bool pass(managed& m) {
        switch (when_) {
            case phase::start: return comes_to(m, [](const auto& set) { return is_up(set, 2); });
            case phase::scale_up:
                order([](const auto& to) { to.scale("printer", 4); });
                return comes_to(m, [](const auto& set) { return is_up(set, 4); });
            case phase::scale_down:
                order([](const auto& to) { to.scale("printer", 1); });
                return comes_to(m, [](const auto& set) { return is_up(set, 1); });
            case phase::reload:
                m.signal(SIGHUP);
                return comes_to(m, [this](const auto& set) {
                    return is_up(set, 2) && set.generation != 0 && has_new(set);
                });
            case phase::restart:
                order([](const auto& to) { to.restart(); });
                return comes_to(m, [this](const auto& set) { return is_up(set, 2) && has_new(set); });
            case phase::stop: m.signal(SIGTERM); return true;
            case phase::death:
                send(before_[0], SIGKILL);
                return comes_to(m, [this](const auto& set) { return is_up(set, 2) && is_replaced(set); });
        }
        return false;
    }
    // Once: that somebody of those who look after it was killed meanwhile is no death of a worker.
    [[nodiscard]] bool is_replaced(const cairn::service_set_facts& set) const {
        const std::vector<pid_t> now = ready_workers(set.services[0]);
        if (std::find(now.begin(), now.end(), before_[0]) != now.end()) return false;
        if (victim_ == role::guardian || victim_ == role::nursery) {
            CHECK(set.services[0].restarts == 1);
            CHECK(set.services[1].restarts == 0);
        }
        return true;
    }
    // A new worker that is killed before it is ready gives the reload up, as it should: then the old ones stay. That a supervisor is
    // killed gives nothing up.
    [[nodiscard]] bool has_new(const cairn::service_set_facts& set) const {
        const bool may_be_given_up =
            plan->killed != 0 && (victim_ == role::worker || victim_ == role::newborn);
        return may_be_given_up || are_others(set);
    }

    void finish(managed& m) {
        if (when_ != phase::stop && victim_ != role::manager && is_running(m.pid())) CHECK(verified() == "");
        const int code = when_ == phase::stop ? m.join() : m.end();
        if (plan->killed != 0 && plan->killed == plan->manager) CHECK(code == -SIGKILL);
        // Guardian and nursery gone before both were there: nobody can go on. Else as if nothing had been.
        else if (when_ == phase::start && (victim_ == role::guardian || victim_ == role::newborn))
            CHECK((code == 0 || code == 1));
        else CHECK(code == 0);
        CHECK(is_everybody_gone());
        // The only one that there was takes nothing along: that is for the next of the name, or `shmctl gc`. A process's files are
        // closed before it counts as dead.
        if (when_ == phase::start && victim_ == role::manager && name_.exists())
            CHECK(eventually(
                [&] { return cairn::collect_segment(cairn::locate_segment(name_.get())).is_removed; }));
        CHECK_FALSE(name_.exists());
    }
    [[nodiscard]] std::string verified() const {
        const cairn::verification found = cairn::inspection(name_.get()).verify();
        return found.problems.empty() ? "" : found.problems.front();
    }
    // All of the family have the other end of the pipe.
    [[nodiscard]] bool is_everybody_gone() const {
        pollfd look{all_[0], POLLIN, 0};
        const auto longest = patiently(std::chrono::seconds(20));
        return ::poll(&look, 1, static_cast<int>(longest.count())) == 1 && (look.revents & POLLHUP) != 0;
    }

    const scratch_name name_{"kills"};
    const role victim_;
    const phase when_;
    int all_[2] = {};
    std::vector<pid_t> before_;
};

// In memory that all processes have.
class shared_plan {
public:
    shared_plan() {
        void* const memory =
            ::mmap(nullptr, sizeof(kill_plan), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
        REQUIRE(memory != MAP_FAILED);
        plan = new (memory) kill_plan{};
    }
    shared_plan(const shared_plan&) = delete;
    shared_plan& operator=(const shared_plan&) = delete;
    ~shared_plan() {
        ::munmap(plan, sizeof(kill_plan));
        plan = nullptr;
    }
};

int number_from(const char* variable) {
    const char* const given = std::getenv(variable);
    return given == nullptr ? 0 : std::atoi(given);
}

}  // namespace

TEST_CASE(
    "manager, guardian, nursery and workers are killed at any call to the system while services start, are "
    "scaled, reloaded, restarted and stopped, and when a worker dies: what was wanted comes true, or all is "
    "ended, and nothing is "
    "left") {
    const shared_plan for_all;
    const int step = has_address_sanitizer || has_thread_sanitizer ? 7 : 1;
    const int seed =
        number_from("CAIRN_SEED") != 0 ? number_from("CAIRN_SEED") : static_cast<int>(::getpid());
    CAPTURE(seed);
    const int row_wanted = std::getenv("CAIRN_KILL_ROW") != nullptr ? number_from("CAIRN_KILL_ROW") : -1;
    int kills = 0;
    int row = 0;
    for (const role victim : roles) {
        for (const phase when : phases) {
            CAPTURE(static_cast<int>(victim));
            CAPTURE(static_cast<int>(when));
            if (row_wanted >= 0 && row_wanted != 10 * static_cast<int>(victim) + static_cast<int>(when))
                continue;
            // Newborns are there where somebody is started.
            if (victim == role::newborn && (when == phase::scale_down || when == phase::stop)) continue;
            for (int n = 1 + (seed + 3 * row++) % step;; n += step) {
                CAPTURE(n);
                if (!experiment_of_kill(victim, when, n).run()) break;
                ++kills;
                REQUIRE(n < 1000);
            }
        }
    }
    MESSAGE(kills << " kills");
    CHECK((row_wanted >= 0 || kills > 10));
}

TEST_CASE(
    "a worker that is killed before its fork handler has run is waited for by nobody who leaves a segment") {
    for (const bool is_nursery_killed : {false, true}) {
        CAPTURE(is_nursery_killed);
        const shared_plan for_all;
        plan->left = 2;
        CHECK(in_child([&] {
                  plan->manager = ::getpid();
                  const cairn::manager segment;
                  cairn::service_manager sm({.quiet = true});
                  sm.add<printer>(2);
                  sm.register_hooks({.on_ready = [&] {
                      if (is_nursery_killed) ::kill(find_descendant(::getpid(), "cairn-nursery"), SIGKILL);
                      sm.shutdown();
                  }});
                  cairn::detail::os::fault.store(&lose_a_fork);
                  CHILD_CHECK(sm.run() == 0);
                  CHILD_CHECK(plan->killed != 0);
                  CHILD_CHECK(!cairn::detail::os::has_forks_on_their_way());
              }) == 0);
    }
}

}  // namespace service_kills_test

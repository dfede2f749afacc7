// SPDX-License-Identifier: BSL-1.0
#include "support/storm/crew.hpp"

#include <algorithm>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <memory>
#include <stop_token>
#include <system_error>
#include <thread>
#include <utility>

#include <pthread.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "segment/lifecycle.hpp"
#include "support/crash/victim.hpp"
#include "support/scratch.hpp"

namespace cairn_test {

namespace {

constexpr std::uint64_t mishap_one_in =
    3000;  // operations; chosen so that most deaths are still the killer's
constexpr std::uint64_t fork_one_in = 400;
constexpr int operations_of_a_fork = 25;
constexpr unsigned longest_fork_seconds = 30;

class worker {
public:
    worker(const crew_plan& plan, const std::vector<std::unique_ptr<storm_object>>& objects,
           std::stop_token end)
        : plan_(plan), weather_(*plan.weather), objects_(objects),
          self_(*plan.book, plan.seed, std::move(end)) {}

    void work() {
        try {
            while (!weather_.over) {
                if (plan_.options.mishaps && self_.random(mishap_one_in) == 0) have_a_mishap();
                if (plan_.options.forks && self_.random(fork_one_in) == 0) fork_another();
                operate();
            }
        } catch (const book_is_full&) {
            weather_.over = true;
        } catch (const std::exception& e) {
            weather_.report(e.what());
        }
    }

private:
    const storm_object& any() { return *objects_[self_.random(objects_.size())]; }

    void operate() {
        any().operate(self_);
        // relaxed: only a sign of life
        weather_.moves.fetch_add(1, std::memory_order_relaxed);
    }

    void have_a_mishap() {
        // exit() runs what the test program has for its end, too, which a sanitizer wants to be in order.
        const std::uint64_t kind = self_.random(is_sanitized ? 5 : 8);
        if (kind == 7) {
            // In a thread of its own right: the others are anywhere in their operations.
            weather_.mishaps.fetch_add(1);
            std::exit(0);
        }
        any().hold(self_, [&] {
            weather_.mishaps.fetch_add(1);
            switch (kind) {
                case 0: ::pthread_exit(nullptr);
                case 1: ::syscall(SYS_exit, 0); break;  // the thread alone, and without a destructor
                case 2: ::execl("/bin/true", "true", nullptr); break;
                case 3: ::_exit(0);
                case 5:
                case 6: std::exit(0);
                default: ::kill(::getpid(), SIGKILL); break;
            }
        });
    }

    // The child has this thread only, and whatever locks the others held are not its own.
    void fork_another() {
        const pid_t child = ::fork();
        if (child != 0) {
            weather_.forks.fetch_add(1);
            if (child > 0) ::waitpid(child, nullptr, 0);
            return;
        }
        // It may outlive us; then the storm's supervisor gets it.
        ::prctl(PR_SET_PDEATHSIG, 0);
        ::alarm(longest_fork_seconds);
        try {
            // There is nobody here who could end a long wait.
            std::stop_source at_once;
            at_once.request_stop();
            worker in_child(plan_, objects_, at_once.get_token());
            for (int i = 0; i < operations_of_a_fork && !weather_.over; ++i) in_child.operate();
        } catch (const book_is_full&) {
            weather_.over = true;
        } catch (const std::exception& e) {
            weather_.report(std::string("in a forked child: ") + e.what());
        }
        ::_exit(0);
    }

    const crew_plan& plan_;
    storm_weather& weather_;
    const std::vector<std::unique_ptr<storm_object>>& objects_;
    actor self_;
};

// So that nobody who waits in an operation stays there when no further one is begun.
// NOLINTNEXTLINE(performance-unnecessary-value-param): request_stop() is const in one standard library only
void request_at_the_end(const storm_weather& weather, std::stop_source end) {
    while (!weather.over) std::this_thread::sleep_for(std::chrono::milliseconds(2));
    end.request_stop();
}

// There is none to be had while another thread of the process executes another program (EAGAIN): then this one is over.
template <typename Fn>
std::thread begin_thread(Fn fn) {
    try {
        return std::thread(std::move(fn));
    } catch (const std::system_error&) {
        ::_exit(0);
    }
}

}  // namespace

void storm_weather::report(const std::string& what) noexcept {
    if (!has_problem.exchange(true)) std::snprintf(problem, sizeof problem, "%s", what.c_str());
    over = true;
}

cairn::detail::segment_ptr attach_to_storm(const crew_plan& plan) {
    if (plan.inherited) return plan.inherited;
    return cairn::detail::open_named(plan.segment_name, {});
}

std::vector<std::unique_ptr<storm_object>> join_rows(const std::vector<storm_row>& rows,
                                                     const cairn::manager& m) {
    std::vector<std::unique_ptr<storm_object>> objects;
    for (unsigned i = 0; i < rows.size(); ++i) objects.push_back(rows[i].join(m, i));
    return objects;
}

bool cores_are_local() {
    std::ifstream pattern("/proc/sys/kernel/core_pattern");
    std::string text;
    std::getline(pattern, text);
    return !text.empty() && text[0] != '|' && text.find('/') == std::string::npos;
}

void live_in_storm(const crew_plan& plan) {
    prepare_child();
    if (plan.options.exits) {
        // Wherever they are: in an operation, under a lock, in its repair.
        static_cast<void>(std::signal(SIGTERM, [](int) { std::exit(0); }));
        static_cast<void>(std::signal(SIGUSR1, [](int) { ::execl("/bin/true", "true", nullptr); }));
    }
    // A pipe gets the dump whatever the limit is, but for a limit of one byte, with which there is none.
    rlimit core = {};
    ::getrlimit(RLIMIT_CORE, &core);
    core.rlim_cur =
        plan.options.aborts && cores_are_local() ? core.rlim_max : std::min<rlim_t>(core.rlim_max, 1);
    ::setrlimit(RLIMIT_CORE, &core);
    if (::chdir(plan.directory.c_str()) != 0) plan.weather->report("a process cannot enter its directory");
    try {
        const cairn::manager m(attach_to_storm(plan));
        const auto objects = join_rows(*plan.rows, m);
        std::stop_source end;
        // Also one thread is a second one: it may end alone.
        std::vector<std::thread> threads;
        for (unsigned i = 0; i < plan.options.threads; ++i)
            threads.push_back(begin_thread([&] { worker(plan, objects, end.get_token()).work(); }));
        // Not joined: it is at rest, and the process ends without it.
        begin_thread([&plan, end] { request_at_the_end(*plan.weather, end); }).detach();
        for (std::thread& t : threads) t.join();
        if (plan.book->new_actor() % 2 == 0) ::_exit(0);  // which counts as killed
    } catch (const book_is_full&) {
        plan.weather->over = true;
    } catch (const std::exception& e) {
        plan.weather->report(std::string("a process that joins the storm: ") + e.what());
    }
    ::_exit(0);
}

}  // namespace cairn_test

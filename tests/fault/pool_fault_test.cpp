// pool_fault_test.cpp - pools of worker processes when the system says no.
// SPDX-License-Identifier: BSL-1.0
#include <atomic>
#include <cerrno>
#include <chrono>
#include <csignal>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <new>
#include <optional>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <doctest/doctest.h>

#include "os/fault.hpp"
#include "os/processors.hpp"
#include "support/faults.hpp"
#include "support/patience.hpp"
#include "support/process_tree.hpp"
#include "support/sanitizers.hpp"
#include "support/scratch.hpp"
#include <cairn/nursery.hpp>
#include <cairn/pool.hpp>

namespace pool_fault_test {

using namespace cairn_test;
using namespace std::chrono_literals;

namespace {

const auto watchdog = patiently(20s);

long same(long x) {
    return x;
}
std::string much(long bytes) {
    return std::string(static_cast<std::size_t>(bytes), 'x');
}

enum class whose { owner, family };

std::atomic<const char*> failing_call = nullptr;
std::atomic<int> failing_errno = 0;
std::atomic<int> left = 0;  // each process counts down its own
std::atomic<pid_t> owner = 0;
std::atomic<whose> of = whose::owner;

int fail_as_told(const char* call) noexcept {
    if (std::strcmp(call, failing_call) != 0) return 0;
    if ((::getpid() == owner) != (of == whose::owner)) return 0;
    return left.fetch_sub(1) > 0 ? failing_errno.load() : 0;
}

// Of that call, the first times that it is made in each process meant.
class failing {
public:
    failing(whose process, const char* call, int error, int times = 1'000'000) {
        failing_call = call;
        failing_errno = error;
        left = times;
        owner = ::getpid();
        of = process;
        cairn::detail::os::fault.store(&fail_as_told);
    }
    ~failing() { cairn::detail::os::fault.store(nullptr); }
    failing(const failing&) = delete;
    failing& operator=(const failing&) = delete;
};

// The process of that name ("": of that number) that makes its n-th call to the system is killed there; one of them, once.
class dies_at_call {
public:
    dies_at_call(const char* name, int n)
        : killed_(
              static_cast<std::atomic<int>*>(::mmap(nullptr, sizeof(std::atomic<int>), PROT_READ | PROT_WRITE,
                                                    MAP_SHARED | MAP_ANONYMOUS, -1, 0))) {
        REQUIRE(killed_ != MAP_FAILED);
        now = this;
        victim_ = name;
        owner = ::getpid();
        left = n;
        cairn::detail::os::fault.store(&decide);
    }
    ~dies_at_call() {
        cairn::detail::os::fault.store(nullptr);
        now = nullptr;
        ::munmap(killed_, sizeof *killed_);
    }
    dies_at_call(const dies_at_call&) = delete;
    dies_at_call& operator=(const dies_at_call&) = delete;
    [[nodiscard]] bool has_happened() const { return *killed_ != 0; }

private:
    static int decide(const char* /*call*/) noexcept {
        char name[17] = "";
        if (*now->victim_ != '\0') ::prctl(PR_GET_NAME, name);
        if (*now->victim_ != '\0' ? std::strcmp(name, now->victim_) != 0 : ::getpid() != owner) return 0;
        if (left.fetch_sub(1) == 1 && now->killed_->exchange(1) == 0) ::kill(::getpid(), SIGKILL);
        return 0;
    }

    static inline const dies_at_call* now = nullptr;
    const char* victim_ = "";
    std::atomic<int>* killed_;  // shared with all children
};

// Under ThreadSanitizer a fork takes 20 ms: every fourth call there.
constexpr int call_step = has_thread_sanitizer ? 4 : 1;

// Of shared memory, those that this process has touched.
long own_shared_kilobytes() {
    std::ifstream file("/proc/self/status");
    for (std::string line; std::getline(file, line);)
        if (line.starts_with("RssShmem:")) return std::stol(line.substr(9));
    FAIL("there is no RssShmem");
    return 0;
}

std::ptrdiff_t open_descriptors() {
    const std::filesystem::directory_iterator all("/proc/self/fd");
    return std::distance(begin(all), end(all));
}

}  // namespace

TEST_CASE(
    "making a pool when the n-th call to the system fails: an error, or a pool; nothing is left behind") {
    { cairn::process_pool_executor first(1); }  // what a process makes once
    const std::ptrdiff_t before = open_descriptors();
    const int thrown = fail_every_call(
        "",
        [] {
            const long result = cairn::process_pool_executor(2).submit(same, 5L).result(watchdog);
            CHECK(result == 5);
        },
        [&](bool) {
            CHECK(have_ended(descendants_of(::getpid()), watchdog));
            CHECK(open_descriptors() == before);
        },
        call_step);
    CHECK(thrown > 0);
}

TEST_CASE("a fork that fails is an error that names the pool, and the call") {
    const failing fault(whose::owner, "fork", EAGAIN);
    try {
        const cairn::process_pool_executor ex(2);
        FAIL("it was made");
    } catch (const cairn::system_failure& e) {
        const std::string text = e.what();
        CHECK(text.find("process_pool_executor-") != std::string::npos);
        CHECK(text.find("fork") != std::string::npos);
        CHECK(e.code() == std::errc::resource_unavailable_try_again);
    }
}

TEST_CASE(
    "with however few descriptors: an error that says so, or a pool that settles the deaths of its workers") {
    if (has_address_sanitizer || has_thread_sanitizer) return;  // whose own reads of /proc need some
    for (const bool has_ancestor : {false, true}) {
        int refused = 0;
        int made = 0;
        for (int limit = 3; limit <= 12; ++limit) {
            CAPTURE(has_ancestor);
            CAPTURE(limit);
            constexpr int is_refused = 3;
            const int result = in_child([&] {
                CHILD_CHECK(::close_range(3, ~0U, 0) == 0);
                const rlimit few{static_cast<rlim_t>(limit), static_cast<rlim_t>(limit)};
                CHILD_CHECK(::setrlimit(RLIMIT_NOFILE, &few) == 0);
                std::optional<cairn::process_pool_executor> ex;
                try {
                    if (has_ancestor) cairn::start_nursery();
                    ex.emplace(1);
                } catch (const cairn::error& e) {
                    const std::string text = e.what();
                    CHILD_CHECK(contains(text, "Too many open files") ||
                                contains(text, "no descriptor left"));
                    ::_exit(is_refused);
                }
                for (int i = 0; i < 3; ++i) {
                    const auto dies = ex->submit([] { ::kill(::getpid(), SIGKILL); });
                    bool has_died = false;
                    try {
                        dies.result(watchdog);
                    } catch (const cairn::worker_died&) {
                        has_died = true;
                    }
                    CHILD_CHECK(has_died);
                }
                CHILD_CHECK(ex->submit(same, 3L).result(watchdog) == 3);
            });
            CHECK((result == 0 || result == is_refused));
            (result == 0 ? made : refused) += 1;
        }
        CHECK(refused > 0);
        CHECK(made > 0);
    }
}

TEST_CASE("guardian and nursery get no news of their children: they look for them") {
    const failing fault(whose::family, "signalfd", ENOMEM);
    cairn::process_pool_executor ex(1);
    // At their longest sleep each it would take twice the watchdog's time.
    const auto begin = std::chrono::steady_clock::now();
    for (int i = 0; i < 40; ++i)
        CHECK_THROWS_AS(ex.submit([] { ::kill(::getpid(), SIGKILL); }).result(watchdog), cairn::worker_died);
    CHECK(std::chrono::steady_clock::now() - begin < watchdog);
    CHECK(ex.submit(same, 3L).result(watchdog) == 3);
}

namespace {

// Workers that are still to be killed while they start; in memory that all processes share.
std::atomic<int>* starts_to_end = nullptr;

int end_at_start(const char* /*call*/) noexcept {
    char name[17] = "";
    ::prctl(PR_GET_NAME, name);
    if (std::strncmp(name, "cairn-worker", 12) == 0 && starts_to_end->fetch_sub(1) > 0)
        ::kill(::getpid(), SIGKILL);
    return 0;
}

}  // namespace

TEST_CASE("workers are killed while they start, one after the other: a pool without an initializer goes on") {
    void* const shared =
        ::mmap(nullptr, sizeof(std::atomic<int>), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    REQUIRE(shared != MAP_FAILED);
    starts_to_end = new (shared) std::atomic<int>(20);
    cairn::detail::os::fault.store(&end_at_start);
    {
        cairn::process_pool_executor ex(2);
        CHECK(ex.submit(same, 3L).result(watchdog) == 3);
        CHECK(*starts_to_end <= 0);
        // Where that never ends, tasks are told why there are no workers.
        const auto until = std::chrono::steady_clock::now() + watchdog;
        while (ex.num_workers() != 2 && std::chrono::steady_clock::now() < until)
            std::this_thread::sleep_for(1ms);
        *starts_to_end = 1'000'000;
        ex.kill();
        CHECK_THROWS_AS(ex.submit(same, 3L).result(watchdog), cairn::worker_died);
    }
    cairn::detail::os::fault.store(nullptr);
    ::munmap(shared, sizeof(std::atomic<int>));
}

TEST_CASE("guardian and nursery cannot fork for a while (RLIMIT_NPROC): workers come when they can") {
    const failing fault(whose::family, "fork", EAGAIN, 5);
    cairn::process_pool_executor ex(2);
    for (long i = 0; i < 10; ++i) CHECK(ex.submit(same, i).result(watchdog) == i);
}

TEST_CASE("a segment that is full at a submit: segment_full, nothing is submitted, and the pool goes on") {
    cairn::process_pool_executor ex(1);
    std::vector<cairn::future<std::string>> all;
    {
        const failing fault(whose::owner, "fallocate", ENOSPC);
        bool was_full = false;
        for (int i = 0; i < 1000 && !was_full; ++i) {
            try {
                all.push_back(ex.submit([](std::string s) { return s.substr(0, 3); }, much(1 << 20)));
            } catch (const cairn::segment_full& e) {
                was_full = true;
                CHECK(std::string(e.what()).find("submit to process_pool_executor-") != std::string::npos);
            }
        }
        CHECK(was_full);
        for (const auto& each : all) CHECK(each.result(watchdog) == "xxx");
        CHECK(ex.submit(same, 4L).result(watchdog) == 4);
    }
    CHECK(ex.submit([](std::string s) { return s.size(); }, much(1 << 20)).result(watchdog) == 1U << 20U);
}

namespace {

// In memory that the workers share.
struct gate_state {
    std::atomic<bool> has_begun;
    std::atomic<bool> may_end;
};
gate_state* gate = nullptr;

long waits_at_gate(long x) {
    gate->has_begun = true;
    while (!gate->may_end) std::this_thread::sleep_for(1ms);
    return x;
}

// The owner gets no thread, and hears so only once a worker is at the gate.
int no_thread_then(const char* call) noexcept {
    if (::getpid() != owner || std::strcmp(call, "pthread_create") != 0) return 0;
    while (!gate->has_begun) std::this_thread::sleep_for(1ms);
    return EAGAIN;
}

// In a process that has no thread for timers yet.
template <typename Body>
void with_gate(const Body& body) {
    CHECK(in_child([&] {
              void* const shared = ::mmap(nullptr, sizeof(gate_state), PROT_READ | PROT_WRITE,
                                          MAP_SHARED | MAP_ANONYMOUS, -1, 0);
              CHILD_CHECK(shared != MAP_FAILED);
              gate = new (shared) gate_state{};
              cairn::process_pool_executor ex(1);
              CHILD_CHECK(ex.submit(same, 1L).result(watchdog) == 1);
              owner = ::getpid();
              body(ex);
          }) == 0);
}

}  // namespace

TEST_CASE(
    "no thread for the timer of .expires: the task is taken back, and the end of the pool waits for the "
    "others") {
    with_gate([](cairn::process_pool_executor& ex) {
        const auto runs = ex.submit(waits_at_gate, 4L);
        const auto behind = ex.submit(same, 5L);
        bool is_refused = false;
        cairn::detail::os::fault.store(&no_thread_then);
        try {
            static_cast<void>(ex.submit({.expires = 1h}, same, 6L));
        } catch (const cairn::system_failure&) {
            is_refused = true;
        }
        cairn::detail::os::fault.store(nullptr);
        CHILD_CHECK(is_refused);
        CHILD_CHECK(ex.queue_size() == 1);
        std::thread opens([] {
            std::this_thread::sleep_for(20ms);
            gate->may_end = true;
        });
        ex.shutdown();
        opens.join();
        CHILD_CHECK(runs.done());
        CHILD_CHECK(runs.result() == 4);
        CHILD_CHECK(behind.done());
        CHILD_CHECK(behind.result() == 5);
        CHILD_CHECK(ex.statistics().executed == 3);
    });
}

TEST_CASE("no thread for the timer of .expires, and a worker has the task by then: it goes on") {
    with_gate([](cairn::process_pool_executor& ex) {
        cairn::detail::os::fault.store(&no_thread_then);
        const auto runs = ex.submit({.expires = 1h}, waits_at_gate, 6L);
        cairn::detail::os::fault.store(nullptr);
        CHILD_CHECK(!runs.done());
        gate->may_end = true;
        CHILD_CHECK(runs.result(watchdog) == 6);
        ex.shutdown();
        CHILD_CHECK(ex.statistics().executed == 2);
    });
}

TEST_CASE("a result that does not fit is segment_full for its task, and the worker goes on") {
    const failing fault(whose::family, "fallocate", ENOSPC);
    cairn::process_pool_executor ex(1);
    CHECK_THROWS_AS(ex.submit(much, 100L << 20U).result(watchdog), cairn::segment_full);
    CHECK(ex.submit(much, 100L).result(watchdog) == much(100));
}

TEST_CASE("results that fill the segment wait until those before them have been taken over") {
    for (const bool keeps : {false, true}) {
        CAPTURE(keeps);
        CHECK(in_child([&] {
                  const rlimit small{32U << 20U, 32U << 20U};  // of files, and so of segments
                  CHILD_CHECK(::setrlimit(RLIMIT_FSIZE, &small) == 0);
                  cairn::process_pool_executor ex(2);
                  std::atomic<bool> all_submitted{false};
                  const auto waiting = [&] { return ex.queue_size(); };
                  // Nobody takes results over until no worker goes on.
                  const auto holds_up = [&](const std::exception&) {
                      const auto until = std::chrono::steady_clock::now() + watchdog;
                      while (!all_submitted && std::chrono::steady_clock::now() < until)
                          std::this_thread::sleep_for(1ms);
                      for (std::size_t before = waiting() + 1; waiting() != before && waiting() != 0;) {
                          before = waiting();
                          std::this_thread::sleep_for(200ms);
                      }
                      return false;
                  };
                  const auto fails = ex.submit(
                      {.retries = 1, .retry_if = holds_up},
                      [](long) -> long { throw std::runtime_error("x"); }, 1L);
                  std::vector<cairn::future<std::string>> all;
                  for (int i = 0; i < 100; ++i) all.push_back(ex.submit(much, 1L << 20U));
                  all_submitted = true;
                  for (const auto& each : all) CHILD_CHECK(each.result(watchdog).size() == 1U << 20U);
                  bool has_failed = false;
                  try {
                      fails.result(watchdog);
                  } catch (const std::runtime_error&) {
                      has_failed = true;
                  }
                  CHILD_CHECK(has_failed);
                  // One that can never fit does not wait, or not for long where others are kept.
                  const auto keep = [](long bytes) {
                      return cairn::result<char>(static_cast<std::size_t>(bytes));
                  };
                  std::optional<cairn::result<char>> kept;
                  if (keeps) kept = ex.submit(keep, 1L << 20U).result(watchdog);
                  bool is_full = false;
                  try {
                      ex.submit(much, 40L << 20U).result(watchdog);
                  } catch (const cairn::segment_full&) {
                      is_full = true;
                  }
                  CHILD_CHECK(is_full);
                  CHILD_CHECK(ex.submit(much, 1L << 20U).result(watchdog).size() == 1U << 20U);
              }) == 0);
    }
}

TEST_CASE(
    "a thread that may not lock waits for a result: it is refused, and what others have read takes no room") {
    cairn::process_pool_executor ex(1);
    CHECK(ex.submit(much, 1L << 20U).result(watchdog).size() == 1U << 20U);
    const long before = own_shared_kilobytes();
    const failing fault(whose::owner, "get_robust_list", EPERM);  // of threads that have used nothing yet
    constexpr int rounds = 100;
    std::atomic<int> asked{0};
    std::atomic<int> answered{0};
    int refusals = 0;
    cairn::future<long> next;
    std::thread other([&] {
        for (int round = 1; round <= rounds; ++round) {
            while (asked < round) std::this_thread::yield();
            try {
                next.result(watchdog);
            } catch (const cairn::refused&) {
                ++refusals;
            }
            answered = round;
        }
    });
    for (int round = 1; round <= rounds; ++round) {
        // Its record is freed by whoever looks for results next.
        CHECK(ex.submit(much, 1L << 20U).result(watchdog).size() == 1U << 20U);
        next = ex.submit(same, 3L);
        asked = round;
        while (answered < round) std::this_thread::yield();
        CHECK(next.result(watchdog) == 3);
    }
    other.join();
    // Where there is one processor, threads that wait do not look themselves.
    if (cairn::detail::os::processor_count() > 1) CHECK(refusals > 0);
    CHECK(own_shared_kilobytes() - before < 10'000);
}

TEST_CASE("start_nursery when the n-th call to the system fails: an error, or a nursery; later pools work") {
    for (int n = 1; n < 12; ++n) {
        CAPTURE(n);
        CHECK(in_child([&] {
                  {
                      const nth_call_fails fault(n, EMFILE);
                      try {
                          cairn::start_nursery();
                      } catch (const cairn::system_failure&) {
                      } catch (const cairn::invalid_argument&) {}
                  }
                  cairn::process_pool_executor ex(1);
                  CHILD_CHECK(ex.submit(same, 3L).result(watchdog) == 3);
              }) == 0);
    }
}

TEST_CASE(
    "the ancestor cannot fork, or its message is lost: an error, or a pool that is forked from the program") {
    CHECK(in_child([] {
              const failing fault(whose::family, "fork", EAGAIN, 1);
              cairn::start_nursery();
              bool is_refused = false;
              try {
                  const cairn::process_pool_executor ex(1);
              } catch (const cairn::system_failure& e) {
                  is_refused = e.code() == std::errc::resource_unavailable_try_again;
              }
              CHILD_CHECK(is_refused);
              cairn::process_pool_executor ex(1);
              CHILD_CHECK(ex.submit(same, 3L).result(watchdog) == 3);
          }) == 0);
    for (const char* call : {"sendmsg", "recvmsg"}) {
        CAPTURE(call);
        CHECK(in_child([&] {
                  cairn::start_nursery();
                  const failing fault(whose::owner, call, ENOBUFS, 1);
                  cairn::process_pool_executor ex(1);
                  CHILD_CHECK(ex.submit(same, 3L).result(watchdog) == 3);
              }) == 0);
    }
}

TEST_CASE(
    "the owner is killed at any of its calls to the system while it makes a nursery and a pool, and waits: "
    "nothing is left") {
    int n = 1;
    for (bool is_killed = true; is_killed; n += call_step) {
        CAPTURE(n);
        REQUIRE(n < 1000);
        int how = 0;
        // Orphans come to this child, so it knows when the last one has gone.
        const int result = in_child([&] {
            CHILD_CHECK(::prctl(PR_SET_CHILD_SUBREAPER, 1) == 0);
            const pid_t program = ::fork();
            if (program == 0) {
                const dies_at_call here("", n);
                cairn::start_nursery();
                {
                    cairn::process_pool_executor ex(2);
                    ex.submit(same, 1L).result();
                    cairn::process_pool_executor own({.max_workers = 1, .initializer = [] {}});
                    own.submit(same, 1L).result();
                }
                ::_exit(0);
            }
            const auto until = std::chrono::steady_clock::now() + watchdog;
            while (std::chrono::steady_clock::now() < until) {
                int status = 0;
                const pid_t ended = ::waitpid(-1, &status, WNOHANG);
                if (ended == program) how = status;
                if (ended == -1) ::_exit(WIFSIGNALED(how) ? 1 : 0);
                if (ended == 0) std::this_thread::sleep_for(1ms);
            }
            for (const pid_t each : descendants_of(::getpid())) ::kill(each, SIGKILL);
            ::_exit(2);
        });
        REQUIRE(result != 2);
        is_killed = result == 1;
    }
    MESSAGE(n << " calls");
    CHECK(n > 20);
}

TEST_CASE(
    "the nursery or the guardian is killed at any of its calls to the system: every task settles, and those "
    "that may be tried again have results") {
    for (const std::string victim : {"cairn-nursery", "cairn-guardian"}) {
        CAPTURE(victim);
        int n = 1;
        for (bool is_killed = true; is_killed && n < 200; n += call_step) {
            CAPTURE(n);
            std::vector<pid_t> family;
            const dies_at_call there(victim.c_str(), n);
            {
                cairn::process_pool_executor ex({.max_workers = 2, .retries = 1});
                std::vector<cairn::future<long>> all;
                try {
                    for (long i = 0; i < 8; ++i)
                        all.push_back(ex.submit(
                            [](long x) {
                                if (cairn::this_task::attempt() == 1) ::kill(::getpid(), SIGKILL);
                                return x;
                            },
                            i));
                } catch (const cairn::worker_died&) {}  // the guardian had made nobody
                long lost = 0;
                for (std::size_t i = 0; i < all.size(); ++i) {
                    try {
                        const long x = all[i].result(watchdog);
                        CHECK(x == static_cast<long>(i));
                    } catch (const cairn::worker_died&) {
                        ++lost;
                    }
                }
                if (victim == "cairn-nursery") CHECK(lost == 0);
                // Without a nursery nobody replaces workers; with one, the guardian's death costs nothing.
                if (lost != 0) CHECK_FALSE(ex.alive());
                family = pool_processes();
            }
            is_killed = there.has_happened();
            CHECK(have_ended(family, watchdog));
        }
        MESSAGE(victim << ": " << n << " calls");
        CHECK(n > 5);
    }
}

}  // namespace pool_fault_test

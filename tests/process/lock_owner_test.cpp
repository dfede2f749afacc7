// lock_owner_test.cpp - what becomes of others when the owner of a lock stops, aborts, loses the thread that holds it, or
// becomes another program.
//
// SPDX-License-Identifier: BSL-1.0
#include <atomic>
#include <chrono>
#include <csignal>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <functional>
#include <stdexcept>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

#include <pthread.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <doctest/doctest.h>

#include "shared_round.hpp"
#include "support/guardian.hpp"
#include "support/opened.hpp"
#include "support/sanitizers.hpp"
#include "support/scratch.hpp"
#include <cairn/manager.hpp>

namespace lock_owner_test {

using namespace cairn_test;
using namespace std::chrono_literals;

namespace {

using longs = std::vector<long>;

// In the middle of a change: half of the elements have been exchanged already when fn is called.
void in_the_middle_of_a_sort(const cairn::list<long>& l, const std::function<void()>& fn) {
    int comparisons = 0;
    l.sort([&](long a, long b) {
        if (++comparisons == 3) fn();
        return b < a;
    });
}

std::uint64_t recoveries(const cairn::list<long>& l) {
    return opened_list<long>(l).slot().recovery_count;
}

// A directory to dump core in, gone with all that is in it.
class temporary_directory {
public:
    temporary_directory() : path_((std::filesystem::temp_directory_path() / "cairn-core-XXXXXX").string()) {
        if (::mkdtemp(path_.data()) == nullptr) throw std::runtime_error("no directory");
        guard_path(path_);
    }
    temporary_directory(const temporary_directory&) = delete;
    temporary_directory& operator=(const temporary_directory&) = delete;
    ~temporary_directory() {
        std::error_code ignored;
        std::filesystem::remove_all(path_, ignored);
        unguard_path(path_);
    }
    [[nodiscard]] const std::string& path() const { return path_; }

private:
    std::string path_;
};

// Core dumps are files in the current directory, rather than something that a program gets, or files elsewhere.
bool core_is_dumped_here() {
    std::ifstream pattern("/proc/sys/kernel/core_pattern");
    std::string text;
    std::getline(pattern, text);
    return !text.empty() && text[0] != '|' && text.find('/') == std::string::npos;
}

}  // namespace

TEST_CASE(
    "whoever needs the lock of a stopped process waits for as long as it is stopped, and steals nothing") {
    const cairn::manager m;
    const auto l = m.list<long>("l", {1, 2, 3});
    const shared_with_children<std::atomic<int>> got_it;
    child owner([&] { l.update(0, [](long& value) { ::raise(SIGSTOP), value = 10; }); });
    owner.wait_until_stopped();
    std::vector<child> others;
    others.reserve(2);
    for (int i = 0; i < 2; ++i) {
        others.emplace_back([&] {
            l.push_back(4);
            ++*got_it;
        });
    }
    std::this_thread::sleep_for(500ms);  // five times what a sleep for a lock lasts
    CHECK(*got_it == 0);
    CHECK(l == longs{1, 2, 3});  // readers need no lock
    owner.resume();
    CHECK(owner.join() == 0);
    for (child& c : others) CHECK(c.join() == 0);
    CHECK(*got_it == 2);
    CHECK(l == longs{10, 2, 3, 4, 4});
    CHECK(recoveries(l) == 0);
    CHECK(broken_invariant(l) == "");
}

// ThreadSanitizer: its own memory would be in the core, which takes a quarter of a minute to write.
TEST_CASE("an owner that aborts with a core dump has done nothing, and the next one goes on" *
          doctest::skip(has_thread_sanitizer)) {
    const temporary_directory cores;
    const cairn::manager m;
    const auto l = m.list<long>("l", {1, 2, 3, 4, 5});
    child owner([&] {
        CHILD_CHECK(::chdir(cores.path().c_str()) == 0);
        rlimit core = {};
        ::getrlimit(RLIMIT_CORE, &core);
        // A program at the end of a pipe gets it whatever the limit, unless that is one byte.
        core.rlim_cur = core_is_dumped_here() ? core.rlim_max : std::min<rlim_t>(core.rlim_max, 1);
        ::setrlimit(RLIMIT_CORE, &core);
        in_the_middle_of_a_sort(l, [] { std::abort(); });
    });
    CHECK(owner.join() == -SIGABRT);
    l.push_back(6);
    CHECK(l == longs{1, 2, 3, 4, 5, 6});
    CHECK(recoveries(l) == 1);
    CHECK(broken_invariant(l) == "");
}

TEST_CASE("an owner that becomes another program while it holds the lock counts as dead") {
    for (const bool by_another_thread : {false, true}) {
        CAPTURE(by_another_thread);
        const cairn::manager m;
        const auto l = m.list<long>("l", {1, 2, 3, 4, 5});
        gate to_be_held;
        const child owner([&] {
            const auto become_another_program = [&] {
                in_the_middle_of_a_sort(l, [&] {
                    to_be_held.open();
                    ::execl("/bin/sleep", "sleep", "60", nullptr);
                    ::_exit(3);
                });
            };
            // A thread that is not the first one gets the first one's id on the way, by which the kernel does not know
            // it as the owner any more, and leaves the lock as it is.
            if (by_another_thread) std::thread(become_another_program).join();
            else become_another_program();
        });
        REQUIRE(to_be_held.wait());
        l.push_back(6);  // waits for the exec, not for the program's end
        CHECK(::kill(owner.pid(), 0) == 0);
        CHECK(l == longs{1, 2, 3, 4, 5, 6});
        CHECK(recoveries(l) == 1);
        CHECK(broken_invariant(l) == "");
    }
}

TEST_CASE("a thread that ends inside a callback has done nothing and holds nothing, whichever way it ends") {
    const cairn::manager m;
    const auto l = m.list<long>("l", {1, 2, 3, 4, 5});
    using ending = std::pair<const char*, void (*)()>;
    int unrepaired = 0;
    for (const auto& [how, end] :
         {ending("pthread_exit", [] { ::pthread_exit(nullptr); }),
          ending("cancellation",
                 [] {
                     ::pthread_cancel(::pthread_self());
                     ::pthread_testcancel();
                 }),
          ending("the system call, without a destructor", [] { ::syscall(SYS_exit, 0); })}) {
        CAPTURE(how);
        // A sanitizer waits for ever for a thread that ends behind its back.
        if (is_sanitized && std::string_view(how).starts_with("the system call")) continue;
        // In a child: a thread that ends by the system call leaves the C library in doubt.
        CHECK(in_child([&, end = end] {
                  const auto go = [&](const auto& operation) {
                      const opened_list<long> inside(l);
                      std::thread victim([&] { operation(); });
                      victim.join();
                      // The other threads of the process go on, and so do other processes.
                      l.push_back(6);
                      CHILD_CHECK(l.pop() == 6);
                      CHILD_CHECK(broken_invariant(l).empty());
                      CHILD_CHECK((l == longs{1, 2, 3, 4, 5}));
                  };
                  go([&] { l.update(1, [&](long& value) { value = 7, end(); }); });
                  go([&] { in_the_middle_of_a_sort(l, end); });
                  go([&] { l.for_each([&](long) { end(); }); });
              }) == 0);
        l.push_back(6);
        CHECK(l.pop() == 6);
        unrepaired = static_cast<int>(recoveries(l));
    }
    // Two of the three unwind: their destructors undo and unlock. The third leaves it to the next one, three times.
    CHECK(unrepaired == (is_sanitized ? 0 : 3));
    CHECK(l == longs{1, 2, 3, 4, 5});
}

}  // namespace lock_owner_test

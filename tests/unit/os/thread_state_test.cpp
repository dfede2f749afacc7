// thread_state_test.cpp - which threads may lock: not those whose locks the kernel would not release.
// SPDX-License-Identifier: BSL-1.0
#include <atomic>
#include <cerrno>
#include <csignal>
#include <cstdint>
#include <functional>
#include <string>
#include <thread>

#include <linux/futex.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <doctest/doctest.h>

#include "support/faults.hpp"
#include "support/scratch.hpp"
#include <cairn/detail/os/thread_state.hpp>
#include <cairn/error.hpp>

namespace thread_state_test {

using namespace cairn_test;
using namespace cairn::detail;

namespace {

std::uint32_t own_thread() {
    return static_cast<std::uint32_t>(::syscall(SYS_gettid));
}

// What another library does that brings its own robust mutexes. The head outlives the thread: the kernel reads it last.
void hijack_robust_list() {
    static robust_list_head own = {{&own.list}, 0, nullptr};
    REQUIRE(::syscall(SYS_set_robust_list, &own, sizeof own) == 0);
}

// Runs `body` in a child that the C library knows nothing of; returns its exit code.
int in_raw_clone(const std::function<int()>& body) {
    const long pid = ::syscall(SYS_clone, SIGCHLD, nullptr, nullptr, nullptr, nullptr);
    REQUIRE(pid >= 0);
    if (pid == 0) ::_exit(body());
    int status = 0;
    REQUIRE(::waitpid(static_cast<pid_t>(pid), &status, 0) == pid);
    return WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status);
}

}  // namespace

TEST_CASE("a thread is checked at its first use, and then known by its number") {
    REQUIRE(renew_process_mark());
    std::thread([] {
        CHECK(this_thread.checked != *process_mark);
        CHECK(this_thread.thread_id == 0);
        require_usable_thread();
        CHECK(this_thread.checked == *process_mark);
        CHECK(this_thread.thread_id == own_thread());
    }).join();
}

TEST_CASE("a thread that was checked is not looked at again") {
    std::thread([] {
        require_usable_thread();
        hijack_robust_list();
        CHECK_NOTHROW(require_usable_thread());           // by its mark: one comparison
        CHECK_THROWS_AS(check_thread(), cairn::refused);  // by the kernel's word
    }).join();
}

TEST_CASE("a thread whose robust list is another library's is refused, and told what to do") {
    std::thread([] {
        hijack_robust_list();
        const std::string text = thrown_by<cairn::refused>([] { require_usable_thread(); });
        CHECK(contains(text, "set_robust_list"));
        CHECK(contains(text, "use another thread"));
        CHECK(this_thread.checked != *process_mark);
        CHECK_FALSE(thrown_by<cairn::refused>([] { require_usable_thread(); }).empty());  // each time
    }).join();
    // The others are as good as before.
    std::thread([] { CHECK_NOTHROW(require_usable_thread()); }).join();
    CHECK_NOTHROW(check_thread());
}

TEST_CASE("a kernel that keeps no robust lists is refused as well, and nobody else blamed") {
    std::thread([] {
        const nth_call_fails fault(1, ENOSYS);
        const std::string text = thrown_by<cairn::refused>([] { require_usable_thread(); });
        CHECK(contains(text, "keeps no robust lists"));
        CHECK(contains(text, "Function not implemented"));
        CHECK_FALSE(contains(text, "another library"));
        CHECK(std::string(nth_call_fails::failed()) == "get_robust_list");
    }).join();
}

TEST_CASE("a forked child is checked anew: its thread has another number") {
    REQUIRE(renew_process_mark());
    require_usable_thread();
    const std::uint32_t parent = this_thread.thread_id;
    CHECK(in_child([&] {
              renew_process_mark();  // as the fork handler of a program with segments does
              CHILD_CHECK(this_thread.checked != *process_mark);
              require_usable_thread();
              CHILD_CHECK(this_thread.thread_id == own_thread());
              CHILD_CHECK(this_thread.thread_id != parent);
          }) == 0);
    CHECK(this_thread.checked == *process_mark);
}

TEST_CASE("a child of a raw clone is refused, and told what to use; its own children are refused, too") {
    REQUIRE(renew_process_mark());
    require_usable_thread();
    CHECK(in_raw_clone([] {
              const std::string text = thrown_by<cairn::refused>([] { require_usable_thread(); });
              if (!contains(text, "raw clone()")) return 1;
              if (!contains(text, "use fork() or cairn::process")) return 2;
              return in_raw_clone(
                  [] { return thrown_by<cairn::refused>([] { require_usable_thread(); }).empty() ? 3 : 0; });
          }) == 0);
    CHECK_NOTHROW(require_usable_thread());
}

TEST_CASE("marks differ from process to process, and none is one that a thread has before it is checked") {
    std::uint64_t last = 0;
    for (int i = 0; i < 4; ++i) {
        REQUIRE(renew_process_mark());
        CHECK(*process_mark != last);
        CHECK(*process_mark > 1);
        last = *process_mark;
    }
}

TEST_CASE("what a thread has open at a fork is its parent's: all of it becomes inert in the child") {
    CHECK(in_child([] {
              open_transaction outer;
              open_transaction inner;
              inner.outer = &outer;
              this_thread.open = &inner;
              this_thread.in_segment_lock = true;
              abandon_open_transactions();
              CHILD_CHECK(inner.is_inert);
              CHILD_CHECK(outer.is_inert);
              CHILD_CHECK(this_thread.open == nullptr);
              CHILD_CHECK(!this_thread.in_segment_lock);
              open_transaction later;
              abandon_open_transactions();
              CHILD_CHECK(!later.is_inert);
          }) == 0);
}

TEST_CASE("what a thread has open is its own") {
    open_transaction here;
    this_thread.open = &here;
    std::thread([] {
        CHECK(this_thread.open == nullptr);
        CHECK_FALSE(this_thread.in_segment_lock);
    }).join();
    CHECK(this_thread.open == &here);
    this_thread.open = nullptr;
}

}  // namespace thread_state_test

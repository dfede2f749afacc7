// refusals_test.cpp - what cannot be safe is refused (DESIGN.md 8): each time, for every way in, with what to do instead,
// and nothing is changed or leaked by it.
//
// SPDX-License-Identifier: BSL-1.0
#include <csignal>
#include <functional>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include <linux/futex.h>
#include <sched.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <doctest/doctest.h>

#include "support/opened.hpp"
#include "support/scratch.hpp"
#include <cairn/cairn.hpp>

namespace refusals_test {

using namespace cairn_test;
using namespace cairn::literals;

namespace {

constexpr cairn::segment_options small = {.max_size = 4_MiB, .initial_size = 256_KiB};

using ways = std::vector<std::function<void()>>;

// Whatever writes to a segment that this process has, by object and by manager.
ways uses_of(const cairn::manager& m, const cairn::list<long>& l) {
    return {
        [=] { l.push_back(9); },
        [=] {
            l.extend(std::vector<long>{9, 9});
        },
        [=] { l.insert(0, 9); },
        [=] { static_cast<void>(l.pop()); },
        [=] { l.set(0, 9); },
        [=] { l.update(0, [](long& value) { value = 9; }); },
        [=] { l.erase(0); },
        [=] { l.sort(); },
        [=] { l.reverse(); },
        [=] { l.clear(); },
        [=] { static_cast<void>(m.list<long>("new")); },
        [=] { static_cast<void>(m.list<long>()); },
        [=] { m.remove("l"); },
    };
}

// Whatever attaches for writing.
ways attachments_to(const std::string& name) {
    return {
        [=] { static_cast<void>(cairn::manager::open(name)); },
        [=] { static_cast<void>(cairn::manager::open_or_create(name, small)); },
    };
}

// Each way throws refused with all the words; returns the first one that does not, and what it did.
std::string first_not_refused(const ways& all, const std::vector<std::string>& words) {
    for (std::size_t i = 0; i < all.size(); ++i) {
        const std::string text = thrown_by<cairn::refused>(all[i]);
        if (text.empty()) return "way " + std::to_string(i) + " was not refused";
        for (const std::string& word : words)
            if (!contains(text, word)) return "way " + std::to_string(i) + ": " + text;
    }
    return {};
}

bool is_empty(const std::string& problem) {
    if (!problem.empty()) std::fprintf(stderr, "%s\n", problem.c_str());
    return problem.empty();
}

// As before, and good for more.
void check_unharmed(const cairn::manager& m, const cairn::list<long>& l) {
    CHECK(l == std::vector<long>{1, 2, 3});
    CHECK(broken_invariant(l) == "");
    CHECK(m.objects().size() == 1);
    CHECK(m.stats().process_count == 1);
    l.push_back(4);
    CHECK(l.pop() == 4);
}

// What another library does that brings robust mutexes of its own. The head outlives the thread: the kernel reads it last.
void hijack_robust_list() {
    static robust_list_head own = {{&own.list}, 0, nullptr};
    REQUIRE(::syscall(SYS_set_robust_list, &own, sizeof own) == 0);
}

// Runs `body` in a child that the C library has not been told of; returns how it ended.
int in_raw_clone(const std::function<void()>& body) {
    std::fflush(nullptr);
    const long pid = ::syscall(SYS_clone, SIGCHLD, nullptr, nullptr, nullptr, nullptr);
    REQUIRE(pid >= 0);
    if (pid == 0) {
        for (const int signal : {SIGTERM, SIGINT, SIGSEGV, SIGABRT}) std::signal(signal, SIG_DFL);
        ::alarm(child::watchdog_seconds);
        body();
        ::_exit(0);
    }
    int status = 0;
    REQUIRE(::waitpid(static_cast<pid_t>(pid), &status, 0) == pid);
    return WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status);
}

const std::vector<std::string> hijacked_words = {"refused", "set_robust_list", "use another thread"};
const std::vector<std::string> clone_words = {"refused", "raw clone()", "use fork() or cairn::process"};

}  // namespace

TEST_CASE("attaching for writing from another pid namespace is refused, reading is not, and nothing is left "
          "of it") {
    const scratch_name name;
    constexpr int not_allowed = 77;
    const gate made;
    // Inherits nothing: the segment comes after the fork.
    child outsider([&] {
        if (::unshare(CLONE_NEWPID) != 0 && ::unshare(CLONE_NEWUSER | CLONE_NEWPID) != 0)
            ::_exit(not_allowed);
        made.wait();
        CHILD_CHECK(in_child([&] {
                        CHILD_CHECK(::getpid() == 1);
                        const std::vector<std::string> words = {"segment '" + name.get() + "'", "refused",
                                                                "pid namespace", "read-only"};
                        const footprint before = take_footprint();
                        ways all = attachments_to(name);
                        all.emplace_back([&] { static_cast<void>(cairn::manager::create(name, small)); });
                        CHILD_CHECK(is_empty(first_not_refused(all, words)));
                        CHILD_CHECK(take_footprint() == before);
                        const auto reader = cairn::manager::open(name, cairn::open_mode::read_only);
                        CHILD_CHECK(reader.list<long>("l") == (std::vector<long>{1, 2, 3}));
                        // Segments of its own namespace are as good as ever.
                        const scratch_name own;
                        const auto m = cairn::manager::create(own, small);
                        m.list<long>("l").push_back(1);
                        CHILD_CHECK(m.list<long>("l").size() == 1);
                    }) == 0);
    });
    const auto m = cairn::manager::create(name, small);
    const auto l = m.list<long>("l", {1, 2, 3});
    made.open();
    const int result = outsider.join();
    if (result == not_allowed) {
        MESSAGE("skipped: no new pid namespaces for this user");
        return;
    }
    CHECK(result == 0);
    CHECK(name.exists());
    check_unharmed(m, l);
}

TEST_CASE("a segment of a pid namespace that has gone is refused for writing, and stays") {
    const scratch_name name;
    constexpr int not_allowed = 77;
    const int result = in_child([&] {
        if (::unshare(CLONE_NEWPID) != 0 && ::unshare(CLONE_NEWUSER | CLONE_NEWPID) != 0)
            ::_exit(not_allowed);
        CHILD_CHECK(in_child([&] {
                        const auto m = cairn::manager::create(
                            name, {.max_size = 4_MiB, .initial_size = 256_KiB, .persist = true});
                        static_cast<void>(m.list<long>("l", {1, 2, 3}));
                        ::kill(::getpid(), SIGKILL);
                        ::_exit(0);  // the first process of a namespace does not hear its own signals
                    }) == 0);
    });
    if (result == not_allowed) {
        MESSAGE("skipped: no new pid namespaces for this user");
        return;
    }
    REQUIRE(result == 0);
    const footprint before = take_footprint();
    CHECK(first_not_refused(attachments_to(name), {"segment '" + name.get() + "'", "pid namespace"}) == "");
    CHECK(take_footprint() == before);
    CHECK(name.exists());
    const auto reader = cairn::manager::open(name, cairn::open_mode::read_only);
    CHECK(reader.list<long>("l") == std::vector<long>{1, 2, 3});
}

TEST_CASE("a thread with another library's robust list is refused every use, and nothing is changed") {
    const scratch_name name;
    const auto m = cairn::manager::create(name, small);
    const auto l = m.list<long>("l", {1, 2, 3});
    const footprint before = take_footprint();
    std::thread([&] {
        hijack_robust_list();
        CHECK(first_not_refused(uses_of(m, l), hijacked_words) == "");
        CHECK(first_not_refused(uses_of(m, l), hijacked_words) == "");  // each time
    }).join();
    CHECK(take_footprint() == before);
    check_unharmed(m, l);
    std::thread([&] { l.push_back(4); }).join();
    CHECK(l.size() == 4);
}

TEST_CASE("a thread with another library's robust list neither makes nor opens a segment, and leaves nothing "
          "of it") {
    const scratch_name name;
    const scratch_name never;
    child keeper([&] {
        const auto m =
            cairn::manager::create(name, {.max_size = 4_MiB, .initial_size = 256_KiB, .persist = true});
        static_cast<void>(m.list<long>("l", {1, 2, 3}));
    });
    REQUIRE(keeper.join() == 0);
    const footprint before = take_footprint();
    std::thread([&] {
        hijack_robust_list();
        ways all = attachments_to(name);
        all.emplace_back([&] { static_cast<void>(cairn::manager::create(never, small)); });
        all.emplace_back([&] { static_cast<void>(cairn::manager::open_or_create(never, small)); });
        all.emplace_back([&] { const cairn::manager anonymous(small); });
        CHECK(first_not_refused(all, hijacked_words) == "");
        // Who only reads holds no lock.
        const auto reader = cairn::manager::open(name, cairn::open_mode::read_only);
        CHECK(reader.list<long>("l") == std::vector<long>{1, 2, 3});
    }).join();
    CHECK(take_footprint() == before);
    CHECK_FALSE(never.exists());
    const auto m = cairn::manager::open(name);
    check_unharmed(m, m.list<long>("l"));
    m.unlink();
}

TEST_CASE("a manager whose last copy goes in a thread with another library's robust list goes quietly") {
    const scratch_name name;
    std::optional<cairn::manager> m(cairn::manager::create(name, small));
    static_cast<void>(m->list<long>("l", {1, 2, 3}));
    std::thread([&] {
        hijack_robust_list();
        m.reset();
    }).join();
    // Whether the name went or not, the next one finds nobody alive and starts anew.
    const auto again = cairn::manager::create(name, small);
    CHECK(again.list<long>("l").empty());
}

TEST_CASE("a child of a raw clone is refused every use, and nothing is changed") {
    const scratch_name name;
    const auto m = cairn::manager::create(name, small);
    const auto l = m.list<long>("l", {1, 2, 3});
    CHECK(in_raw_clone([&] {
              const footprint before = take_footprint();
              CHILD_CHECK(is_empty(first_not_refused(uses_of(m, l), clone_words)));
              CHILD_CHECK(is_empty(first_not_refused(uses_of(m, l), clone_words)));
              CHILD_CHECK(take_footprint() == before);
          }) == 0);
    check_unharmed(m, l);
}

TEST_CASE("a child of a raw clone neither makes nor opens a segment, and takes no name with it") {
    const scratch_name name;
    const scratch_name never;
    const auto m = cairn::manager::create(name, small);
    const auto l = m.list<long>("l", {1, 2, 3});
    CHECK(in_raw_clone([&] {
              const footprint before = take_footprint();
              ways all;
              all.emplace_back([&] { static_cast<void>(cairn::manager::create(never, small)); });
              all.emplace_back([&] { static_cast<void>(cairn::manager::open_or_create(never, small)); });
              all.emplace_back([&] { const cairn::manager anonymous(small); });
              CHILD_CHECK(is_empty(first_not_refused(all, clone_words)));
              CHILD_CHECK(take_footprint() == before);
          }) == 0);
    CHECK_FALSE(never.exists());
    CHECK(name.exists());
    check_unharmed(m, l);
}

TEST_CASE("a child of a raw clone that lets go of what it inherited leaves it to its parent") {
    const scratch_name name;
    std::optional<cairn::manager> m(cairn::manager::create(name, small));
    {
        const auto l = m->list<long>("l", {1, 2, 3});
        CHECK(in_raw_clone([&] { m.reset(); }) == 0);
        CHECK(name.exists());
        check_unharmed(*m, l);
    }
    m.reset();
    CHECK_FALSE(name.exists());
}

}  // namespace refusals_test

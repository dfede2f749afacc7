// farewell_test.cpp - how processes end, and who they were: what others find depends on neither exit handlers, nor reused thread
// ids, nor descriptors, nor on who looks.
//
// SPDX-License-Identifier: BSL-1.0
#include <algorithm>
#include <array>
#include <atomic>
#include <chrono>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <functional>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include <fcntl.h>
#include <linux/sched.h>
#include <sched.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <doctest/doctest.h>

#include "os/fork_count.hpp"
#include "support/scratch.hpp"
#include <cairn/cairn.hpp>

namespace farewell_test {

using namespace cairn_test;
using namespace std::chrono_literals;

namespace {

constexpr auto watchdog = 20s;
constexpr int not_allowed = 77;

// Some bytes that are put and got without an allocation: exit() in a handler that has interrupted one may hang in the allocator.
struct block {
    std::array<char, 300> bytes{};
};

// As a program has them that uses one segment: destroyed by exit().
std::optional<cairn::manager> the_manager;
std::optional<cairn::queue<block>> the_queue;

void exit_in_handler(int) {
    std::exit(0);  // NOLINT(concurrency-mt-unsafe): what programs do
}

// Ended, and not reaped.
void wait_until_zombie(pid_t pid) {
    siginfo_t info = {};
    REQUIRE(::waitid(P_PID, static_cast<id_t>(pid), &info, WEXITED | WNOWAIT) == 0);
}

// A process of that id, if the system lets us choose.
pid_t fork_with_id(pid_t wanted) {
    clone_args arguments = {};
    arguments.exit_signal = SIGCHLD;
    arguments.set_tid = reinterpret_cast<std::uint64_t>(&wanted);
    arguments.set_tid_size = 1;
    return static_cast<pid_t>(::syscall(SYS_clone3, &arguments, sizeof arguments));
}

}  // namespace

TEST_CASE("a process whose handler calls exit in the middle of an operation holds nobody up, reaped or not") {
    const scratch_name name;
    const int rounds = static_cast<int>(scaled(20));
    for (int i = 0; i < rounds; ++i) {
        const gate made;
        // Inherits nothing: its handles are the only ones of its process, and exit() destroys them.
        child worker([&] {
            CHILD_CHECK(made.wait());
            the_manager = cairn::manager::open(name.get());
            the_queue = the_manager->queue<block>("q");
            std::signal(SIGTERM, exit_in_handler);
            the_queue->put(block{});
            for (;;) {
                the_queue->put(block{});
                static_cast<void>(the_queue->try_get());
            }
        });
        const auto m = cairn::manager::create(name.get());
        const auto q = m.queue<block>("q");
        made.open();
        while (q.empty()) std::this_thread::sleep_for(1ms);
        std::this_thread::sleep_for(std::chrono::microseconds(3000 + 137 * i));
        ::kill(worker.pid(), SIGTERM);
        wait_until_zombie(worker.pid());
        CHECK(q.put_for(block{}, watchdog));
        CHECK(q.get_for(watchdog).has_value());
        CHECK(worker.join() == 0);
    }
}

TEST_CASE("a thread that calls exec inside a callback holds nobody up, also when somebody else gets its id") {
    const cairn::manager m;
    const auto l = m.list<long>("l", {1, 2});
    const auto thread_id = m.queue<long>("id");
    const child execs([&] {
        std::thread inside([&] {
            thread_id.put(static_cast<long>(::syscall(SYS_gettid)));
            l.transaction([&](auto& tx) {
                tx.append(9);
                ::execl("/bin/sleep", "sleep", "60", nullptr);
            });
        });
        inside.join();
    });
    const auto id = thread_id.get_for(watchdog);
    REQUIRE(id.has_value());
    // Until it is another program: its thread has no id of its own any more.
    const auto deadline = std::chrono::steady_clock::now() + watchdog;
    while (::syscall(SYS_tgkill, execs.pid(), *id, 0) == 0 && std::chrono::steady_clock::now() < deadline)
        std::this_thread::sleep_for(1ms);
    const pid_t innocent = fork_with_id(static_cast<pid_t>(*id));
    if (innocent == 0) {
        for (;;) ::pause();
    }
    const child squatter(innocent);
    if (innocent < 0) MESSAGE("ids cannot be chosen here: without an innocent process");
    std::atomic<bool> is_done = false;
    const auto begin = std::chrono::steady_clock::now();
    std::jthread writer([&] {
        l.append(3);
        is_done = true;
    });
    while (!is_done && std::chrono::steady_clock::now() - begin < watchdog) std::this_thread::sleep_for(1ms);
    CHECK(is_done);
    if (!is_done) squatter.kill();
    writer.join();
    CHECK(l == std::vector<long>{1, 2, 3});
}

TEST_CASE("a process of another time namespace is refused, and takes nobody for dead") {
    const scratch_name name;
    const gate made;
    // Inherits nothing, and looks from another time namespace.
    child outsider([&] {
        if (::unshare(CLONE_NEWTIME) != 0) ::_exit(not_allowed);
        const int offsets = ::open("/proc/self/timens_offsets", O_WRONLY | O_CLOEXEC);
        if (offsets < 0 || ::write(offsets, "boottime 86400 0\n", 17) != 17) ::_exit(not_allowed);
        ::close(offsets);
        CHILD_CHECK(made.wait());
        CHILD_CHECK(in_child([&] {
                        const std::string text = thrown_by<cairn::refused>(
                            [&] { static_cast<void>(cairn::manager::open(name.get())); });
                        CHILD_CHECK(contains(text, "time namespace"));
                        CHILD_CHECK(!thrown_by<cairn::error>([&] {
                                         static_cast<void>(cairn::manager::create(name.get()));
                                     }).empty());
                        const auto reader = cairn::manager::open(name.get(), cairn::open_mode::read_only);
                        CHILD_CHECK(reader.find<cairn::queue<long>>("q")->size() == 1);
                    }) == 0);
    });
    const auto m = cairn::manager::open_or_create(name.get());
    const auto q = m.queue<long>("q");
    q.put(1);
    q.put(2);
    const auto lease = q.lease();
    made.open();
    const int code = outsider.join();
    if (code == not_allowed) {
        MESSAGE("time namespaces cannot be made here");
        return;
    }
    CHECK(code == 0);
    // Has the segment, and goes there.
    const child heir([&] {
        if (::unshare(CLONE_NEWTIME) != 0) ::_exit(not_allowed);
        const int offsets = ::open("/proc/self/timens_offsets", O_WRONLY | O_CLOEXEC);
        CHILD_CHECK(::write(offsets, "boottime 86400 0\n", 17) == 17);
        ::close(offsets);
        CHILD_CHECK(in_child([&] {
                        CHILD_CHECK(contains(thrown_by<cairn::refused>([&] { q.put(3); }), "time namespace"));
                        CHILD_CHECK(q.leased() == 1);
                    }) == 0);
    });
    CHECK(const_cast<child&>(heir).join() == 0);
    CHECK(name.exists());
    CHECK(q.leased() == 1);
    CHECK(q.size() == 1);
}

TEST_CASE("a raw clone that lets go of its handles does so for itself only") {
    const scratch_name name;
    std::optional<cairn::manager> m(cairn::manager::create(name.get()));
    std::fflush(nullptr);
    const long pid = ::syscall(SYS_clone, SIGCHLD, nullptr, nullptr, nullptr, nullptr);
    REQUIRE(pid >= 0);
    if (pid == 0) {
        m.reset();
        std::exit(0);  // NOLINT(concurrency-mt-unsafe): handlers and static objects, too
    }
    child raw(static_cast<pid_t>(pid));
    CHECK(raw.join() == 0);
    CHECK(m->stats().process_count == 1);
    CHECK(name.exists());
    m->list<long>("l").append(1);
    CHECK(in_child([&] {
              CHILD_CHECK(contains(thrown_by<cairn::segment_exists>(
                                       [&] { static_cast<void>(cairn::manager::create(name.get())); }),
                                   "attached"));
          }) == 0);
}

TEST_CASE("descriptors that the program has closed and used again are its own") {
    CHECK(in_child([] {
              int log = -1;
              {
                  const cairn::manager m;
                  for (int fd = 3; fd < 64; ++fd) ::close(fd);
                  log = ::open("/dev/null", O_WRONLY | O_CLOEXEC);
              }
              CHILD_CHECK(::write(log, "x", 1) == 1);
          }) == 0);
}

TEST_CASE("a segment is never stdin, stdout or stderr") {
    const scratch_name name;
    CHECK(in_child([&] {
              for (int fd = 0; fd < 3; ++fd) ::close(fd);
              const auto m = cairn::manager::create(name.get());
              const auto l = m.list<long>("l", {1});
              cairn::process p([] {});
              for (int fd = 0; fd < 3; ++fd) static_cast<void>(!::write(fd, "a message\n", 10));
              if (::fcntl(0, F_GETFD) >= 0 || ::fcntl(1, F_GETFD) >= 0 || ::fcntl(2, F_GETFD) >= 0)
                  ::_exit(3);
              if (in_child([&] { CHILD_CHECK(cairn::manager::open(name.get()).objects().size() == 1); }) != 0)
                  ::_exit(4);
              p.join();
          }) == 0);
}

TEST_CASE("a segment can be made after the first thread has ended") {
    const scratch_name name;
    child headless([&] {
        // NOLINTNEXTLINE(bugprone-unused-raii): detached
        std::thread([&] {
            std::this_thread::sleep_for(100ms);
            int code = 1;
            try {
                {
                    const auto m = cairn::manager::create(name.get());
                    m.list<long>("l").append(1);
                    code = m.stats().process_count == 1 ? 0 : 2;
                }
                const auto q = cairn::manager().queue<long>();
                q.put(1);
                if (q.lease().get() != 1) code = 3;
            } catch (const cairn::error& e) {
                std::fprintf(stderr, "%s\n", e.what());
            }
            ::_exit(code);
        }).detach();
        ::syscall(SYS_exit, 0);
    });
    CHECK(headless.join() == 0);
}

TEST_CASE("exit takes the name along, wherever the manager is") {
    const scratch_name name;
    const auto end_by_exit = [&](const char* what, const std::function<void()>& make, int code) {
        INFO(std::string(what));
        child c([&] {
            make();
            std::exit(code);  // NOLINT(concurrency-mt-unsafe): the point
        });
        CHECK(c.join() == code);
        CHECK_FALSE(name.exists());
    };
    // NOLINTBEGIN(concurrency-mt-unsafe)
    end_by_exit(
        "created on the stack",
        [&] {
            const auto m = cairn::manager::create(name.get());
            m.list<long>("l").append(1);
            std::exit(0);
        },
        0);
    end_by_exit(
        "opened or created on the stack",
        [&] {
            const auto m = cairn::manager::open_or_create(name.get());
            std::exit(1);
        },
        1);
    // NOLINTEND(concurrency-mt-unsafe)
    end_by_exit(
        "static", [&] { the_manager = cairn::manager::create(name.get()); }, 0);
    end_by_exit(
        "static, opened or created", [&] { the_manager = cairn::manager::open_or_create(name.get()); }, 0);
}

TEST_CASE("the last process takes the name along, a forked child that calls exit or a process as well") {
    const scratch_name name;
    {
        std::optional<child> last;
        const gate may_end;
        {
            const auto m = cairn::manager::open_or_create(name.get());
            m.list<long>("l").append(1);
            last.emplace([&] {
                CHILD_CHECK(may_end.wait());
                std::exit(0);  // NOLINT(concurrency-mt-unsafe)
            });
        }
        CHECK(name.exists());
        may_end.open();
        CHECK(last->join() == 0);
        CHECK_FALSE(name.exists());
    }
    {
        std::optional<cairn::process> last;
        const gate may_end;
        {
            const auto m = cairn::manager::open_or_create(name.get());
            last.emplace([&] { static_cast<void>(may_end.wait()); });
        }
        CHECK(name.exists());
        may_end.open();
        last->join();
        CHECK_FALSE(name.exists());
    }
}

TEST_CASE(
    "a name that was left to a forked child goes when that has ended by _exit and its parent looks again") {
    const scratch_name name;
    const scratch_name other;
    // Made, filled and left, while a child has it that ends by _exit. Then `look` is called. False: not as it must be before that.
    const auto leave_to_child = [&](const std::function<void()>& look) {
        std::optional<child> last;
        const gate may_end;
        {
            const auto m = cairn::manager::open_or_create(name.get());
            m.list<long>("l").append(1);
            last.emplace([&] { CHILD_CHECK(may_end.wait()); });
        }
        look();
        const bool stays_while_used = name.exists();
        may_end.open();
        const bool has_ended = last->join() == 0;
        const bool stays_unseen = name.exists();  // the system does nothing
        look();
        return stays_while_used && has_ended && stays_unseen;
    };
    SUBCASE("for a segment of that name") {
        CHECK(leave_to_child([&] {
            try {
                static_cast<void>(cairn::locate_segment(name.get()));
            } catch (const cairn::no_such_segment&) {
                // As the check says that follows.
            }
        }));
        CHECK_FALSE(name.exists());
        CHECK_THROWS_AS(cairn::manager::open(name.get()), cairn::no_such_segment);
    }
    SUBCASE("for all segments") {
        CHECK(leave_to_child([] { static_cast<void>(cairn::find_segments(false)); }));
        CHECK_FALSE(name.exists());
    }
    SUBCASE("when it makes another segment") {
        CHECK(leave_to_child([&] { const auto m = cairn::manager::create(other.get()); }));
        CHECK_FALSE(name.exists());
    }
    SUBCASE("when it makes an anonymous segment") {
        CHECK(leave_to_child([] { const cairn::manager m; }));
        CHECK_FALSE(name.exists());
    }
    SUBCASE("when it calls exit") {
        child parent([&] {
            CHILD_CHECK(leave_to_child([] {}));
            std::exit(0);  // NOLINT(concurrency-mt-unsafe)
        });
        CHECK(parent.join() == 0);
        CHECK_FALSE(name.exists());
    }
    SUBCASE("of more segments, one after the other, than are remembered at a time") {
        for (int i = 0; i < 40; ++i) {
            CHECK(leave_to_child([] { static_cast<void>(cairn::find_segments(false)); }));
            CHECK_FALSE(name.exists());
        }
    }
}

TEST_CASE("a name that was left to a forked child goes also where a fork has failed meanwhile, from which "
          "nobody arrives") {
    const scratch_name name;
    child parent([&] {
        std::optional<child> last;
        const gate may_end;
        {
            const auto m = cairn::manager::open_or_create(name.get());
            last.emplace([&] { CHILD_CHECK(may_end.wait()); });
        }
        may_end.open();
        CHILD_CHECK(last->join() == 0);
        cairn::detail::os::count_fork();
        static_cast<void>(cairn::find_segments(false));
        CHILD_CHECK(!name.exists());
    });
    CHECK(parent.join() == 0);
}

TEST_CASE(
    "a name that was left to a forked child stays while anybody has it, and when it is another segment's") {
    const scratch_name name;
    const gate may_end;
    const gate has_opened;
    std::optional<child> forked;
    {
        const auto m = cairn::manager::open_or_create(name.get());
        forked.emplace([&] { CHILD_CHECK(may_end.wait()); });
    }
    SUBCASE("somebody else") {
        const child stranger([&] {
            const auto m = cairn::manager::open(name.get());
            m.list<long>("l").append(7);
            has_opened.open();
            for (;;) ::pause();
        });
        REQUIRE(has_opened.wait());
        may_end.open();
        CHECK(forked->join() == 0);
        static_cast<void>(cairn::find_segments(false));
        CHECK(name.exists());
        {
            const auto m = cairn::manager::open(name.get());
            CHECK(m.list<long>("l") == std::vector<long>{7});
        }
        CHECK(name.exists());
        stranger.kill();
        wait_until_zombie(stranger.pid());
        static_cast<void>(cairn::find_segments(false));
        CHECK_FALSE(name.exists());
    }
    SUBCASE("another segment") {
        may_end.open();
        CHECK(forked->join() == 0);
        // By another process, which is killed: what the dead have left is not of those that were left to a child.
        child maker([&] {
            const auto m = cairn::manager::open_or_create(name.get());
            m.list<long>("l").append(8);
            ::kill(::getpid(), SIGKILL);
        });
        CHECK(maker.join() == -SIGKILL);
        static_cast<void>(cairn::find_segments(false));
        CHECK(name.exists());
        const auto m = cairn::manager::open(name.get());
        CHECK(m.list<long>("l") == std::vector<long>{8});
    }
}

TEST_CASE("what a stranger leaves that is killed stays for the next that opens it") {
    const scratch_name name;
    const gate has_made;
    const child stranger([&] {
        const auto m = cairn::manager::create(name.get());
        m.list<long>("l").append(9);
        has_made.open();
        for (;;) ::pause();
    });
    REQUIRE(has_made.wait());
    child visitor([&] {
        CHILD_CHECK(in_child([] {}) == 0);  // has forked
        { const auto m = cairn::manager::open(name.get()); }
        ::kill(stranger.pid(), SIGKILL);
        const auto is_there = [](const cairn::participant_facts& each) {
            return each.state != cairn::presence::dead;
        };
        for (;;) {
            const auto those = cairn::inspection(name.get()).participants();
            if (std::none_of(those.begin(), those.end(), is_there)) break;
            std::this_thread::sleep_for(1ms);
        }
        static_cast<void>(cairn::find_segments(false));
        const auto m = cairn::manager::open(name.get());
        CHILD_CHECK(m.list<long>("l") == std::vector<long>{9});
    });
    CHECK(visitor.join() == 0);
}

TEST_CASE("a child that was killed before its first instruction, and a fork that failed, cost no second") {
    const scratch_name name;
    std::vector<double> took;
    for (int i = 0; i < 20; ++i) {
        std::optional<cairn::manager> m(cairn::manager::open_or_create(name.get()));
        {
            cairn::process p([] {});
            p.kill();
        }
        const auto begin = std::chrono::steady_clock::now();
        m.reset();
        took.push_back(
            std::chrono::duration<double, std::milli>(std::chrono::steady_clock::now() - begin).count());
        CHECK_FALSE(name.exists());
    }
    std::sort(took.begin(), took.end());
    MESSAGE("the end of the last manager after such a child, in ms: median " << took[10] << ", longest "
                                                                             << took.back());
    // One that is waited for takes a second each time, if it was killed early enough.
    CHECK(took[10] < 500);
}

}  // namespace farewell_test

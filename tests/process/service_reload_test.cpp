// service_reload_test.cpp - services are reloaded; systemd is told.
// SPDX-License-Identifier: BSL-1.0
#include <algorithm>
#include <atomic>
#include <chrono>
#include <csignal>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <ctime>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <doctest/doctest.h>

#include "support/managed.hpp"
#include "support/scratch_directory.hpp"
#include <cairn/cairn.hpp>

namespace service_reload_test {

using namespace cairn_test;
using namespace std::chrono_literals;

namespace {

// Without a reload() of its own: it is replaced.
struct replaced : cairn::service {
    static constexpr auto name = "replaced";
    replaced() { say("up " + std::to_string(worker_id()) + " " + std::to_string(pid())); }
    void terminate() override { say("down " + std::to_string(worker_id()) + " " + std::to_string(pid())); }
};

struct in_place : cairn::service {
    static constexpr auto name = "in_place";
    in_place() { say("made in place"); }
    void reload() override { say("reload " + std::to_string(worker_id()) + " " + std::to_string(pid())); }
};

struct slow_reload : cairn::service {
    static constexpr auto name = "slow";
    void run() override { say("runs"); }
    void reload() override {
        say("reload begins");
        if (is_in_.exchange(true)) say("two at a time");
        std::this_thread::sleep_for(1s);
        is_in_ = false;
        say("reload ends");
    }
    std::atomic<bool> is_in_{false};
};

struct throws_in_reload : cairn::service {
    static constexpr auto name = "throws";
    void reload() override { throw std::runtime_error("bad configuration"); }
};

// The first comes up, later ones do not: as with a configuration that has become wrong.
struct comes_up_once : cairn::service {
    static constexpr auto name = "once";
    static constexpr bool says_ready = true;
    comes_up_once(const cairn::list<long>& starts, bool throws) : starts_(starts), throws_(throws) {}
    void run() override {
        starts_.push_back(pid());
        if (starts_.size() == 1) {
            ready();
            say("first is up");
            return;
        }
        say("another one starts");
        if (throws_) throw std::runtime_error("bad configuration");
    }
    cairn::list<long> starts_;
    bool throws_;
};

// What systemd would get.
class notify_socket {
public:
    explicit notify_socket(const std::string& path)
        : fd_(::socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0)) {
        sockaddr_un address{};
        address.sun_family = AF_UNIX;
        std::memcpy(address.sun_path, path.data(), path.size());
        if (path.front() == '@') address.sun_path[0] = '\0';
        const auto bytes = static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + path.size());
        REQUIRE(::bind(fd_, reinterpret_cast<const sockaddr*>(&address), bytes) == 0);
    }
    notify_socket(const notify_socket&) = delete;
    notify_socket& operator=(const notify_socket&) = delete;
    ~notify_socket() { ::close(fd_); }

    // All messages so far, one behind the other, with | between them.
    const std::string& messages() {
        char text[1024];
        for (ssize_t got = 0; (got = ::recv(fd_, text, sizeof text, 0)) > 0;)
            all_ += std::string(text, static_cast<std::size_t>(got)) + "|";
        return all_;
    }
    [[nodiscard]] int count(const std::string& text) {
        int found = 0;
        const std::string& all = messages();
        for (std::size_t at = all.find(text); at != std::string::npos; at = all.find(text, at + 1)) ++found;
        return found;
    }

private:
    int fd_;
    std::string all_;
};

std::string without_time(std::string text) {
    const std::string key = "MONOTONIC_USEC=";
    for (std::size_t at = text.find(key); at != std::string::npos; at = text.find(key, at)) {
        const std::size_t end = text.find('|', at);
        text.erase(at - 1, end - at + 1);
    }
    return text;
}

std::uint64_t number_after(const std::string& text, const std::string& key) {
    const std::size_t at = text.find(key);
    return at == std::string::npos ? 0 : std::strtoull(text.c_str() + at + key.size(), nullptr, 10);
}

// What CLOCK_MONOTONIC says, which is systemd's.
std::uint64_t monotonic_usec() {
    timespec now{};
    ::clock_gettime(CLOCK_MONOTONIC, &now);
    return static_cast<std::uint64_t>(now.tv_sec) * 1'000'000 +
           static_cast<std::uint64_t>(now.tv_nsec) / 1'000;
}

int with_systemd(const std::string& socket, const std::function<int()>& body, long watchdog_usec = 0) {
    ::setenv("NOTIFY_SOCKET", socket.c_str(), 1);
    if (watchdog_usec != 0) {
        ::setenv("WATCHDOG_USEC", std::to_string(watchdog_usec).c_str(), 1);
        ::setenv("WATCHDOG_PID", std::to_string(::getpid()).c_str(), 1);
    }
    return body();
}

}  // namespace

TEST_CASE("SIGHUP to the manager replaces workers without a reload(): the new one is up before the old one "
          "is told") {
    managed m([](cairn::service_manager& sm) {
        sm.add<replaced>(2);
        sm.register_hooks({.on_reload = [] { say("on_reload"); }});
    });
    CHECK(m.says("up ", 2));
    const pid_t first = m.worker("replaced", 0);
    const pid_t second = m.worker("replaced", 1);
    m.signal(SIGHUP);
    CHECK(m.says("down 0 " + std::to_string(first)));
    CHECK(m.says("down 1 " + std::to_string(second)));
    CHECK(m.worker("replaced", 0, first) != 0);
    CHECK(m.worker("replaced", 1, second) != 0);
    const std::string& all = m.output();
    CHECK(all.find("on_reload") < all.find("down"));
    // One at a time, each behind its replacement.
    CHECK(m.count("up 0") == 2);
    CHECK(all.rfind("up 0") < all.find("down 0"));
    CHECK(all.find("down 0") < all.rfind("up 1"));
    CHECK(all.rfind("up 1") < all.find("down 1"));
    CHECK(m.end() == 0);
    CHECK(m.count("up ") == 4);
    CHECK(m.count("down ") == 4);
}

TEST_CASE("a service with a reload() of its own keeps its process") {
    managed m([](cairn::service_manager& sm) { sm.add<in_place>(2); });
    CHECK(m.says("made in place", 2));
    const pid_t first = m.worker("in_place", 0);
    const pid_t second = m.worker("in_place", 1);
    for (int round = 1; round <= 3; ++round) {
        m.signal(SIGHUP);
        CHECK(m.says("reload 0 " + std::to_string(first), round));
        CHECK(m.says("reload 1 " + std::to_string(second), round));
    }
    CHECK(m.worker("in_place", 0) == first);
    CHECK(m.end() == 0);
    CHECK(m.count("made in place") == 2);
    CHECK(m.count("reload ") == 6);
}

TEST_CASE("SIGHUP to a worker reloads that one: in place, or by another one") {
    managed m([](cairn::service_manager& sm) {
        sm.add<in_place>(2);
        sm.add<replaced>(2);
    });
    CHECK(m.says("made in place", 2));
    CHECK(m.says("up ", 2));
    const pid_t kept = m.worker("in_place", 1);
    const pid_t gone = m.worker("replaced", 1);
    send(kept, SIGHUP);
    CHECK(m.says("reload 1 " + std::to_string(kept)));
    send(gone, SIGHUP);
    CHECK(m.says("down 1 " + std::to_string(gone)));
    CHECK(m.worker("replaced", 1, gone) != 0);
    CHECK(m.end() == 0);
    CHECK(m.count("reload ") == 1);
    CHECK(m.count("up 0") == 1);
    CHECK(m.count("up 1") == 2);
}

TEST_CASE(
    "SIGHUP to a worker right after its fork is not lost: it reloads once, and ends with 0 when it is told "
    "to (gunicorn#1910, #3312)") {
    managed m([](cairn::service_manager& sm) {
        sm.add<in_place>({.backoff = {1ms, 1ms}});
        sm.register_hooks({.on_dead_worker = [](cairn::service_id, int, int code) {
            say("dead " + std::to_string(code) + ".");
        }});
    });
    pid_t nursery = 0;
    REQUIRE(m.comes_true([&] { return (nursery = find_descendant(m.pid(), "cairn-nursery")) != 0; }));
    constexpr int rounds = 8;
    std::vector<pid_t> told;
    while (told.size() < rounds) {
        pid_t newborn = 0;
        REQUIRE(m.comes_true([&] {
            for (const pid_t each : children_of(nursery))
                if (is_running(each) && std::find(told.begin(), told.end(), each) == told.end())
                    newborn = each;
            return newborn != 0;
        }));
        send(newborn, SIGHUP);
        told.push_back(newborn);
        CHECK(m.says("reload 0 " + std::to_string(newborn) + "\n"));
        send(newborn, SIGTERM);
        CHECK(m.says("dead 0.", static_cast<int>(told.size())));
    }
    CHECK(m.end() == 0);
    CHECK(m.count("reload ") == rounds);
    CHECK(m.count("dead -") == 0);
}

TEST_CASE("SIGHUP to all processes, as systemctl kill sends it, reloads each worker once, and ends nobody "
          "(gitmoot#1438)") {
    managed m([](cairn::service_manager& sm) {
        sm.add<in_place>(2);
        sm.add<replaced>(1);
    });
    CHECK(m.says("made in place", 2));
    CHECK(m.says("up "));
    std::vector<pid_t> all = m.everybody();
    const pid_t kept = m.worker("in_place", 0);
    const pid_t gone = m.worker("replaced", 0);
    // Stopped meanwhile, so that they come together on the slowest machine, too.
    all.push_back(m.pid());
    for (const pid_t each : all) send(each, SIGSTOP);
    for (const pid_t each : all) send(each, SIGHUP);
    for (const pid_t each : all) send(each, SIGCONT);
    CHECK(m.says("reload 0"));
    CHECK(m.says("reload 1"));
    CHECK(m.says("down 0 " + std::to_string(gone)));
    std::this_thread::sleep_for(300ms);  // a second one would come in that time, as a rule
    CHECK(m.worker("in_place", 0) == kept);
    CHECK(m.end() == 0);
    CHECK(m.count("reload 0") == 1);
    CHECK(m.count("reload 1") == 1);
    CHECK(m.count("up 0") == 2);
}

TEST_CASE("reloads that come during one are one more after it, never two at a time") {
    managed m([](cairn::service_manager& sm) { sm.add<slow_reload>(1); });
    CHECK(m.says("runs"));
    m.signal(SIGHUP);
    CHECK(m.says("reload begins"));
    for (int i = 0; i < 5; ++i) {
        m.signal(SIGHUP);
        std::this_thread::sleep_for(10ms);
    }
    CHECK(m.says("reload ends", 2));
    CHECK(m.end() == 0);
    CHECK(m.count("reload begins") == 2);
    CHECK(m.count("two at a time") == 0);
}

TEST_CASE("a reload whose new worker does not come up is given up: the old one stays, and is reloaded the "
          "next time") {
    for (const bool throws : {true, false}) {
        CAPTURE(throws);
        const cairn::manager shared;
        const auto starts = shared.list<long>("starts");
        managed m([&](cairn::service_manager& sm) {
            sm.add<comes_up_once>({.ready_timeout = patiently(1s)}, starts, throws);
            sm.add<replaced>(1);
        });
        CHECK(m.says("first is up"));
        CHECK(m.says("up 0"));
        const auto first = static_cast<pid_t>(starts.at(0));
        m.signal(SIGHUP);
        CHECK(m.says("reload of once(0) is given up"));
        CHECK(m.comes_true([&] { return m.titled("once worker(0)") == std::vector<pid_t>{first}; }));
        CHECK(m.says("down 0"));  // that of the other service
        m.signal(SIGHUP);
        CHECK(m.says("reload of once(0) is given up", 2));
        CHECK(is_running(first));
        CHECK(m.end() == 0);
        CHECK(starts.size() == 3);
    }
}

TEST_CASE("the old worker is killed in the middle of a reload: the new one is there, and nothing is started "
          "twice") {
    const cairn::manager shared;
    const auto starts = shared.list<long>("starts");
    struct slow_second : cairn::service {
        explicit slow_second(const cairn::list<long>& all) : starts_(all) {
            starts_.push_back(pid());
            if (starts_.size() == 1) return;
            say("second starts");
            std::this_thread::sleep_for(500ms);
        }
        void run() override { say("runs"); }
        cairn::list<long> starts_;
    };
    managed m([&](cairn::service_manager& sm) { sm.add<slow_second>(1, starts); });
    CHECK(m.says("runs"));
    m.signal(SIGHUP);
    CHECK(m.says("second starts"));
    send(static_cast<pid_t>(starts.at(0)), SIGKILL);
    CHECK(m.says("runs", 2));
    CHECK(m.worker("slow_second", 0) == starts.at(1));
    CHECK(m.end() == 0);
    CHECK(starts.size() == 2);
}

TEST_CASE("SIGTERM, scaling and the nursery's death in the middle of a reload") {
    managed m([]() -> int {
        static cairn::service_manager sm;
        static const cairn::service_id id = sm.add<replaced>(3);
        sm.register_hooks({.on_reload = [] { sm.reconfigure(id, 2); }});
        return sm.run();
    });
    CHECK(m.says("up ", 3));
    m.signal(SIGHUP);
    CHECK(m.says("down 2"));
    CHECK(m.says("down 0"));
    CHECK(m.says("down 1"));
    CHECK(m.comes_true([&] { return m.titled(")").size() == 2; }));
    m.signal(SIGHUP);
    send(find_descendant(m.pid(), "cairn-nursery"), SIGKILL);
    CHECK(m.says("down 0", 2));
    CHECK(m.says("down 1", 2));
    m.signal(SIGHUP);
    const std::vector<pid_t> all = m.everybody();
    CHECK(m.end() == 0);
    CHECK(have_ended(all, patiently(20s)));
    CHECK(m.count("up 2") == 1);
}

TEST_CASE("systemd is told: ready when all are, reloading and ready again, stopping") {
    for (const bool is_abstract : {false, true}) {
        CAPTURE(is_abstract);
        const scratch_directory folder;
        const std::string path =
            is_abstract ? "@cairn-test-" + std::to_string(::getpid()) : folder.path() + "/notify";
        notify_socket systemd(path);
        managed m([&]() -> int {
            return with_systemd(path, [] {
                cairn::service_manager sm;
                sm.add<in_place>(2);
                sm.add<replaced>(1);
                sm.register_hooks({.on_new_worker = [](cairn::service_id, int, cairn::service&) {
                    say(std::getenv("NOTIFY_SOCKET") == nullptr ? "child has no socket"
                                                                : "child has the socket");
                }});
                return sm.run();
            });
        });
        CHECK(m.comes_true([&] { return systemd.messages() == "READY=1|"; }));
        CHECK(m.count("child has no socket") == 3);
        const std::uint64_t before = monotonic_usec();
        m.signal(SIGHUP);
        CHECK(m.comes_true([&] { return systemd.count("READY=1") == 2; }));
        CHECK(systemd.count("RELOADING=1\nMONOTONIC_USEC=") == 1);
        // systemd takes an older one for an answer to an earlier SIGHUP.
        const std::uint64_t told = number_after(systemd.messages(), "MONOTONIC_USEC=");
        CHECK(told >= before);
        CHECK(told <= monotonic_usec());
        CHECK(m.count("reload ") == 2);
        CHECK(m.end() == 0);
        CHECK(without_time(systemd.messages()) == "READY=1|RELOADING=1|READY=1\nSTATUS=reloaded|STOPPING=1|");
    }
}

TEST_CASE("a reload that fails ends for systemd as well: ready, with a status (systemd#37515)") {
    const scratch_directory folder;
    const std::string path = folder.path() + "/notify";
    notify_socket systemd(path);
    managed m([&]() -> int {
        return with_systemd(path, [] {
            cairn::service_manager sm;
            sm.add<throws_in_reload>(1);
            return sm.run();
        });
    });
    CHECK(m.comes_true([&] { return systemd.count("READY=1") == 1; }));
    m.signal(SIGHUP);
    CHECK(m.comes_true(
        [&] { return systemd.count("READY=1\nSTATUS=reload failed: the workers of before go on") == 1; }));
    CHECK(m.count("reload() ended by std::runtime_error: bad configuration") == 1);
    CHECK(m.end() == 0);
}

TEST_CASE("the watchdog is fed while all is well, and not while a worker is late that cannot even be killed, "
          "nor while a hook hangs") {
    const scratch_directory folder;
    const std::string path = folder.path() + "/notify";
    notify_socket systemd(path);
    managed m([&]() -> int {
        return with_systemd(
            path,
            [] {
                cairn::service_manager sm;
                sm.add<in_place>(1);
                sm.register_hooks({.on_reload = [] {
                    say("hook hangs");
                    for (;;) ::pause();
                }});
                return sm.run();
            },
            50'000);
    });
    CHECK(m.comes_true([&] { return systemd.count("WATCHDOG=1") >= 3; }));
    m.signal(SIGHUP);
    CHECK(m.says("hook hangs"));
    const int before = systemd.count("WATCHDOG=1");
    std::this_thread::sleep_for(300ms);
    CHECK(systemd.count("WATCHDOG=1") == before);
    m.signal(SIGALRM);
    CHECK(m.join() == 1);
}

TEST_CASE("another process's watchdog is not fed, and a socket that nobody reads holds nothing up") {
    managed m([]() -> int {
        ::setenv("NOTIFY_SOCKET", "/nonexistent/notify", 1);
        ::setenv("WATCHDOG_USEC", "1000", 1);
        ::setenv("WATCHDOG_PID", "1", 1);
        cairn::service_manager sm;
        sm.add<in_place>(1);
        return sm.run();
    });
    CHECK(m.says("made in place"));
    CHECK(m.end() == 0);
}

}  // namespace service_reload_test

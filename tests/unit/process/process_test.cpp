// process_test.cpp - cairn::process as an object: starting, ending, waiting, moving. What it does to the system and to
// other processes is in tests/process/process_test.cpp.
//
// SPDX-License-Identifier: BSL-1.0
#include <chrono>
#include <csignal>
#include <cstdlib>
#include <functional>
#include <memory>
#include <new>
#include <sstream>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

#include <unistd.h>

#include <doctest/doctest.h>

#include <cairn/process.hpp>

namespace process_test {

using namespace std::chrono_literals;

namespace {

constexpr auto watchdog = 20s;  // turns a hang into a failure

// The child's stderr goes nowhere: the exceptions of these tests are meant to be.
class quiet_stderr {
public:
    quiet_stderr() : kept_(::dup(2)) {
        std::fflush(stderr);
        CHECK(std::freopen("/dev/null", "w", stderr) != nullptr);
    }
    ~quiet_stderr() {
        std::fflush(stderr);
        ::dup2(kept_, 2);
        ::close(kept_);
    }
    quiet_stderr(const quiet_stderr&) = delete;
    quiet_stderr& operator=(const quiet_stderr&) = delete;

private:
    int kept_;
};

int ended_code(cairn::process& p) {
    REQUIRE(p.join_for(watchdog));
    REQUIRE(p.exitcode().has_value());
    CHECK_FALSE(p.alive());
    return *p.exitcode();
}

template <typename Fn>
cairn::remote_error escaped(Fn fn) {
    const quiet_stderr quiet;
    cairn::process p{fn};
    CHECK(ended_code(p) == 1);
    REQUIRE(p.error().has_value());
    return *p.error();
}

void wait_for_a_signal() {
    for (;;) ::pause();
}

struct counter {
    int start = 0;
    void add(int more) const { ::_exit(start + more); }
};

}  // namespace

TEST_CASE("a process whose callable returns has exit code 0, whatever it returns") {
    cairn::process p{[] {}};
    CHECK(ended_code(p) == 0);
    CHECK_FALSE(p.error().has_value());
    cairn::process q{[] { return 7; }};
    CHECK(ended_code(q) == 0);
}

TEST_CASE("exit and _exit in a process give its exit code, of which the system keeps eight bits") {
    cairn::process p{[] { std::exit(3); }};
    CHECK(ended_code(p) == 3);
    cairn::process q{[] { ::_exit(4); }};
    CHECK(ended_code(q) == 4);
    cairn::process r{[] { std::exit(256 + 5); }};
    CHECK(ended_code(r) == 5);
}

TEST_CASE("exit from another thread of a process gives its exit code") {
    cairn::process p{[] { std::thread([] { std::exit(6); }).join(); }};
    CHECK(ended_code(p) == 6);
}

TEST_CASE("pthread_exit ends a process with exit code 0") {
    cairn::process p{[] { ::pthread_exit(nullptr); }};
    CHECK(ended_code(p) == 0);
    cairn::process q{{.daemon = true}, [] { ::pthread_exit(nullptr); }};
    CHECK(ended_code(q) == 0);
}

TEST_CASE("a process gets decayed copies of its arguments, move-only ones too") {
    cairn::process p{[](int a, std::unique_ptr<int> b, const std::string& c) {
                         ::_exit(a + *b + static_cast<int>(c.size()));
                     },
                     1, std::make_unique<int>(20), "four"};
    CHECK(ended_code(p) == 25);
}

TEST_CASE("a process runs member functions and functions") {
    cairn::process p{&counter::add, counter{30}, 1};
    CHECK(ended_code(p) == 31);
    cairn::process q{::_exit, 9};
    CHECK(ended_code(q) == 9);
}

TEST_CASE("what a process changes by reference is its own copy") {
    int seen = 1;
    cairn::process p{[](int& value) { ::_exit(value += 40); }, std::ref(seen)};
    CHECK(ended_code(p) == 41);
    CHECK(seen == 1);
}

TEST_CASE("a callable that throws while it is copied starts nothing") {
    struct uncopyable {
        uncopyable() = default;
        uncopyable(const uncopyable&) { throw std::runtime_error("no copy"); }
        void operator()() const {}
    };
    const uncopyable fn;
    CHECK_THROWS_WITH_AS(cairn::process{fn}, "no copy", std::runtime_error);
}

TEST_CASE("type and text of an exception reach the parent") {
    const auto e = escaped([] { throw std::runtime_error("the disk is full"); });
    CHECK(e.type_name() == "std::runtime_error");
    CHECK(e.text() == "the disk is full");
    CHECK(std::string(e.what()) == "std::runtime_error: the disk is full");
    CHECK(escaped([] { throw std::bad_alloc(); }).type_name() == "std::bad_alloc");
}

TEST_CASE("library versions do not show in the type of an exception") {
    CHECK(escaped([] { throw cairn::key_error("get 'a'"); }).type_name() == "cairn::key_error");
    CHECK(escaped([] { throw std::ios_base::failure("x"); }).type_name() == "std::ios_base::failure");
}

TEST_CASE("the text of an exception includes those nested in it") {
    const auto e = escaped([] {
        try {
            throw std::out_of_range("index 8");
        } catch (...) {
            std::throw_with_nested(std::runtime_error("cannot load"));
        }
    });
    CHECK(e.type_name() == "std::runtime_error");
    CHECK(e.text() == "cannot load; caused by std::out_of_range: index 8");
}

TEST_CASE("what is thrown and no std::exception is described by its type, and its value where that is text") {
    const auto number = escaped([] { throw 42; });
    CHECK(number.type_name() == "unknown");
    CHECK(number.text() == "a thrown int: 42");
    CHECK(escaped([] { throw "words"; }).text() == "a thrown char const*: words");
    struct own {};
    CHECK(escaped([] { throw own(); }).text().find("own") != std::string::npos);
}

TEST_CASE("a text that is too long is cut between characters") {
    const auto e = escaped([] {
        std::string text;
        while (text.size() < 10'000) text += "\xE2\x82\xAC";  // the euro sign, three bytes
        throw std::runtime_error(text);
    });
    CHECK(e.text().size() > 3000);
    CHECK(e.text().size() < 4096);
    CHECK(e.text().ends_with("\xE2\x82\xAC..."));
}

TEST_CASE("exit code and error are empty while a process runs") {
    cairn::process p{wait_for_a_signal};
    CHECK(p.alive());
    CHECK_FALSE(p.exitcode().has_value());
    CHECK_FALSE(p.error().has_value());
    CHECK(p.pid() > 0);
    p.kill();
    CHECK(ended_code(p) == -SIGKILL);
}

TEST_CASE("joining again is allowed and returns at once") {
    cairn::process p{[] {}};
    p.join();
    p.join();
    CHECK(p.join_for(0s));
    CHECK(p.join_until(std::chrono::system_clock::time_point::min()));
}

TEST_CASE("a limited join waits its time and says that the process still runs") {
    cairn::process p{wait_for_a_signal};
    const auto start = std::chrono::steady_clock::now();
    CHECK_FALSE(p.join_for(30ms));
    CHECK(std::chrono::steady_clock::now() - start >= 30ms);
    const auto second = std::chrono::steady_clock::now();
    CHECK_FALSE(p.join_for(std::chrono::duration<double>(0.03)));
    CHECK(std::chrono::steady_clock::now() - second >= 30ms);
    CHECK_FALSE(p.join_for(0s));
    CHECK_FALSE(p.join_for(-1h));
    CHECK_FALSE(p.join_for(std::chrono::duration<double>::min()));
    const auto until = std::chrono::system_clock::now() + 30ms;
    CHECK_FALSE(p.join_until(until));
    CHECK(std::chrono::system_clock::now() >= until);
    CHECK_FALSE(p.join_until(std::chrono::steady_clock::now() - 1s));
    p.kill();
    CHECK(ended_code(p) == -SIGKILL);
}

TEST_CASE("the longest durations are for ever and do not overflow") {
    cairn::process p{[] { ::usleep(20'000); }};
    CHECK(p.join_for(std::chrono::hours::max()));
    cairn::process q{[] { ::usleep(20'000); }};
    CHECK(q.join_for(std::chrono::nanoseconds::max()));
    cairn::process r{[] { ::usleep(20'000); }};
    CHECK(r.join_for(std::chrono::duration<double>::max()));
    cairn::process s{[] { ::usleep(20'000); }};
    CHECK(s.join_until(std::chrono::steady_clock::time_point::max()));
}

TEST_CASE("a process has the name it was given, or one of its own") {
    cairn::process named{{.name = "worker-1"}, [] {}};
    CHECK(named.name() == "worker-1");
    cairn::process first{[] {}};
    cairn::process second{[] {}};
    CHECK(first.name().starts_with("process-"));
    CHECK(std::stoi(second.name().substr(8)) == std::stoi(first.name().substr(8)) + 1);
}

TEST_CASE("a moved process is joined by its new owner") {
    cairn::process p{[] { ::_exit(11); }};
    cairn::process q{std::move(p)};
    CHECK_FALSE(p.valid());  // NOLINT(bugprone-use-after-move): that is the test
    CHECK(ended_code(q) == 11);
    cairn::process r;
    swap(q, r);
    CHECK_FALSE(q.valid());
    CHECK(r.exitcode() == 11);
}

TEST_CASE("assigning to a process first ends the child it has") {
    std::signal(SIGTERM, SIG_DFL);  // children inherit the test runner's handlers
    cairn::process p{{.daemon = true}, wait_for_a_signal};
    cairn::process q{[] { ::_exit(12); }};
    p = std::move(q);
    CHECK(ended_code(p) == 12);
}

TEST_CASE("a process that owns no child says so") {
    cairn::process p;
    CHECK_THROWS_AS(p.join(), cairn::invalid_state);
    CHECK_THROWS_AS(p.join_for(1s), cairn::invalid_state);
    CHECK_THROWS_AS(static_cast<void>(p.exitcode()), cairn::invalid_state);
    CHECK_THROWS_AS(static_cast<void>(p.error()), cairn::invalid_state);
    CHECK_THROWS_AS(static_cast<void>(p.alive()), cairn::invalid_state);
    CHECK_THROWS_AS(static_cast<void>(p.pid()), cairn::invalid_state);
    CHECK_THROWS_AS(static_cast<void>(p.name()), cairn::invalid_state);
    CHECK_THROWS_AS(static_cast<void>(p.sentinel()), cairn::invalid_state);
    CHECK_THROWS_WITH_AS(p.kill(), "kill process: this object owns none (moved from, or never started)",
                         cairn::invalid_state);
}

TEST_CASE("a process prints as its name, pid and state") {
    cairn::process p{{.name = "worker-1"}, wait_for_a_signal};
    std::ostringstream text;
    text << p;
    CHECK(text.str() == "<process 'worker-1' pid=" + std::to_string(p.pid()) + " running>");
    p.kill();
    p.join();
    text.str("");
    text << p;
    CHECK(text.str() == "<process 'worker-1' pid=" + std::to_string(p.pid()) + " exitcode=-9>");
    text.str("");
    text << cairn::process{};
    CHECK(text.str() == "<process none>");
}

TEST_CASE("processes can be kept in a vector") {
    std::vector<cairn::process> workers;
    workers.reserve(8);
    for (int i = 0; i < 8; ++i) workers.emplace_back(::_exit, i);
    for (int i = 0; i < 8; ++i) CHECK(ended_code(workers[static_cast<std::size_t>(i)]) == i);
}

}  // namespace process_test

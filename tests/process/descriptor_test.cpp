// descriptor_test.cpp - descriptors as arguments of services and tasks, and as elements; sockets that systemd has opened.
// SPDX-License-Identifier: BSL-1.0
#include <array>
#include <atomic>
#include <chrono>
#include <csignal>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <sstream>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include <fcntl.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <doctest/doctest.h>

#include "support/managed.hpp"
#include "support/scratch.hpp"
#include "support/scratch_directory.hpp"
#include <cairn/cairn.hpp>

namespace descriptor_test {

using namespace cairn_test;
using namespace std::chrono_literals;

namespace {

const auto watchdog = patiently(20s);

bool is_open(int fd) {
    return ::fcntl(fd, F_GETFD) != -1;
}

// Whether this process may take a descriptor from its parent (Yama).
bool may_look_into_parents() {
    std::ifstream file("/proc/sys/kernel/yama/ptrace_scope");
    int scope = 0;
    file >> scope;
    return scope == 0 || (scope < 3 && ::geteuid() == 0);
}

// Two ends; what is written to the second can be read from the first.
struct ends {
    cairn::descriptor out;
    cairn::descriptor in;
    ends() {
        int both[2];
        REQUIRE(::pipe2(both, O_NONBLOCK) == 0);
        out = cairn::descriptor(both[0]);
        in = cairn::descriptor(both[1]);
    }
    [[nodiscard]] char read() const {
        char byte = 0;
        return ::read(out.get(), &byte, 1) == 1 ? byte : '-';
    }
};

int write_to(const cairn::descriptor& to, char byte) {
    return static_cast<int>(::write(to.get(), &byte, 1));
}

sockaddr_un address_of(const std::string& path) {
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    std::memcpy(address.sun_path, path.data(), path.size());
    return address;
}

cairn::descriptor listening(const std::string& path) {
    cairn::descriptor socket(::socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0));
    const sockaddr_un address = address_of(path);
    REQUIRE(::bind(socket.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0);
    REQUIRE(::listen(socket.get(), 100) == 0);
    return socket;
}

// Answers with its pid.
struct server : cairn::service {
    static constexpr auto name = "server";
    explicit server(cairn::descriptor socket) : socket_(std::move(socket)) {}
    void run() override {
        while (!stop_requested()) {
            pollfd entry = {.fd = socket_.get(), .events = POLLIN, .revents = 0};
            if (::poll(&entry, 1, 10) <= 0) continue;
            const int client = ::accept4(socket_.get(), nullptr, nullptr, SOCK_CLOEXEC);
            if (client < 0) continue;  // another worker was faster
            const std::string answer = std::to_string(pid());
            static_cast<void>(::send(client, answer.data(), answer.size(), MSG_NOSIGNAL));
            ::close(client);
        }
    }
    void terminate() override { wait_for_run(); }
    cairn::descriptor socket_;
};

}  // namespace

TEST_CASE("copies are one descriptor, closed with the last; one that the program has closed and used again "
          "is left alone") {
    int number = -1;
    {
        cairn::descriptor first;
        CHECK_FALSE(first);
        CHECK(first.get() == -1);
        first = cairn::descriptor(::open("/dev/null", O_RDWR));
        number = first.get();
        CHECK((::fcntl(number, F_GETFD) & FD_CLOEXEC) != 0);
        const cairn::descriptor second = first;
        CHECK(second == first);
        CHECK(second.get() == number);
        first = {};
        CHECK(is_open(number));
        const cairn::descriptor copy = cairn::descriptor::copy_of(number);
        CHECK(copy.get() != number);
        CHECK(copy != second);
        std::ostringstream text;
        text << second;
        CHECK(text.str() == "descriptor(" + std::to_string(number) + ")");
        CHECK(cairn::repr(second) == text.str());
    }
    CHECK_FALSE(is_open(number));
    int other[2];
    REQUIRE(::pipe(other) == 0);
    {
        const cairn::descriptor mine(::open("/dev/null", O_RDWR));
        number = mine.get();
        REQUIRE(::dup2(other[0], number) == number);  // as a program does that closes what it does not know
    }
    CHECK(is_open(number));
    ::close(number);
    ::close(other[0]);
    ::close(other[1]);
}

TEST_CASE("a number that is not open is refused, and so are bytes that are no descriptor") {
    CHECK(thrown_by<cairn::invalid_argument>([] { cairn::descriptor fd(777); }) ==
          "descriptor: 777 is not open");
    CHECK(thrown_by<cairn::invalid_argument>([] { static_cast<void>(cairn::descriptor::copy_of(-1)); }) ==
          "descriptor: -1 is not open");
    using codec = cairn::codec<cairn::descriptor>;
    std::array<std::byte, codec::encoded_bytes> bytes{};
    CHECK(contains(thrown_by<cairn::corrupt_segment>(
                       [&] { static_cast<void>(codec::decode(std::span(bytes).first(4))); }),
                   "a descriptor of 4 bytes"));
    bytes.fill(std::byte{0xfe});
    CHECK(contains(thrown_by<cairn::corrupt_segment>([&] { static_cast<void>(codec::decode(bytes)); }),
                   "number -"));
    bytes.fill(std::byte{0x7e});
    CHECK(contains(thrown_by<cairn::refused>([&] { static_cast<void>(codec::decode(bytes)); }),
                   "cannot be had"));
    codec::encode(cairn::descriptor(), bytes.data());
    CHECK_FALSE(codec::decode(bytes));
}

TEST_CASE(
    "a descriptor is an element: who takes it has one for the same file, as long as its owner has it open") {
    const cairn::manager shared;
    const auto queue = shared.queue<cairn::descriptor>("q");
    const auto list = shared.list<cairn::descriptor>("l");
    const ends pipe;
    queue.put(pipe.in);
    list.push_back(pipe.in);
    list.push_back({});
    {
        const cairn::descriptor got = queue.get();
        CHECK(got.get() != pipe.in.get());
        CHECK(write_to(got, 'a') == 1);
        CHECK(pipe.read() == 'a');
    }
    CHECK_FALSE(list.at(1));
    // A child has inherited it.
    CHECK(in_child([&] { CHILD_CHECK(write_to(list.at(0), 'b') == 1); }) == 0);
    CHECK(pipe.read() == 'b');
    // One that was not there at the fork.
    const ends later;
    gate is_put;
    child reader([&] {
        ::close(later.in.get());
        CHILD_CHECK(is_put.wait());
        if (may_look_into_parents()) CHILD_CHECK(write_to(queue.get(), 'c') == 1);
        else
            CHILD_CHECK(
                contains(thrown_by<cairn::refused>([&] { queue.get(); }), "cannot be had from there"));
    });
    queue.put(later.in);
    is_put.open();
    CHECK(reader.join() == 0);
    if (may_look_into_parents()) CHECK(later.read() == 'c');
}

TEST_CASE("a descriptor whose owner has closed it, or ended, is refused, and stays in its queue") {
    const cairn::manager shared;
    const auto queue = shared.queue<cairn::descriptor>("q");
    const ends pipe;
    {
        const cairn::descriptor copy = cairn::descriptor::copy_of(pipe.in.get());
        queue.put(copy);
    }
    CHECK(contains(thrown_by<cairn::refused>([&] { queue.get(); }), "was closed"));
    CHECK(queue.size() == 1);
    const auto other = shared.queue<cairn::descriptor>("other");
    CHECK(in_child([&] {
              const ends own;
              other.put(own.in);
          }) == 0);
    CHECK(contains(thrown_by<cairn::refused>([&] { other.get(); }),
                   "cannot be had from there, and is not inherited"));
    CHECK(other.size() == 1);
}

TEST_CASE("eventfds are all of one inode: what is inherited of them is not trusted where the owner cannot be "
          "asked") {
    const cairn::manager shared;
    const auto queue = shared.queue<cairn::descriptor>("q");
    const cairn::descriptor bell(::eventfd(0, EFD_CLOEXEC));
    child owner([&] { queue.put(bell); });
    CHECK(owner.join() == 0);
    struct stat status = {};
    REQUIRE(::fstat(bell.get(), &status) == 0);
    if ((status.st_mode & S_IFMT) == 0)
        CHECK(contains(thrown_by<cairn::refused>([&] { queue.get(); }), "cannot be had"));
}

TEST_CASE("a descriptor is an argument of a task: with start_nursery's .keep everywhere, else where the "
          "system lets workers look") {
    CHECK(in_child([] {
              const ends kept;
              cairn::start_nursery({.keep = {kept.in.get()}});
              const ends later;
              cairn::process_pool_executor ex(1);
              CHILD_CHECK(ex.submit(write_to, kept.in, 'k').result(watchdog) == 1);
              CHILD_CHECK(kept.read() == 'k');
              const auto f = ex.submit(write_to, later.in, 'l');
              if (may_look_into_parents()) {
                  CHILD_CHECK(f.result(watchdog) == 1);
                  CHILD_CHECK(later.read() == 'l');
              } else {
                  CHILD_CHECK(contains(thrown_by<cairn::refused>([&] { f.result(watchdog); }), "descriptor"));
              }
          }) == 0);
}

TEST_CASE("workers of a service share a listening socket: no connection is refused while they are killed, "
          "reloaded and scaled") {
    const scratch_directory folder;
    const std::string path = folder.path() + "/socket";
    managed m([&]() -> int {
        static cairn::service_manager sm({.quiet = true});
        static const cairn::service_id id = sm.add<server>({.workers = 2, .backoff = {1ms, 2ms}},
                                                           listening(path));  // the program has no other copy
        static std::atomic<int> reloads{0};
        sm.register_hooks({.on_reload = [] { sm.reconfigure(id, 2 + ++reloads % 2); }});
        return sm.run();
    });
    REQUIRE(m.worker("server", 1) != 0);
    const sockaddr_un address = address_of(path);
    int answered = 0;
    int unanswered = 0;  // its worker was killed
    const auto ask = [&] {
        const cairn::descriptor client(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
        REQUIRE(::connect(client.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0);
        char answer[32];
        ++(::recv(client.get(), answer, sizeof answer, 0) > 0 ? answered : unanswered);
    };
    for (int i = 0; i < 100; ++i) {
        ask();
        if (i % 10 == 5) m.signal(SIGHUP);
    }
    CHECK(answered == 100);  // a reload drops none
    int kills = 0;
    for (int i = 0; i < 100; ++i) {
        ask();
        if (i % 5 != 0) continue;
        const std::vector<pid_t> all = m.titled("server worker(0)");
        if (all.empty()) continue;
        send(all.front(), SIGKILL);
        ++kills;
    }
    CHECK(unanswered <= kills);
    CHECK(answered + unanswered == 200);
    CHECK(m.end() == 0);
}

TEST_CASE("sockets that systemd has opened are taken over, by their names, and only by the process that they "
          "are for") {
    CHECK(in_child([] {
              CHILD_CHECK(cairn::passed_descriptors().empty());
              for (int i = 0; i < 2; ++i)
                  static_cast<void>(::open("/dev/null", O_RDONLY));  // 3 and 4, if they are free
              const ends pipe;
              // As systemd does it: from 3 on.
              CHILD_CHECK(::dup2(pipe.in.get(), 3) == 3);
              CHILD_CHECK(::dup2(pipe.in.get(), 4) == 4);
              ::setenv("LISTEN_FDS", "2", 1);
              ::setenv("LISTEN_FDNAMES", "web:admin", 1);
              ::setenv("LISTEN_PID", "1", 1);
              CHILD_CHECK(cairn::passed_descriptors().empty());
              ::setenv("LISTEN_PID", std::to_string(::getpid()).c_str(), 1);
              for (int round = 0; round < 2; ++round) {
                  const auto all = cairn::passed_descriptors();
                  CHILD_CHECK(all.size() == 2);
                  CHILD_CHECK(all[0].name == "web");
                  CHILD_CHECK(all[1].name == "admin");
                  CHILD_CHECK(write_to(all[1].fd, 's') == 1);
                  CHILD_CHECK(pipe.read() == 's');
              }
              CHILD_CHECK((::fcntl(3, F_GETFD) & FD_CLOEXEC) != 0);
              CHILD_CHECK(in_child([] { CHILD_CHECK(cairn::passed_descriptors().empty()); }) == 0);
              ::unsetenv("LISTEN_FDNAMES");
              CHILD_CHECK(cairn::passed_descriptors().front().name == "unknown");
              ::setenv("LISTEN_FDS", "many", 1);
              CHILD_CHECK(cairn::passed_descriptors().empty());
          }) == 0);
}

}  // namespace descriptor_test

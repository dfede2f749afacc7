// service_soak.hpp - eight workers of three services under random signals and scaling, with a client that connects all the time.
//
// Kept          no process is left, no item is lost, no connection is refused, descriptors and memory of those who manage do not grow, and
//               the end is short.
//
// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <algorithm>
#include <array>
#include <atomic>
#include <cerrno>
#include <chrono>
#include <csignal>
#include <cstdint>
#include <cstring>
#include <fstream>
#include <memory>
#include <optional>
#include <random>
#include <set>
#include <string>
#include <thread>
#include <vector>

#include <dirent.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <doctest/doctest.h>

#include "support/managed.hpp"
#include "support/sanitizers.hpp"
#include "support/scratch.hpp"
#include <cairn/cairn.hpp>

namespace cairn_test {

namespace soak {

/// Answers each connection with the byte that it has sent.
struct server : cairn::service {
    static constexpr auto name = "server";
    explicit server(const cairn::descriptor& socket) : socket_(socket) {}
    void run() override {
        while (!stop_requested()) {
            pollfd look{socket_.get(), POLLIN, 0};
            if (::poll(&look, 1, 50) != 1) continue;
            // Another worker may have been faster.
            const int connection = ::accept4(socket_.get(), nullptr, nullptr, SOCK_CLOEXEC);
            if (connection < 0) continue;
            char byte = 0;
            if (::recv(connection, &byte, 1, 0) == 1)
                static_cast<void>(::send(connection, &byte, 1, MSG_NOSIGNAL));
            ::close(connection);
        }
    }
    // A connection that it has taken is answered.
    void terminate() override { wait_for_run(); }
    cairn::descriptor socket_;
};

/// Puts numbers of its own, one after the other, going on from where its predecessor was killed.
struct producer : cairn::service {
    static constexpr auto name = "producer";
    static constexpr long stride = 1'000'000'000;
    producer(cairn::queue<long> to, cairn::dict<int, long> put) : to_(to), put_(put) {}
    void run() override {
        for (long i = put_.get(worker_id(), 0); !stop_requested(); ++i) {
            if (!to_.put(worker_id() * stride + i, stop_token())) return;
            put_.set(worker_id(), i + 1);
            std::this_thread::sleep_for(std::chrono::milliseconds(2));
        }
    }
    void terminate() override { wait_for_run(); }
    cairn::queue<long> to_;
    cairn::dict<int, long> put_;
};

struct printer : cairn::service {
    static constexpr auto name = "printer";
    printer(cairn::queue<long> from, cairn::list<long> printed) : from_(from), printed_(printed) {}
    void run() override {
        while (!stop_requested()) {
            auto job = from_.lease_for(std::chrono::milliseconds(50));
            if (job) {
                printed_.push_back(**job);
                job->ack();
            }
            beat();
        }
    }
    void reload() override {}
    void terminate() override { wait_for_run(); }
    cairn::queue<long> from_;
    cairn::list<long> printed_;
};

/// A listening socket of the loopback, which does not block.
class listener {
public:
    listener() : fd_(::socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0)) {
        address_.sin_family = AF_INET;
        address_.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
        socklen_t bytes = sizeof address_;
        REQUIRE(::bind(fd_, reinterpret_cast<const sockaddr*>(&address_), bytes) == 0);
        REQUIRE(::listen(fd_, 256) == 0);
        REQUIRE(::getsockname(fd_, reinterpret_cast<sockaddr*>(&address_), &bytes) == 0);
    }
    listener(const listener&) = delete;
    listener& operator=(const listener&) = delete;
    ~listener() { close(); }
    void close() {
        if (fd_ >= 0) ::close(fd_);
        fd_ = -1;
    }
    [[nodiscard]] int fd() const noexcept { return fd_; }
    [[nodiscard]] const sockaddr_in& address() const noexcept { return address_; }

private:
    sockaddr_in address_{};
    int fd_;
};

/// Connects all the time, in a thread.
class client {
public:
    explicit client(const sockaddr_in& to) : to_(to), thread_([this] { run(); }) {}
    client(const client&) = delete;
    client& operator=(const client&) = delete;
    ~client() { stop(); }
    void stop() {
        is_over_ = true;
        if (thread_.joinable()) thread_.join();
    }
    std::atomic<long> answered{0};
    std::atomic<long> cut{0};      // taken by a worker that was killed with it, or has stood still
    std::atomic<long> refused{0};  // nobody has listened

private:
    void run() {
        while (!is_over_) {
            const int fd = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
            const timeval longest{1, 0};
            ::setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &longest, sizeof longest);
            char byte = 'x';
            if (::connect(fd, reinterpret_cast<const sockaddr*>(&to_), sizeof to_) != 0) ++refused;
            else if (::send(fd, &byte, 1, MSG_NOSIGNAL) == 1 && ::recv(fd, &byte, 1, 0) == 1) ++answered;
            else ++cut;
            ::close(fd);
            std::this_thread::sleep_for(std::chrono::milliseconds(1));
        }
    }

    sockaddr_in to_;
    std::atomic<bool> is_over_{false};
    std::thread thread_;
};

inline std::size_t count_descriptors(pid_t pid) {
    std::size_t count = 0;
    const std::unique_ptr<DIR, int (*)(DIR*)> folder(
        ::opendir(("/proc/" + std::to_string(pid) + "/fd").c_str()), &::closedir);
    while (folder && ::readdir(folder.get()) != nullptr) ++count;
    return count;
}

/// KiB that the process has for itself.
inline long private_memory(pid_t pid) {
    std::ifstream file("/proc/" + std::to_string(pid) + "/statm");
    long size = 0;
    long resident = 0;
    long shared = 0;
    file >> size >> resident >> shared;
    return (resident - shared) * (::sysconf(_SC_PAGESIZE) / 1024);
}

}  // namespace soak

/// For that long.
inline void soak_services(std::chrono::milliseconds longest, std::uint64_t seed) {
    using namespace std::chrono_literals;
    using clock = std::chrono::steady_clock;
    CAPTURE(seed);
    const scratch_name name("soak");
    const cairn::manager shared;
    const auto queue = shared.queue<long>("queue", 1000);
    const auto put = shared.dict<int, long>("put");
    const auto printed = shared.list<long>("printed");
    soak::listener socket;
    std::array<int, 2> all{};
    REQUIRE(::pipe2(all.data(), 0) == 0);
    const std::array<const char*, 3> services{"server", "printer", "producer"};
    const std::array<int, 3> workers{3, 3, 2};

    managed m([&]() -> int {
        ::close(all[0]);
        cairn::service_manager sm({.quiet = true, .name = name});
        const auto options = [](int count) {
            return cairn::service_options{.workers = count, .backoff = {1ms, 5ms}};
        };
        sm.add<soak::server>(options(workers[0]), cairn::descriptor(::dup(socket.fd())));
        sm.add<soak::printer>(options(workers[1]), queue, printed);
        sm.add<soak::producer>(options(workers[2]), queue, put);
        return sm.run();
    });
    ::close(all[1]);
    const auto look = [&]() -> cairn::service_set_facts {
        try {
            auto sets = cairn::inspection(name.get()).service_sets();
            if (!sets.empty()) return std::move(sets.front());
        } catch (const cairn::error&) {
            // Not there yet.
        }
        return {};
    };
    const auto are_ready = [&] {
        const cairn::service_set_facts set = look();
        if (set.services.size() != 3) return false;
        for (const cairn::service_facts& service : set.services) {
            if (service.workers.size() != service.wanted_worker_count) return false;
            for (const cairn::service_worker_facts& each : service.workers)
                if (!each.process || each.process->state != "ready" ||
                    each.process->alive != cairn::presence::alive || each.successor)
                    return false;
        }
        return set.supervisor_alive == cairn::presence::alive && set.waiting_orders == 0;
    };
    REQUIRE(m.comes_true(are_ready));
    std::optional<cairn::service_control> control(name.get());
    soak::client client(socket.address());

    std::mt19937_64 random(seed);
    long kills = 0;
    long rounds = 0;
    std::size_t manager_descriptors = 0;
    std::size_t supervisor_descriptors = 0;
    long manager_memory = 0;
    long supervisor_memory = 0;
    pid_t measured = 0;
    const auto begin = clock::now();
    const auto end = begin + longest;
    bool is_nursery_killed = false;
    for (; clock::now() < end || !is_nursery_killed; ++rounds) {
        std::vector<pid_t> living;
        const cairn::service_set_facts set = look();
        for (const cairn::service_facts& service : set.services)
            for (const cairn::service_worker_facts& each : service.workers)
                if (each.process && each.process->alive == cairn::presence::alive)
                    living.push_back(each.process->pid);
        const pid_t one = living.empty() ? 0 : living[random() % living.size()];
        switch (random() % 8) {
            case 0:
            case 1:
                send(one, SIGKILL);
                ++kills;
                break;
            case 2: send(one, SIGHUP); break;
            case 3: m.signal(SIGHUP); break;
            case 4:
            case 5: {
                // One server at least; the others may all be gone for a while.
                const std::size_t which = random() % 3;
                control->scale(services[which],
                               static_cast<int>(which == 0 ? 1 + random() % 4 : random() % 5));
                break;
            }
            case 6: control->restart(services[random() % 3]); break;
            default:
                send(one, SIGSTOP);
                std::this_thread::sleep_for(std::chrono::microseconds(random() % 20'000));
                send(one, SIGCONT);
                break;
        }
        m.output();
        std::this_thread::sleep_for(std::chrono::microseconds(random() % 20'000));
        // Half-way the guardian takes over; what it needs is measured from then on.
        if (!is_nursery_killed && clock::now() > begin + longest / 2) {
            is_nursery_killed = true;
            const pid_t nursery = find_descendant(m.pid(), "cairn-nursery");
            send(nursery, SIGKILL);
            REQUIRE(m.comes_true([&] {
                measured = look().supervisor;
                return measured != 0 && measured != nursery;
            }));
            manager_descriptors = soak::count_descriptors(m.pid());
            supervisor_descriptors = soak::count_descriptors(measured);
            manager_memory = soak::private_memory(m.pid());
            supervisor_memory = soak::private_memory(measured);
        }
    }
    for (std::size_t i = 0; i < services.size(); ++i) control->scale(services[i], workers[i]);
    CHECK(m.comes_true(are_ready));
    CHECK(soak::count_descriptors(m.pid()) <= manager_descriptors);
    CHECK(soak::count_descriptors(measured) <= supervisor_descriptors);
    // A sanitizer keeps what was freed.
    if (!has_address_sanitizer && !has_thread_sanitizer) {
        CHECK(soak::private_memory(m.pid()) < manager_memory + 4096);
        CHECK(soak::private_memory(measured) < supervisor_memory + 4096);
    }
    CHECK(cairn::inspection(name.get()).verify().problems.empty());
    // All are at work.
    const long answered = client.answered;
    const std::size_t before = printed.size();
    CHECK(m.comes_true([&] { return client.answered > answered && printed.size() > before; }));
    const std::uint64_t restarts =
        look().services[0].restarts + look().services[1].restarts + look().services[2].restarts;
    client.stop();
    control.reset();
    const auto told = clock::now();
    CHECK(m.end() == 0);
    const auto ended = std::chrono::duration_cast<std::chrono::milliseconds>(clock::now() - told);
    CHECK(ended < patiently(10s));

    // All of the family have the other end.
    pollfd others{all[0], POLLIN, 0};
    CHECK(::poll(&others, 1, static_cast<int>(patiently(20s).count())) == 1);
    CHECK((others.revents & POLLHUP) != 0);
    ::close(all[0]);
    CHECK_FALSE(name.exists());
    CHECK(client.refused == 0);
    std::set<long> seen;
    for (const long item : printed.snapshot()) seen.insert(item);
    for (const long item : queue.snapshot()) seen.insert(item);
    long items = 0;
    long lost = 0;
    for (const auto& [worker, count] : put.snapshot())
        for (long i = 0; i < count; ++i, ++items)
            lost += seen.contains(worker * soak::producer::stride + i) ? 0 : 1;
    CHECK(lost == 0);
    CHECK(items > 10);
    MESSAGE(rounds << " rounds, " << kills << " kills, " << restarts << " restarts, " << items << " items; "
                   << client.answered.load() << " connections answered, " << client.cut.load()
                   << " taken by a worker that was killed or stood still; the end took " << ended.count()
                   << " ms");
}

}  // namespace cairn_test

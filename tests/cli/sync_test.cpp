// sync_test.cpp - locks and the like, as shmctl shows them.
// SPDX-License-Identifier: BSL-1.0
#include <mutex>
#include <string>
#include <thread>

#include <unistd.h>

#include <doctest/doctest.h>

#include "shelf.hpp"
#include <cairn/detail/sync/sync_layout.hpp>

namespace sync_test {

using namespace cairn_test;

namespace {

/// A handle with its inside showing.
template <typename Handle>
class opened : public Handle {
public:
    explicit opened(Handle h) : Handle(std::move(h)) {}
    using Handle::in;
    using Handle::slot;
    template <typename Node>
    [[nodiscard]] Node& node_as() const {
        return *this->in().template at<Node>(this->node());
    }
};

}  // namespace

TEST_CASE("locks are listed, shown, read and verified, free, held, and after their owner's death") {
    const shelf s;
    const cairn::manager m{"jobs", small_segment};
    const auto l = m.lock("l");
    const auto r = m.rlock("r");
    CHECK(contains(s.run({"ls", "jobs", "-n"}).out, "rlock"));
    CHECK(contains(s.run({"show", "jobs/l"}).out, "jobs/l: lock, free"));
    CHECK(s.run({"get", "jobs/l"}).out == "False\n");
    CHECK(s.run({"verify", "--deep", "jobs"}).code == 0);
    {
        const std::scoped_lock held(l, r);
        r.lock();
        const std::string holder = "held by " + std::to_string(::getpid());
        CHECK(contains(s.run({"ls", "jobs"}).out, holder));
        const program_result shown = s.run({"show", "jobs/r"});
        INFO(shown);
        CHECK(contains(shown.out, "jobs/r: rlock, held, taken 2 times"));
        CHECK(contains(shown.out, holder));
        CHECK(s.json({"show", "jobs/r"})["status"] == "held, taken 2 times");
        CHECK(s.run({"get", "jobs/l"}).out == "True\n");
        // Held for as long as its owner likes: no reason to wait, and no problem.
        const program_result verified = s.run({"verify", "jobs"});
        INFO(verified);
        CHECK(verified.code == 0);
        r.unlock();
    }
    std::thread([&] { l.lock(); }).join();
    CHECK(contains(s.run({"show", "jobs/l"}).out, "its owner died with it"));
    CHECK(contains(s.run({"ls", "jobs"}).out, "DEAD owner"));
    CHECK(s.run({"get", "jobs/l"}).out == "False\n");
    CHECK(s.run({"verify", "jobs"}).code == 0);
    l.lock();
    CHECK(contains(s.run({"show", "jobs/l"}).out, "held; its owner before died with it"));
    l.unlock();
    cairn::detail::store_word(opened<cairn::mutex>(l).node_as<cairn::detail::mutex_node>().state, 7U);
    const program_result damaged = s.run({"verify", "jobs"});
    INFO(damaged);
    CHECK(damaged.code == 1);
    CHECK(contains(damaged.out + damaged.err, "its state is no known one"));
    CHECK(s.run({"get", "jobs/l"}).code == 6);
    CHECK(contains(s.run({"show", "jobs/l"}).out, "its node makes no sense"));
}

TEST_CASE(
    "a shared_mutex is listed, shown, read and verified, with its readers, and after a writer's death") {
    const shelf s;
    const cairn::manager m{"jobs", small_segment};
    const auto rw = m.shared_mutex("rw");
    CHECK(contains(s.run({"ls", "jobs", "-n"}).out, "shared_mutex"));
    CHECK(contains(s.run({"show", "jobs/rw"}).out, "jobs/rw: shared_mutex, free"));
    CHECK(s.run({"get", "jobs/rw"}).out == "False\n");
    rw.lock_shared();
    rw.lock_shared();
    const program_result shown = s.run({"show", "jobs/rw"});
    INFO(shown);
    CHECK(contains(shown.out, "jobs/rw: shared_mutex, 2 readers"));
    CHECK(contains(shown.out, std::to_string(::getpid())));
    CHECK(s.json({"show", "jobs/rw"})["holders"].size() == 1);
    rw.unlock_shared();
    rw.unlock_shared();
    rw.lock();
    CHECK(contains(s.run({"show", "jobs/rw"}).out, "jobs/rw: shared_mutex, held"));
    CHECK(s.run({"get", "jobs/rw"}).out == "True\n");
    CHECK(s.run({"verify", "--deep", "jobs"}).code == 0);
    rw.unlock();
    std::thread([&] { rw.lock(); }).join();
    CHECK(contains(s.run({"show", "jobs/rw"}).out, "free; its last writer died with it"));
    CHECK(s.run({"verify", "jobs"}).code == 0);
    rw.lock_shared();
    CHECK(contains(s.run({"show", "jobs/rw"}).out, "1 reader; its last writer died with it"));
    rw.unlock_shared();
    auto& node = opened<cairn::shared_mutex>(rw).node_as<cairn::detail::shared_mutex_node>();
    cairn::detail::store_word(node.writer, 7U);
    const program_result damaged = s.run({"verify", "jobs"});
    INFO(damaged);
    CHECK(damaged.code == 1);
    CHECK(contains(damaged.out + damaged.err, "its writer is nowhere"));
    CHECK(contains(s.run({"show", "jobs/rw"}).out, "its node makes no sense"));
}

TEST_CASE("events are listed, shown, read and verified") {
    const shelf s;
    const cairn::manager m{"jobs", small_segment};
    const auto e = m.event("ready");
    CHECK(contains(s.run({"ls", "jobs", "-n"}).out, "event"));
    CHECK(contains(s.run({"show", "jobs/ready"}).out, "jobs/ready: event, not set"));
    CHECK(s.run({"get", "jobs/ready"}).out == "False\n");
    e.set();
    CHECK(contains(s.run({"show", "jobs/ready"}).out, "jobs/ready: event, set"));
    CHECK(s.run({"get", "jobs/ready"}).out == "True\n");
    CHECK(s.json({"get", "jobs/ready"})["items"][0] == true);
    CHECK(s.run({"verify", "--deep", "jobs"}).code == 0);
}

TEST_CASE("conditions are listed, shown, read and verified, with who waits for them") {
    const shelf s;
    const cairn::manager m{"jobs", small_segment};
    const auto l = m.lock("l");
    const auto c = m.condition("c");
    CHECK(contains(s.run({"ls", "jobs", "-n"}).out, "condition"));
    CHECK(contains(s.run({"show", "jobs/c"}).out, "jobs/c: condition, 0 waiting"));
    CHECK(s.run({"get", "jobs/c"}).out == "0\n");
    child waiter([&] {
        std::unique_lock lock(l);
        c.wait(lock);
    });
    while (c.waiting() == 0) std::this_thread::yield();
    const program_result shown = s.run({"show", "jobs/c"});
    INFO(shown);
    CHECK(contains(shown.out, "jobs/c: condition, 1 waiting"));
    CHECK(contains(shown.out, std::to_string(waiter.pid())));
    CHECK(s.json({"show", "jobs/c"})["waiting"].size() == 1);
    CHECK(s.run({"get", "jobs/c"}).out == "1\n");
    c.notify_all();
    CHECK(waiter.join() == 0);
    CHECK(s.run({"verify", "--deep", "jobs"}).code == 0);
    auto& node = opened<cairn::condition>(c).node_as<cairn::detail::condition_node>();
    cairn::detail::store_word(node.released, node.began + 1);
    const program_result damaged = s.run({"verify", "jobs"});
    INFO(damaged);
    CHECK(damaged.code == 1);
    CHECK(contains(damaged.out + damaged.err, "it has notified more than have waited"));
    CHECK(contains(s.run({"show", "jobs/c"}).out, "its node makes no sense"));
}

TEST_CASE("barriers are listed, shown, read and verified, with who takes part in them") {
    const shelf s;
    const cairn::manager m{"jobs", small_segment};
    const auto b = m.barrier("b", 2);
    CHECK(contains(s.run({"ls", "jobs", "-n"}).out, "barrier"));
    CHECK(contains(s.run({"show", "jobs/b"}).out, "jobs/b: barrier, 0 of 2 have come"));
    CHECK(s.run({"get", "jobs/b"}).out == "0\n");
    child other([&] { static_cast<void>(b.arrive_and_wait()); });
    while (b.waiting() == 0) std::this_thread::yield();
    const program_result shown = s.run({"show", "jobs/b"});
    INFO(shown);
    CHECK(contains(shown.out, "jobs/b: barrier, 1 of 2 have come"));
    CHECK(contains(shown.out, std::to_string(other.pid())));
    CHECK(s.json({"show", "jobs/b"})["members"].size() == 1);
    CHECK(s.run({"get", "jobs/b"}).out == "1\n");
    const std::string its_pid = std::to_string(other.pid());
    static_cast<void>(b.arrive_and_wait());
    CHECK(other.join() == 0);
    CHECK_THROWS_AS(static_cast<void>(b.arrive_and_wait()), cairn::broken_barrier);
    CHECK(contains(s.run({"show", "jobs/b"}).out, "broken: " + its_pid + " has ended"));
    CHECK(s.run({"verify", "--deep", "jobs"}).code == 0);
    auto& node = opened<cairn::barrier>(b).node_as<cairn::detail::barrier_node>();
    cairn::detail::store_word(node.arrived, 7U);
    const program_result damaged = s.run({"verify", "jobs"});
    INFO(damaged);
    CHECK(damaged.code == 1);
    CHECK(contains(damaged.out + damaged.err, "more have come than there are parties"));
    CHECK(contains(s.run({"show", "jobs/b"}).out, "its node makes no sense"));
}

TEST_CASE("values, arrays, namespaces and onces are listed, shown, read and verified") {
    const shelf s;
    const cairn::manager m{"jobs", small_segment};
    const auto v = m.value<long>("v", 42);
    const auto t = m.value<std::string>("t", "text");
    const auto a = m.array<double>("a", {1, 2.5});
    m.ns("n").set("x", 7);
    m.once("o", [] {});
    CHECK(v.store(43, {.once = {1, 1}}));
    for (const char* kind : {"value  int64", "value  str", "array  float64", "ns ", "once "}) {
        const program_result listed = s.run({"ls", "jobs", "-n"});
        INFO(listed);
        CHECK(contains(listed.out, kind));
    }
    CHECK(s.run({"get", "jobs/v"}).out == "43\n");
    CHECK(contains(s.run({"get", "jobs/t"}).out, "text"));
    CHECK(s.run({"get", "jobs/a"}).out == "[1.0, 2.5]\n");
    CHECK(s.run({"get", "jobs/a[1]"}).out == "2.5\n");
    CHECK(contains(s.run({"get", "jobs/n"}).out, "{'x': {'type': 'int32', 'text': '7'"));
    CHECK(s.run({"get", "jobs/o"}).out == "True\n");
    CHECK(contains(s.run({"show", "jobs/o"}).out, "jobs/o: once, done"));
    const std::lock_guard held(a);
    const program_result shown = s.run({"show", "jobs/a"});
    INFO(shown);
    CHECK(contains(shown.out, "held by " + std::to_string(::getpid())));
    const program_result verified = s.run({"verify", "--deep", "jobs"});
    INFO(verified);
    CHECK(verified.code == 0);
}

TEST_CASE("latches are listed, shown, read and verified") {
    const shelf s;
    const cairn::manager m{"jobs", small_segment};
    const auto l = m.latch("l", 3);
    l.count_down();
    CHECK(contains(s.run({"ls", "jobs", "-n"}).out, "latch"));
    CHECK(contains(s.run({"show", "jobs/l"}).out, "jobs/l: latch, 2 to come"));
    CHECK(s.run({"get", "jobs/l"}).out == "2\n");
    CHECK(s.run({"verify", "--deep", "jobs"}).code == 0);
    auto& node = opened<cairn::latch>(l).node_as<cairn::detail::latch_node>();
    cairn::detail::store_word(node.remaining, ~std::uint64_t{0});
    const program_result damaged = s.run({"verify", "jobs"});
    INFO(damaged);
    CHECK(damaged.code == 1);
    CHECK(contains(damaged.out + damaged.err, "more remains than can be counted"));
    CHECK(contains(s.run({"show", "jobs/l"}).out, "its node makes no sense"));
}

TEST_CASE("semaphores are listed, shown, read and verified, with who holds their permits") {
    const shelf s;
    const cairn::manager m{"jobs", small_segment};
    const auto sem = m.semaphore("s", 1);
    const auto b = m.bounded_semaphore("b", 4);
    b.acquire();
    b.acquire();
    CHECK(in_child([&] {
              b.acquire();
              ::_exit(0);
          }) == 0);
    CHECK(contains(s.run({"ls", "jobs", "-n"}).out, "bounded_semaphore"));
    CHECK(contains(s.run({"show", "jobs/s"}).out, "jobs/s: semaphore, 1 permit free"));
    const program_result shown = s.run({"show", "jobs/b"});
    INFO(shown);
    CHECK(contains(shown.out, "jobs/b: bounded_semaphore, 1 of 4 permits free"));
    CHECK(contains(shown.out, std::to_string(::getpid())));
    CHECK(contains(shown.out, " (2)"));
    CHECK(contains(shown.out, "DEAD (1)"));
    CHECK(s.json({"show", "jobs/b"})["holders"].size() == 2);
    CHECK(s.run({"get", "jobs/b"}).out == "1\n");
    CHECK(s.run({"verify", "--deep", "jobs"}).code == 0);
    auto& node = opened<cairn::bounded_semaphore>(b).node_as<cairn::detail::semaphore_node>();
    cairn::detail::store_word(node.available, std::uint64_t{3});
    const program_result damaged = s.run({"verify", "jobs"});
    INFO(damaged);
    CHECK(damaged.code == 1);
    CHECK(contains(damaged.out + damaged.err, "more permits are held than it has"));
}

}  // namespace sync_test

// pool_test.cpp - shmctl pool: of a pool that works, and of a saved one whose owner is dead.
// SPDX-License-Identifier: BSL-1.0
#include <chrono>
#include <csignal>
#include <fstream>
#include <string>
#include <thread>
#include <vector>

#include <sys/wait.h>
#include <unistd.h>

#include <doctest/doctest.h>

#include "shelf.hpp"
#include "support/scratch_directory.hpp"

namespace shmctl_pool_test {

using namespace cairn_test;
using namespace std::chrono_literals;

namespace {

// What `shmctl pool` says of the one whose owner that is; null when there is none.
nlohmann::json pool_of(const nlohmann::json& all, pid_t owner) {
    for (const auto& each : all.at("pools"))
        if (each.at("owner_pid") == owner) return each;
    return nullptr;
}

void sleep_long() {
    std::this_thread::sleep_for(100s);
}

}  // namespace

TEST_CASE("shmctl pool shows what waits, what runs where and since when, and who has died") {
    const shelf of_own;
    cairn::pool pool({.workers = 2, .retries = 0});
    CHECK_THROWS_AS(pool.apply([] { ::kill(::getpid(), SIGKILL); }), cairn::worker_died);
    CHECK(pool.apply([] { return 1; }) == 1);
    std::vector<cairn::future<void>> running;
    for (int i = 0; i < 2; ++i) running.push_back(pool.apply_async(sleep_long));
    while (!running[0].running() || !running[1].running()) std::this_thread::sleep_for(1ms);
    const auto waiting = pool.apply_async(sleep_long);
    static_cast<void>(running[1].cancel());
    const nlohmann::json seen = pool_of(of_own.json({"pool"}), ::getpid());
    REQUIRE(!seen.is_null());
    CHECK(seen.at("state") == "open");
    CHECK(seen.at("is_owner_alive") == true);
    CHECK(seen.at("is_nursery_alive") == true);
    CHECK(seen.at("waiting_count") == 1);
    CHECK(seen.at("running_count") == 2);
    CHECK(seen.at("finished_count") == 2);
    CHECK(seen.at("died_count") == 1);
    REQUIRE(seen.at("workers").size() == 2);
    int asked = 0;
    for (const auto& worker : seen.at("workers")) {
        CHECK(worker.at("state") == "running");
        CHECK(worker.at("attempt") == 1);
        CHECK(worker.at("running_ms") >= 0);
        asked += worker.at("note") == "asked to stop" ? 1 : 0;
    }
    CHECK(asked == 1);
    const program_result text = of_own.run({"pool"});
    INFO(text);
    CHECK(text.out.find("1 waiting, 2 running, 2 finished; 1 worker died in a task") != std::string::npos);
    pool.terminate();
}

TEST_CASE("shmctl pool reads a saved pool whose owner is dead") {
    const shelf of_own;
    const scratch_directory folder;
    const pid_t owner = ::fork();
    REQUIRE(owner >= 0);
    if (owner == 0) {
        cairn::pool pool(1);
        const auto runs = pool.map_async([](int) { sleep_long(); }, std::vector<int>(7), {.chunk_size = 7});
        runs.result();
        ::_exit(0);
    }
    std::string target;
    std::string path;
    for (int i = 0; i < 5000 && path.empty(); ++i) {
        std::this_thread::sleep_for(2ms);
        const nlohmann::json seen = pool_of(of_own.json({"pool"}), owner);
        if (seen.is_null() || seen.at("running_count") != 1) continue;
        target = seen.at("segment").get<std::string>();
        path = cairn::locate_segment(target).path;
    }
    REQUIRE_FALSE(path.empty());
    const std::string saved = folder / "saved";
    {
        // What is backed: the file itself has the size that the segment may grow to.
        std::vector<char> bytes(cairn::inspection(target).facts().committed_bytes.value());
        std::ifstream(path, std::ios::binary).read(bytes.data(), static_cast<std::streamsize>(bytes.size()));
        std::ofstream(saved, std::ios::binary)
            .write(bytes.data(), static_cast<std::streamsize>(bytes.size()));
    }
    ::kill(owner, SIGKILL);
    ::waitpid(owner, nullptr, 0);
    const nlohmann::json seen = pool_of(of_own.json({"pool", saved}), owner);
    REQUIRE(!seen.is_null());
    CHECK(seen.at("is_owner_alive") == false);
    CHECK(seen.at("is_nursery_alive") == false);
    REQUIRE(seen.at("workers").size() == 1);
    CHECK(seen.at("workers").at(0).at("state") == "DEAD");
    CHECK(seen.at("workers").at(0).at("item_count") == 7);
    CHECK(of_own.run({"verify", saved}).code == 0);
}

}  // namespace shmctl_pool_test

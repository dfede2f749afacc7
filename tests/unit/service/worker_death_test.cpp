// worker_death_test.cpp - what the death of a worker comes to is decided once, wherever the supervisor that decides it is killed.
//
// SPDX-License-Identifier: BSL-1.0
#include "service/worker_death.hpp"

#include <chrono>
#include <csetjmp>
#include <csignal>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <random>
#include <set>
#include <utility>

#include <doctest/doctest.h>

#include "support/instruction_steps.hpp"

namespace worker_death_test {

using namespace cairn_test;
using namespace std::chrono_literals;
namespace stored = cairn::detail;

namespace {

struct words_of_all {
    stored::service_table table;
    stored::service_record record;
    stored::service_place places[2];
};

// A service with two workers that are ready.
class supervised {
public:
    explicit supervised(const cairn::service_options& options) {
        family_.options.quiet = true;
        family_.program = "test";
        family_.table = &words_->table;
        family_.services.push_back(
            {.kind = {.name = "printer", .reloads_in_place = false, .says_ready = false, .make = {}},
             .options = options,
             .index = 0,
             .record = &words_->record,
             .places = words_->places});
        words_->record.target = 2;
        words_->record.used_places = 2;
        for (stored::service_place& each : words_->places) be_ready(each.records[0], 4711);
    }
    supervised(const supervised&) = delete;
    supervised& operator=(const supervised&) = delete;
    ~supervised() = default;

    static void be_ready(stored::worker_record& record, std::uint64_t pid) {
        record.stage = stored::service_stage::ready;
        record.pid = pid;
        record.is_ready = 1;
    }

    // As a supervisor does it that finds the dead process: also one that takes over.
    void go_on(stored::worker_record& dead, int code) {
        stored::carry_out_decided_death(family_);
        if (dead.is_there())
            stored::settle_death(family_, family_.services.front(), 0, dead, code, now, random_);
    }
    // True where that has come to an end before its n-th instruction: as by a kill, what it had not stored by then is not stored.
    bool ends_at(std::size_t n, stored::worker_record& dead, int code) {
        static sigjmp_buf here;
        if (sigsetjmp(here, 1) != 0) return true;
        return instruction_steps::interrupt(
            n, [] { siglongjmp(here, 1); }, [&] { go_on(dead, code); });
    }

    [[nodiscard]] stored::service_table& table() { return words_->table; }
    [[nodiscard]] stored::service_record& record() { return words_->record; }
    [[nodiscard]] stored::service_place& place(int i) { return words_->places[i]; }

    static constexpr std::uint64_t now = 1'000'000'000'000;

private:
    std::unique_ptr<words_of_all> words_ = std::make_unique<words_of_all>();
    stored::service_family family_;
    std::minstd_rand random_{1};
};

// A supervisor is killed before its n-th instruction, its successor before another one; the next one goes on. For all n, or each of a
// stride: a step is a signal.
template <typename Prepare, typename Check>
void kill_at_instructions(std::size_t stride, const cairn::service_options& options, int code,
                          const Prepare& prepare, const Check& check) {
    if (!can_step) return;
    {
        // Symbols are looked up at the first call: that would be most of the instructions.
        supervised first(options);
        first.go_on(prepare(first), code);
    }
    std::size_t n = 1;
    for (bool is_killed = true; is_killed; n += stride) {
        CAPTURE(n);
        REQUIRE(n < 20'000);
        supervised all(options);
        stored::worker_record& dead = prepare(all);
        is_killed = all.ends_at(n, dead, code);
        if (is_killed) all.ends_at(1 + n % 257, dead, code);
        all.go_on(dead, code);
        CHECK_FALSE(dead.is_there());
        CHECK(dead.pid == 0);
        CHECK(all.table().has_decided == 0);
        // The hook is told once, and of everything.
        CHECK(all.table().deaths == 1);
        CHECK(all.table().death_ring[0].code == code);
        CHECK(all.table().deaths_lost == 0);
        check(all);
        if (all.table().deaths != 1) return;  // one that failed is enough to read
    }
    CHECK(n > 20);
}

stored::worker_record& only_worker(supervised& all) {
    return all.place(0).records[0];
}

}  // namespace

TEST_CASE("the death of a worker is decided once, wherever its supervisors are killed") {
    kill_at_instructions(1, {.workers = 2, .max_restarts = 3}, 0, only_worker, [](supervised& all) {
        CHECK(all.place(0).failures == 1);
        CHECK(all.place(0).restarts == 1);
        CHECK(all.place(0).not_before == supervised::now);
        CHECK(all.record().restart_count == 1);
        CHECK(all.record().restarts[0] == supervised::now);
        CHECK(all.record().has_given_up == 0);
        CHECK(all.place(1).failures == 0);
        CHECK(all.place(1).records[0].is_there());
    });
}

TEST_CASE("a service is given up by the death that is too many, and not by one that is counted twice") {
    kill_at_instructions(3, {.workers = 2, .max_restarts = 1}, 0, only_worker,
                         [](supervised& all) { CHECK(all.record().has_given_up == 0); });
    kill_at_instructions(3, {.workers = 2, .max_restarts = 0}, 0, only_worker, [](supervised& all) {
        CHECK(all.record().has_given_up == 1);
        CHECK(all.record().restart_count == 1);
        CHECK(all.place(0).restarts == 0);
    });
}

TEST_CASE("a worker that has done its work stays done, however its supervisor ends meanwhile") {
    kill_at_instructions(3, {.workers = 2, .restart = cairn::restart::transient}, 0, only_worker,
                         [](supervised& all) {
                             CHECK(all.place(0).is_done == 1);
                             CHECK(all.place(0).restarts == 0);
                         });
}

TEST_CASE("the death of a reload's new worker gives that reload up once; the old worker stays the one") {
    const auto next = [](supervised& all) -> stored::worker_record& {
        supervised::be_ready(all.place(0).records[1], 4712);
        all.place(0).reload_to = all.place(1).reload_to = 7;
        return all.place(0).records[1];
    };
    kill_at_instructions(3, {.workers = 2}, 0, next, [](supervised& all) {
        CHECK(all.table().reload_failed == 1);
        CHECK(all.place(0).reload_to == 0);
        CHECK(all.place(1).reload_to == 0);
        CHECK(all.place(0).active == 0);
        CHECK(all.place(0).current().is_there());
        CHECK(all.place(0).restarts == 0);
    });
}

TEST_CASE("the old worker dies in a reload: the new one is the worker from then on, whoever is killed") {
    const auto old_one = [](supervised& all) -> stored::worker_record& {
        supervised::be_ready(all.place(0).records[1], 4712);
        return all.place(0).records[0];
    };
    kill_at_instructions(3, {.workers = 2}, 0, old_one, [](supervised& all) {
        CHECK(all.place(0).active == 1);
        CHECK(all.place(0).current().is_there());
        CHECK(all.place(0).restarts == 1);
    });
}

TEST_CASE(
    "a place that dies again waits, twice as long each time up to the most, a tenth more or less at random") {
    supervised all({.workers = 2, .backoff = {100ms, 1s}});
    constexpr std::uint64_t ms = 1'000'000;
    std::set<std::uint64_t> waits;
    for (const std::uint64_t wait : {0U, 100U, 200U, 400U, 800U, 1000U, 1000U, 1000U}) {
        CAPTURE(wait);
        stored::service_place& place = all.place(0);
        supervised::be_ready(place.records[0], 4711);
        place.records[0].started = supervised::now - ms;
        all.go_on(place.records[0], -SIGKILL);
        CHECK(place.last_wait >= wait * ms * 9 / 10);
        CHECK(place.last_wait <= wait * ms * 11 / 10);
        CHECK(place.not_before == supervised::now + place.last_wait);
        waits.insert(place.last_wait);
        // Nobody else's.
        CHECK(all.place(1).failures == 0);
        CHECK(all.place(1).not_before == 0);
    }
    CHECK(waits.size() == 8);  // the last three are as long, but for what is random
    // One that was ready and has lived ten times its wait, and ten seconds, begins anew.
    for (const auto& [lived, is_healthy] : {std::pair{9'999 * ms, false}, {11'001 * ms, true}}) {
        stored::service_place& place = all.place(0);
        supervised::be_ready(place.records[0], 4711);
        place.records[0].started = supervised::now - lived;
        all.go_on(place.records[0], -SIGKILL);
        CHECK((place.last_wait == 0) == is_healthy);
    }
}

TEST_CASE("deaths that nobody reads are counted, and overwrite none that was told") {
    supervised all({.workers = 2});
    all.table().deaths = stored::death_room;
    all.table().death_ring[stored::death_room - 1] = {0, 1, 42};
    all.go_on(all.place(0).records[0], -SIGKILL);
    CHECK(all.table().deaths == stored::death_room);
    CHECK(all.table().deaths_lost == 1);
    CHECK(all.table().death_ring[stored::death_room - 1].code == 42);
}

}  // namespace worker_death_test

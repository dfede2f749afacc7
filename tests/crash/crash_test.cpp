// crash_test.cpp - the crash table: see support/crash/laboratory.hpp.
// SPDX-License-Identifier: BSL-1.0
#include <chrono>
#include <cstdint>
#include <cstdlib>
#include <set>
#include <string>

#include <doctest/doctest.h>

#include "crash/channel_experiment.hpp"
#include "crash/dict_experiment.hpp"
#include "crash/list_rows.hpp"
#include "crash/manager_rows.hpp"
#include "crash/queue_experiment.hpp"
#include "crash/sync_experiment.hpp"
#include "crash/transaction_rows.hpp"
#include "support/crash/laboratory.hpp"
#include "support/crash/write_trap.hpp"
#include "support/early_spans.hpp"

using namespace cairn_test;

namespace {
const early_spans in_all_of_this_program;
}

TEST_CASE("a film of the stores alone shows what stepping through every instruction shows") {
    if (!can_trap_writes() || std::getenv("CAIRN_CRASH_LIST") != nullptr) return;
    experiment_table table;
    add_list_of_word_rows(table);
    add_list_of_string_rows(table);
    // Without a clock, a random number or a process id in what they store.
    const std::set<std::string> names = {
        "list<int64> push_back, needing growth",
        "list<int64> insert, at the front of many",
        "list<int64> sort, a few",
        "list<int64> clear, many, freeing pages",
        "list<int64> reserve, needing growth",
        "list<int64> update, throwing",
    };
    std::size_t compared = 0;
    for (const experiment& row : table) {
        if (!names.contains(row.name)) continue;
        CAPTURE(row.name);
        // Locks hold addresses. Now and then two mappings are in different 4 GiB, and the upper half of one is changed, which is a
        // word like any other. What is different each time is a difference.
        bool is_same = false;
        for (int attempt = 0; attempt < 4 && !is_same; ++attempt) {
            std::uint32_t thread = 0;
            const film stepped = film_by_stepping(row, thread);
            const film stores = film_by_stores(row, thread);
            is_same = stores.frames().size() == stepped.frames().size() &&
                      stores.changed_words() == stepped.changed_words();
        }
        CHECK(is_same);
        ++compared;
    }
    CHECK(compared == names.size());
}

TEST_CASE("an operation has happened whole or not at all when its process is killed at any instruction") {
    experiment_table table;
    add_list_of_word_rows(table);
    add_list_of_string_rows(table);
    add_list_of_other_rows(table);
    add_dict_rows(table);
    add_set_rows(table);
    add_sharded_rows(table);
    add_composite_rows(table);
    add_queue_rows(table);
    add_transaction_rows(table);
    add_pair_rows(table);
    add_once_rows(table);
    add_channel_rows(table);
    add_sync_rows(table);
    add_meeting_rows(table);
    add_value_rows(table);
    add_manager_rows(table);
    add_lifecycle_rows(table);
    add_pool_rows(table);
    add_service_rows(table);

    if (std::getenv("CAIRN_CRASH_LIST") != nullptr) return list_table(table);
    const auto begin = std::chrono::steady_clock::now();
    const std::vector<row_result> results = run_table(table, lab_settings::from_environment());
    report_totals(results, table.size(),
                  std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count());
    for (const row_result& r : results)
        for (const std::string& failure : r.failures) FAIL_CHECK(r.name << ": " << failure);
}

// table_run.cpp - rows shared among processes, and what the run says at its end.
// SPDX-License-Identifier: BSL-1.0
#include <algorithm>
#include <cstdio>
#include <sstream>

#include "support/crash/laboratory.hpp"
#include "support/crash/watched_child.hpp"
#include "support/report.hpp"

namespace cairn_test {

namespace {

struct totals {
    std::uint64_t rows = 0;
    std::uint64_t stepped_rows = 0;
    std::uint64_t instructions = 0;
    std::uint64_t stores = 0;
    checker_counts counts;
    std::uint64_t kills = 0;
    std::uint64_t failures = 0;
    std::vector<double> waits;  // sorted
};

totals sum_of(const std::vector<row_result>& results) {
    totals t;
    t.rows = results.size();
    for (const row_result& r : results) {
        t.stepped_rows += r.instructions != 0 ? 1 : 0;
        t.instructions += r.instructions;
        t.stores += r.stores;
        t.counts += r.counts;
        t.kills += r.kills;
        t.failures += r.failures.size();
        t.waits.insert(t.waits.end(), r.waits.begin(), r.waits.end());
    }
    std::sort(t.waits.begin(), t.waits.end());
    return t;
}

double quantile(const std::vector<double>& sorted, double q) {
    if (sorted.empty()) return 0;
    return sorted[static_cast<std::size_t>(q * static_cast<double>(sorted.size() - 1))];
}

void report(const totals& t, std::size_t rows_of_table, double seconds) {
    const auto number = [](std::uint64_t count) { return static_cast<double>(count); };
    report_figures("crash",
                   {
                       {"rows", number(t.rows)},
                       {"rows_of_table", number(rows_of_table)},
                       {"rows_stepped", number(t.stepped_rows)},
                       {"instructions_stepped", number(t.instructions)},
                       {"stores", number(t.stores)},
                       {"images", number(t.counts.images)},
                       {"images_left_to_other_seeds", number(t.counts.skipped_images)},
                       {"recoveries_filmed", number(t.counts.films)},
                       {"recovery_images", number(t.counts.recovery_images)},
                       {"recovery_images_left_to_other_seeds", number(t.counts.skipped_recovery_images)},
                       {"real_kills", number(t.kills)},
                       {"waits", number(t.waits.size())},
                       {"wait_min_microseconds", quantile(t.waits, 0)},
                       {"wait_median_microseconds", quantile(t.waits, 0.5)},
                       {"wait_p99_microseconds", quantile(t.waits, 0.99)},
                       {"wait_max_microseconds", quantile(t.waits, 1)},
                       {"failures", number(t.failures)},
                       {"seconds", seconds},
                   });
}

void print_row(const row_result& r) {
    std::printf("%-62s %8llu %-12s %5llu images %6llu of recoveries %3llu kills %6.2f s%s\n", r.name.c_str(),
                static_cast<unsigned long long>(r.instructions != 0 ? r.instructions : r.stores),
                r.instructions != 0 ? "instructions" : "stores",
                static_cast<unsigned long long>(r.counts.images),
                static_cast<unsigned long long>(r.counts.recovery_images),
                static_cast<unsigned long long>(r.kills), r.seconds, r.failures.empty() ? "" : "  FAILED");
    for (const std::string& failure : r.failures) std::printf("    %s\n", failure.c_str());
    std::fflush(stdout);
}

}  // namespace

std::vector<row_result> run_table(const experiment_table& table, const lab_settings& settings) {
    std::vector<const experiment*> chosen;
    for (std::size_t i = 0; i < table.size(); ++i) {
        const bool is_asked_for = table[i].name.find(settings.only) != std::string::npos;
        if (is_asked_for && (i + settings.seed) % settings.row_share == 0) chosen.push_back(&table[i]);
    }
    std::vector<row_result> results(chosen.size());
    for (std::size_t i = 0; i < chosen.size(); ++i) results[i].name = chosen[i]->name;
    share_among_children(
        chosen.size(),
        [&](std::size_t number, const line_writer& tell) {
            const row_result result = run_row(*chosen[number], settings);
            for (const std::string& failure : result.failures)
                tell("failure " + std::to_string(number) + " " + failure);
            std::ostringstream words;
            words << "result " << number << ' ' << result;
            tell(words.str());
        },
        [&](const std::string& line) {
            std::istringstream words(line);
            std::string kind;
            std::size_t number = 0;
            if (!(words >> kind >> number) || number >= results.size()) return;
            if (kind == "failure") {
                std::string rest;
                std::getline(words >> std::ws, rest);
                results[number].failures.push_back(rest);
            } else if (kind == "result") {
                words >> results[number];
                print_row(results[number]);
            }
        },
        [&](std::size_t number, const std::string& how) {
            results[number].failures.push_back("the process that ran this row " + how);
            print_row(results[number]);
        });
    return results;
}

void list_table(const experiment_table& table) {
    for (const experiment& e : table)
        for (const std::string& operation : e.covers) std::printf("covers %s\n", operation.c_str());
}

void report_totals(const std::vector<row_result>& results, std::size_t rows_of_table, double seconds) {
    const totals t = sum_of(results);
    std::ostringstream line;
    line << "crash table: " << t.rows << " of " << rows_of_table << " rows, stopped at " << t.stores
         << " stores, " << t.stepped_rows << " of them stepped through " << t.instructions
         << " instructions, " << t.counts.images << " distinct images, " << t.counts.recovery_images
         << " distinct images of " << t.counts.films << " recoveries, " << t.kills << " real kills, "
         << static_cast<int>(seconds) << " s";
    if (t.counts.skipped_images + t.counts.skipped_recovery_images != 0) {
        line << "; left to other seeds: " << t.counts.skipped_images << " images, "
             << t.counts.skipped_recovery_images << " of recoveries";
    }
    std::printf("%s\n", line.str().c_str());
    std::printf("from a kill to the next one's finished operation: %zu waits, min %.0f us, median %.0f us, "
                "p99 %.0f us, "
                "max %.0f us\n",
                t.waits.size(), quantile(t.waits, 0), quantile(t.waits, 0.5), quantile(t.waits, 0.99),
                quantile(t.waits, 1));
    std::fflush(stdout);
    report(t, rows_of_table, seconds);
}

}  // namespace cairn_test

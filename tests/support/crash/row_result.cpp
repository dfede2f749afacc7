// SPDX-License-Identifier: BSL-1.0
#include "support/crash/row_result.hpp"

#include <cstdlib>
#include <istream>
#include <ostream>

namespace cairn_test {

namespace {

std::uint64_t number_in(const char* variable) {
    const char* text = std::getenv(variable);
    return text == nullptr ? 0 : std::strtoull(text, nullptr, 10);
}

}  // namespace

checker_counts& checker_counts::operator+=(const checker_counts& other) noexcept {
    images += other.images;
    skipped_images += other.skipped_images;
    films += other.films;
    recovery_images += other.recovery_images;
    skipped_recovery_images += other.skipped_recovery_images;
    return *this;
}

std::ostream& operator<<(std::ostream& words, const checker_counts& counts) {
    return words << counts.images << ' ' << counts.skipped_images << ' ' << counts.films << ' '
                 << counts.recovery_images << ' ' << counts.skipped_recovery_images;
}

std::istream& operator>>(std::istream& words, checker_counts& counts) {
    return words >> counts.images >> counts.skipped_images >> counts.films >> counts.recovery_images >>
           counts.skipped_recovery_images;
}

std::ostream& operator<<(std::ostream& words, const row_result& result) {
    words << result.instructions << ' ' << result.stores << ' ' << result.counts << ' ' << result.kills << ' '
          << result.seconds;
    for (const double wait : result.waits) words << ' ' << wait;
    return words;
}

std::istream& operator>>(std::istream& words, row_result& result) {
    words >> result.instructions >> result.stores >> result.counts >> result.kills >> result.seconds;
    for (double wait = 0; words >> wait;) result.waits.push_back(wait);
    return words;
}

namespace {
// All take seven minutes of two idle processors.
constexpr std::uint64_t usual_row_share = 3;
}  // namespace

lab_settings lab_settings::from_environment() {
    lab_settings settings;
    settings.seed = number_in("CAIRN_CRASH_SEED");
    settings.full = number_in("CAIRN_FULL") != 0;
    settings.step_all = settings.full || number_in("CAIRN_CRASH_STEP_ALL") != 0;
    if (const char* only = std::getenv("CAIRN_CRASH_ROWS")) settings.only = only;
    if (!settings.step_all && settings.only.empty()) settings.row_share = usual_row_share;
    return settings;
}

}  // namespace cairn_test

// SPDX-License-Identifier: BSL-1.0
#include "report.hpp"

#include <cmath>
#include <cstdint>
#include <cstdlib>
#include <fstream>
#include <map>
#include <stdexcept>

namespace cairn_test {

namespace {

using figures_by_key = std::map<std::string, double>;

void write_number(std::ostream& to, double number) {
    // Counts without a point or an exponent, up to where a double is exact.
    if (number == std::floor(number) && std::fabs(number) < 9e15) to << static_cast<std::int64_t>(number);
    else to << number;
}

}  // namespace

void report_figures(const std::string& suite, const std::vector<std::pair<std::string, double>>& figures) {
    const char* directory = std::getenv("CAIRN_REPORT_DIR");
    if (directory == nullptr || *directory == '\0') return;
    static std::map<std::string, figures_by_key> reported;
    figures_by_key& all = reported[suite];
    for (const auto& [key, number] : figures) all[key] = number;

    const std::string path = std::string(directory) + "/" + suite + ".json";
    std::ofstream to(path);
    to << "{";
    const char* separator = "\n";
    for (const auto& [key, number] : all) {
        to << separator << "  \"" << key << "\": ";
        write_number(to, number);
        separator = ",\n";
    }
    to << "\n}\n";
    if (!to.flush()) throw std::runtime_error("cannot write the report " + path);
}

}  // namespace cairn_test

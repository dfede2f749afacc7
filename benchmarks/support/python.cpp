// SPDX-License-Identifier: BSL-1.0
#include "support/python.hpp"

#include <array>
#include <cstdio>
#include <cstdlib>

namespace cairn_bench {

namespace {

bool is_smoke = false;

}  // namespace

void set_smoke_run(bool is_one) {
    is_smoke = is_one;
}
bool is_smoke_run() {
    return is_smoke;
}

double python_figure(const std::string& name, int count) {
    const std::string command =
        "python3 '" CAIRN_BENCH_SUPPORT "/python_pools.py' " + name + " " + std::to_string(count) + " 2>&1";
    std::FILE* const output = ::popen(command.c_str(), "r");
    if (output == nullptr) throw not_here("no process for python3");
    std::array<char, 256> text{};
    const bool has_text = std::fgets(text.data(), text.size(), output) != nullptr;
    const int status = ::pclose(output);
    char* end = text.data();
    const double figure = std::strtod(text.data(), &end);
    if (!has_text || status != 0 || end == text.data())
        throw not_here("python3: " + std::string(text.data()));
    return figure;
}

void add_python(const std::string& name, const std::string& python_name, int count, int count_of_smoke_run) {
    add(name,
        [=](benchmark::State& state) {
            for (auto _ : state)
                state.SetIterationTime(1e-9 *
                                       python_figure(python_name, is_smoke ? count_of_smoke_run : count));
        })
        ->UseManualTime()
        ->Iterations(1);
}

}  // namespace cairn_bench

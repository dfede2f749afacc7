// SPDX-License-Identifier: BSL-1.0
#include "report.hpp"

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <iostream>
#include <map>
#include <optional>
#include <utility>

namespace cairn_bench {

namespace {

struct comparison {
    std::string operation;
    figure ours;
    std::string peer_name;
    figure peer;
    goal wanted;
};

/// All that was measured of one figure, sorted.
class distribution {
public:
    explicit distribution(std::vector<double> values) : values_(std::move(values)) {
        std::sort(values_.begin(), values_.end());
    }
    [[nodiscard]] double at(double quantile) const {
        const double place = quantile * static_cast<double>(values_.size() - 1);
        const auto below = static_cast<std::size_t>(place);
        const std::size_t above = std::min(below + 1, values_.size() - 1);
        return std::lerp(values_[below], values_[above], place - static_cast<double>(below));
    }
    [[nodiscard]] double median() const { return at(0.5); }
    [[nodiscard]] std::size_t count() const { return values_.size(); }

private:
    std::vector<double> values_;
};

struct measured {
    std::vector<double> nanoseconds;  // one mean for each repetition
    std::vector<double> samples;      // single durations, where a benchmark gives them
    std::map<std::string, std::vector<double>> counters;

    [[nodiscard]] const std::vector<double>* find(const std::string& counter) const {
        if (counter.empty()) return samples.empty() ? &nanoseconds : &samples;
        const auto found = counters.find(counter);
        return found == counters.end() ? nullptr : &found->second;
    }
};

std::vector<comparison> comparisons;
std::map<std::string, measured> results;  // by the name given to add()
bool failed = false;

std::string text(const char* format, double value) {
    char buffer[64];
    // NOLINTNEXTLINE(cppcoreguidelines-pro-type-vararg): <format> is not there in GCC 12
    std::snprintf(buffer, sizeof buffer, format, value);
    return buffer;
}

/// Three digits that count, and the unit.
std::string duration(double nanoseconds) {
    const double size = std::abs(nanoseconds);
    if (size < 10) return text("%.2f ns", nanoseconds);
    if (size < 100) return text("%.1f ns", nanoseconds);
    if (size < 10'000) return text("%.0f ns", nanoseconds);
    if (size < 10e6) return text("%.0f us", nanoseconds / 1e3);
    return text("%.1f ms", nanoseconds / 1e6);
}

std::string show(double value, const std::string& counter) {
    return counter.empty() ? duration(value) : text("%.4g", value);
}

std::string in_columns(const std::vector<std::string>& cells, const std::vector<std::size_t>& widths) {
    std::string line;
    for (std::size_t i = 0; i < cells.size(); ++i) {
        if (i != 0) line += "  ";
        line += cells[i];
        if (i + 1 < cells.size()) line.append(widths[i] - std::min(widths[i], cells[i].size()), ' ');
    }
    return line;
}

/// Prints a line for each benchmark when the last of its repetitions has ended.
class reporter : public benchmark::BenchmarkReporter {
public:
    bool ReportContext(const Context& context) override {
        PrintBasicContext(&GetErrorStream(), context);
        GetOutputStream() << in_columns({"benchmark", "median", "quartiles", "runs", "counters (medians)"},
                                        {56, 10, 22, 5, 0})
                          << '\n';
        return true;
    }

    void ReportRuns(const std::vector<Run>& runs) override {
        if (runs.empty()) return;
        const std::string& name = runs.front().run_name.function_name;
        measured& all = results[name];
        bool news =
            false;  // the means and deviations that Google Benchmark makes come in a call of their own
        for (const Run& run : runs) {
            if (run.run_type != Run::RT_Iteration) continue;
            news = true;
            if (run.error_occurred) {
                GetOutputStream() << name << ": " << run.error_message << '\n';
                failed = failed || run.error_message.rfind("skipped", 0) != 0;
                continue;
            }
            const auto iterations = static_cast<double>(std::max<std::int64_t>(run.iterations, 1));
            all.nanoseconds.push_back(run.real_accumulated_time * 1e9 / iterations);
            for (const auto& [counter, value] : run.counters) all.counters[counter].push_back(value.value);
        }
        if (all.nanoseconds.empty()) {
            results.erase(name);
            return;
        }
        if (news) print(name, all);
    }

private:
    void print(const std::string& name, const measured& all) {
        const distribution times(*all.find({}));
        std::string more;
        if (!all.samples.empty())
            more = "min=" + duration(times.at(0)) + " p99=" + duration(times.at(0.99)) +
                   " max=" + duration(times.at(1)) + " ";
        for (const auto& [counter, values] : all.counters)
            more += counter + "=" + text("%.4g", distribution(values).median()) + " ";
        GetOutputStream() << in_columns({name, duration(times.median()),
                                         duration(times.at(0.25)) + " - " + duration(times.at(0.75)),
                                         std::to_string(times.count()), more},
                                        {56, 10, 22, 5, 0})
                          << std::endl;
    }
};

std::optional<distribution> find(const figure& f) {
    const auto found = results.find(f.benchmark);
    if (found == results.end()) return std::nullopt;
    const std::vector<double>* values = found->second.find(f.counter);
    if (values == nullptr || values->empty()) return std::nullopt;
    return distribution(*values);
}

/// "<= 1.15 x: yes", or how far it is.
std::string verdict(const goal& wanted, double ours, double peer) {
    double value = 0;
    switch (wanted.of) {
        case goal::kind::none: return "-";
        case goal::kind::ratio: value = ours / peer; break;
        case goal::kind::nanoseconds: value = ours; break;
        case goal::kind::difference: value = ours - peer; break;
    }
    const auto say = [&](double limit) {
        switch (wanted.of) {
            case goal::kind::ratio: return text("%.3g x", limit);
            case goal::kind::difference: return "+" + duration(limit);
            default: return duration(limit);
        }
    };
    std::string line;
    for (const auto& [word, limit] : {std::pair{"", wanted.first}, std::pair{"then ", wanted.then}}) {
        if (limit == 0) continue;
        if (!line.empty()) line += ", ";
        line += word + ("<= " + say(limit)) +
                (value <= limit ? ": yes" : text(": no, %.2f of it", value / limit));
    }
    return line;
}

void print_comparisons() {
    std::vector<std::vector<std::string>> lines = {
        {"operation", "ours", "peer", "", "ratio", "(quartiles)", "goal"}};
    for (const comparison& c : comparisons) {
        const std::optional<distribution> ours = find(c.ours);
        const std::optional<distribution> peer = find(c.peer);
        if (!ours || !peer) continue;
        std::string ratio = text("%.2f", ours->median() / peer->median());
        if (c.wanted.of == goal::kind::difference) ratio += ", +" + duration(ours->median() - peer->median());
        lines.push_back({c.operation, show(ours->median(), c.ours.counter),
                         show(peer->median(), c.peer.counter), c.peer_name, ratio,
                         text("%.2f", ours->at(0.25) / peer->at(0.75)) + " - " +
                             text("%.2f", ours->at(0.75) / peer->at(0.25)),
                         verdict(c.wanted, ours->median(), peer->median())});
    }
    if (lines.size() == 1) return;
    std::vector<std::size_t> widths(lines.front().size());
    for (const auto& line : lines)
        for (std::size_t i = 0; i < line.size(); ++i) widths[i] = std::max(widths[i], line[i].size());
    std::cout << '\n';
    for (const auto& line : lines) std::cout << in_columns(line, widths) << '\n';
    std::cout << std::flush;
}

}  // namespace

goal times_the_peer(double first, double then) {
    return {goal::kind::ratio, first, then};
}
goal nanoseconds(double first, double then) {
    return {goal::kind::nanoseconds, first, then};
}
goal more_than_the_peer(double first, double then) {
    return {goal::kind::difference, first, then};
}

void compare(std::string operation, figure ours, std::string peer_name, figure peer, goal wanted) {
    comparisons.push_back(
        {std::move(operation), std::move(ours), std::move(peer_name), std::move(peer), wanted});
}

bool is_smoke_run(int argc, char** argv) {
    return std::any_of(argv + 1, argv + argc,
                       [](const char* word) { return std::string(word) == "--benchmark_min_time=0.001"; });
}

benchmark::internal::Benchmark* add(const std::string& name, std::function<void(benchmark::State&)> body) {
    return benchmark::RegisterBenchmark(name.c_str(), [body = std::move(body)](benchmark::State& state) {
        try {
            body(state);
        } catch (const not_here& e) {
            state.SkipWithError((std::string("skipped: ") + e.what()).c_str());
        } catch (const std::exception& e) {
            state.SkipWithError(e.what());
        }
    });
}

void add_samples(const std::string& name, const std::vector<double>& samples) {
    std::vector<double>& all = results[name].samples;
    all.insert(all.end(), samples.begin(), samples.end());
}

int run(int argc, char** argv) {
    std::vector<std::string> arguments = {argc > 0 ? argv[0] : "benchmark", "--benchmark_repetitions=9",
                                          "--benchmark_min_time=0.1",
                                          "--benchmark_enable_random_interleaving=true"};
    if (argc > 1) arguments.insert(arguments.end(), argv + 1, argv + argc);
    std::vector<char*> pointers;
    for (std::string& argument : arguments) pointers.push_back(argument.data());
    int count = static_cast<int>(pointers.size());
    pointers.push_back(nullptr);

    benchmark::Initialize(&count, pointers.data());
    if (benchmark::ReportUnrecognizedArguments(count, pointers.data())) return 2;
    reporter display;
    benchmark::RunSpecifiedBenchmarks(&display);
    print_comparisons();
    benchmark::Shutdown();
    return failed ? 1 : 0;
}

}  // namespace cairn_bench

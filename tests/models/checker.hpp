// checker.hpp - a small explicit-state model checker for models that would take too long in Python (checker.py).
//
// A model gives, for a state, every state that one step, one kill or one tick of the clock leads to. All of them are
// visited, breadth first, so that the way to a flaw is the shortest. States are plain bytes without padding.
//
// A state is quiet when nobody can step: only the clock goes on. What it says then is the point: nobody may sleep for
// ever, and a model may tell sleeps that only a tick ends from those that need none.
//
// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <cstdint>
#include <cstdio>
#include <deque>
#include <functional>
#include <map>
#include <string>
#include <string_view>
#include <type_traits>
#include <unordered_map>
#include <vector>

#include "support/report.hpp"

namespace cairn_model {

enum class way { step, kill, tick };

template <typename State>
class explorer {
    static_assert(std::has_unique_object_representations_v<State>);

public:
    using visit = std::function<void(const State& next, int process, const char* what, way how)>;

    std::function<void(const State&, const visit&)> successors;
    std::function<std::string(const State&)> flaw_of_quiet;  // empty: all is well
    std::function<bool(const State&)> is_last_resort;        // quiet, and only a tick goes on
    bool ticks_must_help = false;  // from everywhere, a state that is well can be reached

    struct result {
        std::size_t state_count = 0;
        std::size_t last_resort_count = 0;
        std::map<std::string, std::vector<std::string>> flaws;  // what is wrong: the steps that lead there
    };

    result run(const State& first, std::size_t limit = 4'000'000) {
        result r;
        add(first, none);
        std::vector<std::uint32_t> well;
        for (std::uint32_t i = 0; i < states_.size(); ++i) {
            if (states_.size() > limit) {
                r.flaws["too many states"] = {};
                break;
            }
            const State state = *states_[i];
            bool has_step = false;
            successors(state, [&](const State& next, int, const char*, way how) {
                const std::uint32_t to = add(next, i);
                if (how == way::step) has_step = true;
                if (how != way::kill && ticks_must_help) edges_.push_back({to, i});
            });
            if (has_step) continue;
            if (std::string flaw = flaw_of_quiet(state); !flaw.empty()) {
                if (!r.flaws.contains(flaw)) r.flaws[flaw] = path_to(i);
            } else if (is_last_resort(state)) ++r.last_resort_count;
            else well.push_back(i);
        }
        if (ticks_must_help && r.flaws.empty()) look_for_what_no_tick_ends(r, well);
        r.state_count = states_.size();
        return r;
    }

private:
    static constexpr std::uint32_t none = ~std::uint32_t{0};

    struct hash {
        std::size_t operator()(const State& s) const noexcept {
            return std::hash<std::string_view>{}({reinterpret_cast<const char*>(&s), sizeof s});
        }
    };
    struct edge {
        std::uint32_t to;
        std::uint32_t from;
    };

    std::uint32_t add(const State& s, std::uint32_t from) {
        const auto [at, is_new] = numbers_.try_emplace(s, static_cast<std::uint32_t>(states_.size()));
        if (is_new) {
            states_.push_back(&at->first);
            reached_from_.push_back(from);
        }
        return at->second;
    }

    std::vector<std::string> path_to(std::uint32_t i) {
        std::deque<std::string> path;
        for (; reached_from_[i] != none; i = reached_from_[i]) {
            std::string text;
            const State& wanted = *states_[i];
            successors(*states_[reached_from_[i]],
                       [&](const State& next, int process, const char* what, way) {
                           if (text.empty() && next == wanted) text = std::to_string(process) + ": " + what;
                       });
            path.push_front(text);
        }
        return {path.begin(), path.end()};
    }

    // Backwards from the states that are well, along steps and ticks.
    void look_for_what_no_tick_ends(result& r, std::vector<std::uint32_t> work) {
        std::vector<std::vector<std::uint32_t>> from(states_.size());
        for (const edge& e : edges_) from[e.to].push_back(e.from);
        std::vector<bool> reaches(states_.size());
        for (const std::uint32_t i : work) reaches[i] = true;
        while (!work.empty()) {
            const std::uint32_t to = work.back();
            work.pop_back();
            for (const std::uint32_t i : from[to]) {
                if (reaches[i]) continue;
                reaches[i] = true;
                work.push_back(i);
            }
        }
        for (std::uint32_t i = 0; i < states_.size(); ++i) {
            if (reaches[i]) continue;
            r.flaws["nothing ends this sleep, not even a tick"] = path_to(i);
            return;
        }
    }

    std::vector<const State*> states_;  // the map's keys stay where they are
    std::vector<std::uint32_t> reached_from_;
    std::unordered_map<State, std::uint32_t, hash> numbers_;
    std::vector<edge> edges_;
};

/// Collects what models have found, and what they had to: nothing, or a flaw when a rule is left out.
class suite {
public:
    explicit suite(std::string name) : name_(std::move(name)) {}

    template <typename Result>
    void expect(const char* what, const Result& r, const char* flaw = nullptr) {
        bool good = flaw == nullptr && r.flaws.empty();
        std::string said;
        for (const auto& [problem, path] : r.flaws) {
            if (flaw != nullptr && problem.find(flaw) != std::string::npos) good = true;
            said += (said.empty() ? "" : "; ") + problem;
        }
        std::printf("%s %s: %zu states, %zu that only a tick ends, %s\n", good ? "ok  " : "FAIL", what,
                    r.state_count, r.last_resort_count, said.empty() ? "clean" : said.c_str());
        if (!good) {
            ++failed_;
            for (const auto& [problem, path] : r.flaws) {
                std::printf("     %s:\n", problem.c_str());
                for (const std::string& step : path) std::printf("       %s\n", step.c_str());
            }
        }
        ++(flaw == nullptr ? checked_ : left_out_);
        states_ += r.state_count;
        last_resorts_ += r.last_resort_count;
    }

    int finish() {
        std::printf("%d checked, %d rules left out, %d failed\n", checked_, left_out_, failed_);
        cairn_test::report_figures("model_" + name_,
                                   {{"checked", checked_},
                                    {"rules_left_out", left_out_},
                                    {"states", static_cast<double>(states_)},
                                    {"states_that_only_a_tick_ends", static_cast<double>(last_resorts_)},
                                    {"failures", failed_}});
        return failed_ == 0 ? 0 : 1;
    }

private:
    std::string name_;
    int checked_ = 0;
    int left_out_ = 0;
    int failed_ = 0;
    std::size_t states_ = 0;
    std::size_t last_resorts_ = 0;
};

}  // namespace cairn_model

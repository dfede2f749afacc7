// SPDX-License-Identifier: BSL-1.0
#include "cairn/periodic.hpp"

#include <algorithm>
#include <array>
#include <cstdio>
#include <ostream>
#include <utility>

#include "periodic/periodic_core.hpp"

namespace cairn::inline CAIRN_ABI {

never_again::~never_again() = default;

namespace detail {

periodic_call::~periodic_call() = default;

}  // namespace detail

std::ostream& operator<<(std::ostream& to, strategy s) {
    switch (s) {
        case strategy::last_started: return to << "last_started";
        case strategy::last_started_jitter: return to << "last_started_jitter";
        case strategy::last_finished: return to << "last_finished";
        case strategy::last_finished_jitter: return to << "last_finished_jitter";
        case strategy::aligned_last_finished: return to << "aligned_last_finished";
        case strategy::aligned_last_finished_jitter: return to << "aligned_last_finished_jitter";
        case strategy::fixed_rate: return to << "fixed_rate";
    }
    return to << "strategy(" << static_cast<int>(s) << ')';
}

std::ostream& operator<<(std::ostream& to, run_kind kind) {
    return to << (kind == run_kind::immediate ? "immediate" : "periodic");
}

// -- periodic -------------------------------------------------------------------------------------------------------

namespace {

std::string seconds_text(double seconds) {
    std::array<char, 64> text;
    std::snprintf(text.data(), text.size(), "%g", seconds);
    return text.data();
}

std::string long_seconds_text(detail::long_nanoseconds time) {
    return seconds_text(static_cast<double>(time.count() / 1e9L)) + " s";
}

}  // namespace

periodic::periodic(exact spacing, periodic_options options) : spacing_(0), options_(std::move(options)) {
    const std::string what =
        options_.name.empty() ? std::string("make a periodic: ") : "make periodic '" + options_.name + "': ";
    const detail::long_nanoseconds given = spacing.spacing;
    if (!(given.count() > 0)) {
        if (!options_.enabled) return;
        throw invalid_argument(what + "the spacing is " + long_seconds_text(given) +
                               ", expected more than 0");
    }
    const detail::long_nanoseconds after = options_.phase.after();
    if (!(after.count() >= 0))
        throw invalid_argument(what + ".phase is " + long_seconds_text(after) + ", expected 0 or more");
    if (options_.run_immediately && (options_.phase.is_random() || options_.phase.is_given()))
        throw invalid_argument(what + ".run_immediately and .phase both say when the first run is due");
    spacing_ = time_limit(given).nanoseconds();
}

// -- periodic_watcher -----------------------------------------------------------------------------------------------

namespace {

const detail::periodic_work& required_work(const detail::periodic_work* work) {
    if (work == nullptr) {
        throw invalid_state("look at a periodic_watcher: it watches nothing (add() of what is not enabled "
                            "returns such a one)");
    }
    return *work;
}

const char* as_python(bool value) {
    return value ? "True" : "False";
}

}  // namespace

periodic_watcher::periodic_watcher() noexcept = default;
periodic_watcher::periodic_watcher(std::shared_ptr<detail::periodic_core> core,
                                   std::shared_ptr<detail::periodic_work> work) noexcept
    : core_(std::move(core)), work_(std::move(work)) {}

std::string periodic_watcher::name() const {
    return work_ == nullptr ? std::string() : work_->name;
}

std::chrono::nanoseconds periodic_watcher::spacing() const {
    return required_work(work_.get()).spacing;
}
periodic_metrics periodic_watcher::metrics() const {
    const detail::periodic_work& work = required_work(work_.get());
    return core_->metrics_of(work);
}
bool periodic_watcher::active() const {
    const detail::periodic_work& work = required_work(work_.get());
    return core_->is_under_way(work);
}
bool periodic_watcher::is_leader() const {
    const detail::periodic_work& work = required_work(work_.get());
    return core_->is_leader_of(work);
}
std::optional<periodic_watcher::seconds> periodic_watcher::runs_in() const {
    const detail::periodic_work& work = required_work(work_.get());
    const auto left = core_->time_until_next(work);
    return left ? std::optional<seconds>(*left) : std::nullopt;
}

std::ostream& operator<<(std::ostream& to, const periodic_watcher& w) {
    if (!w.valid()) return to << "<Watcher of nothing>";
    const periodic_metrics now = w.metrics();
    std::array<char, 512> metrics;
    std::snprintf(
        metrics.data(), metrics.size(),
        "{'runs': %llu, 'elapsed': %.6g, 'elapsed_waiting': %.6g, 'failures': %llu, 'successes': %llu, "
        "'requested_stop': %s, 'late': %.6g, 'skipped': %llu}",
        static_cast<unsigned long long>(now.runs), now.elapsed.count(), now.elapsed_waiting.count(),
        static_cast<unsigned long long>(now.failures), static_cast<unsigned long long>(now.successes),
        as_python(now.requested_stop), now.late.count(), static_cast<unsigned long long>(now.skipped));
    return to << "<Watcher(metrics=" << metrics.data() << ", work=Work(name='" << w.name() << "')) object at "
              << static_cast<const void*>(w.work_.get()) << '>';
}

// -- the table ------------------------------------------------------------------------------------------------------

namespace {

struct table_row {
    const periodic_watcher& watcher;
    periodic_metrics metrics;
};

std::string four_places(double seconds) {
    std::array<char, 64> text;
    std::snprintf(text.data(), text.size(), "%.4fs", seconds);
    return text.data();
}

std::string average_cell(const table_row& row, double seconds) {
    return row.metrics.runs == 0 ? "." : four_places(seconds);  // futurist's
}

struct table_column {
    const char* name;
    std::string (*cell)(const table_row& row);
};

constexpr std::array<table_column, 12> table_columns{{
    {"Name", [](const table_row& row) { return row.watcher.name(); }},
    {"Active", [](const table_row& row) { return std::string(as_python(row.watcher.active())); }},
    {"Periodicity",
     [](const table_row& row) {
         return seconds_text(std::chrono::duration<double>(row.watcher.spacing()).count());
     }},
    {"Runs in",
     [](const table_row& row) {
         const auto left = row.watcher.runs_in();
         return left ? four_places(left->count()) : std::string("n/a");
     }},
    {"Runs", [](const table_row& row) { return std::to_string(row.metrics.runs); }},
    {"Failures", [](const table_row& row) { return std::to_string(row.metrics.failures); }},
    {"Successes", [](const table_row& row) { return std::to_string(row.metrics.successes); }},
    {"Stop Requested",
     [](const table_row& row) { return std::string(as_python(row.metrics.requested_stop)); }},
    {"Average elapsed",
     [](const table_row& row) { return average_cell(row, row.metrics.average_elapsed.count()); }},
    {"Average elapsed waiting",
     [](const table_row& row) { return average_cell(row, row.metrics.average_elapsed_waiting.count()); }},
    {"Late", [](const table_row& row) { return four_places(row.metrics.late.count()); }},
    {"Skipped", [](const table_row& row) { return std::to_string(row.metrics.skipped); }},
}};

const table_column& column_named(std::string_view name) {
    const auto found = std::find_if(table_columns.begin(), table_columns.end(),
                                    [&](const table_column& each) { return each.name == name; });
    if (found != table_columns.end()) return *found;
    std::string known;
    for (const table_column& each : table_columns) known.append(known.empty() ? "" : ", ").append(each.name);
    throw invalid_argument("pformat of periodic_worker: there is no column '" + std::string(name) +
                           "'; they are: " + known);
}

// As prettytable's: where the room is odd, words of odd length stand further left, the others further right.
void append_centred(std::string& to, const std::string& text, std::size_t width) {
    const std::size_t room = width - text.size();
    const std::size_t before = room / 2 + (room % 2 != 0 && text.size() % 2 == 0 ? 1 : 0);
    to.append(before, ' ').append(text).append(room - before, ' ');
}

std::string table_of(const std::vector<const table_column*>& columns,
                     const std::vector<periodic_watcher>& watchers) {
    std::vector<std::vector<std::string>> lines;
    lines.emplace_back();
    for (const table_column* const each : columns) lines.back().emplace_back(each->name);
    for (const periodic_watcher& watcher : watchers) {
        std::vector<std::string> cells;
        try {
            const table_row row{watcher, watcher.metrics()};
            for (const table_column* const each : columns) cells.push_back(each->cell(row));
        } catch (const object_gone&) {
            continue;  // removed meanwhile
        }
        lines.push_back(std::move(cells));
    }
    std::vector<std::size_t> widths(columns.size());
    for (const auto& cells : lines)
        for (std::size_t i = 0; i < cells.size(); ++i) widths[i] = std::max(widths[i], cells[i].size());

    std::string rule = "+";
    for (const std::size_t width : widths) rule.append(width + 2, '-').append("+");
    std::string text = rule;
    for (std::size_t line = 0; line < lines.size(); ++line) {
        text += "\n|";
        for (std::size_t i = 0; i < widths.size(); ++i) {
            append_centred(text, lines[line][i], widths[i] + 2);
            text += '|';
        }
        if (line == 0) text.append("\n").append(rule);
    }
    return text.append("\n").append(rule);
}

template <typename Names>
std::string table_with(const Names& names, const std::vector<periodic_watcher>& watchers) {
    std::vector<const table_column*> columns;
    for (const auto& each : names) columns.push_back(&column_named(each));
    if (columns.empty())
        throw invalid_argument("pformat of periodic_worker: no column was given, expected one or more");
    return table_of(columns, watchers);
}

}  // namespace

std::string periodic_worker::pformat() const {
    std::vector<const table_column*> columns;
    for (const table_column& each : table_columns) columns.push_back(&each);
    return table_of(columns, watchers());
}
std::string periodic_worker::pformat(std::initializer_list<std::string_view> columns) const {
    return table_with(columns, watchers());
}
std::string periodic_worker::pformat(const std::vector<std::string>& columns) const {
    return table_with(columns, watchers());
}
std::ostream& operator<<(std::ostream& to, const periodic_worker& w) {
    return to << w.pformat();
}

// -- periodic_worker ------------------------------------------------------------------------------------------------

periodic_worker::periodic_worker(const periodic_worker_options& options)
    : core_(detail::periodic_core::make(options)) {}

periodic_worker::~periodic_worker() {
    core_->let_go();
}

periodic_watcher periodic_worker::add_call(const periodic& when,
                                           std::unique_ptr<detail::periodic_call> call) {
    auto work = core_->add(when, std::move(call));
    if (work == nullptr) return {};
    return {core_->shared_from_this(), std::move(work)};
}

void periodic_worker::remove(const periodic_watcher& watcher) {
    if (watcher.core_.get() != core_) {
        throw invalid_argument(watcher.valid() ? "remove '" + watcher.name() +
                                                     "' from periodic_worker: it is of another worker"
                                               : "remove from periodic_worker: the watcher is of nothing");
    }
    core_->remove(watcher.work_);
}

void periodic_worker::start(const periodic_start_options& options) {
    core_->start(options);
}
void periodic_worker::start_async(const periodic_start_options& options) {
    core_->start_async(options);
}
void periodic_worker::stop() {
    core_->stop();
}
void periodic_worker::wait() {
    static_cast<void>(core_->wait_until_ended(detail::no_deadline));
}
bool periodic_worker::wait_until_ended(detail::steady_time deadline) {
    return core_->wait_until_ended(deadline);
}
void periodic_worker::reset() {
    core_->reset();
}
bool periodic_worker::running() const {
    return core_->is_active();
}
std::size_t periodic_worker::size() const {
    return core_->works().size();
}
std::vector<periodic_watcher> periodic_worker::watchers() const {
    std::vector<periodic_watcher> all;
    for (auto& work : core_->works()) all.emplace_back(core_->shared_from_this(), std::move(work));
    return all;
}

}  // namespace cairn::inline CAIRN_ABI

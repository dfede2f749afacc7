// lifecycle_rows.cpp - segments are created, opened, closed and lose their names, and the process dies in between.
//
// What others can see is the name and the bytes behind it. Each distinct state of these is put into a directory, where
// somebody opens it, somebody creates a segment of that name, and somebody does open_or_create; all who had it are dead.
//
// SPDX-License-Identifier: BSL-1.0
#include <algorithm>
#include <csignal>
#include <map>
#include <sstream>

#include <sys/wait.h>
#include <unistd.h>

#include "crash/manager_rows.hpp"
#include "segment/lifecycle.hpp"
#include "support/crash/laboratory.hpp"
#include "support/crash/private_directory.hpp"
#include "support/crash/segment_audit.hpp"
#include "support/crash/victim.hpp"
#include "support/crash/watched_child.hpp"
#include <cairn/inspect.hpp>

namespace cairn_test {

namespace {

constexpr const char* segment_name = "subject";

/// Who else has the segment when the victim begins.
enum class company { nobody, the_dead, the_living };

/// What is found under the name: nothing, a segment, a segment with the list that was there before.
enum class found { nothing, fresh, with_list };

const char* name_of(found f) {
    switch (f) {
        case found::nothing: return "nothing";
        case found::fresh: return "a new segment";
        case found::with_list: return "the segment with its list";
    }
    return "?";
}

struct lifecycle_row {
    std::string name;
    std::vector<std::string> covers;
    company others;
    found before;
    found after;
    bool may_be_nothing;  // between the two: a segment is replaced
    /// In the victim, before the first mark; then the operation.
    std::function<void(std::optional<cairn::manager>&)> prepare;
    std::function<void(std::optional<cairn::manager>&)> operation;
};

cairn::segment_options small() {
    return {.max_size = 292 << 10, .initial_size = 1, .mode = 0600, .persist = false};
}

void make_with_list(std::optional<cairn::manager>& m) {
    m.emplace(cairn::manager::create(segment_name, small()));
    static_cast<void>(m->list<long>("contents", {1, 2, 3}));
}

// The others: a process that makes the segment, and is killed at once or later.
class other_process {
public:
    other_process(const private_directory& where, company who) {
        if (who == company::nobody) return;
        shared_object<std::atomic<int>> ready;
        pid_ = ::fork();
        if (pid_ == 0) {
            prepare_child();
            where.use();
            std::optional<cairn::manager> m;
            try {
                make_with_list(m);
                *ready = 1;
            } catch (const std::exception&) {
                *ready = 2;
            }
            for (;;) ::pause();
        }
        while (*ready == 0) ::usleep(100);
        if (*ready != 1) throw std::runtime_error("the segment of others cannot be made");
        if (who == company::the_dead) end();
    }
    other_process(const other_process&) = delete;
    other_process& operator=(const other_process&) = delete;
    ~other_process() { end(); }

    void end() noexcept {
        if (pid_ <= 0) return;
        ::kill(pid_, SIGKILL);
        ::waitpid(pid_, nullptr, 0);
        pid_ = -1;
    }

private:
    pid_t pid_ = -1;
};

void play(const lifecycle_row& row, const private_directory& where, stage& shared) {
    where.use();
    std::optional<cairn::manager> m;
    if (row.prepare) row.prepare(m);
    shared.thread = static_cast<std::uint32_t>(::gettid());
    shared.mark();
    row.operation(m);
    shared.acknowledge();
    shared.mark();
}

struct state {
    named_image image;
    std::uint64_t step;
    bool acknowledged;
};

std::vector<state> film_names(const lifecycle_row& row, std::uint64_t& steps) {
    const private_directory where;
    other_process others(where, row.others);
    victim v([&](stage& s) { play(row, where, s); });
    name_watch watch(where.path() + "/cairn." + segment_name);
    std::vector<state> states;
    auto look = [&] {
        if (!watch.look()) return;
        states.push_back({watch.seen(), steps, v.is_acknowledged()});
        if (states.back().image.exists) states.back().image.bytes.mark_dead(v.shared().thread);
    };
    steps = 0;
    look();
    for (; v.step(); ++steps) look();
    if (!v.is_acknowledged()) throw std::runtime_error("the operation did not return");
    states.push_back({watch.seen(), steps, true});
    return states;
}

// ---- judging -------------------------------------------------------------------------------------------------------

void require_no_names(const private_directory& where, const char* when) {
    if (const auto names = where.entries(); !names.empty())
        throw lab_failure(std::string(when) + ": '" + names.front() + "' is left behind");
}

void work_in(const cairn::manager& m) {
    auto l = m.list<std::string>("work");
    l.push_back("of somebody who came later, and who knows nothing");
    l.push_back("short");
    if (l.size() != 2 || !m.remove("work")) throw lab_failure("a list in the segment does not work");
}

// All who had the segment are dead, so whoever leaves it last takes the name along.
found judge_by_opening(const private_directory& where) {
    found result = found::nothing;
    try {
        const auto attached = cairn::detail::open_named(segment_name, {});
        const cairn::manager m(attached);
        result = m.contains("contents") ? found::with_list : found::fresh;
        if (result == found::with_list &&
            *m.find<cairn::list<long>>("contents") != std::vector<long>{1, 2, 3})
            throw lab_failure("the list in the segment has changed");
        work_in(m);
        if (const std::string problem = audit_segment(*attached); !problem.empty())
            throw lab_failure(problem);
        if (m.stats().process_count != 1) throw lab_failure("the dead count as attached");
    } catch (const cairn::no_such_segment&) {}
    require_no_names(where, "after the last one left");
    return result;
}

void judge_by_making(const private_directory& where,
                     cairn::manager (*make)(std::string_view, const cairn::segment_options&)) {
    {
        const cairn::manager m = make(segment_name, small());
        if (m.contains("contents")) throw lab_failure("what the dead have left was not replaced");
        work_in(m);
    }
    require_no_names(where, "after a new segment of that name went");
}

void require_acceptable(const lifecycle_row& row, found result, bool acknowledged) {
    const bool good =
        result == row.after ||
        (!acknowledged && (result == row.before || (row.may_be_nothing && result == found::nothing)));
    if (good) return;
    throw lab_failure(std::string("found ") + name_of(result) + ", expected " +
                      (acknowledged ? "" : std::string(name_of(row.before)) + " or ") + name_of(row.after));
}

// Three ways to meet what is there; `restore` puts it there again.
void judge_in_every_way(const lifecycle_row& row, const private_directory& where, bool acknowledged,
                        const std::function<void()>& restore) {
    restore();
    require_acceptable(row, judge_by_opening(where), acknowledged);
    restore();
    judge_by_making(where, &cairn::manager::create);
    restore();
    judge_by_making(where, &cairn::manager::open_or_create);
}

void judge_states(const lifecycle_row& row, const std::vector<state>& states, row_result& result) {
    shared_object<std::atomic<std::uint64_t>> progress;
    const private_directory where;
    const std::string ended = watch_child(
        [&](const line_writer& tell) {
            where.use();
            std::map<std::uint64_t, bool> known;  // image, and whether it was judged as acknowledged
            std::uint64_t count = 0;
            for (const state& s : states) {
                ++*progress;
                const std::uint64_t id = s.image.id();
                if (const auto before = known.find(id);
                    before != known.end() && (before->second || !s.acknowledged))
                    continue;
                count += known.emplace(id, s.acknowledged).second ? 1 : 0;
                try {
                    judge_in_every_way(row, where, s.acknowledged,
                                       [&] { s.image.restore(where, segment_name); });
                } catch (const std::exception& e) {
                    tell("failure instruction " + std::to_string(s.step) + ": " + e.what());
                }
            }
            tell("images " + std::to_string(count));
        },
        [&](const std::string& line) {
            if (line.starts_with("failure ")) result.failures.push_back(line.substr(8));
            if (line.starts_with("images ")) result.counts.images = std::stoull(line.substr(7));
        },
        *progress);
    if (!ended.empty()) result.failures.push_back("who judged the images " + ended);
}

void kill_one(const lifecycle_row& row, std::uint64_t step, int way) {
    const private_directory where;
    other_process others(where, row.others);
    bool acknowledged = false;
    {
        victim v([&](stage& s) { play(row, where, s); });
        for (std::uint64_t i = 0; i < step && v.step(); ++i) {}
        acknowledged = v.is_acknowledged();
        v.kill();
        v.reap();
    }
    others.end();
    const std::atomic<std::uint64_t> no_progress{0};
    std::string failure;
    const std::string ended = watch_child(
        [&](const line_writer&) {
            where.use();
            if (way == 0) require_acceptable(row, judge_by_opening(where), acknowledged);
            else judge_by_making(where, way == 1 ? &cairn::manager::create : &cairn::manager::open_or_create);
        },
        [&](const std::string& line) { failure = line; }, no_progress);
    if (!failure.empty()) throw lab_failure(failure);
    if (!ended.empty()) throw lab_failure("who came next " + ended);
}

void run(const lifecycle_row& row, const lab_settings& settings, row_result& result) {
    const std::vector<state> states = film_names(row, result.instructions);
    judge_states(row, states, result);
    const std::uint64_t steps = std::max<std::uint64_t>(1, result.instructions);
    const std::uint64_t kills =
        std::clamp<std::uint64_t>((settings.full ? 600'000 : 60'000) / steps, 3, settings.full ? 30 : 6);
    const std::uint64_t distance = std::max<std::uint64_t>(1, steps / kills);
    for (std::uint64_t i = 0; i < kills; ++i) {
        const std::uint64_t step = i * distance + (settings.seed + 1) * 7919 % distance;
        ++result.kills;
        try {
            kill_one(row, step, static_cast<int>((i + settings.seed) % 3));
        } catch (const std::exception& e) {
            result.failures.push_back("killed after instruction " + std::to_string(step) + ": " + e.what());
        }
    }
}

// ---- rows ----------------------------------------------------------------------------------------------------------

using handle = std::optional<cairn::manager>;

void create(handle& m) {
    m.emplace(cairn::manager::create(segment_name, small()));
}
void open(handle& m) {
    m.emplace(cairn::manager::open(segment_name));
}
void open_or_create(handle& m) {
    m.emplace(cairn::manager::open_or_create(segment_name, small()));
}
void close(handle& m) {
    m.reset();
}
void unlink(handle& m) {
    m->unlink();
}

void collect(handle& /*m*/) {
    static_cast<void>(cairn::collect_segment(cairn::locate_segment(segment_name)));
}
void remove(handle& /*m*/) {
    cairn::remove_segment(cairn::locate_segment(segment_name));
}
void remove_by_force(handle& /*m*/) {
    cairn::remove_segment(cairn::locate_segment(segment_name), true);
}

std::vector<lifecycle_row> all_rows() {
    using enum company;
    constexpr found none = found::nothing;
    constexpr found fresh = found::fresh;
    constexpr found listed = found::with_list;
    return {
        {"create, nothing there", {"manager::create"}, nobody, none, fresh, false, {}, create},
        {"create, replacing what the dead have left",
         {"manager::create"},
         the_dead,
         listed,
         fresh,
         true,
         {},
         create},
        {"open, in use", {"manager::open"}, the_living, listed, listed, false, {}, open},
        {"open, left by the dead", {"manager::open"}, the_dead, listed, listed, false, {}, open},
        {"open_or_create, nothing there",
         {"manager::open_or_create"},
         nobody,
         none,
         fresh,
         false,
         {},
         open_or_create},
        {"open_or_create, in use",
         {"manager::open_or_create"},
         the_living,
         listed,
         listed,
         false,
         {},
         open_or_create},
        {"open_or_create, left by the dead",
         {"manager::open_or_create"},
         the_dead,
         listed,
         fresh,
         true,
         {},
         open_or_create},
        {"close by the creator", {"manager::~manager"}, nobody, listed, none, false, make_with_list, close},
        {"close by the last one", {"manager::~manager"}, the_dead, listed, none, false, open, close},
        {"close, others are there", {"manager::~manager"}, the_living, listed, listed, false, open, close},
        {"close of an open_or_create",
         {"manager::~manager"},
         nobody,
         fresh,
         none,
         false,
         open_or_create,
         close},
        {"unlink by the creator", {"manager::unlink"}, nobody, listed, none, false, make_with_list, unlink},
        {"unlink by somebody else", {"manager::unlink"}, the_living, listed, none, false, open, unlink},
        {"collected, left by the dead", {"collect_segment"}, the_dead, listed, none, false, {}, collect},
        {"collected, in use", {"collect_segment"}, the_living, listed, listed, false, {}, collect},
        {"removed, left by the dead", {"remove_segment"}, the_dead, listed, none, false, {}, remove},
        {"removed by force, in use",
         {"remove_segment"},
         the_living,
         listed,
         none,
         false,
         {},
         remove_by_force},
        {"an anonymous one",
         {"manager::manager"},
         nobody,
         none,
         none,
         false,
         {},
         [](handle& m) { m.emplace(small()); }},
    };
}

}  // namespace

void add_lifecycle_rows(experiment_table& table) {
    for (lifecycle_row& row : all_rows()) {
        experiment e;
        e.name = "segment " + row.name;
        e.covers = row.covers;
        e.procedure = [row = std::move(row)](const lab_settings& settings, row_result& result) {
            run(row, settings, result);
        };
        table.push_back(std::move(e));
    }
}

}  // namespace cairn_test

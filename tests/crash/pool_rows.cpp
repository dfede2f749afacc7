// pool_rows.cpp - the steps in a pool's life: of its owner, its workers, and whoever settles a death.
//
// A row is a pool in a state, and one step. What the step makes of it is what a twin shows in which nobody was killed; that this is the
// right thing is what tests/unit/pool asks.
//
// SPDX-License-Identifier: BSL-1.0
#include <csignal>
#include <cstring>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "crash/list_rows.hpp"
#include "crash/manager_rows.hpp"
#include "crash/pictures.hpp"
#include "pool/frames.hpp"
#include "pool/pool_core.hpp"
#include "pool/pool_root.hpp"
#include "support/crash/experiment.hpp"
#include "support/pools.hpp"

namespace cairn_test {

namespace {

using stored::segment_offset;

using pool_step = std::function<void(bare_pool&)>;

struct pool_row {
    pool_step shape;
    pool_step step;
    std::string before;
    std::string after;
};

constexpr std::uint64_t neighbours_token = 999;

class pool_visitor final : public visitor {
public:
    pool_visitor(const cairn::manager& m, std::shared_ptr<const pool_row> row)
        : manager_(m), row_(std::move(row)), pool_(m) {}

    void operate() override { row_->step(pool_); }

    std::optional<outcome> touch(approach how) override {
        if (how == approach::manager_first) static_cast<void>(manager_.contains("nobody"));
        const auto tx = pool_.begin();
        return std::nullopt;
    }

    outcome look() override {
        if (!manager_.contains(bare_pool::name)) throw lab_failure("the pool is gone");
        return outcome_by(pool_.picture(neighbours_token), row_->before, row_->after);
    }

    // All that is there is brought to its end, and then some more.
    void go_on() override {
        for (std::uint32_t i = 0; i < pool_.node().worker_capacity; ++i) pool_.kill(i, -SIGKILL);
        if (pool_.node().state == stored::pool_state::broken) return;
        pool_.free_collected();
        std::uint64_t expected = pool_.count_of_owner();
        for (std::uint64_t i = 0; i < 3; ++i)
            if (pool_.push({.token = 500 + i, .items = 2, .input_bytes = 300}) != 0) ++expected;
        std::uint64_t seen = 0;
        const auto collect_all = [&] {
            while (const segment_offset at = pool_.collect()) {
                ++seen;
                pool_.free(at);
            }
        };
        collect_all();
        // In a full segment results have to stay in their records.
        for (int rounds = 0; pool_.node().waiting_count != 0 && rounds < 100; ++rounds) {
            if (!pool_.claim(0)) throw lab_failure("going on: nobody can become a worker");
            if (pool_.take(0) != stored::next_step::run)
                throw lab_failure("going on: a task cannot be taken");
            try {
                pool_.run_items(0, 8);
            } catch (const cairn::segment_full&) {
                pool_.begin_item(0);
                pool_.kill(0, -SIGKILL);
                collect_all();
                continue;
            }
            pool_.finish_and_leave(0);
            collect_all();
        }
        collect_all();
        if (pool_.count_tasks() != 0 || seen != expected) {
            throw lab_failure("going on: " + std::to_string(seen) + " tasks came back of " +
                              std::to_string(expected) + ", and " + std::to_string(pool_.count_tasks()) +
                              " are left");
        }
    }

    void remove_all() override {
        for (const cairn::object_info& object : manager_.objects())
            if (!manager_.remove(object.name)) throw lab_failure("'" + object.name + "' cannot be removed");
        if (!manager_.objects().empty()) throw lab_failure("removed objects are still there");
    }

    void neighbour() override { pool_.push({.token = neighbours_token}); }
    outcome look_after_neighbour() override { return look(); }

private:
    cairn::manager manager_;
    std::shared_ptr<const pool_row> row_;
    bare_pool pool_;
};

class pool_table {
public:
    explicit pool_table(experiment_table& table) : table_(table) {}

    void add(const std::string& name, pool_step shape, pool_step step) {
        auto row = std::make_shared<pool_row>();
        row->shape = std::move(shape);
        row->step = std::move(step);
        {
            const cairn::manager twin(small_segment());
            bare_pool::create(twin, workers);
            bare_pool pool(twin);
            row->shape(pool);
            row->before = pool.picture(neighbours_token);
            row->step(pool);
            row->after = pool.picture(neighbours_token);
        }
        experiment e;
        e.name = "pool " + name;
        e.options = small_segment();
        e.prepare = [row](const cairn::manager& m) {
            bare_pool::create(m, workers);
            bare_pool pool(m);
            row->shape(pool);
        };
        e.visit = [row](const cairn::manager& m) { return std::make_unique<pool_visitor>(m, row); };
        table_.push_back(std::move(e));
    }

private:
    static constexpr std::uint32_t workers = 3;
    experiment_table& table_;
};

// Shapes: several after each other.
pool_step all_of(std::vector<pool_step> steps) {
    return [steps = std::move(steps)](bare_pool& p) {
        for (const pool_step& each : steps) each(p);
    };
}
pool_step pushed(std::uint64_t count, bare_task like = {}) {
    return [=](bare_pool& p) {
        for (std::uint64_t i = 0; i < count; ++i) {
            bare_task task = like;
            task.token += i;
            p.push(task);
        }
    };
}
pool_step with_worker(std::uint32_t index) {
    return [=](bare_pool& p) { p.claim(index); };
}
pool_step taken_by(std::uint32_t index) {
    return [=](bare_pool& p) { p.take(index); };
}
// So many items are done, and one more is begun.
pool_step done(std::uint32_t index, std::uint32_t count, std::uint64_t bytes = 8) {
    return [=](bare_pool& p) { p.do_items(index, count, bytes); };
}
pool_step begun(std::uint32_t index) {
    return [=](bare_pool& p) { p.begin_item(index); };
}
pool_step finished(std::uint64_t count, std::uint64_t bytes = 8) {
    return all_of({pushed(count), with_worker(0), [=](bare_pool& p) {
                       for (std::uint64_t i = 0; i < count; ++i) {
                           p.take(0);
                           p.run_items(0, bytes);
                       }
                   }});
}
pool_step somebody_sleeps(std::uint32_t event) {
    return [=](bare_pool& p) { p.pretend_sleeper(event); };
}

// So many tasks of that worker have come back to it, by worker 0.
pool_step returned_to_worker(std::uint32_t index, std::uint64_t count) {
    return all_of({with_worker(0), with_worker(index), [=](bare_pool& p) {
                       for (std::uint64_t i = 0; i < count; ++i) {
                           p.push({.token = 10 + i, .by = static_cast<int>(index)});
                           p.take(0);
                           p.run_items(0, 8);
                       }
                       p.take(0);
                   }});
}
pool_step collected_by(std::uint32_t index, std::uint64_t count) {
    return [=](bare_pool& p) {
        for (std::uint64_t i = 0; i < count; ++i) p.collect(static_cast<int>(index));
    };
}

void add_owner_rows(pool_table& rows) {
    const auto push = [](bare_pool& p) { p.push({.token = 77, .input_bytes = 40}); };
    rows.add("push, the first", {[](bare_pool&) {}}, push);
    rows.add("push, one more", pushed(2), push);
    rows.add("push, somebody sleeps", all_of({pushed(1), somebody_sleeps(stored::pool_has_task)}), push);
    rows.add("push, somebody looks", all_of({with_worker(1), [](bare_pool& p) { p.look(1); }}), push);
    rows.add("push, of a new priority between others",
             all_of({pushed(1, {.priority = 5}), pushed(1, {.token = 1, .priority = -5})}),
             [](bare_pool& p) { p.push({.token = 77}); });
    rows.add("push, with a large input", pushed(1),
             [](bare_pool& p) { p.push({.token = 77, .input_bytes = 8400}); });
    rows.add("push, in a full segment",
             all_of({pushed(2), [](bare_pool& p) { leave_free_pages(p.manager(), 1); }}),
             [](bare_pool& p) { p.push({.token = 77, .input_bytes = 8400}); });
    for (const std::uint64_t which : {std::uint64_t{0}, std::uint64_t{1}, std::uint64_t{2}})
        rows.add("withdraw, number " + std::to_string(which) + " of three", pushed(3, {.input_bytes = 500}),
                 [=](bare_pool& p) { p.withdraw(which); });
    rows.add("withdraw, one with results",
             all_of({pushed(1, {.items = 3}), with_worker(0), taken_by(0), done(0, 1, 300),
                     [](bare_pool& p) { p.kill(0, -SIGKILL); }}),
             [](bare_pool& p) { p.withdraw(0); });
    rows.add("withdraw, the only one of a pool that closes",
             all_of({pushed(1), [](bare_pool& p) { p.close(); }, somebody_sleeps(stored::pool_has_task)}),
             [](bare_pool& p) { p.withdraw(0); });
    rows.add("collect, one of two", finished(2), [](bare_pool& p) { p.collect(); });
    rows.add("collect, three of five, beside one", all_of({finished(6), [](bare_pool& p) { p.collect(); }}),
             [](bare_pool& p) { p.collect_many(3); });
    rows.add("collect, all", finished(3), [](bare_pool& p) { p.collect_many(16); });
    rows.add("push, into a spare record",
             all_of({finished(3),
                     [](bare_pool& p) {
                         p.collect_many(2);
                         p.free_collected();
                     }}),
             push);
    rows.add("withdraw, beyond the most spares",
             all_of({pushed(stored::most_spares + 1),
                     [](bare_pool& p) {
                         for (std::uint64_t i = 0; i < stored::most_spares; ++i) p.withdraw(i);
                     }}),
             [](bare_pool& p) { p.withdraw(stored::most_spares); });
    rows.add("free, with results of its own", all_of({finished(2, 400), [](bare_pool& p) { p.collect(); }}),
             [](bare_pool& p) { p.free_collected(); });
    rows.add("free, the second of three",
             all_of({finished(3),
                     [](bare_pool& p) {
                         p.collect();
                         p.collect();
                         p.collect();
                     }}),
             [](bare_pool& p) { p.free(p.second_collected()); });
    rows.add("repeat", all_of({finished(2, 400), [](bare_pool& p) { p.collect(); }}),
             [](bare_pool& p) { p.repeat(p.first_collected()); });
    rows.add("set_target, somebody sleeps", somebody_sleeps(stored::pool_has_task),
             [](bare_pool& p) { p.set_target(2); });
    rows.add("close", pushed(1), [](bare_pool& p) { p.close(); });
    rows.add("order_cancel", all_of({pushed(1), with_worker(1), taken_by(1), begun(1)}),
             [](bare_pool& p) { p.order_cancel(1); });
    rows.add("order_all, two that run beside one that is idle",
             all_of({pushed(2), with_worker(0), with_worker(1), with_worker(2), taken_by(0), taken_by(2),
                     begun(2)}),
             [](bare_pool& p) { p.order_all(); });
}

// Records that are freed together, and tasks of several threads.
void add_lane_rows(pool_table& rows) {
    const auto free_places = [](std::size_t first, std::size_t count) {
        return [=](bare_pool& p) {
            const std::vector<segment_offset> all = p.all_collected();
            p.free_many(std::span(all).subspan(first, count));
        };
    };
    const auto collected_at_once = [](std::uint64_t count, std::uint64_t bytes = 8) {
        return all_of({finished(count + 1, bytes), [=](bare_pool& p) { p.collect_many(count); }});
    };
    const auto killed = [](bare_pool& p) { p.kill(1, -SIGKILL); };
    rows.add("free, the first three of four", collected_at_once(4), free_places(0, 3));
    rows.add("free, three in the middle of five", collected_at_once(5), free_places(1, 3));
    rows.add("free, all of three", collected_at_once(3), free_places(0, 3));
    rows.add("free, several onto spares",
             all_of({finished(8),
                     [](bare_pool& p) {
                         p.collect_many(2);
                         p.free_collected();
                         p.collect_many(4);
                     }}),
             free_places(0, 3));
    rows.add("free, several that were collected at two times",
             all_of({finished(8),
                     [](bare_pool& p) {
                         p.collect_many(2);
                         p.collect_many(3);
                     }}),
             free_places(0, 5));
    rows.add("take, in turn",
             all_of({pushed(2, {.thread = 1}), pushed(1, {.token = 10, .thread = 2}), with_worker(0),
                     taken_by(0), done(0, 1)}),
             [](bare_pool& p) { p.take(0); });
    rows.add("take, past a lane that is empty by now",
             all_of({pushed(1, {.thread = 1}), pushed(2, {.token = 20, .thread = 5}), with_worker(0),
                     taken_by(0), done(0, 1)}),
             [](bare_pool& p) { p.take(0); });
    rows.add("push, of another thread", pushed(2, {.thread = 1}),
             [](bare_pool& p) { p.push({.token = 77, .thread = 17}); });
    rows.add("push, into a lane that is empty by now",
             all_of({pushed(1, {.thread = 1}), with_worker(0), taken_by(0)}),
             [](bare_pool& p) { p.push({.token = 77, .thread = 17}); });
    rows.add(
        "push, of one thread more than there are lanes",
        [](bare_pool& p) {
            for (std::uint64_t i = 0; i < stored::lane_count; ++i) p.push({.token = i, .thread = i + 1});
        },
        [](bare_pool& p) { p.push({.token = 77, .thread = 18}); });
    rows.add("push, of a new priority into a spare record of a full segment",
             all_of({finished(3),
                     [](bare_pool& p) {
                         p.collect_many(3);
                         p.free_collected();
                         leave_free_pages(p.manager(), 0);
                     }}),
             [](bare_pool& p) { p.push({.token = 77, .priority = 8, .thread = 3}); });
    rows.add("withdraw, the only one of its thread",
             all_of({pushed(2, {.thread = 1}), pushed(1, {.token = 10, .thread = 2})}),
             [](bare_pool& p) { p.withdraw(10); });
    rows.add("withdraw, the last of a priority",
             all_of({pushed(1, {.priority = 3, .thread = 1}), pushed(1, {.token = 9})}),
             [](bare_pool& p) { p.withdraw(0); });
    const pool_step crossed = all_of({pushed(1, {.retries = 3, .thread = 1}), with_worker(1), taken_by(1),
                                      begun(1), pushed(2, {.token = 50, .thread = 17})});
    rows.add("settle, where its lane is another thread's by now", crossed, killed);
    rows.add("push, behind a task that has come back", all_of({crossed, killed}),
             [](bare_pool& p) { p.push({.token = 77, .thread = 1}); });
    rows.add(
        "repeat, where its lane is another thread's by now",
        all_of({finished(2, 400), [](bare_pool& p) { p.collect(); }, pushed(2, {.token = 50, .thread = 16})}),
        [](bare_pool& p) { p.repeat(p.first_collected()); });
    const pool_step of_a_priority_that_has_gone =
        all_of({pushed(1, {.items = 3, .priority = 4}), with_worker(1), taken_by(1), done(1, 2, 300)});
    rows.add("finish, into a priority that has gone, and take it again", of_a_priority_that_has_gone,
             [](bare_pool& p) { p.take(1); });
    rows.add("settle, into a priority that has gone", of_a_priority_that_has_gone, killed);
    rows.add("cancel, a task of a worker in the second lane of a priority",
             all_of({with_worker(1), pushed(1, {.thread = 1}),
                     pushed(1, {.token = 40, .priority = 3, .thread = 1}),
                     pushed(2, {.token = 30, .priority = 3, .input_bytes = 400, .by = 1, .thread = 2})}),
             [](bare_pool& p) { p.cancel_tasks_of_workers(1); });
}

void add_worker_rows(pool_table& rows) {
    rows.add("claim", pushed(1), [](bare_pool& p) { p.claim_only(1); });
    rows.add(
        "be_ready", [](bare_pool& p) { p.claim_only(1); }, [](bare_pool& p) { p.be_ready(1); });
    rows.add(
        "be_ready, after others have failed",
        [](bare_pool& p) {
            p.claim_only(0);
            p.record_failure("no device");
            p.claim_only(1);
        },
        [](bare_pool& p) { p.be_ready(1); });
    rows.add("record_failure", with_worker(0), [](bare_pool& p) { p.record_failure("no device"); });
    rows.add("take, the only one", all_of({pushed(1), with_worker(0)}), [](bare_pool& p) { p.take(0); });
    rows.add("take, of the highest priority",
             all_of({pushed(2), pushed(2, {.token = 10, .priority = 3}), with_worker(2)}),
             [](bare_pool& p) { p.take(2); });
    rows.add("take, the last of a priority",
             all_of({pushed(2), pushed(1, {.token = 10, .priority = 3}), with_worker(2)}),
             [](bare_pool& p) { p.take(2); });
    rows.add("take, somebody waits for room",
             all_of({pushed(2), with_worker(0), somebody_sleeps(stored::pool_has_room)}),
             [](bare_pool& p) { p.take(0); });
    rows.add("take, of a run that another has begun",
             all_of({pushed(1, {.items = 4, .retries = 1}), with_worker(0), taken_by(0), done(0, 2, 200),
                     begun(0), [](bare_pool& p) { p.kill(0, -SIGKILL); }, with_worker(1)}),
             [](bare_pool& p) { p.take(1); });
    const auto finish = [](bare_pool& p) { p.take(0); };  // hands over, and takes the next
    rows.add("finish, and nothing is left", all_of({pushed(1), with_worker(0), taken_by(0), done(0, 1)}),
             finish);
    rows.add("finish, and the next", all_of({pushed(2), with_worker(0), taken_by(0), done(0, 1)}), finish);
    rows.add("finish, somebody waits for results",
             all_of({pushed(2), with_worker(0), taken_by(0), done(0, 1),
                     somebody_sleeps(stored::pool_has_result)}),
             finish);
    rows.add("finish, with results in a block",
             all_of({pushed(2, {.items = 3}), with_worker(0), taken_by(0), done(0, 3, 300)}), finish);
    rows.add("finish, in the middle of a run",
             all_of({pushed(1, {.items = 3}), with_worker(0), taken_by(0), done(0, 2, 300)}),
             [](bare_pool& p) { p.finish_and_leave(0); });
    rows.add("grow_scratch, out of the record",
             all_of({pushed(1, {.items = 3}), with_worker(0), taken_by(0), done(0, 1)}),
             [](bare_pool& p) { p.grow(0, 400); });
    rows.add("grow_scratch, once more",
             all_of({pushed(1, {.items = 3}), with_worker(0), taken_by(0), done(0, 1, 500)}),
             [](bare_pool& p) { p.grow(0, 3000); });
    rows.add("leave", with_worker(1), [](bare_pool& p) { p.leave(1); });
    rows.add(
        "leave, a pool that closes",
        all_of({with_worker(1), [](bare_pool& p) { p.close(); }, somebody_sleeps(stored::pool_has_result)}),
        [](bare_pool& p) { p.leave(1); });
}

// A worker submits, as the owner does.
void add_nested_rows(pool_table& rows) {
    rows.add("push, by a worker", all_of({pushed(1), with_worker(2)}),
             [](bare_pool& p) { p.push({.token = 77, .input_bytes = 40, .by = 2}); });
    rows.add("finish, for a worker",
             all_of({returned_to_worker(1, 1), pushed(1, {.token = 20, .by = 1}), taken_by(0), done(0, 1),
                     somebody_sleeps(stored::pool_has_own_result)}),
             [](bare_pool& p) { p.take(0); });
    rows.add("finish, for a worker that has gone",
             all_of({finished(1), with_worker(1), pushed(1, {.token = 20, .by = 1}),
                     [](bare_pool& p) { p.leave(1); }, with_worker(1), taken_by(0), done(0, 1)}),
             [](bare_pool& p) { p.take(0); });
    rows.add(
        "cancel, a task of a worker, behind one of its owner's",
        all_of({returned_to_worker(1, 1), pushed(1), pushed(1, {.token = 30, .input_bytes = 400, .by = 1}),
                somebody_sleeps(stored::pool_has_own_result)}),
        [](bare_pool& p) { p.cancel_tasks_of_workers(1); });
    rows.add("cancel, a task of a worker that has gone",
             all_of({with_worker(1), pushed(1, {.token = 30, .input_bytes = 400, .by = 1}),
                     [](bare_pool& p) { p.leave(1); }}),
             [](bare_pool& p) { p.cancel_tasks_of_workers(1); });
    rows.add("collect, by a worker", returned_to_worker(1, 2), [](bare_pool& p) { p.collect(1); });
    rows.add("free, by a worker", all_of({returned_to_worker(1, 3), collected_by(1, 2)}),
             [](bare_pool& p) { p.free(p.first_collected(1), 1); });
    rows.add("repeat, by a worker", all_of({returned_to_worker(1, 2), collected_by(1, 1)}),
             [](bare_pool& p) { p.repeat(p.first_collected(1), 1); });
    rows.add("leave, with collected results", all_of({returned_to_worker(1, 2), collected_by(1, 2)}),
             [](bare_pool& p) { p.leave(1); });
    rows.add("leave, with results that it has not collected", returned_to_worker(1, 2),
             [](bare_pool& p) { p.leave(1); });
    rows.add("leave, the owner has results, too",
             all_of({finished(2), with_worker(1), returned_to_worker(1, 3), collected_by(1, 1)}),
             [](bare_pool& p) { p.leave(1); });
}

void add_death_rows(pool_table& rows) {
    const auto killed = [](bare_pool& p) { p.kill(1, -SIGKILL); };
    rows.add(
        "settle, a worker that starts", [](bare_pool& p) { p.claim_only(1); }, killed);
    rows.add("settle, an idle worker", all_of({with_worker(1), somebody_sleeps(stored::pool_has_task)}),
             killed);
    rows.add("settle, before the task is entered", all_of({pushed(2), with_worker(1), taken_by(1)}), killed);
    rows.add("settle, in the task", all_of({pushed(2), with_worker(1), taken_by(1), begun(1)}), killed);
    rows.add("settle, in the task, to be tried again",
             all_of({pushed(2, {.retries = 1}), with_worker(1), taken_by(1), begun(1)}), killed);
    rows.add("settle, in the last task of a pool that closes",
             all_of({pushed(1), with_worker(0), with_worker(1), taken_by(1), begun(1),
                     [](bare_pool& p) { p.close(); }, somebody_sleeps(stored::pool_has_task)}),
             killed);
    rows.add("settle, before the task of a pool that closes is entered",
             all_of({pushed(1), with_worker(0), with_worker(1), taken_by(1), [](bare_pool& p) { p.close(); },
                     somebody_sleeps(stored::pool_has_task)}),
             killed);
    rows.add("settle, after its result", all_of({pushed(2), with_worker(1), taken_by(1), done(1, 1)}),
             killed);
    rows.add("settle, in the middle of a run",
             all_of({pushed(1, {.items = 4}), with_worker(1), taken_by(1), done(1, 2, 200), begun(1)}),
             killed);
    rows.add("settle, between two items of a run",
             all_of({pushed(1, {.items = 4}), with_worker(1), taken_by(1), done(1, 2)}), killed);
    rows.add("settle, in the last item of a run",
             all_of({pushed(1, {.items = 2}), with_worker(1), taken_by(1), done(1, 1), begun(1)}), killed);
    rows.add("settle, ordered to be killed",
             all_of({pushed(1, {.retries = 3}), with_worker(1), taken_by(1), begun(1),
                     [](bare_pool& p) { p.order_cancel(1); }}),
             killed);
    rows.add("settle, its time was up",
             all_of({pushed(1, {.retries = 3}), with_worker(1), taken_by(1),
                     [](bare_pool& p) { p.set_deadline(1); }, begun(1)}),
             killed);
    rows.add(
        "count_failed_start", [](bare_pool&) {}, [](bare_pool& p) { p.count_failed_start(); });
    rows.add(
        "register_nursery", [](bare_pool&) {}, [](bare_pool& p) { p.register_nursery(4711); });
    rows.add("settle, in a task that it has submitted itself",
             all_of({with_worker(1), pushed(2, {.by = 1}), taken_by(1), begun(1)}), killed);
    rows.add("settle, with results that it has not collected",
             all_of({returned_to_worker(1, 4), collected_by(1, 2)}), killed);
    rows.add("break", all_of({pushed(2), with_worker(1), somebody_sleeps(stored::pool_has_room)}),
             [](bare_pool& p) { p.break_it("no processes"); });
}

}  // namespace

void add_pool_rows(experiment_table& table) {
    pool_table rows(table);
    add_owner_rows(rows);
    add_lane_rows(rows);
    add_worker_rows(rows);
    add_nested_rows(rows);
    add_death_rows(rows);
}

}  // namespace cairn_test

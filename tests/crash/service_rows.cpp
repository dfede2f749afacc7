// service_rows.cpp - the steps in the life of a set of services: of its manager, of its supervisor, and of whoever gives orders.
//
// A row is a set in a state, and one step. What the step makes of it is what a twin shows in which nobody was killed; that this is the
// right thing is what tests/unit/service asks.
//
// SPDX-License-Identifier: BSL-1.0
#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "crash/list_rows.hpp"
#include "crash/manager_rows.hpp"
#include "crash/pictures.hpp"
#include "support/crash/experiment.hpp"
#include "support/service_sets.hpp"

namespace cairn_test {

namespace {

using set_step = std::function<void(const bare_set&)>;

struct set_row {
    set_step shape;
    set_step step;
    std::string before;
    std::string after;
};

// The neighbour moves the generation on by so much.
constexpr std::uint64_t neighbours_stride = 100'000;

class set_visitor final : public visitor {
public:
    set_visitor(const cairn::manager& m, std::shared_ptr<const set_row> row)
        : manager_(m), row_(std::move(row)), set_(m) {}

    void operate() override { row_->step(set_); }

    std::optional<outcome> touch(approach how) override {
        if (how == approach::manager_first) static_cast<void>(manager_.contains("nobody"));
        const auto tx = set_.begin();
        return std::nullopt;
    }

    outcome look() override {
        if (!manager_.contains(bare_set::name)) throw lab_failure("the set is gone");
        return outcome_by(set_.picture(neighbours_stride), row_->before, row_->after);
    }

    // Another manager takes it over, and runs through everything.
    void go_on() override {
        const std::uint64_t runs = set_.node().incarnation;
        if (!set_.run(500, 2)) {
            // In a full segment there may be no room for the new beside the old.
            set_.end();
            return;
        }
        if (set_.node().incarnation != runs + 1) throw lab_failure("going on: a run was not counted");
        set_.supervise(501);
        for (std::uint32_t i = 0; i < 3; ++i) {
            if (!set_.start(1, i, 510 + i)) break;  // full
            set_.start_next(1, i, 520 + i);
            set_.replace(1, i);
            set_.die(1, i);
            if (set_.place(1, i).restarts != 1 || set_.service(1).restarts != i + 1)
                throw lab_failure("going on: restarts are not counted");
        }
        set_.order_target(0, 7);
        set_.order_reload();
        set_.order_restart();
        set_.order_stop(stored::set_stop::kill);
        if (set_.node().orders != 4 || set_.service(0).target != 7)
            throw lab_failure("going on: orders are not there");
        set_.end();
        if (const std::string problem = set_.problem(); !problem.empty())
            throw lab_failure("going on: " + problem);
    }

    void remove_all() override {
        for (const cairn::object_info& object : manager_.objects())
            if (!manager_.remove(object.name)) throw lab_failure("'" + object.name + "' cannot be removed");
        if (!manager_.objects().empty()) throw lab_failure("removed objects are still there");
    }

    void neighbour() override { set_.set_generation(set_.node().generation + neighbours_stride); }
    outcome look_after_neighbour() override { return look(); }

private:
    cairn::manager manager_;
    std::shared_ptr<const set_row> row_;
    bare_set set_;
};

class set_table {
public:
    explicit set_table(experiment_table& table) : table_(table) {}

    void add(const std::string& name, set_step shape, set_step step) {
        auto row = std::make_shared<set_row>();
        row->shape = std::move(shape);
        row->step = std::move(step);
        {
            const cairn::manager twin(small_segment());
            const bare_set set(twin);
            row->shape(set);
            row->before = set.picture(neighbours_stride);
            row->step(set);
            row->after = set.picture(neighbours_stride);
        }
        experiment e;
        e.name = "services " + name;
        e.options = small_segment();
        e.prepare = [row](const cairn::manager& m) { row->shape(bare_set(m)); };
        e.visit = [row](const cairn::manager& m) { return std::make_unique<set_visitor>(m, row); };
        table_.push_back(std::move(e));
    }

private:
    experiment_table& table_;
};

set_step in_turn(std::vector<set_step> steps) {
    return [steps = std::move(steps)](const bare_set& s) {
        for (const set_step& each : steps) each(s);
    };
}
set_step set_running(std::uint32_t services) {
    return [=](const bare_set& s) { s.run(4711, services); };
}
// So many workers of that service are ready.
set_step with_workers(std::uint32_t service, std::uint32_t count) {
    return [=](const bare_set& s) {
        s.supervise(4712);
        for (std::uint32_t i = 0; i < count; ++i) s.start(service, i, 100 + i);
    };
}
set_step in_full_segment(std::uint32_t pages) {
    return [=](const bare_set& s) { leave_free_pages(s.manager(), pages); };
}

void add_manager_steps(set_table& rows) {
    rows.add("begin, the first", {[](const bare_set&) {}}, set_running(3));
    rows.add("begin, in the place of one that has ended",
             in_turn({set_running(2), [](const bare_set& s) { s.end(); }}), set_running(3));
    rows.add("begin, in the place of a dead one with workers and orders",
             in_turn({set_running(3), with_workers(1, 5), with_workers(2, 2),
                      [](const bare_set& s) {
                          s.order_target(1, 9);
                          s.order_stop(stored::set_stop::graceful);
                      }}),
             [](const bare_set& s) { s.run(815, 2); });
    rows.add("begin, more than fit into a full segment", in_turn({set_running(2), in_full_segment(0)}),
             set_running(60));
    rows.add("end", in_turn({set_running(2), with_workers(0, 1)}), [](const bare_set& s) { s.end(); });
}

void add_supervisor_steps(set_table& rows) {
    rows.add("set_supervisor", set_running(1), [](const bare_set& s) { s.supervise(99); });
    rows.add("set_supervisor, a guardian in the place of a nursery",
             in_turn({set_running(1), with_workers(0, 1)}), [](const bare_set& s) { s.supervise(99); });
    rows.add("set_generation", set_running(1), [](const bare_set& s) { s.set_generation(5); });
    rows.add("store, the first worker", set_running(2), [](const bare_set& s) { s.start(1, 0, 77); });
    rows.add("store, a worker beside others", in_turn({set_running(2), with_workers(1, 2)}),
             [](const bare_set& s) { s.start(1, 2, 77); });
    rows.add("store, one more worker than there is room for", in_turn({set_running(2), with_workers(1, 4)}),
             [](const bare_set& s) { s.start(1, 4, 77); });
    rows.add("store, far more workers than there is room for",
             in_turn({set_running(2), with_workers(1, 4), in_full_segment(0)}),
             [](const bare_set& s) { s.start(1, 4000, 77); });
    rows.add("store, a worker that a reload replaces", in_turn({set_running(1), with_workers(0, 2)}),
             [](const bare_set& s) { s.start_next(0, 1, 77); });
    rows.add("store, the generation switch of a reload",
             in_turn({set_running(1), with_workers(0, 2),
                      [](const bare_set& s) {
                          s.set_generation(3);
                          s.start_next(0, 1, 77);
                      }}),
             [](const bare_set& s) { s.replace(0, 1); });
    rows.add("store, a death that counts as a restart", in_turn({set_running(2), with_workers(1, 2)}),
             [](const bare_set& s) { s.die(1, 1); });
    rows.add("store, the death with which a service is given up",
             in_turn({set_running(2), with_workers(1, 2), [](const bare_set& s) { s.die(1, 0); }}),
             [](const bare_set& s) { s.die(1, 1, true); });
    rows.add("store, another target, and a new chance",
             in_turn({set_running(2), with_workers(1, 2), [](const bare_set& s) { s.die(1, 1, true); }}),
             [](const bare_set& s) { s.store(1, {.target = 6, .has_given_up = 0}); });
}

void add_orders(set_table& rows) {
    rows.add("order, a target", in_turn({set_running(2), with_workers(1, 2)}),
             [](const bare_set& s) { s.order_target(1, 8); });
    rows.add("order, a target on top of a death",
             in_turn({set_running(2), with_workers(1, 2), [](const bare_set& s) { s.die(1, 1); }}),
             [](const bare_set& s) { s.order_target(1, 0); });
    rows.add("order, a reload of three services", set_running(3),
             [](const bare_set& s) { s.order_reload(); });
    rows.add("order, a reload of more than the log has room for", set_running(90),
             [](const bare_set& s) { s.order_reload(); });
    rows.add("order, a restart of three services", set_running(3),
             [](const bare_set& s) { s.order_restart(); });
    rows.add("order, to stop", set_running(1),
             [](const bare_set& s) { s.order_stop(stored::set_stop::graceful); });
    rows.add("order, to kill what was to stop",
             in_turn({set_running(1), [](const bare_set& s) { s.order_stop(stored::set_stop::graceful); }}),
             [](const bare_set& s) { s.order_stop(stored::set_stop::kill); });
    rows.add("order, to stop what is to be killed",
             in_turn({set_running(1), [](const bare_set& s) { s.order_stop(stored::set_stop::kill); }}),
             [](const bare_set& s) { s.order_stop(stored::set_stop::graceful); });
}

}  // namespace

void add_service_rows(experiment_table& table) {
    set_table rows(table);
    add_manager_steps(rows);
    add_supervisor_steps(rows);
    add_orders(rows);
}

}  // namespace cairn_test

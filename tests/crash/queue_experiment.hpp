// queue_experiment.hpp - rows about queues: one of them named "subject", a model of it, and how it is used after a death.
// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "crash/list_rows.hpp"
#include "support/opened_queue.hpp"
#include "support/queue_picture.hpp"

namespace cairn_test {

template <typename Q>
struct queue_row {
    using item = typename Q::value_type;
    using picture = std::optional<queue_picture<item>>;  // none: there is no such queue

    picture before;
    picture after;
    cairn::queue_options made_with;
    /// Beyond the contents: takes something away, closes, fills the segment. Null: nothing.
    std::function<void(const cairn::manager&, const Q&)> shape;
    std::function<void(const cairn::manager&, std::optional<Q>&)> operation;
    /// What the neighbour does meanwhile: it takes an item if there is one, or puts one if there is room.
    bool neighbour_takes = false;
};

/// A process with a handle on the row's object. A new type of rows needs a line in visitors.cpp.
template <typename Q>
std::unique_ptr<visitor> make_visitor(const cairn::manager& m, std::shared_ptr<const queue_row<Q>> row);

/// Builds rows about one type of queue.
template <typename Q>
class queue_rows {
public:
    using item = typename Q::value_type;
    using items = std::vector<item>;
    using picture = queue_picture<item>;
    using shape = std::function<void(const cairn::manager&, const Q&)>;

    struct options {
        std::int64_t maxsize = 0;
        shape prepare = {};
        std::uint32_t max_deliveries = 0;
        cairn::segment_options segment = small_segment();
    };

    queue_rows(experiment_table& table, std::string type)
        : table_(table), type_(std::string(queue_kind<Q>::word) + "<" + std::move(type) + ">") {}

    /// `member`, in that state: `operation` must do what `on_model` does to a picture. What `options.prepare` does to the
    /// queue before, `before` says.
    template <typename Operation, typename OnModel>
    void add(const std::string& member, const std::string& state, const picture& before, Operation operation,
             OnModel on_model, options more = {}) {
        queue_row<Q> row;
        picture after = before;
        on_model(after);
        row.before = before;
        row.after = std::move(after);
        row.made_with = {more.maxsize, more.max_deliveries};
        row.shape = std::move(more.prepare);
        row.neighbour_takes = member.starts_with("put") || member.starts_with("try_put");
        row.operation = [operation](const cairn::manager&, std::optional<Q>& q) { operation(*q); };
        const bool is_of_lease = member == "ack" || member == "release";
        add_row(type_ + " " + member + ", " + state,
                (is_of_lease ? std::string("item_lease") : std::string(queue_kind<Q>::word)) + "::" + member,
                std::move(row), more.segment);
    }

    void add_creation(std::int64_t maxsize, std::uint32_t max_deliveries = 0) {
        queue_row<Q> row;
        row.after = picture{};
        row.made_with = {maxsize, max_deliveries};
        row.operation = [options = row.made_with](const cairn::manager& m, std::optional<Q>& q) {
            q = queue_kind<Q>::open(m, subject_name, options);
        };
        add_row("manager " + type_ + ", maxsize " + std::to_string(maxsize),
                std::string("manager::") + queue_kind<Q>::word, std::move(row), small_segment());
    }

    /// So many items, none of them taken.
    static picture with(std::size_t count) {
        picture p;
        put_all(p, element<item>::some(count));
        return p;
    }
    static void put_all(picture& p, const items& all) {
        for (const item& each : all) queue_kind<Q>::put(p.items, each);
        p.unfinished += all.size();
    }

private:
    void add_row(std::string name, std::string covers, queue_row<Q> row,
                 const cairn::segment_options& segment) {
        auto shared = std::make_shared<const queue_row<Q>>(std::move(row));
        experiment e;
        e.name = std::move(name);
        e.covers = {std::move(covers)};
        e.options = segment;
        e.prepare = [shared](const cairn::manager& m) {
            if (!shared->before) return;
            const Q q = queue_kind<Q>::open(m, subject_name, shared->made_with);
            if (shared->shape) shared->shape(m, q);
            else q.put_many(element<item>::some(shared->before->items.size()));
        };
        e.visit = [shared](const cairn::manager& m) { return make_visitor(m, shared); };
        table_.push_back(std::move(e));
    }

    experiment_table& table_;
    std::string type_;
};

void add_queue_rows(experiment_table& table);

}  // namespace cairn_test

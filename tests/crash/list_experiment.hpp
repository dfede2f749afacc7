// list_experiment.hpp - rows about list<T>: a list named "subject", a model of it, and how it is used after a death.
// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "support/crash/experiment.hpp"
#include <cairn/manager.hpp>

namespace cairn_test {

/// Elements that can be told apart; specialised for each type in the table.
template <typename T>
struct element;

inline constexpr const char* subject_name = "subject";
inline constexpr const char* bystander_name = "bystander";  // a list<long> of 1, 2, 3, in rows that have one

template <typename T>
struct list_row {
    using contents = std::optional<std::vector<T>>;  // none: there is no such list

    contents before;
    contents after;
    /// Beyond the contents: reserves, fills the segment, makes holes. Null: nothing.
    std::function<void(const cairn::manager&)> shape;
    std::function<void(const cairn::manager&, std::optional<cairn::list<T>>&)> operation;
    std::string subject = subject_name;
};

/// A process with a handle on the row's object. A new type of rows needs a line in visitors.cpp.
template <typename T>
std::unique_ptr<visitor> make_visitor(const cairn::manager& m, std::shared_ptr<const list_row<T>> row);

/// Adds a row to the table.
template <typename T>
void add_list_row(experiment_table& table, std::string name, std::vector<std::string> covers, list_row<T> row,
                  const cairn::segment_options& options) {
    auto shared = std::make_shared<const list_row<T>>(std::move(row));
    experiment e;
    e.name = std::move(name);
    e.covers = std::move(covers);
    e.options = options;
    e.prepare = [shared](const cairn::manager& m) {
        if (shared->before) static_cast<void>(m.list<T>(shared->subject, *shared->before));
        if (shared->shape) shared->shape(m);
    };
    e.visit = [shared](const cairn::manager& m) { return make_visitor(m, shared); };
    table.push_back(std::move(e));
}

}  // namespace cairn_test

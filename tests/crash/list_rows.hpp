// list_rows.hpp - how rows about lists are written down.
// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <string>
#include <utility>
#include <vector>

#include "crash/elements.hpp"

namespace cairn_test {

/// Small, so that images are small; room for two growths.
inline cairn::segment_options small_segment() {
    return {.max_size = 448 << 10, .initial_size = 1, .mode = 0600, .persist = false};
}

/// For what needs several spans.
inline cairn::segment_options roomy_segment() {
    return {.max_size = 1 << 20, .initial_size = 1, .mode = 0600, .persist = false};
}

/// The smallest there is: it cannot grow.
inline cairn::segment_options smallest_segment() {
    return {.max_size = 292 << 10, .initial_size = 292 << 10, .mode = 0600, .persist = false};
}

/// Another list takes all but that many pages of a segment which cannot grow.
void leave_free_pages(const cairn::manager& m, std::uint32_t pages);

/// Builds rows about lists of T.
template <typename T>
class list_rows {
public:
    using values = std::vector<T>;
    using list = cairn::list<T>;
    using shape = std::function<void(const cairn::manager&)>;

    list_rows(experiment_table& table, std::string type)
        : table_(table), type_("list<" + std::move(type) + ">") {}

    /// `member` of list, in that state: `operation` on the list must do what `on_model` does to a vector.
    template <typename Operation, typename OnModel>
    void add(const std::string& member, const std::string& state, values before, Operation operation,
             OnModel on_model, shape prepare = {}, const cairn::segment_options& options = small_segment()) {
        list_row<T> row;
        values after = before;
        on_model(after);
        row.before = std::move(before);
        row.after = std::move(after);
        row.shape = std::move(prepare);
        row.operation = [operation](const cairn::manager&, std::optional<list>& l) { operation(*l); };
        add_list_row<T>(table_, type_ + " " + member + ", " + state,
                        {member == "erase_if" ? member : "list::" + member}, std::move(row), options);
    }

private:
    experiment_table& table_;
    std::string type_;
};

void add_list_of_word_rows(experiment_table& table);
void add_list_of_string_rows(experiment_table& table);
void add_list_of_other_rows(experiment_table& table);

}  // namespace cairn_test

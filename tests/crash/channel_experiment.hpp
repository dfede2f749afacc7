// channel_experiment.hpp - rows about channels: one of them named "subject", a model of it, and how it is used after a death.
//
// Who prepares a row puts and gets, and gives both ends back, unless the row is about a thread that has its end already: the
// first put or get of a thread takes it, the others do not go near the lock.
//
// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "crash/list_rows.hpp"
#include "support/opened_channel.hpp"

namespace cairn_test {

template <typename T>
struct channel_picture {
    std::vector<T> items;
    bool is_closed = false;
    friend bool operator==(const channel_picture&, const channel_picture&) = default;
};

enum class channel_neighbour { getter, putter };

template <typename T>
struct channel_row {
    using picture = std::optional<channel_picture<T>>;  // none: there is no such channel

    picture before;
    picture after;
    cairn::channel_options made_with;
    /// Items that were put and taken before, so that the ring's indices are there.
    std::size_t taken_before = 0;
    /// Beyond the contents. Null: nothing. It leaves the ends as the row wants them.
    std::function<void(const cairn::manager&, const cairn::channel<T>&)> shape;
    std::function<void(const cairn::manager&, std::optional<cairn::channel<T>>&)> operation;
    /// What the neighbour does meanwhile, waiting for it for a while.
    channel_neighbour neighbour = channel_neighbour::getter;
};

/// A process with a handle on the row's object. A new type of rows needs a line in visitors.cpp.
template <typename T>
std::unique_ptr<visitor> make_visitor(const cairn::manager& m, std::shared_ptr<const channel_row<T>> row);

/// Builds rows about channels of one type.
template <typename T>
class channel_rows {
public:
    using picture = channel_picture<T>;
    using handle = cairn::channel<T>;

    channel_rows(experiment_table& table, std::string type, cairn::channel_options made_with)
        : table_(table), type_(std::move(type)), made_with_(made_with) {}

    struct state {
        std::string name;
        std::size_t items = 0;
        std::size_t taken_before = 0;
        bool has_its_end = false;  // the one who is killed has used it before
        std::function<void(const handle&)> shape = {};
    };

    /// `member`, in that state: `operation` must do what `on_model` does to a picture.
    template <typename Operation, typename OnModel>
    void add(const std::string& member, const state& at, Operation operation, OnModel on_model) {
        channel_row<T> row;
        row.before = picture{element<T>::some(at.items, at.taken_before), false};
        row.after = row.before;
        on_model(row.after);
        row.taken_before = at.taken_before;
        const bool is_put = member.find("put") != std::string::npos || member == "release_producer";
        const bool is_get = member.find("get") != std::string::npos || member == "release_consumer";
        row.neighbour = is_get ? channel_neighbour::putter : channel_neighbour::getter;
        row.shape = [at, is_put](const cairn::manager&, const handle& c) {
            if (at.shape) at.shape(c);
            if (!at.has_its_end || !is_put) c.release_producer();
            if (!at.has_its_end || is_put) c.release_consumer();
        };
        row.operation = [operation](const cairn::manager& m, std::optional<handle>& c) {
            if constexpr (std::is_invocable_v<Operation, const cairn::manager&>) operation(m);
            else operation(*c);
        };
        const bool is_of_manager = std::is_invocable_v<Operation, const cairn::manager&>;
        add_row((is_of_manager ? "manager " : "") + ("channel<" + type_ + "> ") + member + ", " + at.name +
                    (at.has_its_end ? ", at its own end" : ""),
                (is_of_manager ? "manager::" : "channel::") + member, std::move(row));
    }

    void add_creation() {
        channel_row<T> row;
        row.after = picture{};
        row.operation = [options = made_with_](const cairn::manager& m, std::optional<handle>& c) {
            c = m.channel<T>(subject_name, options);
        };
        add_row("manager channel<" + type_ + ">", "manager::channel", std::move(row));
    }

private:
    void add_row(std::string name, std::string covers, channel_row<T> row) {
        row.made_with = made_with_;
        auto shared = std::make_shared<const channel_row<T>>(std::move(row));
        experiment e;
        e.name = std::move(name);
        e.covers = {std::move(covers)};
        e.options = small_segment();
        e.prepare = [shared](const cairn::manager& m) {
            if (!shared->before) return;
            const auto c = m.channel<T>(subject_name, shared->made_with);
            for (std::size_t i = 0; i < shared->taken_before; ++i) {
                c.put(element<T>::make(i));
                static_cast<void>(c.get());
            }
            for (const T& item : shared->before->items) c.put(item);
            shared->shape(m, c);
        };
        e.visit = [shared](const cairn::manager& m) { return make_visitor(m, shared); };
        table_.push_back(std::move(e));
    }

    experiment_table& table_;
    std::string type_;
    cairn::channel_options made_with_;
};

void add_channel_rows(experiment_table& table);

}  // namespace cairn_test

// channel_experiment.hpp - rows about channels: one of them named "subject", a model of it, and how it is used after a death.
//
// Who prepares a row puts and gets, and gives both ends back, unless the row is about a thread that has its end already: the
// first put or get of a thread takes it, the others do not go near the lock.
//
// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <chrono>
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

template <typename T>
class channel_visitor : public visitor {
    using picture = typename channel_row<T>::picture;

public:
    channel_visitor(const cairn::manager& m, std::shared_ptr<const channel_row<T>> row)
        : manager_(m), row_(std::move(row)), handle_(m.find<cairn::channel<T>>(subject_name)) {}

    void operate() override { row_->operation(manager_, handle_); }

    std::optional<outcome> touch(approach how) override {
        std::optional<outcome> seen;
        if (how == approach::manager_first) static_cast<void>(manager_.contains("nobody"));
        if (!handle_) handle_ = manager_.find<cairn::channel<T>>(subject_name);
        try {
            if (how == approach::reader_first && handle_) seen = compare_sizes(handle_->size());
            // Takes the lock, changes nothing.
            if (handle_) static_cast<void>(handle_->snapshot());
        } catch (const cairn::object_gone&) {
            handle_.reset();
        }
        return seen;
    }

    outcome look() override { return compare(read()); }

    void go_on() override {
        const auto c = manager_.channel<T>(subject_name, row_->made_with);
        std::vector<T> model = c.snapshot();
        const auto same = [&](const char* after) {
            if (c.snapshot() != model) throw lab_failure(std::string("going on: wrong items after ") + after);
            if (c.size() != model.size())
                throw lab_failure(std::string("going on: wrong size after ") + after);
        };
        const auto take = [&] {
            if (c.try_get() != model.front()) throw lab_failure("going on: another item comes first");
            model.erase(model.begin());
        };
        if (c.is_closed()) {
            while (!model.empty()) take();
            same("taking all");
            return;
        }
        // Several times round the ring.
        for (std::size_t i = 0; i < 40; ++i) {
            const T item = element<T>::make(1000 + i);
            if (!c.try_put(item)) {
                if (model.empty()) throw lab_failure("going on: no room in an empty channel");
                take();
                continue;
            }
            model.push_back(item);
            same("put");
        }
        while (!model.empty()) take();
        same("get");
        c.put(element<T>::make(1));
        c.close();
        if (c.get() != element<T>::make(1)) throw lab_failure("going on: what is left is not there");
        try {
            static_cast<void>(c.try_get());
        } catch (const cairn::queue_closed&) {
            return;
        }
        throw lab_failure("going on: a closed channel is not at its end");
    }

    void remove_all() override {
        for (const cairn::object_info& object : manager_.objects())
            if (!manager_.remove(object.name)) throw lab_failure("'" + object.name + "' cannot be removed");
        if (!manager_.objects().empty()) throw lab_failure("removed objects are still there");
    }

    // Longer than a sleeper waits whose wake died with the other end.
    void neighbour() override {
        constexpr std::chrono::milliseconds patience(400);
        try {
            if (!handle_) handle_ = manager_.channel<T>(subject_name, row_->made_with);
            if (row_->neighbour == channel_neighbour::getter) taken_ = handle_->get_for(patience);
            else has_put_ = handle_->put_for(element<T>::make(7777), patience);
            waited_in_vain_ = !taken_ && !has_put_;
        } catch (const cairn::queue_closed&) {
        } catch (const cairn::object_gone&) {
            handle_.reset();
        }
    }
    [[nodiscard]] bool has_waited_in_vain() const override { return waited_in_vain_; }

    outcome look_after_neighbour() override { return compare(read()); }

private:
    picture read() const {
        const auto found = manager_.find<cairn::channel<T>>(subject_name);
        if (!found) return std::nullopt;
        const std::vector<T> items = found->snapshot();
        if (found->size() != items.size()) throw lab_failure("size() and snapshot() differ");
        if (found->capacity() != static_cast<std::size_t>(row_->made_with.capacity))
            throw lab_failure("another capacity");
        return channel_picture<T>{items, found->is_closed()};
    }

    // What the row expects, with what the neighbour has done on top.
    picture with_neighbour(picture p) const {
        if (!has_put_ && !taken_) return p;
        if (!p) p.emplace();
        if (has_put_) p->items.push_back(element<T>::make(7777));
        if (taken_) {
            const bool is_first = !p->items.empty() && p->items.front() == *taken_;
            if (is_first) p->items.erase(p->items.begin());
            else return channel_picture<T>{{}, !p->is_closed};  // like nothing that there is
        }
        return p;
    }

    outcome compare(const picture& found) const {
        const bool before = found == with_neighbour(row_->before);
        const bool after = found == with_neighbour(row_->after);
        if (before && after) return outcome::unchanged;
        if (before) return outcome::before;
        if (after) return outcome::after;
        throw lab_failure("neither before nor after: " + describe(found) + ", before " +
                          describe(row_->before) + ", after " + describe(row_->after));
    }

    std::optional<outcome> compare_sizes(std::size_t found) const {
        const bool before = row_->before && found == row_->before->items.size();
        const bool after = row_->after && found == row_->after->items.size();
        if (before && after) return std::nullopt;
        if (before) return outcome::before;
        if (after) return outcome::after;
        throw lab_failure("a reader saw neither before nor after: " + std::to_string(found) + " items");
    }

    static std::string describe(const picture& p) {
        if (!p) return "no channel";
        return std::to_string(p->items.size()) + " items" + (p->is_closed ? ", closed" : "");
    }

    cairn::manager manager_;
    std::shared_ptr<const channel_row<T>> row_;
    std::optional<cairn::channel<T>> handle_;
    bool waited_in_vain_ = false;
    bool has_put_ = false;
    std::optional<T> taken_;
};

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
        e.visit = [shared](const cairn::manager& m) {
            return std::make_unique<channel_visitor<T>>(m, shared);
        };
        table_.push_back(std::move(e));
    }

    experiment_table& table_;
    std::string type_;
    cairn::channel_options made_with_;
};

void add_channel_rows(experiment_table& table);

}  // namespace cairn_test

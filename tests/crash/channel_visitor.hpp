// channel_visitor.hpp - what processes do with the channels of the crash table, before and after a death.
//
// For visitors.cpp alone: channel_experiment.hpp declares make_visitor(). Each type is compiled once, whatever rows it is in.
//
// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <chrono>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "crash/channel_experiment.hpp"

namespace cairn_test {

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

template <typename T>
std::unique_ptr<visitor> make_visitor(const cairn::manager& m, std::shared_ptr<const channel_row<T>> row) {
    return std::make_unique<channel_visitor<T>>(m, std::move(row));
}

}  // namespace cairn_test

// list_visitor.hpp - what processes do with the lists of the crash table, before and after a death.
//
// For visitors.cpp alone: list_experiment.hpp declares make_visitor(). Each type is compiled once, whatever rows it is in.
//
// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <algorithm>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "crash/list_experiment.hpp"

namespace cairn_test {

template <typename T>
class list_visitor : public visitor {
public:
    list_visitor(const cairn::manager& m, std::shared_ptr<const list_row<T>> row)
        : manager_(m), row_(std::move(row)), handle_(m.find<cairn::list<T>>(row_->subject)),
          had_bystander_(m.contains(bystander_name)) {}

    void operate() override { row_->operation(manager_, handle_); }

    std::optional<outcome> touch(approach how) override {
        std::optional<outcome> seen;
        if (how == approach::reader_first && handle_) {
            try {
                seen = compare(handle_->snapshot(), {});
            } catch (const cairn::object_gone&) {
                seen = compare(std::nullopt, {});
            }
        }
        if (how == approach::manager_first) static_cast<void>(manager_.contains("nobody"));
        if (handle_) {
            try {
                handle_->reserve(0);  // takes the lock, changes nothing
            } catch (const cairn::object_gone&) {
                if (manager_.contains(row_->subject))
                    throw lab_failure("a handle says gone, and the list is there");
            }
        } else if (const auto found = manager_.find<cairn::list<T>>(row_->subject)) {
            found->reserve(0);
        }
        return seen;
    }

    outcome look() override { return compare(read(), {}); }

    void go_on() override {
        cairn::list<T> l = manager_.list<T>(row_->subject);
        std::vector<T> model = l.snapshot();
        auto same = [&](const char* after) {
            if (l.snapshot() != model)
                throw lab_failure(std::string("going on: wrong contents after ") + after);
        };
        // A full segment may say so, and must then leave the list as it was.
        auto may_be_full = [&](auto change, auto on_model, const char* what) {
            try {
                change();
                on_model();
            } catch (const cairn::segment_full&) {}
            same(what);
        };
        may_be_full([&] { l.push_back(element<T>::make(1001)); },
                    [&] { model.push_back(element<T>::make(1001)); }, "push_back");
        const std::vector<T> more = element<T>::some(model.size() / 2 + 20, 2000);
        may_be_full([&] { l.extend(more); }, [&] { model.insert(model.end(), more.begin(), more.end()); },
                    "extend");
        may_be_full([&] { l.insert(model.size() / 2, element<T>::make(1002)); },
                    [&] {
                        model.insert(model.begin() + static_cast<std::ptrdiff_t>(model.size() / 2),
                                     element<T>::make(1002));
                    },
                    "insert");
        if (!model.empty()) {
            if (l.pop() != model.back()) throw lab_failure("going on: pop gives another element");
            model.pop_back();
            same("pop");
        }
        if (model.size() > 3) {
            l.erase(1, model.size() - 1);
            model.erase(model.begin() + 1, model.end() - 1);
            same("erase");
        }
        l.clear();
        model.clear();
        same("clear");
        may_be_full([&] { l.push_back(element<T>::make(1003)); },
                    [&] { model.push_back(element<T>::make(1003)); }, "push_back");
    }

    void remove_all() override {
        for (const cairn::object_info& object : manager_.objects())
            if (!manager_.remove(object.name)) throw lab_failure("'" + object.name + "' cannot be removed");
        if (!manager_.objects().empty()) throw lab_failure("removed objects are still there");
    }

    void neighbour() override {
        try {
            if (!handle_) handle_ = manager_.list<T>(row_->subject);
            handle_->push_back(element<T>::make(7777));
            pushed_ = true;
        } catch (const cairn::object_gone&) {
        } catch (const cairn::segment_full&) {}
    }

    outcome look_after_neighbour() override {
        std::vector<T> extra;
        if (pushed_) extra.push_back(element<T>::make(7777));
        return compare(read(), extra);
    }

private:
    using contents = typename list_row<T>::contents;

    contents read() const {
        if (had_bystander_) {
            const auto other = manager_.find<cairn::list<long>>(bystander_name);
            if (!other || *other != std::vector<long>{1, 2, 3})
                throw lab_failure("the bystander has changed");
        }
        const auto found = manager_.find<cairn::list<T>>(row_->subject);
        if (!found) return std::nullopt;
        contents all = found->snapshot();
        if (found->size() != all->size()) throw lab_failure("size() and snapshot() differ");
        return all;
    }

    static bool is(const contents& found, const contents& expected, const std::vector<T>& extra) {
        if (found.has_value() != (expected.has_value() || !extra.empty())) return false;
        if (!found) return true;
        const std::size_t count = expected ? expected->size() : 0;
        return found->size() == count + extra.size() &&
               std::equal(found->begin(), found->begin() + static_cast<std::ptrdiff_t>(count),
                          expected ? expected->begin() : extra.begin()) &&
               std::equal(extra.begin(), extra.end(), found->begin() + static_cast<std::ptrdiff_t>(count));
    }

    outcome compare(const contents& found, const std::vector<T>& extra) const {
        const bool before = is(found, row_->before, extra);
        const bool after = is(found, row_->after, extra);
        if (before && after) return outcome::unchanged;
        if (before) return outcome::before;
        if (after) return outcome::after;
        throw lab_failure("neither before nor after: " + describe(found) + ", before " +
                          describe(row_->before) + ", after " + describe(row_->after));
    }

    static std::string describe(const contents& c) {
        if (!c) return "no list";
        std::string text = std::to_string(c->size()) + " elements";
        if constexpr (requires(const T& v) { cairn::repr(v); }) {
            const std::size_t shown = std::min<std::size_t>(c->size(), 6);
            text += " (";
            for (std::size_t i = 0; i < shown; ++i)
                text += (i == 0 ? "" : ", ") + cairn::repr((*c)[i]).substr(0, 24);
            text += shown < c->size() ? ", ...)" : ")";
        }
        return text;
    }

    cairn::manager manager_;
    std::shared_ptr<const list_row<T>> row_;
    std::optional<cairn::list<T>> handle_;
    bool had_bystander_;
    bool pushed_ = false;
};

template <typename T>
std::unique_ptr<visitor> make_visitor(const cairn::manager& m, std::shared_ptr<const list_row<T>> row) {
    return std::make_unique<list_visitor<T>>(m, std::move(row));
}

}  // namespace cairn_test

// keyed_visitor.hpp - what processes do with the containers with keys of the crash table, before and after a death.
//
// For visitors.cpp alone: dict_experiment.hpp declares make_visitor(). Each type is compiled once, whatever rows it is in.
//
// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <algorithm>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "crash/dict_experiment.hpp"

namespace cairn_test {

template <typename C>
class keyed_visitor : public visitor {
    using kind = keyed<C>;
    using item = typename kind::item;
    using contents = typename keyed_row<C>::contents;

public:
    keyed_visitor(const cairn::manager& m, std::shared_ptr<const keyed_row<C>> row)
        : manager_(m), row_(std::move(row)), handle_(m.find<C>(subject_name)) {}

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
        try {
            if (handle_) kind::touch(*handle_);
            else if (const auto found = manager_.find<C>(subject_name)) kind::touch(*found);
        } catch (const cairn::object_gone&) {
            // The operation is a removal.
        }
        return seen;
    }

    outcome look() override { return compare(read(), {}); }

    void go_on() override {
        const C subject = kind::open(manager_, subject_name, {});
        std::vector<item> model = subject.snapshot();
        auto same = [&](const char* after) {
            if (!is_same(subject.snapshot(), model))
                throw lab_failure(std::string("going on: wrong contents after ") + after);
        };
        // A full segment may say so, and must then leave everything as it was.
        auto may_be_full = [&](const std::vector<item>& more, const char* what, auto change) {
            try {
                change();
                for (const item& each : more) kind::add_to(model, each);
            } catch (const cairn::segment_full&) {}
            same(what);
        };
        const std::vector<item> one = some_items<C>(1, 1001);
        may_be_full(one, "adding one", [&] { kind::add(subject, one[0]); });
        const std::vector<item> many = some_items<C>(40, 2000);
        may_be_full(many, "update", [&] { subject.update(many); });
        if (!model.empty()) {
            const auto taken = std::find(model.begin(), model.end(), kind::take_last(subject));
            if (taken == model.end() || (kind::is_ordered && taken + 1 != model.end()))
                throw lab_failure("going on: another one is the last");
            model.erase(taken);
            same("taking the last");
        }
        for (std::size_t at = 0; at < model.size() && at < 40; at += 3) {
            if (!subject.erase(kind::key_of(model[at]))) throw lab_failure("going on: a key is not found");
            model.erase(model.begin() + static_cast<std::ptrdiff_t>(at));
        }
        same("erase");
        may_be_full(one, "adding one again", [&] { kind::add(subject, one[0]); });
        subject.clear();
        model.clear();
        same("clear");
        may_be_full(one, "adding the first", [&] { kind::add(subject, one[0]); });
    }

    void remove_all() override {
        for (const cairn::object_info& object : manager_.objects())
            if (!manager_.remove(object.name)) throw lab_failure("'" + object.name + "' cannot be removed");
        if (!manager_.objects().empty()) throw lab_failure("removed objects are still there");
    }

    void neighbour() override {
        try {
            if (!handle_) handle_ = kind::open(manager_, subject_name, {});
            kind::add(*handle_, kind::make(7777));
            added_ = true;
        } catch (const cairn::object_gone&) {
        } catch (const cairn::segment_full&) {}
    }

    outcome look_after_neighbour() override {
        std::vector<item> extra;
        if (added_) extra.push_back(kind::make(7777));
        return compare(read(), extra);
    }

private:
    contents read() const {
        const auto found = manager_.find<C>(subject_name);
        if (!found) return std::nullopt;
        contents all = found->snapshot();
        if (found->size() != all->size()) throw lab_failure("size() and snapshot() differ");
        for (const item& each : *all)
            if (!found->contains(kind::key_of(each))) throw lab_failure("a key is there and is not found");
        std::vector<item> live;
        for (const item& each : *found) live.push_back(each);
        if (live != *all) throw lab_failure("iteration and snapshot() differ");
        return all;
    }

    static bool is_same(std::vector<item> a, std::vector<item> b) {
        if constexpr (!kind::is_ordered) {
            std::sort(a.begin(), a.end());
            std::sort(b.begin(), b.end());
        }
        return a == b;
    }

    static bool is(const contents& found, const contents& expected, const std::vector<item>& extra) {
        if (found.has_value() != (expected.has_value() || !extra.empty())) return false;
        if (!found) return true;
        std::vector<item> all = expected.value_or(std::vector<item>{});
        all.insert(all.end(), extra.begin(), extra.end());
        return is_same(*found, all);
    }

    // Done in some shards, each whole.
    bool is_between(const contents& found, const std::vector<item>& extra) const {
        if constexpr (requires { &kind::of_shard; }) {
            const auto handle = manager_.find<C>(subject_name);
            if (!row_->is_by_shard || !found || !handle) return false;
            for (std::size_t shard = 0; shard < handle->shard_count(); ++shard) {
                const auto of = [&](const std::vector<item>& all) {
                    return kind::of_shard(*handle, all, shard);
                };
                if (!is(of(*found), of(*row_->before), of(extra)) &&
                    !is(of(*found), of(*row_->after), of(extra)))
                    return false;
            }
            return true;
        }
        return false;
    }

    outcome compare(const contents& found, const std::vector<item>& extra) const {
        const bool before = is(found, row_->before, extra);
        const bool after = is(found, row_->after, extra);
        if (before && after) return outcome::unchanged;
        if (before) return outcome::before;
        if (after) return outcome::after;
        if (is_between(found, extra)) return outcome::unchanged;
        throw lab_failure("neither before nor after: " + describe(found) + ", before " +
                          describe(row_->before) + ", after " + describe(row_->after));
    }

    static std::string describe(const contents& c) {
        if (!c) return std::string("no ") + kind::word;
        std::string text = std::to_string(c->size()) + " items";
        if constexpr (requires(const item& i) { kind::text_of(i); }) {
            const std::size_t shown = std::min<std::size_t>(c->size(), 6);
            text += " {";
            for (std::size_t i = 0; i < shown; ++i)
                text += (i == 0 ? "" : ", ") + kind::text_of((*c)[i]).substr(0, 32);
            text += shown < c->size() ? ", ...}" : "}";
        }
        return text;
    }

    cairn::manager manager_;
    std::shared_ptr<const keyed_row<C>> row_;
    std::optional<C> handle_;
    bool added_ = false;
};

template <typename C>
std::unique_ptr<visitor> make_visitor(const cairn::manager& m, std::shared_ptr<const keyed_row<C>> row) {
    return std::make_unique<keyed_visitor<C>>(m, std::move(row));
}

}  // namespace cairn_test

// queue_visitor.hpp - what processes do with the queues of the crash table, before and after a death.
//
// For visitors.cpp alone: queue_experiment.hpp declares make_visitor(). Each type is compiled once, whatever rows it is in.
//
// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <algorithm>
#include <chrono>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "crash/queue_experiment.hpp"

namespace cairn_test {

template <typename Q>
class queue_visitor : public visitor {
    using kind = queue_kind<Q>;
    using item = typename Q::value_type;
    using picture = typename queue_row<Q>::picture;

public:
    queue_visitor(const cairn::manager& m, std::shared_ptr<const queue_row<Q>> row)
        : manager_(m), row_(std::move(row)), handle_(m.find<Q>(subject_name)) {}

    void operate() override { row_->operation(manager_, handle_); }

    std::optional<outcome> touch(approach how) override {
        std::optional<outcome> seen;
        // Items alone: there is no moment at which all else could be read without the lock.
        if (how == approach::reader_first && handle_) seen = compare_items(handle_->snapshot());
        if (how == approach::manager_first) static_cast<void>(manager_.contains("nobody"));
        // Takes the lock, changes nothing.
        if (!handle_) handle_ = manager_.find<Q>(subject_name);
        if (handle_) {
            const opened_queue<Q> open(*handle_);
            const cairn::detail::root_transaction tx(open.in(), open.slot(), open.generation());
        }
        return seen;
    }

    outcome look() override { return compare(read()); }

    void go_on() override {
        const Q q = kind::open(manager_, subject_name, row_->made_with);
        static_cast<void>(q.join_for(std::chrono::seconds(0)));  // what the dead have on lease is back
        std::vector<item> model = q.snapshot();
        const auto same = [&](const char* after) {
            if (q.snapshot() != model) throw lab_failure(std::string("going on: wrong items after ") + after);
        };
        const auto take = [&] {
            if (q.try_get() != model.front()) throw lab_failure("going on: another item comes first");
            model.erase(model.begin());
        };
        if (q.is_closed()) {
            while (!model.empty()) take();
            same("taking all");
            return;
        }
        // What came back stays in front, whatever is put.
        const opened_queue<Q> open(q);
        while (open.node_ref().returned_count != 0) take();
        // A full segment may say so, and must then leave everything as it was.
        const auto may_be_full = [&](const std::vector<item>& more, const char* what, auto change) {
            const bool has_room = q.maxsize() == 0 || model.size() + more.size() <= q.maxsize();
            try {
                if (has_room) change();
                if (has_room)
                    for (const item& each : more) kind::put(model, each);
            } catch (const cairn::segment_full&) {}
            same(what);
        };
        may_be_full({element<item>::make(1001)}, "put", [&] { q.put(element<item>::make(1001)); });
        const std::vector<item> many = element<item>::some(40, 2000);
        may_be_full(many, "put_many", [&] { q.put_many(many); });
        for (int i = 0; i < 20 && !model.empty(); ++i) take();
        same("get");
        if (!model.empty()) {
            const std::size_t count = std::min<std::size_t>(model.size(), 15);
            if (q.get_many(15) !=
                std::vector<item>(model.begin(), model.begin() + static_cast<std::ptrdiff_t>(count)))
                throw lab_failure("going on: get_many gives other items");
            model.erase(model.begin(), model.begin() + static_cast<std::ptrdiff_t>(count));
            same("get_many");
        }
        while (!model.empty()) take();
        may_be_full({element<item>::make(1002)}, "put into an empty queue",
                    [&] { q.put(element<item>::make(1002)); });
        q.shutdown(true);
        model.clear();
        same("shutdown");
    }

    void remove_all() override {
        for (const cairn::object_info& object : manager_.objects())
            if (!manager_.remove(object.name)) throw lab_failure("'" + object.name + "' cannot be removed");
        if (!manager_.objects().empty()) throw lab_failure("removed objects are still there");
    }

    void neighbour() override {
        try {
            if (!handle_) handle_ = kind::open(manager_, subject_name, row_->made_with);
            if (row_->neighbour_takes) taken_ = handle_->try_get();
            else has_put_ = handle_->try_put(element<item>::make(7777));
        } catch (const cairn::queue_closed&) {
        } catch (const cairn::segment_full&) {}
    }

    outcome look_after_neighbour() override { return compare(read()); }

private:
    picture read() const {
        const auto found = manager_.find<Q>(subject_name);
        if (!found) return std::nullopt;
        const queue_picture<item> all = picture_of(*found);
        // Each item that was taken, and is not done, is remembered as somebody's.
        std::uint64_t taken = 0;
        for (const cairn::detail::queue_holder& each : opened_queue<Q>(*found).holders()) taken += each.taken;
        if (taken != all.unfinished - all.items.size() - all.leased)
            throw lab_failure(std::to_string(taken) + " items are remembered as taken, of " + describe(all));
        if (found->size() != all.items.size()) throw lab_failure("size() and snapshot() differ");
        if (found->empty() != all.items.empty()) throw lab_failure("empty() and snapshot() differ");
        if (found->maxsize() != static_cast<std::size_t>(row_->made_with.maxsize))
            throw lab_failure("another maxsize");
        return all;
    }

    // What the row expects, with what the neighbour has done on top.
    picture with_neighbour(picture p) const {
        if (!has_put_ && !taken_) return p;
        if (!p) p.emplace();
        if (has_put_) {
            kind::put(p->items, element<item>::make(7777));
            ++p->unfinished;
        }
        if (taken_) {
            const bool is_first = !p->items.empty() && p->items.front() == *taken_;
            if (is_first) p->items.erase(p->items.begin());
            else p->unfinished += 1'000'000;  // like nothing that there is
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

    std::optional<outcome> compare_items(const std::vector<item>& found) const {
        const bool before = row_->before && found == row_->before->items;
        const bool after = row_->after && found == row_->after->items;
        if (before && after) return std::nullopt;
        if (before) return outcome::before;
        if (after) return outcome::after;
        throw lab_failure("a reader saw neither before nor after: " + std::to_string(found.size()) +
                          " items");
    }

    static std::string describe(const picture& p) {
        if (!p) return std::string("no ") + kind::word;
        std::string text = std::to_string(p->items.size()) + " items (";
        if constexpr (requires(const item& v) { cairn::repr(v); }) {
            for (std::size_t i = 0; i < std::min<std::size_t>(p->items.size(), 6); ++i)
                text += (i == 0 ? "" : ", ") + cairn::repr(p->items[i]).substr(0, 24);
        }
        return text + "), " + std::to_string(p->unfinished) + " unfinished, " + std::to_string(p->leased) +
               " leased, " + std::to_string(p->dead_letters.size()) + " dead letters" +
               (p->lost != 0 ? ", " + std::to_string(p->lost) + " lost" : "") +
               (p->is_closed ? ", closed" : "");
    }

    cairn::manager manager_;
    std::shared_ptr<const queue_row<Q>> row_;
    std::optional<Q> handle_;
    bool has_put_ = false;
    std::optional<item> taken_;
};

template <typename Q>
std::unique_ptr<visitor> make_visitor(const cairn::manager& m, std::shared_ptr<const queue_row<Q>> row) {
    return std::make_unique<queue_visitor<Q>>(m, std::move(row));
}

}  // namespace cairn_test

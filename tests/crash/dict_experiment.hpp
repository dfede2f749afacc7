// dict_experiment.hpp - rows about dict<K, V>, sharded_dict<K, V> and set<T>: one of them named "subject", a model of it, and how it is used
// after a death.
//
// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <algorithm>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "crash/list_rows.hpp"
#include "support/opened_sharded_dict.hpp"
#include <cairn/manager.hpp>

namespace cairn_test {

/// How a container with keys is made, changed and modelled, whether it has values or not.
template <typename C>
struct keyed;

template <typename K, typename V>
struct keyed<cairn::dict<K, V>> {
    using handle = cairn::dict<K, V>;
    using item = std::pair<K, V>;
    static constexpr const char* word = "dict";
    static constexpr bool is_ordered = true;

    static item make(std::size_t i) { return {element<K>::make(i), element<V>::make(i + 1)}; }
    static const K& key_of(const item& i) { return i.first; }
    static handle open(const cairn::manager& m, const std::string& name, const std::vector<item>& contents) {
        return m.dict<K, V>(name, contents);
    }
    static void add(const handle& h, const item& i) { h.set(i.first, i.second); }
    /// A key that is there keeps its place and gets another value.
    static void add_to(std::vector<item>& model, const item& i) {
        for (item& each : model) {
            if (each.first != i.first) continue;
            each.second = i.second;
            return;
        }
        model.push_back(i);
    }
    static item take_last(const handle& h) { return h.popitem(); }
    static std::string text_of(const item& i) { return cairn::repr(i.first) + ": " + cairn::repr(i.second); }
    /// Takes the lock, changes nothing.
    static void touch(const handle& h) { h.erase(make(900'000).first); }
};

/// Of two shards. The order of keys in different ones is no order.
template <typename K, typename V>
struct keyed<cairn::sharded_dict<K, V>> : keyed<cairn::dict<K, V>> {
    using handle = cairn::sharded_dict<K, V>;
    using item = std::pair<K, V>;
    static constexpr const char* word = "sharded_dict";
    static constexpr bool is_ordered = false;

    static handle open(const cairn::manager& m, const std::string& name, const std::vector<item>& contents) {
        return m.sharded_dict<K, V>(name, contents, {.shards = 2});
    }
    static void add(const handle& h, const item& i) { h.set(i.first, i.second); }
    static item take_last(const handle& h) { return h.popitem(); }
    /// Takes all locks, changes nothing.
    static void touch(const handle& h) { opened_sharded<K, V>(h).touch(); }
    /// What shard `index` has of these.
    static std::vector<item> of_shard(const handle& h, const std::vector<item>& all, std::size_t index) {
        const opened_sharded<K, V> open(h);
        std::vector<item> some;
        for (const item& each : all)
            if (open.shard_of(each.first) == index) some.push_back(each);
        return some;
    }
};

template <typename T>
struct keyed<cairn::set<T>> {
    using handle = cairn::set<T>;
    using item = T;
    static constexpr const char* word = "set";
    static constexpr bool is_ordered = true;

    static item make(std::size_t i) { return element<T>::make(i); }
    static const T& key_of(const item& i) { return i; }
    static handle open(const cairn::manager& m, const std::string& name, const std::vector<item>& contents) {
        return m.set<T>(name, contents);
    }
    static void add(const handle& h, const item& i) { h.add(i); }
    static void add_to(std::vector<item>& model, const item& i) {
        if (std::find(model.begin(), model.end(), i) == model.end()) model.push_back(i);
    }
    static item take_last(const handle& h) { return h.pop(); }
    static std::string text_of(const item& i) { return cairn::repr(i); }
    /// Takes the lock, changes nothing.
    static void touch(const handle& h) { h.discard(make(900'000)); }
};

template <typename C>
std::vector<typename keyed<C>::item> some_items(std::size_t count, std::size_t first = 0) {
    std::vector<typename keyed<C>::item> all;
    for (std::size_t i = 0; i < count; ++i) all.push_back(keyed<C>::make(first + i));
    return all;
}

template <typename C>
struct keyed_row {
    using contents = std::optional<std::vector<typename keyed<C>::item>>;  // none: there is no such object

    contents before;
    contents after;
    /// Each shard by itself is before or after.
    bool is_by_shard = false;
    /// Beyond the contents: fills the segment, makes holes. Null: nothing.
    std::function<void(const cairn::manager&)> shape;
    std::function<void(const cairn::manager&, std::optional<C>&)> operation;
};

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

/// Builds rows about one type of dict or set.
template <typename C>
class keyed_rows {
public:
    using items = std::vector<typename keyed<C>::item>;
    using shape = std::function<void(const cairn::manager&)>;

    keyed_rows(experiment_table& table, std::string type)
        : table_(table), type_(std::string(keyed<C>::word) + "<" + std::move(type) + ">") {}

    /// `member`, in that state: `operation` must do what `on_model` does to a vector.
    template <typename Operation, typename OnModel>
    void add(const std::string& member, const std::string& state, items before, Operation operation,
             OnModel on_model, shape prepare = {}, const cairn::segment_options& options = small_segment()) {
        keyed_row<C> row;
        items after = before;
        on_model(after);
        row.before = std::move(before);
        row.after = std::move(after);
        row.shape = std::move(prepare);
        row.operation = [operation](const cairn::manager&, std::optional<C>& c) { operation(*c); };
        row.is_by_shard = !keyed<C>::is_ordered;
        add_row(type_ + " " + member + ", " + state,
                member == "erase_if" ? member : std::string(keyed<C>::word) + "::" + member, std::move(row),
                options);
    }

    /// The manager removes it.
    void add_removal(const std::string& state, items before, shape prepare = {},
                     const cairn::segment_options& options = small_segment()) {
        keyed_row<C> row;
        row.before = std::move(before);
        row.shape = std::move(prepare);
        row.operation = [](const cairn::manager& m, std::optional<C>&) {
            if (!m.remove(subject_name)) throw lab_failure("there was nothing to remove");
        };
        add_row("manager remove " + type_ + ", " + state, "manager::remove", std::move(row), options);
    }

    /// The manager creates it with contents.
    void add_creation(const std::string& state, items contents, shape prepare = {},
                      const cairn::segment_options& options = small_segment()) {
        keyed_row<C> row;
        row.after = contents;
        row.shape = std::move(prepare);
        row.operation = [contents = std::move(contents)](const cairn::manager& m, std::optional<C>& c) {
            c = keyed<C>::open(m, subject_name, contents);
        };
        add_row("manager " + type_ + ", " + state, std::string("manager::") + keyed<C>::word, std::move(row),
                options);
    }

private:
    void add_row(std::string name, std::string covers, keyed_row<C> row,
                 const cairn::segment_options& options) {
        auto shared = std::make_shared<const keyed_row<C>>(std::move(row));
        experiment e;
        e.name = std::move(name);
        e.covers = {std::move(covers)};
        e.options = options;
        e.prepare = [shared](const cairn::manager& m) {
            if (shared->before) static_cast<void>(keyed<C>::open(m, subject_name, *shared->before));
            if (shared->shape) shared->shape(m);
        };
        e.visit = [shared](const cairn::manager& m) { return std::make_unique<keyed_visitor<C>>(m, shared); };
        table_.push_back(std::move(e));
    }

    experiment_table& table_;
    std::string type_;
};

void add_dict_rows(experiment_table& table);
void add_set_rows(experiment_table& table);
void add_sharded_rows(experiment_table& table);
void add_composite_rows(experiment_table& table);

}  // namespace cairn_test

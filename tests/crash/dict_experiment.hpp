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

/// A process with a handle on the row's object. A new type of rows needs a line in visitors.cpp.
template <typename C>
std::unique_ptr<visitor> make_visitor(const cairn::manager& m, std::shared_ptr<const keyed_row<C>> row);

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
        e.visit = [shared](const cairn::manager& m) { return make_visitor(m, shared); };
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

// SPDX-License-Identifier: BSL-1.0
#include "keyed_storm.hpp"

#include <cstdlib>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

#include "support/opened_sharded_dict.hpp"
#include "support/values.hpp"
#include "token_values.hpp"
#include "undone.hpp"
#include <cairn/cairn.hpp>

namespace cairn_test {

namespace {

constexpr std::size_t many = 1500;  // entries; from here on more is taken than added

// What dicts and sets of a storm have in common.
template <typename Container>
class keyed_in_storm : public storm_object {
public:
    keyed_in_storm(Container all, unsigned object) : all_(std::move(all)), object_(object) {}

    [[nodiscard]] std::string problem(const ledger& noted) const override {
        if (std::string broken = broken_dict(all_); !broken.empty()) return broken;
        return noted.problem(object_, present(), token_order::none);
    }
    void clear() const override { all_.clear(); }

protected:
    [[nodiscard]] virtual std::vector<token> present() const = 0;

    template <typename Fn>
    void look(actor& by, Fn fn) const {
        by.perform(object_, deed::other, 0, 0, [&](note&) { fn(); });
    }

    Container all_;
    unsigned object_;
};

// ---- dicts ---------------------------------------------------------------------------------------------------------

template <typename V>
void require_whole_pair(token key, const V& value) {
    if (token_in(value) != key) throw storm_failure("the value of another key: of " + std::to_string(key));
}

template <typename K, typename V>
cairn::dict<K, V> join(const cairn::manager& m, const std::string& name, const cairn::dict<K, V>*) {
    return m.dict<K, V>(name);
}
template <typename K, typename V>
cairn::sharded_dict<K, V> join(const cairn::manager& m, const std::string& name,
                               const cairn::sharded_dict<K, V>*) {
    return m.sharded_dict<K, V>(name, {.shards = 4});
}

// Each token is a key, and its value tells which.
template <typename Dict>
class dict_of_tokens : public keyed_in_storm<Dict> {
    using K = typename Dict::key_type;
    using V = typename Dict::mapped_type;
    // An update of several keys is one step in a dict only.
    static constexpr bool is_sharded = !std::is_same_v<Dict, cairn::dict<K, V>>;

public:
    dict_of_tokens(const cairn::manager& m, const std::string& name, unsigned object)
        : keyed_in_storm<Dict>(join(m, name, static_cast<const Dict*>(nullptr)), object) {}

    using keyed_in_storm<Dict>::all_;
    using keyed_in_storm<Dict>::object_;

    void operate(actor& by) const override {
        switch (by.random(all_.size() < many ? 16 : 8)) {
            case 0:
            case 1:
                by.perform(object_, deed::take, 0, 1, [&](note& n) { n.result = checked(all_.popitem()); });
                break;
            case 2:
            case 3: take(by); break;
            case 4: discard(by); break;
            case 5: read(by); break;
            case 6:
                if constexpr (is_sharded) read(by);
                else transact(by);
                break;
            case 7:
            case 8: add_several(by, is_sharded ? 1 : 2 + by.random(40)); break;
            case 9: add_if_missing(by); break;
            default: add(by); break;
        }
    }
    void hold(actor& by, const std::function<void()>& fn) const override {
        const token fresh = by.new_tokens();
        by.perform(object_, deed::add, fresh, 1, [&](note&) {
            all_.update(value_of<K>::make(fresh), [&](V& value) {
                value = value_of<V>::make(fresh);
                fn();
            });
        });
    }
    void touch() const override {
        all_.for_each([](const K& key, const V& value) { require_whole_pair(token_in(key), value); });
        if constexpr (is_sharded) opened_sharded<K, V>(all_).touch();
    }

protected:
    [[nodiscard]] std::vector<token> present() const override {
        std::vector<token> tokens;
        for (const auto& each : all_.snapshot()) tokens.push_back(checked(each));
        return tokens;
    }

private:
    static token checked(const std::pair<K, V>& pair) {
        const token t = token_in(pair.first);
        require_whole_pair(t, pair.second);
        return t;
    }

    // A key that was there a moment ago; throws key_error where there is none.
    K some_key(actor& by) const {
        std::uint64_t steps = by.random(12);
        for (const auto& [key, value] : all_) {
            require_whole_pair(token_in(key), value);
            if (steps-- == 0) return key;
        }
        throw cairn::key_error("there are fewer");
    }

    void add(actor& by) const {
        const token fresh = by.new_tokens();
        by.perform(object_, deed::add, fresh, 1,
                   [&](note&) { all_.set(value_of<K>::make(fresh), value_of<V>::make(fresh)); });
    }
    void add_if_missing(actor& by) const {
        const token fresh = by.new_tokens();
        by.perform(object_, deed::add, fresh, 1, [&](note&) {
            if (!all_.try_emplace(value_of<K>::make(fresh), value_of<V>::make(fresh)))
                throw storm_failure("a key that is new is there");
        });
    }
    void add_several(actor& by, std::uint64_t count) const {
        const token fresh = by.new_tokens(count);
        by.perform(object_, deed::add, fresh, static_cast<std::uint16_t>(count), [&](note&) {
            std::vector<std::pair<K, V>> pairs;
            for (token t = fresh; t < fresh + count; ++t)
                pairs.emplace_back(value_of<K>::make(t), value_of<V>::make(t));
            all_.update(pairs);
        });
    }
    void take(actor& by) const {
        by.perform(object_, deed::take, 0, 1, [&](note& n) {
            const K key = some_key(by);
            const V value = all_.pop(key);  // key_error when somebody was faster
            require_whole_pair(token_in(key), value);
            n.result = token_in(key);
        });
    }
    // A pair for another one, as one step, or nothing at all.
    void transact(actor& by) const {
        const token fresh = by.new_tokens();
        by.perform(object_, deed::replace, fresh, 1, [&](note& n) {
            try {
                all_.transaction([&](const Dict& tx) {
                    const K key = some_key(by);
                    const V value = tx.pop(key);
                    require_whole_pair(token_in(key), value);
                    tx.set(value_of<K>::make(fresh), value_of<V>::make(fresh));
                    if (by.random(3) == 0) throw undone();
                    n.result = token_in(key);
                });
            } catch (const undone&) {
                n.what = static_cast<std::uint16_t>(deed::other);
            }
        });
    }
    void discard(actor& by) const {
        by.perform(object_, deed::discard, 0, 1, [&](note& n) {
            if (!all_.erase(some_key(by))) n.count = 0;
        });
    }
    void read(actor& by) const {
        this->look(by, [&] {
            switch (by.random(4)) {
                case 0:
                    for (const auto& each : all_.snapshot()) checked(each);
                    break;
                case 1:
                    for (const auto& each : all_) checked(each);
                    break;
                case 2: {
                    const K key = some_key(by);
                    if (const auto value = all_.get(key)) require_whole_pair(token_in(key), *value);
                    break;
                }
                default: {
                    const K key = some_key(by);
                    require_whole_pair(token_in(key), all_.at(key));
                    break;
                }
            }
        });
    }
};

// Few keys, whose values are tokens: one takes the place of another all the time.
template <typename K, typename V>
class registers : public keyed_in_storm<cairn::dict<K, V>> {
    static constexpr std::uint64_t keys = 100;

public:
    registers(const cairn::manager& m, const std::string& name, unsigned object)
        : keyed_in_storm<cairn::dict<K, V>>(m.dict<K, V>(name), object) {}

    using keyed_in_storm<cairn::dict<K, V>>::all_;
    using keyed_in_storm<cairn::dict<K, V>>::object_;

    void operate(actor& by) const override {
        const K key = value_of<K>::make(by.random(keys));
        switch (by.random(8)) {
            case 0:
                by.perform(object_, deed::take, 0, 1, [&](note& n) { n.result = token_in(all_.pop(key)); });
                break;
            case 1:
                by.perform(object_, deed::discard, 0, 1, [&](note& n) {
                    if (!all_.erase(key)) n.count = 0;
                });
                break;
            case 2:
            case 3: set_default(by, key); break;
            case 4:
                this->look(by, [&] {
                    if (const auto value = all_.get(key)) static_cast<void>(token_in(*value));
                });
                break;
            case 5: this->look(by, [&] { static_cast<void>(present()); }); break;
            default: exchange(by, key, [] {}); break;
        }
    }
    void hold(actor& by, const std::function<void()>& fn) const override {
        exchange(by, value_of<K>::make(by.random(keys)), fn);
    }
    void touch() const override {
        all_.for_each([](const K&, const V& value) { static_cast<void>(token_in(value)); });
    }

protected:
    [[nodiscard]] std::vector<token> present() const override {
        std::vector<token> tokens;
        for (const V& value : all_.values()) tokens.push_back(token_in(value));
        return tokens;
    }

private:
    void exchange(actor& by, const K& key, const std::function<void()>& fn) const {
        const token fresh = by.new_tokens();
        by.perform(object_, deed::replace, fresh, 1, [&](note& n) {
            bool was_there = false;
            all_.update(key, [&](V& value) {
                was_there = value != V{};
                if (was_there) n.result = token_in(value);
                value = value_of<V>::make(fresh);
                fn();
            });
            if (!was_there) n.what = static_cast<std::uint16_t>(deed::add);
        });
    }
    void set_default(actor& by, const K& key) const {
        const token fresh = by.new_tokens();
        by.perform(object_, deed::add, fresh, 1, [&](note& n) {
            if (token_in(all_.setdefault(key, value_of<V>::make(fresh))) != fresh)
                n.what = static_cast<std::uint16_t>(deed::other);
        });
    }
};

// Also what leaves no trace of what it took: all that must hold is that each value belongs to its key.
class wild_dict : public keyed_in_storm<cairn::dict<std::string, small_struct>> {
    static constexpr std::uint64_t keys = 4000;

public:
    wild_dict(const cairn::manager& m, const std::string& name, unsigned object)
        : keyed_in_storm(m.dict<std::string, small_struct>(name), object) {}

    void operate(actor& by) const override {
        const std::uint64_t number = by.random(keys);
        const auto [key, value] = pair_of(by, number);
        look(by, [&, &key = key, &value = value] {
            switch (by.random(10)) {
                case 0:
                    if (by.random(20) == 0) all_.clear();
                    break;
                case 1: static_cast<void>(all_.insert_or_assign(key, value)); break;
                case 2: static_cast<void>(all_.erase(key)); break;
                case 3: {
                    std::vector<std::pair<std::string, small_struct>> pairs;
                    for (std::uint64_t i = by.random(300); i != 0; --i)
                        pairs.push_back(pair_of(by, by.random(keys)));
                    all_ |= pairs;
                    break;
                }
                case 4: check(all_.popitem()); break;
                case 5:
                    if (const auto found = all_.get(key)) check({key, *found});
                    break;
                case 6: look_at_all(); break;
                case 7:
                    for (std::uint64_t i = 0; i < 40; ++i)
                        static_cast<void>(all_.erase(pair_of(by, by.random(keys)).first));
                    break;
                default: all_.set(key, value); break;
            }
        });
    }
    void hold(actor& by, const std::function<void()>& fn) const override {
        const std::uint64_t number = by.random(keys);
        const auto [key, value] = pair_of(by, number);
        look(by, [&, &key = key, &value = value] {
            all_.update(key, [&](small_struct& each) { fn(), each = value; });
        });
    }
    void touch() const override {
        all_.for_each([](const std::string& key, const small_struct& value) { check({key, value}); });
    }
    [[nodiscard]] std::string problem(const ledger&) const override {
        look_at_all();
        return broken_dict(all_);
    }

protected:
    [[nodiscard]] std::vector<token> present() const override { return {}; }

private:
    void look_at_all() const {
        for (const auto& each : all_.snapshot()) check(each);
    }
    static std::pair<std::string, small_struct> pair_of(actor& by, std::uint64_t number) {
        return {value_of<std::string>::make(number),
                value_of<small_struct>::make(number + keys * by.random(1000))};
    }
    static void check(const std::pair<std::string, small_struct>& pair) {
        if (token_in(pair.first) != token_in(pair.second) % keys)
            throw storm_failure("the value of another key: of " + pair.first);
    }
};

// ---- sets ----------------------------------------------------------------------------------------------------------

template <typename T>
class set_of_tokens : public keyed_in_storm<cairn::set<T>> {
public:
    set_of_tokens(const cairn::manager& m, const std::string& name, unsigned object)
        : keyed_in_storm<cairn::set<T>>(m.set<T>(name), object) {}

    using keyed_in_storm<cairn::set<T>>::all_;
    using keyed_in_storm<cairn::set<T>>::object_;

    void operate(actor& by) const override {
        switch (by.random(all_.size() < many ? 12 : 6)) {
            case 0:
            case 1:
                by.perform(object_, deed::take, 0, 1, [&](note& n) { n.result = token_in(all_.pop()); });
                break;
            case 2: remove(by); break;
            case 3: discard(by); break;
            case 4: this->look(by, [&] { static_cast<void>(present()); }); break;
            case 5:
                this->look(by, [&] {
                    for (const T& each : all_.intersection(all_.snapshot()))
                        static_cast<void>(token_in(each));
                });
                break;
            case 6:
            case 7: add_several(by, 2 + by.random(40)); break;
            default: add(by); break;
        }
    }
    void hold(actor& by, const std::function<void()>& fn) const override {
        this->look(by, [&] { all_.for_each([&](const T&) { fn(); }); });
    }
    void touch() const override {
        all_.for_each([](const T& each) { static_cast<void>(token_in(each)); });
    }

protected:
    [[nodiscard]] std::vector<token> present() const override {
        std::vector<token> tokens;
        for (const T& each : all_.snapshot()) tokens.push_back(token_in(each));
        return tokens;
    }

private:
    T some_element(actor& by) const {
        std::uint64_t steps = by.random(12);
        for (const T& each : all_)
            if (steps-- == 0) return each;
        throw cairn::key_error("there are fewer");
    }
    void add(actor& by) const {
        const token fresh = by.new_tokens();
        by.perform(object_, deed::add, fresh, 1, [&](note&) {
            if (!all_.add(value_of<T>::make(fresh))) throw storm_failure("an element that is new is there");
        });
    }
    void add_several(actor& by, std::uint64_t count) const {
        const token fresh = by.new_tokens(count);
        by.perform(object_, deed::add, fresh, static_cast<std::uint16_t>(count), [&](note&) {
            const std::vector<T> values = values_from<T>(fresh, count);
            if (count % 2 == 0) all_.update(values);
            else all_.symmetric_difference_update(values);
        });
    }
    void remove(actor& by) const {
        by.perform(object_, deed::take, 0, 1, [&](note& n) {
            const T element = some_element(by);
            all_.remove(element);  // key_error when somebody was faster
            n.result = token_in(element);
        });
    }
    void discard(actor& by) const {
        by.perform(object_, deed::discard, 0, 1, [&](note& n) {
            if (!all_.discard(some_element(by))) n.count = 0;
        });
    }
};

// The operations with other sets, which take away nobody knows how many.
class wild_set : public keyed_in_storm<cairn::set<std::string>> {
public:
    wild_set(const cairn::manager& m, const std::string& name, unsigned object)
        : keyed_in_storm(m.set<std::string>(name), object) {}

    void operate(actor& by) const override {
        const std::vector<std::string> others = values_from<std::string>(by.random(900), by.random(200));
        look(by, [&] {
            switch (by.random(12)) {
                case 0: all_ -= others; break;
                case 1: all_ &= values_from<std::string>(by.random(300), 600); break;
                case 2: all_ ^= others; break;
                case 3:
                    if (by.random(20) == 0) all_.clear();
                    break;
                case 4: static_cast<void>(token_in(all_.pop())); break;
                case 5: look_at_all(); break;
                case 6:
                case 7: all_ |= others; break;
                default: static_cast<void>(all_.add(value_of<std::string>::make(by.random(1000)))); break;
            }
        });
    }
    void hold(actor& by, const std::function<void()>& fn) const override {
        look(by, [&] { all_.for_each([&](const std::string&) { fn(); }); });
    }
    void touch() const override {
        all_.for_each([](const std::string& each) { static_cast<void>(token_in(each)); });
    }
    [[nodiscard]] std::string problem(const ledger&) const override {
        look_at_all();
        return broken_dict(all_);
    }

protected:
    [[nodiscard]] std::vector<token> present() const override { return {}; }

private:
    void look_at_all() const {
        for (const std::string& each : all_.snapshot()) static_cast<void>(token_in(each));
    }
};

}  // namespace

std::vector<storm_row> keyed_storm_rows() {
    return {row_of<dict_of_tokens<cairn::dict<long, long>>>("dict of int64"),
            row_of<dict_of_tokens<cairn::dict<std::string, std::string>>>("dict of str"),
            row_of<dict_of_tokens<cairn::sharded_dict<long, std::string>>>("sharded dict"),
            row_of<registers<long, std::string>>("registers"),
            row_of<wild_dict>("wild dict"),
            row_of<set_of_tokens<long>>("set of int64"),
            row_of<set_of_tokens<std::string>>("set of str"),
            row_of<wild_set>("wild set")};
}

}  // namespace cairn_test

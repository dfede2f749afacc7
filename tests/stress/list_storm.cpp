// SPDX-License-Identifier: BSL-1.0
#include "list_storm.hpp"

#include <algorithm>
#include <string>

#include "support/opened.hpp"
#include "support/values.hpp"
#include "token_values.hpp"
#include "undone.hpp"
#include <cairn/cairn.hpp>

namespace cairn_test {

namespace {

constexpr std::size_t many = 1500;  // elements; from here on more is taken than added

// What lists of a storm have in common.
template <typename T>
class list_in_storm : public storm_object {
public:
    list_in_storm(const cairn::manager& m, const std::string& name, unsigned object)
        : list_(m.list<T>(name)), object_(object) {}

    void hold(actor& by, const std::function<void()>& fn) const override {
        const token fresh = by.new_tokens();
        by.perform(object_, deed::replace, fresh, 1, [&](note& n) {
            token before = 0;
            list_.update(0, [&](T& value) {
                before = token_in(value);
                value = value_of<T>::make(fresh);
                fn();
            });
            n.result = before;
        });
    }
    void touch() const override {
        list_.for_each([](const T& value) { static_cast<void>(token_in(value)); });
    }
    [[nodiscard]] std::string problem(const ledger& noted) const override {
        if (std::string broken = broken_invariant(list_); !broken.empty()) return broken;
        std::vector<token> present;
        for (const T& value : list_.snapshot()) present.push_back(token_in(value));
        return noted.problem(object_, present, order());
    }
    void clear() const override { list_.clear(); }

protected:
    [[nodiscard]] virtual token_order order() const { return token_order::none; }

    void add(actor& by) const {
        const token fresh = by.new_tokens();
        by.perform(object_, deed::add, fresh, 1, [&](note&) { list_.push_back(value_of<T>::make(fresh)); });
    }
    void add_several(actor& by, std::uint64_t count) const {
        const token fresh = by.new_tokens(count);
        by.perform(object_, deed::add, fresh, static_cast<std::uint16_t>(count),
                   [&](note&) { list_.extend(values_from<T>(fresh, count)); });
    }
    void take(actor& by, std::size_t index) const {
        by.perform(object_, deed::take, 0, 1, [&](note& n) { n.result = token_in(list_.pop(index)); });
    }
    void discard(actor& by, std::size_t first, std::size_t last) const {
        by.perform(object_, deed::discard, 0, static_cast<std::uint16_t>(last - first),
                   [&](note&) { list_.erase(first, last); });
    }
    template <typename Fn>
    void look(actor& by, Fn fn) const {
        by.perform(object_, deed::other, 0, 0, [&](note&) { fn(); });
    }
    void read(actor& by) const {
        look(by, [&] {
            switch (by.random(5)) {
                case 0: token_in(list_.at(by.random(list_.size() + 1))); break;
                case 1: token_in(list_.back()); break;
                case 2:
                    for (const T& value : list_.snapshot()) token_in(value);
                    break;
                case 3:
                    for (const T& value : list_.slice(3, 200, 2)) token_in(value);
                    break;
                default:
                    for (const T& value : list_) token_in(value);
                    break;
            }
        });
    }

    cairn::list<T> list_;
    unsigned object_;
};

// Everything that a list can do, and still know what must be in it.
template <typename T>
class bag : public list_in_storm<T> {
public:
    using list_in_storm<T>::list_in_storm;
    using list_in_storm<T>::list_;
    using list_in_storm<T>::object_;

    void operate(actor& by) const override {
        const std::size_t size = list_.size();
        const std::uint64_t kind = by.random(size < many ? 24 : 12);
        switch (kind) {
            case 0:
            case 1: this->take(by, by.random(size + 1)); break;
            case 2:
                by.perform(object_, deed::take, 0, 1, [&](note& n) { n.result = token_in(list_.pop()); });
                break;
            case 3: take_by_value(by); break;
            case 4: {
                const std::size_t first = by.random(size + 1);
                this->discard(by, first, first + by.random(60));
                break;
            }
            case 5:
                by.perform(object_, deed::discard, 0, 1, [&](note&) { list_.erase(by.random(size + 1)); });
                break;
            case 6:
                if (by.random(2) == 0) replace(by, by.random(size + 1));
                else transact(by, by.random(size + 1));
                break;
            case 7: this->read(by); break;
            case 8: by.random(8) == 0 ? this->look(by, [&] { list_.sort(); }) : this->read(by); break;
            case 9: by.random(8) == 0 ? this->look(by, [&] { list_.reverse(); }) : this->read(by); break;
            case 10:
                by.random(8) == 0 ? this->look(by, [&] { list_.reserve(size + 300); }) : this->read(by);
                break;
            case 11: this->take(by, 0); break;
            case 12:
            case 13:
            case 14: this->add_several(by, 1 + by.random(40)); break;
            case 15:
            case 16: insert(by, by.random(size + 1)); break;
            default: this->add(by); break;
        }
    }

private:
    void insert(actor& by, std::size_t at) const {
        const token fresh = by.new_tokens();
        by.perform(object_, deed::add, fresh, 1, [&](note&) { list_.insert(at, value_of<T>::make(fresh)); });
    }
    void replace(actor& by, std::size_t at) const {
        const token fresh = by.new_tokens();
        by.perform(object_, deed::replace, fresh, 1, [&](note& n) {
            token before = 0;
            list_.update(at, [&](T& value) {
                before = token_in(value);
                value = value_of<T>::make(fresh);
            });
            n.result = before;
        });
    }
    // Several operations as one: an element for another one, or nothing at all.
    void transact(actor& by, std::size_t at) const {
        if (by.random(3) == 0) {
            this->look(by, [&] {
                try {
                    list_.transaction([&](const cairn::list<T>& tx) {
                        token_in(tx.pop());
                        tx.extend(values_from<T>(1, 1 + by.random(300)));
                        tx.erase(at);
                        throw undone();
                    });
                } catch (const undone&) {}
            });
            return;
        }
        const token fresh = by.new_tokens();
        by.perform(object_, deed::replace, fresh, 1, [&](note& n) {
            list_.transaction([&](const cairn::list<T>& tx) {
                n.result = token_in(by.random(2) == 0 ? tx.pop() : tx.pop(at));
                tx.push_back(value_of<T>::make(fresh));
            });
        });
    }
    void take_by_value(actor& by) const {
        by.perform(object_, deed::take, 0, 1, [&](note& n) {
            const T value = list_.at(by.random(list_.size() + 1));
            list_.remove(value);  // invalid_argument when somebody was faster
            n.result = token_in(value);
        });
    }
};

// In at the end, out at the front.
class line : public list_in_storm<long> {
public:
    using list_in_storm::list_in_storm;

    void operate(actor& by) const override {
        switch (by.random(list_.size() < many ? 10 : 3)) {
            case 0: this->take(by, 0); break;
            case 1: this->discard(by, 0, 1 + by.random(30)); break;
            case 2: this->read(by); break;
            case 3: this->add_several(by, 2 + by.random(50)); break;
            default: this->add(by); break;
        }
    }
    void hold(actor& by, const std::function<void()>& fn) const override {
        // An exchange at the front would put a new token before older ones; this one changes nothing.
        this->look(by, [&] { list_.update(0, [&](long& value) { fn(), value += 0; }); });
    }

protected:
    [[nodiscard]] token_order order() const override { return token_order::first_in_first_out; }
};

// Also what leaves no trace of which values it took: all that must hold is that values are whole.
class heap : public list_in_storm<small_struct> {
    using V = value_of<small_struct>;

public:
    using list_in_storm::list_in_storm;

    void operate(actor& by) const override {
        const std::size_t size = list_.size();
        const std::size_t at = by.random(size + 1);
        const small_struct value = V::make(by.random(1'000'000));
        look(by, [&] {
            switch (by.random(size < 4 * many ? 14 : 8)) {
                case 0:
                    if (by.random(20) == 0) list_.clear();
                    break;
                case 1: list_.erase(at, at + by.random(500)); break;
                case 2: static_cast<void>(list_.pop()); break;
                case 3: list_.set(at, value); break;
                case 4: list_[at] = value; break;
                case 5: list_.sort([](const auto& a, const auto& b) { return b < a; }); break;
                case 6: list_.reverse(); break;
                case 7:
                    for (const small_struct& v : list_.snapshot()) token_in(v);
                    break;
                case 8: list_.insert(at, value); break;
                case 9: list_.extend(values_from<small_struct>(by.random(1000), by.random(700))); break;
                default: list_.push_back(value); break;
            }
        });
    }
    void hold(actor& by, const std::function<void()>& fn) const override {
        look(by, [&] {
            // Everything is in the undo log when the comparison is called.
            list_.sort([&](const auto& a, const auto& b) { return fn(), a < b; });
        });
    }
    [[nodiscard]] std::string problem(const ledger&) const override {
        for (const small_struct& value : list_.snapshot()) token_in(value);
        return broken_invariant(list_);
    }
};

// Names that come and go, with lists of one value repeated: 1 + value % 50 times.
class names : public storm_object {
public:
    names(const cairn::manager& m, unsigned object) : m_(m), object_(object) {}

    void operate(actor& by) const override {
        const std::string name = "name " + std::to_string(by.random(6));
        const long value = static_cast<long>(by.random(1'000'000));
        by.perform(object_, deed::other, 0, 0, [&](note&) {
            switch (by.random(6)) {
                case 0:
                case 1:
                    check(m_.list<long>(name,
                                        std::vector<long>(static_cast<std::size_t>(1 + value % 50), value)));
                    break;
                case 2: static_cast<void>(m_.list<std::string>(name)); break;
                case 3:
                    if (const auto found = m_.find<cairn::list<long>>(name)) check(*found);
                    break;
                case 4:
                    static_cast<void>(by.random(8) == 0 ? m_.objects().size() : m_.stats().object_count);
                    break;
                default: static_cast<void>(m_.remove(name)); break;
            }
        });
    }
    void hold(actor& by, const std::function<void()>& fn) const override {
        // The segment's lock is held while an object is being filled, and its contents were encoded before; so this is
        // an object that may be removed at any time.
        by.perform(object_, deed::other, 0, 0, [&](note&) {
            if (const auto found = m_.find<cairn::list<long>>("name 0"))
                found->update(0, [&](long& value) { fn(), value += 0; });
        });
    }
    void touch() const override {
        visit([](const auto& list) { list.for_each([](const auto&) {}); });
    }
    [[nodiscard]] std::string problem(const ledger&) const override {
        std::string found;
        visit([&](const auto& list) {
            check(list);
            if (std::string broken = broken_invariant(list); !broken.empty()) found = broken;
        });
        return found;
    }
    void clear() const override {
        for (int i = 0; i < 6; ++i) static_cast<void>(m_.remove("name " + std::to_string(i)));
    }

private:
    template <typename Fn>
    void visit(Fn fn) const {
        for (const cairn::object_info& object : m_.objects()) {
            if (!object.name.starts_with("name ")) continue;
            if (object.type == "int64") fn(*m_.find<cairn::list<long>>(object.name));
            else fn(*m_.find<cairn::list<std::string>>(object.name));
        }
    }
    template <typename T>
    static void check(const cairn::list<T>& list) {
        const std::vector<T> values = list.snapshot();
        if constexpr (std::is_same_v<T, long>) {
            if (values.empty() || values.size() != static_cast<std::size_t>(1 + values[0] % 50) ||
                std::count(values.begin(), values.end(), values[0]) !=
                    static_cast<std::ptrdiff_t>(values.size()))
                throw storm_failure("a new list is seen without all of its first contents");
        } else if (!values.empty()) {
            throw storm_failure("a new list has elements that nobody gave it");
        }
    }

    cairn::manager m_;
    unsigned object_;
};

}  // namespace

std::vector<storm_row> list_storm_rows() {
    return {row_of<bag<long>>("bag of int64"),
            row_of<bag<std::string>>("bag of str"),
            row_of<line>("line"),
            row_of<heap>("heap"),
            {"names",
             [](const cairn::manager& m, unsigned object) { return std::make_unique<names>(m, object); }}};
}

}  // namespace cairn_test

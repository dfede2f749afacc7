// list_model.hpp - random operations on a list<T> and on a std::vector<T>.
// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <algorithm>
#include <functional>
#include <ranges>
#include <string>
#include <utility>
#include <vector>

#include <rapidcheck.h>

#include "support/opened.hpp"
#include "support/random_steps.hpp"
#include "support/values.hpp"
#include <cairn/manager.hpp>

namespace cairn_test {

inline rc::Gen<std::vector<step>> steps() {
    return rc::gen::scale(2.0, steps_of(24, 100'000));
}

constexpr int first_reading_kind = 22;  // of a step; from here on nothing is changed

/// A list and what it must look like. run() does one step on both; throws what the list throws, with the model unchanged.
template <typename T>
class pair_of_lists {
    using V = value_of<T>;

public:
    using handle = cairn::list<T>;
    using contents = std::vector<T>;

    pair_of_lists(cairn::list<T> l, std::vector<T> v) : list_(std::move(l)), model_(std::move(v)) {}

    void run(const step& s);

    [[nodiscard]] const std::vector<T>& model() const noexcept { return model_; }
    [[nodiscard]] const cairn::list<T>& object() const noexcept { return list_; }

    void compare() const;

    // ---- for lists whose users are killed: tests/crash/among_victims.hpp -------------------------------------------------

    static handle open(const cairn::manager& m) { return m.list<T>("l"); }
    static contents look(const handle& l) { return l.snapshot(); }
    static std::string broken(const handle& l) { return broken_invariant(l); }
    static contents settle(const handle& l) {
        const contents seen = l.snapshot();
        l.for_each([](const T&) {});
        RC_ASSERT(l.snapshot() == seen);
        return seen;
    }
    static void make(const handle& l, const contents& to) {
        l.clear();
        l.extend(to);
    }

private:
    static std::vector<T> several(std::uint64_t first, std::uint64_t count) {
        std::vector<T> values;
        for (std::uint64_t i = 0; i < count; ++i) values.push_back(V::make(first + i));
        return values;
    }

    void read(const step& s) const;

    cairn::list<T> list_;
    std::vector<T> model_;
};

// ---- outside the class, so that shared_models.hpp keeps them from being compiled again and again ---------------------

template <typename T>
void pair_of_lists<T>::run(const step& s) {
    const std::size_t size = model_.size();
    const std::size_t at = size == 0 ? 0 : s.a % size;
    switch (s.kind) {
        case 0:
        case 1:
        case 2: {
            const T value = V::make(s.a);
            list_.push_back(value);
            model_.push_back(value);
            break;
        }
        case 3: {
            const std::vector<T> more = several(s.a, s.b % 40);
            list_.extend(more);
            model_.insert(model_.end(), more.begin(), more.end());
            break;
        }
        case 4: {
            const std::vector<T> more = several(s.a, s.b % 700);
            list_.extend(more | std::views::filter([](const T&) { return true; }));
            model_.insert(model_.end(), more.begin(), more.end());
            break;
        }
        case 5:
        case 6: {
            const std::size_t where = s.a % (size + 1);
            list_.insert(where, V::make(s.b));
            model_.insert(model_.begin() + static_cast<std::ptrdiff_t>(where), V::make(s.b));
            break;
        }
        case 7:
        case 8:
            if (size == 0) break;
            RC_ASSERT(list_.pop() == model_.back());
            model_.pop_back();
            break;
        case 9:
            if (size == 0) break;
            RC_ASSERT(list_.pop(at) == model_[at]);
            model_.erase(model_.begin() + static_cast<std::ptrdiff_t>(at));
            break;
        case 10:
            if (size == 0) break;
            list_.set(at, V::make(s.b));
            model_[at] = V::make(s.b);
            break;
        case 11:
            if (size == 0) break;
            list_[at] = V::make(s.b);
            model_[at] = V::make(s.b);
            break;
        case 12:
            if (size == 0) break;
            list_.update(at, [&](T& value) {
                RC_ASSERT(value == model_[at]);
                value = V::make(s.b);
            });
            model_[at] = V::make(s.b);
            break;
        case 13:
            if (size == 0) break;
            list_.update(at, [&](const T&) { return V::make(s.b); });
            model_[at] = V::make(s.b);
            break;
        case 14:
            if (size == 0) break;
            list_.erase(at);
            model_.erase(model_.begin() + static_cast<std::ptrdiff_t>(at));
            break;
        case 15: {
            const std::size_t first = s.a % (size + 1);
            const std::size_t last = first + s.b % (size - first + 1);
            list_.erase(first, last);
            model_.erase(model_.begin() + static_cast<std::ptrdiff_t>(first),
                         model_.begin() + static_cast<std::ptrdiff_t>(last));
            break;
        }
        case 16: {
            if (size == 0) break;
            const T value = model_[at];
            list_.remove(value);
            model_.erase(std::find(model_.begin(), model_.end(), value));
            break;
        }
        case 17:
            list_.reverse();
            std::reverse(model_.begin(), model_.end());
            break;
        case 18:
            list_.sort();
            std::stable_sort(model_.begin(), model_.end());
            break;
        case 19: {
            const auto backwards = [](const T& x, const T& y) { return y < x; };
            list_.sort(backwards);
            std::stable_sort(model_.begin(), model_.end(), backwards);
            break;
        }
        case 20:
            if (s.a % 4 != 0) break;
            list_.clear();
            model_.clear();
            break;
        case 21: list_.reserve(s.a % 2000); break;
        case 22: read(s); break;
        case 23: compare(); break;
        default: break;
    }
}

template <typename T>
void pair_of_lists<T>::compare() const {
    RC_ASSERT(list_.size() == model_.size());
    RC_ASSERT(list_.snapshot() == model_);
    RC_ASSERT(broken_invariant(list_) == "");
}

template <typename T>
void pair_of_lists<T>::read(const step& s) const {
    const std::size_t size = model_.size();
    RC_ASSERT(list_.empty() == model_.empty());
    RC_ASSERT(std::ranges::equal(list_, model_));
    RC_ASSERT(list_ == model_);
    std::vector<T> seen;
    list_.for_each([&](const T& value) { seen.push_back(value); });
    RC_ASSERT(seen == model_);
    const std::size_t first = s.a % (size + 2);
    const std::size_t last = s.b % (size + 2);
    const std::size_t step_by = 1 + s.a % 3;
    std::vector<T> sliced;
    for (std::size_t i = first; i < std::min(last, size); i += step_by) sliced.push_back(model_[i]);
    RC_ASSERT(list_.slice(first, last, step_by) == sliced);
    if (size == 0) return;
    const std::size_t at = s.a % size;
    RC_ASSERT(list_.at(at) == model_[at]);
    RC_ASSERT(list_.get(at) == model_[at]);
    RC_ASSERT(list_[at].get() == model_[at]);
    RC_ASSERT(list_.front() == model_.front());
    RC_ASSERT(list_.back() == model_.back());
    const T& value = model_[at];
    RC_ASSERT(list_.contains(value));
    RC_ASSERT(list_.index(value) ==
              static_cast<std::size_t>(std::find(model_.begin(), model_.end(), value) - model_.begin()));
    RC_ASSERT(list_.count(value) ==
              static_cast<std::size_t>(std::count(model_.begin(), model_.end(), value)));
}

}  // namespace cairn_test

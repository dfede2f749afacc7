// list_model_test.cpp - every method of list<T> against std::vector<T>, by random operations. After each one contents,
// invariants and blocks of the arena are compared. The seed is printed; RC_PARAMS=seed=... repeats a run.
#include <algorithm>
#include <optional>
#include <string>
#include <vector>

#include <doctest/doctest.h>
#include <rapidcheck.h>

#include "support/opened.hpp"
#include "support/scratch.hpp"
#include "support/values.hpp"
#include <cairn/manager.hpp>

using namespace cairn_test;

namespace {

struct step {
    int kind;
    std::uint64_t a;
    std::uint64_t b;
};

void showValue(const step& s, std::ostream& to) {
    to << '{' << s.kind << ", " << s.a << ", " << s.b << '}';
}

rc::Gen<std::vector<step>> steps() {
    return rc::gen::scale(2.0, rc::gen::container<std::vector<step>>(rc::gen::build<step>(
                                   rc::gen::set(&step::kind, rc::gen::inRange(0, 24)),
                                   rc::gen::set(&step::a, rc::gen::inRange<std::uint64_t>(0, 100'000)),
                                   rc::gen::set(&step::b, rc::gen::inRange<std::uint64_t>(0, 100'000)))));
}

constexpr int rc_steps = 150;  // sequences for each type; tools/dev stress runs more by RC_PARAMS

// Runs one step on both; throws what the list throws, with the model unchanged.
template <typename T>
class pair_of_lists {
    using V = value_of<T>;

public:
    pair_of_lists(cairn::list<T> l, std::vector<T> v) : list_(std::move(l)), model_(std::move(v)) {}

    void run(const step& s) {
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

    void compare() const {
        RC_ASSERT(list_.size() == model_.size());
        RC_ASSERT(list_.snapshot() == model_);
        RC_ASSERT(broken_invariant(list_) == "");
    }

private:
    static std::vector<T> several(std::uint64_t first, std::uint64_t count) {
        std::vector<T> values;
        for (std::uint64_t i = 0; i < count; ++i) values.push_back(V::make(first + i));
        return values;
    }

    void read(const step& s) const {
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

    cairn::list<T> list_;
    std::vector<T> model_;
};

bool check(const std::string& what, const std::function<void()>& property) {
    rc::detail::TestMetadata about;
    about.id = what;
    rc::detail::TestParams params = rc::detail::configuration().testParams;
    params.maxSuccess = static_cast<int>(scaled(rc_steps));
    const rc::detail::TestResult result = rc::detail::checkTestable(property, about, params);
    if (result.is<rc::detail::SuccessResult>()) return true;
    std::cerr << what << ", RC_PARAMS=seed=" << params.seed << ":\n";
    rc::detail::printResultMessage(result, std::cerr);
    std::cerr << '\n';
    return false;
}

}  // namespace

TEST_CASE_TEMPLATE("a list does what a vector does, whatever the operations", T, char, bool, std::int16_t,
                   float, long, small_struct, large_struct, blob_struct, std::string, std::vector<int>) {
    if constexpr (!std::is_same_v<T, bool>) {
        CHECK(check("list as vector", [] {
            const cairn::manager m;
            pair_of_lists<T> both(m.list<T>("l"), {});
            for (const step& s : *steps()) {
                both.run(s);
                both.compare();
            }
        }));
    }
}

TEST_CASE_TEMPLATE("a list in a segment that is too small refuses what does not fit and stays as it was", T,
                   long, large_struct, std::string, std::vector<int>) {
    std::size_t refusals = 0;
    CHECK(check("small segment", [&] {
        const cairn::manager m(cairn::segment_options{.max_size = 256'000});
        pair_of_lists<T> both(m.list<T>("l"), {});
        for (const step& s : *steps()) {
            try {
                both.run(s);
            } catch (const cairn::segment_full&) {
                ++refusals;
            }
            both.compare();
        }
        // However short the steps were: now it is full.
        for (std::size_t before = refusals; refusals == before;) {
            try {
                both.run(step{3, 1, 39});
            } catch (const cairn::segment_full&) {
                ++refusals;
            }
        }
        both.compare();
    }));
    CHECK(refusals > 0);
}

TEST_CASE("a list with a first superblock of one chunk and later ones of many does what a vector does") {
    const cairn::manager m;
    const auto l = m.list<long>("l");
    std::vector<long> model;
    for (long i = 0; i < 400'000; ++i) model.push_back(i * 3);
    l.extend(model);
    REQUIRE(l.snapshot() == model);
    for (const std::size_t at : {131'071UL - 16, 131'072UL - 16, 262'143UL - 16, 399'999UL, 0UL, 5UL}) {
        l.insert(at, -1);
        model.insert(model.begin() + static_cast<std::ptrdiff_t>(at), -1);
        CHECK(l.pop(at + 1) == model[at + 1]);
        model.erase(model.begin() + static_cast<std::ptrdiff_t>(at) + 1);
    }
    CHECK(l.snapshot() == model);
    CHECK(broken_invariant(l) == "");
    l.erase(1000, 300'000);
    model.erase(model.begin() + 1000, model.begin() + 300'000);
    CHECK(l.snapshot() == model);
    CHECK(broken_invariant(l) == "");
    l.reverse();
    std::reverse(model.begin(), model.end());
    l.sort();
    std::sort(model.begin(), model.end());
    CHECK(l.snapshot() == model);
    while (model.size() > 10) {
        REQUIRE(l.pop() == model.back());
        model.pop_back();
    }
    CHECK(broken_invariant(l) == "");
    l.clear();
    CHECK(l.empty());
    CHECK(broken_invariant(l) == "");
}

TEST_CASE(
    "memory of what was erased is used again: a list that is filled and cleared over and over stays small") {
    const cairn::manager m;
    const auto l = m.list<std::string>("l");
    std::uint64_t after_first = 0;
    for (int round = 0; round < 20; ++round) {
        for (std::uint64_t i = 0; i < 3000; ++i) l.push_back(value_of<std::string>::make(i));
        if (round % 2 == 0) l.clear();
        else
            while (!l.empty()) l.pop();
        REQUIRE(broken_invariant(l) == "");
        if (round == 1) after_first = m.stats().size_bytes;
    }
    CHECK(m.stats().size_bytes == after_first);
}

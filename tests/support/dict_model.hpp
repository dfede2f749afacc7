// dict_model.hpp - dict<K, V> against a vector of pairs in order of insertion: random operations, after each of which
// contents, order, invariants and blocks of the arena are compared.
//
// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <algorithm>
#include <cstdint>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

#include <rapidcheck.h>

#include "support/opened_dict.hpp"
#include "support/random_steps.hpp"

namespace cairn_test {

constexpr int dict_step_kinds = 9;
constexpr int several_operations = 7;  // the kind that is not one operation

template <typename T>
T dict_value(std::uint64_t n) {
    if constexpr (std::is_same_v<T, std::string>) return std::string(n % 5 * 13, 'x') + std::to_string(n);
    else return static_cast<T>(n);
}

template <typename K, typename V>
class dict_and_model {
public:
    using handle = cairn::dict<K, V>;
    using contents = std::vector<std::pair<K, V>>;

    explicit dict_and_model(cairn::dict<K, V> d, contents c = {})
        : dict_(std::move(d)), model_(std::move(c)) {}

    [[nodiscard]] const cairn::dict<K, V>& object() const { return dict_; }
    [[nodiscard]] const contents& model() const { return model_; }

    void run(const step& s);

    void compare() const;

    // ---- for dicts whose users are killed: tests/crash/among_victims.hpp -------------------------------------------------

    static handle open(const cairn::manager& m) { return m.dict<K, V>("d"); }
    static contents look(const handle& d) { return d.snapshot(); }
    static std::string broken(const handle& d) { return broken_dict(d); }
    static contents settle(const handle& d) {
        const contents seen = d.snapshot();
        d.for_each([](const K&, const V&) {});
        RC_ASSERT(d.snapshot() == seen);
        return seen;
    }
    static void make(const handle& d, const contents& to) {
        d.clear();
        d.update(to);
    }

private:
    void put(const K& key, const V& value) {
        for (auto& [k, v] : model_) {
            if (k != key) continue;
            v = value;
            return;
        }
        model_.emplace_back(key, value);
    }

    cairn::dict<K, V> dict_;
    contents model_;
};

inline rc::Gen<std::vector<step>> dict_steps() {
    return steps_of(dict_step_kinds, 400);
}

// ---- outside the class, so that shared_models.hpp keeps them from being compiled again and again ---------------------

template <typename K, typename V>
void dict_and_model<K, V>::run(const step& s) {
    const K key = dict_value<K>(s.a);
    const V value = dict_value<V>(s.b);
    const auto found =
        std::find_if(model_.begin(), model_.end(), [&](const auto& p) { return p.first == key; });
    switch (s.kind) {
        case 0:
        case 1:
            RC_ASSERT(dict_.insert_or_assign(key, value) == (found == model_.end()));
            put(key, value);
            break;
        case 2:
            RC_ASSERT(dict_.try_emplace(key, value) == (found == model_.end()));
            if (found == model_.end()) put(key, value);
            break;
        case 3:
        case 4:
            RC_ASSERT(dict_.erase(key) == (found != model_.end()));
            if (found != model_.end()) model_.erase(found);
            break;
        case 5:
            if (model_.empty()) break;
            RC_ASSERT(dict_.popitem() == model_.back());
            model_.pop_back();
            break;
        case 6: {
            contents more;
            for (std::uint64_t i = 0; i < s.b % 90; ++i) more.emplace_back(dict_value<K>(s.a + i * 7), value);
            dict_.update(more);
            for (const auto& [k, v] : more) put(k, v);
            break;
        }
        case several_operations: {  // erases many, so that places are used again and tables are built anew
            const std::uint64_t kept = s.a % 3;
            std::size_t i = 0;
            std::erase_if(model_, [&](const auto& p) { return i++ % 3 != kept && dict_.erase(p.first); });
            break;
        }
        default:
            if (s.b % 8 != 0) break;
            dict_.clear();
            model_.clear();
            break;
    }
}

template <typename K, typename V>
void dict_and_model<K, V>::compare() const {
    RC_ASSERT(dict_.snapshot() == model_);
    RC_ASSERT(dict_.size() == model_.size());
    RC_ASSERT(broken_dict(dict_) == "");
    for (const auto& [k, v] : model_) RC_ASSERT(dict_.get(k) == v);
}

}  // namespace cairn_test

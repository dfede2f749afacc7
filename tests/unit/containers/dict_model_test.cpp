// dict_model_test.cpp - dict<K, V> against a vector of pairs in order of insertion, by random operations. After each one
// contents, order, invariants and blocks of the arena are compared.
#include <algorithm>
#include <string>
#include <utility>
#include <vector>

#include <doctest/doctest.h>
#include <rapidcheck.h>

#include "support/opened_dict.hpp"
#include "support/scratch.hpp"

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

template <typename T>
T make(std::uint64_t n) {
    if constexpr (std::is_same_v<T, std::string>) return std::string(n % 5 * 13, 'x') + std::to_string(n);
    else return static_cast<T>(n);
}

template <typename K, typename V>
class dict_and_model {
public:
    explicit dict_and_model(cairn::dict<K, V> d) : dict_(std::move(d)) {}

    void run(const step& s) {
        const K key = make<K>(s.a);
        const V value = make<V>(s.b);
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
                std::vector<std::pair<K, V>> more;
                for (std::uint64_t i = 0; i < s.b % 90; ++i) more.emplace_back(make<K>(s.a + i * 7), value);
                dict_.update(more);
                for (const auto& [k, v] : more) put(k, v);
                break;
            }
            case 7: {  // erases many, so that places are used again and tables are built anew
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
        RC_ASSERT(dict_.snapshot() == model_);
        RC_ASSERT(dict_.size() == model_.size());
        RC_ASSERT(broken_dict(dict_) == "");
        for (const auto& [k, v] : model_) RC_ASSERT(dict_.get(k) == v);
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
    std::vector<std::pair<K, V>> model_;
};

template <typename K, typename V>
void check_model() {
    CHECK(rc::check([] {
        const auto steps = *rc::gen::container<std::vector<step>>(
            rc::gen::build<step>(rc::gen::set(&step::kind, rc::gen::inRange(0, 9)),
                                 rc::gen::set(&step::a, rc::gen::inRange<std::uint64_t>(0, 400)),
                                 rc::gen::set(&step::b, rc::gen::inRange<std::uint64_t>(0, 100'000))));
        const cairn::manager m;
        dict_and_model<K, V> pair(m.dict<K, V>("d"));
        for (const step& s : steps) pair.run(s);
    }));
}

}  // namespace

TEST_CASE("dict of words is what a vector of pairs is") {
    check_model<long, long>();
}
TEST_CASE("dict of strings is what a vector of pairs is") {
    check_model<std::string, std::string>();
}
TEST_CASE("dict of words and strings is what a vector of pairs is") {
    check_model<long, std::string>();
}

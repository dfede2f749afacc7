// dict_specification.hpp - a dict of integers as one caller knows it, for linearizable.hpp.
// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <algorithm>
#include <ostream>
#include <random>
#include <utility>
#include <vector>

#include <sched.h>

#include <cairn/dict.hpp>
#include <cairn/error.hpp>

namespace cairn_test {

struct dict_specification {
    using object = cairn::dict<long, long>;
    /// In order of insertion, which popitem() and an iteration show.
    using state = std::vector<std::pair<long, long>>;
    enum class call { set, get, pop, erase, add, setdefault, popitem, first, size };
    static constexpr unsigned calls = 9;

    struct operation {
        call what = call::size;
        long key = 0;
        long value = 0;
        // What came of it; nothing is known of one that did not return.
        bool is_known = false;
        bool is_refused = false;  // key_error, or nothing there
        long result =
            0;  // of set, erase whether it was there; of add the value before; of popitem, first the key
    };

    static state initial() { return {{0, 100}, {1, 200}}; }
    static void prepare(const object& d) {
        d.clear();
        d.update(initial());
    }

    static operation random(std::mt19937& random, long value) {
        operation o;
        o.what = static_cast<call>(random() % calls);
        o.key = static_cast<long>(random() % 3);
        o.value = value;
        return o;
    }

    static void perform(const object& d, operation& o) {
        try {
            switch (o.what) {
                case call::set: o.result = d.insert_or_assign(o.key, o.value) ? 0 : 1; break;
                case call::get: o.result = d.at(o.key); break;
                case call::pop: o.result = d.pop(o.key); break;
                case call::erase: o.result = d.erase(o.key) ? 1 : 0; break;
                case call::add:
                    d.update(o.key, [&](long& v) {
                        o.result = v;
                        ::sched_yield();  // on one processor, too, others come meanwhile
                        v += o.value;
                    });
                    break;
                case call::setdefault: o.result = d.setdefault(o.key, o.value); break;
                case call::popitem: o.result = d.popitem().first; break;
                case call::first: {
                    const auto at = d.begin();
                    if (at == d.end()) o.is_refused = true;
                    else o.result = at->first;
                    break;
                }
                case call::size: o.result = static_cast<long>(d.size()); break;
            }
        } catch (const cairn::key_error&) {
            o.is_refused = true;
        }
        o.is_known = true;
    }

    static bool apply(state& s, const operation& o) {
        bool refused = false;
        long result = 0;
        const auto at =
            std::find_if(s.begin(), s.end(), [&](const auto& each) { return each.first == o.key; });
        const bool is_there = at != s.end();
        switch (o.what) {
            case call::set:
                result = is_there ? 1 : 0;
                if (is_there) at->second = o.value;
                else s.emplace_back(o.key, o.value);
                break;
            case call::get:
                refused = !is_there;
                if (is_there) result = at->second;
                break;
            case call::pop:
                refused = !is_there;
                if (is_there) result = at->second, s.erase(at);
                break;
            case call::erase:
                result = is_there ? 1 : 0;
                if (is_there) s.erase(at);
                break;
            case call::add:
                if (is_there) result = at->second, at->second += o.value;
                else s.emplace_back(o.key, o.value);
                break;
            case call::setdefault:
                result = is_there ? at->second : o.value;
                if (!is_there) s.emplace_back(o.key, o.value);
                break;
            case call::popitem:
                refused = s.empty();
                if (!refused) result = s.back().first, s.pop_back();
                break;
            case call::first:
                refused = s.empty();
                if (!refused) result = s.front().first;
                break;
            case call::size: result = static_cast<long>(s.size()); break;
        }
        return !o.is_known || (refused == o.is_refused && (refused || result == o.result));
    }

    friend std::ostream& operator<<(std::ostream& to, const operation& o) {
        static constexpr const char* names[] = {"set",        "get",     "pop",   "erase", "add",
                                                "setdefault", "popitem", "first", "size"};
        to << names[static_cast<int>(o.what)] << '(' << o.key << ", " << o.value << ") = ";
        if (!o.is_known) return to << '?';
        if (o.is_refused) return to << "nothing";
        return to << o.result;
    }
};

}  // namespace cairn_test

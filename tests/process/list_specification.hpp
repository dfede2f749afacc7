// list_specification.hpp - a list of integers as one caller knows it, for linearizable.hpp.
// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <cstddef>
#include <ostream>
#include <random>
#include <vector>

#include <sched.h>

#include <cairn/error.hpp>
#include <cairn/list.hpp>

namespace cairn_test {

struct list_specification {
    using object = cairn::list<long>;
    using state = std::vector<long>;
    enum class call { push_back, pop, pop_at, insert, erase, set, get, add, size };

    struct operation {
        call what = call::size;
        std::size_t index = 0;
        long value = 0;
        // What came of it; nothing is known of one that did not return.
        bool is_known = false;
        bool is_refused = false;  // index_error
        long result = 0;          // of pop, pop_at, get, size; of add the value before
    };

    static state initial() { return {100, 200}; }
    static void prepare(const object& l) {
        l.clear();
        l.extend(initial());
    }

    static operation random(std::mt19937& random, long value) {
        operation o;
        o.what = static_cast<call>(random() % 9);
        o.index = random() % 3;
        o.value = value;
        return o;
    }

    static void perform(const object& l, operation& o) {
        try {
            switch (o.what) {
                case call::push_back: l.push_back(o.value); break;
                case call::pop: o.result = l.pop(); break;
                case call::pop_at: o.result = l.pop(o.index); break;
                case call::insert: l.insert(o.index, o.value); break;
                case call::erase: l.erase(o.index); break;
                case call::set: l.set(o.index, o.value); break;
                case call::get: o.result = l.at(o.index); break;
                case call::add:
                    l.update(o.index, [&](long& v) {
                        o.result = v;
                        ::sched_yield();  // on one processor, too, others come meanwhile
                        v += o.value;
                    });
                    break;
                case call::size: o.result = static_cast<long>(l.size()); break;
            }
        } catch (const cairn::index_error&) {
            o.is_refused = true;
        }
        o.is_known = true;
    }

    static bool apply(state& s, const operation& o) {
        bool refused = false;
        long result = 0;
        const auto at = o.index <= s.size() ? s.begin() + static_cast<std::ptrdiff_t>(o.index) : s.end();
        switch (o.what) {
            case call::push_back: s.push_back(o.value); break;
            case call::insert:
                if (o.index > s.size()) refused = true;
                else s.insert(at, o.value);
                break;
            case call::pop:
                if (s.empty()) refused = true;
                else result = s.back(), s.pop_back();
                break;
            case call::size: result = static_cast<long>(s.size()); break;
            default:
                if (o.index >= s.size()) {
                    refused = true;
                    break;
                }
                switch (o.what) {
                    case call::pop_at: result = *at, s.erase(at); break;
                    case call::erase: s.erase(at); break;
                    case call::set: *at = o.value; break;
                    case call::add: result = *at, *at += o.value; break;
                    default: result = *at; break;  // get
                }
        }
        return !o.is_known || (refused == o.is_refused && (refused || result == o.result));
    }

    friend std::ostream& operator<<(std::ostream& to, const operation& o) {
        static constexpr const char* names[] = {"push_back", "pop", "pop_at", "insert", "erase",
                                                "set",       "get", "add",    "size"};
        to << names[static_cast<int>(o.what)] << '(' << o.index << ", " << o.value << ") = ";
        if (!o.is_known) return to << '?';
        if (o.is_refused) return to << "index_error";
        return to << o.result;
    }
};

}  // namespace cairn_test

// list_specification.hpp - a list of integers as one caller knows it, for linearizable.hpp.
#pragma once

#include <cstddef>
#include <ostream>
#include <vector>

namespace cairn_test {

struct list_specification {
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

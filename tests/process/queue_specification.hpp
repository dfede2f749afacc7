// queue_specification.hpp - queues of integers as one caller knows them, for linearizable.hpp.
//
// Nothing here waits for an item or for room: what would is refused, by a stop that was requested before. Such a one may also
// give up on a lock that is not free within its grace.
//
// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <algorithm>
#include <chrono>
#include <compare>
#include <cstddef>
#include <ostream>
#include <random>
#include <stop_token>
#include <vector>

#include <sched.h>

#include "support/queue_picture.hpp"
#include <cairn/detail/os/lock_limit.hpp>
#include <cairn/error.hpp>
#include <cairn/queue.hpp>

namespace cairn_test {

template <typename Q>
struct queue_specification {
    using object = Q;
    static constexpr std::size_t maxsize = 4;
    enum class call { try_put, put_many, try_get, get_many, size, snapshot, full, task_done, join };
    static constexpr unsigned calls = 9;

    struct state {
        std::vector<long> items;
        std::size_t unfinished = 0;
        friend auto operator<=>(const state&, const state&) = default;
    };

    struct operation {
        call what = call::size;
        long value = 0;  // of put_many the first of two
        // What came of it; nothing is known of one that did not return.
        bool is_known = false;
        bool is_refused = false;  // full, empty, or task_done() once too often
        bool is_late = false;     // took so long that it may have given up on the lock
        long result = 0;          // the items, as one number
    };

    static state initial() {
        state s;
        for (const long item : {100, 200}) queue_kind<Q>::put(s.items, item);
        s.unfinished = s.items.size();
        return s;
    }
    static void prepare(const object& q) {
        while (q.try_get()) {}
        while (!q.join_for(std::chrono::seconds(0))) q.task_done();
        q.put_many({100, 200});
    }

    static operation random(std::mt19937& random, long value) {
        operation o;
        o.what = static_cast<call>(random() % calls);
        o.value = value;
        return o;
    }

    static void perform(const object& q, operation& o) {
        const auto begin = std::chrono::steady_clock::now();
        ::sched_yield();  // the operations are short: else hardly any two would meet
        switch (o.what) {
            case call::try_put: o.is_refused = !q.try_put(o.value); break;
            case call::put_many: o.is_refused = q.put_many(two(o.value), stopped()) == 0; break;
            case call::try_get: {
                const auto item = q.try_get();
                o.is_refused = !item;
                if (item) o.result = as_number({*item});
                break;
            }
            case call::get_many: {
                const std::vector<long> items = q.get_many(2, stopped());
                o.is_refused = items.empty();
                o.result = as_number(items);
                break;
            }
            case call::size: o.result = static_cast<long>(q.size()); break;
            case call::snapshot: o.result = as_number(q.snapshot()); break;
            case call::full: o.result = q.full() ? 1 : 0; break;
            case call::task_done: try { q.task_done();
                } catch (const cairn::invalid_state&) {
                    o.is_refused = true;
                }
                break;
            case call::join: o.result = q.join_for(std::chrono::seconds(0)) ? 1 : 0; break;
        }
        o.is_late = std::chrono::steady_clock::now() - begin >= cairn::detail::lock_grace;
        o.is_known = true;
    }

    // One that was late and has done its work has happened like any other.
    static bool has_given_up(const operation& o) {
        if (!o.is_known || !o.is_late) return false;
        switch (o.what) {
            case call::put_many:
            case call::get_many: return o.is_refused;
            case call::join: return o.result == 0;
            default: return false;
        }
    }

    static bool apply(state& s, const operation& o) {
        if (has_given_up(o)) return true;
        bool refused = false;
        long result = 0;
        const auto put = [&](const std::vector<long>& items) {
            refused = s.items.size() + items.size() > maxsize;
            if (refused) return;
            for (const long item : items) queue_kind<Q>::put(s.items, item);
            s.unfinished += items.size();
        };
        const auto take = [&](std::size_t most) {
            const auto count = static_cast<std::ptrdiff_t>(std::min(most, s.items.size()));
            refused = count == 0;
            result = as_number({s.items.begin(), s.items.begin() + count});
            s.items.erase(s.items.begin(), s.items.begin() + count);
        };
        switch (o.what) {
            case call::try_put: put({o.value}); break;
            case call::put_many: put(two(o.value)); break;
            case call::try_get: take(1); break;
            case call::get_many: take(2); break;
            case call::size: result = static_cast<long>(s.items.size()); break;
            case call::snapshot: result = as_number(s.items); break;
            case call::full: result = s.items.size() >= maxsize ? 1 : 0; break;
            case call::task_done:
                refused = s.unfinished == 0;
                if (!refused) --s.unfinished;
                break;
            case call::join: result = s.unfinished == 0 ? 1 : 0; break;
        }
        return !o.is_known || (refused == o.is_refused && (refused || result == o.result));
    }

    friend std::ostream& operator<<(std::ostream& to, const operation& o) {
        static constexpr const char* names[] = {"try_put",  "put_many", "try_get",   "get_many", "size",
                                                "snapshot", "full",     "task_done", "join"};
        to << names[static_cast<int>(o.what)] << '(' << o.value << ") = ";
        if (!o.is_known) return to << '?';
        if (o.is_refused) return to << "refused";
        return to << o.result;
    }

private:
    static std::stop_token stopped() {
        std::stop_source source;
        source.request_stop();
        return source.get_token();
    }
    static std::vector<long> two(long value) { return {value, value + 500}; }
    // Items are below a thousand.
    static long as_number(const std::vector<long>& items) {
        long number = 0;
        for (const long item : items) number = number * 1000 + item + 1;
        return number;
    }
};

}  // namespace cairn_test

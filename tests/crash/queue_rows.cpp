// queue_rows.cpp - queue<T> of words, of strings, of items that make chunks few.
//
// The first chunk of a queue of words has 126 slots, the next one 254; of strings 63 and 127; of `wide` 3, 7 and 15.
//
// SPDX-License-Identifier: BSL-1.0
#include <chrono>

#include "crash/queue_experiment.hpp"
#include "os/identity.hpp"
#include "segment/participants.hpp"

namespace cairn_test {

namespace {

using cairn::detail::queue_has_item;
using cairn::detail::queue_has_room;

template <typename Q>
using shape_of = typename queue_rows<Q>::shape;

/// Items 0 ... put - 1, of which the first `taken` were taken, and so many are done.
template <typename Q>
typename queue_rows<Q>::picture after_taking(std::size_t put, std::size_t taken, std::size_t done = 0) {
    auto p = queue_rows<Q>::with(put);
    p.items.erase(p.items.begin(), p.items.begin() + static_cast<std::ptrdiff_t>(taken));
    p.unfinished -= done;
    return p;
}

template <typename Q>
shape_of<Q> take(std::size_t put, std::size_t taken, std::size_t done = 0) {
    return [=](const cairn::manager&, const Q& q) {
        for (const auto& each : element<typename Q::value_type>::some(put)) q.put(each);
        for (std::size_t i = 0; i < taken; ++i) static_cast<void>(q.get());
        for (std::size_t i = 0; i < done; ++i) q.task_done();
    };
}

/// Somebody has slept there, for all that the queue knows: so the operation wakes.
template <typename Q>
shape_of<Q> with_sleepers(std::size_t put, cairn::detail::queue_event event) {
    return [=](const cairn::manager&, const Q& q) {
        q.put_many(element<typename Q::value_type>::some(put));
        cairn::detail::store_word(opened_queue<Q>(q).slot().events[event].waiters, 1);
    };
}

template <typename Q>
shape_of<Q> in_full_segment(std::size_t put, std::uint32_t pages) {
    return [=](const cairn::manager& m, const Q& q) {
        q.put_many(element<typename Q::value_type>::some(put));
        leave_free_pages(m, pages);
    };
}

// What all orders have in common.
template <typename Q>
void add_all(experiment_table& table, const std::string& type) {
    using T = typename Q::value_type;
    using rows_of = queue_rows<Q>;
    using picture = typename rows_of::picture;
    rows_of rows(table, type);
    const T one = element<T>::make(500);
    const std::vector<T> some = element<T>::some(5, 600);
    const auto put = [=](picture& p) { rows_of::put_all(p, {one}); };
    const auto put_some = [=](picture& p) { rows_of::put_all(p, some); };
    const auto take_first = [](picture& p) { p.items.erase(p.items.begin()); };

    rows.add(
        "put", "the first", {}, [=](const Q& q) { q.put(one); }, put);
    rows.add(
        "put", "one more", rows.with(3), [=](const Q& q) { q.put(one); }, put);
    rows.add("put", "somebody sleeps", rows.with(2), [=](const Q& q) { q.put(one); }, put,
             {.prepare = with_sleepers<Q>(2, queue_has_item)});
    rows.add(
        "put_for", "one more", rows.with(3), [=](const Q& q) { q.put_for(one, std::chrono::hours(1)); }, put);
    rows.add(
        "put_until", "one more", rows.with(3),
        [=](const Q& q) { q.put_until(one, std::chrono::steady_clock::now() + std::chrono::hours(1)); }, put);
    rows.add("try_put", "the last place", rows.with(3), [=](const Q& q) { q.try_put(one); }, put,
             {.maxsize = 4});
    rows.add(
        "try_put", "a full queue", rows.with(4), [=](const Q& q) { q.try_put(one); }, [](picture&) {},
        {.maxsize = 4});
    rows.add(
        "put_many", "the first five", {}, [=](const Q& q) { q.put_many(some); }, put_some);
    rows.add(
        "put_many", "five more", rows.with(3), [=](const Q& q) { q.put_many(some); }, put_some);
    rows.add(
        "get", "the only one", rows.with(1), [](const Q& q) { q.get(); }, take_first);
    rows.add(
        "get", "one of three", rows.with(3), [](const Q& q) { q.get(); }, take_first);
    rows.add("get", "somebody sleeps", rows.with(3), [](const Q& q) { q.get(); }, take_first,
             {.maxsize = 3, .prepare = with_sleepers<Q>(3, queue_has_room)});
    rows.add(
        "get_for", "one of three", rows.with(3), [](const Q& q) { q.get_for(std::chrono::hours(1)); },
        take_first);
    rows.add(
        "get_until", "one of three", rows.with(3),
        [](const Q& q) { q.get_until(std::chrono::steady_clock::now() + std::chrono::hours(1)); },
        take_first);
    rows.add(
        "try_get", "one of three", rows.with(3), [](const Q& q) { q.try_get(); }, take_first);
    rows.add(
        "try_get", "an empty queue", after_taking<Q>(2, 2), [](const Q& q) { q.try_get(); }, [](picture&) {},
        {.prepare = take<Q>(2, 2)});
    rows.add(
        "get_many", "two of five", rows.with(5), [](const Q& q) { q.get_many(2); },
        [](picture& p) { p.items.erase(p.items.begin(), p.items.begin() + 2); });
    rows.add(
        "get_many", "all of five", rows.with(5), [](const Q& q) { q.get_many(9); },
        [](picture& p) { p.items.clear(); });
    rows.add(
        "task_done", "one of two", after_taking<Q>(5, 2), [](const Q& q) { q.task_done(); },
        [](picture& p) { --p.unfinished; }, {.prepare = take<Q>(5, 2)});
    rows.add(
        "task_done", "the last one", after_taking<Q>(2, 2, 1), [](const Q& q) { q.task_done(); },
        [](picture& p) { --p.unfinished; }, {.prepare = take<Q>(2, 2, 1)});
    rows.add(
        "close", "three left", rows.with(3), [](const Q& q) { q.close(); },
        [](picture& p) { p.is_closed = true; });
    rows.add(
        "shutdown", "three dropped", after_taking<Q>(4, 1), [](const Q& q) { q.shutdown(true); },
        [](picture& p) {
            p = {{}, p.unfinished - p.items.size(), true, 0, {}};
        },
        {.prepare = take<Q>(4, 1)});
}

// So many put; `dead` of them, as if processes had taken one each that have ended since, and one more, if told so, by this one.
template <typename Q>
shape_of<Q> taken_by_dead(std::size_t put, std::size_t dead, bool one_here = false) {
    return [=](const cairn::manager& m, const Q& q) {
        take<Q>(put, dead)(m, q);
        const auto holders = opened_queue<Q>(q).holders();
        // Numbers that no participant has, or will have for a long time: nobody lives under them.
        for (std::size_t i = 0; i < dead; ++i) holders[i] = {1'000'000 + i, 1};
        if (one_here) static_cast<void>(q.get());
    };
}

// As if another living process had taken items, and its places were all that there are.
template <typename Q>
shape_of<Q> taken_by_the_living(std::size_t put) {
    return [=](const cairn::manager& m, const Q& q) {
        constexpr std::size_t places = cairn::detail::first_queue_holders;
        take<Q>(put, places)(m, q);
        const opened_queue<Q> open(q);
        const std::uint64_t number = ++open.in().control().last_participant;
        // This process, under another number.
        auto& other = cairn::detail::participant_at(open.in(), cairn::detail::participant_slot_count - 1);
        other.identity = cairn::detail::os::own_identity();
        other.number = number;
        for (cairn::detail::queue_holder& each : open.holders()) each = {number, 1};
    };
}

// What was taken by whom, and what becomes of it.
template <typename Q>
void add_holders(experiment_table& table, const std::string& type) {
    using rows_of = queue_rows<Q>;
    using picture = typename rows_of::picture;
    rows_of rows(table, type);
    constexpr std::size_t places = cairn::detail::first_queue_holders;
    const auto take_first = [](picture& p) { p.items.erase(p.items.begin()); };
    const auto finish = [](picture& p) { --p.unfinished; };
    const auto write_off_two = [](picture& p) {
        p.unfinished -= 2;
        p.lost = 2;
    };
    rows.add("join", "two written off", after_taking<Q>(5, 2),
             [](const Q& q) { static_cast<void>(q.join_for(std::chrono::seconds(0))); }, write_off_two,
             {.prepare = taken_by_dead<Q>(5, 2)});
    rows.add("join", "the last two written off", after_taking<Q>(2, 2),
             [](const Q& q) { static_cast<void>(q.join_for(std::chrono::seconds(0))); }, write_off_two,
             {.prepare = taken_by_dead<Q>(2, 2)});
    rows.add("task_done", "one's own, others have taken, too", after_taking<Q>(5, 3),
             [](const Q& q) { q.task_done(); }, finish, {.prepare = taken_by_dead<Q>(5, 2, true)});
    picture lost = after_taking<Q>(5, 2, 2);
    lost.lost = 2;
    rows.add(
        "task_done", "one that was written off", lost, [](const Q& q) { q.task_done(); },
        [](picture& p) { --p.lost; }, {.prepare = [](const cairn::manager& m, const Q& q) {
            taken_by_dead<Q>(5, 2)(m, q);
            if (q.join_for(std::chrono::seconds(0)) || q.lost() != 2) throw lab_failure("not written off");
        }});
    rows.add("get", "all places taken by the living", after_taking<Q>(7, places), [](const Q& q) { q.get(); },
             take_first, {.prepare = taken_by_the_living<Q>(7)});
    rows.add(
        "get_many", "all places taken by the dead", after_taking<Q>(8, places),
        [](const Q& q) { q.get_many(2); },
        [](picture& p) {
            p.items.erase(p.items.begin(), p.items.begin() + 2);
            --p.unfinished;  // one place is enough
            p.lost = 1;
        },
        {.prepare = taken_by_dead<Q>(8, places)});
}

// Leases of the victim. The guard is kept beyond the operation: its end would be another one.
template <typename Q>
struct leases {
    std::vector<cairn::item_lease<typename Q::value_type>> held;
};

template <typename T>
void add_leases(experiment_table& table, const std::string& type) {
    using Q = cairn::queue<T>;
    using rows_of = queue_rows<Q>;
    using picture = typename rows_of::picture;
    rows_of rows(table, type);
    const auto kept = std::make_shared<leases<Q>>();
    const auto keep = [kept](auto lease) { kept->held.push_back(std::move(lease)); };
    const auto lease_first = [](picture& p) {
        p.items.erase(p.items.begin());
        ++p.leased;
    };
    // So many put, so many of these leased, the first `back` of them given back.
    const auto lease = [=](std::size_t put, std::size_t leased, std::size_t back) {
        return [=](const cairn::manager&, const Q& q) {
            kept->held.clear();
            q.put_many(element<T>::some(put));
            for (std::size_t i = 0; i < leased; ++i) keep(q.lease());
            for (std::size_t i = 0; i < back; ++i) kept->held[i].release();
            kept->held.erase(kept->held.begin(), kept->held.begin() + static_cast<std::ptrdiff_t>(back));
        };
    };
    const auto leased = [](std::size_t put, std::size_t out) {
        return picture{element<T>::some(put - out, out), put, false, out, {}};
    };
    rows.add(
        "lease", "one of three", rows.with(3), [=](const Q& q) { keep(q.lease()); }, lease_first);
    rows.add(
        "lease", "the only one", rows.with(1), [=](const Q& q) { keep(q.lease()); }, lease_first);
    rows.add("lease", "one that came back", rows.with(3), [=](const Q& q) { keep(q.lease()); }, lease_first,
             {.prepare = lease(3, 1, 1)});
    rows.add("lease", "one more", leased(4, 2), [=](const Q& q) { keep(q.lease()); }, lease_first,
             {.prepare = lease(4, 2, 0)});
    rows.add(
        "lease_for", "one of three", rows.with(3),
        [=](const Q& q) { keep(*q.lease_for(std::chrono::hours(1))); }, lease_first);
    rows.add(
        "lease_until", "one of three", rows.with(3),
        [=](const Q& q) { keep(*q.lease_until(std::chrono::steady_clock::now() + std::chrono::hours(1))); },
        lease_first);
    rows.add(
        "try_lease", "one of three", rows.with(3), [=](const Q& q) { keep(*q.try_lease()); }, lease_first);
    rows.add(
        "get", "one that came back", rows.with(3), [](const Q& q) { q.get(); },
        [](picture& p) { p.items.erase(p.items.begin()); }, {.prepare = lease(3, 2, 2)});
    rows.add(
        "shutdown", "some came back", leased(5, 1), [](const Q& q) { q.shutdown(true); },
        [](picture& p) {
            p = {{}, 1, true, 1, {}};
        },
        {.prepare = [=](const cairn::manager&, const Q& q) {
            kept->held.clear();
            q.put_many(element<T>::some(5));
            for (int i = 0; i < 3; ++i) keep(q.lease());
            while (kept->held.size() > 1) {
                kept->held.back().release();
                kept->held.pop_back();
            }
        }});
    const auto ack = [](picture& p) {
        --p.unfinished;
        --p.leased;
    };
    rows.add("ack", "the only lease", leased(3, 1), [=](const Q&) { kept->held.front().ack(); }, ack,
             {.prepare = lease(3, 1, 0)});
    rows.add("ack", "the last of three, all done", leased(1, 1), [=](const Q&) { kept->held.front().ack(); },
             ack, {.prepare = lease(1, 1, 0)});
    rows.add("ack", "one of three leases", leased(3, 3), [=](const Q&) { kept->held[1].ack(); }, ack,
             {.prepare = lease(3, 3, 0)});
    rows.add(
        "release", "the only lease", leased(3, 1), [=](const Q&) { kept->held.front().release(); },
        [=](picture& p) { p = rows_of::with(3); }, {.prepare = lease(3, 1, 0)});
    rows.add(
        "release", "one that belongs behind another", {element<T>::some(1), 3, false, 2, {}},
        [=](const Q&) { kept->held.front().release(); },
        [](picture& p) {
            p.items = element<T>::some(2);
            --p.leased;
        },
        {.prepare = lease(3, 3, 1)});
    rows.add(
        "release", "to the dead letters", leased(3, 1), [=](const Q&) { kept->held.front().release(); },
        [](picture& p) {
            p.dead_letters = element<T>::some(1);
            --p.unfinished;
            --p.leased;
        },
        {.prepare = lease(3, 1, 0), .max_deliveries = 1});
}

// Where chunks begin and end.
void add_chunks(experiment_table& table) {
    using Q = cairn::queue<wide>;
    using picture = queue_rows<Q>::picture;
    queue_rows<Q> rows(table, "wide");
    const wide one = element<wide>::make(500);
    const auto put = [=](picture& p) {
        p.items.push_back(one);
        ++p.unfinished;
    };
    const auto take_first = [](picture& p) { p.items.erase(p.items.begin()); };
    rows.add(
        "put", "a chunk that is full", rows.with(3), [=](const Q& q) { q.put(one); }, put);
    rows.add("put", "the only chunk, all taken", after_taking<Q>(3, 3), [=](const Q& q) { q.put(one); }, put,
             {.prepare = take<Q>(3, 3)});
    rows.add("put", "into the spare chunk", after_taking<Q>(10, 4), [=](const Q& q) { q.put(one); }, put,
             {.prepare = take<Q>(10, 4)});
    rows.add("get", "the last of a chunk", after_taking<Q>(5, 2), [](const Q& q) { q.get(); }, take_first,
             {.prepare = take<Q>(5, 2)});
    rows.add("get", "the last of a chunk, a larger spare one there", after_taking<Q>(30, 9),
             [](const Q& q) { q.get(); }, take_first, {.prepare = take<Q>(30, 9)});
    rows.add("get", "the last of all", after_taking<Q>(3, 2), [](const Q& q) { q.get(); }, take_first,
             {.prepare = take<Q>(3, 2)});
    const std::vector<wide> many = element<wide>::some(14, 700);
    rows.add(
        "put_many", "three chunks", rows.with(2), [=](const Q& q) { q.put_many(many); },
        [=](picture& p) {
            p.items.insert(p.items.end(), many.begin(), many.end());
            p.unfinished += many.size();
        });
    rows.add(
        "get_many", "three chunks", rows.with(16), [](const Q& q) { q.get_many(15); },
        [](picture& p) { p.items.erase(p.items.begin(), p.items.begin() + 15); });
    rows.add(
        "shutdown", "three chunks", rows.with(16), [](const Q& q) { q.shutdown(true); },
        [](picture& p) {
            p = {{}, 0, true, 0, {}};
        });
    rows.add("put", "needing growth", rows.with(3), [=](const Q& q) { q.put(one); }, put,
             {.prepare = in_full_segment<Q>(3, 0)});
    rows.add(
        "put", "a full segment", rows.with(3),
        [=](const Q& q) {
            try {
                q.put(one);
            } catch (const cairn::segment_full&) {
                return;
            }
            throw lab_failure("the segment should have been full");
        },
        [](picture&) {}, {.prepare = in_full_segment<Q>(3, 0), .segment = smallest_segment()});
    rows.add(
        "shutdown", "a full segment", rows.with(12), [](const Q& q) { q.shutdown(true); },
        [](picture& p) {
            p = {{}, 0, true, 0, {}};
        },
        {.prepare = in_full_segment<Q>(12, 0), .segment = smallest_segment()});
}

void add_strings(experiment_table& table) {
    using Q = cairn::queue<std::string>;
    using picture = queue_rows<Q>::picture;
    queue_rows<Q> rows(table, "str");
    const std::string large = element<std::string>::long_one(1, 9000);
    const auto put_large = [=](picture& p) {
        p.items.push_back(large);
        ++p.unfinished;
    };
    rows.add(
        "put", "pages of its own", rows.with(2), [=](const Q& q) { q.put(large); }, put_large);
    rows.add("put", "pages of its own, needing growth", rows.with(2), [=](const Q& q) { q.put(large); },
             put_large, {.prepare = in_full_segment<Q>(2, 0)});
    rows.add(
        "get", "pages of its own", {{large, "next"}, 2, false, 0, {}}, [](const Q& q) { q.get(); },
        [](picture& p) { p.items.erase(p.items.begin()); },
        {.prepare = [=](const cairn::manager&, const Q& q) {
            q.put_many({large, "next"});
        }});
    rows.add(
        "get_many", "seven with blocks and without", rows.with(9), [](const Q& q) { q.get_many(7); },
        [](picture& p) { p.items.erase(p.items.begin(), p.items.begin() + 7); });
    rows.add(
        "shutdown", "a chunk and more", rows.with(70), [](const Q& q) { q.shutdown(true); },
        [](picture& p) {
            p = {{}, 0, true, 0, {}};
        });
}

// Leases of the other orders: how an item leaves their lists. What becomes of it then is the same for all.
template <typename Q>
void add_lists(experiment_table& table, const std::string& type) {
    using T = typename Q::value_type;
    using rows_of = queue_rows<Q>;
    using picture = typename rows_of::picture;
    rows_of rows(table, type);
    const auto kept = std::make_shared<leases<Q>>();
    const auto keep = [kept](auto lease) { kept->held.push_back(std::move(lease)); };
    const auto lease_first = [](picture& p) {
        p.items.erase(p.items.begin());
        ++p.leased;
    };
    rows.add(
        "lease", "one of three", rows.with(3), [=](const Q& q) { keep(q.lease()); }, lease_first);
    rows.add(
        "lease", "the only one", rows.with(1), [=](const Q& q) { keep(q.lease()); }, lease_first);
    rows.add(
        "lease_for", "one of three", rows.with(3),
        [=](const Q& q) { keep(*q.lease_for(std::chrono::hours(1))); }, lease_first);
    rows.add(
        "lease_until", "one of three", rows.with(3),
        [=](const Q& q) { keep(*q.lease_until(std::chrono::steady_clock::now() + std::chrono::hours(1))); },
        lease_first);
    rows.add(
        "try_lease", "one of three", rows.with(3), [=](const Q& q) { keep(*q.try_lease()); }, lease_first);
    rows.add(
        "put", "a chunk that is full, the smallest", rows.with(48),
        [](const Q& q) { q.put(element<T>::make(0)); },
        [](picture& p) { rows_of::put_all(p, {element<T>::make(0)}); });
    rows.add(
        "get", "many levels", rows.with(40), [](const Q& q) { q.get(); },
        [](picture& p) { p.items.erase(p.items.begin()); });
    rows.add(
        "get_many", "leaving a chunk", rows.with(50), [](const Q& q) { q.get_many(5); },
        [](picture& p) { p.items.erase(p.items.begin(), p.items.begin() + 5); });
    rows.add_creation(5);
    rows.add_creation(0, 2);
}

// What is decoded by a codec of the user's, between two looks at the lock.
template <typename Q>
void add_decoded(experiment_table& table) {
    queue_rows<Q> rows(table, "brittle");
    using picture = typename queue_rows<Q>::picture;
    const auto take_first = [](picture& p) { p.items.erase(p.items.begin()); };
    rows.add(
        "get", "one of three", rows.with(3), [](const Q& q) { q.get(); }, take_first);
    rows.add(
        "get_many", "two of five", rows.with(5), [](const Q& q) { q.get_many(2); },
        [](picture& p) { p.items.erase(p.items.begin(), p.items.begin() + 2); });
    const auto kept = std::make_shared<leases<Q>>();
    rows.add(
        "lease", "one of three", rows.with(3), [=](const Q& q) { kept->held.push_back(q.lease()); },
        [](picture& p) {
            p.items.erase(p.items.begin());
            ++p.leased;
        });
}

// The log of so many has no room: half of them are tried, and so on, until it has.
void add_shortened(experiment_table& table) {
    using Q = cairn::lifo_queue<std::string>;
    queue_rows<Q> rows(table, "str");
    rows.add(
        "get_many", "shortened in a full segment", rows.with(50), [](const Q& q) { q.get_many(40); },
        [](queue_rows<Q>::picture& p) { p.items.erase(p.items.begin(), p.items.begin() + 10); },
        {.prepare = in_full_segment<Q>(50, 0), .segment = smallest_segment()});
}

}  // namespace

void add_queue_rows(experiment_table& table) {
    add_all<cairn::queue<long>>(table, "int64");
    add_all<cairn::queue<std::string>>(table, "str");
    add_holders<cairn::queue<long>>(table, "int64");
    add_holders<cairn::lifo_queue<long>>(table, "int64");
    add_holders<cairn::priority_queue<std::string>>(table, "str");
    add_leases<long>(table, "int64");
    add_leases<std::string>(table, "str");
    add_chunks(table);
    add_strings(table);
    queue_rows<cairn::queue<long>>(table, "int64").add_creation(0);
    queue_rows<cairn::queue<std::string>>(table, "str").add_creation(7);
    queue_rows<cairn::queue<long>>(table, "int64").add_creation(0, 3);
    add_all<cairn::lifo_queue<long>>(table, "int64");
    add_all<cairn::lifo_queue<std::string>>(table, "str");
    add_lists<cairn::lifo_queue<std::string>>(table, "str");
    add_shortened(table);
    add_decoded<cairn::queue<brittle>>(table);
    add_decoded<cairn::lifo_queue<brittle>>(table);
    add_decoded<cairn::priority_queue<brittle>>(table);
    add_all<cairn::priority_queue<long>>(table, "int64");
    add_all<cairn::priority_queue<std::string>>(table, "str");
    add_lists<cairn::priority_queue<long>>(table, "int64");
}

}  // namespace cairn_test

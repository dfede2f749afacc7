// channel_rows.cpp - what a channel does, with a neighbour that waits at its other end.
// SPDX-License-Identifier: BSL-1.0
#include <chrono>

#include "crash/channel_experiment.hpp"
#include "crash/elements.hpp"

namespace cairn_test {

namespace {

template <typename T>
void add_all(experiment_table& table, const std::string& type, cairn::channel_options made_with) {
    using C = cairn::channel<T>;
    using picture = std::optional<channel_picture<T>>;
    channel_rows<T> rows(table, type, made_with);
    const T one = element<T>::make(500);
    const auto put = [one](picture& p) { p->items.push_back(one); };
    const auto take = [](picture& p) { p->items.erase(p->items.begin()); };
    const auto nothing = [](picture&) {};
    const auto hour = std::chrono::hours(1);
    const auto in_an_hour = [] { return std::chrono::steady_clock::now() + std::chrono::hours(1); };
    // Sets the flag of a sleeper that there is none of: the wake is a system call.
    const auto with_flag = [](cairn::detail::channel_event event) {
        return [event](const C& c) {
            const opened_channel<T> open(c);
            cairn::detail::store_word(open.slot().events[event].waiters, 1);
        };
    };

    // The neighbour waits for the item, and gets it or not.
    rows.add(
        "put", {"the first"}, [=](const C& c) { c.put(one); }, put);
    rows.add(
        "put", {"one more", 2, 1, true}, [=](const C& c) { c.put(one); }, put);
    rows.add(
        "put", {"round the end of the ring", 1, 3, true}, [=](const C& c) { c.put(one); }, put);
    rows.add(
        "put", {"somebody sleeps", 0, 2, true, with_flag(cairn::detail::channel_has_item)},
        [=](const C& c) { c.put(one); }, put);
    rows.add(
        "put_for", {"the first"}, [=](const C& c) { c.put_for(one, hour); }, put);
    rows.add(
        "put_until", {"one more", 1}, [=](const C& c) { c.put_until(one, in_an_hour()); }, put);
    rows.add(
        "try_put", {"the first", 0, 1, true}, [=](const C& c) { c.try_put(one); }, put);
    rows.add(
        "try_put", {"a full channel", 4}, [=](const C& c) { c.try_put(one); }, nothing);
    // The neighbour waits for the room.
    rows.add(
        "get", {"one of a full channel", 4}, [](const C& c) { c.get(); }, take);
    rows.add(
        "get", {"one of a full channel", 4, 2, true}, [](const C& c) { c.get(); }, take);
    rows.add(
        "get", {"the only one", 1, 4, true}, [](const C& c) { c.get(); }, take);
    rows.add(
        "get", {"somebody sleeps", 4, 1, true, with_flag(cairn::detail::channel_has_room)},
        [](const C& c) { c.get(); }, take);
    rows.add(
        "get_for", {"one of a full channel", 4}, [=](const C& c) { c.get_for(hour); }, take);
    rows.add(
        "get_until", {"one of three", 3}, [=](const C& c) { c.get_until(in_an_hour()); }, take);
    rows.add(
        "try_get", {"one of a full channel", 4, 1, true}, [](const C& c) { c.try_get(); }, take);
    rows.add(
        "try_get", {"an empty channel"}, [](const C& c) { c.try_get(); }, nothing);

    const auto end = [](picture& p) { p->is_closed = true; };
    rows.add(
        "close", {"nothing left"}, [](const C& c) { c.close(); }, end);
    rows.add(
        "close", {"three left", 3, 2}, [](const C& c) { c.close(); }, end);
    rows.add(
        "release_producer", {"its own", 2, 1, true}, [](const C& c) { c.release_producer(); }, nothing);
    rows.add(
        "release_consumer", {"its own", 0, 2, true}, [](const C& c) { c.release_consumer(); }, nothing);
    rows.add_creation();
    rows.add(
        "remove", {"three left", 3, 2}, [](const cairn::manager& m) { m.remove(subject_name); },
        [](picture& p) { p.reset(); });
}

}  // namespace

void add_channel_rows(experiment_table& table) {
    add_all<long>(table, "int64", {.capacity = 4, .bytes = 0});
    add_all<wide>(table, "wide", {.capacity = 4, .bytes = 0});
    add_all<std::string>(table, "str", {.capacity = 4, .bytes = 1200});
}

}  // namespace cairn_test

// SPDX-License-Identifier: BSL-1.0
#include <chrono>
#include <cstdint>
#include <optional>
#include <sstream>
#include <stop_token>
#include <string>
#include <utility>
#include <vector>

#include <unistd.h>

#include "subjects.hpp"
#include "support/queue_picture.hpp"
#include "support/scratch.hpp"
#include "support/values.hpp"
#include <cairn/cairn.hpp>

namespace cairn_test {

namespace {

constexpr auto at_once = std::chrono::milliseconds(1);  // damaged counts say that there is nothing to come

/// For what would wait until somebody else comes.
std::stop_token stopped() {
    std::stop_source source;
    source.request_stop();
    return source.get_token();
}

// Chunks that are left and in use; items on lease, some of them with a process that is dead; items that came back; dead
// letters.
template <typename Q, std::size_t Count>
void build_queue(const cairn::manager& in, const char* name) {
    using T = typename Q::value_type;
    const Q q = queue_kind<Q>::open(in, name, {.max_deliveries = 2});
    for (std::size_t i = 0; i < Count; ++i) q.put(value_of<T>::make(i));
    for (std::size_t i = 0; i < Count / 3; ++i) static_cast<void>(q.get());
    for (std::size_t i = 0; i < 5; ++i) q.task_done();
    child holder([&] {
        std::vector<cairn::item_lease<T>> held;
        for (int i = 0; i < 6; ++i) held.push_back(q.lease());
        ::_exit(0);
    });
    static_cast<void>(holder.join());
    for (int i = 0; i < 2; ++i) static_cast<void>(q.lease());  // the same one: it is a dead letter then
    std::vector<cairn::item_lease<T>> held;
    for (int i = 0; i < 4; ++i) held.push_back(q.lease());
}

template <typename Q>
void read_queue(const Q& q, attempts& attempt) {
    attempt("name", [&] { static_cast<void>(q.name()); });
    attempt("size", [&] { static_cast<void>(q.size()); });
    attempt("empty", [&] { static_cast<void>(q.empty()); });
    attempt("full", [&] { static_cast<void>(q.full()); });
    attempt("maxsize", [&] { static_cast<void>(q.maxsize()); });
    attempt("leased", [&] { static_cast<void>(q.leased()); });
    attempt("is_closed", [&] { static_cast<void>(q.is_closed()); });
    attempt("snapshot", [&] { static_cast<void>(q.snapshot()); });
    attempt("dead_letters", [&] {
        if (const auto dead = q.dead_letters()) static_cast<void>(dead->snapshot());
    });
    attempt("operator<<", [&] { std::ostringstream() << q; });
}

template <typename Q>
void write_queue(const Q& q, attempts& attempt) {
    using T = typename Q::value_type;
    const T value = value_of<T>::make(40);
    const T large = value_of<T>::make(97);
    // Over the ends of chunks, so that some need room.
    for (int i = 0; i < 24; ++i) attempt("try_put", [&] { static_cast<void>(q.try_put(value)); });
    attempt("put", [&] { static_cast<void>(q.put(large, stopped())); });
    attempt("put_for", [&] { static_cast<void>(q.put_for(value, at_once)); });
    attempt("put_many", [&] { static_cast<void>(q.put_many(std::vector<T>(70, value), stopped())); });
    attempt("get", [&] { static_cast<void>(q.get(stopped())); });
    attempt("get_for", [&] { static_cast<void>(q.get_for(at_once)); });
    for (int i = 0; i < 12; ++i) attempt("try_get", [&] { static_cast<void>(q.try_get()); });
    attempt("get_many", [&] { static_cast<void>(q.get_many(60, stopped())); });
    attempt("task_done", [&] { q.task_done(); });
    attempt("join_for", [&] { static_cast<void>(q.join_for(at_once)); });
    std::vector<cairn::item_lease<T>> held;
    const auto lease = [&] {
        attempt("lease", [&] {
            if (auto one = q.lease(stopped())) held.push_back(std::move(*one));
        });
    };
    for (int i = 0; i < 6; ++i) lease();
    for (std::size_t i = 0; i < held.size() / 2; ++i) attempt("ack", [&] { held[i].ack(); });
    for (std::size_t i = held.size() / 2; i < held.size(); ++i)
        attempt("release", [&] { held[i].release(); });
    lease();
    attempt("the end of a lease", [&] { held.clear(); });
    attempt("dead_letters", [&] {
        if (const auto dead = q.dead_letters()) static_cast<void>(dead->try_get());
    });
    // What the dead have on lease comes when nothing else does.
    attempt("get_many", [&] {
        while (!q.get_many(1000, stopped()).empty()) {}
    });
    attempt("put_many", [&] { static_cast<void>(q.put_many(std::vector<T>(40, large), stopped())); });
    attempt("shutdown", [&] { q.shutdown(true); });
    attempt("try_put", [&] { static_cast<void>(q.try_put(value)); });
    attempt("try_get", [&] { static_cast<void>(q.try_get()); });
}

template <typename Q, std::size_t Count>
constexpr subject queue_of(const char* name) {
    return {name, &build_queue<Q, Count>, &open_as<Q, &read_queue<Q>, &write_queue<Q>>};
}

constexpr subject all[] = {
    queue_of<cairn::queue<long>, 500>("queue of numbers"),
    queue_of<cairn::queue<std::string>, 200>("queue of texts"),
    queue_of<cairn::lifo_queue<std::string>, 150>("lifo queue of texts"),
    queue_of<cairn::priority_queue<long>, 150>("priority queue of numbers"),
    queue_of<cairn::priority_queue<std::string>, 100>("priority queue of texts"),
};

}  // namespace

std::span<const subject> queue_subjects() {
    return all;
}

}  // namespace cairn_test

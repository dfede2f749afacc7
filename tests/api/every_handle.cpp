// every_handle.cpp - uses what programs use most, so that templates are instantiated: see check_warnings.py.
// SPDX-License-Identifier: BSL-1.0
#include <chrono>
#include <map>
#include <mutex>
#include <optional>
#include <shared_mutex>
#include <sstream>
#include <string>
#include <type_traits>
#include <vector>

#include <cairn/cairn.hpp>

namespace {

enum class colour : unsigned char { red, green };

struct point {
    short x = 0;
    short y = 0;
};

struct job {
    long id = 0;
    std::string name;
    std::vector<colour> colours;
};
CAIRN_FIELDS(job, id, name, colours)

template <typename T>
void use_list(const cairn::manager& m, const T& value) {
    const auto l = m.list<T>("l");
    l.append(value);
    l.extend(std::vector<T>{value, value});
    l.insert(0, value);
    l[0] = value;
    for (const T& each : l) static_cast<void>(each);
    static_cast<void>(l.pop());
    static_cast<void>(l.slice(0, 1));
    static_cast<void>(l.snapshot());
    l.for_each([](const T&) {});
    l.update(0, [](T&) {});
    erase_if(l, [](const T&) { return false; });
    l.transaction([&](auto& tx) { tx.append(value); });
    l.clear();
}

template <typename K, typename V>
void use_dicts(const cairn::manager& m, const K& key, const V& value) {
    const auto d = m.dict<K, V>("d");
    d.set(key, value);
    d[key] = value;
    static_cast<void>(d.get(key));
    static_cast<void>(d.get(key, value));
    static_cast<void>(d.at(key));
    static_cast<void>(d.contains(key));
    static_cast<void>(d.pop(key));
    static_cast<void>(d.setdefault(key, value));
    d.update(std::map<K, V>{{key, value}});
    for (const auto& [k, v] : d) static_cast<void>(&k), static_cast<void>(&v);
    static_cast<void>(d.snapshot());
    d.transaction([&](auto& tx) { tx[key] = value; });
    d.clear();
    const auto s = m.sharded_dict<K, V>("s");
    s.set(key, value);
    static_cast<void>(s.get(key));
    static_cast<void>(s.snapshot());
    const auto keys = m.set<K>("k");
    static_cast<void>(keys.add(key));
    static_cast<void>(keys.contains(key));
    static_cast<void>(keys.snapshot());
    keys.discard(key);
}

template <typename T>
void use_queues(const cairn::manager& m, const T& value) {
    using namespace std::chrono_literals;
    const auto q = m.queue<T>("q", 10);
    q.put(value);
    static_cast<void>(q.put_for(value, 1s));
    q.put_many(std::vector<T>{value});
    static_cast<void>(q.get());
    static_cast<void>(q.try_get());
    static_cast<void>(q.get_for(1s));
    q.task_done();
    if (auto lease = q.lease_for(1s)) lease->ack();
    q.close();
    const auto c = m.channel<T>("c", 10);
    static_cast<void>(c.try_put(value));
    static_cast<void>(c.try_get());
}

template <typename T>
void use_values(const cairn::manager& m, const T& value) {
    const auto v = m.value<T>("v", value);
    v.store(value);
    static_cast<void>(v.load());
    static_cast<void>(v.exchange(value));
    static_cast<void>(v.update([](T&) {}));
    v.transaction([&](auto& tx) { tx.store(value); });
    const auto n = m.ns("n");
    n.set("x", value);
    static_cast<void>(n.get<T>("x"));
    n.update<T>("x", [](T&) {});
    if constexpr (std::is_arithmetic_v<T>) {
        static_cast<void>(v.fetch_add(1, {.once = {1, 1}}));
        T expected = 0;
        static_cast<void>(v.compare_exchange(expected, value));
        const auto a = m.array<T>("a", 5);
        a[0] += value;
        a.assign(1, {value});
        for (const T each : a) static_cast<void>(each);
        const std::lock_guard held(a);
        for (T& each : a.data()) each = value;
    }
    const auto l = m.list<T>("values");
    static_cast<void>(l.push_back(value, {.once = {1, 1}}));
    cairn::transaction(v, l, [&](auto& of_v, auto& of_l) { of_v.store(of_l.pop()); });
    static_cast<void>(
        cairn::transaction({.once = {1, 2}}, l, v, [](auto& of_l, auto&) { return of_l.size(); }));
    static_cast<void>(m.happened({1, 2}));
    m.once("o", [] {});
    const auto rw = m.shared_mutex("rw");
    { const std::shared_lock reading(rw); }
    rw.lock(cairn::recover, [] {});
    rw.unlock();
}

void use_executors() {
    cairn::thread_pool_executor ex{{.max_workers = 2, .check_and_reject = cairn::reject_when_reached(9)}};
    cairn::dynamic_thread_pool_executor dynamic;
    cairn::synchronous_executor synchronous;
    cairn::any_executor any(dynamic);
    auto f = ex.submit([](int i) { return i; }, 1);
    static_cast<void>(f.result());
    static_cast<void>(f.result(std::chrono::seconds(1)));
    f.add_done_callback([](const cairn::future<int>&) {});
    auto g = f.then([](cairn::future<int> done) { return std::to_string(done.result()); });
    g.then(any, [](const auto&) {}).result();
    static_cast<void>(std::move(g).result());
    const std::vector<cairn::future<void>> all{
        ex.submit({.timeout = std::chrono::seconds(1), .retries = 1, .name = "n"}, [] {}),
        synchronous.submit_after(std::chrono::duration<double>(0), [] {})};
    const auto [done, not_done] = cairn::wait(all, cairn::first_exception);
    static_cast<void>(cairn::wait_for_any(all, std::chrono::seconds(1)));
    for (auto& each : cairn::as_completed(all)) each.result();
    for (const long each : any.map([](int i) { return long{i}; }, std::vector<int>{1, 2}))
        static_cast<void>(each);
    static_cast<void>(ex.map(
        {.chunk_size = 2, .buffer_size = 4}, [](int) {}, std::vector<int>{1}));
    std::ostringstream out;
    out << ex.statistics() << f << done.size() << not_done.size();
    ex.shutdown({.wait = true});
}

void use_periodic() {
    using namespace std::chrono_literals;
    cairn::periodic_worker w{{.strategy = cairn::strategy::fixed_rate}};
    const auto watcher = w.add(
        cairn::periodic{1s, {.run_immediately = true}}, [](int) {}, 3);
    w.add(1s, [] { return cairn::never_again{}; });
    static_cast<void>(watcher.runs());
    static_cast<void>(w.pformat({"Name"}));
    static_cast<void>(w.wait(1s));
}

}  // namespace

int main() {
    const cairn::manager m;
    use_list<long>(m, 1);
    use_list<std::string>(m, "a");
    use_list<point>(m, {1, 2});
    use_list<job>(m, {1, "a", {colour::red}});
    use_dicts<std::string, long>(m, "a", 1);
    use_dicts<long, job>(m, 1, {1, "a", {}});
    use_dicts<int, std::optional<float>>(m, 1, 2.0F);
    use_values<long>(m, 1);
    use_values<std::string>(m, "a");
    use_values<double>(m, 0.5);
    use_queues<long>(m, 1);
    use_queues<std::string>(m, "a");
    std::ostringstream out;
    out << m.list<long>("l") << m.dict<std::string, long>("d") << cairn::repr(m.queue<long>("q", 10));
    cairn::process p{[] {}};
    p.join();
    use_executors();
    use_periodic();
    static_cast<void>(cairn::version());
}

// every_handle.cpp - uses what programs use most, so that templates are instantiated: see check_warnings.py.
// SPDX-License-Identifier: BSL-1.0
#include <chrono>
#include <map>
#include <optional>
#include <sstream>
#include <string>
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
    use_queues<long>(m, 1);
    use_queues<std::string>(m, "a");
    std::ostringstream out;
    out << m.list<long>("l") << m.dict<std::string, long>("d") << cairn::repr(m.queue<long>("q", 10));
    cairn::process p{[] {}};
    p.join();
    static_cast<void>(cairn::version());
}

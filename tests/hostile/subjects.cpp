// SPDX-License-Identifier: BSL-1.0
#include "subjects.hpp"

#include <chrono>
#include <iterator>
#include <map>
#include <optional>
#include <sstream>
#include <string>
#include <tuple>
#include <type_traits>
#include <utility>
#include <variant>
#include <vector>

#include "support/values.hpp"
#include <cairn/cairn.hpp>
#include <cairn/repr.hpp>

namespace cairn_test {

using maybe_text = std::optional<std::string>;
using labelled = std::tuple<int, std::string>;
using text_or_number = std::variant<long, std::string>;
using numbers_of_texts = std::map<std::string, long>;
using lists_of_texts = std::vector<std::vector<std::string>>;

template <>
struct value_of<maybe_text> {
    static maybe_text make(std::uint64_t n) {
        return n % 4 == 2 ? maybe_text() : maybe_text(value_of<std::string>::make(n));
    }
};
template <>
struct value_of<labelled> {
    static labelled make(std::uint64_t n) {
        return {static_cast<int>(n), value_of<std::string>::make(n % 64)};
    }
};
template <>
struct value_of<text_or_number> {
    static text_or_number make(std::uint64_t n) {
        if (n % 3 == 0) return static_cast<long>(n);
        return value_of<std::string>::make(n);
    }
};
template <>
struct value_of<numbers_of_texts> {
    static numbers_of_texts make(std::uint64_t n) {
        numbers_of_texts all;
        for (std::uint64_t i = 0; i < n % 6; ++i)
            all.emplace(value_of<std::string>::make(n + i), static_cast<long>(i));
        return all;
    }
};
template <>
struct value_of<lists_of_texts> {
    static lists_of_texts make(std::uint64_t n) {
        lists_of_texts all(n % 5);
        for (std::uint64_t i = 0; i < all.size(); ++i)
            for (std::uint64_t k = 0; k < i; ++k) all[i].push_back(value_of<std::string>::make(n + k));
        return all;
    }
};

namespace {

// ---- lists ---------------------------------------------------------------------------------------------------------

template <typename T, std::size_t Count>
void build_list(const cairn::manager& in, const char* name) {
    std::vector<T> values;
    for (std::size_t i = 0; i < Count; ++i) values.push_back(value_of<T>::make(i));
    const auto l = in.list<T>(name, values);
    // Freed blocks, between ones that are in use.
    l.erase(Count / 3, Count / 2);
    for (std::size_t i = 0; i < Count / 8; ++i) l.push_back(value_of<T>::make(i));
}

template <typename T>
void read_list(const cairn::list<T>& l, attempts& attempt) {
    attempt("name", [&] { static_cast<void>(l.name()); });
    std::size_t size = 0;
    attempt("size", [&] { size = l.size(); });
    for (const std::size_t index :
         {std::size_t{0}, size / 2, size - 1, size, std::size_t{200}, std::size_t{1} << 40})
        attempt("at", [&] { static_cast<void>(l.at(index)); });
    attempt("back", [&] { static_cast<void>(l.back()); });
    attempt("empty", [&] { static_cast<void>(l.empty()); });
    attempt("operator[]", [&] { static_cast<void>(static_cast<T>(l[size / 3])); });
    attempt("snapshot", [&] { static_cast<void>(l.snapshot()); });
    attempt("slice", [&] { static_cast<void>(l.slice(3, 90, 7)); });
    attempt("slice", [&] { static_cast<void>(l.slice(size / 2, size + 5)); });
    const T value = value_of<T>::make(40);
    attempt("index", [&] { static_cast<void>(l.index(value)); });
    attempt("count", [&] { static_cast<void>(l.count(value)); });
    attempt("contains", [&] { static_cast<void>(l.contains(value)); });
    attempt("begin", [&] {
        std::size_t steps = 0;
        for (const T& each : l) {
            static_cast<void>(each);
            if (++steps == 100) break;
        }
    });
    attempt("for_each", [&] { l.for_each([](const T&) {}); });
    if constexpr (requires(std::ostream& to) { to << l; })
        attempt("operator<<", [&] { std::ostringstream() << l; });
}

template <typename T>
void write_list(const cairn::list<T>& l, attempts& attempt) {
    const T value = value_of<T>::make(40);
    const T large = value_of<T>::make(97);
    // Over the ends of chunks, so that some need room.
    for (int i = 0; i < 24; ++i) attempt("push_back", [&] { l.push_back(value); });
    attempt("push_back", [&] { l.push_back(large); });
    attempt("emplace_back", [&] { l.emplace_back(value); });
    attempt("extend", [&] { l.extend(std::vector<T>(70, value)); });
    attempt("set", [&] { l.set(0, large); });
    attempt("set", [&] { l.set(90, value); });
    attempt("operator[]", [&] { l[5] = value; });
    attempt("update", [&] { l.update(7, [&](T& each) { each = value; }); });
    attempt("insert", [&] { l.insert(0, value); });
    attempt("insert", [&] { l.insert(150, large); });
    attempt("pop", [&] { static_cast<void>(l.pop()); });
    attempt("pop", [&] { static_cast<void>(l.pop(3)); });
    attempt("erase", [&] { l.erase(4); });
    attempt("erase", [&] { l.erase(10, 60); });
    attempt("remove", [&] { l.remove(value); });
    attempt("erase_if", [&] {
        std::size_t steps = 0;
        erase_if(l, [&](const T&) { return ++steps % 16 == 0; });
    });
    attempt("reverse", [&] { l.reverse(); });
    attempt("sort", [&] { l.sort(); });
    attempt("reserve", [&] { l.reserve(2000); });
    for (int i = 0; i < 24; ++i) attempt("pop", [&] { static_cast<void>(l.pop()); });
    attempt("clear", [&] { l.clear(); });
    for (int i = 0; i < 4; ++i) attempt("push_back", [&] { l.push_back(large); });
    if constexpr (std::is_same_v<T, std::string>) {
        // Until the segment is full but for pages that lie apart: blocks have to move for the last one.
        for (int i = 0; i < 12; ++i) attempt("push_back", [&] { l.push_back(std::string(150'000, 'x')); });
        for (std::size_t i = 4; i < 12; i += 2) attempt("set", [&] { l.set(i, large); });
        attempt("push_back", [&] { l.push_back(std::string(290'000, 'x')); });
    }
}

// ---- dicts ---------------------------------------------------------------------------------------------------------

template <typename K, typename V, std::size_t Count>
void build_dict(const cairn::manager& in, const char* name) {
    const auto d = in.dict<K, V>(name);
    for (std::size_t i = 0; i < Count; ++i) d.set(value_of<K>::make(i), value_of<V>::make(i));
    // Places that were erased, leaves of the order that were given back.
    for (std::size_t i = Count / 3; i < Count / 2; ++i) d.erase(value_of<K>::make(i));
    for (std::size_t i = 0; i < Count / 8; ++i) d.set(value_of<K>::make(Count + i), value_of<V>::make(i));
}

template <typename K, typename V, std::size_t Count, std::uint32_t Shards>
void build_sharded(const cairn::manager& in, const char* name) {
    const auto d = in.sharded_dict<K, V>(name, {.shards = Shards});
    for (std::size_t i = 0; i < Count; ++i) d.set(value_of<K>::make(i), value_of<V>::make(i));
    for (std::size_t i = Count / 3; i < Count / 2; ++i) d.erase(value_of<K>::make(i));
}

// Of a sharded_dict, too.
template <typename Dict>
void read_dict(const Dict& d, attempts& attempt) {
    using K = typename Dict::key_type;
    using V = typename Dict::mapped_type;
    attempt("name", [&] { static_cast<void>(d.name()); });
    attempt("size", [&] { static_cast<void>(d.size()); });
    attempt("empty", [&] { static_cast<void>(d.empty()); });
    for (const std::uint64_t n : {0ULL, 40ULL, 97ULL, 100'000ULL}) {
        const K key = value_of<K>::make(n);
        attempt("get", [&] { static_cast<void>(d.get(key)); });
        attempt("at", [&] { static_cast<void>(d.at(key)); });
        attempt("contains", [&] { static_cast<void>(d.contains(key)); });
        attempt("operator[]", [&] { static_cast<void>(static_cast<V>(d[key])); });
    }
    attempt("snapshot", [&] { static_cast<void>(d.snapshot()); });
    attempt("keys", [&] { static_cast<void>(d.keys()); });
    attempt("values", [&] { static_cast<void>(d.values()); });
    attempt("begin", [&] {
        std::size_t steps = 0;
        for (const auto& each : d) {
            static_cast<void>(each);
            if (++steps == 100) break;
        }
    });
    attempt("for_each", [&] { d.for_each([](const K&, const V&) {}); });
    attempt("operator==", [&] { static_cast<void>(d == std::vector<std::pair<K, V>>{}); });
    attempt("operator<<", [&] { std::ostringstream() << d; });
}

template <typename Dict>
void write_dict(const Dict& d, attempts& attempt) {
    using K = typename Dict::key_type;
    using V = typename Dict::mapped_type;
    const auto key = [](std::uint64_t n) { return value_of<K>::make(n); };
    const V value = value_of<V>::make(40);
    const V large = value_of<V>::make(97);
    attempt("set", [&] { d.set(key(7), large); });
    attempt("operator[]", [&] { d[key(8)] = value; });
    attempt("pop", [&] { static_cast<void>(d.pop(key(9))); });
    attempt("popitem", [&] { static_cast<void>(d.popitem()); });
    attempt("erase", [&] { d.erase(key(10)); });
    // Over the ends of tables and leaves, so that some need room.
    for (std::uint64_t i = 0; i < 40; ++i) attempt("set", [&] { d.set(key(10'000 + i), value); });
    attempt("setdefault", [&] { static_cast<void>(d.setdefault(key(20'001), value)); });
    attempt("try_emplace", [&] { d.try_emplace(key(20'002), value); });
    attempt("update", [&] { d.update(key(20'003), [&](V& each) { each = value; }); });
    attempt("update", [&] {
        std::vector<std::pair<K, V>> pairs;
        for (std::uint64_t i = 0; i < 70; ++i) pairs.emplace_back(key(i * 5), value);
        d.update(pairs);
    });
    for (std::uint64_t i = 0; i < 40; ++i) attempt("erase", [&] { d.erase(key(i * 3)); });
    for (int i = 0; i < 24; ++i) attempt("popitem", [&] { static_cast<void>(d.popitem()); });
    attempt("clear", [&] { d.clear(); });
    for (std::uint64_t i = 0; i < 4; ++i) attempt("set", [&] { d.set(key(i), large); });
}

// ---- sets ----------------------------------------------------------------------------------------------------------

template <typename T, std::size_t Count>
void build_set(const cairn::manager& in, const char* name) {
    const auto s = in.set<T>(name);
    for (std::size_t i = 0; i < Count; ++i) s.add(value_of<T>::make(i));
    for (std::size_t i = Count / 3; i < Count / 2; ++i) s.discard(value_of<T>::make(i));
    for (std::size_t i = 0; i < Count / 8; ++i) s.add(value_of<T>::make(Count + i));
}

template <typename T>
std::vector<T> some_values(std::uint64_t from) {
    std::vector<T> values;
    for (std::uint64_t i = 0; i < 50; ++i) values.push_back(value_of<T>::make(from + 3 * i));
    return values;
}

template <typename T>
void read_set(const cairn::set<T>& s, attempts& attempt) {
    attempt("name", [&] { static_cast<void>(s.name()); });
    attempt("size", [&] { static_cast<void>(s.size()); });
    for (const std::uint64_t n : {0ULL, 40ULL, 97ULL, 100'000ULL})
        attempt("contains", [&] { static_cast<void>(s.contains(value_of<T>::make(n))); });
    attempt("snapshot", [&] { static_cast<void>(s.snapshot()); });
    attempt("begin", [&] {
        std::size_t steps = 0;
        for (const T& each : s) {
            static_cast<void>(each);
            if (++steps == 100) break;
        }
    });
    attempt("for_each", [&] { s.for_each([](const T&) {}); });
    const std::vector<T> others = some_values<T>(20);
    attempt("union_with", [&] { static_cast<void>(s.union_with(others)); });
    attempt("intersection", [&] { static_cast<void>(s.intersection(others)); });
    attempt("difference", [&] { static_cast<void>(s.difference(others)); });
    attempt("symmetric_difference", [&] { static_cast<void>(s.symmetric_difference(others)); });
    attempt("isdisjoint", [&] { static_cast<void>(s.isdisjoint(others)); });
    attempt("issubset", [&] { static_cast<void>(s.issubset(others)); });
    attempt("issuperset", [&] { static_cast<void>(s.issuperset(others)); });
    attempt("operator==", [&] { static_cast<void>(s == others); });
    attempt("operator<<", [&] { std::ostringstream() << s; });
}

template <typename T>
void write_set(const cairn::set<T>& s, attempts& attempt) {
    const auto value = [](std::uint64_t n) { return value_of<T>::make(n); };
    attempt("pop", [&] { static_cast<void>(s.pop()); });
    attempt("remove", [&] { s.remove(value(10)); });
    for (std::uint64_t i = 0; i < 40; ++i) attempt("add", [&] { s.add(value(10'000 + i)); });
    attempt("discard", [&] { s.discard(value(11)); });
    attempt("update", [&] { s.update(some_values<T>(300)); });
    attempt("difference_update", [&] { s.difference_update(some_values<T>(0)); });
    attempt("symmetric_difference_update", [&] { s.symmetric_difference_update(some_values<T>(100)); });
    attempt("intersection_update", [&] { s.intersection_update(some_values<T>(100)); });
    attempt("clear", [&] { s.clear(); });
    for (std::uint64_t i = 0; i < 4; ++i) attempt("add", [&] { s.add(value(i)); });
}

// ---- channels ------------------------------------------------------------------------------------------------------

template <typename T, std::size_t Count>
void build_channel(const cairn::manager& in, const char* name) {
    const auto c = in.channel<T>(name, {.capacity = Count, .bytes = 16 * 1024});
    for (std::size_t i = 0; i < Count; ++i) {
        while (!c.try_put(value_of<T>::make(i))) static_cast<void>(c.get());
        if (i % 3 == 0) static_cast<void>(c.get());
    }
}

template <typename T>
void read_channel(const cairn::channel<T>& c, attempts& attempt) {
    attempt("name", [&] { static_cast<void>(c.name()); });
    attempt("size", [&] { static_cast<void>(c.size()); });
    attempt("full", [&] { static_cast<void>(c.full()); });
    attempt("capacity", [&] { static_cast<void>(c.capacity()); });
    attempt("is_closed", [&] { static_cast<void>(c.is_closed()); });
    attempt("snapshot", [&] { static_cast<void>(c.snapshot()); });
    attempt("operator<<", [&] { std::ostringstream() << c; });
}

template <typename T>
void write_channel(const cairn::channel<T>& c, attempts& attempt) {
    const auto put = [&](std::size_t n) {
        attempt("try_put", [&] { static_cast<void>(c.try_put(value_of<T>::make(n))); });
    };
    const auto get = [&] { attempt("try_get", [&] { static_cast<void>(c.try_get()); }); };
    // Several times round the ring.
    for (std::size_t i = 0; i < 200; ++i) put(i);
    for (std::size_t i = 0; i < 300; ++i) get();
    for (std::size_t i = 0; i < 200; ++i) {
        put(i);
        get();
    }
    attempt("put_for",
            [&] { static_cast<void>(c.put_for(value_of<T>::make(1), std::chrono::microseconds(1))); });
    attempt("get_for", [&] { static_cast<void>(c.get_for(std::chrono::microseconds(1))); });
    attempt("release_producer", [&] { c.release_producer(); });
    attempt("release_consumer", [&] { c.release_consumer(); });
    put(5);
    attempt("close", [&] { c.close(); });
    get();
    get();
}

// ---- all of them ---------------------------------------------------------------------------------------------------

template <typename T, std::size_t Count>
constexpr subject list_of(const char* name) {
    return {name, &build_list<T, Count>, &open_as<cairn::list<T>, &read_list<T>, &write_list<T>>};
}
template <typename K, typename V, std::size_t Count>
constexpr subject dict_of(const char* name) {
    using handle = cairn::dict<K, V>;
    return {name, &build_dict<K, V, Count>, &open_as<handle, &read_dict<handle>, &write_dict<handle>>};
}
template <typename K, typename V, std::size_t Count, std::uint32_t Shards>
constexpr subject sharded_dict_of(const char* name) {
    using handle = cairn::sharded_dict<K, V>;
    return {name, &build_sharded<K, V, Count, Shards>,
            &open_as<handle, &read_dict<handle>, &write_dict<handle>>};
}
template <typename T, std::size_t Count>
constexpr subject set_of(const char* name) {
    return {name, &build_set<T, Count>, &open_as<cairn::set<T>, &read_set<T>, &write_set<T>>};
}

template <typename T, std::size_t Count>
constexpr subject channel_of(const char* name) {
    return {name, &build_channel<T, Count>, &open_as<cairn::channel<T>, &read_channel<T>, &write_channel<T>>};
}

// A row for each form in which elements are stored. The strings and vectors have large ones among them.
constexpr subject own[] = {
    list_of<long, 700>("numbers"),
    list_of<std::string, 240>("texts"),
    list_of<std::vector<int>, 100>("vectors"),
    list_of<small_struct, 90>("structs"),
    list_of<bool, 300>("flags"),
    dict_of<long, long, 500>("number of number"),
    dict_of<std::string, std::string, 200>("text of text"),
    dict_of<long, std::vector<int>, 100>("vector of number"),
    dict_of<std::string, small_struct, 100>("struct of text"),
    sharded_dict_of<long, std::string, 300, 4>("shards"),
    sharded_dict_of<long, long, 100, 16>("many shards"),
    set_of<long, 400>("set of numbers"),
    set_of<std::string, 150>("set of texts"),
    list_of<maybe_text, 120>("perhaps texts"),
    list_of<text_or_number, 120>("texts or numbers"),
    list_of<numbers_of_texts, 60>("maps"),
    dict_of<labelled, lists_of_texts, 60>("lists of lists of tuple"),
    set_of<labelled, 100>("set of tuples"),
    channel_of<long, 100>("channel of numbers"),
    channel_of<std::string, 60>("channel of texts"),
};

}  // namespace

std::span<const subject> subjects() {
    static const std::vector<subject> all = [] {
        std::vector<subject> both(std::begin(own), std::end(own));
        both.insert(both.end(), queue_subjects().begin(), queue_subjects().end());
        both.insert(both.end(), pool_subjects().begin(), pool_subjects().end());
        both.insert(both.end(), service_subjects().begin(), service_subjects().end());
        both.insert(both.end(), sync_subjects().begin(), sync_subjects().end());
        both.insert(both.end(), value_subjects().begin(), value_subjects().end());
        return both;
    }();
    return all;
}

}  // namespace cairn_test

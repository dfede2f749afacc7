// dict_peers.hpp - the dicts that Cairn's is compared with, all used in the same way.
//
//   cairn_dict   cairn::dict in an anonymous segment
//   plain_map    std::unordered_map without a lock: one thread, or only readers; boost::unordered_flat_map where Boost
//                has it (1.81)
//   boost_map    boost::unordered_map and interprocess_mutex in a managed_shared_memory, for processes; when the process
//                that holds this mutex is killed, everybody waits for ever
//
// Boost's segment loses its name as soon as it is mapped, so that nothing stays in /dev/shm even after SIGKILL.
//
// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <type_traits>
#include <unordered_map>

#include <boost/functional/hash.hpp>
#include <boost/unordered_map.hpp>
#if __has_include(<boost/unordered/unordered_flat_map.hpp>)
#include <boost/unordered/unordered_flat_map.hpp>
#define CAIRN_BENCH_HAS_FLAT_MAP 1
#endif

#include "peers.hpp"
#include <cairn/dict.hpp>

namespace cairn_bench {

template <typename K, typename V>
class cairn_dict {
public:
    static constexpr const char* name = "cairn";
    static constexpr crew::as company = processes;
    explicit cairn_dict(std::size_t /*room*/ = 0) {}

    void set(const K& key, const V& value) const { dict_.set(key, value); }
    [[nodiscard]] std::optional<V> get(const K& key) const { return dict_.get(key); }
    [[nodiscard]] std::size_t size() const { return dict_.size(); }
    void clear() const { dict_.clear(); }

private:
    cairn::manager manager_;
    cairn::dict<K, V> dict_ = manager_.dict<K, V>("dict");
};

template <typename K, typename V>
class plain_map {
public:
#if defined(CAIRN_BENCH_HAS_FLAT_MAP)
    using map = boost::unordered_flat_map<K, V>;
    static constexpr const char* name = "flat_map";
#else
    using map = std::unordered_map<K, V>;
    static constexpr const char* name = "unordered_map";
#endif
    static constexpr crew::as company = threads;
    explicit plain_map(std::size_t /*room*/ = 0) {}

    void set(const K& key, const V& value) { map_.insert_or_assign(key, value); }
    [[nodiscard]] std::optional<V> get(const K& key) const {
        const auto found = map_.find(key);
        if (found == map_.end()) return std::nullopt;
        return found->second;
    }
    [[nodiscard]] std::size_t size() const { return map_.size(); }
    void clear() { map_ = {}; }

private:
    map map_;
};

template <typename K, typename V>
class boost_map {
    template <typename T>
    using stored = std::conditional_t<std::is_same_v<T, std::string>, boost_string, T>;
    using element = std::pair<const stored<K>, stored<V>>;
    using map = boost::unordered_map<stored<K>, stored<V>, boost::hash<stored<K>>, std::equal_to<stored<K>>,
                                     boost_allocator<element>>;
    using guard = boost::interprocess::scoped_lock<boost::interprocess::interprocess_mutex>;
    struct shared {
        explicit shared(boost_segment_manager* manager)
            : entries(16, boost::hash<stored<K>>(), std::equal_to<stored<K>>(),
                      boost_allocator<element>(manager)) {}
        boost::interprocess::interprocess_mutex mutex;
        map entries;
    };

public:
    static constexpr const char* name = "boost";
    static constexpr crew::as company = processes;
    /// For so many entries of up to 200 bytes.
    explicit boost_map(std::size_t room = 100'000) : segment_(boost_segment::default_bytes + room * 400) {}

    void set(const K& key, const V& value) {
        const guard lock(shared_.mutex);
        shared_.entries.insert_or_assign(store(key), store(value));
    }
    [[nodiscard]] std::optional<V> get(const K& key) {
        const guard lock(shared_.mutex);
        const auto found = shared_.entries.find(store(key));
        if (found == shared_.entries.end()) return std::nullopt;
        if constexpr (std::is_same_v<V, std::string>) return V(found->second.begin(), found->second.end());
        else return found->second;
    }
    [[nodiscard]] std::size_t size() const { return shared_.entries.size(); }
    [[nodiscard]] std::size_t used_bytes() {
        return segment_.get().get_size() - segment_.get().get_free_memory();
    }

private:
    template <typename T>
    stored<T> store(const T& value) {
        if constexpr (std::is_same_v<T, std::string>)
            return stored<T>(value.begin(), value.end(), segment_.get().get_segment_manager());
        else return value;
    }

    boost_segment segment_;
    shared& shared_ = *segment_.get().template construct<shared>(boost::interprocess::anonymous_instance)(
        segment_.get().get_segment_manager());
};

}  // namespace cairn_bench

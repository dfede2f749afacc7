// peers.hpp - the lists that Cairn's is compared with, all used in the same way.
//
//   cairn_list      cairn::list in an anonymous segment
//   locked_array    a lock, a counter beside it, an array; grows by touching new pages. The bare floor is the one with a
//                   robust mutex of the C library's; the one with Cairn's lock shows what Cairn does beside locking
//   plain_vector    std::vector without a lock: one thread, or only readers
//   guarded_vector  std::vector and std::mutex, for threads
//   boost_vector    boost::interprocess::vector and interprocess_mutex in a managed_shared_memory, for processes; when
//                   the process that holds this mutex is killed, everybody waits for ever
//
// Functions that work on many elements lock once. All forget their memory with the object; Boost's segment loses its
// name as soon as it is mapped, so that nothing stays in /dev/shm even after SIGKILL.
//
// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <condition_variable>
#include <cstdint>
#include <cstring>
#include <mutex>
#include <new>
#include <numeric>
#include <span>
#include <string>
#include <thread>
#include <type_traits>
#include <vector>

#include <sys/statvfs.h>
#include <unistd.h>

#include <boost/interprocess/allocators/allocator.hpp>
#include <boost/interprocess/containers/string.hpp>
#include <boost/interprocess/containers/vector.hpp>
#include <boost/interprocess/managed_shared_memory.hpp>
#include <boost/interprocess/sync/interprocess_mutex.hpp>
#include <boost/interprocess/sync/scoped_lock.hpp>

#include "crew.hpp"
#include "locks.hpp"
#include "report.hpp"
#include <cairn/list.hpp>
#include <cairn/manager.hpp>

namespace cairn_bench {

/// Which shared things a peer is for: what the second one of a crew has to be.
constexpr crew::as processes = crew::as::processes;
constexpr crew::as threads = crew::as::threads;

template <typename T>
class cairn_list {
public:
    static constexpr const char* name = "cairn";
    static constexpr crew::as company = processes;
    explicit cairn_list(std::size_t /*room*/ = 0) {}

    void push(const T& value) const { list_.push_back(value); }
    void extend(std::span<const T> values) const { list_.extend(values); }
    void set(std::size_t i, const T& value) const { list_.set(i, value); }
    [[nodiscard]] T get(std::size_t i) const { return list_.get(i); }
    [[nodiscard]] std::size_t size() const { return list_.size(); }
    [[nodiscard]] T sum() const {
        T total = 0;
        for (const T& value : list_) total += value;
        return total;
    }
    [[nodiscard]] std::vector<T> copy() const { return list_.snapshot(); }
    void truncate(std::size_t count) const { list_.erase(count, list_.size()); }
    /// Empty, with room for `count`.
    void reset(std::size_t count) const {
        list_.clear();
        list_.reserve(count);
    }

private:
    cairn::manager manager_;
    cairn::list<T> list_ = manager_.list<T>("list");
};

template <typename T, typename Lock = bare_robust_lock>
class locked_array {
    static_assert(std::is_trivially_copyable_v<T>);

public:
    static constexpr const char* name = Lock::name;
    static constexpr crew::as company = processes;
    explicit locked_array(std::size_t room)
        : pages_(sizeof(header) + room * sizeof(T)), header_(*new(pages_.as<header>()) header),
          elements_(reinterpret_cast<T*>(pages_.as<char>() + sizeof(header))) {}

    void push(const T& value) const {
        const std::scoped_lock held(header_.lock);
        elements_[header_.size] = value;
        // release: as a list's, whose readers take no lock
        __atomic_store_n(&header_.size, header_.size + 1, __ATOMIC_RELEASE);
    }
    void extend(std::span<const T> values) const {
        const std::scoped_lock held(header_.lock);
        std::memcpy(elements_ + header_.size, values.data(), values.size_bytes());
        __atomic_store_n(&header_.size, header_.size + values.size(), __ATOMIC_RELEASE);
    }
    void reset(std::size_t /*count*/) const { header_.size = 0; }

private:
    struct alignas(64) header {
        Lock lock;
        std::uint64_t size = 0;
    };

    shared_pages pages_;
    header& header_;
    T* elements_;
};

template <typename T>
class plain_vector {
public:
    static constexpr const char* name = "vector";
    static constexpr crew::as company = threads;
    explicit plain_vector(std::size_t /*room*/ = 0) {}

    void push(const T& value) { vector_.push_back(value); }
    void extend(std::span<const T> values) { vector_.insert(vector_.end(), values.begin(), values.end()); }
    [[nodiscard]] T get(std::size_t i) const { return vector_[i]; }
    [[nodiscard]] std::size_t size() const { return vector_.size(); }
    [[nodiscard]] T sum() const { return std::accumulate(vector_.begin(), vector_.end(), T{0}); }
    [[nodiscard]] std::vector<T> copy() const { return vector_; }
    void reset(std::size_t count) {
        vector_.clear();
        vector_.reserve(count);
    }

private:
    std::vector<T> vector_;
};

/// A thread that does nothing. While a program has one thread only, glibc's std::mutex is not atomic.
class idle_thread {
public:
    ~idle_thread() {
        {
            const std::scoped_lock lock(mutex_);
            over_ = true;
        }
        changed_.notify_all();
        thread_.join();
    }

private:
    std::mutex mutex_;
    std::condition_variable changed_;
    bool over_ = false;
    std::thread thread_{[this] {
        std::unique_lock lock(mutex_);
        changed_.wait(lock, [this] { return over_; });
    }};
};

template <typename T>
class guarded_vector {
public:
    static constexpr const char* name = "vector+mutex";
    static constexpr crew::as company = threads;
    explicit guarded_vector(std::size_t /*room*/ = 0) {}

    void push(const T& value) {
        const std::scoped_lock lock(mutex_);
        vector_.push_back(value);
    }
    void extend(std::span<const T> values) {
        const std::scoped_lock lock(mutex_);
        vector_.insert(vector_.end(), values.begin(), values.end());
    }
    void set(std::size_t i, const T& value) {
        const std::scoped_lock lock(mutex_);
        vector_[i] = value;
    }
    [[nodiscard]] T get(std::size_t i) {
        const std::scoped_lock lock(mutex_);
        return vector_[i];
    }
    [[nodiscard]] std::size_t size() {
        const std::scoped_lock lock(mutex_);
        return vector_.size();
    }
    [[nodiscard]] T sum() {
        const std::scoped_lock lock(mutex_);
        return std::accumulate(vector_.begin(), vector_.end(), T{0});
    }
    [[nodiscard]] std::vector<T> copy() {
        const std::scoped_lock lock(mutex_);
        return vector_;
    }
    void truncate(std::size_t count) {
        const std::scoped_lock lock(mutex_);
        vector_.resize(count);
    }
    void reset(std::size_t count) {
        const std::scoped_lock lock(mutex_);
        vector_.clear();
        vector_.reserve(count);
    }

private:
    idle_thread other_;
    std::mutex mutex_;
    std::vector<T> vector_;
};

/// A managed_shared_memory that has lost its name. Boost does not reserve its pages, so a full /dev/shm would be a
/// SIGBUS: there has to be room before.
class boost_segment {
public:
    static constexpr std::size_t default_bytes = std::size_t{64} << 20;
    explicit boost_segment(std::size_t bytes)
        : memory_(boost::interprocess::create_only, name(bytes), bytes) {
        boost::interprocess::shared_memory_object::remove(name(0));
    }
    [[nodiscard]] boost::interprocess::managed_shared_memory& get() noexcept { return memory_; }
    [[nodiscard]] std::size_t used() const { return memory_.get_size() - memory_.get_free_memory(); }

private:
    static const char* name(std::size_t needed) {
        struct statvfs shm = {};
        if (::statvfs("/dev/shm", &shm) != 0 || std::uint64_t{shm.f_bavail} * shm.f_frsize < needed)
            throw not_here("too little room in /dev/shm for Boost's segment");
        static thread_local std::string name;
        name = "cairn-bench-" + std::to_string(::getpid());
        return name.c_str();
    }

    boost::interprocess::managed_shared_memory memory_;
};

using boost_segment_manager = boost::interprocess::managed_shared_memory::segment_manager;
template <typename T>
using boost_allocator = boost::interprocess::allocator<T, boost_segment_manager>;
using boost_string = boost::interprocess::basic_string<char, std::char_traits<char>, boost_allocator<char>>;

/// Elements of T, std::string as Boost's own.
template <typename T>
class boost_vector {
    static constexpr bool is_string = std::is_same_v<T, std::string>;
    using element = std::conditional_t<is_string, boost_string, T>;
    using guard = boost::interprocess::scoped_lock<boost::interprocess::interprocess_mutex>;
    struct shared {
        explicit shared(boost_segment_manager* manager) : vector(boost_allocator<element>(manager)) {}
        boost::interprocess::interprocess_mutex mutex;
        boost::interprocess::vector<element, boost_allocator<element>> vector;
    };

public:
    static constexpr const char* name = "boost";
    static constexpr crew::as company = processes;
    explicit boost_vector(std::size_t /*room*/ = 0, std::size_t bytes = boost_segment::default_bytes)
        : segment_(bytes) {}

    void push(const T& value) {
        const guard lock(in_.mutex);
        if constexpr (is_string)
            in_.vector.emplace_back(value.data(), value.size(), in_.vector.get_stored_allocator());
        else in_.vector.push_back(value);
    }
    void extend(std::span<const T> values) {
        const guard lock(in_.mutex);
        in_.vector.insert(in_.vector.end(), values.begin(), values.end());
    }
    void set(std::size_t i, const T& value) {
        const guard lock(in_.mutex);
        in_.vector[i] = value;
    }
    [[nodiscard]] T get(std::size_t i) {
        const guard lock(in_.mutex);
        return in_.vector[i];
    }
    [[nodiscard]] std::size_t size() {
        const guard lock(in_.mutex);
        return in_.vector.size();
    }
    [[nodiscard]] T sum() {
        const guard lock(in_.mutex);
        return std::accumulate(in_.vector.begin(), in_.vector.end(), T{0});
    }
    [[nodiscard]] std::vector<T> copy() {
        const guard lock(in_.mutex);
        return {in_.vector.begin(), in_.vector.end()};
    }
    void truncate(std::size_t count) {
        const guard lock(in_.mutex);
        in_.vector.resize(count);
    }
    void reset(std::size_t count) {
        const guard lock(in_.mutex);
        in_.vector.clear();
        in_.vector.reserve(count);
    }
    [[nodiscard]] std::size_t used_bytes() const { return segment_.used(); }

private:
    boost_segment segment_;
    shared& in_ = *segment_.get().construct<shared>(boost::interprocess::unique_instance)(
        segment_.get().get_segment_manager());
};

}  // namespace cairn_bench

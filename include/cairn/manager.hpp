// manager.hpp - cairn::manager, a segment and the objects in it (Python: multiprocessing.Manager()).
//
//   cairn::manager m;                        anonymous, shared with forked children
//   cairn::manager m{"jobs"};                named: other programs open it as "jobs"
//   auto results = m.list<long>("results");  find or create
//
// Life of a named segment: create() makes it; it loses its name when the creating process's last manager object goes
// (forked copies do not count; handles keep the memory, not the name). open_or_create(): when the last attached
// process goes. `.persist`: only by unlink() or `shmctl rm`. What a killed creator leaves is removed by the last process
// to leave, by the next create() or open_or_create() of that name, or by `shmctl gc`. An anonymous one is gone with its last
// process. A manager that goes waits a second at most for the segment's lock: what it has not removed by then goes as that of
// a killed creator.
// A process that ends by _exit, exec or abort does not let go itself: it leaves its segments as if it had been killed. If such a
// process was the last one, and a forked child of a process that had let go before, that process removes the name when it next
// makes, opens or looks for a segment (find_segments(), locate_segment()), or when it calls exit.
//
// Limits        operations with a limit (get_for, stop tokens) keep it, whoever holds a lock; `try_` forms wait a second at most
//               for it, others as long as it takes, or `.lock_timeout` of the options: then timeout_error, which says who holds it.
//
// Safety        thread-safe, process-shared, crash-atomic, fork-safe, as all of Cairn; not signal-safe.
//
// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <cairn/detail/base/language.hpp>

#include <concepts>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <functional>
#include <initializer_list>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <type_traits>
#include <vector>

#include <cairn/array.hpp>
#include <cairn/barrier.hpp>
#include <cairn/channel.hpp>
#include <cairn/condition.hpp>
#include <cairn/detail/base/standard.hpp>
#include <cairn/detail/containers/object_handle.hpp>
#include <cairn/dict.hpp>
#include <cairn/event.hpp>
#include <cairn/latch.hpp>
#include <cairn/list.hpp>
#include <cairn/mutex.hpp>
#include <cairn/namespace.hpp>
#include <cairn/once.hpp>
#include <cairn/once_id.hpp>
#include <cairn/queue.hpp>
#include <cairn/segment.hpp>
#include <cairn/semaphore.hpp>
#include <cairn/set.hpp>
#include <cairn/sharded_dict.hpp>
#include <cairn/shared_mutex.hpp>
#include <cairn/value.hpp>

namespace cairn::inline CAIRN_ABI {

namespace detail {
struct pool_access;
struct service_set_access;
template <handle_type Handle>
struct handle_address;
}  // namespace detail

/// What m.objects() says of one object.
struct object_info {
    std::string name;
    std::string kind;         // "list", "dict", ...
    std::string type;         // "int64"
    std::uint64_t bytes = 0;  // of its extents
};

/// What m.stats() says of a segment.
struct segment_stats {
    std::uint64_t size_bytes = 0;  // committed: the system has promised them
    std::uint64_t real_bytes =
        0;  // allocated by the system for its file; as committed where that is not known
    std::uint64_t used_bytes = 0;  // of these, not free
    std::uint64_t max_bytes = 0;
    std::uint32_t object_count = 0;
    std::uint32_t process_count = 0;   // living attached processes
    std::uint64_t recovery_count = 0;  // of the segment's own lock
};

class CAIRN_API manager {
public:
    /// An anonymous segment. @throws segment_full, system_failure
    manager();
    explicit manager(const segment_options& options);
    /// As create().
    explicit manager(std::string_view name, const segment_options& options = {});
    manager(const manager& other) noexcept;
    manager(manager&& other) noexcept;
    manager& operator=(manager other) noexcept;
    ~manager();

    /// A new segment of that name.
    /// @throws segment_exists  a living process is attached to one, or it is persistent; what only the dead have left is
    ///         replaced
    /// @throws invalid_name, invalid_argument, permission_denied, segment_full, system_failure
    static manager create(std::string_view name, const segment_options& options = {});
    /// @throws no_such_segment, permission_denied, corrupt_segment, version_mismatch, refused
    static manager open(std::string_view name, const open_options& options = {});
    static manager open(std::string_view name, open_mode mode) {
        open_options options;
        options.mode = mode;
        return open(name, options);
    }
    static manager open_or_create(std::string_view name, const segment_options& options = {});

    // Contents are of the bare type, so that list<int&> is refused in list's words rather than in those of std::vector.

    /// The list of that name, created (with `contents`) if there is none; contents of an existing one stay as they are.
    /// @throws type_mismatch  there is an object of that name and another kind or type
    /// @throws invalid_name, segment_full, would_deadlock
    template <typename T>
    cairn::list<T> list(std::string_view name, std::initializer_list<std::remove_cvref_t<T>> contents) const {
        return find_or_create<cairn::list<T>>(name, contents);
    }
    template <typename T, std::ranges::input_range Range = std::vector<std::remove_cvref_t<T>>>
        requires(!std::convertible_to<Range, std::string_view>)
    cairn::list<T> list(std::string_view name, Range&& contents = {}) const {
        return find_or_create<cairn::list<T>>(name, detail::as_sized(contents));
    }
    /// A new list under a generated name: lives until removed, or as long as the segment.
    template <typename T>
    cairn::list<T> list() const {
        return list<T>(generate_name("list"));
    }
    template <typename T>
    cairn::list<T> list(std::initializer_list<std::remove_cvref_t<T>> contents) const {
        return list<T>(generate_name("list"), contents);
    }
    template <typename T, std::ranges::input_range Range>
        requires(!std::convertible_to<Range, std::string_view>)
    cairn::list<T> list(Range&& contents) const {
        return list<T>(generate_name("list"), contents);
    }

    /// The dict of that name, created (with `contents`: pairs) if there is none. As list().
    template <typename K, typename V>
    cairn::dict<K, V> dict(std::string_view name, std::initializer_list<std::pair<K, V>> contents) const {
        return find_or_create<cairn::dict<K, V>>(name, contents);
    }
    template <typename K, typename V, std::ranges::input_range Range = std::vector<std::pair<K, V>>>
        requires(!std::convertible_to<Range, std::string_view>)
    cairn::dict<K, V> dict(std::string_view name, Range&& contents = {}) const {
        return find_or_create<cairn::dict<K, V>>(name, contents);
    }
    template <typename K, typename V>
    cairn::dict<K, V> dict() const {
        return dict<K, V>(generate_name("dict"));
    }
    template <typename K, typename V>
    cairn::dict<K, V> dict(std::initializer_list<std::pair<K, V>> contents) const {
        return dict<K, V>(generate_name("dict"), contents);
    }
    template <typename K, typename V, std::ranges::input_range Range>
        requires(!std::convertible_to<Range, std::string_view>)
    cairn::dict<K, V> dict(Range&& contents) const {
        return dict<K, V>(generate_name("dict"), contents);
    }

    /// The sharded_dict of that name, created (with `contents`: pairs) if there is none, in options.shards shards. One that is
    /// there keeps its number of shards.
    /// @throws invalid_argument  options.shards is not a power of two from 1 to 64
    /// @throws type_mismatch, segment_full
    template <typename K, typename V>
    cairn::sharded_dict<K, V> sharded_dict(std::string_view name,
                                           const sharded_dict_options& options = {}) const {
        return find_or_create_sharded<K, V>(name, std::initializer_list<std::pair<K, V>>{}, options);
    }
    template <typename K, typename V>
    cairn::sharded_dict<K, V> sharded_dict(std::string_view name,
                                           std::initializer_list<std::pair<K, V>> contents,
                                           const sharded_dict_options& options = {}) const {
        return find_or_create_sharded<K, V>(name, contents, options);
    }
    template <typename K, typename V, std::ranges::input_range Range>
        requires(!std::convertible_to<Range, std::string_view>)
    cairn::sharded_dict<K, V> sharded_dict(std::string_view name, Range&& contents,
                                           const sharded_dict_options& options = {}) const {
        return find_or_create_sharded<K, V>(name, contents, options);
    }
    template <typename K, typename V>
    cairn::sharded_dict<K, V> sharded_dict(const sharded_dict_options& options = {}) const {
        return sharded_dict<K, V>(generate_name("sharded_dict"), options);
    }

    /// The set of that name, created (with `contents`) if there is none. As list().
    template <typename T>
    cairn::set<T> set(std::string_view name, std::initializer_list<std::remove_cvref_t<T>> contents) const {
        return find_or_create<cairn::set<T>>(name, contents);
    }
    template <typename T, std::ranges::input_range Range = std::vector<std::remove_cvref_t<T>>>
        requires(!std::convertible_to<Range, std::string_view>)
    cairn::set<T> set(std::string_view name, Range&& contents = {}) const {
        return find_or_create<cairn::set<T>>(name, contents);
    }
    template <typename T>
    cairn::set<T> set() const {
        return set<T>(generate_name("set"));
    }
    template <typename T>
    cairn::set<T> set(std::initializer_list<std::remove_cvref_t<T>> contents) const {
        return set<T>(generate_name("set"), contents);
    }
    template <typename T, std::ranges::input_range Range>
        requires(!std::convertible_to<Range, std::string_view>)
    cairn::set<T> set(Range&& contents) const {
        return set<T>(generate_name("set"), contents);
    }

    /// The queue of that name, created if there is none: it holds `maxsize` items at most, 0 says as many as there is
    /// memory for. A queue that is there keeps its own maxsize.
    /// @throws invalid_argument  maxsize is negative
    /// @throws type_mismatch, segment_full
    template <typename T>
    cairn::queue<T> queue(std::string_view name, std::int64_t maxsize = 0) const {
        return find_or_create_queue<cairn::queue<T>>(name, {.maxsize = maxsize});
    }
    template <typename T>
    cairn::queue<T> queue(std::string_view name, const queue_options& options) const {
        return find_or_create_queue<cairn::queue<T>>(name, options);
    }
    template <typename T>
    cairn::queue<T> queue(std::int64_t maxsize = 0) const {
        return queue<T>(generate_name("queue"), maxsize);
    }

    /// The queue of that name from which what was put last is taken first. As queue().
    template <typename T>
    cairn::lifo_queue<T> lifo_queue(std::string_view name, std::int64_t maxsize = 0) const {
        return find_or_create_queue<cairn::lifo_queue<T>>(name, {.maxsize = maxsize});
    }
    template <typename T>
    cairn::lifo_queue<T> lifo_queue(std::string_view name, const queue_options& options) const {
        return find_or_create_queue<cairn::lifo_queue<T>>(name, options);
    }
    template <typename T>
    cairn::lifo_queue<T> lifo_queue(std::int64_t maxsize = 0) const {
        return lifo_queue<T>(generate_name("lifo_queue"), maxsize);
    }

    /// The queue of that name from which the smallest is taken first. As queue(); all who use it must compare alike.
    template <typename T, typename Compare = std::less<T>>
    cairn::priority_queue<T, Compare> priority_queue(std::string_view name, std::int64_t maxsize = 0) const {
        return find_or_create_queue<cairn::priority_queue<T, Compare>>(name, {.maxsize = maxsize});
    }
    template <typename T, typename Compare = std::less<T>>
    cairn::priority_queue<T, Compare> priority_queue(std::string_view name,
                                                     const queue_options& options) const {
        return find_or_create_queue<cairn::priority_queue<T, Compare>>(name, options);
    }
    template <typename T, typename Compare = std::less<T>>
    cairn::priority_queue<T, Compare> priority_queue(std::int64_t maxsize = 0) const {
        return priority_queue<T, Compare>(generate_name("priority_queue"), maxsize);
    }

    /// The channel of that name, created if there is none: a ring of `capacity` items between one producer and one consumer.
    /// @throws invalid_argument  a capacity below 1, or more than fits
    /// @throws type_mismatch     also where a channel of another capacity is there
    template <typename T>
    cairn::channel<T> channel(std::string_view name, std::int64_t capacity) const {
        return channel<T>(name, channel_options{.capacity = capacity, .bytes = 0});
    }
    template <typename T>
    cairn::channel<T> channel(std::string_view name, const channel_options& options) const {
        using handle = cairn::channel<T>;
        const detail::channel_shape shape = handle::shape_of(describe_wanted(name, handle::kind), options);
        handle found(create_root(name, request_for<handle>(),
                                 {[&](detail::root_transaction& tx) { return handle::create(tx, shape); }}));
        found.require_shape(shape, options.bytes == 0);
        return found;
    }
    template <typename T>
    cairn::channel<T> channel(std::int64_t capacity) const {
        return channel<T>(generate_name("channel"), capacity);
    }

    /// The value of that name, created with `first` (T{} unless told) if there is none; one that is there keeps what it has.
    /// @throws type_mismatch, segment_full, would_deadlock
    template <typename T>
    cairn::value<T> value(std::string_view name, const std::type_identity_t<T>& first = T{}) const {
        const typename cairn::value<T>::encoded_contents encoded(first);
        const auto build = [&](detail::root_transaction& tx) { return encoded.create(tx); };
        return cairn::value<T>(
            create_root(name, request_for<cairn::value<T>>(), {build, encoded.size_in_bytes()}));
    }
    /// A new value under a generated name.
    template <typename T>
        requires(!std::convertible_to<T, std::string_view>)
    cairn::value<T> value(const std::type_identity_t<T>& first = T{}) const {
        return value<T>(generate_name("value"), first);
    }

    /// The array of that name, created with `count` elements (0), or with those of the range, if there is none. One that is there keeps
    /// what it has.
    /// @throws type_mismatch     also where one of another size is there
    /// @throws invalid_argument  `count` is negative
    /// @throws segment_full, would_deadlock
    template <typename T, std::integral Count>
    cairn::array<T> array(std::string_view name, Count count) const {
        require_count(name, static_cast<std::int64_t>(count));
        return find_or_create_array<T>(name, static_cast<std::uint64_t>(count), nullptr);
    }
    template <typename T>
    cairn::array<T> array(std::string_view name,
                          std::initializer_list<std::remove_cvref_t<T>> contents) const {
        return array<T>(name, std::span(contents.begin(), contents.size()));
    }
    template <typename T, std::ranges::input_range Range>
        requires(!std::convertible_to<Range, std::string_view>)
    cairn::array<T> array(std::string_view name, Range&& contents) const {
        const std::vector<T> values(std::ranges::begin(contents), std::ranges::end(contents));
        return create_array_of(name, values);
    }
    template <typename T, std::integral Count>
    cairn::array<T> array(Count count) const {
        return array<T>(generate_name("array"), count);
    }
    template <typename T>
    cairn::array<T> array(std::initializer_list<std::remove_cvref_t<T>> contents) const {
        return array<T>(generate_name("array"), contents);
    }

    /// The namespace of that name, created if there is none: it is empty then. @throws type_mismatch, segment_full, would_deadlock
    [[nodiscard]] cairn::ns ns(std::string_view name) const;
    [[nodiscard]] cairn::ns ns() const;
    /// The lock of that name, created if there is none; without a name a new one. rlock(): one that its owner may take again.
    /// @throws type_mismatch, segment_full, would_deadlock
    [[nodiscard]] cairn::mutex lock(std::string_view name) const;
    [[nodiscard]] cairn::mutex lock() const;
    [[nodiscard]] cairn::recursive_mutex rlock(std::string_view name) const;
    [[nodiscard]] cairn::recursive_mutex rlock() const;
    /// The event of that name, created if there is none: it is not set then.
    [[nodiscard]] cairn::event event(std::string_view name) const;
    [[nodiscard]] cairn::event event() const;
    /// The condition of that name, created if there is none. It belongs to no lock: who waits says which.
    [[nodiscard]] cairn::condition condition(std::string_view name) const;
    [[nodiscard]] cairn::condition condition() const;
    /// The barrier of that name, for so many parties, created if there is none.
    /// @throws invalid_argument  there are none, or more than 2^32 - 1
    /// @throws type_mismatch     one that is there is for another number of parties
    /// @throws segment_full, would_deadlock
    [[nodiscard]] cairn::barrier barrier(std::string_view name, std::int64_t parties) const;
    [[nodiscard]] cairn::barrier barrier(std::int64_t parties) const;
    /// The latch of that name, at `count`, created if there is none. One that is there keeps what remains.
    /// @throws invalid_argument  `count` is negative
    /// @throws type_mismatch, segment_full, would_deadlock
    [[nodiscard]] cairn::latch latch(std::string_view name, std::int64_t count) const;
    [[nodiscard]] cairn::latch latch(std::int64_t count) const;
    /// The shared_mutex of that name, created if there is none.
    [[nodiscard]] cairn::shared_mutex shared_mutex(std::string_view name) const;
    [[nodiscard]] cairn::shared_mutex shared_mutex() const;
    /// The once of that name, created if there is none; with fn, done when this returns: fn() is called if nobody has done it.
    [[nodiscard]] cairn::once once(std::string_view name) const;
    [[nodiscard]] cairn::once once() const;
    template <std::invocable Fn>
    // NOLINTNEXTLINE(modernize-use-nodiscard): for what it does
    cairn::once once(std::string_view name, Fn&& fn) const {
        cairn::once found = once(name);
        found.call(std::forward<Fn>(fn));
        return found;
    }
    /// The semaphore of that name, created with `value` permits if there is none. One that is there keeps what it has.
    /// @throws invalid_argument  `value` is negative
    /// @throws type_mismatch, segment_full, would_deadlock
    [[nodiscard]] cairn::semaphore semaphore(std::string_view name, std::int64_t value = 1) const;
    [[nodiscard]] cairn::semaphore semaphore(std::int64_t value = 1) const;
    [[nodiscard]] cairn::bounded_semaphore bounded_semaphore(std::string_view name,
                                                             std::int64_t value = 1) const;
    [[nodiscard]] cairn::bounded_semaphore bounded_semaphore(std::int64_t value = 1) const;

    [[nodiscard]] bool contains(std::string_view name) const;
    /// The object of that name, if there is one: m.find<cairn::list<long>>("results"). Never creates.
    /// @throws type_mismatch
    template <detail::handle_type Handle>
    [[nodiscard]] std::optional<Handle> find(std::string_view name) const {
        std::optional<detail::root_reference> found = find_root(name, request_for<Handle>());
        if (!found) return std::nullopt;
        return Handle(*std::move(found));
    }
    /// Removes the object and frees its memory; handles to it throw object_gone from now on, for ever, also when there
    /// is a new object of that name. False when there was none.
    bool remove(std::string_view name) const;
    /// Whether an operation with that number, or a later one of its client, was done on any object of the segment (once_id.hpp).
    /// Takes no lock. Cost: a look at each object that numbered operations were done on.
    [[nodiscard]] bool happened(once_id id) const;
    /// Every object forgets that client's numbers; whatever it has done can be done again. Memory of its records goes back to the
    /// objects. A death on the way leaves it to those objects that come later. @throws would_deadlock, permission_denied
    void forget(std::uint64_t client) const;
    [[nodiscard]] std::vector<object_info> objects() const;
    [[nodiscard]] segment_stats stats() const;
    /// Gives pages that hold nothing back to the system, for instance after a large object has shrunk or was removed. They stay the
    /// segment's, which takes them from the system again when it needs them.
    ///
    /// Of anonymous segments only, as a rule: in /dev/shm, or any other file system of a fixed size, a process that reads without
    /// the lock must not come upon a page that is gone. There it gives back what nobody has committed anything in: pages of killed processes.
    ///
    /// An operation that fails, and a transaction that is undone, gives back by itself what the segment has grown by for it; in /dev/shm, too.
    ///
    /// @return  about how many bytes went back
    /// @throws  permission_denied or refused in a process that may only read; would_deadlock inside an operation
    /// Cost     about 1 us for each page that goes; others wait no longer than for 512 of them
    /// Safety   thread-safe; a process that is killed in it leaves the segment whole
    std::uint64_t trim() const;
    /// The segment's name; of an anonymous one a generated name.
    [[nodiscard]] const std::string& name() const noexcept;
    [[nodiscard]] bool is_anonymous() const noexcept;
    /// Takes the segment's name away at once; who is attached goes on with it.
    void unlink() const;

    /// For handles.
    explicit manager(detail::segment_ptr attached) noexcept;
    /// For handles as arguments of tasks: which object it is, for a process that has the segment, or can open it.
    [[nodiscard]] static std::vector<std::byte> address_of(const detail::object_handle& handle);
    /// @throws refused      the segment has no name, and this process does not have it
    /// @throws object_gone  and as open() and find()
    template <detail::handle_type Handle>
    [[nodiscard]] static Handle at_address(std::span<const std::byte> address) {
        return Handle(find_at(address, request_for<Handle>()));
    }

private:
    friend struct detail::pool_access;
    friend struct detail::service_set_access;

    /// How an object is made.
    struct object_plan {
        std::function<detail::segment_offset(detail::root_transaction&)> build;
        std::uint64_t contents_bytes = 0;  // about: long ones are not built under the segment's lock
        // Of an object that is several roots: how its parts are made.
        std::uint32_t part_count = 0;
        detail::object_kind part_kind = detail::object_kind::none;
        std::function<detail::segment_offset(detail::root_transaction&, std::uint32_t index)> build_part = {};
    };

    template <typename Handle, typename Range>
    Handle find_or_create(std::string_view name, Range&& contents) const {
        // Encoded before any lock is taken: encoding is user code.
        const typename Handle::encoded_contents encoded(contents, segment_->header().hash_seed);
        const auto build = [&](detail::root_transaction& tx) {
            const detail::segment_offset node = Handle::create(tx);
            Handle::fill(tx, node, encoded);
            return node;
        };
        return Handle(create_root(name, request_for<Handle>(), {build, encoded.size_in_bytes()}));
    }
    template <typename T>
    cairn::array<T> find_or_create_array(std::string_view name, std::uint64_t count,
                                         const std::byte* from) const {
        const auto build = [&](detail::root_transaction& tx) {
            return cairn::array<T>::create(tx, count, from);
        };
        cairn::array<T> found(create_root(name, request_for<cairn::array<T>>(), {build, count * sizeof(T)}));
        found.require_size(count);
        return found;
    }
    template <typename T>
    cairn::array<T> create_array_of(std::string_view name, const std::vector<T>& values) const {
        std::vector<std::byte> bytes(values.size() * detail::element_traits<T>::stride);
        std::byte* to = bytes.data();
        for (const auto& each : values) {
            const T value = each;  // of a vector<bool> there is no address
            std::memcpy(to, &value, sizeof value);
            to += detail::element_traits<T>::stride;
        }
        return find_or_create_array<T>(name, values.size(), bytes.data());
    }
    template <typename Handle>
    Handle find_or_create_queue(std::string_view name, const queue_options& options) const {
        require_maxsize(name, Handle::kind, options.maxsize);
        const auto build = [&](detail::root_transaction& tx) {
            return Handle::create(tx, static_cast<std::uint64_t>(options.maxsize), options.max_deliveries);
        };
        return Handle(create_root(name, request_for<Handle>(), {build}));
    }
    template <typename K, typename V, typename Range>
    cairn::sharded_dict<K, V> find_or_create_sharded(std::string_view name, Range&& contents,
                                                     const sharded_dict_options& options) const {
        using handle = cairn::sharded_dict<K, V>;
        require_shards(name, options.shards);
        const typename handle::encoded_contents encoded(contents, segment_->header().hash_seed,
                                                        options.shards);
        const auto build = [&](detail::root_transaction& tx, std::uint32_t index) {
            const detail::segment_offset node = handle::shard::create(tx);
            handle::shard::fill(tx, node, encoded.of_shard(index));
            return node;
        };
        return handle(
            create_in_parts(name, request_for<handle>(),
                            {{}, encoded.size_in_bytes(), options.shards, handle::shard::kind, build}));
    }
    /// "queue 'jobs' in segment 'x'". @throws invalid_name
    [[nodiscard]] std::string describe_wanted(std::string_view name, detail::object_kind kind) const;
    void require_maxsize(std::string_view name, detail::object_kind kind, std::int64_t maxsize) const;
    void require_shards(std::string_view name, std::uint32_t shards) const;
    void require_count(std::string_view name, std::int64_t count) const;
    /// What a handle expects to find: kind and type as recorded, and a node (of each part, if it has parts) that makes sense.
    struct request {
        detail::object_kind kind;
        std::string type;
        void (*validate)(const detail::segment&, detail::segment_offset node);
    };
    template <typename Handle>
    static request request_for() {
        return {Handle::kind, Handle::type_name(), &Handle::validate};
    }
    static detail::root_reference accept(const detail::segment_ptr& in, detail::root_slot& slot,
                                         const request& wanted);
    [[nodiscard]] std::optional<detail::root_reference> find_root(std::string_view name,
                                                                  const request& wanted) const;
    static detail::root_reference find_at(std::span<const std::byte> bytes, const request& wanted);
    [[nodiscard]] detail::root_reference create_root(std::string_view name, const request& wanted,
                                                     const object_plan& plan) const;
    [[nodiscard]] detail::root_reference create_in_parts(std::string_view name, const request& wanted,
                                                         object_plan plan) const;
    /// Of kinds without elements or options.
    template <typename Handle>
    [[nodiscard]] Handle create_plain(std::string_view name) const;
    template <typename Handle>
    [[nodiscard]] Handle create_semaphore(std::string_view name, std::int64_t value, bool is_bounded) const;
    /// What both do: finds the root, or begins it, has it built, and publishes it.
    [[nodiscard]] detail::root_reference find_or_build(std::string_view name, const request& wanted,
                                                       const object_plan& plan) const;
    [[nodiscard]] std::string generate_name(const char* kind) const;

    detail::segment_ptr segment_;
};

inline manager detail::object_handle::manager() const {
    return cairn::manager(segment_);
}

namespace detail {

/// A handle as an argument of a task.
template <handle_type Handle>
struct handle_address {
    explicit handle_address(const Handle& handle) : bytes(cairn::manager::address_of(handle)) {}
    explicit handle_address(std::span<const std::byte> from) : bytes(from.begin(), from.end()) {}
    [[nodiscard]] Handle handle() const { return cairn::manager::at_address<Handle>(bytes); }

    std::vector<std::byte> bytes;
};

}  // namespace detail

template <detail::handle_type Handle>
struct codec<detail::handle_address<Handle>> {
    static std::string type_name() { return "handle"; }
    static std::size_t size(const detail::handle_address<Handle>& value) { return value.bytes.size(); }
    static void encode(const detail::handle_address<Handle>& value, std::byte* to) {
        std::copy(value.bytes.begin(), value.bytes.end(), to);
    }
    static detail::handle_address<Handle> decode(std::span<const std::byte> bytes) {
        return detail::handle_address<Handle>(bytes);
    }
};

}  // namespace cairn::inline CAIRN_ABI

// SPDX-License-Identifier: BSL-1.0
#include "cairn/manager.hpp"

#include <algorithm>
#include <atomic>
#include <bit>
#include <cstring>
#include <limits>
#include <optional>

#include <unistd.h>

#include "base/hash.hpp"
#include "segment/backing.hpp"
#include "segment/directory.hpp"
#include "segment/extents.hpp"
#include "segment/internals.hpp"
#include "segment/lifecycle.hpp"
#include "segment/name_table.hpp"
#include "segment/participants.hpp"
#include "segment/registry.hpp"
#include "segment/trimming.hpp"
#include "txn/removal.hpp"
#include <cairn/detail/arena/arena.hpp>
#include <cairn/detail/containers/once_table.hpp>
#include <cairn/error.hpp>

namespace cairn::inline CAIRN_ABI {

using namespace detail;  // this file is the border between the two

namespace {

std::string generated_segment_name() {
    static std::atomic<unsigned> count{0};
    return "anonymous-" + std::to_string(count.fetch_add(1, std::memory_order_relaxed) + 1);
}

void require_no_open_operation(const char* what, const segment& s) {
    if (this_thread.open == nullptr) return;
    throw would_deadlock(
        std::string(what) + " in " + describe_segment(s) +
        ": this thread is inside another operation (a callback or a signal handler); do it before it");
}

// Word by word, as all that a read-only process looks at without a lock.
std::string type_in(const segment& s, const root_slot& slot) {
    const std::uint64_t bytes = load_word(slot.type_name_bytes);
    const auto* text = s.find<char>(load_word(slot.type_name), bytes);
    if (text == nullptr) throw_corrupt(s, "the type of an object lies outside");
    std::string type(bytes, '\0');
    copy_out(type.data(), text, bytes);
    return type;
}

std::string name_in(const root_slot& slot) {
    char copy[sizeof slot.name];
    copy_out(copy, slot.name, sizeof copy);
    return {copy, std::min<std::size_t>(load_word(slot.name_bytes), max_object_name_bytes)};
}

std::string full_type(object_kind kind, const std::string& type) {
    const std::string name = kind_name(kind);
    return type.empty() ? name : name + "<" + type + ">";
}

void require_writable(const segment& s, std::string_view name) {
    if (s.is_writable()) return;
    throw_not_writable(s, "create or remove '" + std::string(name) + "' in " + describe_segment(s));
}

// What has a name; parts of an object have none.
bool is_listed(const root_slot& slot) noexcept {
    // acquire: pairs with the release in publish_root(); who sees a live object sees all of it
    const auto state = static_cast<root_state>(__atomic_load_n(&slot.state, __ATOMIC_ACQUIRE));
    return (state == root_state::live || state == root_state::poisoned) && load_word(slot.part_of) == 0;
}

// A read-only process takes no lock: it looks, and looks again where the object has gone meanwhile.
template <typename Look>
auto look_without_lock(const root_slot& slot, Look look) {
    for (;;) {
        // acquire: the look comes after
        const std::uint64_t generation = __atomic_load_n(&slot.generation, __ATOMIC_ACQUIRE);
        const bool was_listed = is_listed(slot);
        // Both, since a removal changes one after the other.
        const auto is_still_there = [&] {
            std::atomic_thread_fence(std::memory_order_acquire);  // what was looked at comes before
            return load_word(slot.generation) == generation && is_listed(slot) == was_listed;
        };
        try {
            auto seen = look();
            if (is_still_there()) return seen;
        } catch (const error&) {
            if (is_still_there()) throw;
        }
    }
}

// Chosen freely: chains have one link or two, and nobody makes names for hours.
constexpr std::uint32_t longest_chain_without_lock = 256;
constexpr int most_quick_looks = 16;

bool is_called(const root_slot& slot, std::string_view name) {
    return look_without_lock(slot, [&] { return is_listed(slot) && name_in(slot) == name; });
}

// Where the name leads to; null when it leads nowhere, which is so if the directory was not changing meanwhile. Nothing:
// not found out.
std::optional<root_slot*> find_by_hash(segment& s, std::string_view name) {
    std::uint32_t link = load_word(bucket_of(s, hash_name(s, name)));
    for (std::uint32_t steps = 0; link != 0; ++steps) {
        if (steps == longest_chain_without_lock) return std::nullopt;
        root_slot& slot = slot_at(s, link);
        if (is_called(slot, name)) return &slot;
        link = load_word(slot.next_in_bucket);
    }
    return nullptr;
}

root_slot* find_without_lock(segment& s, std::string_view name) {
    for (int attempt = 0; attempt < most_quick_looks; ++attempt) {
        const directory_watch watch(s);
        try {
            const std::optional<root_slot*> found = find_by_hash(s, name);
            if (found && (*found != nullptr || watch.is_unchanged())) return *found;
        } catch (const corrupt_segment&) {
            if (watch.is_unchanged()) throw;
        }
    }
    // It changes all the time, or its last writer is dead: along the chain of all slots, which only grows.
    std::uint32_t steps = most_slots(s);
    for (std::uint32_t link = load_word(s.control().first_slot); link != 0 && steps != 0; --steps) {
        root_slot& slot = slot_at(s, link);
        if (is_called(slot, name)) return &slot;
        link = load_word(slot.next_slot);
    }
    return nullptr;
}

object_info describe(const segment& s, const root_slot& slot) {
    std::uint64_t pages = load_word(slot.extent_pages);
    try {
        for (const root_slot* part : find_parts(s, slot)) pages += load_word(part->extent_pages);
    } catch (const corrupt_segment&) {
        // Who opens it is told so. It is listed all the same, and can be removed.
    }
    return {name_in(slot), kind_name(static_cast<object_kind>(load_word(slot.kind))), type_in(s, slot),
            pages * page_bytes};
}

void require_not_poisoned(const segment& s, const root_slot& slot) {
    if (load_word(slot.state) != static_cast<std::uint32_t>(root_state::poisoned)) return;
    throw object_poisoned("open " + describe_object(s, slot) +
                          ": damaged beyond repair; remove it with `shmctl rm`");
}

root_reference reference_to(const segment_ptr& in, root_slot& slot) {
    root_reference whole{in, &slot, load_word(slot.generation), load_word(slot.node)};
    for (root_slot* part : find_parts(*in, slot))
        whole.parts.push_back({in, part, whole.generation, load_word(part->node)});
    return whole;
}

// Nobody locks the root of an object in parts but who removes it, and that one may have died. Its lock says so until
// somebody takes it, and `shmctl` would for ever.
root_reference repaired(root_reference whole) {
    if (whole.parts.empty() || !inspect(whole.slot->lock).owner_died) return whole;
    try {
        const root_transaction tx(*whole.in, *whole.slot, whole.generation);
    } catch (const object_gone&) {
        // Then the handle will say so.
    }
    return whole;
}

// The roots of an object that is being made.
struct begun_object {
    root_slot* whole = nullptr;
    std::vector<root_slot*> parts = {};
};

// Takes memory under the segment's lock that `guard` has, or under short ones of its own, where that is null.
template <typename Build>
void build_root(segment& s, segment_guard* guard, root_slot& slot, const std::string& type, Build build) {
    std::optional<root_transaction> tx;
    if (guard != nullptr) tx.emplace(*guard, slot);
    else tx.emplace(s, slot);
    store_word(slot.type_name_bytes, static_cast<std::uint32_t>(type.size()));
    store_word(slot.fingerprint, hash_bytes(type.data(), type.size(), 0));
    store_word(slot.type_name, allocate(*tx, type.size() + 1));
    copy_in(s.at<char>(slot.type_name), type.data(), type.size());
    store_word(slot.node, build(*tx));
}

// The lock of a root that is entrusted to this thread, which is inside an operation meanwhile. Unless it is recalled, it is
// left as a dead owner's, and the next holder of the segment's lock gives back what it has.
class builders_lock : private open_transaction {
public:
    explicit builders_lock(root_slot& whole) noexcept : whole_(whole) {
        outer = this_thread.open;
        this_thread.open = this;
    }
    builders_lock(const builders_lock&) = delete;
    builders_lock& operator=(const builders_lock&) = delete;
    ~builders_lock() {
        if (is_inert) return;  // the parent's of this forked process
        this_thread.open = outer;
        if (is_recalled_) unlock(whole_.lock);
        else unlock_unfinished(whole_.lock);
    }
    void recalled() noexcept { is_recalled_ = true; }

private:
    root_slot& whole_;
    bool is_recalled_ = false;
};

}  // namespace

manager::manager() : manager(segment_options{}) {}

manager::manager(const segment_options& options)
    : manager(create_anonymous(generated_segment_name(), options)) {}

manager::manager(std::string_view name, const segment_options& options) : manager(create(name, options)) {}

manager::manager(segment_ptr attached) noexcept : segment_(std::move(attached)) {
    add_manager(*segment_);
}

manager::manager(const manager& other) noexcept : segment_(other.segment_) {
    if (segment_) add_manager(*segment_);
}

manager::manager(manager&& other) noexcept : segment_(std::move(other.segment_)) {}

manager& manager::operator=(manager other) noexcept {
    std::swap(segment_, other.segment_);
    return *this;
}

manager::~manager() {
    if (segment_) drop_manager(*segment_);
}

manager manager::create(std::string_view name, const segment_options& options) {
    return manager(create_named(name, options, removal::with_creator));
}

manager manager::open(std::string_view name, const open_options& options) {
    return manager(open_named(name, options));
}

manager manager::open_or_create(std::string_view name, const segment_options& options) {
    return manager(open_or_create_named(name, options));
}

// Under the segment's lock, or looked at again, so that nobody removes the object between the checks and the reference.
root_reference manager::accept(const segment_ptr& in, root_slot& slot, const request& wanted) {
    const segment& s = *in;
    require_not_poisoned(s, slot);
    const std::string stored = type_in(s, slot);
    const auto stored_kind = static_cast<object_kind>(load_word(slot.kind));
    if (stored_kind != wanted.kind || stored != wanted.type) {
        throw type_mismatch("open " + describe_object(s, slot) + ": stored as " +
                            full_type(stored_kind, stored) + ", asked for " +
                            full_type(wanted.kind, wanted.type));
    }
    root_reference whole = reference_to(in, slot);
    if (whole.parts.empty()) wanted.validate(s, whole.node);
    for (const root_reference& part : whole.parts) {
        require_not_poisoned(s, *part.slot);
        if (type_in(s, *part.slot) != stored) throw_corrupt(s, "a part of an object has another type");
        wanted.validate(s, part.node);
    }
    return whole;
}

std::optional<root_reference> manager::find_root(std::string_view name, const request& wanted) const {
    segment& s = *segment_;
    require_object_name(s, name);
    require_no_open_operation("find an object", s);
    if (!s.is_writable()) {
        for (;;) {
            root_slot* slot = find_without_lock(s, name);
            if (slot == nullptr) return std::nullopt;
            // By now the slot may be that of another object.
            auto found = look_without_lock(*slot, [&]() -> std::optional<root_reference> {
                if (!is_listed(*slot) || name_in(*slot) != name) return std::nullopt;
                return accept(segment_, *slot, wanted);
            });
            if (found) return found;
        }
    }
    root_reference found;
    {
        const segment_guard guard(s);
        root_slot* slot = detail::find_root(guard, name);
        if (slot == nullptr) return std::nullopt;
        found = accept(segment_, *slot, wanted);
    }
    return repaired(std::move(found));
}

namespace {

// Followed by the segment's name, which is empty where it is anonymous, and the object's.
struct stored_address {
    std::uint64_t device;
    std::uint64_t inode;
    std::uint64_t generation;
    std::uint32_t segment_name_bytes;
    std::uint32_t object_name_bytes;
};
static_assert(sizeof(stored_address) == 32);

}  // namespace

std::vector<std::byte> manager::address_of(const object_handle& handle) {
    const segment& s = handle.in();
    const std::string segment_name = s.is_anonymous() ? std::string() : s.name();
    const std::string object_name = handle.name();
    const stored_address address{.device = s.internals().file.device,
                                 .inode = s.internals().file.inode,
                                 .generation = handle.generation(),
                                 .segment_name_bytes = static_cast<std::uint32_t>(segment_name.size()),
                                 .object_name_bytes = static_cast<std::uint32_t>(object_name.size())};
    std::vector<std::byte> bytes(sizeof address + segment_name.size() + object_name.size());
    std::memcpy(bytes.data(), &address, sizeof address);
    std::memcpy(bytes.data() + sizeof address, segment_name.data(), segment_name.size());
    std::memcpy(bytes.data() + sizeof address + segment_name.size(), object_name.data(), object_name.size());
    return bytes;
}

root_reference manager::find_at(std::span<const std::byte> bytes, const request& wanted) {
    stored_address address{};
    if (bytes.size() < sizeof address) throw_undecodable("handle", bytes.size());
    std::memcpy(&address, bytes.data(), sizeof address);
    const std::span<const std::byte> names = bytes.subspan(sizeof address);
    if (names.size() != std::uint64_t{address.segment_name_bytes} + address.object_name_bytes)
        throw_undecodable("handle", bytes.size());
    const auto* const text = reinterpret_cast<const char*>(names.data());
    const std::string segment_name(text, address.segment_name_bytes);
    const std::string object_name(text + address.segment_name_bytes, address.object_name_bytes);
    const std::string what =
        "take over the " + std::string(kind_name(wanted.kind)) + " '" + object_name + "'";

    os::file_facts file;
    file.device = static_cast<dev_t>(address.device);
    file.inode = static_cast<ino_t>(address.inode);
    segment_ptr in = registry::find(file, open_mode::read_write);
    if (!in) in = registry::find(file, open_mode::read_only);
    if (!in) {
        if (segment_name.empty()) {
            throw refused(what +
                          ": its segment is anonymous, and was made after this process was forked; make it "
                          "before the pool, or give it a name");
        }
        in = open_named(segment_name, {});
        if (!in->internals().file.same_file(file))
            throw object_gone(what + ": the segment '" + segment_name + "' is another one by now");
    }
    std::optional<root_reference> found = manager(in).find_root(object_name, wanted);
    if (!found || found->generation != address.generation)
        throw object_gone(what + ": it was removed from " + describe_segment(*in));
    return *std::move(found);
}

root_reference manager::find_or_build(std::string_view name, const request& wanted,
                                      const object_plan& plan) const {
    segment& s = *segment_;
    require_object_name(s, name);
    require_no_open_operation("find or create an object", s);
    if (!s.is_writable()) {
        if (std::optional<root_reference> found = find_root(name, wanted)) return *std::move(found);
        require_writable(s, name);
    }
    const auto begin = [&](segment_guard& guard) {
        begun_object object{&begin_root(guard, name, wanted.kind)};
        for (std::uint32_t i = 0; i < plan.part_count; ++i)
            object.parts.push_back(&begin_part(guard, *object.whole, plan.part_kind));
        return object;
    };
    const auto build = [&](const begun_object& object, segment_guard* guard) {
        build_root(s, guard, *object.whole, wanted.type, plan.build);
        for (std::uint32_t i = 0; i < plan.part_count; ++i) {
            root_slot& part = *object.parts[i];
            build_root(s, guard, part, wanted.type,
                       [&](root_transaction& tx) { return plan.build_part(tx, i); });
            store_word(part_links(*s.at<parts_node>(object.whole->node))[i], s.slot_number(part) + 1);
        }
    };
    const auto publish = [&](const begun_object& object, segment_guard& guard) {
        // What is made before: nothing fails any more once the object is there.
        root_reference made{segment_, object.whole, 0, object.whole->node};
        for (root_slot* part : object.parts) made.parts.push_back({segment_, part, 0, part->node});
        publish_root(guard, *object.whole);
        made.generation = load_word(object.whole->generation);
        for (root_reference& part : made.parts) part.generation = made.generation;
        return made;
    };
    // What was begun goes with the guard's hold of the lock.
    const auto or_nothing = [&](segment_guard& guard, const auto& make) {
        try {
            return make();
        } catch (...) {
            guard.roll_back();
            finish_pending_roots(guard);
            throw;
        }
    };
    begun_object object;
    {
        segment_guard guard(s);
        if (root_slot* present = detail::find_root(guard, name)) return accept(segment_, *present, wanted);
        std::optional<root_reference> made = or_nothing(guard, [&]() -> std::optional<root_reference> {
            object = begin(guard);
            if (plan.contents_bytes > long_contents_bytes && entrust_root(guard, *object.whole))
                return std::nullopt;
            build(object, &guard);
            return publish(object, guard);
        });
        if (made) return *std::move(made);
    }
    builders_lock held(*object.whole);
    build(object, nullptr);
    segment_guard guard(s);
    recall_root(guard, *object.whole);
    held.recalled();
    return or_nothing(guard, [&] {
        if (root_slot* present = detail::find_root(guard, name)) {
            root_reference found = accept(segment_, *present, wanted);  // somebody was faster
            finish_pending_roots(guard);
            return found;
        }
        return publish(object, guard);
    });
}

root_reference manager::create_root(std::string_view name, const request& wanted,
                                    const object_plan& plan) const {
    const std::uint32_t pages_before = segment_->committed_pages();
    try {
        return repaired(find_or_build(name, wanted, plan));
    } catch (const segment_full&) {
        give_back_growth(*segment_, pages_before);
        throw;
    }
}

root_reference manager::create_in_parts(std::string_view name, const request& wanted,
                                        object_plan plan) const {
    plan.build = [count = plan.part_count](root_transaction& tx) {
        const segment_offset at = allocate(tx, parts_node_bytes(count));
        store_word(tx.in().at<parts_node>(at)->count, count);
        store_word(tx.in().at<parts_node>(at)->reserved_, 0);
        return at;
    };
    return create_root(name, wanted, plan);
}

template <typename Handle>
Handle manager::create_plain(std::string_view name) const {
    return Handle(create_root(name, request_for<Handle>(), {&Handle::create}));
}

mutex manager::lock(std::string_view name) const {
    return create_plain<cairn::mutex>(name);
}

mutex manager::lock() const {
    return lock(generate_name("lock"));
}

recursive_mutex manager::rlock(std::string_view name) const {
    return create_plain<cairn::recursive_mutex>(name);
}

recursive_mutex manager::rlock() const {
    return rlock(generate_name("rlock"));
}

ns manager::ns(std::string_view name) const {
    return create_plain<cairn::ns>(name);
}

ns manager::ns() const {
    return ns(generate_name("ns"));
}

shared_mutex manager::shared_mutex(std::string_view name) const {
    return create_plain<cairn::shared_mutex>(name);
}

shared_mutex manager::shared_mutex() const {
    return shared_mutex(generate_name("shared_mutex"));
}

once manager::once(std::string_view name) const {
    return create_plain<cairn::once>(name);
}

once manager::once() const {
    return once(generate_name("once"));
}

event manager::event(std::string_view name) const {
    return create_plain<cairn::event>(name);
}

event manager::event() const {
    return event(generate_name("event"));
}

condition manager::condition(std::string_view name) const {
    return create_plain<cairn::condition>(name);
}

condition manager::condition() const {
    return condition(generate_name("condition"));
}

barrier manager::barrier(std::string_view name, std::int64_t parties) const {
    if (parties <= 0 || parties > std::numeric_limits<std::uint32_t>::max()) {
        throw invalid_argument("create " + describe_wanted(name, object_kind::barrier) + ": parties is " +
                               std::to_string(parties) + ", expected 1 or more");
    }
    const auto build = [=](root_transaction& tx) {
        return cairn::barrier::create(tx, static_cast<std::uint32_t>(parties));
    };
    cairn::barrier made(create_root(name, request_for<cairn::barrier>(), {build}));
    made.require_parties(parties);
    return made;
}

barrier manager::barrier(std::int64_t parties) const {
    return barrier(generate_name("barrier"), parties);
}

latch manager::latch(std::string_view name, std::int64_t count) const {
    if (count < 0) {
        throw invalid_argument("create " + describe_wanted(name, object_kind::latch) + ": count is " +
                               std::to_string(count) + ", expected 0 or more");
    }
    const auto build = [=](root_transaction& tx) {
        return cairn::latch::create(tx, static_cast<std::uint64_t>(count));
    };
    return cairn::latch(create_root(name, request_for<cairn::latch>(), {build}));
}

latch manager::latch(std::int64_t count) const {
    return latch(generate_name("latch"), count);
}

template <typename Handle>
Handle manager::create_semaphore(std::string_view name, std::int64_t value, bool is_bounded) const {
    if (value < 0) {
        throw invalid_argument("create " + describe_wanted(name, Handle::kind) + ": value is " +
                               std::to_string(value) + ", expected 0 or more");
    }
    const auto build = [=](root_transaction& tx) {
        return Handle::create(tx, static_cast<std::uint64_t>(value), is_bounded);
    };
    return Handle(create_root(name, request_for<Handle>(), {build}));
}

semaphore manager::semaphore(std::string_view name, std::int64_t value) const {
    return create_semaphore<cairn::semaphore>(name, value, false);
}

semaphore manager::semaphore(std::int64_t value) const {
    return semaphore(generate_name("semaphore"), value);
}

bounded_semaphore manager::bounded_semaphore(std::string_view name, std::int64_t value) const {
    return create_semaphore<cairn::bounded_semaphore>(name, value, true);
}

bounded_semaphore manager::bounded_semaphore(std::int64_t value) const {
    return bounded_semaphore(generate_name("bounded_semaphore"), value);
}

std::string manager::describe_wanted(std::string_view name, object_kind kind) const {
    require_object_name(*segment_, name);
    return std::string(kind_name(kind)) + " '" + std::string(name) + "' in " + describe_segment(*segment_);
}

void manager::require_maxsize(std::string_view name, object_kind kind, std::int64_t maxsize) const {
    if (maxsize >= 0) return;
    throw invalid_argument("create " + describe_wanted(name, kind) + ": maxsize is " +
                           std::to_string(maxsize) + ", expected 0 (unbounded) or more");
}

void manager::require_shards(std::string_view name, std::uint32_t shards) const {
    if (std::has_single_bit(shards) && shards <= most_parts) return;
    throw invalid_argument("create " + describe_wanted(name, object_kind::sharded_dict) + ": shards is " +
                           std::to_string(shards) + ", expected a power of two from 1 to " +
                           std::to_string(most_parts));
}

void manager::require_count(std::string_view name, std::int64_t count) const {
    if (count >= 0) return;
    throw invalid_argument("create " + describe_wanted(name, object_kind::array) +
                           ": the number of elements is " + std::to_string(count) + ", expected 0 or more");
}

bool manager::contains(std::string_view name) const {
    segment& s = *segment_;
    require_object_name(s, name);
    require_no_open_operation("look for an object", s);
    if (!s.is_writable()) return find_without_lock(s, name) != nullptr;
    segment_guard guard(s);
    return detail::find_root(guard, name) != nullptr;
}

bool manager::remove(std::string_view name) const {
    segment& s = *segment_;
    require_object_name(s, name);
    require_no_open_operation("remove an object", s);
    require_writable(s, name);
    return remove_root(s, name);
}

namespace {

// fn(slot, generation) of each root that was live when it was looked at, parts of others among them. Without the segment's lock, since fn
// takes roots' locks: a root that goes meanwhile is object_gone to fn, which need not catch it.
template <typename Fn>
void for_each_root(segment& s, const Fn& fn) {
    std::uint32_t steps = most_slots(s);
    for (std::uint32_t link = load_word(s.control().first_slot); link != 0 && steps != 0; --steps) {
        root_slot& slot = slot_at(s, link);
        link = load_word(slot.next_slot);
        // acquire: what is read of the root comes after
        const std::uint64_t generation = __atomic_load_n(&slot.generation, __ATOMIC_ACQUIRE);
        if (load_word(slot.state) != static_cast<std::uint32_t>(root_state::live)) continue;
        try {
            fn(slot, generation);
        } catch (const object_gone&) {
        } catch (const object_poisoned&) {}
    }
}

}  // namespace

bool manager::happened(once_id id) const {
    segment& s = *segment_;
    require_no_open_operation("look for an operation", s);
    bool has_happened = false;
    for_each_root(s, [&](root_slot& slot, std::uint64_t generation) {
        if (has_happened || load_word(slot.once) == 0) return;
        has_happened = last_sequence(s, slot, generation, id.client) >= id.sequence;
    });
    return has_happened && id.sequence != 0;
}

void manager::forget(std::uint64_t client) const {
    segment& s = *segment_;
    require_no_open_operation("forget a client", s);
    require_writable(s, name());
    for_each_root(s, [&](root_slot& slot, std::uint64_t generation) {
        if (load_word(slot.once) == 0) return;
        root_transaction tx(s, slot, generation);
        forget_client(tx, client);
    });
}

std::vector<object_info> manager::objects() const {
    segment& s = *segment_;
    require_no_open_operation("list the objects", s);
    std::vector<object_info> all;
    std::optional<segment_guard> guard;
    if (s.is_writable()) guard.emplace(s);
    std::uint32_t steps = most_slots(s);
    for (std::uint32_t link = load_word(s.control().first_slot); link != 0 && steps != 0; --steps) {
        const root_slot& slot = slot_at(s, link);
        link = load_word(slot.next_slot);
        const auto look = [&]() -> std::optional<object_info> {
            if (!is_listed(slot)) return std::nullopt;
            return describe(s, slot);
        };
        if (auto seen = guard ? look() : look_without_lock(slot, look)) all.push_back(*std::move(seen));
    }
    std::sort(all.begin(), all.end(),
              [](const object_info& a, const object_info& b) { return a.name < b.name; });
    return all;
}

segment_stats manager::stats() const {
    segment& s = *segment_;
    const segment_control& control = s.control();
    segment_stats stats;
    const std::uint64_t map_bytes = s.committed_pages() * sizeof(page_entry);
    stats.size_bytes = s.header().map_offset + map_bytes + s.committed_pages() * page_bytes;
    stats.used_bytes = stats.size_bytes - load_word(control.free_pages) * page_bytes;
    stats.real_bytes = allocated_bytes(s).value_or(stats.size_bytes);
    stats.max_bytes = s.header().max_bytes;
    stats.object_count = load_word(control.live_root_count);
    stats.process_count = count_live_participants(s);
    stats.recovery_count = load_word(control.recovery_count);
    return stats;
}

std::uint64_t manager::trim() const {
    require_no_open_operation("trim", *segment_);
    require_writable(*segment_, name());
    return trim_segment(*segment_);
}

const std::string& manager::name() const noexcept {
    return segment_->name();
}

bool manager::is_anonymous() const noexcept {
    return segment_->is_anonymous();
}

void manager::unlink() const {
    require_no_open_operation("unlink", *segment_);
    require_writable(*segment_, name());
    unlink_segment(*segment_);
}

std::string manager::generate_name(const char* kind) const {
    require_writable(*segment_, kind);
    for (;;) {
        // relaxed: only has to differ
        const std::uint64_t number =
            __atomic_add_fetch(&segment_->control().last_generated_name, 1, __ATOMIC_RELAXED);
        std::string name = std::string(kind) + "#" + std::to_string(number);
        if (!contains(name)) return name;  // somebody may have thought of the same name
    }
}

}  // namespace cairn::inline CAIRN_ABI

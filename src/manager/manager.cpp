// SPDX-License-Identifier: BSL-1.0
#include "cairn/manager.hpp"

#include <algorithm>
#include <atomic>
#include <bit>

#include <unistd.h>

#include "base/hash.hpp"
#include "segment/directory.hpp"
#include "segment/extents.hpp"
#include "segment/internals.hpp"
#include "segment/lifecycle.hpp"
#include "segment/participants.hpp"
#include "txn/removal.hpp"
#include <cairn/detail/arena/arena.hpp>
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

// Walks the chain of all slots.
root_slot* find_without_lock(segment& s, std::string_view name) {
    std::uint32_t steps = most_slots(s);
    for (std::uint32_t link = load_word(s.control().first_slot); link != 0 && steps != 0; --steps) {
        root_slot& slot = slot_at(s, link);
        if (look_without_lock(slot, [&] { return is_listed(slot) && name_in(slot) == name; })) return &slot;
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

// Type and node of a root that is being built.
template <typename Build>
void build_root(segment_guard& guard, root_slot& slot, const std::string& type, Build build) {
    root_transaction tx(guard, slot);
    store_word(slot.type_name_bytes, static_cast<std::uint32_t>(type.size()));
    store_word(slot.fingerprint, hash_bytes(type.data(), type.size(), 0));
    store_word(slot.type_name, allocate(tx, type.size() + 1));
    copy_in(guard.in().at<char>(slot.type_name), type.data(), type.size());
    store_word(slot.node, build(tx));
}

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

template <typename Build>
root_reference manager::find_or_build(std::string_view name, const request& wanted, Build build) const {
    segment& s = *segment_;
    require_object_name(s, name);
    require_no_open_operation("find or create an object", s);
    if (!s.is_writable()) {
        if (std::optional<root_reference> found = find_root(name, wanted)) return *std::move(found);
        require_writable(s, name);
    }
    root_reference found;
    {
        segment_guard guard(s);
        if (root_slot* present = detail::find_root(guard, name)) {
            found = accept(segment_, *present, wanted);
        } else {
            root_slot& slot = begin_root(guard, name, wanted.kind);
            try {
                found = build(guard, slot);
            } catch (...) {
                guard.roll_back();
                finish_pending_roots(guard);
                throw;
            }
            publish_root(guard, slot);
            // What was made before: nothing fails any more once the object is there.
            found.generation = load_word(slot.generation);
            for (root_reference& part : found.parts) part.generation = found.generation;
        }
    }
    return repaired(std::move(found));
}

root_reference manager::create_root(std::string_view name, const request& wanted,
                                    const builder& build) const {
    return find_or_build(name, wanted, [&](segment_guard& guard, root_slot& slot) {
        build_root(guard, slot, wanted.type, build);
        return root_reference{segment_, &slot, 0, slot.node};
    });
}

root_reference manager::create_in_parts(std::string_view name, const request& wanted,
                                        const part_plan& parts) const {
    return find_or_build(name, wanted, [&](segment_guard& guard, root_slot& slot) {
        build_root(guard, slot, wanted.type, [&](root_transaction& tx) {
            const segment_offset at = allocate(tx, parts_node_bytes(parts.count));
            store_word(tx.in().at<parts_node>(at)->count, parts.count);
            store_word(tx.in().at<parts_node>(at)->reserved_, 0);
            return at;
        });
        root_reference whole{segment_, &slot, 0, slot.node};
        for (std::uint32_t i = 0; i < parts.count; ++i) {
            root_slot& part = begin_part(guard, slot, parts.kind);
            build_root(guard, part, wanted.type, [&](root_transaction& tx) { return parts.build(tx, i); });
            auto& node = *guard.in().at<parts_node>(slot.node);
            store_word(part_links(node)[i], guard.in().slot_number(part) + 1);
            whole.parts.push_back({segment_, &part, 0, part.node});
        }
        return whole;
    });
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
    const segment& s = *segment_;
    const segment_control& control = s.control();
    segment_stats stats;
    const std::uint64_t map_bytes = s.committed_pages() * sizeof(page_entry);
    stats.size_bytes = s.header().map_offset + map_bytes + s.committed_pages() * page_bytes;
    stats.used_bytes = stats.size_bytes - load_word(control.free_pages) * page_bytes;
    stats.max_bytes = s.header().max_bytes;
    stats.object_count = load_word(control.live_root_count);
    stats.process_count = count_live_participants(s);
    stats.recovery_count = load_word(control.recovery_count);
    return stats;
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

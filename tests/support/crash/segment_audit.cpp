// SPDX-License-Identifier: BSL-1.0
#include "support/crash/segment_audit.hpp"

#include <algorithm>
#include <map>
#include <set>
#include <string_view>
#include <vector>

#include "pool/pool_core.hpp"
#include "segment/directory.hpp"
#include "segment/name_table.hpp"
#include "service/service_set.hpp"
#include <cairn/detail/arena/arena.hpp>
#include <cairn/detail/containers/channel_core.hpp>
#include <cairn/detail/containers/dict_core.hpp>
#include <cairn/detail/containers/list_core.hpp>
#include <cairn/detail/containers/once_table.hpp>
#include <cairn/detail/containers/queue_core.hpp>
#include <cairn/detail/containers/value_cell.hpp>
#include <cairn/detail/sync/sync_layout.hpp>

namespace cairn_test {

using namespace cairn::detail;

namespace {

struct problem {
    std::string what;
};

void require(bool holds, const std::string& otherwise) {
    if (!holds) throw problem{otherwise};
}

std::string number(std::uint64_t n) {
    return std::to_string(n);
}

class auditor {
public:
    explicit auditor(const segment& s) : s_(s), control_(s.control()), pages_(s.committed_pages()) {}

    void run() {
        require(control_.log_bytes == 0, "the segment's log is not empty");
        require(control_.pending_slot == 0, "a root is being built or erased");
        require(control_.building_slot == 0, "a root is being built without the segment's lock");
        require(is_unlocked(control_.lock), "the segment's lock is not free");
        walk_pages();
        walk_free_lists();
        walk_slots();
        walk_free_slots();
        walk_buckets();
        walk_parts();
        for (const std::uint32_t slot : live_) check_root(slot);
        require(used_.empty(), "the extent at page " + (used_.empty() ? "" : number(used_.begin()->first)) +
                                   " is in nobody's chain");
    }

private:
    static bool is_unlocked(const stored_mutex& lock) {
        const lock_word word = inspect(lock);
        return word.thread_id == 0 && !word.owner_died;
    }

    void walk_pages() {
        for (std::uint32_t page = 0; page < pages_;) {
            const page_entry& entry = s_.page(page);
            const std::uint32_t order = tag_order(entry.tag);
            const extent_state state = tag_state(entry.tag);
            const std::string where = "page " + number(page);
            require(state == extent_state::free || state == extent_state::used, where + " is in no extent");
            require(order <= max_order && page % (1U << order) == 0 && (1U << order) <= pages_ - page,
                    where + ": the extent there has an impossible size");
            for (std::uint32_t inner = page + 1; inner < page + (1U << order); ++inner)
                require(s_.page(inner).tag == 0,
                        "page " + number(inner) + " says something, inside the extent at " + where);
            if (state == extent_state::free) free_[page] = order;
            else used_[page] = order;
            page += 1U << order;
        }
    }

    void walk_free_lists() {
        std::uint64_t sum = 0;
        for (std::uint32_t order = 0; order < 32; ++order) {
            std::uint32_t previous = 0;
            for (std::uint32_t link = control_.free_heads[order]; link != 0; link = s_.page(link - 1).next) {
                const auto found = free_.find(link - 1);
                require(found != free_.end() && found->second == order,
                        "the free list of order " + number(order) + " leads to page " + number(link - 1) +
                            ", where no such extent is, or twice to one");
                require(s_.page(link - 1).previous == previous,
                        "a free list's way back is wrong at page " + number(link - 1));
                previous = link;
                sum += std::uint64_t{1} << order;
                free_.erase(found);
            }
        }
        require(free_.empty(), "a free extent is in no free list");
        require(sum == control_.free_pages,
                "free_pages is " + number(control_.free_pages) + ", the free lists have " + number(sum));
    }

    void walk_slots() {
        for (std::uint32_t link = control_.first_slot; link != 0; link = s_.slot(link - 1).next_slot) {
            require(std::uint64_t{link} * root_slot_bytes <= std::uint64_t{pages_} * page_bytes,
                    "the chain of slots leads outside");
            require(slots_.insert(link - 1).second, "the chain of slots goes round");
        }
        require(slots_.size() == control_.slot_count, "slot_count is not the number of slots");
        // The extents of slots are the segment's own, and every slot in them is in the chain.
        constexpr auto slots_in_page = static_cast<std::uint32_t>(page_bytes / root_slot_bytes);
        std::size_t count = 0;
        for (auto extent = used_.begin(); extent != used_.end();) {
            const page_entry& entry = s_.page(extent->first);
            if (entry.owner != 0) {
                require(tag_purpose(entry.tag) != extent_purpose::roots, "an extent of slots has an owner");
                ++extent;
                continue;
            }
            if (tag_purpose(entry.tag) == extent_purpose::names) {
                const auto* const end = control_.name_levels + name_level_count;
                require(std::find(control_.name_levels, end, extent->first + 1) != end,
                        "the extent at page " + number(extent->first) + " is no level of the table of names");
                extent = used_.erase(extent);
                continue;
            }
            require(tag_purpose(entry.tag) == extent_purpose::roots,
                    "the extent at page " + number(extent->first) + " has no owner");
            for (std::uint32_t i = 0; i < (slots_in_page << extent->second); ++i, ++count)
                require(slots_.contains(extent->first * slots_in_page + i),
                        "a slot is not in the chain of slots");
            extent = used_.erase(extent);
        }
        require(count == slots_.size(), "a slot lies in no extent of slots");
        for (const std::uint32_t number_of : slots_) {
            const root_slot& slot = s_.slot(number_of);
            const auto state = static_cast<root_state>(slot.state);
            require(state == root_state::free || state == root_state::live,
                    "slot " + number(number_of) + " is in state " + number(slot.state));
            if (state == root_state::live) live_.insert(number_of);
            else free_slots_.insert(number_of);
        }
        for (const std::uint32_t number_of : live_)
            if (s_.slot(number_of).part_of == 0) named_.insert(number_of);
        require(named_.size() == control_.live_root_count,
                "live_root_count is not the number of live roots with a name");
    }

    void walk_free_slots() {
        for (std::uint32_t link = control_.first_free_slot; link != 0;
             link = s_.slot(link - 1).next_free_slot) {
            require(free_slots_.erase(link - 1) == 1, "the chain of free slots leads to slot " +
                                                          number(link - 1) +
                                                          ", which is not free, or twice to one");
            const root_slot& slot = s_.slot(link - 1);
            require(slot.extents == 0 && slot.extent_pages == 0, "a free slot has extents");
        }
        require(free_slots_.empty(), "a free slot is not in the chain of free slots");
    }

    void walk_buckets() {
        std::set<std::uint32_t> found;
        const std::uint32_t buckets = bucket_count(s_);
        for (std::uint32_t bucket = 0; bucket < buckets; ++bucket) {
            for (std::uint32_t link = bucket_at(s_, bucket); link != 0;
                 link = s_.slot(link - 1).next_in_bucket) {
                require(named_.contains(link - 1),
                        "the directory leads to a slot that is not live, or is a part");
                require(found.insert(link - 1).second, "the directory leads twice to one root");
                const root_slot& slot = s_.slot(link - 1);
                require(slot.name_hash == hash_name(s_, std::string_view(slot.name, slot.name_bytes)) &&
                            bucket_number(slot.name_hash, buckets) == bucket,
                        "a root is in the wrong chain of the directory");
                require(slot.generation != 0 && slot.generation <= control_.last_generation,
                        "a root has a generation that was never given");
            }
        }
        require(found.size() == named_.size(), "a live root is not in the directory");
    }

    // Each part belongs to one object, which is there and made with it.
    void walk_parts() {
        std::set<std::uint32_t> found;
        for (const std::uint32_t number_of : named_) {
            const root_slot& whole = s_.slot(number_of);
            if (static_cast<object_kind>(whole.kind) != object_kind::sharded_dict) continue;
            const auto* node = s_.find<parts_node>(whole.node);
            require(node != nullptr && node->count != 0 && node->count <= most_parts,
                    "the node of an object in parts makes no sense");
            for (std::uint32_t i = 0; i < node->count; ++i) {
                const std::uint32_t link = part_links(*node)[i];
                require(link != 0 && live_.contains(link - 1), "a part is not live");
                require(found.insert(link - 1).second, "a part is there twice");
                require(s_.slot(link - 1).part_of == number_of + 1, "a part is of another object");
                require(s_.slot(link - 1).generation == whole.generation, "a part has another generation");
            }
        }
        require(found.size() == live_.size() - named_.size(), "a part belongs to no object");
    }

    void check_root(std::uint32_t slot_number) {
        const root_slot& slot = s_.slot(slot_number);
        const std::string name = "root '" + std::string(slot.name, slot.name_bytes) + "': ";
        require(is_unlocked(slot.lock),
                name + "its lock is not free (word " + std::to_string(slot.lock.word) + ")");
        require(slot.log_head == 0, name + "its log is not empty");
        require(slot.version % 2 == 0, name + "its version is odd");
        require(slot.operation.kind == 0, name + "an operation is unfinished");
        require(slot.outstanding == 0 && slot.decided_root == 0, name + "a transaction over two is open");
        require(slot.rolling_back == 0 && slot.pending_free == 0 && slot.settled == slot.extents,
                name + "extents are in doubt");
        std::uint64_t sum = 0;
        std::uint32_t previous = 0;
        for (std::uint32_t link = slot.extents; link != 0; link = s_.page(link - 1).next) {
            const auto extent = used_.find(link - 1);
            require(extent != used_.end(), name + "its chain leads to page " + number(link - 1) +
                                               ", where no used extent is, or twice to one");
            const page_entry& entry = s_.page(link - 1);
            require(entry.owner == slot_number + 1, name + "its chain leads to somebody else's extent");
            require(entry.previous == previous, name + "its chain's way back is wrong");
            require(tag_purpose(entry.tag) != extent_purpose::log, name + "it has kept a spilled log");
            previous = link;
            sum += std::uint64_t{1} << extent->second;
            used_.erase(extent);
        }
        require(sum == slot.extent_pages, name + "extent_pages is not the sum of its chain");

        arena_audit audit(s_, slot);
        audit.reached(slot.type_name, slot.type_name_bytes + 1);
        const std::string of_container = check_container(slot, audit);
        require(of_container.empty(), name + of_container);
        const std::string of_arena = audit.finish();
        require(of_arena.empty(), name + of_arena);
    }

    std::string check_container(const root_slot& slot, arena_audit& audit) const {
        if (std::string problem = check_once_table(s_, slot, audit); !problem.empty()) return problem;
        switch (static_cast<object_kind>(slot.kind)) {
            case object_kind::list:
                if (auto* node = s_.find<list_node>(slot.node)) return check_list(s_, *node, audit);
                return "its node lies outside";
            case object_kind::value:
                if (auto* node = s_.find<value_node>(slot.node)) return check_value(s_, *node, audit);
                return "its node lies outside";
            case object_kind::array:
                if (auto* node = s_.find<array_node>(slot.node)) return check_array(s_, *node, audit);
                return "its node lies outside";
            case object_kind::shared_mutex:
                if (auto* node = s_.find<shared_mutex_node>(slot.node))
                    return check_shared_mutex(s_, *node, audit);
                return "its node lies outside";
            case object_kind::once:
                if (auto* node = s_.find<once_node>(slot.node)) return check_once(s_, *node, audit);
                return "its node lies outside";
            case object_kind::dict:
            case object_kind::name_space:
            case object_kind::set:
                if (auto* node = s_.find<dict_node>(slot.node)) return check_dict(s_, *node, audit);
                return "its node lies outside";
            case object_kind::sharded_dict:
                audit.reached(slot.node, parts_node_bytes(s_.at<parts_node>(slot.node)->count));
                return {};
            case object_kind::channel:
                if (auto* node = s_.find<channel_node>(slot.node)) return check_channel(s_, *node, audit);
                return "its node lies outside";
            case object_kind::pool:
                if (auto* node = s_.find<pool_node>(slot.node)) return check_pool(s_, *node, audit);
                return "its node lies outside";
            case object_kind::service_set:
                if (auto* node = s_.find<service_set_node>(slot.node))
                    return check_service_set(s_, *node, audit);
                return "its node lies outside";
            case object_kind::mutex:
            case object_kind::recursive_mutex:
                if (auto* node = s_.find<mutex_node>(slot.node))
                    return check_mutex(s_, *node, static_cast<object_kind>(slot.kind), audit);
                return "its node lies outside";
            case object_kind::event:
                if (auto* node = s_.find<event_node>(slot.node)) return check_event(s_, *node, audit);
                return "its node lies outside";
            case object_kind::latch:
                if (auto* node = s_.find<latch_node>(slot.node)) return check_latch(s_, *node, audit);
                return "its node lies outside";
            case object_kind::barrier:
                if (auto* node = s_.find<barrier_node>(slot.node)) return check_barrier(s_, *node, audit);
                return "its node lies outside";
            case object_kind::condition:
                if (auto* node = s_.find<condition_node>(slot.node)) return check_condition(s_, *node, audit);
                return "its node lies outside";
            case object_kind::semaphore:
            case object_kind::bounded_semaphore:
                if (auto* node = s_.find<semaphore_node>(slot.node))
                    return check_semaphore(s_, *node, static_cast<object_kind>(slot.kind), audit);
                return "its node lies outside";
            case object_kind::queue:
            case object_kind::lifo_queue:
            case object_kind::priority_queue:
                if (auto* node = s_.find<queue_node>(slot.node)) return check_queue(s_, *node, audit);
                return "its node lies outside";
            default: return "it is of no kind that has a check here";
        }
    }

    const segment& s_;
    const segment_control& control_;
    std::uint32_t pages_;
    std::map<std::uint32_t, std::uint32_t> free_;  // first page, order; what no list has led to yet
    std::map<std::uint32_t, std::uint32_t> used_;  // first page, order; what no chain has led to yet
    std::set<std::uint32_t> slots_;
    std::set<std::uint32_t> live_;
    std::set<std::uint32_t> named_;  // of these, all but parts
    std::set<std::uint32_t> free_slots_;
};

}  // namespace

std::string audit_segment(const segment& s) {
    try {
        auditor(s).run();
    } catch (const problem& found) {
        return found.what;
    }
    return {};
}

page_use count_pages(const segment& s) {
    page_use use;
    use.committed = s.committed_pages();
    use.free = static_cast<std::uint32_t>(s.control().free_pages);
    use.slots = static_cast<std::uint32_t>(s.control().slot_count * root_slot_bytes / page_bytes);
    for (const std::uint32_t link : s.control().name_levels)
        if (link != 0) use.names += 1U << tag_order(s.page(link - 1).tag);
    return use;
}

}  // namespace cairn_test

// check_root.cpp - one object: its control block, its arena, its container.
//
// The arena's audit and the list's own check follow links without end in sight; what comes first here makes sure that
// they will find one.
//
// SPDX-License-Identifier: BSL-1.0
#include <algorithm>
#include <iterator>
#include <map>
#include <set>

#include "arena/size_classes.hpp"
#include "arena/spans.hpp"
#include "base/hash.hpp"
#include "containers/dict_tables.hpp"
#include "inspect/channels.hpp"
#include "inspect/decode.hpp"
#include "inspect/keyed.hpp"
#include "inspect/parts.hpp"
#include "inspect/queued.hpp"
#include "inspect/roots.hpp"
#include "inspect/structure.hpp"
#include "inspect/synchronisation.hpp"
#include "pool/pool_core.hpp"
#include "service/service_set.hpp"
#include <cairn/detail/arena/arena.hpp>
#include <cairn/detail/containers/dict_core.hpp>
#include <cairn/detail/containers/list_core.hpp>
#include <cairn/detail/containers/once_table.hpp>
#include <cairn/detail/containers/value_cell.hpp>
#include <cairn/error.hpp>

namespace cairn::inline CAIRN_ABI::detail::inspecting {

namespace {

// Spans are as the arena makes them, and each that has room is in the list of its class, once.
std::string check_spans(const segment& s, const root_slot& slot) {
    std::map<std::uint32_t, bool> is_listed;  // by link: spans of this root
    for (std::uint32_t link = slot.extents; link != 0; link = s.page(link - 1).next) {
        const page_entry& entry = s.page(link - 1);
        if (tag_purpose(entry.tag) != extent_purpose::span) continue;
        const std::uint32_t pages = 1U << tag_order(entry.tag);
        if (pages != least_span_pages && pages != small_span_pages && pages != large_span_pages)
            return "arena: a span of another size than spans have";
        const auto& span = *s.at<span_header>(s.page_offset(link - 1));
        if (span.size_class >= (pages == least_span_pages ? loose_class_count : small_class_count) ||
            span.block_count != blocks_in_span(span.size_class, pages))
            return "arena: the header of a span makes no sense";
        is_listed[link] = false;
    }
    for (std::uint32_t c = 0; c < small_class_count; ++c) {
        std::uint32_t previous = 0;
        for (std::uint32_t link = slot.arena.partial_spans[c]; link != 0;) {
            const auto found = is_listed.find(link);
            if (found == is_listed.end() || found->second)
                return "arena: a list of spans leads to none, or has no end";
            found->second = true;
            const auto& span = *s.at<span_header>(s.page_offset(link - 1));
            if (span.size_class != c || (previous != 0 && span.previous_partial != previous))
                return "arena: a list of spans leads to one of another class, or does not lead back";
            previous = link;
            link = span.next_partial;
        }
    }
    for (const auto& [link, listed] : is_listed) {
        const auto& span = *s.at<span_header>(s.page_offset(link - 1));
        const bool has_room = (span.state >> 16 & 0xffff) < span.block_count;
        if (has_room != listed) return "arena: a span with room is in no list, or a full one is in one";
        const bool is_empty = (span.state >> 16 & 0xffff) == 0;
        if (is_empty != (link == slot.arena.empty_span))
            return "arena: an empty span is not the one that is kept";
    }
    if (slot.arena.empty_span != 0 && !is_listed.contains(slot.arena.empty_span))
        return "arena: the empty span that is kept is none of its own";
    return {};
}

// Free blocks of the young pages lie in these, and are not more than fit there.
std::string check_loose_blocks(const segment& s, const root_slot& slot) {
    std::uint64_t loose_bytes = 0;
    std::uint64_t loose_pages = 0;
    std::map<segment_offset, std::uint64_t> pages;
    for (std::uint32_t link = slot.extents; link != 0; link = s.page(link - 1).next) {
        const std::uint32_t tag = s.page(link - 1).tag;
        if (tag_purpose(tag) != extent_purpose::loose) continue;
        loose_bytes += page_bytes << tag_order(tag);
        loose_pages += std::uint64_t{1} << tag_order(tag);
        pages[s.page_offset(link - 1)] = page_bytes << tag_order(tag);
    }
    const auto is_inside = [&](segment_offset at, std::uint64_t bytes) {
        auto page = pages.upper_bound(at);
        if (page == pages.begin()) return false;
        --page;
        return at - page->first <= page->second && bytes <= page->second - (at - page->first);
    };
    for (std::uint32_t c = 0; c < loose_class_count; ++c) {
        std::uint64_t left = loose_bytes / class_bytes(c);
        for (segment_offset at = slot.arena.loose_free[c]; at != 0;) {
            if (left-- == 0 || at % 16 != 0 || !is_inside(at, class_bytes(c)))
                return "arena: a list of free blocks leads outside, or has no end";
            at = *s.at<std::uint64_t>(at);
        }
    }
    const arena_header& arena = slot.arena;
    if (arena.bump > arena.bump_end ||
        (arena.bump != arena.bump_end && !is_inside(arena.bump, arena.bump_end - arena.bump)))
        return "arena: what is left of the young page lies in none";
    if (loose_pages != arena.loose_pages) return "arena: it counts other young pages than it has";
    return {};
}

std::string check_type(const segment& s, const root_slot& slot, arena_audit& audit) {
    if (slot.type_name_bytes > s.committed_bytes()) return "the name of its type lies outside";
    const auto* text = s.find<char>(slot.type_name, std::uint64_t{slot.type_name_bytes} + 1);
    if (text == nullptr) return "the name of its type lies outside";
    if (slot.fingerprint != hash_bytes(text, slot.type_name_bytes, 0))
        return "the name of its type was changed";
    audit.reached(slot.type_name, std::uint64_t{slot.type_name_bytes} + 1);
    return {};
}

void check_elements(const segment& s, list_node& node, const element_type& type, const std::string& who,
                    problem_list& problems) {
    const chunk_links links = links_of(node);
    const bool is_blob = node.form == element_form::blob;
    if (!is_blob && type.bytes > node.stride) {
        problems.add(who + "its elements are smaller than their type");
        return;
    }
    for (std::uint64_t i = 0; i < node.size && !problems.is_full(); ++i) {
        const std::byte* at = find_element(s, links, i);
        std::uint64_t bytes = type.bytes != 0 ? type.bytes : node.stride;
        blob_slot slot{};
        if (is_blob && at != nullptr) {
            std::memcpy(&slot, at, sizeof slot);
            at = find_blob(s, slot, bytes);
        }
        if (at == nullptr || !type.fits({at, static_cast<std::size_t>(bytes)}))
            problems.add(who + "element " + std::to_string(i) + " is no " + type.name);
    }
}

// An object without a node has nothing that could be counted.
std::uint64_t add_outside(const std::string& who, problem_list& problems) {
    problems.add(who + "its node lies outside");
    return 0;
}

std::uint64_t check_list_object(const segment& s, const root_slot& slot, const std::string& who, bool deep,
                                arena_audit& audit, problem_list& problems) {
    auto* node = s.find<list_node>(slot.node);
    if (node == nullptr) return add_outside(who, problems);
    std::string problem = check_list_node(s, *node);
    if (problem.empty()) problem = check_list(s, *node, audit);
    if (problem.empty()) problem = audit.finish();
    if (!problem.empty()) {
        problems.add(who + problem);
        return 0;
    }
    if (deep) {
        const element_type type(std::string_view(s.at<char>(slot.type_name), slot.type_name_bytes));
        check_elements(s, *node, type, who, problems);
    }
    return node->size;
}

std::uint64_t check_value_object(const segment& s, const root_slot& slot, const std::string& who, bool deep,
                                 arena_audit& audit, problem_list& problems) {
    const auto* node = s.find<value_node>(slot.node);
    if (node == nullptr) return add_outside(who, problems);
    std::string problem = check_value_node(s, *node);
    const element_type type(std::string_view(s.at<char>(slot.type_name), slot.type_name_bytes));
    list_node* const element = node->form == value_form::element ? s.find<list_node>(node->element) : nullptr;
    if (problem.empty() && element != nullptr) problem = check_list_node(s, *element);
    if (problem.empty()) problem = check_value(s, *node, audit);
    if (problem.empty()) problem = audit.finish();
    if (!problem.empty()) {
        problems.add(who + problem);
        return 0;
    }
    if (element != nullptr) {
        if (deep) check_elements(s, *element, type, who, problems);
    } else if (!type.fits(std::as_bytes(std::span(&slot.cell.value, 1)).first(node->bytes))) {
        problems.add(who + "it is no " + type.name);
    }
    return 1;
}

std::uint64_t check_array_object(const segment& s, const root_slot& slot, const std::string& who, bool deep,
                                 arena_audit& audit, problem_list& problems) {
    const auto* node = s.find<array_node>(slot.node);
    if (node == nullptr) return add_outside(who, problems);
    std::string problem = check_array(s, *node, audit);
    if (problem.empty()) problem = audit.finish();
    if (!problem.empty()) {
        problems.add(who + problem);
        return 0;
    }
    const element_type type(std::string_view(s.at<char>(slot.type_name), slot.type_name_bytes));
    if (type.bytes > node->stride) {
        problems.add(who + "its elements are too small for " + type.name);
        return 0;
    }
    const std::uint64_t bytes = type.bytes != 0 ? type.bytes : node->stride;
    for (std::uint64_t i = 0; deep && i < node->size && !problems.is_full(); ++i) {
        const auto* at = s.at<std::byte>(node->elements + i * node->stride);
        if (!type.fits({at, static_cast<std::size_t>(bytes)}))
            problems.add(who + "element " + std::to_string(i) + " is no " + type.name);
    }
    return node->size;
}

// An object that is one node. Has no items.
template <typename Node, typename Check>
std::uint64_t check_plain_object(const segment& s, const root_slot& slot, const std::string& who,
                                 arena_audit& audit, problem_list& problems, const Check& check) {
    auto* node = s.find<Node>(slot.node);
    if (node == nullptr) return add_outside(who, problems);
    std::string problem = check(*node);
    if (problem.empty()) problem = audit.finish();
    if (!problem.empty()) problems.add(who + problem);
    return 0;
}

// A key or a value of one type, or what is wrong with it.
template <typename Find>
bool is_value_of(const element_type& type, const segment& s, dict_shape shape, const std::byte* record,
                 Find find) {
    blob_slot slot{};
    std::uint64_t bytes = 0;
    const std::byte* at = find(s, shape, record, slot, bytes);
    return at != nullptr && type.fits({at, static_cast<std::size_t>(bytes)});
}

void check_records(const segment& s, const dict_node& node, const std::string& types, const std::string& who,
                   problem_list& problems) {
    const auto names = split_types(types);
    const element_type key_type(names.first);
    const element_type value_type(names.second);
    const dict_shape shape = node.shape;
    std::uint64_t i = 0;
    walk_records(s, node, 0, node.size, [&](const std::byte* record) {
        const std::string number = std::to_string(i++);
        if (record == nullptr || problems.is_full()) return;
        if (shape.key_form == dict_key_form::word ? key_type.bytes > 8
                                                  : !is_value_of(key_type, s, shape, record, find_key_bytes))
            problems.add(who + "key " + number + " is no " + names.first);
        if (shape.value_form != dict_value_form::none &&
            !is_value_of(value_type, s, shape, record, find_value_bytes))
            problems.add(who + "value " + number + " is no " + names.second);
    });
}

// Every key of a shard leads to this shard.
std::string check_shard(const segment& s, const root_slot& slot, const dict_node& node,
                        const std::string& who) {
    const root_slot* whole = slot_of(s, slot.part_of);
    const parts_node* parts = whole == nullptr ? nullptr : parts_node_in(s, *whole);
    if (parts == nullptr) return who + "there is no such object";
    const std::uint32_t* links = part_links(*parts);
    const auto index =
        static_cast<std::uint32_t>(std::find(links, links + parts->count, s.slot_number(slot) + 1) - links);
    std::uint64_t strangers = 0;
    walk_records(s, node, 0, node.size, [&](const std::byte* record) {
        if (record != nullptr && shard_of(hash_of(node, record), parts->count) != index) ++strangers;
    });
    if (strangers == 0) return {};
    return who + std::to_string(strangers) + " of its keys lead to another shard";
}

std::uint64_t check_dict_object(const segment& s, const root_slot& slot, const std::string& who, bool deep,
                                arena_audit& audit, problem_list& problems) {
    auto* node = s.find<dict_node>(slot.node);
    if (node == nullptr) return add_outside(who, problems);
    std::string problem;
    try {
        problem = check_dict(s, *node, audit);
    } catch (const corrupt_segment&) {
        problem = "dict: a link leads outside";
    }
    if (problem.empty()) problem = audit.finish();
    if (!problem.empty()) {
        problems.add(who + problem);
        return 0;
    }
    if (slot.part_of != 0) problems.add_if(check_shard(s, slot, *node, who));
    if (deep)
        check_records(s, *node, std::string(s.at<char>(slot.type_name), slot.type_name_bytes), who, problems);
    return node->size;
}

// The parts of an object are its own, and there are no others.
std::uint64_t check_parts_object(const segment& s, const root_slot& slot, const std::string& who,
                                 arena_audit& audit, problem_list& problems) {
    const parts_node* node = parts_node_in(s, slot);
    if (node == nullptr) {
        problems.add(who + "its node makes no sense");
        return 0;
    }
    audit.reached(slot.node, parts_node_bytes(node->count));
    if (const std::string problem = audit.finish(); !problem.empty()) problems.add(who + problem);
    const std::uint32_t own_link = s.slot_number(slot) + 1;
    std::set<std::uint32_t> parts;
    for (std::uint32_t i = 0; i < node->count; ++i) {
        const std::uint32_t link = part_links(*node)[i];
        const root_slot* part = slot_of(s, link);
        if (part == nullptr || !is_part_of(*part, slot, own_link) || !parts.insert(link).second)
            problems.add(who + "shard " + std::to_string(i) + " is not its own, or is there twice");
    }
    std::uint64_t steps = (s.committed_bytes() - s.data_offset()) / root_slot_bytes;
    for (std::uint32_t link = s.control().first_slot; link != 0 && steps != 0; --steps) {
        const root_slot* each = slot_of(s, link);
        if (each == nullptr) break;
        if (is_visible(*each) && each->part_of == own_link && !parts.contains(link))
            problems.add(who + "control block " + std::to_string(link - 1) + " is a shard that it has not");
        link = each->next_slot;
    }
    return 0;  // its parts count theirs
}

std::uint64_t check_queue_object(const segment& s, const root_slot& slot, const std::string& who, bool deep,
                                 arena_audit& audit, problem_list& problems) {
    auto* node = s.find<queue_node>(slot.node);
    if (node == nullptr) return add_outside(who, problems);
    std::string problem = check_queue(s, *node, audit);
    if (problem.empty()) problem = audit.finish();
    if (!problem.empty()) {
        problems.add(who + problem);
        return 0;
    }
    if (deep) {
        const element_type type(std::string_view(s.at<char>(slot.type_name), slot.type_name_bytes));
        std::uint64_t i = 0;
        walk_items(s, *node, 0, queued_count(*node), [&](const std::byte* item) {
            blob_slot blob{};
            std::uint64_t bytes = 0;
            const std::byte* at =
                item == nullptr ? nullptr : find_item_bytes(s, *node, item, type.bytes, blob, bytes);
            if (at == nullptr || !type.fits({at, static_cast<std::size_t>(bytes)}))
                problems.add(who + "item " + std::to_string(i) + " is no " + type.name);
            ++i;
        });
    }
    return queued_count(*node);
}

std::uint64_t check_pool_object(const segment& s, const root_slot& slot, const std::string& who,
                                arena_audit& audit, problem_list& problems) {
    auto* node = s.find<pool_node>(slot.node);
    if (node == nullptr) return add_outside(who, problems);
    std::string problem = check_pool(s, *node, audit);
    if (problem.empty()) problem = audit.finish();
    if (!problem.empty()) {
        problems.add(who + problem);
        return 0;
    }
    return node->waiting_count;
}

std::uint64_t check_service_set_object(const segment& s, const root_slot& slot, const std::string& who,
                                       arena_audit& audit, problem_list& problems) {
    auto* node = s.find<service_set_node>(slot.node);
    if (node == nullptr) return add_outside(who, problems);
    std::string problem = check_service_set(s, *node, audit);
    if (problem.empty()) problem = audit.finish();
    if (!problem.empty()) {
        problems.add(who + problem);
        return 0;
    }
    return node->service_count;
}

std::uint64_t check_channel_object(const segment& s, const root_slot& slot, const std::string& who, bool deep,
                                   arena_audit& audit, problem_list& problems) {
    const std::string_view types(s.at<char>(slot.type_name), slot.type_name_bytes);
    const element_type type(channel_item_type(types));
    auto* node = s.find<channel_node>(slot.node);
    if (node == nullptr) return add_outside(who, problems);
    std::string problem =
        type.name.empty() ? "its ring is of another version of Boost" : check_channel(s, *node, audit);
    if (problem.empty()) problem = audit.finish();
    if (!problem.empty()) {
        problems.add(who + problem);
        return 0;
    }
    if (deep) {
        const std::vector<std::uint64_t> words = stored_items(s, *node);
        std::uint64_t i = 0;
        for (std::size_t at = 0; at < words.size(); ++i)
            if (!type.fits(next_item(node->item_bytes, words, at)))
                problems.add(who + "item " + std::to_string(i) + " is no " + type.name);
    }
    return count_items(s, *node);
}

std::string check_queue_operation(const segment& s, const stored_operation& op) {
    const auto* node = s.find<queue_node>(op.node);
    if (node == nullptr) return "its unfinished operation has no queue";
    if (std::string problem = check_queue_node(s, *node); !problem.empty()) return problem;
    if (op.kind != static_cast<std::uint32_t>(operation_kind::queue_drop))
        return "its unfinished operation is of no known kind";
    if (op.arguments[1] > 1 || op.arguments[0] < node->head || op.arguments[0] > node->tail)
        return "its unfinished operation makes no sense";
    return {};
}

std::string check_dict_operation(const segment& s, const stored_operation& op) {
    const auto* node = s.find<dict_node>(op.node);
    if (node == nullptr) return "its unfinished operation has no dict";
    if (std::string problem = check_dict_node(s, *node); !problem.empty()) return problem;
    if (op.kind != static_cast<std::uint32_t>(operation_kind::dict_drop))
        return "its unfinished operation is of no known kind";
    if (op.phase > 3 || op.progress > std::uint64_t{1} << (63 - node->shift))
        return "its unfinished operation makes no sense";
    return {};
}

}  // namespace

std::string check_extent_chain(const segment& s, const root_slot& slot) {
    const std::uint32_t pages = s.committed_pages();
    const std::uint32_t owner = s.slot_number(slot) + 1;
    std::uint64_t pages_left = pages;
    std::uint32_t previous = 0;
    bool is_settled_there = slot.settled == 0;
    for (std::uint32_t link = slot.extents; link != 0;) {
        if (link > pages) return "its chain of extents leads outside";
        const page_entry& entry = s.page(link - 1);
        const std::uint32_t order = tag_order(entry.tag);
        const auto purpose = tag_purpose(entry.tag);
        if (tag_state(entry.tag) != extent_state::used || entry.owner != owner ||
            purpose < extent_purpose::loose || purpose > extent_purpose::log)
            return "its chain of extents leads to one that is not its own";
        if (order > max_order || (link - 1) % (1U << order) != 0 || pages - (link - 1) < 1U << order)
            return "its chain of extents has one that does not fit where it is";
        if (entry.previous != previous) return "its chain of extents does not lead back";
        if (pages_left < 1U << order) return "its chain of extents has no end";
        pages_left -= 1U << order;
        is_settled_there = is_settled_there || link == slot.settled;
        previous = link;
        link = entry.next;
    }
    return is_settled_there ? "" : "the extents that it has for good are not in its chain";
}

std::string check_list_node(const segment& s, const list_node& node) {
    const bool is_blob = node.form == element_form::blob;
    if (!is_blob && node.form != element_form::in_place) return "list: its elements have no known form";
    if (node.stride == 0 || node.stride > base_chunk_bytes * 2 || node.stride != stride_for(node.stride) ||
        (is_blob && node.stride != sizeof(blob_slot)))
        return "list: the distance of its elements makes no sense";
    if (node.base_log2 != list_geometry(node.stride).base_log2)
        return "list: its geometry is not that of its elements";
    if (node.size > s.committed_bytes() / node.stride)
        return "list: more elements than the segment has bytes";
    return {};
}

std::string check_operation(const segment& s, const root_slot& slot) {
    const stored_operation& op = slot.operation;
    if (is_keyed(slot)) return check_dict_operation(s, op);
    if (is_queue(slot)) return check_queue_operation(s, op);
    if (is_synchronisation(static_cast<object_kind>(slot.kind)))
        return "its unfinished operation is of no known kind";
    const auto* node = s.find<list_node>(op.node);
    if (node == nullptr) return "its unfinished operation has no list";
    if (std::string problem = check_list_node(s, *node); !problem.empty()) return problem;
    const std::uint64_t most = s.committed_bytes() / node->stride;
    std::uint64_t size = 0;
    switch (static_cast<operation_kind>(op.kind)) {
        case operation_kind::list_drop: size = op.arguments[4]; break;
        case operation_kind::list_erase:
        case operation_kind::list_compact: size = op.arguments[2]; break;
        case operation_kind::list_insert: size = op.arguments[1] + 1; break;
        case operation_kind::list_reverse: size = op.arguments[0]; break;
        default: return "its unfinished operation is of no known kind";
    }
    if (size > most || op.progress > most) return "its unfinished operation makes no sense";
    return {};
}

std::uint64_t check_root(const segment& s, const root_slot& slot, bool deep, problem_list& problems) {
    const std::string who = describe_visible(slot) + ": ";
    const std::size_t before = problems.count();
    if (slot.state == static_cast<std::uint32_t>(root_state::poisoned)) {
        problems.add(who + "poisoned: damaged beyond repair (reason " + std::to_string(slot.poison_reason) +
                     ")");
        return 0;
    }
    const lock_word lock = inspect(slot.lock);
    const auto kind = static_cast<object_kind>(slot.kind);
    if (lock.owner_died || (lock.thread_id != 0 && !is_users_lock(kind)))
        problems.add(who + "its lock is not free");
    if (slot.log_head != 0) problems.add(who + "its undo log is not empty");
    if (slot.version % 2 != 0) problems.add(who + "its version is odd");
    if (slot.operation.kind != 0) problems.add(who + "an operation was not carried to its end");
    if (slot.rolling_back != 0) problems.add(who + "a rollback was not carried to its end");
    if (slot.outstanding != 0 || slot.decided_root != 0)
        problems.add(who + "a transaction with another object is open");
    problems.add_if([&] {
        const std::string problem = check_extent_chain(s, slot);
        return problem.empty() ? problem : who + problem;
    }());
    if (problems.count() != before) return 0;
    for (const std::string& problem : {check_spans(s, slot), check_loose_blocks(s, slot)})
        if (!problem.empty()) problems.add(who + problem);
    if (problems.count() != before) return 0;
    arena_audit audit(s, slot);
    if (const std::string problem = check_type(s, slot, audit); !problem.empty()) {
        problems.add(who + problem);
        return 0;
    }
    if (const std::string problem = check_once_table(s, slot, audit); !problem.empty()) {
        problems.add(who + problem);
        return 0;
    }
    switch (kind) {
        case object_kind::mutex:
        case object_kind::recursive_mutex:
            return check_plain_object<mutex_node>(s, slot, who, audit, problems, [&](mutex_node& node) {
                return check_mutex(s, node, kind, audit);
            });
        case object_kind::array: return check_array_object(s, slot, who, deep, audit, problems);
        case object_kind::event:
            return check_plain_object<event_node>(
                s, slot, who, audit, problems, [&](event_node& node) { return check_event(s, node, audit); });
        case object_kind::shared_mutex:
            return check_plain_object<shared_mutex_node>(
                s, slot, who, audit, problems,
                [&](shared_mutex_node& node) { return check_shared_mutex(s, node, audit); });
        case object_kind::once:
            return check_plain_object<once_node>(s, slot, who, audit, problems,
                                                 [&](once_node& node) { return check_once(s, node, audit); });
        case object_kind::latch:
            return check_plain_object<latch_node>(
                s, slot, who, audit, problems, [&](latch_node& node) { return check_latch(s, node, audit); });
        case object_kind::barrier:
            return check_plain_object<barrier_node>(s, slot, who, audit, problems, [&](barrier_node& node) {
                return check_barrier(s, node, audit);
            });
        case object_kind::condition:
            return check_plain_object<condition_node>(
                s, slot, who, audit, problems,
                [&](condition_node& node) { return check_condition(s, node, audit); });
        case object_kind::semaphore:
        case object_kind::bounded_semaphore:
            return check_plain_object<semaphore_node>(
                s, slot, who, audit, problems,
                [&](semaphore_node& node) { return check_semaphore(s, node, kind, audit); });
        case object_kind::value: return check_value_object(s, slot, who, deep, audit, problems);
        case object_kind::list: return check_list_object(s, slot, who, deep, audit, problems);
        case object_kind::dict:
        case object_kind::name_space:
        case object_kind::set: return check_dict_object(s, slot, who, deep, audit, problems);
        case object_kind::queue:
        case object_kind::lifo_queue:
        case object_kind::priority_queue: return check_queue_object(s, slot, who, deep, audit, problems);
        case object_kind::sharded_dict: return check_parts_object(s, slot, who, audit, problems);
        case object_kind::channel: return check_channel_object(s, slot, who, deep, audit, problems);
        case object_kind::pool: return check_pool_object(s, slot, who, audit, problems);
        case object_kind::service_set: return check_service_set_object(s, slot, who, audit, problems);
        default: problems.add(who + "it is of no known kind"); return 0;
    }
}

}  // namespace cairn::inline CAIRN_ABI::detail::inspecting

// mutations.hpp - spoils the bytes of a segment the way that finds weak spots: in the words that are links, counts, locks and
// logs, rather than in elements, and with values that look like links, counts, locks and logs.
//
// Seeded: the same seed spoils the same bytes in the same way. Where something is, is learnt from the sound bytes
// (segment_map), so that a patch hits what it is meant for also behind other patches.
//
// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <random>
#include <string>
#include <vector>

#include "base/hash.hpp"
#include <cairn/detail/arena/arena.hpp>
#include <cairn/detail/containers/dict_layout.hpp>
#include <cairn/detail/containers/list_layout.hpp>
#include <cairn/detail/containers/queue_layout.hpp>
#include <cairn/detail/segment/segment_layout.hpp>
#include <cairn/detail/segment/undo_log.hpp>

namespace cairn_test {

/// Where the structures of a sound segment are.
class segment_map {
public:
    explicit segment_map(const std::string& sound) : bytes_(sound.size()) {
        using namespace cairn::detail;
        header = read<segment_header>(sound, 0);
        const auto control = read<segment_control>(sound, header.control_offset);
        page_count = static_cast<std::uint32_t>((control.committed_bytes - header.data_offset) / page_bytes);
        std::uint32_t steps = control.slot_count;
        for (std::uint32_t link = control.first_slot; link != 0 && steps-- != 0;) {
            const std::uint64_t at = slot_offset(link);
            slots.push_back(at);
            const auto slot = read<root_slot>(sound, at);
            link = slot.next_slot;
            if (slot.node != 0) add_root(sound, slot);
        }
        for (std::uint32_t page = 0; page < page_count; ++page) {
            const auto entry = read<page_entry>(sound, header.map_offset + page * sizeof(page_entry));
            if (tag_state(entry.tag) == extent_state::used && tag_purpose(entry.tag) == extent_purpose::span)
                spans.push_back(page_offset(page));
            if (tag_state(entry.tag) == extent_state::used && tag_purpose(entry.tag) == extent_purpose::log)
                log_areas.push_back(page_offset(page));
        }
    }

    [[nodiscard]] std::uint64_t slot_offset(std::uint32_t link) const {
        return header.data_offset + (std::uint64_t{link} - 1) * cairn::detail::root_slot_bytes;
    }
    [[nodiscard]] std::uint64_t page_offset(std::uint32_t page) const {
        return header.data_offset + std::uint64_t{page} * cairn::detail::page_bytes;
    }
    [[nodiscard]] std::uint64_t bytes() const { return bytes_; }

    template <typename T>
    static T read(const std::string& from, std::uint64_t at) {
        T value{};
        if (at <= from.size() && sizeof value <= from.size() - at)
            std::memcpy(&value, from.data() + at, sizeof value);
        return value;
    }

    cairn::detail::segment_header header{};
    std::uint32_t page_count = 0;
    std::vector<std::uint64_t> slots;      // offsets of control blocks
    std::vector<std::uint64_t> used;       // of these, such with an object
    std::vector<std::uint64_t> nodes;      // of containers
    std::vector<std::uint64_t> links;      // words that lead to or lie in tables, chunks, free blocks
    std::vector<std::uint64_t> spans;      // span headers
    std::vector<std::uint64_t> log_areas;  // spilled logs

private:
    void add_root(const std::string& sound, const cairn::detail::root_slot& slot) {
        using namespace cairn::detail;
        used.push_back(slots.back());
        nodes.push_back(slot.node);
        for (const std::uint64_t block : slot.arena.loose_free)
            if (block != 0) links.push_back(block);
        if (slot.kind == static_cast<std::uint32_t>(object_kind::list)) add_list(sound, slot.node);
        else if (slot.kind == static_cast<std::uint32_t>(object_kind::dict) ||
                 slot.kind == static_cast<std::uint32_t>(object_kind::set))
            add_dict(sound, slot);
        else if (slot.kind == static_cast<std::uint32_t>(object_kind::queue) ||
                 slot.kind == static_cast<std::uint32_t>(object_kind::lifo_queue) ||
                 slot.kind == static_cast<std::uint32_t>(object_kind::priority_queue))
            add_queue(sound, slot.node);
    }

    void add_list(const std::string& sound, std::uint64_t at) {
        using namespace cairn::detail;
        const auto node = read<list_node>(sound, at);
        for (const std::uint64_t chunk : node.chunks)
            if (chunk != 0)
                for (std::uint64_t word = 0; word < base_chunk_bytes; word += 8)
                    links.push_back(chunk + word);
        if (node.directory == 0) return;
        for (std::uint32_t i = 0; i < directory_entries; ++i) {
            links.push_back(node.directory + i * 8);
            const auto superblock = read<std::uint64_t>(sound, node.directory + i * 8);
            if (superblock != 0 && list_geometry(node.stride).has_table(inline_superblocks + i))
                links.push_back(superblock);
        }
    }

    void add_dict(const std::string& sound, const cairn::detail::root_slot& slot) {
        using namespace cairn::detail;
        const auto node = read<dict_node>(sound, slot.node);
        const std::uint32_t record_bytes = node.shape.record_bytes();
        for (std::uint64_t i = 0; i < std::uint64_t{1} << (63 - node.shift); ++i) {
            links.push_back(node.directory + i * 8);
            const auto entry = read<std::uint64_t>(sound, node.directory + i * 8);
            const segment_offset table = entry_table(entry);
            if (entry == 0) continue;
            for (std::uint64_t word = 0; word < sizeof(dict_table_header); word += 8)
                links.push_back(table + word);
            // Of each group the tags, and of one record the words that lead elsewhere.
            for (std::uint32_t group = 0; group < entry_groups(entry); ++group) {
                const std::uint64_t tags =
                    table + sizeof(dict_table_header) + group * group_bytes(record_bytes);
                links.push_back(tags);
                for (std::uint64_t word = 0; word < record_bytes; word += 8)
                    links.push_back(tags + 8 + (group % group_places) * record_bytes + word);
            }
        }
        // Down to the first leaf, and that one's neighbours.
        segment_offset at = node.order_root;
        for (std::uint32_t level = node.order_height; at != 0; --level) {
            for (std::uint64_t i = 0; i < order_fanout; ++i) links.push_back(at + i * 8);
            if (level == 0) break;
            at = read<std::uint64_t>(sound, at);
        }
    }

    void add_words(std::uint64_t at, std::uint64_t bytes) {
        for (std::uint64_t word = 0; word < bytes; word += 8) links.push_back(at + word);
    }

    // The ends of its chunks, or its list; the first leases, and those that came back; its dead letters.
    void add_queue(const std::string& sound, std::uint64_t at) {
        using namespace cairn::detail;
        constexpr std::uint64_t words_of_items = 64;
        constexpr int records = 3;
        const auto node = read<queue_node>(sound, at);
        if (node.order == queue_order::fifo) {
            for (const std::uint64_t chunk : {node.head_chunk, node.tail_chunk, node.spare_chunk})
                if (chunk != 0) add_words(chunk, sizeof(queue_chunk));
            if (node.head != node.tail) add_words(node.head_base + node.head * node.stride, words_of_items);
        } else {
            nodes.push_back(node.head_chunk);
            add_list(sound, node.head_chunk);
        }
        for (std::uint64_t record : {node.leased, node.returned}) {
            for (int i = 0; i < records && record != 0; ++i) {
                add_words(record, sizeof(lease_record) + node.stride);
                record = read<lease_record>(sound, record).next;
            }
        }
        if (node.dead_letters == 0) return;
        nodes.push_back(node.dead_letters);
        add_queue(sound, node.dead_letters);
    }

    std::uint64_t bytes_;
};

class mutator {
    static constexpr std::uint64_t largest_node_bytes =
        std::max(sizeof(cairn::detail::dict_node), sizeof(cairn::detail::queue_node));

public:
    /// `own_thread`: thread id of whoever is going to open it, for locks that say he holds them; 0: none.
    explicit mutator(std::uint64_t seed, std::uint32_t own_thread = 0)
        : random_(seed), own_thread_(own_thread) {}

    /// What it does to a segment that nobody has attached: everything.
    std::string spoil(std::string bytes, const segment_map& map) {
        using namespace cairn::detail;
        damage(bytes, map);
        if (below(8) == 0) {
            // A header that is wrong and yet has the right checksum: somebody meant it.
            auto* header = reinterpret_cast<segment_header*>(bytes.data());
            put(bytes, below(sizeof(segment_header) / 4) * 4, interesting(map), 4);
            header->checksum = hash_bytes(header, offsetof(segment_header, checksum), segment_magic);
        }
        if (below(12) == 0)
            bytes.resize(below(3) == 0 ? below(bytes.size())
                                       : below(bytes.size() / page_bytes + 1) * page_bytes);
        if (below(400) == 0) {
            for (char& c : bytes) c = static_cast<char>(below(256));
        }
        return bytes;
    }
    std::string spoil(const std::string& sound) { return spoil(sound, segment_map(sound)); }

    /// What it does to a segment in use: one to eight changes.
    void damage(std::string& bytes, const segment_map& map) {
        for (std::uint64_t left = 1 + below(8); left != 0; --left) change(bytes, map);
        make_locks_answer(bytes, map);
    }

    /// A word of `count` bytes at any place that matters.
    std::uint64_t below(std::uint64_t limit) { return limit == 0 ? 0 : random_() % limit; }

    /// A lock that a living thread holds is waited for, whoever wrote so: what locks are for. Here nobody would ever
    /// release it, so such thread ids become those of threads that there are not, or the opener's own.
    void make_locks_answer(std::string& bytes, const segment_map& map) {
        using namespace cairn::detail;
        answer(bytes, map.header.control_offset + offsetof(segment_control, lock));
        for (const std::uint64_t slot : map.slots) answer(bytes, slot + offsetof(root_slot, lock));
    }

private:
    static constexpr std::uint32_t owner_died = 0x40000000;
    static constexpr std::uint32_t thread_mask = 0x3fffffff;
    static constexpr std::uint32_t beyond_threads = 0x00800000;  // more than the kernel gives: 2^22

    void answer(std::string& bytes, std::uint64_t lock) {
        const auto word = segment_map::read<std::uint32_t>(bytes, lock);
        const std::uint32_t thread = word & thread_mask;
        if (thread == 0 || thread == own_thread_ || thread >= beyond_threads) return;
        put(bytes, lock, word | beyond_threads, 4);
    }

    template <typename T>
    const T& any_of(const std::vector<T>& all) {
        return all[below(all.size())];
    }

    // ---- where ---------------------------------------------------------------------------------------------------------

    std::uint64_t in_slot(const segment_map& map) {
        using namespace cairn::detail;
        if (map.slots.empty()) return 0;
        const std::uint64_t slot = map.used.empty() || below(6) == 0 ? any_of(map.slots) : any_of(map.used);
        switch (below(6)) {
            case 0: return slot + below(offsetof(root_slot, generation) / 4) * 4;  // lock, version, log
            case 1: return slot + offsetof(root_slot, operation) + below(sizeof(stored_operation) / 4) * 4;
            case 2: return slot + offsetof(root_slot, arena) + below(sizeof(arena_header) / 4) * 4;
            case 3: return slot + offsetof(root_slot, log) + below(root_log_bytes / 4) * 4;
            default: return slot + below(offsetof(root_slot, name) / 4) * 4;
        }
    }

    // Any word of the segment, most often one that says where something is.
    std::uint64_t place(const segment_map& map) {
        using namespace cairn::detail;
        const std::uint64_t data = map.header.data_offset;
        switch (below(16)) {
            case 0:
            case 1: return map.header.control_offset + below(offsetof(segment_control, log) / 4) * 4;
            case 2: return map.header.control_offset + below(sizeof(segment_control) / 4) * 4;
            case 3:
            case 4: return map.header.map_offset + below(map.page_count * sizeof(page_entry) / 4) * 4;
            case 5:
                if (below(8) == 0) return below(sizeof(segment_header) / 4) * 4;
                return map.header.buckets_offset + below(map.header.bucket_count) * 4;
            case 6: return map.header.participants_offset + below(8 * sizeof(participant_slot) / 4) * 4;
            case 7:
            case 8:
            case 9:
            case 10: return in_slot(map);
            case 11:
            case 12: return map.nodes.empty() ? data : any_of(map.nodes) + below(largest_node_bytes / 4) * 4;
            case 13: return map.links.empty() ? data : any_of(map.links);
            case 14:
                return map.spans.empty() ? data : any_of(map.spans) + below(sizeof(span_header) / 4 + 8) * 4;
            default: return data + below((map.bytes() - data) / 4) * 4;
        }
    }

    // ---- what ----------------------------------------------------------------------------------------------------------

    std::uint64_t interesting(const segment_map& map) {
        using namespace cairn::detail;
        switch (below(14)) {
            case 0: return 0;
            case 1: return ~std::uint64_t{0};
            case 2: return below(64);
            case 3: return below(map.bytes());
            case 4: return map.bytes() - below(64);
            case 5: return std::uint64_t{1} << below(64);
            case 6: return (std::uint64_t{1} << 62) + below(1 << 20);
            case 7: return 1 + below(std::uint64_t{map.page_count} + 2);
            case 8: return map.page_offset(static_cast<std::uint32_t>(below(map.page_count)));
            case 9: return map.header.data_offset + below((map.bytes() - map.header.data_offset) / 8) * 8;
            case 10: return map.slots.empty() ? 0 : any_of(map.slots) + below(256) * 8;
            case 11: return map.nodes.empty() ? 0 : any_of(map.nodes);
            case 12: return map.bytes() / (std::uint64_t{8} << below(4)) + below(3) - 1;
            default: return random_();
        }
    }

    void change(std::string& bytes, const segment_map& map) {
        const std::uint64_t at = place(map);
        switch (below(16)) {
            case 0:
            case 1:
            case 2: return put(bytes, at, interesting(map), 4);
            case 3:
            case 4:
            case 5: return put(bytes, at / 8 * 8, interesting(map), 8);
            case 6:
            case 7:
                // A word from elsewhere: it makes sense, but not here.
                return put(bytes, at / 8 * 8, segment_map::read<std::uint64_t>(bytes, place(map) / 8 * 8), 8);
            case 8: return swap_pages(bytes, map);
            case 9: return swap_structures(bytes, map);
            case 10: return close_a_circle(bytes, map);
            case 11: return plant_root_log(bytes, map);
            case 12: return plant_segment_log(bytes, map);
            case 13: return plant_operation(bytes, map);
            case 14: return plant_death(bytes, map);
            default:
                if (at < bytes.size()) bytes[at] = static_cast<char>(bytes[at] ^ (1 << below(8)));
        }
    }

    void swap_pages(std::string& bytes, const segment_map& map) {
        using namespace cairn::detail;
        const std::uint64_t a = map.page_offset(static_cast<std::uint32_t>(below(map.page_count)));
        const std::uint64_t b = map.page_offset(static_cast<std::uint32_t>(below(map.page_count)));
        if (a + page_bytes > bytes.size() || b + page_bytes > bytes.size()) return;
        const std::string kept = bytes.substr(a, page_bytes);
        switch (below(3)) {
            case 0: bytes.replace(a, page_bytes, bytes, b, page_bytes); break;
            case 1:
                for (std::uint64_t i = 0; i < page_bytes; i += 8) put(bytes, a + i, random_(), 8);
                return;
            default: bytes.replace(a, page_bytes, page_bytes, static_cast<char>(below(2) * 255)); return;
        }
        bytes.replace(b, page_bytes, kept);
    }

    // Two of one kind change places, or one is there twice.
    void swap_structures(std::string& bytes, const segment_map& map) {
        using namespace cairn::detail;
        switch (below(4)) {
            case 0: return swap(bytes, map.slots, root_slot_bytes);
            case 1: return swap(bytes, map.nodes, below(2) == 0 ? sizeof(list_node) : largest_node_bytes);
            case 2: return swap(bytes, map.spans, sizeof(span_header));
            default: {
                const std::uint64_t entries = map.header.map_offset;
                return swap_at(bytes, entries + below(map.page_count) * sizeof(page_entry),
                               entries + below(map.page_count) * sizeof(page_entry), sizeof(page_entry));
            }
        }
    }
    void swap(std::string& bytes, const std::vector<std::uint64_t>& all, std::uint64_t size) {
        if (!all.empty()) swap_at(bytes, any_of(all), any_of(all), size);
    }
    void swap_at(std::string& bytes, std::uint64_t a, std::uint64_t b, std::uint64_t size) {
        if (a + size > bytes.size() || b + size > bytes.size()) return;
        const std::string kept = bytes.substr(a, size);
        bytes.replace(a, size, bytes, b, size);
        if (below(2) == 0) bytes.replace(b, size, kept);
    }

    // A chain that leads back to where it was.
    void close_a_circle(std::string& bytes, const segment_map& map) {
        using namespace cairn::detail;
        const auto page = static_cast<std::uint32_t>(below(map.page_count));
        const std::uint64_t entry = map.header.map_offset + page * sizeof(page_entry);
        switch (below(6)) {
            case 0: return put(bytes, entry + offsetof(page_entry, next), page + 1, 4);
            case 1: return put(bytes, entry + offsetof(page_entry, previous), page + 1, 4);
            case 2: {
                if (map.slots.empty()) return;
                const std::uint64_t slot = any_of(map.slots);
                constexpr std::size_t chains[] = {offsetof(root_slot, next_in_bucket),
                                                  offsetof(root_slot, next_slot),
                                                  offsetof(root_slot, next_free_slot)};
                const std::uint64_t link = (any_of(map.slots) - map.header.data_offset) / root_slot_bytes + 1;
                return put(bytes, slot + chains[below(3)], link, 4);
            }
            case 3: {
                if (map.spans.empty()) return;
                const std::uint64_t span = any_of(map.spans);
                const std::uint64_t link = (span - map.header.data_offset) / page_bytes + 1;
                return put(bytes, span + offsetof(span_header, next_partial) + below(2) * 4, link, 4);
            }
            case 4: {
                if (map.links.empty()) return;
                const std::uint64_t word = any_of(map.links);
                return put(bytes, word, word, 8);  // a free block that is its own successor
            }
            default: {
                if (map.log_areas.empty()) return;
                const std::uint64_t area = any_of(map.log_areas);
                const std::uint64_t link = (area - map.header.data_offset) / page_bytes + 1;
                return put(bytes, area + offsetof(log_area_header, previous_head), link << 32 | 32, 8);
            }
        }
    }

    // ---- what a death leaves -------------------------------------------------------------------------------------------

    // Records of any words, with any old bytes; returns the bytes written.
    std::uint64_t write_log(std::string& bytes, const segment_map& map, std::uint64_t log,
                            std::uint64_t room) {
        using namespace cairn::detail;
        std::uint64_t at = 0;
        for (std::uint64_t left = 1 + below(6); left != 0; --left) {
            const std::uint64_t count = below(4) == 0 ? 8 * (1 + below(40)) : std::uint64_t{1} << below(4);
            const std::uint64_t padded = round_up(count, 8);
            if (at + padded + 8 > room) break;
            for (std::uint64_t i = 0; i < padded; i += 8) put(bytes, log + at + i, interesting(map), 8);
            const std::uint64_t to = below(4) == 0 ? interesting(map) : place(map);
            put(bytes, log + at + padded, log_record_word(to & 0xffffffffffff, count), 8);
            at += padded + 8;
        }
        return at;
    }

    void plant_root_log(std::string& bytes, const segment_map& map) {
        using namespace cairn::detail;
        if (map.used.empty()) return;
        const std::uint64_t slot = any_of(map.used);
        const std::uint64_t count = write_log(bytes, map, slot + offsetof(root_slot, log), root_log_bytes);
        put(bytes, slot + offsetof(root_slot, log_head), below(8) == 0 ? interesting(map) : count, 8);
        if (below(4) == 0) put(bytes, slot + offsetof(root_slot, rolling_back), 1, 4);
    }

    void plant_segment_log(std::string& bytes, const segment_map& map) {
        using namespace cairn::detail;
        const std::uint64_t control = map.header.control_offset;
        const std::uint64_t count =
            write_log(bytes, map, control + offsetof(segment_control, log), segment_log_bytes);
        put(bytes, control + offsetof(segment_control, log_bytes), below(8) == 0 ? interesting(map) : count,
            8);
    }

    void plant_operation(std::string& bytes, const segment_map& map) {
        using namespace cairn::detail;
        if (map.used.empty()) return;
        const std::uint64_t slot = any_of(map.used);
        const std::uint64_t operation = slot + offsetof(root_slot, operation);
        const auto node = segment_map::read<std::uint64_t>(bytes, slot + offsetof(root_slot, node));
        const auto size = segment_map::read<std::uint64_t>(bytes, node);
        const auto plausible = [&] {
            return below(3) == 0 ? interesting(map) : below(3) == 0 ? size : below(size + 2);
        };
        put(bytes, operation + offsetof(stored_operation, kind), below(32) == 0 ? random_() : 1 + below(6),
            4);
        put(bytes, operation + offsetof(stored_operation, phase), below(4), 4);
        put(bytes, operation + offsetof(stored_operation, node), below(4) == 0 ? interesting(map) : node, 8);
        put(bytes, operation + offsetof(stored_operation, progress), below(2) == 0 ? 0 : plausible(), 8);
        for (std::uint64_t i = 0; i < 5; ++i)
            put(bytes, operation + offsetof(stored_operation, arguments) + i * 8, plausible(), 8);
        put(bytes, slot, owner_died, 4);
    }

    void plant_death(std::string& bytes, const segment_map& map) {
        using namespace cairn::detail;
        const std::uint64_t lock = below(3) == 0 || map.used.empty()
                                       ? map.header.control_offset + offsetof(segment_control, lock)
                                       : any_of(map.used) + offsetof(root_slot, lock);
        switch (below(4)) {
            case 0: return put(bytes, lock, own_thread_, 4);
            case 1: return put(bytes, lock, owner_died | random_(), 4);
            case 2: return put(bytes, lock, random_(), 4);
            default: return put(bytes, lock, owner_died, 4);
        }
    }

    static void put(std::string& bytes, std::uint64_t at, std::uint64_t value, std::uint64_t count) {
        if (at <= bytes.size() && count <= bytes.size() - at) std::memcpy(bytes.data() + at, &value, count);
    }

    std::mt19937_64 random_;
    std::uint32_t own_thread_;
};

}  // namespace cairn_test

// list_operations.cpp - operations on many elements, as stored operations: committed first, then done in small steps.
//
// Each step is a transaction of its own whose log fits the control block, so that none needs memory: erasing works in
// a full segment. The version stays odd from the first step to the last: nobody sees the middle.
//
// SPDX-License-Identifier: BSL-1.0
#include <algorithm>
#include <array>

#include "cairn/detail/containers/dict_core.hpp"
#include "cairn/detail/containers/list_core.hpp"
#include "cairn/detail/containers/queue_core.hpp"
#include "containers/list_chunks.hpp"
#include "segment/segment_guard.hpp"
#include "txn/operation.hpp"

namespace cairn::inline CAIRN_ABI::detail {

namespace {

// Bytes of elements that one step moves: their old bytes and two words of progress fit the log.
constexpr std::uint64_t step_bytes = 512;
// Blobs that one step frees: each logs the slot, the block's link and its span, about 150 bytes at worst.
constexpr std::uint64_t blobs_in_step = 4;

list_node& node_of(root_transaction& tx) {
    return sound_node(tx, tx.slot().operation.node);
}

// More elements than the segment has bytes for there are in no list; a longer walk would have no end.
void require_possible_size(root_transaction& tx, const list_node& node, std::uint64_t size) {
    if (size > tx.in().committed_bytes() / node.stride)
        throw_corrupt(tx.in(), "an unfinished operation makes no sense");
}

// The same for chunks that are freed one by one: freeing a damaged one may write the link to another.
class chunk_countdown {
public:
    explicit chunk_countdown(const segment& s) : left_(s.committed_bytes() / base_chunk_bytes) {}
    void step(const segment& s) {
        if (left_-- == 0) throw_corrupt(s, "the chunks of a list have no end");
    }

private:
    std::uint64_t left_;
};

void begin(root_transaction& tx, operation_kind kind, const list_node& node,
           std::initializer_list<std::uint64_t> arguments) {
    stored_operation& op = tx.slot().operation;
    tx.store(op.phase, 0);
    tx.store(op.node, tx.in().offset_of(&node));
    tx.store(op.progress, 0);
    std::size_t i = 0;
    for (const std::uint64_t argument : arguments) tx.store(op.arguments[i++], argument);
    tx.store(op.kind, static_cast<std::uint32_t>(kind));
}

void next_phase(root_transaction& tx, std::uint64_t progress) {
    stored_operation& op = tx.slot().operation;
    tx.store(op.phase, op.phase + 1);
    tx.store(op.progress, progress);
    tx.commit();
}

void end(root_transaction& tx) {
    tx.store(tx.slot().operation.kind, static_cast<std::uint32_t>(operation_kind::none));
    tx.commit();
}

std::byte* element(root_transaction& tx, const chunk_links& links, std::uint64_t index,
                   std::uint64_t count = 1) {
    std::byte* found = find_run(tx.in(), links, index, count);
    if (found == nullptr) throw_corrupt(tx.in(), "a chunk of a list lies outside");
    return found;
}

// Elements from `index` on that lie side by side.
std::uint64_t run_from(const list_geometry& g, std::uint64_t index) {
    const list_geometry::position at = g.locate(index);
    return g.chunk_elements(at.superblock) - at.within;
}

// Elements up to and with `index` that lie side by side.
std::uint64_t run_up_to(const list_geometry& g, std::uint64_t index) {
    return g.locate(index).within + 1;
}

std::uint64_t elements_in_step(const list_geometry& g) {
    return std::max<std::uint64_t>(1, step_bytes / g.stride);
}

void copy_within(root_transaction& tx, std::byte* to, const std::byte* from, std::uint64_t bytes) {
    std::array<std::byte, step_bytes> buffer;
    copy_out_elements(buffer.data(), from, bytes);
    log_elements(tx, to, bytes);
    copy_in_elements(to, buffer.data(), bytes);
}

// Frees the blobs of [progress, last) in steps; freed slots become empty ones.
void drop_blobs(root_transaction& tx, const chunk_links& links, std::uint64_t last) {
    stored_operation& op = tx.slot().operation;
    while (op.progress < last) {
        const std::uint64_t until = std::min(last, op.progress + blobs_in_step);
        for (std::uint64_t i = op.progress; i < until; ++i) {
            auto& slot = *reinterpret_cast<blob_slot*>(element(tx, links, i));
            const blob_slot old = slot;
            if (old.last >> 56 != blob_outside >> 56) continue;
            tx.store(slot.last, 0);
            free_blob(tx, old);
        }
        tx.store(op.progress, until);
        tx.commit();
    }
}

// Frees all chunks behind the one after `keep`, last first.
void drop_chunks_behind(root_transaction& tx, const chunk_links& links, const list_geometry::position& keep) {
    list_geometry::position at{};
    chunk_countdown countdown(tx.in());
    while (last_chunk(tx.in(), links, at) &&
           (at.superblock > keep.superblock || (at.superblock == keep.superblock && at.chunk > keep.chunk))) {
        countdown.step(tx.in());
        free_chunk(tx, links, at);
        tx.commit();
    }
}

// ---- drop: what clear() took out ---------------------------------------------------------------------------------

void go_on_dropping(root_transaction& tx) {
    stored_operation& op = tx.slot().operation;
    const list_node& node = node_of(tx);
    const chunk_links links{&op.arguments[0], &op.arguments[1], list_geometry(node.stride)};
    require_possible_size(tx, node, op.arguments[4]);
    if (op.phase == 0) {
        if (node.form == element_form::blob) drop_blobs(tx, links, op.arguments[4]);
        next_phase(tx, 0);
    }
    list_geometry::position at{};
    chunk_countdown countdown(tx.in());
    while (last_chunk(tx.in(), links, at)) {
        countdown.step(tx.in());
        free_chunk(tx, links, at);
        tx.commit();
    }
    end(tx);
}

// ---- erase -------------------------------------------------------------------------------------------------------

void shift_down(root_transaction& tx, const chunk_links& links, std::uint64_t by, std::uint64_t size) {
    stored_operation& op = tx.slot().operation;
    const list_geometry& g = links.geometry;
    while (op.progress < size) {
        const std::uint64_t from = op.progress;
        const std::uint64_t count =
            std::min({size - from, elements_in_step(g), run_from(g, from), run_from(g, from - by)});
        copy_within(tx, element(tx, links, from - by, count), element(tx, links, from, count),
                    count * g.stride);
        tx.store(op.progress, from + count);
        tx.commit();
    }
}

// Elements beyond `size` count no more. Freeing the chunks behind is another phase.
void shrink_to(root_transaction& tx, list_node& node, const chunk_links& links, std::uint64_t size) {
    const list_geometry& g = links.geometry;
    // The tail chunk is the one where the next element goes, which is there: its index was below the old size.
    const list_geometry::position tail = g.locate(size);
    const std::uint64_t begin_of_tail = size - tail.within;
    tx.store(node.size, size);
    tx.store(node.limit, begin_of_tail + g.chunk_elements(tail.superblock));
    tx.store(node.tail_base, tx.in().offset_of(element(tx, links, begin_of_tail)) - begin_of_tail * g.stride);
    next_phase(tx, 0);
}

// One chunk behind the tail is kept: see drop_last().
void drop_chunks_behind_tail(root_transaction& tx, const list_node& node, const chunk_links& links) {
    const list_geometry& g = links.geometry;
    const list_geometry::position tail = g.locate(node.size);
    drop_chunks_behind(tx, links, g.locate(node.size - tail.within + g.chunk_elements(tail.superblock)));
}

void go_on_erasing(root_transaction& tx) {
    stored_operation& op = tx.slot().operation;
    list_node& node = node_of(tx);
    const chunk_links links = links_of(node);
    const std::uint64_t first = op.arguments[0];
    const std::uint64_t last = op.arguments[1];
    const std::uint64_t old_size = op.arguments[2];
    if (first >= last || last > old_size) throw_corrupt(tx.in(), "an unfinished erase makes no sense");
    require_possible_size(tx, node, old_size);
    if (op.phase == 0) {
        if (node.form == element_form::blob) {
            if (op.progress == 0) {
                tx.store(op.progress, first);
                tx.commit();
            }
            drop_blobs(tx, links, last);
        }
        next_phase(tx, last);
    }
    if (op.phase == 1) {
        shift_down(tx, links, last - first, old_size);
        shrink_to(tx, node, links, old_size - (last - first));
    }
    drop_chunks_behind_tail(tx, node, links);
    end(tx);
}

// ---- erase_if ----------------------------------------------------------------------------------------------------

// Bits that one step looks at.
constexpr std::uint64_t bits_in_step = 4096;
constexpr std::uint64_t most_inline_bits = 64;

std::uint64_t bitmap_bytes(std::uint64_t bits) {
    return (bits + 63) / 64 * sizeof(std::uint64_t);
}

// Which of the elements [first, last) go.
class erased_elements {
public:
    explicit erased_elements(root_transaction& tx)
        : first_(tx.slot().operation.arguments[0]), last_(tx.slot().operation.arguments[1]),
          words_(&tx.slot().operation.arguments[3]) {
        if (is_in_block()) words_ = tx.in().find<std::uint64_t>(*words_, bitmap_bytes(last_ - first_));
        if (words_ == nullptr) throw_corrupt(tx.in(), "an unfinished erase_if has lost what it is to erase");
    }
    [[nodiscard]] bool is_in_block() const noexcept { return last_ - first_ > most_inline_bits; }
    [[nodiscard]] bool has(std::uint64_t index) const noexcept {
        const std::uint64_t bit = index - first_;
        return (load_word(words_[bit / 64]) >> (bit % 64) & 1) != 0;
    }

private:
    std::uint64_t first_;
    std::uint64_t last_;
    const std::uint64_t* words_;
};

// Frees the blobs of those that go; freed slots become empty ones.
void drop_erased_blobs(root_transaction& tx, const chunk_links& links, const erased_elements& erased) {
    stored_operation& op = tx.slot().operation;
    const std::uint64_t last = op.arguments[1];
    while (op.progress < last) {
        const std::uint64_t until = std::min(last, op.progress + bits_in_step);
        std::uint64_t freed = 0;
        std::uint64_t i = op.progress;
        for (; i < until && freed != blobs_in_step; ++i) {
            if (!erased.has(i)) continue;
            auto& slot = *reinterpret_cast<blob_slot*>(element(tx, links, i));
            const blob_slot old = slot;
            if (old.last >> 56 != blob_outside >> 56) continue;
            tx.store(slot.last, 0);
            free_blob(tx, old);
            ++freed;
        }
        tx.store(op.progress, i);
        tx.commit();
    }
}

// Elements that stay go to where the first free place is: progress reads, arguments[4] writes.
void move_remaining(root_transaction& tx, const chunk_links& links, const erased_elements& erased) {
    stored_operation& op = tx.slot().operation;
    const list_geometry& g = links.geometry;
    const std::uint64_t last = op.arguments[1];
    const std::uint64_t size = op.arguments[2];
    std::array<std::byte, step_bytes> buffer;
    while (op.progress < size) {
        const std::uint64_t to = op.arguments[4];
        const std::uint64_t most = std::min(elements_in_step(g), run_from(g, to));
        std::uint64_t count = 0;
        std::uint64_t from = op.progress;
        if (from >= last) {
            count = std::min({size - from, most, run_from(g, from)});
            copy_out_elements(buffer.data(), element(tx, links, from, count), count * g.stride);
            from += count;
        } else {
            for (const std::uint64_t until = std::min(last, from + bits_in_step); from < until; ++from) {
                if (erased.has(from)) continue;
                if (count == most) break;
                copy_out_elements(buffer.data() + count * g.stride, element(tx, links, from), g.stride);
                ++count;
            }
        }
        if (count != 0) {
            std::byte* place = element(tx, links, to, count);
            log_elements(tx, place, count * g.stride);
            copy_in_elements(place, buffer.data(), count * g.stride);
            tx.store(op.arguments[4], to + count);
        }
        tx.store(op.progress, from);
        tx.commit();
    }
}

void go_on_compacting(root_transaction& tx) {
    stored_operation& op = tx.slot().operation;
    list_node& node = node_of(tx);
    const chunk_links links = links_of(node);
    const std::uint64_t first = op.arguments[0];
    const std::uint64_t last = op.arguments[1];
    const std::uint64_t old_size = op.arguments[2];
    const bool makes_sense = first < last && last <= old_size && op.arguments[4] >= first &&
                             op.arguments[4] <= old_size &&
                             (op.phase > 1 || (op.progress >= op.arguments[4] && op.progress <= old_size));
    if (!makes_sense) throw_corrupt(tx.in(), "an unfinished erase_if makes no sense");
    require_possible_size(tx, node, old_size);
    const erased_elements erased(tx);
    if (op.phase == 0) {
        if (node.form == element_form::blob) drop_erased_blobs(tx, links, erased);
        next_phase(tx, first);
    }
    if (op.phase == 1) {
        move_remaining(tx, links, erased);
        if (op.arguments[4] == old_size) throw_corrupt(tx.in(), "an unfinished erase_if makes no sense");
        shrink_to(tx, node, links, op.arguments[4]);
    }
    drop_chunks_behind_tail(tx, node, links);
    if (erased.is_in_block()) deallocate(tx, op.arguments[3], bitmap_bytes(last - first));
    end(tx);
}

// ---- insert ------------------------------------------------------------------------------------------------------

void go_on_inserting(root_transaction& tx) {
    stored_operation& op = tx.slot().operation;
    list_node& node = node_of(tx);
    const chunk_links links = links_of(node);
    const list_geometry& g = links.geometry;
    const std::uint64_t index = op.arguments[0];
    const std::uint64_t old_size = op.arguments[1];
    if (index > old_size) throw_corrupt(tx.in(), "an unfinished insert makes no sense");
    require_possible_size(tx, node, old_size);
    // Up by one, from the end: progress counts the elements that have moved.
    while (op.progress < old_size - index) {
        const std::uint64_t last = old_size - op.progress - 1;
        const std::uint64_t count =
            std::min({last - index + 1, elements_in_step(g), run_up_to(g, last), run_up_to(g, last + 1)});
        const std::uint64_t first = last + 1 - count;
        copy_within(tx, element(tx, links, first + 1, count), element(tx, links, first, count),
                    count * g.stride);
        tx.store(op.progress, op.progress + count);
        tx.commit();
    }
    copy_within(tx, element(tx, links, index), element(tx, links, old_size + 1), g.stride);
    tx.store(node.size, old_size + 1);
    end(tx);
}

// ---- reverse -----------------------------------------------------------------------------------------------------

void go_on_reversing(root_transaction& tx) {
    stored_operation& op = tx.slot().operation;
    list_node& node = node_of(tx);
    const chunk_links links = links_of(node);
    const std::uint64_t stride = node.stride;
    const std::uint64_t size = op.arguments[0];
    require_possible_size(tx, node, size);
    const std::uint64_t pairs_in_step = std::max<std::uint64_t>(1, step_bytes / (4 * (stride + 16)));
    std::array<std::byte, step_bytes> low;
    std::array<std::byte, step_bytes> high;
    while (op.progress < size / 2) {
        const std::uint64_t until = std::min(size / 2, op.progress + pairs_in_step);
        for (std::uint64_t i = op.progress; i < until; ++i) {
            std::byte* a = element(tx, links, i);
            std::byte* b = element(tx, links, size - 1 - i);
            copy_out_elements(low.data(), a, stride);
            copy_out_elements(high.data(), b, stride);
            log_elements(tx, a, stride);
            log_elements(tx, b, stride);
            copy_in_elements(a, high.data(), stride);
            copy_in_elements(b, low.data(), stride);
        }
        tx.store(op.progress, until);
        tx.commit();
    }
    end(tx);
}

void commit_and_finish(root_transaction& tx) {
    tx.commit();
    finish_stored_operation(tx);
}

}  // namespace

void finish_stored_operation(root_transaction& tx) {
    tx.begin_change();
    switch (static_cast<operation_kind>(load_word(tx.slot().operation.kind))) {
        case operation_kind::none: return;
        case operation_kind::list_drop: return go_on_dropping(tx);
        case operation_kind::list_erase: return go_on_erasing(tx);
        case operation_kind::list_compact: return go_on_compacting(tx);
        case operation_kind::list_insert: return go_on_inserting(tx);
        case operation_kind::list_reverse: return go_on_reversing(tx);
        case operation_kind::dict_drop: return go_on_dropping_dict(tx);
        case operation_kind::queue_drop: return go_on_dropping_items(tx);
    }
    throw_corrupt(tx.in(), "an unfinished operation is of no known kind");
}

void clear_elements(root_transaction& tx, list_node& node) {
    tx.begin_change();
    begin(tx, operation_kind::list_drop, node,
          {node.directory, node.chunks[0], node.chunks[1], node.chunks[2], node.size});
    tx.store(node.size, 0);
    tx.store(node.limit, 0);
    tx.store(node.tail_base, 0);
    tx.store(node.directory, 0);
    for (std::uint64_t& chunk : node.chunks) tx.store(chunk, 0);
    commit_and_finish(tx);
}

void erase_elements(root_transaction& tx, list_node& node, std::uint64_t first, std::uint64_t last) {
    if (first == last) return;
    tx.begin_change();
    begin(tx, operation_kind::list_erase, node, {first, last, node.size});
    commit_and_finish(tx);
}

void erase_marked_elements(root_transaction& tx, list_node& node, std::uint64_t first, std::uint64_t last,
                           std::span<const std::uint64_t> bits) {
    tx.begin_change();
    std::uint64_t map = bits.front();
    if (last - first > most_inline_bits) {
        map = allocate(tx, bitmap_bytes(last - first));
        copy_in(tx.in().at<std::byte>(map), bits.data(), bitmap_bytes(last - first));
    }
    begin(tx, operation_kind::list_compact, node, {first, last, node.size, map, first});
    tx.store(tx.slot().operation.progress, first);
    commit_and_finish(tx);
}

void reverse_elements(root_transaction& tx, list_node& node) {
    if (node.size < 2) return;
    tx.begin_change();
    begin(tx, operation_kind::list_reverse, node, {node.size});
    commit_and_finish(tx);
}

std::byte* prepare_insert(root_transaction& tx, list_node& node) {
    const chunk_links links = links_of(node);
    if (node.size == node.limit) extend_tail(tx, node);
    const list_geometry::position at = links.geometry.locate(node.size + 1);
    std::byte* to = tx.in().at<std::byte>(ensure_chunk(tx, links, at)) + at.within * links.geometry.stride;
    tx.log_if_joined(to, links.geometry.stride);
    return to;
}

void insert_prepared(root_transaction& tx, list_node& node, std::uint64_t index) {
    tx.begin_change();
    begin(tx, operation_kind::list_insert, node, {index, node.size});
    commit_and_finish(tx);
}

}  // namespace cairn::inline CAIRN_ABI::detail

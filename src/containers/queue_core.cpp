// SPDX-License-Identifier: BSL-1.0
#include "cairn/detail/containers/queue_core.hpp"

#include "os/identity.hpp"
#include "segment/internals.hpp"
#include "segment/lock_timeout.hpp"
#include "segment/participants.hpp"
#include "segment/segment_guard.hpp"
#include "txn/operation.hpp"
#include <cairn/detail/containers/queue_holders.hpp>
#include <cairn/detail/containers/queue_leases.hpp>
#include <cairn/detail/containers/queue_lists.hpp>
#include <cairn/error.hpp>

namespace cairn::inline CAIRN_ABI::detail {

namespace {

// Items that one step of a drop takes: each may free a block, which logs about 150 bytes at worst, and the last one a
// chunk; together they fit the log of the control block.
constexpr std::uint64_t items_in_step = 3;

queue_chunk& chunk_at(const segment& s, const queue_node& node, segment_offset offset) {
    auto* chunk = s.find<queue_chunk>(offset);
    if (chunk == nullptr || chunk->slot_count > largest_queue_chunk_bytes ||
        s.find<std::byte>(offset, queue_chunk_bytes(chunk->slot_count, node.stride)) == nullptr)
        throw_corrupt(s, "a chunk of a queue lies outside");
    return *chunk;
}

std::uint64_t base_of(segment_offset chunk, std::uint64_t first, std::uint32_t stride) noexcept {
    return chunk + sizeof(queue_chunk) - first * stride;
}

void point_head_at(root_transaction& tx, queue_node& node, segment_offset chunk, std::uint64_t first,
                   std::uint64_t slot_count) {
    tx.store(node.head_chunk, chunk);
    tx.store(node.head_base, base_of(chunk, first, node.stride));
    tx.store(node.head_limit, first + slot_count);
}

void point_tail_at(root_transaction& tx, queue_node& node, segment_offset chunk, std::uint64_t first,
                   std::uint64_t slot_count) {
    tx.store(node.tail_chunk, chunk);
    tx.store(node.tail_base, base_of(chunk, first, node.stride));
    tx.store(node.tail_limit, first + slot_count);
}

void free_chunk(root_transaction& tx, const queue_node& node, segment_offset chunk) {
    deallocate(tx, chunk, queue_chunk_bytes(chunk_at(tx.in(), node, chunk).slot_count, node.stride));
}

// The head chunk has no items left, and there is another one.
void leave_head_chunk(root_transaction& tx, queue_node& node) {
    const segment& s = tx.in();
    const segment_offset left = node.head_chunk;
    const queue_chunk& old = chunk_at(s, node, left);
    const segment_offset next = old.next;
    point_head_at(tx, node, next, node.head, chunk_at(s, node, next).slot_count);
    // The larger one is kept: queues that fill and empty again and again soon allocate nothing.
    const segment_offset spare = node.spare_chunk;
    if (spare != 0 && chunk_at(s, node, spare).slot_count >= old.slot_count) {
        free_chunk(tx, node, left);
        return;
    }
    tx.store(node.spare_chunk, left);
    if (spare != 0) free_chunk(tx, node, spare);
}

}  // namespace

segment_offset create_queue(root_transaction& tx, std::uint32_t stride, element_form form, queue_order order,
                            std::uint64_t maxsize, std::uint32_t max_deliveries) {
    const segment_offset offset = allocate(tx, sizeof(queue_node));
    queue_node& node = *tx.in().at<queue_node>(offset);
    zero_shared(&node, sizeof node);
    store_word(node.maxsize, maxsize);
    store_word(node.stride, stride);
    copy_in_fixed<sizeof form>(&node.form, &form);
    copy_in_fixed<sizeof order>(&node.order, &order);
    const segment_offset holders = allocate(tx, first_queue_holders * sizeof(queue_holder));
    zero_shared(tx.in().at<std::byte>(holders), first_queue_holders * sizeof(queue_holder));
    store_word(node.holders, holders);
    store_word(node.holder_count, first_queue_holders);
    if (order == queue_order::lifo)
        store_word(node.head_chunk, create_list(tx, stride, element_form::in_place));
    if (order == queue_order::priority)
        store_word(node.head_chunk, create_list(tx, sizeof(heap_entry), element_form::in_place));
    if (max_deliveries != 0) {
        store_word(node.max_deliveries, max_deliveries);
        store_word(node.dead_letters, create_queue(tx, stride, form, queue_order::fifo, 0));
        store_word(tx.in().at<queue_node>(node.dead_letters)->is_dead_letters, 1);
    }
    return offset;
}

queue_node& queue_at(const segment& s, segment_offset offset, std::uint32_t stride, element_form form,
                     queue_order order) {
    auto* node = s.find<queue_node>(offset);
    // Word by word: a read-only process holds no lock here.
    if (node == nullptr || load_word(node->stride) != stride || load_enum(node->form) != form ||
        load_enum(node->order) != order)
        throw_corrupt(s, "the node of a queue makes no sense");
    return *node;
}

void wake_sleeping_putters(root_transaction& tx, queue_node& node, std::uint64_t count) noexcept {
    constexpr std::uint64_t everybody = std::numeric_limits<std::uint32_t>::max();
    wake(tx, queue_has_room,
         static_cast<std::uint32_t>(node.has_batch_waiters != 0 ? everybody : std::min(count, everybody)));
    // Nobody sleeps: nor does anybody who waits for several places.
    if (load_word(tx.slot().events[queue_has_room].waiters) == 0) store_word(node.has_batch_waiters, 0);
}

bool has_places(root_transaction& tx, queue_node& node, std::uint64_t count, bool may_wait) noexcept {
    const thread_token self = tx.in().own_token();
    const thread_token other = load_word(node.batch_putter);
    const bool is_free = queued_count(node) <= node.maxsize && count <= node.maxsize - queued_count(node);
    if (node.maxsize == 0 || (is_free && (other == 0 || other == self))) return true;
    expect_batch_waiters(tx, node);
    // One at a time: two that keep half of the places each would wait for each other. In a transaction nobody waits.
    if (other == 0 && may_wait && !tx.has_joined()) {
        store_word(node.batch_putter, self);
        store_word(node.batch_places, count);
    }
    return false;
}

void forget_places(root_transaction& tx, queue_node& node) noexcept {
    if (load_word(node.batch_putter) != tx.in().own_token()) return;
    store_word(node.batch_places, 0);
    store_word(node.batch_putter, 0);
    wake_all(tx, queue_has_room);
}

void give_up_places(segment& s, root_slot& slot, std::uint64_t generation, queue_node& node) noexcept {
    if (load_word(node.batch_putter) != s.own_token()) return;
    const unlimited_locks however_long;
    try {
        root_transaction tx(s, slot, generation);
        forget_places(tx, node);
    } catch (const error&) {  // the queue has gone, and so everybody was woken
    }
}

bool forget_places_of_dead(segment& s, root_slot& slot, std::uint64_t generation, queue_node& node) {
    const thread_token other = load_word(node.batch_putter);
    if (other == 0 || is_thread_alive(s, other)) return false;
    root_transaction tx(s, slot, generation);
    if (load_word(node.batch_putter) != other) return false;
    store_word(node.batch_places, 0);
    store_word(node.batch_putter, 0);
    wake_all(tx, queue_has_room);
    return true;
}

void extend_queue(root_transaction& tx, queue_node& node, std::uint64_t ticket) {
    if (std::string problem = check_queue_node(tx.in(), node); !problem.empty())
        throw_corrupt(tx.in(), problem.c_str());
    tx.begin_change();
    const segment_offset last = node.tail_chunk;
    const std::uint64_t last_count = last == 0 ? 0 : chunk_at(tx.in(), node, last).slot_count;
    if (last != 0 && node.head == ticket) {
        // The only chunk, and all of its items are taken: from its beginning again.
        point_head_at(tx, node, last, ticket, last_count);
        point_tail_at(tx, node, last, ticket, last_count);
        return;
    }
    segment_offset chunk = node.spare_chunk;
    std::uint64_t count = 0;
    if (chunk != 0) {
        count = chunk_at(tx.in(), node, chunk).slot_count;
        tx.store(node.spare_chunk, 0);
    } else {
        count = next_queue_slot_count(last_count, node.stride);
        chunk = allocate(tx, queue_chunk_bytes(count, node.stride));
        store_word(tx.in().at<queue_chunk>(chunk)->slot_count, count);
    }
    if (last == 0) point_head_at(tx, node, chunk, ticket, count);
    else tx.store(chunk_at(tx.in(), node, last).next, chunk);
    point_tail_at(tx, node, chunk, ticket, count);
}

void drop_first(root_transaction& tx, queue_node& node) {
    tx.begin_change();
    if (node.order != queue_order::fifo) return drop_any(tx, node);
    const bool is_blob = node.form == element_form::blob;
    const std::byte* item = first_queue_slot(tx, node, is_blob ? sizeof(blob_slot) : node.stride);
    blob_slot blob{0, 0};
    if (is_blob) blob = *reinterpret_cast<const blob_slot*>(item);
    tx.store(node.head, node.head + 1);
    if (node.head == node.head_limit && node.head_chunk != node.tail_chunk) leave_head_chunk(tx, node);
    free_blob(tx, blob);
}

void move_first(root_transaction& tx, queue_node& node, std::byte* slot) {
    tx.begin_change();
    copy_across(slot, first_queue_slot(tx, node, node.stride), node.stride);
    tx.store(node.head, node.head + 1);
    if (node.head == node.head_limit && node.head_chunk != node.tail_chunk) leave_head_chunk(tx, node);
}

// ---- many items ------------------------------------------------------------------------------------------------------

queue_walk::queue_walk(const segment& s, const queue_node& node, std::uint32_t stride) noexcept
    : segment_(s), stride_(stride), ticket_(load_word(node.head)), limit_(load_word(node.head_limit)),
      base_(load_word(node.head_base)), chunk_(load_word(node.head_chunk)) {}

const std::byte* queue_walk::next() noexcept {
    if (ticket_ == limit_) {
        const auto* left = segment_.find<queue_chunk>(chunk_);
        if (left == nullptr) return nullptr;
        chunk_ = load_word(left->next);
        const auto* chunk = segment_.find<queue_chunk>(chunk_);
        if (chunk == nullptr) return nullptr;
        base_ = base_of(chunk_, ticket_, stride_);
        limit_ = ticket_ + load_word(chunk->slot_count);
        if (ticket_ == limit_) return nullptr;
    }
    return find_queue_slot(segment_, base_, ticket_++, stride_);
}

void drop_items(root_transaction& tx, queue_node& node, std::uint64_t target, bool returned_too) {
    tx.begin_change();
    stored_operation& op = tx.slot().operation;
    tx.store(op.phase, 0);
    tx.store(op.node, tx.in().offset_of(&node));
    tx.store(op.progress, 0);
    tx.store(op.arguments[0], target);
    tx.store(op.arguments[1], returned_too ? 1 : 0);
    tx.store(op.kind, static_cast<std::uint32_t>(operation_kind::queue_drop));
    tx.commit();
    finish_stored_operation(tx);
}

void go_on_dropping_items(root_transaction& tx) {
    stored_operation& op = tx.slot().operation;
    auto* found = tx.in().find<queue_node>(op.node);
    if (found == nullptr || !check_queue_node(tx.in(), *found).empty())
        throw_corrupt(tx.in(), "an unfinished operation has no queue");
    queue_node& node = *found;
    const std::uint64_t target = op.arguments[0];
    if (target < node.head || target > node.tail)
        throw_corrupt(tx.in(), "an unfinished operation of a queue makes no sense");
    while (op.arguments[1] != 0 && drop_one_returned(tx, node)) tx.commit();
    while (node.head != target) {
        // What has no blocks goes up to the end of the chunk at once.
        const bool is_fifo = node.order == queue_order::fifo;
        const std::uint64_t until = is_fifo ? std::min(target, node.head_limit) : target;
        if (until <= node.head) throw_corrupt(tx.in(), "the head of a queue lies in no chunk");
        if (node.form == element_form::in_place && is_fifo) {
            tx.store(node.head, until - 1);
            drop_first(tx, node);
        } else {
            for (std::uint64_t i = 0; i < items_in_step && node.head < until; ++i) drop_first(tx, node);
        }
        tx.commit();
    }
    tx.store(op.kind, static_cast<std::uint32_t>(operation_kind::none));
    tx.commit();
}

void commit_many_taken(root_transaction& tx, queue_node& node, std::uint64_t count) {
    wake_putters(tx, node, count);
    if (node.form == element_form::in_place && node.head_limit - node.head > count) {
        tx.store(node.head, node.head + count);
        tx.commit();
        return;
    }
    drop_items(tx, node, node.head + count);
}

void finish_item(root_transaction& tx, queue_node& node) {
    const finished_item which = choose_finished(tx, node);
    tx.begin_change();
    if (which.was_lost) {
        // It was written off, and is done after all.
        tx.store(node.lost, node.lost - 1);
        tx.commit();
        return;
    }
    if (node.done == node.tail) {
        throw invalid_state("task_done of " + describe_object(tx.in(), tx.slot()) +
                            ": called more often than items were put (" + std::to_string(node.tail) + ")");
    }
    if (node.done + 1 == node.tail) wake_all(tx, queue_all_done);
    if (which.holder != nullptr) tx.store(which.holder->taken, which.holder->taken - 1);
    tx.store(node.done, node.done + 1);
    tx.commit();
}

// ---- ending ----------------------------------------------------------------------------------------------------------

void close_queue(root_transaction& tx, queue_node& node, bool is_immediate) {
    tx.begin_change();
    const queue_state state = is_immediate ? queue_state::shut : queue_state::closed;
    const bool was_open = node.state == queue_state::open;
    if (node.state < state) {
        tx.log(&node.state, sizeof node.state);
        copy_in_fixed<sizeof state>(&node.state, &state);
    }
    if (was_open) {
        tx.store(node.closed_nanoseconds, os::now_since_epoch_nanoseconds());
        tx.store(node.closed_pid, static_cast<std::uint32_t>(os::pid_of(tx.in().internals().identity)));
    }
    const std::uint64_t dropped = is_immediate ? queued_count(node) : 0;
    if (dropped != 0) tx.store(node.done, std::min(node.tail, node.done + dropped));
    wake_all(tx, event_of_items(node));
    wake_all(tx, queue_has_room);
    wake_all(tx, queue_all_done);
    if (dropped != 0) drop_items(tx, node, node.tail, true);
    else tx.commit();
}

void throw_closed(const char* operation, const root_transaction& tx, const queue_node& node) {
    throw_closed_at(operation, tx, node.closed_nanoseconds, node.closed_pid);
}

namespace {

// Not by the C library's calendar, whose lock fork does not reset.
std::string time_of_day(std::int64_t nanoseconds) {
    constexpr std::int64_t day = 24 * 60 * 60;
    const std::int64_t second = ((nanoseconds / 1'000'000'000) % day + day) % day;
    const auto two_digits = [](std::int64_t number) {
        return std::string{static_cast<char>('0' + number / 10), static_cast<char>('0' + number % 10)};
    };
    return two_digits(second / 3600) + ":" + two_digits(second / 60 % 60) + ":" + two_digits(second % 60) +
           " UTC";
}

}  // namespace

void throw_closed_at(const char* operation, const root_transaction& tx, std::int64_t nanoseconds,
                     std::uint32_t pid) {
    throw queue_closed(std::string(operation) + " " + describe_object(tx.in(), tx.slot()) + ": closed at " +
                       time_of_day(nanoseconds) + " by pid " + std::to_string(pid));
}

}  // namespace cairn::inline CAIRN_ABI::detail

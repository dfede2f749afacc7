// SPDX-License-Identifier: BSL-1.0
#include "cairn/detail/containers/pair_transaction.hpp"

#include "containers/numbering.hpp"
#include "segment/segment_guard.hpp"
#include <cairn/error.hpp>

namespace cairn::inline CAIRN_ABI::detail {

namespace {

constexpr const char* nested_hint =
    "this thread is inside another transaction; one over two objects begins and ends outside of others";

}  // namespace

pair_transaction::pair_transaction(const object_handle& one, const object_handle& other, const once_id* id) {
    segment& s = one.in();
    for (const object_handle* each : {&one, &other}) {
        each->require_writable();
        require_outside("transaction over two objects, one of which is", each->in(), each->slot(),
                        nested_hint);
    }
    if (&s != &other.in()) {
        throw invalid_argument("transaction over " + describe_object(s, one.slot()) + " and " +
                               describe_object(other.in(), other.slot()) +
                               ": both have to be in one segment");
    }
    const bool in_order = &one.slot() <= &other.slot();
    const object_handle& first = in_order ? one : other;
    lock(first, in_order ? other : one);
    if (id == nullptr) return;
    require_number(s, first.slot(), *id);
    for (;;) {
        const numbering found = note_number(first_->tx_, *id);
        has_happened_ = found == numbering::happened;
        if (found != numbering::unknown_client) return;
        leave();
        make_room_for_client(s, first.slot(), first.generation(), id->client);
        lock(first, in_order ? other : one);
    }
}

void pair_transaction::lock(const object_handle& first, const object_handle& second) {
    segment& s = first.in();
    first_.emplace(s, first.slot(), first.generation());
    if (&first.slot() == &second.slot()) {
        if (first.generation() != second.generation()) throw_gone(s, second.slot());
        return;
    }
    second_.emplace(s, second.slot(), second.generation(), *first_);
    begin();
}

// A death after any store: both logs are empty yet. What says who decides is wiped by whoever gets the lock.
void pair_transaction::begin() noexcept {
    root_slot& first = first_->tx_.slot();
    root_slot& second = second_->tx_.slot();
    const segment& s = first_->tx_.in();
    number_ = load_word(first.committed) + 1;
    is_open_ = true;
    order_stores();
    store_word(first.outstanding, std::uint64_t{s.slot_number(second)} + 1);
    order_stores();
    for (root_slot* each : {&first, &second}) {
        store_word(each->decided_number, number_);
        order_stores();
        store_word(each->decided_root, std::uint64_t{s.slot_number(first)} + 1);
        order_stores();
    }
}

// In this order: as long as the second root asks the first one, that one says so.
void pair_transaction::wipe() noexcept {
    root_slot& first = first_->tx_.slot();
    order_stores();
    second_->tx_.forget_decision();
    first_->tx_.forget_decision();
    store_word(first.outstanding, 0);
    order_stores();
    is_open_ = false;
}

// Nothing was decided, so each is taken back by its own log: the second one first, as it is left first.
void pair_transaction::leave() noexcept {
    if (is_open_ && !first_->tx_.is_inert()) wipe();
    second_.reset();
    first_.reset();
}

pair_transaction::~pair_transaction() {
    leave();
}

void pair_transaction::commit() {
    if (!second_) return first_->commit();
    root_transaction& first = first_->tx_;
    root_transaction& second = second_->tx_;
    first_->free_all();
    second_->free_all();
    first.show_taken();
    second.show_taken();
    // 1. The commit.
    order_stores();
    store_word(first.slot().committed, number_);
    order_stores();
    // 2. Both logs away, while it can still be looked up.
    second.commit_log();
    second.forget_decision();
    first.commit_log();
    wipe();
    // 3. Pages; later if there is no time for it.
    if (second.unsettled_) second.settle();
    if (first.unsettled_) first.settle();
}

}  // namespace cairn::inline CAIRN_ABI::detail

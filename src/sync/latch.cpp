// SPDX-License-Identifier: BSL-1.0
#include "cairn/latch.hpp"

#include <limits>

#include "segment/segment_guard.hpp"
#include "sync/attempts.hpp"
#include "txn/root_state.hpp"
#include <cairn/detail/arena/arena.hpp>
#include <cairn/error.hpp>
#include <cairn/repr.hpp>

namespace cairn::inline CAIRN_ABI {

using namespace detail;  // this file is the border between the two

namespace {

constexpr std::uint32_t zero_event = 0;

}  // namespace

namespace detail {

std::string check_latch_node(const latch_node& node) {
    const bool makes_sense =
        load_word(node.remaining) <= std::uint64_t{std::numeric_limits<std::int64_t>::max()};
    return makes_sense ? "" : "latch: more remains than can be counted";
}

std::string check_latch(const segment& s, const latch_node& node, arena_audit& audit) {
    audit.reached(s.offset_of(&node), sizeof node);
    return check_latch_node(node);
}

}  // namespace detail

void latch::validate(const segment& s, segment_offset node) {
    const auto* found = s.find<latch_node>(node);
    if (found == nullptr || !check_latch_node(*found).empty())
        throw_corrupt(s, "the node of a latch makes no sense");
}

segment_offset latch::create(root_transaction& tx, std::uint64_t count) {
    const segment_offset offset = allocate(tx, sizeof(latch_node));
    store_word(tx.in().at<latch_node>(offset)->remaining, count);
    return offset;
}

std::uint64_t latch::remaining() const {
    // acquire: pairs with the release of publish(); who sees it at 0 sees what came before
    const std::uint64_t count = __atomic_load_n(&node_ref().remaining, __ATOMIC_ACQUIRE);
    __atomic_thread_fence(__ATOMIC_ACQUIRE);  // the look at the generation comes after
    if (load_word(slot().generation) != generation() || !is_live(slot())) throw_gone(in(), slot());
    return count;
}

void latch::count_down(std::int64_t count) const {
    require_writable();
    if (count < 0)
        throw_argument("count_down of", "count is " + std::to_string(count) + ", expected 0 or more");
    root_transaction tx(in(), slot(), generation());
    std::uint64_t& word = node_ref().remaining;
    const auto by = static_cast<std::uint64_t>(count);
    if (by > word) {
        throw invalid_state("count_down of " + describe_object(in(), slot()) + ": by " + std::to_string(by) +
                            ", and " + std::to_string(word) + " remains");
    }
    if (by == 0) return;
    if (by == word) wake_all(tx, zero_event);
    tx.publish(word, word - by);
}

bool latch::wait_before(steady_time deadline, const std::stop_token& stop) const {
    if (remaining() == 0) return true;
    require_writable();
    const std::uint64_t& word = node_ref().remaining;
    const auto is_at_zero = [&](root_transaction&) { return load_word(word) == 0; };
    return attempt_until_done({in(), slot(), generation(), zero_event, word}, deadline, stop, is_at_zero,
                              [] { return false; });
}

void latch::append_repr_to(std::string& text) const {
    text += "latch(" + std::to_string(remaining()) + ")";
}

void latch::write_to(std::ostream& to) const {
    std::string text;
    append_repr_to(text);
    write(to, text);
}

}  // namespace cairn::inline CAIRN_ABI

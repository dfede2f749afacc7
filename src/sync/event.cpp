// SPDX-License-Identifier: BSL-1.0
#include "cairn/event.hpp"

#include "segment/segment_guard.hpp"
#include "sync/attempts.hpp"
#include "txn/root_state.hpp"
#include <cairn/detail/arena/arena.hpp>
#include <cairn/error.hpp>
#include <cairn/repr.hpp>

namespace cairn::inline CAIRN_ABI {

using namespace detail;  // this file is the border between the two

namespace {

constexpr std::uint32_t set_event = 0;
constexpr std::uint64_t set_bit = 1;
constexpr std::uint64_t one_set = 2;

}  // namespace

namespace detail {

std::string check_event(const segment& s, const event_node& node, arena_audit& audit) {
    audit.reached(s.offset_of(&node), sizeof node);
    return {};  // any word is one
}

}  // namespace detail

void event::validate(const segment& s, segment_offset node) {
    if (s.find<event_node>(node) == nullptr) throw_corrupt(s, "the node of an event lies outside");
}

segment_offset event::create(root_transaction& tx) {
    const segment_offset offset = allocate(tx, sizeof(event_node));
    store_word(tx.in().at<event_node>(offset)->word, 0);
    return offset;
}

std::uint64_t event::look() const {
    // acquire: pairs with the release of publish(); who sees it set sees what came before
    const std::uint64_t word = __atomic_load_n(&node_ref().word, __ATOMIC_ACQUIRE);
    __atomic_thread_fence(__ATOMIC_ACQUIRE);  // the look at the generation comes after
    if (load_word(slot().generation) != generation() || !is_live(slot())) throw_gone(in(), slot());
    return word;
}

void event::set() const {
    require_writable();
    root_transaction tx(in(), slot(), generation());
    std::uint64_t& word = node_ref().word;
    if ((word & set_bit) != 0) return;
    wake_all(tx, set_event);
    tx.publish(word, (word + one_set) | set_bit);
}

void event::clear() const {
    require_writable();
    root_transaction tx(in(), slot(), generation());
    std::uint64_t& word = node_ref().word;
    if ((word & set_bit) != 0) tx.publish(word, word & ~set_bit);
}

bool event::wait_before(steady_time deadline, const std::stop_token& stop) const {
    const std::uint64_t first = look();
    if ((first & set_bit) != 0) return true;
    require_writable();
    const std::uint64_t& word = node_ref().word;
    // Set now, or set and cleared since.
    const auto is_over = [&](root_transaction&) {
        const std::uint64_t now = load_word(word);
        return (now & set_bit) != 0 || now / one_set != first / one_set;
    };
    return attempt_until_done({in(), slot(), generation(), set_event, word}, deadline, stop, is_over,
                              [] { return false; });
}

void event::append_repr_to(std::string& text) const {
    text += is_set() ? "event(set)" : "event(not set)";
}

void event::write_to(std::ostream& to) const {
    std::string text;
    append_repr_to(text);
    write(to, text);
}

}  // namespace cairn::inline CAIRN_ABI

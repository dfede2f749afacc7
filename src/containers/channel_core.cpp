// SPDX-License-Identifier: BSL-1.0
#include "cairn/detail/containers/channel_core.hpp"

#include <algorithm>
#include <atomic>
#include <cstring>
#include <new>
#include <optional>

#include <boost/version.hpp>

#include "containers/channel_ends.hpp"
#include "containers/channel_ring.hpp"
#include "os/identity.hpp"
#include "segment/internals.hpp"
#include "segment/segment_guard.hpp"
#include <cairn/detail/containers/queue_core.hpp>
#include <cairn/detail/containers/waiting.hpp>
#include <cairn/error.hpp>

namespace cairn::inline CAIRN_ABI::detail {

namespace {

constexpr std::uint64_t default_blob_words =
    8;  // for each item of the capacity; chosen freely: 56 bytes and their length

[[noreturn]] CAIRN_COLD void throw_no_block(const channel_reference& c) {
    const root_transaction tx(c.in, c.slot, c.generation);
    throw_damaged(c.in, c.slot);
}

// Before anything is known of the root: it may have gone, and the node's memory be something else's.
CAIRN_INLINE channel_block& block_in(const channel_reference& c) {
    auto* block = c.in.find_shown<channel_block>(load_word(c.node.ring));
    if (block == nullptr) [[unlikely]]
        throw_no_block(c);
    return *block;
}

CAIRN_INLINE void require_whole(const channel_reference& c, bool holds) {
    if (!holds) [[unlikely]]
        throw_damaged(c.in, c.slot);
}

// ---- waking ----------------------------------------------------------------------------------------------------------

// After an item went in or out, still at the pin: the other end may be asleep. Its flag goes first, so that the items that
// follow cost no system call, and may be that of another sleep by now, whose sequence was read before its flag was set: it
// ends with the bump. A death in here costs the sleeper a tick. (Model: channel.)
CAIRN_COLD void wake_sleeper(root_slot& slot, channel_event event) noexcept {
    store_word(slot.events[event].waiters, 0);
    // release: pairs with nothing; the flag goes before the sequence
    std::atomic_thread_fence(std::memory_order_release);
    disturb_sleepers(slot, event);
}

CAIRN_INLINE void wake_other_end(root_slot& slot, channel_event event) noexcept {
    // Pairs with the fence of a sleeper: it sees the index that was just stored, or its flag is seen here.
    std::atomic_thread_fence(std::memory_order_seq_cst);
    if (load_word(slot.events[event].waiters) != 0) [[unlikely]]
        wake_sleeper(slot, event);
}

// Before a sleep, after its sequence was read: a waker that has cleared the flag meanwhile has bumped that sequence, or will.
void set_flag_of_sleep(root_slot& slot, channel_event event) noexcept {
    std::atomic_thread_fence(std::memory_order_acq_rel);  // the sequence was read before
    store_word(slot.events[event].waiters, 1);
    // Pairs with the fence of the other end: it sees the flag, or what it has done is seen from here on.
    std::atomic_thread_fence(std::memory_order_seq_cst);
}

// ---- one attempt -------------------------------------------------------------------------------------------------------

enum class attempt_result {
    done,
    not_now,    // no item, no room
    closed,     // and nothing is left
    too_large,  // for the ring
    ask_first,  // the lock: the end is not this thread's, or the root is being changed
};

class put_attempt {
public:
    static constexpr channel_end end = producer_end;
    static constexpr channel_event event = channel_has_room;
    static constexpr const char* operation = "put into";

    put_attempt(const channel_reference& c, std::span<const std::uint64_t> words)
        : c_(c), block_(block_in(c)), words_(words) {}

    // The other end's index: until it moves on there is no room.
    [[nodiscard]] const std::uint64_t& watched() const noexcept { return block_.ring.read_word(); }

    CAIRN_INLINE attempt_result operator()() {
        const root_pin pin(c_.in, c_.slot, c_.generation, c_.slot.pins[end]);
        if (!pin.is_in()) [[unlikely]]
            return attempt_result::ask_first;
        if (is_channel_closed(c_.node)) [[unlikely]]
            return attempt_result::closed;
        if (words_.size() > c_.node.ring_words) [[unlikely]]
            return attempt_result::too_large;
        channel_ring& ring = block_.ring;
        const std::uint64_t limit = c_.node.ring_words + 1;
        const std::uint64_t at = ring.write_index();
        const std::uint64_t other = ring.read_index();
        require_whole(c_, at < limit && other < limit && is_ring_in_place(block_, limit - 1));
        const std::uint32_t count = count_at(load_word(block_.put_mark), at);
        if (c_.node.ring_words - used_words(at, other, limit) < words_.size() ||
            (c_.node.item_words == 0 &&
             count - count_at(load_word(block_.get_mark), other) >= c_.node.capacity))
            return attempt_result::not_now;
        store_word(block_.put_mark, make_mark(count, at));  // true of the index as it is, and as it will be
        order_stores();
        static_cast<void>(ring.push(words_.data(), words_.size()));
        wake_other_end(c_.slot, channel_has_item);
        return attempt_result::done;
    }

private:
    const channel_reference& c_;
    channel_block& block_;
    std::span<const std::uint64_t> words_;
};

// The next item of a ring.
struct item_in_ring {
    std::uint64_t at;     // its first word
    std::uint64_t count;  // of its words
    std::uint64_t limit;  // of indices
    std::uint64_t mark;   // to be written before it is taken
};

// `Take` is given the end of the channel, where the next item begins, and how many words it has. False: it has left it.
template <typename Take>
class get_attempt {
public:
    static constexpr channel_end end = consumer_end;
    static constexpr channel_event event = channel_has_item;
    static constexpr const char* operation = "get from";

    get_attempt(const channel_reference& c, Take take) : c_(c), block_(block_in(c)), take_(take) {}

    [[nodiscard]] const std::uint64_t& watched() const noexcept { return block_.ring.write_word(); }

    CAIRN_INLINE attempt_result operator()() {
        const root_pin pin(c_.in, c_.slot, c_.generation, c_.slot.pins[end]);
        if (!pin.is_in()) [[unlikely]]
            return attempt_result::ask_first;
        channel_ring& ring = block_.ring;
        const std::uint64_t limit = c_.node.ring_words + 1;
        // Before the look at the ring: once it is closed nobody puts, so what is not there now never comes.
        const bool was_closed = is_channel_closed(c_.node);
        const std::uint64_t other = ring.write_index();
        const std::uint64_t at = ring.read_index();
        require_whole(c_, at < limit && other < limit && is_ring_in_place(block_, limit - 1));
        const std::uint64_t used = used_words(other, at, limit);
        if (used == 0) return was_closed ? attempt_result::closed : attempt_result::not_now;
        const std::uint64_t bytes = c_.node.item_words == 0 ? ring.front() : 0;
        require_whole(c_, bytes <= used * 8);
        const std::uint64_t count = c_.node.item_words == 0 ? channel_blob_words(bytes) : c_.node.item_words;
        require_whole(c_, count <= used);
        const std::uint64_t mark = make_mark(count_at(load_word(block_.get_mark), at), at);
        if (!take_(c_, block_, {at, count, limit, mark})) return attempt_result::done;  // and left there
        wake_other_end(c_.slot, channel_has_room);
        return attempt_result::done;
    }

private:
    const channel_reference& c_;
    channel_block& block_;
    Take take_;
};

void copy_words(const channel_reference& c, const item_in_ring& item, std::uint64_t* to) noexcept {
    const auto* buffer = c.in.at<std::uint64_t>(load_word(c.node.ring) + channel_block::words_at);
    const std::uint64_t first = std::min(item.count, item.limit - item.at);
    copy_out(to, buffer + item.at, first * sizeof(std::uint64_t));
    if (first != item.count) copy_out(to + first, buffer, (item.count - first) * sizeof(std::uint64_t));
}

[[noreturn]] void throw_too_large(const channel_reference& c) {
    throw invalid_argument("put into " + describe_object(c.in, c.slot) + ": the item is larger than the " +
                           std::to_string((c.node.ring_words - 1) * 8) +
                           " bytes that the channel holds at most; make it with more (`bytes` of "
                           "channel_options)");
}

[[noreturn]] void throw_closed_channel(const char* operation, const channel_reference& c) {
    const root_transaction tx(c.in, c.slot, c.generation);
    throw_closed_at(operation, tx, c.node.closed_nanoseconds, c.node.closed_pid);
}

// True when it is done. Takes the end, if it must, and if it can be had.
template <typename Attempt>
bool try_once(const channel_reference& c, Attempt& attempt) {
    for (;;) {
        switch (attempt()) {
            case attempt_result::done: return true;
            case attempt_result::not_now: return false;
            case attempt_result::closed: throw_closed_channel(Attempt::operation, c);
            case attempt_result::too_large: throw_too_large(c);
            case attempt_result::ask_first: claim_end(c, Attempt::end); break;
        }
    }
}

// As attempt_until() of waiting.hpp, where attempts take no lock.
template <typename Attempt>
CAIRN_NOINLINE bool wait_until(const channel_reference& c, Attempt& attempt, steady_time deadline,
                               const std::stop_token& stop) {
    const operation_limit limit = {deadline, &stop};
    const auto try_in_time = [&] {
        const limited_locks in_time(limit);
        return try_once(c, attempt);
    };
    const std::uint64_t& word = attempt.watched();
    std::uint64_t seen = load_word(word);
    try {
        if (try_in_time()) [[likely]]
            return true;
        if (deadline <= already_over) return false;
        // A wake that it takes along when it gives up is nobody else's: an end has one owner.
        root_wait wait(c.in, c.slot, c.generation, Attempt::event, deadline, stop);
        for (;;) {
            wait.pause(word, seen, [] { return false; });
            seen = load_word(word);
            if (try_in_time()) return true;
            bool goes_on = false;
            {
                const limited_locks in_time(limit);
                root_transaction tx(c.in, c.slot, c.generation);
                goes_on = wait.may_go_on(tx);
                if (goes_on) set_flag_of_sleep(c.slot, Attempt::event);
            }
            seen = load_word(word);
            if (try_in_time()) return true;
            if (!goes_on) return false;
        }
    } catch (const limit_reached&) {
        return false;
    } catch (...) {
        throw;  // here the lock is given back: the program may end by it
    }
}

// The first attempt needs no limit: it waits for nothing.
template <typename Attempt>
CAIRN_INLINE bool try_until(const channel_reference& c, Attempt attempt, steady_time deadline,
                            const std::stop_token& stop) {
    try {
        const attempt_result result = attempt();
        if (result == attempt_result::done) [[likely]]
            return true;
        if (result == attempt_result::not_now && deadline <= already_over) return false;
    } catch (...) {
        throw;  // as in wait_until()
    }
    return wait_until(c, attempt, deadline, stop);
}

}  // namespace

// ---- making -------------------------------------------------------------------------------------------------------------

std::string channel_type_name(const std::string& element) {
    return element + ", boost " + std::to_string(BOOST_VERSION / 100000) + "." +
           std::to_string(BOOST_VERSION / 100 % 1000);
}

channel_shape channel_shape_of(const std::string& what, std::int64_t capacity, std::uint64_t bytes,
                               std::size_t item_bytes, std::uint64_t blob_bytes) {
    const auto refuse = [&](const std::string& why) {
        throw invalid_argument("create " + what + ": " + why);
    };
    if (capacity <= 0) refuse("its capacity is " + std::to_string(capacity) + ", expected 1 or more");
    const auto count = static_cast<std::uint64_t>(capacity);
    const std::uint64_t item_words =
        blob_bytes != 0 && bytes == 0 ? channel_blob_words(blob_bytes) : channel_item_words(item_bytes);
    if (count > most_channel_words / std::max<std::uint64_t>(1, item_words) || bytes / 8 > most_channel_words)
        refuse("a capacity of " + std::to_string(capacity) + " items takes more than 16 GiB");
    std::uint64_t words = count * item_words;
    if (item_bytes == 0) {
        if (bytes != 0) words = std::max<std::uint64_t>(2, (bytes + 7) / 8);
        else if (blob_bytes == 0) words = std::min(count * default_blob_words, most_channel_words);
    }
    return {count, words, static_cast<std::uint32_t>(item_bytes)};
}

segment_offset create_channel(root_transaction& tx, const channel_shape& shape) {
    const segment_offset offset = allocate(tx, sizeof(channel_node));
    const std::uint64_t block_bytes =
        cache_line_bytes + channel_block::words_at + buffer_words(shape.ring_words) * sizeof(std::uint64_t);
    const segment_offset block = allocate(tx, block_bytes);
    const segment_offset ring = round_up(block, cache_line_bytes);
    channel_node& node = *tx.in().at<channel_node>(offset);
    zero_shared(&node, sizeof node);
    store_word(node.capacity, shape.capacity);
    store_word(node.ring_words, shape.ring_words);
    store_word(node.block, block);
    store_word(node.block_bytes, block_bytes);
    store_word(node.ring, ring);
    store_word(node.item_words, channel_item_words(shape.item_bytes));
    store_word(node.item_bytes, shape.item_bytes);
    const element_form form = shape.item_bytes == 0 ? element_form::blob : element_form::in_place;
    copy_in_fixed<sizeof form>(&node.form, &form);
    zero_shared(tx.in().at<std::byte>(ring), channel_block::words_at);
    new (&tx.in().at<channel_block>(ring)->ring)
        channel_ring(tx.in().at<std::uint64_t>(ring + channel_block::words_at), shape.ring_words);
    for (stored_pin& pin : tx.slot().pins) store_word(pin.owner, 0);
    return offset;
}

channel_node& channel_at(const segment& s, segment_offset offset, std::size_t item_bytes) {
    auto* node = s.find<channel_node>(offset);
    // Word by word: a read-only process holds no lock here.
    if (node == nullptr || load_word(node->item_bytes) != item_bytes || !check_channel_node(s, *node).empty())
        throw_corrupt(s, "the node of a channel makes no sense");
    return *node;
}

void require_channel_shape(const channel_reference& c, const channel_shape& wanted, bool any_bytes) {
    std::uint64_t capacity = 0;
    std::uint64_t words = 0;
    read_root(c.in, c.slot, c.generation, [&](segment& s) {
        const auto& node = *s.at<channel_node>(c.in.offset_of(&c.node));
        capacity = load_word(node.capacity);
        words = load_word(node.ring_words);
        return read_result::done;
    });
    if (capacity == wanted.capacity && (any_bytes || words == wanted.ring_words)) return;
    const auto text = [&](std::uint64_t items, std::uint64_t all) {
        return "a capacity of " + std::to_string(items) +
               (any_bytes ? "" : " items and " + std::to_string(all * 8) + " bytes");
    };
    throw type_mismatch("open " + describe_object(c.in, c.slot) + ": stored with " + text(capacity, words) +
                        ", asked for " + text(wanted.capacity, wanted.ring_words));
}

// ---- using --------------------------------------------------------------------------------------------------------------

bool put_item(const channel_reference& c, std::span<const std::uint64_t> words, steady_time deadline,
              const std::stop_token& stop) {
    return try_until(c, put_attempt(c, words), deadline, stop);
}

bool get_item(const channel_reference& c, std::span<std::uint64_t> words, steady_time deadline,
              const std::stop_token& stop) {
    const auto take = [words](const channel_reference& from, channel_block& block, const item_in_ring& item) {
        require_whole(from, item.count == words.size());
        store_word(block.get_mark, item.mark);
        order_stores();
        static_cast<void>(block.ring.pop(words.data(), item.count));
        return true;
    };
    return try_until(c, get_attempt(c, take), deadline, stop);
}

bool get_item(const channel_reference& c, item_receiver& to, steady_time deadline,
              const std::stop_token& stop) {
    std::array<std::uint64_t, most_words_on_stack> small;
    std::vector<std::uint64_t> large;
    const auto take = [&](const channel_reference& from, channel_block& block, const item_in_ring& item) {
        std::span<std::uint64_t> words(small);
        if (item.count > words.size()) [[unlikely]] {
            large.resize(item.count);
            words = large;
        }
        words = words.first(item.count);
        copy_words(from, item, words.data());
        std::size_t at = 0;
        const std::span<const std::byte> bytes = next_item(0, words, at);
        require_whole(from, bytes.data() != nullptr);
        if (!to.prepare(bytes)) return false;
        store_word(block.get_mark, item.mark);
        order_stores();
        block.ring.drop(item.at, item.count);
        return true;
    };
    return try_until(c, get_attempt(c, take), deadline, stop);
}

void close_channel(const channel_reference& c) {
    root_transaction tx(c.in, c.slot, c.generation);
    tx.begin_change();
    // Whoever finds it closed and empty may say that nothing comes any more.
    wait_for_pins(c.in, c.slot);
    if (!is_channel_closed(c.node)) {
        constexpr channel_state closed = channel_state::closed;
        tx.log(&c.node.state, sizeof c.node.state);
        copy_in_fixed<sizeof closed>(&c.node.state, &closed);
        tx.store(c.node.closed_nanoseconds, os::now_since_epoch_nanoseconds());
        tx.store(c.node.closed_pid, static_cast<std::uint32_t>(os::pid_of(c.in.internals().identity)));
    }
    // Whatever the flags say: a waker that died may have cleared one and no more, and a tick would see nothing new.
    disturb_sleepers(c.slot, channel_has_item);
    disturb_sleepers(c.slot, channel_has_room);
    tx.commit();
}

// ---- looking ------------------------------------------------------------------------------------------------------------

std::uint64_t count_items(const segment& s, const channel_node& node) noexcept {
    const auto* found = s.find<channel_block>(load_word(node.ring));
    if (found == nullptr) return 0;  // it has gone
    const channel_block& block = *found;
    // What is taken first, so that the difference is no less than 0.
    // And each index before its mark, which is never behind it.
    const auto read_at = block.ring.read_index();
    const std::uint32_t taken = count_at(load_word(block.get_mark), read_at);
    const auto written_at = block.ring.write_index();
    const std::uint32_t put = count_at(load_word(block.put_mark), written_at);
    const auto count = static_cast<std::int32_t>(put - taken);
    return count <= 0 ? 0
                      : std::min<std::uint64_t>(static_cast<std::uint32_t>(count), load_word(node.capacity));
}

bool has_room_for(const segment& s, const channel_node& node, std::uint64_t words) noexcept {
    const auto* block = s.find<channel_block>(load_word(node.ring));
    if (block == nullptr) return false;
    const channel_ring& ring = block->ring;
    const std::uint64_t limit = load_word(node.ring_words) + 1;
    return used_words(ring.write_index(), ring.read_index(), limit) + words < limit;
}

std::vector<std::uint64_t> stored_items(const segment& s, const channel_node& node) {
    const channel_ring& ring = block_of(s, node).ring;
    const std::uint64_t limit = load_word(node.ring_words) + 1;
    const std::uint64_t begin = ring.read_index();
    const std::uint64_t end = ring.write_index();
    if (begin >= limit || end >= limit) return {};
    std::vector<std::uint64_t> words(used_words(end, begin, limit));
    const auto* buffer = s.at<std::uint64_t>(load_word(node.ring) + channel_block::words_at);
    const std::uint64_t first = std::min(words.size(), limit - begin);
    copy_out(words.data(), buffer + begin, first * sizeof(std::uint64_t));
    copy_out(words.data() + first, buffer, (words.size() - first) * sizeof(std::uint64_t));
    return words;
}

std::span<const std::byte> next_item(std::size_t item_bytes, std::span<const std::uint64_t> words,
                                     std::size_t& at) noexcept {
    const std::uint64_t left = words.size() - at;
    const bool is_blob = item_bytes == 0;
    const std::uint64_t bytes = is_blob && left != 0 ? words[at] : item_bytes;
    const bool is_whole =
        bytes <= left * 8 && (is_blob ? channel_blob_words(bytes) : channel_item_words(item_bytes)) <= left;
    if (left == 0 || !is_whole) {
        at = words.size();
        return {};
    }
    const std::span<const std::byte> item = std::as_bytes(words.subspan(at + (is_blob ? 1 : 0)));
    at += is_blob ? channel_blob_words(bytes) : channel_item_words(item_bytes);
    // Not null where an empty blob is the last item.
    return {item.data(), static_cast<std::size_t>(bytes)};
}

namespace {

// Nobody can be kept out by a process that may not write. What was put meanwhile was not looked at; what was taken meanwhile
// is left out, since its words may have been used again. Where that are blobs, nothing says how long they were.
read_result copy_while_in_use(const segment& s, const channel_node& node, std::vector<std::uint64_t>& words) {
    constexpr int most_looks = 1000;
    if (!check_channel_node(s, node).empty()) return read_result::torn;
    const channel_block& block = block_of(s, node);
    const auto taken = [&] { return count_at(load_word(block.get_mark), block.ring.read_index()); };
    for (int i = 0; i < most_looks; ++i) {
        const std::uint32_t before = taken();
        words = stored_items(s, node);
        std::atomic_thread_fence(std::memory_order_acquire);  // the copy comes before the second look
        const std::uint64_t gone = taken() - before;
        if (gone == 0) return read_result::done;
        const std::uint64_t item_words = load_word(node.item_words);
        if (item_words == 0) continue;
        const std::uint64_t count = std::min<std::uint64_t>(words.size(), gone * item_words);
        words.erase(words.begin(), words.begin() + static_cast<std::ptrdiff_t>(count));
        return read_result::done;
    }
    words.clear();
    return read_result::done;
}

}  // namespace

std::vector<std::uint64_t> copy_of_items(const channel_reference& c) {
    if (!c.in.is_writable()) {
        std::vector<std::uint64_t> words;
        const segment_offset node = c.in.offset_of(&c.node);
        read_root(c.in, c.slot, c.generation,
                  [&](segment& s) { return copy_while_in_use(s, *s.at<channel_node>(node), words); });
        return words;
    }
    root_transaction tx(c.in, c.slot, c.generation);
    tx.begin_change();
    wait_for_pins(c.in, c.slot);
    require_whole(c, check_channel_node(c.in, c.node).empty());
    return stored_items(c.in, c.node);
}

}  // namespace cairn::inline CAIRN_ABI::detail
